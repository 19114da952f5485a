/* Takes settled entries out, for good or into sent/: the finisher's thread. A crash leaves an entry
 * in its place, to be settled again, or in tmp, named for what it is to be. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"
#include "bridge/outbox/file/settling/finish.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Where a file went first: were the folder it left the first, a power loss in between could leave
 * it nowhere. */
static enum status sync_dirty(struct fs_site *s, struct error *err) {
  enum status st = ST_OK;
  for (unsigned p = PLACES; st == ST_OK && p-- > 0;)
    if (atomic_exchange(&s->dirty[p], false)) st = fs_sync_place(s, (enum place)p, err);
  return st;
}

enum status fs_sync(struct fs_finisher *s, struct error *err) {
  struct error meanwhile = {0};
  enum status st = fs_unsynced(s->site, err);
  if (st != ST_OK) return st;
  st = sync_dirty(s->site, err);
  enum status told = fs_unsynced(s->site, &meanwhile); /* on another thread; or this one's own */
  if (st != ST_OK || told == ST_OK) return st;
  if (err) *err = meanwhile;
  return told;
}

enum status fs_sync_first(struct fs_finisher *s, struct error *err) {
  return sync_dirty(s->site, err);
}

static enum status bad_name(const struct fs_ref *ref, struct error *err) {
  return error_set(err, ST_INVALID, "\"%.*s\" is not an entry's name", SPAN_ARGS(ref->name));
}

static enum status look_at(struct fs_site *s, const struct fs_ref *ref, const char *name,
                           struct stamp *now, enum settled *how, struct error *err) {
  struct stat st;
  int folder = fs_folder(s, ref->place);
  *how = SETTLED_VANISHED;
  if (!fs_state(s, ref->place)) return fs_no_side(err);
  if (folder < 0) return ST_OK;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    return errno == ENOENT ? ST_OK
                           : error_sys(err, errno, "looking at %s%s", place_path(ref->place), name);
  *now = fs_stamp_of(&st);
  *how = S_ISREG(st.st_mode) ? SETTLED_GONE : SETTLED_CHANGED;
  return ST_OK;
}

/* Which syncs the folder that others left before it. */
static enum status put_back(struct fs_finisher *s, enum place place, const char *name,
                            const char *tmp, struct error *err) {
  struct error unsynced = {0};
  enum status st = fs_sync_first(s, &unsynced);
  (void)st; /* it is owed; this one must not stay in tmp */
  return fs_put_back(s->site, place, name, tmp, err);
}

/* Out of tmp, for good. When that fails it goes back, so that the next try finds it in its place.
 */
static enum status drop_taken(struct fs_finisher *s, const struct fs_ref *ref,
                              enum leftover_kind kind, const char *name, const char *tmp,
                              struct error *err) {
  int from = fs_tmp(s->site, ref->place);
  BUG_ON_RULE(S3, kind != LEFTOVER_SENT &&
                      kind != LEFTOVER_GONE); /* what is to come back is not taken out */
  enum status st = kind == LEFTOVER_SENT
                       ? fs_carry(s->site, from, tmp, place_sent(ref->place), name, err)
                       : durable_unlink(from, tmp, err);
  if (st == ST_OK && kind == LEFTOVER_SENT)
    atomic_store(&s->site->dirty[place_sent(ref->place)], true);
  if (st == ST_OK || st == ST_NOT_FOUND) return ST_OK; /* gone: a successor cleared tmp */
  enum status back = put_back(s, ref->place, name, tmp, NULL);
  (void)back; /* else the next holder of the lock does it */
  return st;
}

/* sure: seen with the ref's own stamp, which other bytes cannot have. */
static enum status pull_out(struct fs_finisher *s, struct fs_loaded *d, const struct fs_ref *ref,
                            const char *name, bool sure, enum settled *how, struct error *err) {
  struct leftover left = {.kind = s->site->c.keep_sent ? LEFTOVER_SENT : LEFTOVER_GONE,
                          .content = leftover_id(ref->id),
                          .old = ref->stamp,
                          .place = ref->place,
                          .name = name};
  char tmp[NAME_SIZE];
  struct stamp now;
  enum status st = fs_pull(s->site, &left, tmp, &now, err);
  atomic_store(&s->site->dirty[ref->place], true);
  if (st == ST_NOT_FOUND) *how = SETTLED_VANISHED;
  if (st != ST_OK) return st == ST_NOT_FOUND ? ST_OK : st;
  *how = SETTLED_GONE;
  if (!sure || !fs_stamp_alike(&now, &ref->stamp))
    st = fs_same(s->site, d, fs_tmp(s->site, ref->place), ".busbridge/tmp/", tmp, ref, how, err);
  if (st == ST_OK && (*how == SETTLED_GONE || *how == SETTLED_REUSED))
    return drop_taken(s, ref, left.kind, name, tmp, err);
  if (st == ST_OK && *how == SETTLED_VANISHED) return ST_OK;
  enum status back = put_back(s, ref->place, name, tmp, err);
  return st != ST_OK ? st : back == ST_NOT_FOUND ? ST_OK : back;
}

/* A published one that a stale worker moved to a dlq/ on another file system. */
static enum status out_of_there(struct fs_finisher *s, struct fs_loaded *d,
                                const struct fs_ref *ref, const char *name, enum settled *how,
                                struct error *err) {
  enum status st = s->site->c.keep_sent
                       ? fs_move_free(s->site, ref->place, name, place_sent(ref->place), name, err)
                       : fs_remove_same(s->site, ref->place, name, &d->stamp, err);
  atomic_store(&s->site->dirty[ref->place], true);
  if (s->site->c.keep_sent) atomic_store(&s->site->dirty[place_sent(ref->place)], true);
  if (st == ST_NOT_FOUND) *how = SETTLED_VANISHED;
  return st == ST_NOT_FOUND ? ST_OK : st;
}

/* Deletes it or keeps it in sent/. The folders are synced by store_sync. */
static enum status take_out(struct fs_finisher *s, struct fs_loaded *d, const struct fs_ref *ref,
                            const char *name, bool late, enum settled *how, struct error *err) {
  struct stamp now;
  enum status st = look_at(s->site, ref, name, &now, how, err);
  if (st != ST_OK || *how != SETTLED_GONE) return st;
  bool sure = fs_stamp_same(&now, &ref->stamp) && (!ref->id.len || (!ref->young && !late));
  if (!sure)
    st = fs_same(s->site, d, fs_folder(s->site, ref->place), place_path(ref->place), name, ref, how,
                 err);
  if (st == ST_OK && (*how == SETTLED_GONE || *how == SETTLED_REUSED)) {
    enum settled seen = *how;
    st = !sure && fs_elsewhere(s->site, ref->place) ? out_of_there(s, d, ref, name, how, err)
                                                    : pull_out(s, d, ref, name, sure, how, err);
    if (seen == SETTLED_REUSED && *how == SETTLED_GONE) *how = SETTLED_REUSED;
  }
  BUG_ON_RULE(S4, st == ST_OK && *how == SETTLED_REUSED && !ref->id.len);
  bool gone = st == ST_OK && (*how == SETTLED_GONE || *how == SETTLED_REUSED);
  if (gone && fs_shelf(ref->place) == SHELF_DEAD) fs_dead_figure(s->shared, -1);
  return st;
}

static enum fs_end end_of(enum settled how) {
  return how == SETTLED_CHANGED ? FS_END_CHANGED : FS_END_GONE;
}

/* It may be gone by a removal of ours, in this run or before a crash, that no sync has made durable
 * yet: one is due, else a power loss may bring it back when nothing remembers it any more. */
static void vanished(struct fs_finisher *s, enum place place, enum settled how) {
  if (how == SETTLED_VANISHED && fs_folder(s->site, place) >= 0)
    atomic_store(&s->site->dirty[place], true);
}

/* Not in its place: a stale worker may have set it aside meanwhile, under its name or one beside
 * it. */
static enum status take_dead(struct fs_finisher *s, struct fs_loaded *d, const struct fs_ref *ref,
                             const char *name, enum settled *how, struct error *err) {
  struct fs_ref dead = *ref;
  char twin[NAME_SIZE];
  dead.place = place_dead(ref->place);
  for (unsigned n = 0; n < NAME_NUMBERED; n++) {
    name_try(name, n, 0, ".json", twin);
    dead.name = span_of(twin);
    enum status st = take_out(s, d, &dead, twin, true, how, err);
    if (st != ST_OK || *how == SETTLED_GONE || *how == SETTLED_REUSED) return st;
  }
  *how = SETTLED_VANISHED;
  return ST_OK;
}

/* The typed bus may have taken it up meanwhile, or given it back. It is published all the same, and
 * must not be found there later: what lies in processing/ is nobody's lock. */
static enum status take_moved(struct fs_finisher *s, struct fs_loaded *d, const struct fs_ref *ref,
                              const char *name, enum settled *how, struct error *err) {
  static const enum place ways[] = {PLACE_TYPED_PROCESSING, PLACE_TYPED_PENDING,
                                    PLACE_TYPED_PROCESSING};
  struct fs_ref moved = *ref;
  enum status st = ST_OK;
  bool typed = place_side(ref->place) == SIDE_TYPED && fs_shelf(ref->place) == SHELF_PENDING;
  for (unsigned i = 0; typed && i < 3 && st == ST_OK && *how == SETTLED_VANISHED; i++) {
    moved.place = ways[i];
    st = take_out(s, d, &moved, name, true, how, err);
    if (*how == SETTLED_CHANGED) *how = SETTLED_VANISHED; /* another one of that name */
  }
  return st;
}

static enum status settle_ref(struct fs_finisher *s, const struct fs_ref *ref, bool late,
                              enum settled *how, struct error *err) {
  struct fs_loaded loaded = {0};
  struct error local = {0};
  char name[NAME_SIZE];
  if (!err) err = &local;
  if (!name_from(ref->name, name)) return bad_name(ref, err);
  enum status st = take_out(s, &loaded, ref, name, late, how, err);
  if (st == ST_OK) vanished(s, ref->place, *how);
  if (st == ST_OK && *how == SETTLED_VANISHED) st = take_moved(s, &loaded, ref, name, how, err);
  if (st == ST_OK && *how == SETTLED_VANISHED && late && fs_shelf(ref->place) != SHELF_DEAD)
    st = take_dead(s, &loaded, ref, name, how, err);
  /* After the removal, so that the reader cannot find it again; on an error not at all: it is still
   * to be removed. */
  if (st == ST_OK) fs_hand_end(s->shared, ref->place, name, end_of(*how));
  fs_loaded_release(&loaded);
  return st;
}

void fs_done(struct fs_finisher *s, struct settling *row) {
  struct fs_ref ref = fs_ref_of(row->ref);
  if (row->late) ref.id = row->id;
  row->status = settle_ref(s, &ref, row->late, &row->how, &row->error);
}

enum status fs_take_late(struct fs_finisher *s, const struct fs_ref *ref, enum settled *how,
                         struct error *err) {
  return settle_ref(s, ref, true, how, err);
}

/* What a worker that was killed moved there and did not sync: a power loss must not find it
 * nowhere, because the folder it left was synced since. */
void fs_sync_targets(struct fs_site *s) {
  enum status st = ST_OK;
  for (enum place p = PLACE_DLQ; p < PLACES; p++)
    if (st == ST_OK && fs_shelf(p) != SHELF_PENDING && fs_folder(s, p) >= 0)
      st = fs_sync_place(s, p, NULL); /* fs_sync tells it */
}

void fs_linger(struct fs_shared *s, const struct entry_ref *ref, bool on) {
  char name[NAME_SIZE];
  enum place place;
  if (name_from(fs_token_name(ref->shelf, ref->token, &place), name))
    fs_hand_linger(s, place, name, on);
}

void fs_release(struct fs_shared *s, const struct entry_ref *ref) {
  char name[NAME_SIZE];
  enum place place;
  if (name_from(fs_token_name(ref->shelf, ref->token, &place), name))
    fs_hand_end(s, place, name, FS_END_STAYS);
}
