/* S3. Between a look at a name and its removal somebody may put a new event there. So the name is
 * taken out of the folder first, whatever it is, and looked at in tmp, where nobody else writes. A
 * crash leaves it there under a name that says what it is to be (left.h). */
#include "bridge/outbox/file/file.h"
#include "bridge/outbox/file/left.h"

#include <errno.h>
#include <fcntl.h>

#define LEFT_OLD_US 30000000

static bool stamp_at(int folder, const char *name, struct stamp *stamp) {
  struct stat st;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return false;
  *stamp = fs_stamp_of(&st);
  return true;
}

enum status fs_pull(struct fs *s, const struct left *what, char tmp[NAME_SIZE], struct stamp *now,
                    struct error *err) {
  int from = fs_folder(s, what->place), to = state_tmp(s->state);
  left_name(what, tmp);
  enum status st = durable_move(from, what->name, to, tmp, err);
  if (st == ST_EXISTS) { /* of an earlier try that failed in the middle */
    left_clear(to, fs_folder(s, PLACE_FLAT), tmp);
    st = durable_move(from, what->name, to, tmp, err);
  }
  if (st == ST_NOT_FOUND && stamp_at(from, what->name, now)) { /* it was tmp that was gone */
    st = fs_keep_tmp(s, err);
    to = state_tmp(s->state);
    if (st == ST_OK) st = durable_move(from, what->name, to, tmp, err);
    if (st == ST_NOT_FOUND && stamp_at(from, what->name, now))
      st = error_set(err, ST_IO, "%s/.busbridge/tmp is gone", state_path(s->state));
  }
  if (st != ST_OK) return st;
  if (stamp_at(to, tmp, now)) return ST_OK;
  return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(what->place), what->name);
}

static enum status beside(int from, const char *tmp, int to, const char *name, struct error *err) {
  char target[NAME_SIZE];
  enum status st = ST_EXISTS;
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    name_try(name, n, name_which(from, tmp), ".json", target);
    st = durable_move(from, tmp, to, target, err);
  }
  return st;
}

/* What arrived at the name meanwhile is the newer one: it is exchanged with ours and then goes
 * beside it, so that whoever is told of both finds the older one first. */
enum status fs_put_back(struct fs *s, enum place place, const char *name, const char *tmp,
                        struct error *err) {
  int from = state_tmp(s->state), to = fs_folder(s, place);
  enum status st = durable_move(from, tmp, to, name, err);
  if (st == ST_EXISTS) {
    st = durable_exchange(from, tmp, to, name, NULL);
    (void)st; /* where that cannot be, ours goes beside */
    st = beside(from, tmp, to, name, err);
  }
  if (st != ST_OK) return st;
  st = durable_sync_folder(to, err);
  return st == ST_OK ? durable_sync_folder(from, err) : st;
}

/* dlq/ may lie on a file system of its own, from which nothing can be renamed: what lies there is
 * only looked at first.
 */
bool fs_elsewhere(struct fs *s, enum place place) {
  struct stat a, b;
  return fstat(fs_folder(s, place), &a) == 0 && fstat(state_tmp(s->state), &b) == 0 &&
         a.st_dev != b.st_dev;
}

static enum status remove_there(struct fs *s, enum place place, const char *name,
                                const struct stamp *stamp, struct error *err) {
  enum settled how;
  if (fs_unchanged(s, place, name, stamp, &how))
    return durable_unlink(fs_folder(s, place), name, err);
  return error_set(err, ST_NOT_FOUND, "%s%s is another file by now, or gone", place_path(place),
                   name);
}

enum status fs_remove_same(struct fs *s, enum place place, const char *name,
                           const struct stamp *stamp, struct error *err) {
  if (fs_elsewhere(s, place)) return remove_there(s, place, name, stamp, err);
  const struct left left = {.kind = LEFT_GONE, .old = *stamp, .place = place, .name = name};
  char tmp[NAME_SIZE];
  struct stamp now;
  enum status st = fs_pull(s, &left, tmp, &now, err);
  if (st != ST_OK) return st;
  bool same = left_same(&now, stamp);
  st = same ? durable_unlink(state_tmp(s->state), tmp, err)
            : error_set(err, ST_NOT_FOUND, "%s%s is another file by now", place_path(place), name);
  if (same && (st == ST_OK || st == ST_NOT_FOUND)) return ST_OK; /* gone: a successor cleared tmp */
  enum status back = fs_put_back(s, place, name, tmp, NULL);
  (void)back; /* else the next holder of the lock does it */
  return st;
}

static bool clear_old(void *ctx, const char *name, unsigned char type) {
  struct fs *s = ctx;
  struct stat st;
  int tmp = state_tmp(s->state);
  (void)type;
  if (!left_is(name) || fstatat(tmp, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return true;
  if (clock_wall_us(s->clock) - fs_stamp_of(&st).ctime_ns / 1000 > LEFT_OLD_US)
    left_clear(tmp, fs_folder(s, PLACE_FLAT), name);
  return true;
}

/* Old enough that nobody is in the middle of it; if somebody is, the file is found gone, which does
 * no harm. */
void fs_clear_left(struct fs *s) {
  enum status st = folder_walk(state_tmp(s->state), clear_old, s, NULL);
  (void)st; /* next time */
}
