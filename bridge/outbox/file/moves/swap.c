/* A new form is exchanged with the entry, if what comes out is what was read; else it goes back. A
 * crash leaves a file in tmp, named for what it is, and the entry whole.
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"

#include <fcntl.h>

/* What came out into tmp is not what was read: it goes back, and our content is dropped. When the
 * entry was removed in that instant, a plain move puts it back; what fails or crashes here is made
 * good by the next holder of the lock. */
static enum status swap_back(struct fs_site *s, enum place place, const char *name, const char *tmp,
                             struct error *err) {
  int from = fs_tmp(s, place), to = fs_folder(s, place);
  enum status st = durable_exchange(from, tmp, to, name, err);
  if (st == ST_OK) {
    fs_tmp_drop(s, place, tmp);
    return ST_OK;
  }
  char target[NAME_SIZE];
  return fs_move_beside(from, tmp, to, name, target, err);
}

/* The bytes that were read, moved (its ctime is new); or the same event with another stamp. */
static bool came_out(struct fs_site *s, const char *tmp, const struct fs_ref *ref) {
  struct stat st;
  struct fs_loaded d = {0};
  enum settled how = SETTLED_CHANGED;
  if (fstatat(fs_tmp(s, ref->place), tmp, &st, AT_SYMLINK_NOFOLLOW) < 0) return false;
  struct stamp out = fs_stamp_of(&st);
  if (fs_stamp_alike(&out, &ref->stamp)) return true;
  enum status same = fs_same(s, &d, fs_tmp(s, ref->place), ".busbridge/tmp/", tmp, ref, &how, NULL);
  bool ours = same == ST_OK && how == SETTLED_GONE && fs_ours(ref->place, &d.event);
  fs_loaded_release(&d);
  return ours;
}

static enum status removed_from_tmp(const char *name, struct error *err) {
  return error_set(err, ST_IO,
                   "a temporary file of %s was removed; does a second worker use this outbox?",
                   name);
}

/* The file system cannot exchange: look, then replace. What is put there in between would be lost,
 * hence the warning.
 */
static enum status replace(struct fs_site *s, const struct fs_ref *ref, const char *name,
                           const char *tmp, enum settled *how, struct error *err) {
  if (!atomic_exchange(&s->exchange_missing, true))
    log_write(
        s->log, LOG_WARNING, "outbox", "exchange_unsupported", NO_FIELDS,
        "This file system cannot exchange two files; rewriting an entry while its producer "
        "replaces it may lose the producer's bytes. Put the outbox on a local file system (ext4, "
        "xfs, btrfs, tmpfs)");
  enum status st = ST_OK;
  if (fs_unchanged(s, ref->place, name, &ref->stamp, how))
    st = durable_rename(fs_tmp(s, ref->place), tmp, fs_folder(s, ref->place), name, err);
  else {
    fs_tmp_drop(s, ref->place, tmp);
    return ST_OK;
  }
  if (st == ST_OK)
    *how = SETTLED_GONE;
  else
    fs_tmp_drop(s, ref->place, tmp);
  return st;
}

static enum status exchange(struct fs_site *s, const struct fs_ref *ref, const char *name,
                            const char *tmp, enum settled *how, struct error *err) {
  int from = fs_tmp(s, ref->place);
  enum status st = durable_exchange(from, tmp, fs_folder(s, ref->place), name, err);
  if (st == ST_UNSUPPORTED) return replace(s, ref, name, tmp, how, err);
  if (st == ST_OK && !came_out(s, tmp, ref)) return swap_back(s, ref->place, name, tmp, err);
  if (st == ST_OK) *how = SETTLED_GONE;
  if (st == ST_NOT_FOUND && folder_has(from, tmp)) {
    *how = SETTLED_VANISHED;
    st = ST_OK;
  } else if (st == ST_NOT_FOUND) {
    st = removed_from_tmp(name, err);
  }
  if (st == ST_OK || *how != SETTLED_GONE) fs_tmp_drop(s, ref->place, tmp);
  return st;
}

/* From here on a crash leaves a file in tmp whose name says what it is. *st: of our text. */
static enum status name_left(struct fs_site *s, const struct fs_ref *ref, const char *name,
                             const char *tmp, struct stat *st, char left[NAME_SIZE],
                             struct error *err) {
  int folder = fs_tmp(s, ref->place);
  if (fstatat(folder, tmp, st, AT_SYMLINK_NOFOLLOW) < 0) return removed_from_tmp(name, err);
  const struct leftover l = {
      .content = st->st_ino, .old = ref->stamp, .place = ref->place, .name = name};
  leftover_name(&l, left);
  BUG_ON_RULE(S6, !leftover_is(left));
  enum status done = durable_move(folder, tmp, folder, left, err);
  if (done == ST_OK) return ST_OK;
  fs_tmp_drop(s, ref->place, tmp);
  fs_tmp_drop(s, ref->place, left);
  return done == ST_NOT_FOUND ? removed_from_tmp(name, err) : done;
}

/* S5, S6. A crash before the exchange leaves a file in tmp; after it, the old bytes there. Either
 * way the entry is whole. */
enum status fs_swap_in(struct fs_shared *s, const struct fs_ref *ref, const char *name,
                       const char *tmp, struct stamp *own, enum settled *how, struct error *err) {
  struct stat st;
  char left[NAME_SIZE];
  *how = SETTLED_CHANGED;
  enum status named = name_left(s->site, ref, name, tmp, &st, left, err);
  if (named != ST_OK) return named;
  if (own) fs_own_begin(s, ref->place, name, st.st_ino);
  enum status done = exchange(s->site, ref, name, left, how, err);
  if (!own) return done;
  bool put = done == ST_OK && *how == SETTLED_GONE &&
             fstatat(fs_folder(s->site, ref->place), name, &st, AT_SYMLINK_NOFOLLOW) == 0;
  *own = put ? fs_stamp_of(&st) : (struct stamp){0};
  fs_own_end(s, ref->place, name, put ? own : NULL);
  return done;
}

enum status fs_swap(struct fs_shared *s, const struct fs_ref *ref, const char *name,
                    struct span content, int64_t mtime_ns, enum settled *how, struct error *err) {
  struct stamp own;
  char tmp[NAME_SIZE];
  *how = SETTLED_CHANGED;
  enum status done = fs_tmp_write(s->site, ref->place, content, &mtime_ns, tmp, err);
  return done == ST_OK ? fs_swap_in(s, ref, name, tmp, &own, how, err) : done;
}

enum status fs_sync_swapped(struct fs_site *s, enum side side, struct error *err) {
  return fs_sync_fd(s, state_tmp(fs_side(s, side)), err);
}
