/* Moves into dlq/ and sent/: under a free name, into whichever folder lies there now, by a copy
 * where that is another file system. A crash leaves the file in its place or in the folder, or in
 * both where it was copied, which the next try recognises. */
#include "bridge/outbox/file/file.h"
#include "bridge/outbox/file/left.h"

#include <fcntl.h>
#include <unistd.h>

#define FOLLOWED 8 /* exchanged that often while one file is moved, a folder is not usable */

static bool there(int folder, const char *name) {
  struct stat st;
  return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- to another file system: a copy, durable under its name, and then the file goes ---- */

static bool alike(int from, const char *a, int to, const char *b) {
  struct stat x, y;
  return fstatat(from, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
         fstatat(to, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(x.st_mode) && S_ISREG(y.st_mode) &&
         x.st_size == y.st_size && x.st_mtim.tv_sec == y.st_mtim.tv_sec &&
         x.st_mtim.tv_nsec == y.st_mtim.tv_nsec;
}

static bool same_bytes(int one, int other) {
  char a[32768], b[sizeof a];
  for (off_t at = 0;;) {
    ssize_t n = pread(one, a, sizeof a, at), m = pread(other, b, sizeof b, at);
    if (n < 0 || n != m || memcmp(a, b, (size_t)n) != 0) return false;
    if (n == 0) return true;
    at += n;
  }
}

bool fs_is_copy(int from, const char *a, int to, const char *b) {
  if (!alike(from, a, to, b)) return false;
  int one = openat(from, a, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int other = openat(to, b, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  bool same = one >= 0 && other >= 0 && same_bytes(one, other);
  if (one >= 0) close(one);
  if (other >= 0) close(other);
  return same;
}

enum status fs_copy(int from, const char *name, int to, char tmp[NAME_SIZE], struct stat *copied,
                    struct error *err) {
  snprintf(tmp, NAME_SIZE, FS_LITTER "%016llx.tmp", (unsigned long long)name_which(from, name));
  enum status old = durable_unlink(to, tmp, NULL);
  (void)old; /* of a try that was cut */
  return durable_copy(from, name, to, tmp, copied, err);
}

/* A copy that an earlier try made lies there already, whole: a crash before the file went. */
static bool made_before(int from, const char *name, int to, const char *to_name,
                        char target[NAME_SIZE], struct stat *copied) {
  uint64_t which = name_which(from, name);
  for (unsigned n = 0; n < NAME_TRIES; n++) {
    name_try(to_name, n, which, ".json", target);
    if (!there(to, target)) continue;
    if (fstatat(from, name, copied, AT_SYMLINK_NOFOLLOW) == 0 && fs_is_copy(from, name, to, target))
      return true;
  }
  return false;
}

static enum status copy_free(int from, const char *name, int to, const char *to_name,
                             char target[NAME_SIZE], struct stat *copied, struct error *err) {
  char tmp[NAME_SIZE];
  uint64_t which = name_which(from, name);
  enum status st = fs_copy(from, name, to, tmp, copied, err);
  if (st != ST_OK) return st;
  st = ST_EXISTS;
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    name_try(to_name, n, which, ".json", target);
    st = durable_move(to, tmp, to, target, err);
  }
  if (st == ST_OK) return ST_OK;
  enum status gone = durable_unlink(to, tmp, NULL);
  (void)gone; /* it goes with what a crash leaves */
  return st;
}

static enum status across(int from, const char *name, int to, const char *to_name,
                          char target[NAME_SIZE], struct error *err) {
  struct stat copied;
  enum status st = ST_OK;
  if (!made_before(from, name, to, to_name, target, &copied))
    st = copy_free(from, name, to, to_name, target, &copied, err);
  if (st == ST_OK) st = durable_sync_folder(to, err);
  if (st != ST_OK) return st;
  st = durable_remove_copied(from, name, &copied, err);
  /* For good: it must not come back when the copy has been replayed or purged. */
  if (st == ST_OK) st = durable_sync_folder(from, err);
  if (st != ST_BUSY) return st;
  enum status gone =
      durable_unlink(to, target, NULL); /* a newer one lies there: this copy is not it */
  (void)gone;
  return st;
}

/* ---- into the folder that lies there ---- */

enum status fs_to_free_name(int from, const char *name, int to, const char *to_name,
                            char target[NAME_SIZE], struct error *err) {
  uint64_t which = 0;
  enum status st = ST_EXISTS;
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    if (n == NAME_NUMBERED) which = name_which(from, name);
    name_try(to_name, n, which, ".json", target);
    st = durable_move(from, name, to, target, err);
    if (st == ST_UNSUPPORTED) return across(from, name, to, to_name, target, err);
  }
  return st;
}

struct carried { /* where it is: in its place, or in a folder that was moved away with it */
  int folder;
  char name[NAME_SIZE];
};

/* ST_AGAIN: the folder was exchanged meanwhile, and it went with the old one or did not go. */
static enum status try_carry(struct fs *s, struct carried *at, enum place to, const char *to_name,
                             struct error *err) {
  char target[NAME_SIZE];
  int fd, source = at->folder;
  enum status st = fs_hold(s, to, &fd, err);
  if (st != ST_OK) return st;
  st = fs_to_free_name(source, at->name, fd, to_name, target, err);
  bool right = fs_in_place(s, to, fd);
  if (st == ST_OK && !right) {
    at->folder = fd;
    fs_name_copy(at->name, target);
    return ST_AGAIN;
  }
  close(fd);
  if (st == ST_NOT_FOUND && there(source, at->name))
    return ST_AGAIN; /* it was the folder that was not there */
  return st == ST_OK || right || st == ST_NOT_FOUND ? st : ST_AGAIN;
}

/* A crash in here leaves it in its place or in the folder: at worst in one that was moved away at
 * that moment. */
enum status fs_carry(struct fs *s, int place, const char *name, enum place to, const char *to_name,
                     struct error *err) {
  struct carried at = {.folder = place};
  enum status st = ST_AGAIN;
  fs_name_copy(at.name, name);
  for (unsigned tries = 0; tries < FOLLOWED && st == ST_AGAIN; tries++) {
    int before = at.folder;
    st = try_carry(s, &at, to, to_name, err);
    if (before != place && before != at.folder) close(before);
  }
  if (st == ST_AGAIN) st = error_set(err, ST_IO, "%s is exchanged all the time", place_path(to));
  if (at.folder == place) return st;
  enum status back = st == ST_OK ? ST_OK : durable_move(at.folder, at.name, place, name, NULL);
  (void)
      back; /* else it lies in the folder that was moved away, as it would have a moment earlier */
  close(at.folder);
  return st;
}

enum status fs_move_free(struct fs *s, enum place from, const char *name, enum place to,
                         const char *to_name, struct error *err) {
  return fs_carry(s, fs_folder(s, from), name, to, to_name, err);
}

/* ---- dead letters ---- */

static enum status is_dead(struct fs *s, const char *tmp, const char *name, struct error *err) {
  struct fs_desk d = {0};
  enum fs_read got = fs_desk_reread(s, &d, state_tmp(s->state), tmp, err);
  enum status st = got == FS_READ ? fs_desk_parse(&d, err) : got == FS_FAILED ? err->status : ST_OK;
  if (got == FS_UNREADABLE) st = error_sys(err, d.sys, "reading %s again", name);
  bool dead = fs_desk_is_object(&d) &&
              ((d.event.status == EVENT_DLQ && d.event.reason.len) || fs_newer_form(&d.doc));
  if (st == ST_OK && !dead)
    st = error_set(err, ST_NOT_FOUND, "%s is gone, another entry lies there", name);
  fs_desk_release(&d);
  return st;
}

/* A copy becomes durable at once, and with it the dead letter: before that its old form, which is
 * pending, must be gone for good. */
static enum status leave_for_good(struct fs *s, enum place place, struct error *err) {
  if (!fs_elsewhere(s, PLACE_DLQ)) return ST_OK;
  enum status st = durable_sync_folder(state_tmp(s->state), err);
  return st == ST_OK ? durable_sync_folder(fs_folder(s, place), err) : st;
}

/* What was put there with that stamp cannot have been changed since: even within one tick of the
 * clock its time would be another. */
static bool surely(const struct fs *s, const struct fs_letter *l, const struct stamp *now) {
  int64_t age_us = clock_wall_us(s->clock) - l->is.mtime_ns / 1000;
  return l->is.inode && left_same(&l->is, now) && age_us >= YOUNG_US;
}

/* By way of tmp, where it is looked at: what a producer put at its name in the meantime is not a
 * dead letter. dlq is the folder that lay there a moment ago. */
static enum status move_letter(struct fs *s, struct fs_letter *l, int dlq) {
  const struct left left = {.kind = LEFT_BACK, .place = l->place, .name = l->name};
  struct stamp now;
  int tmp;
  enum status st = fs_pull(s, &left, l->tmp, &now, &l->error);
  if (st != ST_OK) return st;
  tmp = state_tmp(s->state);
  if (!surely(s, l, &now)) st = is_dead(s, l->tmp, l->name, &l->error);
  if (st == ST_OK) st = leave_for_good(s, l->place, &l->error);
  if (st == ST_OK) {
    st = fs_to_free_name(tmp, l->tmp, dlq, l->to_name, l->target, &l->error);
    l->there = st == ST_OK;
    if (!l->there) st = fs_carry(s, tmp, l->tmp, PLACE_DLQ, l->to_name, &l->error);
  }
  if (st == ST_OK) return ST_OK;
  enum status back = fs_put_back(s, l->place, l->name, l->tmp, NULL);
  (void)back; /* else the next holder of the lock does it */
  return st;
}

/* It went along with a folder that was moved away. */
static enum status follow(struct fs *s, struct fs_letter *l, int dlq) {
  enum status st = fs_carry(s, dlq, l->target, PLACE_DLQ, l->to_name, &l->error);
  if (st == ST_OK) return ST_OK;
  enum status back = durable_move(dlq, l->target, state_tmp(s->state), l->tmp, NULL);
  if (back == ST_OK) back = fs_put_back(s, l->place, l->name, l->tmp, NULL);
  (void)back; /* else it lies there, as it would have a moment earlier */
  return st;
}

void fs_move_letters(struct fs *s, struct fs_letter *list, size_t count) {
  struct error err = {0};
  int dlq;
  if (!count) return;
  enum status st = fs_hold(s, PLACE_DLQ, &dlq, &err);
  for (struct fs_letter *l = list; l < list + count; l++) {
    l->error = err;
    l->status = st == ST_OK ? move_letter(s, l, dlq) : st;
  }
  bool right = st != ST_OK || fs_in_place(s, PLACE_DLQ, dlq);
  for (struct fs_letter *l = list; l < list + count; l++) {
    if (!right && l->there) l->status = follow(s, l, dlq);
    if (l->status == ST_OK) fs_dead_figure(s, 1);
  }
  if (dlq >= 0) close(dlq);
}

enum status fs_finish_dead(struct fs *s, enum place place, const char *name, const char *to_name,
                           struct error *err) {
  struct fs_letter one = {.place = place, .name = name, .to_name = to_name};
  fs_move_letters(s, &one, 1);
  if (err && one.status != ST_OK) *err = one.error;
  return one.status == ST_OK ? fs_sync_places(s, PLACE_DLQ, place, err) : one.status;
}
