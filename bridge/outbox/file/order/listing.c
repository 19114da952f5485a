/* Lists the folders for a scan: the oldest names behind the cursor become the next window, and what
 * inotify told meanwhile is counted once. The reader's thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/order/order.h"
#include "bridge/outbox/file/settling/aside.h"

#include <fcntl.h>
#include <unistd.h>

struct listing {
  struct fs_reader *s;
  enum place place;
  struct error *err;
  enum status st;
  struct fs_figures seen; /* known, unreadable, odd, foreign */
  unsigned since_drain;
};

static void count_and_keep(struct listing *l, const char *name, const struct stat *st, bool held) {
  struct fs_reader *s = l->s;
  struct stamp stamp = fs_stamp_of(st);
  if (!S_ISREG(st->st_mode) || st->st_nlink != 1) {
    l->seen.odd++;
    fs_odd(s, l->place, name, st);
    return;
  }
  if (fs_not_yet(s->site, l->place, &stamp) || fs_foreign_known(s->shared, &stamp)) {
    l->seen.foreign++;
    if (place_side(l->place) == SIDE_TYPED) l->seen.foreign_typed++;
    return;
  }
  if (fs_aside_out(s->shared, l->place, name, &stamp)) return;
  if (s->refused.count && digest_set_has(&s->refused, fs_file_digest(&stamp)))
    l->seen.unreadable++;
  else
    l->seen.known++;
  if (!fs_cursor_before(&s->cursor, stamp.mtime_ns, l->place, name)) return;
  if (!fs_names_add(&s->shared->names, stamp.mtime_ns, l->place, name, held))
    l->st = error_set(l->err, ST_NO_MEMORY, "no memory for the names in the outbox");
}

static bool list_name(void *ctx, const char *name, unsigned char type) {
  struct listing *l = ctx;
  struct stat st;
  (void)type;
  if (!name_is_entry(name)) {
    if (l->place == PLACE_FLAT) fs_remove_litter(l->s->site, PLACE_FLAT, name);
    if (l->place == PLACE_FLAT && name_is_hidden(name)) fs_bring_back(l->s->shared, name);
    return true;
  }
  if (++l->since_drain >= 2048) { /* the kernel's queue is short */
    fs_watch_drain(l->s, true);
    l->since_drain = 0;
  }
  bool in_hand = fs_hand_list(l->s->shared, l->place, name);
  if (fstatat(fs_folder(l->s->site, l->place), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    count_and_keep(l, name, &st, in_hand);
  else if (in_hand)
    fs_hand_unlist(l->s->shared, l->place, name);
  return l->st == ST_OK;
}

static enum status list_place(struct listing *l, enum place place) {
  int fd = fs_folder(l->s->site, place);
  if (!fs_in_place(l->s->site, place, fd))
    return ST_OK; /* what was moved away with its folder is not to be sent */
  l->place = place;
  enum status st = folder_walk(fd, list_name, l, l->err);
  if (st == ST_OK) st = l->st;
  if (st != ST_OK)
    error_prefix(l->err, "%s/%s", state_path(fs_state(l->s->site, place)), place_inside(place));
  return st;
}

static void begin_listing(struct fs_reader *s) {
  fs_front_close(s->shared);
  fs_names_clear(&s->shared->names);
  fs_group_clear(s);
  s->names_next = 0;
  fs_queue_clear(s);
  fs_watch_drain(s, false); /* what was told so far is found by this listing */
  s->overflow = false;
  mutex_lock(&s->shared->lock);
  s->shared->figures.known += s->shared->figures.queued; /* they are listed now */
  s->shared->figures.queued = s->shared->figures.late = 0;
  if (s->cursor.mtime_ns == INT64_MIN) s->shared->figures.given_back = 0;
  s->shared->figures.listing++;
  s->shared->figures.listing_on = true;
  s->shared->figures.gone_during = 0;
  s->shared->figures.parked_ns = INT64_MAX;
  mutex_unlock(&s->shared->lock);
}

/* Names that arrived meanwhile and were listed too: they are looked at when the queue comes to
 * them. */
static size_t mark_twice(struct fs_reader *s) {
  size_t twice = 0;
  for (size_t i = 0; s->told.count && i < s->shared->names.count; i++) {
    struct fs_slot *slot = &s->shared->names.at[i];
    if (!fs_queue_has(s, (enum place)slot->place, fs_slot_name(slot))) continue;
    slot->flags |= FS_TWICE;
    twice++;
  }
  return twice;
}

static uint64_t less(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

static void end_listing(struct fs_reader *s, const struct listing *l, bool whole) {
  struct fs_figures *f = &s->shared->figures;
  size_t twice = whole ? mark_twice(s) : 0;
  mutex_lock(&s->shared->lock);
  f->listing_on = false;
  BUG_ON_RULE(S17, f->gone_during > f->gone);
  if (whole) {
    f->known = less(l->seen.known, f->gone_during + twice);
    f->queued = s->shared->queue.count - s->queue_again;
    f->returning = f->late;
    if (!f->listed) f->first = less(fs_waiting(f) + f->gone + f->vanished, f->returned);
    f->listed = true;
    f->unreadable = l->seen.unreadable;
    f->odd = l->seen.odd;
    f->foreign = l->seen.foreign;
    f->foreign_typed = l->seen.foreign_typed;
    f->head_ns = s->shared->names.count ? s->shared->names.at[0].mtime_ns : INT64_MAX;
    fs_front_open(s->shared, s->cursor.mtime_ns == INT64_MIN);
  }
  mutex_unlock(&s->shared->lock);
}

static void warn_one_group(struct fs_reader *s) {
  if (s->said_one_group) return;
  s->said_one_group = true;
  log_write(
      s->site->log, LOG_WARNING, "outbox", "group_larger_than_window",
      FIELDS(F_INT("window", s->site->c.window)),
      "More files than outbox.window have the same time; they are taken in order of their names");
}

/* The oldest names behind the cursor. When they were not all, arrivals are not queued: later
 * windows find them. */
enum status fs_list_window(struct fs_reader *s, struct error *err) {
  struct listing l = {.s = s, .err = err};
  begin_listing(s);
  enum status st = ST_OK;
  for (unsigned p = 0; p < PLACES && st == ST_OK; p++)
    if (fs_shelf((enum place)p) == SHELF_PENDING) st = list_place(&l, (enum place)p);
  if (st == ST_OK) fs_names_finish(&s->shared->names);
  l.seen.known = less(l.seen.known, s->shared->names.doubles);
  if (st == ST_OK) fs_watch_drain(s, !s->shared->names.cut);
  if (st == ST_OK && s->shared->names.cut) {
    fs_queue_clear(s);
    s->overflow = false;
  }
  end_listing(s, &l, st == ST_OK);
  if (st != ST_OK) {
    fs_names_clear(&s->shared->names);
    return st;
  }
  if (s->shared->names.one_group) warn_one_group(s);
  s->queue_mark = s->shared->queue.count;
  s->queue_taken = 0;
  return ST_OK;
}
