/* What is set aside is tried again each flush.interval. The settling thread; a crash leaves what is
 * set aside as it was. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/settling/finish.h"

/* The typed bus may take it up or give it back at any moment: gone is what lies in neither. */
static enum fs_read read_again(struct fs_shared *s, struct fs_loaded *d, const struct fs_ref *ref) {
  const enum place ways[] = {ref->place, PLACE_TYPED_PROCESSING, PLACE_TYPED_PENDING,
                             PLACE_TYPED_PROCESSING};
  bool typed = place_side(ref->place) == SIDE_TYPED && fs_shelf(ref->place) == SHELF_PENDING;
  enum fs_read got = FS_GONE;
  for (unsigned i = 0; got == FS_GONE && i < (typed ? 4 : 1); i++)
    got = fs_load(s->site, d, ways[i], ref->name.ptr, NULL);
  return got;
}

/* Its attempts were written after all, or it is another event, or gone. */
static void look_again(struct fs_shared *s, struct fs_loaded *d, const struct fs_aside *row) {
  enum fs_read got = read_again(s, d, &row->ref);
  bool read = got == FS_READ && fs_loaded_parse(d, NULL) == ST_OK && fs_loaded_is_object(d);
  bool other = read && (!event_goes_by(&d->event, row->ref.id) ||
                        d->event.attempts >= row->failure.attempts);
  if (got == FS_GONE || other) fs_aside_carried(s, row);
}

static void die(struct fs_finisher *s, struct fs_failed *dead) {
  struct error err = {0};
  enum status st = fs_fail(s, dead, 1, &err);
  if (st != ST_OK) dead->status = st;
}

static bool is_elsewhere(struct fs_shared *s, const struct fs_ref *ref) {
  struct fs_loaded d = {0};
  bool there = read_again(s, &d, ref) != FS_GONE;
  fs_loaded_release(&d);
  return there;
}

static void carry_out(struct fs_finisher *s, const struct fs_aside *row) {
  static const char *const words[] = {[SETTLED_GONE] = "What had become of it is carried out",
                                      [SETTLED_VANISHED] = "Somebody else took it away",
                                      [SETTLED_CHANGED] = "Another event lies in its place",
                                      [SETTLED_REUSED] =
                                          "Another event with its id lay there, and is taken out"};
  _Static_assert(sizeof words / sizeof *words == SETTLED_REUSED + 1, "words for each");
  struct fs_failed dead = {.ref = row->ref, .why = row->failure, .dead = true};
  enum settled how = SETTLED_GONE;
  const char *name = row->ref.name.ptr;
  if (!fs_hand_reserve(s->shared, row->ref.place, name))
    return; /* something of that name is on its way */
  if (row->what == ASIDE_DONE)
    dead.status = fs_take_late(s, &row->ref, &how, NULL);
  else
    die(s, &dead);
  if (row->what != ASIDE_DONE) how = dead.how;
  if (row->what != ASIDE_DONE && how == SETTLED_VANISHED && is_elsewhere(s->shared, &row->ref))
    dead.status = ST_BUSY; /* until that bus gives it back */
  if (dead.status != ST_OK) {
    fs_hand_end(s->shared, row->ref.place, name, FS_END_NOTHING);
    return;
  }
  fs_aside_carried(s->shared, row);
  log_write(s->site->log, LOG_INFO, "outbox", "aside_settled",
            FIELDS(F_SPAN("id", row->ref.id), F_TEXT("place", place_path(row->ref.place)),
                   F_TEXT("file", name)),
            "No longer set aside. %s", words[how]);
}

void fs_aside_tend(struct fs_finisher *s) {
  struct fs_loaded loaded = {0};
  size_t count;
  struct fs_aside **list = fs_aside_copy(s->shared, &count);
  for (size_t i = 0; i < count; i++) {
    if (!fs_state(s->site, list[i]->ref.place)) continue; /* until outbox.typed is set again */
    if (list[i]->what == ASIDE_RETRY)
      look_again(s->shared, &loaded, list[i]);
    else
      carry_out(s, list[i]);
  }
  fs_aside_free(list, count);
  fs_loaded_release(&loaded);
}
