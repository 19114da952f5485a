/* Where the database lies: whether an outbox can be kept there, the lock beside it, its room.
 * Any thread; a crash frees the lock. */
#include "bridge/base/disk/denial.h"
#include "bridge/outbox/sqlite/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems whose locks or shared memory SQLite cannot count on. */
static const char *foreign_system(long type) {
  switch ((unsigned long)type & 0xffffffffUL) {
  case 0x6969: return "NFS";
  case 0x517b:
  case 0xff534d42UL:
  case 0xfe534d42UL: return "SMB";
  case 0x65735546: return "FUSE";
  case 0x01021997: return "9P";
  case 0x5346414f: return "AFS";
  case 0x00c36400: return "Ceph";
  default: return NULL;
  }
}

static enum status check_system(const char *path, struct error *err) {
  struct statfs fs;
  if (statfs(path, &fs) != 0)
    return error_sys(err, errno, "looking at the file system of %s", path);
  const char *name = foreign_system(fs.f_type);
  if (!name) return ST_OK;
  return error_set(err, ST_INVALID,
                   "the database %s lies on %s, where SQLite's locks cannot be relied on; move it "
                   "to a local file system",
                   path, name);
}

enum status sq_check_place(const char *path, struct error *err) {
  struct stat st;
  if (lstat(path, &st) != 0 && errno == ENOENT)
    return error_set(err, ST_NOT_FOUND,
                     "there is no database %s; the application makes it, or: busbridge outbox init",
                     path);
  if (lstat(path, &st) != 0) return error_sys(err, errno, "looking at the database %s", path);
  if (S_ISLNK(st.st_mode))
    return error_set(err, ST_INVALID,
                     "the database %s is a symbolic link; name the file that it leads to, so that "
                     "everybody finds the same lock beside it",
                     path);
  if (!S_ISREG(st.st_mode))
    return error_set(err, ST_INVALID,
                     "the database %s is not a file; set outbox.url to sqlite:FILE", path);
  if (st.st_nlink > 1)
    return error_set(err, ST_INVALID,
                     "the database %s has %lu hard links: SQLite would keep a log of its own for "
                     "each name, and damage it. Remove all but one",
                     path, (unsigned long)st.st_nlink);
  return check_system(path, err);
}

/* ---- the lock ---- */

static void lock_path(const struct sq *s, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s.busbridge-lock", s->path);
}

static struct flock whole(short type) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* Pid and since when, of whoever wrote it. */
static int64_t read_owner(int fd, char since[TIME_TEXT]) {
  char text[200] = "";
  long long pid = -1;
  *since = '\0';
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  if (n > 0 && sscanf(text, "%lld %39s", &pid, since) < 1) pid = -1;
  return pid;
}

static enum status busy(struct sq *s, int fd, struct error *err) {
  char since[TIME_TEXT];
  int64_t pid = read_owner(fd, since);
  return error_set(err, ST_BUSY,
                   "the outbox in %s is owned by process %lld since %s; there can be one worker. "
                   "Stop that one first",
                   s->path, (long long)pid, *since ? since : "an unknown time");
}

/* Is it the file that lies there by now? */
static bool lies_there(int fd, const char *path) {
  struct stat ours, there;
  return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

static enum status write_owner(struct sq *s, int fd, struct error *err) {
  char text[200], since[TIME_TEXT];
  int n = snprintf(text, sizeof text, "%lld %s\n", (long long)getpid(),
                   time_format(clock_wall_us(s->clock), since));
  if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n) return ST_OK;
  return error_sys(err, errno, "writing the lock beside %s", s->path);
}

enum status sq_lock(struct sq *s, struct error *err) {
  char path[PATH_MAX];
  lock_path(s, path);
  for (;;) {
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0660);
    if (fd < 0) {
      enum status st = error_sys(err, errno, "opening the lock %s", path);
      error_denied(err, path, R_OK | W_OK);
      return st;
    }
    struct flock lock = whole(F_WRLCK);
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
      int e = errno;
      enum status st =
          e == EAGAIN || e == EACCES ? busy(s, fd, err) : error_sys(err, e, "locking %s", path);
      close(fd);
      return st;
    }
    enum status st = lies_there(fd, path) ? write_owner(s, fd, err) : ST_AGAIN;
    if (st == ST_OK) s->lock = fd;
    if (st == ST_OK) return st;
    close(fd);
    if (st != ST_AGAIN) return st; /* else it was replaced meanwhile */
  }
}

enum status sq_lock_check(struct sq *s, struct error *err) {
  char path[PATH_MAX];
  lock_path(s, path);
  if (s->lock >= 0 && lies_there(s->lock, path)) return ST_OK;
  return error_set(err, ST_BUSY, "the outbox in %s is not owned by this worker any more", s->path);
}

void sq_unlock(struct sq *s) {
  if (s->lock >= 0) close(s->lock); /* the text stays: it says who was last */
  s->lock = -1;
}

bool sq_owner(void *impl, struct store_owner *out) {
  const struct sq *s = impl;
  char path[PATH_MAX], since[TIME_TEXT] = "";
  struct flock lock = whole(F_WRLCK);
  lock_path(s, path);
  int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno != ENOENT;
  bool known = fcntl(fd, F_OFD_GETLK, &lock) == 0, owned = !known || lock.l_type != F_UNLCK;
  if (known && owned) out->pid = read_owner(fd, since);
  close(fd);
  if (!time_parse(span_of(since), &out->since_us)) out->since_us = TIME_NONE;
  return owned;
}

void sq_space(void *impl, struct store_space *out) {
  const struct sq *s = impl;
  struct statvfs now;
  *out = (struct store_space){.entries = -1};
  if (statvfs(s->path, &now) != 0) return;
  out->known = true;
  out->bytes = (int64_t)now.f_bavail * (int64_t)now.f_frsize;
}
