/* How many entries wait, and how many are dead. dlq/ is counted by its names: by the reader, anew
 * when somebody else changed it; where nobody reads, with the others.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"
#include "bridge/outbox/file/settling/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

/* By its name and the type that the folder tells. The file is not looked at where that tells
 * enough: there may be many. */
static bool is_letter(struct fs_site *s, enum place place, const char *name, unsigned char type) {
  struct stat st;
  if (!name_is_entry(name)) return false;
  if (type != DT_UNKNOWN) return type == DT_REG;
  return fstatat(fs_folder(s, place), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* ---- dlq/, by the reader ---- */

struct count {
  struct fs_site *s;
  enum place place;
  uint64_t dead;
};

static bool count_name(void *ctx, const char *name, unsigned char type) {
  struct count *count = ctx;
  if (is_letter(count->s, count->place, name, type)) count->dead++;
  if (*name == '.') fs_remove_litter(count->s, count->place, name);
  return true;
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Both sides again where one changed: the figure is of all. */
enum status fs_count_dead(struct fs_reader *s, struct error *err) {
  static const enum place places[SIDES] = {PLACE_DLQ, PLACE_TYPED_ERRORED};
  struct count count = {.s = s->site};
  struct stat st[SIDES] = {0};
  bool same = true;
  for (unsigned side = 0; side < SIDES; side++) {
    int folder = fs_folder(s->site, places[side]);
    if (side == SIDE_TYPED && folder < 0) continue;
    if (fstat(folder, &st[side]) < 0)
      return error_sys(err, errno, "looking at %s", place_path(places[side]));
    same = same && same_time(&st[side].st_mtim, &s->dead_seen[side]);
  }
  for (unsigned side = 0; !same && side < SIDES; side++) {
    count.place = places[side];
    if (fs_folder(s->site, count.place) < 0) continue;
    enum status walked = folder_walk(fs_folder(s->site, count.place), count_name, &count, err);
    if (walked != ST_OK) {
      error_prefix(err, "%s/%s", state_path(fs_state(s->site, count.place)),
                   place_inside(count.place));
      return walked;
    }
  }
  if (same) return ST_OK;
  for (unsigned side = 0; side < SIDES; side++) s->dead_seen[side] = st[side].st_mtim;
  mutex_lock(&s->shared->lock);
  s->shared->figures.dead = count.dead;
  mutex_unlock(&s->shared->lock);
  return ST_OK;
}

/* ---- all ---- */

struct tally {
  struct fs_shared *s;
  enum place place;
  struct store_counts *out;
  int64_t oldest_ns;
};

static bool tally_name(void *ctx, const char *name, unsigned char type) {
  struct tally *t = ctx;
  struct stat st;
  if (!name_is_entry(name)) return true;
  if (fs_shelf(t->place) == SHELF_DEAD) {
    is_letter(t->s->site, t->place, name, type) ? t->out->dead++ : t->out->odd++;
    return true;
  }
  if (fstatat(fs_folder(t->s->site, t->place), name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  struct stamp stamp = fs_stamp_of(&st);
  if (!S_ISREG(st.st_mode) || st.st_nlink != 1) {
    t->out->odd++;
  } else if (fs_not_yet(t->s->site, t->place, &stamp) || fs_foreign_known(t->s, &stamp)) {
    t->out->foreign++;
    if (place_side(t->place) == SIDE_TYPED) t->out->foreign_typed++;
  } else if (!fs_aside_out(t->s, t->place, name, &stamp)) {
    t->out->pending++;
    if (stamp.mtime_ns < t->oldest_ns) t->oldest_ns = stamp.mtime_ns;
  }
  return true;
}

static enum status tally_folders(struct fs_shared *s, struct store_counts *out, struct error *err) {
  struct tally t = {.s = s, .out = out, .oldest_ns = INT64_MAX};
  enum status st = ST_OK;
  for (unsigned p = PLACE_FLAT; p < PLACES && st == ST_OK; p++) {
    t.place = (enum place)p;
    if (fs_shelf(t.place) != SHELF_SENT && fs_folder(s->site, t.place) >= 0)
      st = folder_walk(fs_folder(s->site, t.place), tally_name, &t, err);
    if (st != ST_OK)
      error_prefix(err, "%s/%s", state_path(fs_state(s->site, t.place)), place_inside(t.place));
  }
  if (t.oldest_ns != INT64_MAX) out->oldest_us = t.oldest_ns / 1000;
  out->exact = true;
  return st;
}

/* Lock held. */
static int64_t oldest_known(struct fs_shared *s) {
  int64_t oldest = fs_hand_oldest(s);
  if (s->figures.head_ns < oldest) oldest = s->figures.head_ns;
  return s->figures.parked_ns < oldest ? s->figures.parked_ns : oldest;
}

enum status fs_counts(struct fs_shared *s, bool oldest, struct store_counts *out,
                      struct error *err) {
  *out = (struct store_counts){.oldest_us = TIME_NONE};
  mutex_lock(&s->lock);
  out->aside = s->asides.count;
  mutex_unlock(&s->lock);
  if (s->site->inspect) return tally_folders(s, out, err);
  mutex_lock(&s->lock);
  const struct fs_figures *f = &s->figures;
  out->pending = fs_waiting(f);
  out->listed = f->listed;
  out->arrived =
      (int64_t)(out->pending + f->gone + f->vanished) - (int64_t)(f->returned + f->first);
  out->gone = f->gone;
  out->vanished = f->vanished;
  out->returned = f->returned;
  out->first = f->first;
  out->given_back = f->given_back;
  out->in_hand = s->in_hand.count;
  out->dead = f->dead;
  out->growing = f->growing;
  out->unreadable = f->unreadable;
  out->odd = f->odd;
  out->unmoved = f->unmoved;
  out->unmoved_sys = f->unmoved_sys;
  out->foreign = f->foreign;
  out->foreign_typed = f->foreign_typed;
  out->exact = s->scanned > 0;
  int64_t oldest_ns = oldest ? oldest_known(s) : INT64_MAX;
  if (oldest_ns != INT64_MAX) out->oldest_us = oldest_ns / 1000;
  mutex_unlock(&s->lock);
  return ST_OK;
}
