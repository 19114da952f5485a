/* Each change to a file that must survive, inside a fault point. A crash leaves the old content or
 * the new one, and perhaps a temporary file, a torn last line of an append, or two names of one
 * file where the file system lacks RENAME_NOREPLACE.
 * Any thread. */
#include "bridge/base/disk/durable.h"

#include "bridge/base/clock.h"
#include "bridge/base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#define END_THREADS 15 /* beside the caller's */
#define END_FILES 4    /* for each, at least */
#define END_WAIT_NS 20000

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

/* What a made call returns: its own failure, or the one a test asks for after it. */
static int made(int rc, enum durable_op op, const char *name) {
  return rc < 0 || fault(op, name, true) ? -1 : 0;
}

static int do_open(int folder, const char *name, int flags, mode_t mode) {
  if (fault(DURABLE_OPEN, name, false)) return -1;
  int fd;
  do fd = openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
  while (fd < 0 && errno == EINTR);
  if (fd >= 0 && fault(DURABLE_OPEN, name, true)) {
    int e = errno; /* an open that fails for real makes no file: as if it had not been */
    close(fd);
    if (flags & O_CREAT) unlinkat(folder, name, 0);
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
  if (fault(DURABLE_FSYNC, name, false)) return -1;
  return made(fsync(fd), DURABLE_FSYNC, name);
}

static int do_rename(int from, const char *a, int to, const char *b, unsigned flags) {
  if (fault(DURABLE_RENAME, a, false)) return -1;
  return made(flags ? renameat2(from, a, to, b, flags) : renameat(from, a, to, b), DURABLE_RENAME,
              a);
}

static int do_link(int from, const char *a, int to, const char *b) {
  if (fault(DURABLE_LINK, a, false)) return -1;
  return made(linkat(from, a, to, b, 0), DURABLE_LINK, a);
}

static int do_unlink(int folder, const char *name, int flags) {
  if (fault(DURABLE_UNLINK, name, false)) return -1;
  return made(unlinkat(folder, name, flags), DURABLE_UNLINK, name);
}

static int do_mkdir(int parent, const char *name, mode_t mode) {
  if (fault(DURABLE_MKDIR, name, false)) return -1;
  return made(mkdirat(parent, name, mode), DURABLE_MKDIR, name);
}

static int do_times(int fd, const char *name, const struct timespec *mtime) {
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
  if (fault(DURABLE_TIMES, name, false)) return -1;
  return made(futimens(fd, times), DURABLE_TIMES, name);
}

static int do_truncate(int fd, const char *name, off_t len) {
  if (fault(DURABLE_TRUNCATE, name, false)) return -1;
  return made(ftruncate(fd, len), DURABLE_TRUNCATE, name);
}

/* ---- the functions ---- */

static enum status write_failed(int folder, const char *name, int fd, int e, const char *step,
                                struct error *err) {
  if (fd >= 0) close(fd);
  do_unlink(folder, name, 0);
  return error_sys(err, e, "%s %s", step, name);
}

enum status durable_write_begin(int folder, const char *name, struct span content,
                                const struct timespec *mtime, int *out, struct error *err) {
  *out = -1;
  int fd = do_open(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0660);
  if (fd < 0) return error_sys(err, errno, "creating %s", name);
  if (do_write(fd, name, content) < 0) return write_failed(folder, name, fd, errno, "writing", err);
  if (mtime && do_times(fd, name, mtime) < 0)
    return write_failed(folder, name, fd, errno, "setting the time of", err);
  *out = fd;
  return ST_OK;
}

enum status durable_write_end(int folder, const char *name, int fd, struct error *err) {
  if (fd < 0) return ST_OK;
  if (do_fsync(fd, name) < 0) return write_failed(folder, name, fd, errno, "syncing", err);
  if (close(fd) < 0) return write_failed(folder, name, -1, errno, "closing", err);
  return ST_OK;
}

struct ending {
  int folder;
  struct durable_file *list;
  size_t count;
  atomic_size_t next;
};

static bool end_next(struct ending *e) {
  size_t i = atomic_fetch_add(&e->next, 1);
  if (i >= e->count) return false;
  struct durable_file *f = &e->list[i];
  f->status = durable_write_end(e->folder, f->name, f->fd, &f->error);
  return true;
}

static void *end_some(void *ctx) {
  while (end_next(ctx)) continue;
  return NULL;
}

/* The first one tells whether there is anything to wait for: on a file system in memory threads
 * would only cost some.
 */
static bool waits(struct ending *e) {
  int64_t began = clock_mono_ns(&clock_system);
  return end_next(e) && clock_mono_ns(&clock_system) - began >= END_WAIT_NS;
}

/* The disk has all of them on the way before the first is waited for: what a journal keeps of them
 * is then written once, and not once for each round of the threads. No more than a hint; whether it
 * went well each one's fsync tells.
 */
static void begin_all(const struct durable_file *list, size_t count) {
  for (size_t i = 0; count > 1 && i < count; i++)
    if (list[i].fd >= 0) sync_file_range(list[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* Fewer threads than wanted only take longer. Under a test's hook there is one: its points are
 * numbered. */
void durable_write_end_all(int folder, struct durable_file *list, size_t count) {
  struct ending e = {.folder = folder, .list = list, .count = count};
  struct thread threads[END_THREADS];
  begin_all(list, count);
  size_t wanted = hook_fn || !waits(&e) ? 0 : count / END_FILES, started = 0;
  if (wanted > END_THREADS) wanted = END_THREADS;
  while (started < wanted && thread_start(&threads[started], NULL, end_some, &e) == 0) started++;
  end_some(&e);
  for (size_t i = 0; i < started; i++) thread_join(threads[i]);
}

enum status durable_write_new(int folder, const char *name, struct span content,
                              const struct timespec *mtime, struct error *err) {
  int fd;
  enum status st = durable_write_begin(folder, name, content, mtime, &fd, err);
  return st == ST_OK ? durable_write_end(folder, name, fd, err) : st;
}

enum status durable_replace(int tmp_folder, int folder, const char *name, struct span content,
                            struct error *err) {
  char tmp[300];
  snprintf(tmp, sizeof tmp, "%s.%ld.tmp", name, (long)getpid());
  /* One may lie there from a run that had this pid. */
  if (do_unlink(tmp_folder, tmp, 0) < 0 && errno != ENOENT)
    return error_sys(err, errno, "removing %s", tmp);
  enum status st = durable_write_new(tmp_folder, tmp, content, NULL, err);
  if (st != ST_OK) return st;
  int own = -1;
  st = durable_own_folder(folder, &own, err);
  if (st == ST_OK) st = durable_rename(tmp_folder, tmp, folder, name, err);
  if (st != ST_OK) do_unlink(tmp_folder, tmp, 0);
  return own >= 0 ? durable_sync_end(own, st, err) : st;
}

static bool same_file(const struct stat *x, const struct stat *y) {
  return x->st_ino == y->st_ino && x->st_dev == y->st_dev;
}

/* Are a and b two names of one file? Not when they are the same name of the same folder: that one
 * must stay. */
static bool half_moved(int from, const char *a, int to, const char *b) {
  struct stat x, y;
  if (fstatat(from, a, &x, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(to, b, &y, AT_SYMLINK_NOFOLLOW) < 0)
    return false;
  if (!same_file(&x, &y)) return false;
  return strcmp(a, b) != 0 || (fstat(from, &x) == 0 && fstat(to, &y) == 0 && !same_file(&x, &y));
}

/* Where the file system lacks RENAME_NOREPLACE: link fails when the name is taken, then the old
 * name goes. A crash in between leaves two names of one file, which the next try finishes. */
static int move_by_link(int from, const char *a, int to, const char *b) {
  if (do_link(from, a, to, b) < 0) {
    int e = errno;
    bool finish = e == EEXIST && half_moved(from, a, to, b);
    errno = e;
    if (!finish) return -1;
  }
  return do_unlink(from, a, 0);
}

static bool lacks_flags(int errnum) {
  return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP;
}

enum status durable_move(int from, const char *a, int to, const char *b, struct error *err) {
  if (do_rename(from, a, to, b, RENAME_NOREPLACE) == 0) return ST_OK;
  if (errno == EXDEV)
    return error_set(err, ST_UNSUPPORTED, "moving %s to %s: they lie on two file systems", a, b);
  if (lacks_flags(errno) && move_by_link(from, a, to, b) == 0) return ST_OK;
  return error_sys(err, errno, "moving %s to %s", a, b);
}

enum status durable_exchange(int from, const char *a, int to, const char *b, struct error *err) {
  if (do_rename(from, a, to, b, RENAME_EXCHANGE) == 0) return ST_OK;
  if (lacks_flags(errno))
    return error_set(err, ST_UNSUPPORTED, "this file system cannot exchange %s and %s", a, b);
  return error_sys(err, errno, "exchanging %s and %s", a, b);
}

enum status durable_rename(int from, const char *a, int to, const char *b, struct error *err) {
  if (do_rename(from, a, to, b, 0) == 0) return ST_OK;
  return error_sys(err, errno, "renaming %s to %s", a, b);
}

enum status durable_unlink(int folder, const char *name, struct error *err) {
  if (do_unlink(folder, name, 0) == 0) return ST_OK;
  return error_sys(err, errno, "removing %s", name);
}

enum status durable_sync_folder(int folder, struct error *err) {
  if (do_fsync(folder, "folder") == 0) return ST_OK;
  return error_sys(err, errno, "syncing the folder");
}

enum status durable_own_folder(int folder, int *own, struct error *err) {
  *own = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return *own >= 0 ? ST_OK : error_sys(err, errno, "opening the folder");
}

enum status durable_sync_end(int own, enum status so_far, struct error *err) {
  enum status st = so_far == ST_OK ? durable_sync_folder(own, err) : so_far;
  close(own);
  return st;
}

/* Holes stay holes: a sparse giant costs what it holds. -1: errno says why. */
static int copy_bytes(int in, int out, const char *name, off_t size) {
  static const size_t chunk = 256 * 1024;
  char *bytes = malloc(chunk);
  int rc = bytes ? 0 : -1;
  for (off_t at = 0; rc == 0 && at < size;) {
    off_t data = lseek(in, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break; /* a hole to the end */
    if (data > at) at = data;              /* where it cannot tell, all is data */
    ssize_t n = pread(in, bytes, chunk, at);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) break;
    rc = n < 0 || lseek(out, at, SEEK_SET) < 0
             ? -1
             : do_write(out, name, (struct span){bytes, (size_t)n});
    at += n;
  }
  if (rc == 0) rc = do_truncate(out, name, size);
  free(bytes);
  return rc;
}

static bool same_stamp(const struct stat *x, const struct stat *y) {
  return same_file(x, y) && x->st_size == y->st_size && x->st_mtim.tv_sec == y->st_mtim.tv_sec &&
         x->st_mtim.tv_nsec == y->st_mtim.tv_nsec && x->st_ctim.tv_sec == y->st_ctim.tv_sec &&
         x->st_ctim.tv_nsec == y->st_ctim.tv_nsec;
}

static enum status copy_open(int in, const char *a, int to, const char *tmp, struct stat *copied,
                             struct error *err) {
  struct stat after;
  if (fstat(in, copied) < 0) return error_sys(err, errno, "looking at %s", a);
  if (!S_ISREG(copied->st_mode)) return error_set(err, ST_INVALID, "%s is not a regular file", a);
  int out = do_open(to, tmp, O_WRONLY | O_CREAT | O_EXCL, 0660);
  if (out < 0) return error_sys(err, errno, "creating %s", tmp);
  if (copy_bytes(in, out, tmp, copied->st_size) < 0)
    return write_failed(to, tmp, out, errno, "copying to", err);
  if (do_times(out, tmp, &copied->st_mtim) < 0)
    return write_failed(to, tmp, out, errno, "setting the time of", err);
  enum status st = durable_write_end(to, tmp, out, err);
  if (st != ST_OK || (fstat(in, &after) == 0 && same_stamp(copied, &after))) return st;
  do_unlink(to, tmp, 0);
  return error_set(err, ST_BUSY, "%s changed while it was copied", a);
}

enum status durable_copy(int from, const char *a, int to, const char *tmp, struct stat *copied,
                         struct error *err) {
  int in = openat(from, a, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (in < 0) return error_sys(err, errno, "opening %s", a);
  enum status st = copy_open(in, a, to, tmp, copied, err);
  close(in);
  return st;
}

enum status durable_remove_copied(int from, const char *a, const struct stat *copied,
                                  struct error *err) {
  struct stat now;
  if (fstatat(from, a, &now, AT_SYMLINK_NOFOLLOW) < 0)
    return error_sys(err, errno, "looking at %s", a);
  if (!same_stamp(copied, &now))
    return error_set(err, ST_BUSY, "%s changed after it was copied", a);
  return durable_unlink(from, a, err);
}

enum status durable_append_sync(int fd, struct span content, struct error *err) {
  struct stat before;
  if (fstat(fd, &before) < 0) return error_sys(err, errno, "looking at the file");
  /* Else a cut one, not opened O_APPEND, would go on behind its end, after a hole. */
  if (lseek(fd, before.st_size, SEEK_SET) < 0)
    return error_sys(err, errno, "going to the end of the file");
  if (do_write(fd, "append", content) == 0 && do_fsync(fd, "append") == 0) return ST_OK;
  int e = errno;
  do_truncate(fd, "append",
              before.st_size); /* best effort: a torn last line is ignored by readers anyway */
  return error_sys(err, e, "appending");
}

static enum status make_folder(int parent, const char *name, mode_t mode, struct error *err) {
  int own;
  enum status st = durable_own_folder(parent, &own, err);
  if (st != ST_OK) return st;
  bool ours = do_mkdir(parent, name, mode) == 0;
  if (!ours && errno != EEXIST) {
    st = error_sys(err, errno, "making the folder %s", name);
  } else if (do_fsync(own, name) < 0) {
    st = error_sys(err, errno, "syncing the folder above %s", name);
    if (ours) do_unlink(parent, name, AT_REMOVEDIR);
  }
  close(own);
  return st;
}

enum status durable_folder(int parent, const char *name, mode_t mode, int *fd, struct error *err) {
  int flags = O_RDONLY | O_DIRECTORY;
  *fd = do_open(parent, name, flags, 0);
  if (*fd >= 0) return ST_OK;
  if (errno != ENOENT) return error_sys(err, errno, "opening the folder %s", name);
  enum status st = make_folder(parent, name, mode, err);
  if (st != ST_OK) return st;
  *fd = do_open(parent, name, flags, 0);
  return *fd >= 0 ? ST_OK : error_sys(err, errno, "opening the folder %s", name);
}

/* expected: the size it had when it was opened; one that grows meanwhile is read on, up to limit.
 */
static enum status read_all(int fd, const char *name, size_t expected, size_t limit,
                            struct buffer *out, struct error *err) {
  size_t got = 0;
  for (size_t more = expected + 1;;
       more = 4096) { /* + 1: so that the end is seen without growing again */
    buffer_reserve(out, more);
    if (out->failed) return buffer_status(out, err);
    ssize_t n = read(fd, out->ptr + out->len, out->cap - out->len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return error_sys(err, errno, "reading %s", name);
    if (n == 0) return ST_OK;
    out->len += (size_t)n;
    got += (size_t)n;
    if (got > limit)
      return error_set(err, ST_TOO_LARGE, "%s is larger than %zu bytes", name, limit);
  }
}

enum status stream_read(int fd, const char *name, size_t limit, struct buffer *out,
                        struct error *err) {
  return read_all(fd, name, 4095, limit, out, err);
}

enum status file_read(int folder, const char *name, size_t limit, struct buffer *out,
                      struct error *err) {
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening %s", name);
  struct stat st;
  enum status rc;
  size_t start = out->len;
  if (fstat(fd, &st) < 0)
    rc = error_sys(err, errno, "looking at %s", name);
  else if (!S_ISREG(st.st_mode))
    rc = error_set(err, ST_INVALID, "%s is not a regular file", name);
  else if ((uint64_t)st.st_size > limit)
    rc = error_set(err, ST_TOO_LARGE, "%s is larger than %zu bytes", name, limit);
  else
    rc = read_all(fd, name, (size_t)st.st_size, limit, out, err);
  if (rc != ST_OK) out->len = start;
  close(fd);
  return rc;
}
