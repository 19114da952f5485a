/* pending/, dlq/ and sent/ may vanish, come back or be exchanged while a worker runs: a folder is
 * what lies at its name now. Each scan and each move looks, and a move holds its own descriptor, to
 * see afterwards where the file went. dlq/ and sent/ are made again; pending/ is the producers'.
 * Any thread; a crash leaves at most a folder that was just made. */
#include "bridge/outbox/file/site/site.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool fs_in_place(struct fs_site *s, enum place place, int fd) {
  struct stat named, held;
  if (place == PLACE_FLAT) return true; /* without it the lock is lost, which state_check tells */
  return fd >= 0 && fstat(fd, &held) == 0 &&
         fstatat(fs_root(s, place), place_folder(place), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         folder_same(&named, &held);
}

bool fs_is_folder(enum side side, const char *name) {
  for (unsigned p = PLACE_PENDING; p < PLACES; p++)
    if (place_side((enum place)p) == side && strcmp(name, place_folder((enum place)p)) == 0)
      return true;
  return false;
}

/* That it is missing must not be taken for the entry's being gone. */
static enum status unusable(struct fs_site *s, enum place place, struct error *err) {
  if (!err) return ST_IO;
  if (err->status == ST_NOT_FOUND) err->status = ST_IO;
  error_prefix(err, "%s/%s/ cannot be used", state_path(fs_state(s, place)), place_folder(place));
  return err->status;
}

static enum status open_named(struct fs_site *s, enum place place, bool make, int *fd,
                              struct error *err) {
  int root = fs_root(s, place);
  if (make) return durable_folder(root, place_folder(place), 0770, fd, err);
  *fd = openat(root, place_folder(place), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return *fd >= 0 ? ST_OK : error_sys(err, errno, "opening it");
}

/* A descriptor that other threads may be using is replaced in place, never closed. What was moved
 * into the old folder and not synced yet is synced now, it is not known any more later. */
static enum status put_in_place(struct fs_site *s, enum place place, int fd, struct error *err) {
  int old = fs_folder(s, place);
  if (old < 0) {
    atomic_store_explicit(&s->folder[place], fd, memory_order_release);
    return ST_OK;
  }
  enum status st = fs_sync_fd(s, old, NULL);
  (void)st; /* it is not ours any more */
  st = dup3(fd, old, O_CLOEXEC) >= 0 ? ST_OK : error_sys(err, errno, "taking it over");
  close(fd);
  return st;
}

static enum status take_over(struct fs_site *s, enum place place, struct error *err) {
  struct stat st;
  bool make = fs_shelf(place) != SHELF_PENDING, known = fs_folder(s, place) >= 0;
  bool missing = fstatat(fs_root(s, place), place_folder(place), &st, AT_SYMLINK_NOFOLLOW) < 0 &&
                 errno == ENOENT;
  int fd = -1;
  if (missing && !make) return ST_OK;
  enum status done = open_named(s, place, make, &fd, err);
  if (done == ST_OK) done = put_in_place(s, place, fd, err);
  if (done != ST_OK) return unusable(s, place, err);
  if (known)
    log_write(s->log, LOG_WARNING, "outbox", "folder_changed",
              FIELDS(F_TEXT("place", place_path(place))),
              missing ? "The folder was gone; it was made again"
                      : "Another folder lies there now; it is used from here on");
  return ST_OK;
}

enum status fs_take_place(struct fs_site *s, enum place place, struct error *err) {
  struct error local = {0};
  enum status st = ST_OK;
  if (place == PLACE_FLAT || s->inspect || !fs_state(s, place)) return ST_OK;
  if (fs_in_place(s, place, fs_folder(s, place))) return ST_OK;
  mutex_lock(&s->taking);
  if (!fs_in_place(s, place, fs_folder(s, place))) st = take_over(s, place, err ? err : &local);
  mutex_unlock(&s->taking);
  return st;
}

/* A descriptor of its own, so that another thread that takes a new folder over does not change it.
 */
enum status fs_hold(struct fs_site *s, enum place place, int *fd, struct error *err) {
  *fd = -1;
  enum status st = fs_take_place(s, place, err);
  if (st != ST_OK) return st;
  *fd = fcntl(fs_folder(s, place), F_DUPFD_CLOEXEC, 0);
  return *fd >= 0 ? ST_OK
                  : error_sys(err, errno, "opening %s/%s", state_path(fs_state(s, place)),
                              place_folder(place));
}

void fs_look_around(struct fs_site *s) {
  enum status st = fs_take_place(s, PLACE_DLQ, NULL);
  st = fs_take_place(s, PLACE_TYPED_ERRORED, NULL);
  (void)st; /* the next scan says so */
}

enum status fs_keep_tmp(struct fs_site *s, enum side side, struct error *err) {
  bool remade = false;
  enum status st = state_keep_tmp(fs_side(s, side), &remade, err);
  if (remade)
    log_write(
        s->log, LOG_WARNING, "outbox", "folder_changed",
        FIELDS(F_TEXT("place", side == SIDE_TYPED ? "typed/.busbridge/tmp/" : ".busbridge/tmp/")),
        "The folder was gone or exchanged; it was made again");
  return st;
}

enum status fs_no_side(struct error *err) {
  return error_set(
      err, ST_INVALID,
      "it lies in the typed outbox, and outbox.typed is off; set it to that folder again "
      "until what is under way is settled");
}

enum status fs_check(struct fs_site *s, struct error *err) {
  enum status st = state_check(s->state, err);
  return st == ST_OK && s->typed ? state_check(s->typed, err) : st;
}

/* ---- file systems ---- */

/* Entries are rewritten by exchanging them with a file of .busbridge/tmp, which only one file
 * system can. dlq/ and sent/ may lie elsewhere. */
static enum status check_mount(const struct state *side, const char *folder, struct error *err) {
  if (!folder_elsewhere(state_outbox(side), folder)) return ST_OK;
  return error_set(
      err, ST_INVALID,
      "%s/%s is mounted from another file system than the outbox, and entries are exchanged "
      "between the two; mount the outbox as a whole instead, only dlq/ and sent/ may lie "
      "elsewhere (umount '%s/%s', or move the mount to '%s')",
      state_path(side), folder, state_path(side), folder, state_path(side));
}

enum status fs_check_mounts(struct fs_site *s, enum side side, struct error *err) {
  const struct state *state = fs_side(s, side);
  if (!state) return ST_OK;
  enum status st = check_mount(state, ".busbridge", err);
  if (st == ST_OK) st = check_mount(state, ".busbridge/tmp", err);
  for (unsigned p = PLACE_PENDING; p < PLACES && st == ST_OK; p++)
    if (place_side((enum place)p) == side && fs_shelf((enum place)p) == SHELF_PENDING)
      st = check_mount(state, place_folder((enum place)p), err);
  return st;
}
