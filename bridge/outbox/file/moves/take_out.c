/* S3. Between a look at a name and its removal somebody may put a new event there. So the name is
 * taken out of the folder first, whatever it is, and looked at in tmp, where nobody else writes. A
 * crash leaves it there under a name that says what it is to be (leftover.h).
 * Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/moves/leftover.h"

enum status fs_pull(struct fs_site *s, const struct leftover *what, char tmp[NAME_SIZE],
                    struct stamp *now, struct error *err) {
  int from = fs_folder(s, what->place), to = fs_tmp(s, what->place);
  leftover_name(what, tmp);
  enum status st = durable_move(from, what->name, to, tmp, err);
  if (st == ST_EXISTS) { /* of an earlier try that failed in the middle */
    leftover_clear(to, fs_root(s, what->place), place_side(what->place), tmp);
    st = durable_move(from, what->name, to, tmp, err);
  }
  if (st == ST_NOT_FOUND && fs_stamp_at(from, what->name, now)) { /* it was tmp that was gone */
    st = fs_keep_tmp(s, place_side(what->place), err);
    to = fs_tmp(s, what->place);
    if (st == ST_OK) st = durable_move(from, what->name, to, tmp, err);
    if (st == ST_NOT_FOUND && fs_stamp_at(from, what->name, now))
      st = error_set(err, ST_IO, "%s/.busbridge/tmp is gone", state_path(fs_state(s, what->place)));
  }
  if (st != ST_OK) return st;
  if (fs_stamp_at(to, tmp, now)) return ST_OK;
  return error_set(err, ST_NOT_FOUND, "%s%s is gone", place_path(what->place), what->name);
}

/* What arrived at the name meanwhile is the newer one: it is exchanged with ours and then goes
 * beside it, so that whoever is told of both finds the older one first. */
enum status fs_put_back(struct fs_site *s, enum place place, const char *name, const char *tmp,
                        struct error *err) {
  int from = fs_tmp(s, place), to = fs_folder(s, place);
  char target[NAME_SIZE];
  enum status st = durable_move(from, tmp, to, name, err);
  if (st == ST_EXISTS) {
    st = durable_exchange(from, tmp, to, name, NULL);
    (void)st; /* where that cannot be, ours goes beside */
    st = fs_move_beside(from, tmp, to, name, target, err);
  }
  if (st != ST_OK) return st;
  st = fs_sync_place(s, place, err);
  return st == ST_OK ? fs_sync_fd(s, from, err) : st;
}

/* dlq/ may lie on a file system of its own, from which nothing can be renamed: what lies there is
 * only looked at first.
 */
bool fs_elsewhere(struct fs_site *s, enum place place) {
  return folder_apart(fs_folder(s, place), fs_tmp(s, place));
}

enum status fs_leave_for_good(struct fs_site *s, enum place place, struct error *err) {
  if (!fs_elsewhere(s, place_dead(place))) return ST_OK;
  enum status st = fs_sync_fd(s, fs_tmp(s, place), err);
  return st == ST_OK ? fs_sync_place(s, place, err) : st;
}

static enum status remove_there(struct fs_site *s, enum place place, const char *name,
                                const struct stamp *stamp, struct error *err) {
  enum settled how;
  if (fs_unchanged(s, place, name, stamp, &how))
    return durable_unlink(fs_folder(s, place), name, err);
  return error_set(err, ST_NOT_FOUND, "%s%s is another file by now, or gone", place_path(place),
                   name);
}

enum status fs_remove_same(struct fs_site *s, enum place place, const char *name,
                           const struct stamp *stamp, struct error *err) {
  if (fs_elsewhere(s, place)) return remove_there(s, place, name, stamp, err);
  const struct leftover left = {.kind = LEFTOVER_GONE, .old = *stamp, .place = place, .name = name};
  char tmp[NAME_SIZE];
  struct stamp now;
  enum status st = fs_pull(s, &left, tmp, &now, err);
  if (st != ST_OK) return st;
  bool same = fs_stamp_alike(&now, stamp);
  st = same ? durable_unlink(fs_tmp(s, place), tmp, err)
            : error_set(err, ST_NOT_FOUND, "%s%s is another file by now", place_path(place), name);
  if (same && (st == ST_OK || st == ST_NOT_FOUND)) return ST_OK; /* gone: a successor cleared tmp */
  enum status back = fs_put_back(s, place, name, tmp, NULL);
  (void)back; /* else the next holder of the lock does it */
  return st;
}
