/* The outbox as a folder of files: opening and closing it, the journal, and the table of
 * operations. store.h says which thread calls what, file.h which field is whose. */
#include "bridge/outbox/file/file.h"
#include "bridge/outbox/file/journal.h"
#include "bridge/outbox/file/left.h"
#include "bridge/outbox/file/selections.h"
#include "bridge/outbox/store_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum status open_folder(struct fs *s, enum place place, const char *name, bool make,
                               struct error *err) {
  int outbox = fs_folder(s, PLACE_FLAT), fd = -1;
  enum status st = ST_OK;
  if (make)
    st = durable_folder(outbox, name, 0770, &fd, err);
  else
    fd = openat(outbox, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (st == ST_OK && fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
    st = error_sys(err, errno, "opening the folder %s", name);
  if (st != ST_OK) {
    error_prefix(err, "in the outbox %s", state_path(s->state));
    return st;
  }
  atomic_store(&s->folder[place], fd);
  return ST_OK;
}

static enum status open_folders(struct fs *s, struct error *err) {
  bool change = !s->inspect;
  enum status st = change ? fs_check_mounts(s, err) : ST_OK;
  if (st == ST_OK) st = open_folder(s, PLACE_PENDING, "pending", false, err);
  if (st == ST_OK) st = open_folder(s, PLACE_DLQ, "dlq", change, err);
  if (st == ST_OK) st = open_folder(s, PLACE_SENT, "sent", change && s->c.keep_sent, err);
  return st;
}

/* What a worker that was killed moved there and did not sync: a power loss must not find it
 * nowhere, because the folder it left was synced since. Where that fails, fs_sync tries again
 * first. */
static void sync_targets(struct fs *s) {
  for (enum place p = PLACE_DLQ; p < PLACES; p++)
    if (fs_folder(s, p) >= 0 && durable_sync_folder(fs_folder(s, p), NULL) != ST_OK)
      atomic_store(&s->dirty[p], true);
}

static void fs_close(void *impl) {
  struct fs *s = impl;
  if (!s) return;
  fs_watch_close(s);
  for (unsigned p = PLACE_PENDING; p < PLACES; p++)
    if (fs_folder(s, (enum place)p) >= 0) close(fs_folder(s, (enum place)p));
  wake_close(s->wake_fd);
  fs_hands_release(s);
  fs_aside_release(s);
  fs_names_release(&s->names);
  fs_names_release(&s->queue);
  fs_names_release(&s->parked);
  fs_names_release(&s->ahead);
  fs_growing_release(s);
  free(s->group.at);
  arena_release(&s->group.arena);
  fs_desk_release(&s->desk);
  digest_set_release(&s->told);
  digest_set_release(&s->said);
  digest_set_release(&s->refused);
  digest_set_release(&s->foreign);
  mutex_destroy(&s->lock);
  mutex_destroy(&s->taking);
  state_close(s->state);
  free(s);
}

static struct fs *make(const struct store_options *options) {
  struct fs *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->inspect = !options->create;
  s->clock = options->clock;
  s->log = options->log;
  s->lifting = options->lifting;
  for (unsigned p = 0; p < PLACES; p++) atomic_init(&s->folder[p], -1);
  s->wake_fd = s->inotify = s->watch[0] = s->watch[1] = -1;
  s->wanted = 1; /* the first scan */
  s->figures.head_ns = s->figures.parked_ns = INT64_MAX;
  s->sent_swept_us = TIME_NONE;
  s->clock_offset_us = clock_wall_us(s->clock) - clock_mono_ns(s->clock) / 1000;
  s->known_ns = INT64_MIN;
  mutex_init(&s->lock);
  mutex_init(&s->taking);
  return s;
}

static enum status fs_open(const char *address, const struct store_options *options, void **out,
                           struct error *err) {
  struct fs *s = make(options);
  if (!s) return error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  enum status st = state_open(address, options->create, options->clock, &s->state, err);
  if (st != ST_OK) {
    fs_close(s);
    return st;
  }
  atomic_store(&s->folder[PLACE_FLAT], state_outbox(s->state));
  *out = s;
  return ST_OK;
}

static enum status fs_begin(void *impl, const struct store_config *config, struct error *err) {
  struct fs *s = impl;
  s->c = *config;
  if (!s->c.window) s->c.window = 1;
  fs_names_init(&s->names, s->c.window);
  fs_names_init(&s->queue, s->c.window);
  fs_names_init(&s->parked, FS_FRONT);
  fs_names_init(&s->ahead, FS_FRONT);
  enum status st = open_folders(s, err);
  if (st == ST_OK) st = fs_aside_open(s, err);
  if (st != ST_OK || s->inspect) return st;
  sync_targets(s);
  s->wake_fd = wake_open();
  if (s->wake_fd < 0) return error_sys(err, errno, "opening an eventfd");
  fs_watch_open(s);
  return ST_OK;
}

/* ---- who it is, and whose: state.c ---- */

static const char *fs_id(const void *impl) {
  return state_id(((const struct fs *)impl)->state);
}

static enum status fs_lock(void *impl, int64_t wait_ms, struct error *err) {
  struct fs *s = impl;
  enum status st = state_lock(s->state, wait_ms, err);
  if (st == ST_OK && !s->inspect) left_clear_all(s->state);
  return st;
}

static int64_t fs_holder(const void *impl) {
  return state_lock_holder(((const struct fs *)impl)->state);
}

static enum status fs_check(void *impl, struct error *err) {
  return state_check(((struct fs *)impl)->state, err);
}

static enum status fs_renew_id(void *impl, struct error *err) {
  return state_renew_id(((struct fs *)impl)->state, err);
}

static enum status fs_note_read(const void *impl, enum note note, struct buffer *out,
                                struct error *err) {
  return state_note_read(((const struct fs *)impl)->state, note, out, err);
}

static enum status fs_note_write(void *impl, enum note note, struct span text, struct error *err) {
  return state_note_write(((struct fs *)impl)->state, note, text, err);
}

static enum status fs_note_remove(void *impl, enum note note, struct error *err) {
  return state_note_remove(((struct fs *)impl)->state, note, err);
}

static bool fs_note_hinders_one(const void *impl, const struct error *why) {
  return state_hinders_one(((const struct fs *)impl)->state, why);
}

static uint64_t fs_left(const void *impl, int64_t now_us) {
  return left_count(((const struct fs *)impl)->state, now_us);
}

/* ---- the journal: files of .busbridge; a full disk does not keep a batch from being written while
 * there is a reserve
 * ---- */

static enum status fs_batch_write(void *impl, struct manifest *m, const char *nonce,
                                  struct error *err) {
  struct fs *s = impl;
  int folder = state_folder(s->state), tmp = state_tmp(s->state);
  enum status st = journal_write(folder, tmp, m, nonce, err);
  if (st == ST_NO_SPACE && reserve_give_up(folder, s->log)) /* publishing is what frees space */
    st = journal_write(folder, tmp, m, nonce, err);
  return st;
}

static enum status fs_batch_list(void *impl, struct manifest_name **list, size_t *count,
                                 struct error *err) {
  struct fs *s = impl;
  enum status st = journal_list(state_folder(s->state), list, count, err);
  if (st != ST_INVALID) return st;
  struct error why = err ? *err : (struct error){0};
  return error_set(err, st,
                   "%s. Nothing was changed. It is not of busbridge: move it out of %s/.busbridge",
                   why.text, state_path(s->state));
}

static enum status fs_batch_read(void *impl, const struct manifest_name *name, struct manifest *out,
                                 struct error *err) {
  struct fs *s = impl;
  return journal_read(state_folder(s->state), name, out, err);
}

static enum status fs_batch_names(void *impl, const struct span *ids, size_t count, bool *named,
                                  struct error *err) {
  struct fs *s = impl;
  return journal_names(state_folder(s->state), ids, count, named, err);
}

static enum status fs_batch_settle(void *impl, const struct manifest_name *name,
                                   struct error *err) {
  struct fs *s = impl;
  enum status st = journal_settle(state_folder(s->state), name, err);
  if (st == ST_OK) reserve_keep(state_folder(s->state), s->log);
  return st;
}

static enum status fs_batch_remove(void *impl, const struct manifest_name *name,
                                   struct error *err) {
  struct fs *s = impl;
  return journal_remove(state_folder(s->state), name, err);
}

const struct store_ops store_file_ops = {
    .scheme = "file",
    .open = fs_open,
    .close = fs_close,
    .id = fs_id,
    .lock = fs_lock,
    .holder = fs_holder,
    .check = fs_check,
    .renew_id = fs_renew_id,
    .note_name = state_note_name,
    .note_read = fs_note_read,
    .note_write = fs_note_write,
    .note_remove = fs_note_remove,
    .hinders_one = fs_note_hinders_one,
    .left = fs_left,
    .space = fs_space,
    .writable = fs_writable,
    .names = fs_count_names,
    .audit = fs_audit,
    .draft_begin = fs_draft_begin,
    .draft_add = fs_draft_add,
    .draft_commit = fs_draft_commit,
    .draft_close = fs_draft_close,
    .selections = fs_selections,
    .selection_size = fs_selection_size,
    .selection_read = fs_selection_read,
    .selection_add = fs_selection_add,
    .selection_remove = fs_selection_remove,
    .begin = fs_begin,
    .next = fs_next,
    .follow = fs_follow,
    .wait = fs_wait_op,
    .wake = fs_wake,
    .rescan = fs_rescan,
    .rescan_settled = fs_rescan_settled,
    .scanned = fs_scanned,
    .done = fs_done,
    .done_id = fs_done_id,
    .sync = fs_sync,
    .fail_all = fs_fail_all,
    .linger = fs_linger,
    .release = fs_release,
    .aside = fs_set_aside,
    .aside_sync = fs_aside_sync,
    .aside_tend = fs_aside_tend,
    .asides = fs_asides,
    .counts = fs_counts,
    .list = fs_list,
    .find = fs_find,
    .look = fs_look_op,
    .replay = fs_replay,
    .replay_all = fs_replay_all,
    .purge = fs_purge,
    .bytes = fs_bytes,
    .emit = fs_emit,
    .survey = fs_survey,
    .lies = fs_lies,
    .batch_write = fs_batch_write,
    .batch_list = fs_batch_list,
    .batch_read = fs_batch_read,
    .batch_names = fs_batch_names,
    .batch_settle = fs_batch_settle,
    .batch_remove = fs_batch_remove,
};
