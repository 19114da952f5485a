#include "bridge/outbox/store_file.h"

#include <fcntl.h>
#include <unistd.h>

#define SWEEP_MOST 10000 /* files of sent/ removed in one go */

static enum status bad_name(const struct entry_ref *ref, struct error *err) {
  return error_set(err, ST_INVALID, "\"%.*s\" is no entry's name", SPAN_ARGS(ref->name));
}

static void dead_figure(struct fs *s) {
  pthread_mutex_lock(&s->lock);
  if (s->figures.dead) s->figures.dead--;
  pthread_mutex_unlock(&s->lock);
}

/* Deletes it or keeps it in sent/. The folders are synced by store_sync. */
static enum status take_out(struct fs *s, enum place place, const char *name, enum settled *how, struct error *err) {
  bool keep = s->c.keep_sent;
  enum status st =
      keep ? fs_move_free(s, place, name, PLACE_SENT, name, err) : durable_unlink(fs_folder(s, place), name, err);
  *how = st == ST_OK ? SETTLED_GONE : SETTLED_VANISHED;
  atomic_store(&s->dirty[place], true);
  if (st == ST_NOT_FOUND) return ST_OK;
  if (st != ST_OK) return st;
  if (keep) atomic_store(&s->dirty[PLACE_SENT], true);
  if (place == PLACE_DLQ) dead_figure(s);
  return ST_OK;
}

static enum fs_end end_of(enum settled how) {
  return how == SETTLED_CHANGED ? FS_END_CHANGED : FS_END_GONE;
}

/* It may be gone by a removal of ours, in this run or before a crash, that no sync has made durable yet: one is due,
 * else a power loss may bring it back when nothing remembers it any more. */
static void vanished(struct fs *s, enum place place, enum settled how) {
  if (how == SETTLED_VANISHED && fs_folder(s, place) >= 0) atomic_store(&s->dirty[place], true);
}

enum status fs_done(void *impl, const struct entry_ref *ref, enum settled *how, struct error *err) {
  struct fs *s = impl;
  char name[NAME_SIZE];
  if (!fs_name(ref->name, name)) return bad_name(ref, err);
  enum status st = ST_OK;
  if (fs_unchanged(s, ref->place, name, &ref->stamp, how))
    st = take_out(s, ref->place, name, how, err);
  else
    vanished(s, ref->place, *how);
  /* After the removal, so that the reader cannot find it again; on an error not at all: it is still to be removed. */
  if (st == ST_OK) fs_hand_end(s, ref->place, name, end_of(*how));
  return st;
}

/* ---- recovery ---- */

/* ST_OK with GONE: it had that id, whatever its bytes, and was taken out. */
static enum status take_if(struct fs *s, struct fs_desk *d, enum place place, const char *name, struct span id,
                           enum settled *how, struct error *err) {
  enum fs_read got = fs_desk_read(s, d, place, name, err);
  *how = got == FS_GONE ? SETTLED_VANISHED : SETTLED_CHANGED;
  if (got == FS_FAILED) return err ? err->status : ST_IO;
  if (got != FS_READ) return ST_OK;
  enum status st = fs_desk_parse(d, err);
  if (st != ST_OK || !fs_desk_is_object(d) || !span_eq(d->event.id, id)) return st;
  return fs_unchanged(s, place, name, &d->stamp, how) ? take_out(s, place, name, how, err) : ST_OK;
}

/* Not in its place: a stale worker may have set it aside meanwhile, under its name or one beside it. */
static enum status take_dead(struct fs *s, struct fs_desk *d, const char *name, struct span id, enum settled *how,
                             struct error *err) {
  char twin[NAME_SIZE];
  for (unsigned n = 0; n < NAME_NUMBERED; n++) {
    name_try(name, n, 0, ".json", twin);
    enum status st = take_if(s, d, PLACE_DLQ, twin, id, how, err);
    if (st != ST_OK || *how == SETTLED_GONE) return st;
  }
  *how = SETTLED_VANISHED;
  return ST_OK;
}

enum status fs_done_id(void *impl, const struct entry_ref *ref, struct span id, enum settled *how, struct error *err) {
  struct fs *s = impl;
  struct fs_desk desk = {0};
  struct error local = {0};
  char name[NAME_SIZE];
  if (!err) err = &local;
  if (!fs_name(ref->name, name)) return bad_name(ref, err);
  enum status st = ST_OK;
  if (fs_unchanged(s, ref->place, name, &ref->stamp, how))
    st = take_out(s, ref->place, name, how, err);
  else if (*how == SETTLED_CHANGED)
    st = take_if(s, &desk, ref->place, name, id, how, err);
  vanished(s, ref->place, *how);
  if (st == ST_OK && *how == SETTLED_VANISHED && ref->place != PLACE_DLQ) st = take_dead(s, &desk, name, id, how, err);
  if (st == ST_OK) fs_hand_end(s, ref->place, name, end_of(*how));
  fs_desk_release(&desk);
  return st;
}

enum status fs_sync(void *impl, struct error *err) {
  struct fs *s = impl;
  for (unsigned p = 0; p < PLACES; p++) {
    if (!atomic_exchange(&s->dirty[p], false)) continue;
    enum status st = durable_sync_folder(fs_folder(s, (enum place)p), err);
    if (st == ST_OK) continue;
    atomic_store(&s->dirty[p], true);
    return error_prefix(err, "%s/%s", state_path(s->c.state), place_path((enum place)p));
  }
  return ST_OK;
}

void fs_release(void *impl, const struct entry_ref *ref) {
  char name[NAME_SIZE];
  if (fs_name(ref->name, name)) fs_hand_end(impl, ref->place, name, FS_END_STAYS);
}

/* ---- sent/ ---- */

struct sweep {
  struct fs *s;
  int64_t before_ns;
  unsigned removed;
};

/* By ctime: when it was moved there; its mtime is that of its arrival. */
static bool sweep_name(void *ctx, const char *name, unsigned char type) {
  struct sweep *w = ctx;
  struct stat st;
  int folder = fs_folder(w->s, PLACE_SENT);
  (void)type;
  if (!name_is_entry(name) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) return true;
  struct stamp stamp = fs_stamp_of(&st);
  if (stamp.ctime_ns < w->before_ns && durable_unlink(folder, name, NULL) == ST_OK) w->removed++;
  return w->removed < SWEEP_MOST;
}

void fs_sweep_sent(struct fs *s) {
  if (fs_folder(s, PLACE_SENT) < 0 || s->c.sent_retention_ms <= 0) return;
  int64_t now = clock_wall_us(s->c.clock), every = s->c.sent_retention_ms * 1000 / 100;
  if (every > 3600000000) every = 3600000000;
  if (s->sent_swept_us != TIME_NONE && now >= s->sent_swept_us && now - s->sent_swept_us < every) return;
  struct sweep w = {.s = s, .before_ns = (now - s->c.sent_retention_ms * 1000) * 1000};
  enum status st = folder_walk(fs_folder(s, PLACE_SENT), sweep_name, &w, NULL);
  if (st == ST_OK && w.removed < SWEEP_MOST) s->sent_swept_us = now;
  if (w.removed)
    log_write(s->c.log, LOG_INFO, "outbox", "sent_swept", FIELDS(F_INT("files", w.removed)),
              "Removed what lay in sent/ longer than outbox.sent_retention");
}
