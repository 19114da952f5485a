#include "bridge/base/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#endif

/* ---- fault points: the one global of the library, set by tests only ---- */

static durable_hook_fn hook_fn;
static void *hook_ctx;

void durable_set_hook(durable_hook_fn hook, void *ctx) {
  hook_fn = hook;
  hook_ctx = ctx;
}

static int fault(enum durable_op op, const char *name, bool after) {
  if (!hook_fn) return 0;
  int e = hook_fn(hook_ctx, op, name, after);
  if (e) errno = e;
  return e;
}

static int do_open(int folder, const char *name, int flags, mode_t mode) {
  if (fault(DURABLE_OPEN, name, false)) return -1;
  int fd;
  do fd = openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
  while (fd < 0 && errno == EINTR);
  if (fd >= 0 && fault(DURABLE_OPEN, name, true)) {
    int e = errno;
    close(fd);
    errno = e;
    return -1;
  }
  return fd;
}

static int do_write(int fd, const char *name, struct span content) {
  while (content.len) {
    if (fault(DURABLE_WRITE, name, false)) return -1;
    ssize_t n = write(fd, content.ptr, content.len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (fault(DURABLE_WRITE, name, true)) return -1;
    content.ptr += n;
    content.len -= (size_t)n;
  }
  return 0;
}

static int do_fsync(int fd, const char *name) {
  if (fault(DURABLE_FSYNC, name, false) || fsync(fd) < 0) return -1;
  return fault(DURABLE_FSYNC, name, true) ? -1 : 0;
}

static int do_rename(int from, const char *a, int to, const char *b, unsigned flags) {
  if (fault(DURABLE_RENAME, a, false)) return -1;
  int rc = flags ? renameat2(from, a, to, b, flags) : renameat(from, a, to, b);
  if (rc < 0) return -1;
  return fault(DURABLE_RENAME, a, true) ? -1 : 0;
}

static int do_unlink(int folder, const char *name) {
  if (fault(DURABLE_UNLINK, name, false) || unlinkat(folder, name, 0) < 0) return -1;
  return fault(DURABLE_UNLINK, name, true) ? -1 : 0;
}

/* ---- the functions ---- */

enum status durable_write_new(int folder, const char *name, struct span content, const struct timespec *mtime,
                              struct error *err) {
  int fd = do_open(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0660);
  if (fd < 0) return error_sys(err, errno, "creating %s", name);
  const char *step = "writing";
  int rc = do_write(fd, name, content);
  if (rc == 0 && mtime) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    step = "setting the time of";
    rc = futimens(fd, times);
  }
  if (rc == 0) {
    step = "syncing";
    rc = do_fsync(fd, name);
  }
  int e = errno;
  if (close(fd) < 0 && rc == 0) {
    step = "closing";
    rc = -1;
    e = errno;
  }
  if (rc == 0) return ST_OK;
  unlinkat(folder, name, 0);
  return error_sys(err, e, "%s %s", step, name);
}

enum status durable_replace(int tmp_folder, int folder, const char *name, struct span content, struct error *err) {
  char tmp[300];
  snprintf(tmp, sizeof tmp, "%s.%ld.tmp", name, (long)getpid());
  if (unlinkat(tmp_folder, tmp, 0) < 0 && errno != ENOENT) return error_sys(err, errno, "removing %s", tmp);
  enum status st = durable_write_new(tmp_folder, tmp, content, NULL, err);
  if (st == ST_OK) st = durable_rename(tmp_folder, tmp, folder, name, err);
  if (st == ST_OK) return durable_sync_folder(folder, err);
  unlinkat(tmp_folder, tmp, 0);
  return st;
}

/* Where the file system lacks RENAME_NOREPLACE: link fails when the name is taken, then the old name goes. A crash in
 * between leaves two names of one file, which the next try finishes. */
static int move_by_link(int from, const char *a, int to, const char *b) {
  struct stat x, y;
  if (linkat(from, a, to, b, 0) < 0) {
    bool same = errno == EEXIST && fstatat(from, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
                fstatat(to, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
    if (!same) return -1;
  }
  return do_unlink(from, a);
}

enum status durable_move(int from, const char *a, int to, const char *b, struct error *err) {
  if (do_rename(from, a, to, b, RENAME_NOREPLACE) == 0) return ST_OK;
  if ((errno == EINVAL || errno == ENOSYS) && move_by_link(from, a, to, b) == 0) return ST_OK;
  return error_sys(err, errno, "moving %s to %s", a, b);
}

enum status durable_exchange(int from, const char *a, int to, const char *b, struct error *err) {
  if (do_rename(from, a, to, b, RENAME_EXCHANGE) == 0) return ST_OK;
  if (errno == EINVAL || errno == ENOSYS)
    return error_set(err, ST_UNSUPPORTED, "this file system cannot exchange %s and %s", a, b);
  return error_sys(err, errno, "exchanging %s and %s", a, b);
}

enum status durable_rename(int from, const char *a, int to, const char *b, struct error *err) {
  if (do_rename(from, a, to, b, 0) == 0) return ST_OK;
  return error_sys(err, errno, "renaming %s to %s", a, b);
}

enum status durable_unlink(int folder, const char *name, struct error *err) {
  if (do_unlink(folder, name) == 0) return ST_OK;
  return error_sys(err, errno, "removing %s", name);
}

enum status durable_sync_folder(int folder, struct error *err) {
  if (do_fsync(folder, "folder") == 0) return ST_OK;
  return error_sys(err, errno, "syncing the folder");
}

enum status durable_append_sync(int fd, struct span content, struct error *err) {
  struct stat before;
  if (fstat(fd, &before) < 0) return error_sys(err, errno, "looking at the file");
  if (do_write(fd, "append", content) == 0 && do_fsync(fd, "append") == 0) return ST_OK;
  int e = errno;
  int cut = ftruncate(fd, before.st_size); /* best effort: a torn last line is ignored by readers anyway */
  (void)cut;
  return error_sys(err, e, "appending");
}

enum status durable_folder(int parent, const char *name, mode_t mode, int *fd, struct error *err) {
  int flags = O_RDONLY | O_DIRECTORY;
  *fd = do_open(parent, name, flags, 0);
  if (*fd >= 0) return ST_OK;
  if (errno != ENOENT) return error_sys(err, errno, "opening the folder %s", name);
  if (mkdirat(parent, name, mode) < 0 && errno != EEXIST) return error_sys(err, errno, "making the folder %s", name);
  if (do_fsync(parent, name) < 0) return error_sys(err, errno, "syncing the folder above %s", name);
  *fd = do_open(parent, name, flags, 0);
  return *fd >= 0 ? ST_OK : error_sys(err, errno, "opening the folder %s", name);
}

static enum status read_all(int fd, const char *name, size_t limit, struct buffer *out, struct error *err) {
  size_t start = out->len;
  for (;;) {
    buffer_reserve(out, 4096);
    if (out->failed) return buffer_status(out, err);
    ssize_t n = read(fd, out->ptr + out->len, out->cap - out->len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_sys(err, errno, "reading %s", name);
    if (n == 0) return ST_OK;
    out->len += (size_t)n;
    if (out->len - start > limit) return error_set(err, ST_TOO_LARGE, "%s is larger than %zu bytes", name, limit);
  }
}

enum status file_read(int folder, const char *name, size_t limit, struct buffer *out, struct error *err) {
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening %s", name);
  struct stat st;
  enum status rc;
  if (fstat(fd, &st) < 0)
    rc = error_sys(err, errno, "looking at %s", name);
  else if (!S_ISREG(st.st_mode))
    rc = error_set(err, ST_INVALID, "%s is no regular file", name);
  else
    rc = read_all(fd, name, limit, out, err);
  close(fd);
  return rc;
}
