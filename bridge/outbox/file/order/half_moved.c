/* Moves to dlq/ that a crash left half done: entries in their dead form outside of it. What cannot
 * be finished waits in its place, and is tried again by later scans, ever more seldom while the
 * disk refuses all. The reader's thread; a crash leaves what into_dlq.c says. */
#include "bridge/base/backoff.h"
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/order/order.h"
#include "bridge/outbox/file/settling/finish.h"

#include <errno.h>

/* So many that fail in one scan, each for a reason of its own, are enough: each try waits for the
 * disk, and the others' turn is to come. */
#define ALONE_MOST 64

static void figure(struct fs_shared *s, uint64_t unmoved, int sys) {
  mutex_lock(&s->lock);
  s->figures.unmoved = unmoved ? s->figures.unmoved + unmoved : 0;
  if (sys) s->figures.unmoved_sys = sys;
  mutex_unlock(&s->lock);
}

void fs_moves_again(struct fs_reader *s) {
  struct fs_half_moves *half = &s->half;
  if (half->met && half->alone < ALONE_MOST) half->tried = 0; /* all had their turn */
  half->alone = half->met = 0;
  figure(s->shared, 0, 0);
}

/* Each once, though each try changes its ctime. */
static void say_failed(struct fs_reader *s, const struct fs_candidate *c, const struct stamp *stamp,
                       const struct error *err) {
  const struct stamp kept = {.inode = stamp->inode, .ctime_ns = ~stamp->mtime_ns};
  if (!fs_say_once(&s->refused, &kept)) return;
  log_write(s->site->log, LOG_WARNING, "outbox", "move_failed",
            FIELDS(F_TEXT("place", place_path(c->place)), F_TEXT("file", c->name),
                   F_TEXT("error", err->text)),
            "A half-done move to %s cannot be finished now; it is tried again",
            place_path(place_dead(c->place)));
}

static void put_off(struct fs_reader *s, const struct error *err) {
  static const struct backoff pauses = {.base_ms = 1000, .max_ms = 60000};
  struct fs_half_moves *half = &s->half;
  bool all = fs_concerns_all(err) || ++half->alone >= ALONE_MOST;
  if (!all) return;
  if (half->alone >= ALONE_MOST) half->tried = half->met;
  half->failed++;
  half->due_ns = clock_mono_ns(s->site->clock) +
                 backoff_delay_ms(&pauses, half->failed, s->site->clock) * 1000000;
}

/* It is put back where it was when that fails, which inotify tells: not an arrival. */
static enum status try_move(struct fs_reader *s, const struct fs_candidate *c, const char *to_name,
                            const struct stamp *was, struct error *err) {
  struct stamp now;
  fs_own_begin(s->shared, c->place, c->name, was->inode);
  enum status st = fs_finish_dead(s->shared, c->place, c->name, to_name, err);
  bool there = st != ST_OK && fs_stamp_at(fs_folder(s->site, c->place), c->name, &now) &&
               now.inode == was->inode;
  fs_own_end(s->shared, c->place, c->name, there ? &now : NULL);
  return st;
}

bool fs_finish_move(struct fs_reader *s, const struct fs_candidate *c, const char *to_name) {
  struct error err = {0};
  const struct stamp was = s->loaded.stamp;
  if (s->half.due_ns && clock_mono_ns(s->site->clock) < s->half.due_ns) {
    figure(s->shared, 1, 0);
    return false;
  }
  if (s->half.met++ < s->half.tried) {
    figure(s->shared, 1, 0);
    return false;
  }
  enum status st = try_move(s, c, to_name, &was, &err);
  if (st == ST_OK || st == ST_NOT_FOUND) {
    s->half.failed = 0;
    s->half.due_ns = 0;
  }
  if (st == ST_OK)
    log_write(s->site->log, LOG_INFO, "outbox", "move_finished",
              FIELDS(F_TEXT("place", place_path(c->place)), F_TEXT("file", c->name)),
              "A move to %s that was left half done is finished", place_path(place_dead(c->place)));
  if (st == ST_OK || st == ST_NOT_FOUND) return true;
  say_failed(s, c, &was, &err);
  put_off(s, &err);
  figure(s->shared, 1, err.sys ? err.sys : EIO);
  return false;
}
