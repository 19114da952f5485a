/* The table of operations of an outbox of files: each is given the part of it that it works on.
 * store.h says which thread calls what.
 * A crash leaves nothing of this kind's own. */
#include "bridge/outbox/file/file.h"
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"
#include "bridge/outbox/file/operators/describe.h"
#include "bridge/outbox/file/records/journal.h"
#include "bridge/outbox/file/records/selections.h"
#include "bridge/outbox/store_ops.h"

#define DUE(impl) (((struct fs *)(impl))->due)
#define SITE(impl) (&((struct fs *)(impl))->site)
#define SHARED(impl) (&((struct fs *)(impl))->shared)
#define READER(impl) (&((struct fs *)(impl))->reader)
#define FINISHER(impl) (&((struct fs *)(impl))->finisher)

/* ---- who it is, and whose: state.c ---- */

static const char *op_id(const void *impl) {
  return state_id(((const struct fs *)impl)->site.state);
}

static enum status op_lock(void *impl, int64_t wait_ms, struct error *err) {
  struct fs_site *s = SITE(impl);
  enum status st = state_lock(s->state, wait_ms, err);
  if (st == ST_OK && s->typed) {
    st = state_lock(s->typed, wait_ms, err);
    if (st != ST_OK) error_prefix(err, "outbox.typed %s", state_path(s->typed));
  }
  if (st == ST_OK) st = fs_keep_typed(s, err);
  if (st != ST_OK) { /* whoever waits for one side keeps nobody from the other */
    if (s->typed) state_unlock(s->typed);
    state_unlock(s->state);
  }
  for (unsigned side = 0; st == ST_OK && !s->inspect && side < SIDES; side++)
    if (fs_side(s, (enum side)side))
      leftover_clear_all(fs_side(s, (enum side)side), (enum side)side);
  return st;
}

static int64_t op_holder(const void *impl) {
  return state_lock_holder(((const struct fs *)impl)->site.state);
}

static bool op_owner(const void *impl, struct store_owner *out) {
  return state_lock_owner(((const struct fs *)impl)->site.state, out);
}

static enum status op_check(void *impl, struct error *err) {
  return fs_check(SITE(impl), err);
}

static enum status op_renew_id(void *impl, struct error *err) {
  return state_renew_id(SITE(impl)->state, err);
}

static enum status op_note_read(const void *impl, enum note note, struct buffer *out,
                                struct error *err) {
  return state_note_read(((const struct fs *)impl)->site.state, note, out, err);
}

static enum status op_note_write(void *impl, enum note note, struct span text, struct error *err) {
  return state_note_write(SITE(impl)->state, note, text, err);
}

static enum status op_note_remove(void *impl, enum note note, struct error *err) {
  return state_note_remove(SITE(impl)->state, note, err);
}

static bool op_note_hinders_one(const void *impl, const struct error *why) {
  return state_hinders_one(((const struct fs *)impl)->site.state, why);
}

static uint64_t op_left(const void *impl, int64_t now_us) {
  const struct fs_site *s = &((const struct fs *)impl)->site;
  return leftover_count(s->state, now_us) + (s->typed ? leftover_count(s->typed, now_us) : 0);
}

/* ---- the journal: files of .busbridge; a full disk does not keep a batch from being written while
 * there is a reserve
 * ---- */

static enum status op_batch_write(void *impl, struct manifest *m, const char *nonce,
                                  struct error *err) {
  struct fs_site *s = SITE(impl);
  int folder = state_folder(s->state), tmp = state_tmp(s->state);
  enum status st = journal_write(folder, tmp, m, nonce, err);
  if (st == ST_NO_SPACE && reserve_give_up(folder, s->log)) /* publishing is what frees space */
    st = journal_write(folder, tmp, m, nonce, err);
  return st;
}

static enum status op_batch_list(void *impl, struct manifest_name **list, size_t *count,
                                 struct error *err) {
  struct fs_site *s = SITE(impl);
  enum status st = journal_list(state_folder(s->state), list, count, err);
  if (st != ST_INVALID) return st;
  struct error why = err ? *err : (struct error){0};
  return error_set(err, st,
                   "%s. Nothing was changed. It is not of busbridge: move it out of %s/.busbridge",
                   why.text, state_path(s->state));
}

static enum status op_batch_read(void *impl, const struct manifest_name *name, struct manifest *out,
                                 struct error *err) {
  struct fs_site *s = SITE(impl);
  return journal_read(state_folder(s->state), name, out, err);
}

static enum status op_batch_names(void *impl, const struct span *ids, size_t count, bool *named,
                                  struct error *err) {
  struct fs_site *s = SITE(impl);
  return journal_names(state_folder(s->state), ids, count, named, err);
}

static enum status op_batch_settle(void *impl, const struct manifest_name *name,
                                   struct error *err) {
  return fs_batch_settle(SITE(impl), name, err);
}

static enum status op_batch_remove(void *impl, const struct manifest_name *name,
                                   struct error *err) {
  struct fs_site *s = SITE(impl);
  return journal_remove(state_folder(s->state), name, err);
}

/* ---- the outbox as a whole ---- */

static void op_space(const void *impl, struct store_space *out) {
  fs_space(&((const struct fs *)impl)->site, out);
}

static enum status op_writable(const void *impl, struct error *err) {
  return fs_writable(&((const struct fs *)impl)->site, err);
}

static void op_examine(void *impl, enum examination which, struct examined *out) {
  fs_examine(SITE(impl), which, out);
}

static uint64_t op_estimate(const void *impl, unsigned which) {
  return fs_count_names(&((const struct fs *)impl)->site, which);
}

static enum status op_audit(void *impl, struct span line, struct error *err) {
  return fs_audit(SITE(impl), line, err);
}

static enum status op_emit(void *impl, struct span key, struct span text, struct buffer *label,
                           struct error *err) {
  return fs_emit(SITE(impl), key, text, label, err);
}

/* ---- selections ---- */

static enum status op_draft_begin(void *impl, void **out, struct error *err) {
  return fs_draft_begin(SITE(impl), out, err);
}

static enum status op_draft_add(void *impl, void *draft, struct span text, struct error *err) {
  return fs_draft_add(SITE(impl), draft, text, err);
}

static enum status op_draft_commit(void *impl, void *draft, uint64_t *number, struct error *err) {
  return fs_draft_commit(SITE(impl), draft, number, err);
}

static void op_draft_close(void *impl, void *draft) {
  fs_draft_close(SITE(impl), draft);
}

static enum status op_selections(void *impl, uint64_t numbers[SELECTIONS_MOST], size_t *count,
                                 struct error *err) {
  return fs_selections(SITE(impl), numbers, count, err);
}

static enum status op_selection_size(void *impl, uint64_t number, uint64_t *size,
                                     struct error *err) {
  return fs_selection_size(SITE(impl), number, size, err);
}

static enum status op_selection_read(void *impl, uint64_t number, uint64_t at, size_t most,
                                     struct buffer *out, struct error *err) {
  return fs_selection_read(SITE(impl), number, at, most, out, err);
}

static enum status op_selection_add(void *impl, uint64_t number, struct span text,
                                    struct error *err) {
  return fs_selection_add(SITE(impl), number, text, err);
}

static enum status op_selection_remove(void *impl, uint64_t number, struct error *err) {
  return fs_selection_remove(SITE(impl), number, err);
}

/* ---- what Redis has yet to be told ---- */

static enum status op_keys_due_open(void *impl, size_t most, struct error *err) {
  struct fs *s = impl;
  int folder = state_folder(s->site.state);
  fs_keys_due_close(s->due);
  s->due = NULL;
  if (folder < 0) return ST_OK; /* it was never opened to be changed */
  enum status st = fs_keys_due_open(folder, most, s->site.inspect, s->site.log, &s->due, err);
  if (st != ST_OK) error_prefix(err, "%s/.busbridge", state_path(s->site.state));
  return st;
}

static enum status op_keys_due_add(void *impl, const struct key *list, const bool *done,
                                   size_t count, uint64_t *given_up, struct error *err) {
  return fs_keys_due_add(DUE(impl), list, done, count, given_up, err);
}

static bool op_keys_due_has(void *impl, struct span id) {
  return DUE(impl) && fs_keys_due_has(DUE(impl), id);
}

static uint64_t op_keys_due_count(void *impl) {
  return DUE(impl) ? fs_keys_due_count(DUE(impl)) : 0;
}

static enum status op_keys_due_read(void *impl, struct key *out, size_t max, size_t *count,
                                    struct error *err) {
  return fs_keys_due_read(DUE(impl), out, max, count, err);
}

static enum status op_keys_due_drop(void *impl, struct error *err) {
  return fs_keys_due_drop(DUE(impl), err);
}

/* ---- the reader ---- */

static enum status op_next(void *impl, struct arena *keep, struct arena *scratch, struct entry *out,
                           struct error *err) {
  return fs_next(READER(impl), keep, scratch, out, err);
}

static enum status op_follow(void *impl, struct error *err) {
  return fs_follow(READER(impl), err);
}

static void op_wait(void *impl, int64_t timeout_ms) {
  fs_wait_op(READER(impl), timeout_ms);
}

/* ---- what is shared ---- */

static void op_wake(void *impl) {
  fs_wake(SHARED(impl));
}

static uint64_t op_rescan(void *impl) {
  return fs_rescan(SHARED(impl));
}

static uint64_t op_rescan_settled(void *impl) {
  return fs_rescan_settled(SHARED(impl));
}

static bool op_scanned(void *impl, uint64_t generation) {
  return fs_scanned(SHARED(impl), generation);
}

/* ---- the finisher ---- */

static enum status op_settle(void *impl, struct settling *rows, size_t count,
                             const struct manifest_name *closes, enum closing *closing,
                             struct error *err) {
  return fs_settle(FINISHER(impl), rows, count, closes, closing, err);
}

static enum status op_sync(void *impl, struct error *err) {
  return fs_sync(FINISHER(impl), err);
}

static void op_linger(void *impl, const struct entry_ref *ref, bool on) {
  fs_linger(SHARED(impl), ref, on);
}

static void op_release(void *impl, const struct entry_ref *ref) {
  fs_release(SHARED(impl), ref);
}

static enum status op_aside(void *impl, const struct entry_ref *ref, struct span id,
                            enum aside what, const struct failure *why,
                            const struct error *hindrance, struct error *err) {
  return fs_set_aside(FINISHER(impl), ref, id, what, why, hindrance, err);
}

static enum status op_aside_sync(void *impl, struct error *err) {
  return fs_aside_sync(FINISHER(impl), err);
}

static void op_aside_tend(void *impl) {
  fs_aside_tend(FINISHER(impl));
}

static enum status op_asides(void *impl, size_t limit, store_aside_fn visit, void *ctx,
                             struct error *err) {
  return fs_asides(SHARED(impl), limit, visit, ctx, err);
}

/* ---- what lies there ---- */

static enum status op_counts(void *impl, bool oldest, struct store_counts *out, struct error *err) {
  return fs_counts(SHARED(impl), oldest, out, err);
}

static enum status op_list(void *impl, unsigned which, const struct store_range *range,
                           size_t limit, store_visit_fn visit, void *ctx, uint64_t *total,
                           struct error *err) {
  return fs_list(SHARED(impl), which, range, limit, visit, ctx, total, err);
}

static enum status op_find(void *impl, unsigned which, struct span key, store_visit_fn visit,
                           void *ctx, uint64_t *total, struct error *err) {
  return fs_find(SHARED(impl), which, key, visit, ctx, total, err);
}

static const char *op_dead_words(const struct entry_ref *ref) {
  return place_path(place_dead(fs_ref_of(ref).place));
}

static enum status op_look(void *impl, enum shelf shelf, const char *token, store_visit_fn visit,
                           void *ctx, struct error *err) {
  return fs_look_op(SHARED(impl), shelf, token, visit, ctx, err);
}

static void op_whereabouts(const void *impl, enum shelf shelf, const char *token, bool raw,
                           struct buffer *out) {
  fs_whereabouts(&((const struct fs *)impl)->site, shelf, token, raw, out);
}

static enum status op_replay(void *impl, enum shelf shelf, const char *token, struct error *err) {
  return fs_replay(SHARED(impl), shelf, token, err);
}

static void op_replay_all(void *impl, struct letter *list, size_t count, store_judge_fn judge,
                          void *ctx) {
  fs_replay_all(SHARED(impl), list, count, judge, ctx);
}

static void op_purge(void *impl, struct letter *list, size_t count) {
  fs_purge(SHARED(impl), list, count);
}

static enum status op_amend(void *impl, const char *token, int64_t when_us, struct span payload,
                            struct error *err) {
  return fs_amend(SHARED(impl), token, when_us, payload, err);
}

static enum status op_bury(void *impl, const struct burial *letter, struct buffer *label,
                           struct error *err) {
  return fs_bury(SHARED(impl), letter, label, err);
}

static enum status op_bytes(void *impl, const char *token, bool raw, uint64_t from, size_t most,
                            struct buffer *out, uint64_t *size, struct error *err) {
  return fs_bytes(SITE(impl), token, raw, from, most, out, size, err);
}

static enum status op_survey(void *impl, size_t limit, store_survey_fn visit, void *ctx,
                             uint64_t *left_out, struct error *err) {
  return fs_survey(SHARED(impl), limit, visit, ctx, left_out, err);
}

static bool op_lies(void *impl, const struct entry_ref *ref, struct span id) {
  return fs_lies(SHARED(impl), ref, id);
}

const struct store_ops store_file_ops = {
    .scheme = "file",
    .traits = {.label = "file",
               .rows = 200, /* each is held open */
               .watches = true,
               .order = ORDER_OF_NAMES,
               .keeps_sent = true,
               .at_path = true,
               .lasts = true},
    .prepare = fs_prepare,
    .open = fs_open,
    .close = fs_close,
    .id = op_id,
    .lock = op_lock,
    .owner = op_owner,
    .holder = op_holder,
    .check = op_check,
    .renew_id = op_renew_id,
    .note_name = state_note_name,
    .note_read = op_note_read,
    .note_write = op_note_write,
    .note_remove = op_note_remove,
    .shelf_words = fs_shelf_words,
    .whereabouts = op_whereabouts,
    .hinders_one = op_note_hinders_one,
    .remedy = fs_remedy,
    .left = op_left,
    .space = op_space,
    .writable = op_writable,
    .examine = op_examine,
    .estimate = op_estimate,
    .audit = op_audit,
    .draft_begin = op_draft_begin,
    .draft_add = op_draft_add,
    .draft_commit = op_draft_commit,
    .draft_close = op_draft_close,
    .selections = op_selections,
    .selection_size = op_selection_size,
    .selection_read = op_selection_read,
    .selection_add = op_selection_add,
    .selection_remove = op_selection_remove,
    .keys_due_open = op_keys_due_open,
    .keys_due_add = op_keys_due_add,
    .keys_due_has = op_keys_due_has,
    .keys_due_count = op_keys_due_count,
    .keys_due_read = op_keys_due_read,
    .keys_due_drop = op_keys_due_drop,
    .begin = fs_begin,
    .next = op_next,
    .follow = op_follow,
    .wait = op_wait,
    .wake = op_wake,
    .rescan = op_rescan,
    .rescan_settled = op_rescan_settled,
    .scanned = op_scanned,
    .settle = op_settle,
    .sync = op_sync,
    .linger = op_linger,
    .release = op_release,
    .aside = op_aside,
    .aside_sync = op_aside_sync,
    .aside_tend = op_aside_tend,
    .asides = op_asides,
    .counts = op_counts,
    .list = op_list,
    .find = op_find,
    .dead_words = op_dead_words,
    .look = op_look,
    .replay = op_replay,
    .replay_all = op_replay_all,
    .purge = op_purge,
    .bytes = op_bytes,
    .amend = op_amend,
    .bury = op_bury,
    .emit = op_emit,
    .survey = op_survey,
    .lies = op_lies,
    .batch_write = op_batch_write,
    .batch_list = op_batch_list,
    .batch_read = op_batch_read,
    .batch_names = op_batch_names,
    .batch_settle = op_batch_settle,
    .batch_remove = op_batch_remove,
};
