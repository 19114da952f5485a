/* Entries in their dead form go into dlq/, by way of tmp, where each is looked at. A crash leaves
 * one in its place, in tmp under a name that says it goes back, or in dlq/.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"

#include <fcntl.h>
#include <unistd.h>

static enum status is_dead(struct fs_site *s, enum place place, const char *tmp, const char *name,
                           struct error *err) {
  struct fs_loaded d = {0};
  enum fs_read got = fs_load_again(s, &d, place, fs_tmp(s, place), tmp, err);
  enum status st = got == FS_READ     ? fs_loaded_parse(&d, err)
                   : got == FS_FAILED ? err->status
                                      : ST_OK;
  if (got == FS_UNREADABLE) st = error_sys(err, d.sys, "reading %s again", name);
  bool dead = fs_loaded_is_object(&d) && fs_dead_form(&d);
  if (st == ST_OK && !dead)
    st = error_set(err, ST_NOT_FOUND, "%s is gone, another entry lies there", name);
  fs_loaded_release(&d);
  return st;
}

/* What was put there with that stamp cannot have been changed since: even within one tick of the
 * clock its time would be another. */
static bool surely(const struct fs_site *s, const struct fs_letter *l, const struct stamp *now) {
  int64_t age_us = clock_wall_us(s->clock) - l->is.mtime_ns / 1000;
  return l->is.inode && fs_stamp_alike(&l->is, now) && age_us >= YOUNG_US;
}

/* Which syncs the folder that others of the list left: first where they went. */
static enum status put_back(struct fs_site *s, const struct fs_letter *l) {
  enum status st = fs_sync_place(s, place_dead(l->place), NULL);
  (void)st; /* it stays dirty; this one must not stay in tmp */
  return fs_put_back(s, l->place, l->name, l->tmp, NULL);
}

/* By way of tmp, where it is looked at: what a producer put at its name in the meantime is not a
 * dead letter. dlq is the folder that lay there a moment ago. */
static enum status move_letter(struct fs_site *s, struct fs_letter *l, int dlq) {
  const struct leftover left = {.kind = LEFTOVER_BACK, .place = l->place, .name = l->name};
  struct stamp now;
  int tmp;
  enum status st = fs_pull(s, &left, l->tmp, &now, &l->error);
  if (st != ST_OK) return st;
  tmp = fs_tmp(s, l->place);
  if (!surely(s, l, &now)) st = is_dead(s, l->place, l->tmp, l->name, &l->error);
  if (st == ST_OK) st = fs_leave_for_good(s, l->place, &l->error);
  if (st == ST_OK) {
    st = fs_to_free_name(s, tmp, l->tmp, dlq, l->to_name, l->target, &l->error);
    l->there = st == ST_OK;
    if (!l->there) st = fs_carry(s, tmp, l->tmp, place_dead(l->place), l->to_name, &l->error);
  }
  if (st == ST_OK) return ST_OK;
  enum status back = put_back(s, l);
  (void)back; /* else the next holder of the lock does it */
  return st;
}

/* It went along with a folder that was moved away. */
static enum status follow_moved(struct fs_site *s, struct fs_letter *l, int dlq) {
  enum status st = fs_carry(s, dlq, l->target, place_dead(l->place), l->to_name, &l->error);
  if (st == ST_OK) return ST_OK;
  enum status back = durable_move(dlq, l->target, fs_tmp(s, l->place), l->tmp, NULL);
  if (back == ST_OK) back = put_back(s, l);
  (void)back; /* else it lies there, as it would have a moment earlier */
  return st;
}

void fs_move_letters(struct fs_shared *s, struct fs_letter *list, size_t count) {
  struct error err = {0};
  int dlq;
  if (!count) return;
  enum place dead = place_dead(list->place);
  enum status st = fs_hold(s->site, dead, &dlq, &err);
  for (struct fs_letter *l = list; l < list + count; l++) {
    l->error = err;
    l->status = st == ST_OK ? move_letter(s->site, l, dlq) : st;
  }
  bool right = st != ST_OK || fs_in_place(s->site, dead, dlq);
  for (struct fs_letter *l = list; l < list + count; l++) {
    if (!right && l->there) l->status = follow_moved(s->site, l, dlq);
    if (l->status == ST_OK) fs_dead_figure(s, 1);
  }
  if (dlq >= 0) close(dlq);
}

enum status fs_finish_dead(struct fs_shared *s, enum place place, const char *name,
                           const char *to_name, struct error *err) {
  struct fs_letter one = {.place = place, .name = name, .to_name = to_name};
  fs_move_letters(s, &one, 1);
  if (err && one.status != ST_OK) *err = one.error;
  return one.status == ST_OK ? fs_sync_places(s->site, place_dead(place), place, err) : one.status;
}
