/* power_calls.h - the calls that change a disk, made and written down. power.h says what becomes of
 * them when the power goes. */
#ifndef TESTS_UNIT_POWER_CALLS_H
#define TESTS_UNIT_POWER_CALLS_H

#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
  POWER_CALLS = 4000,
  POWER_OPS = 200,
  POWER_NAMES = 1000,
  POWER_FILES = 1000,
  POWER_TEXTS = 4000,
  POWER_DISKS = 3,
  POWER_STATES = 1 << 18,
  POWER_PATH = 512
};
enum {
  POWER_FULL = 4,
  POWER_BYTES = 4
}; /* so many changes are tried in every combination; ways of lost bytes */
enum power_kind {
  POWER_CREATE,
  POWER_REMOVE,
  POWER_RENAME,
  POWER_EXCHANGE, /* up to here: changes of folders */
  POWER_WRITE,
  POWER_SYNC,
  POWER_LOST, /* a folder's sync that failed */
  POWER_MARK
};
struct power_call {
  enum power_kind kind;
  size_t from, to;    /* names; to: of renames, else from */
  size_t file, other; /* other: what an exchange brings to from */
  size_t value;       /* WRITE: a text; MARK: the caller's number */
};
struct power_op { /* a change that is not durable yet */
  struct power_call call;
  bool source_synced, forced;
  bool lost[2]; /* of from, of to: a sync of its folder failed, and later ones do not bring it back
                 */
};
struct power_name {
  char path[POWER_PATH];
  size_t start, durable,
      there; /* files, 0: none; durable: at the call that is looked at; there: in this state */
};
struct power_file { /* or a folder */
  dev_t dev;
  ino_t ino;
  bool folder;
  size_t start, durable, live; /* texts */
};
struct power_text {
  char *bytes;
  size_t len;
  struct timespec mtime;
};
/* A folder of another file system: seen under one path; the same folder, and one for what is
 * removed, in its mount. */
struct power_disk {
  char seen[POWER_PATH], real[POWER_PATH], vault[POWER_PATH];
  bool elsewhere; /* it is of the root's own, and only told to be another */
};
#define POWER_ELSEWHERE ((dev_t)1 << 40) /* no device has such a number */
static struct power {
  bool on; /* written down */
  struct power_disk disks[POWER_DISKS];
  struct power_call calls[POWER_CALLS];
  struct power_name names[POWER_NAMES];
  struct power_file files[POWER_FILES]; /* from 1 */
  struct power_text texts[POWER_TEXTS]; /* 0: empty */
  size_t call_count, name_count, file_count, text_count, disk_count;
  pthread_mutex_t lock;
  unsigned sync_calls, fail_sync_at; /* syncs of folders; which of them fails, 0: none */
  /* NULL, or told of each change of a file, before it is written down; fd: its bytes changed too,
   * -1: they did not. For a clock that is not the kernel's. */
  void (*changed)(ino_t file, int fd);
  void (*opened)(int fd);            /* likewise */
  bool (*refused)(const char *name); /* NULL, or whether it cannot be opened, by errno; not asked of
                                        what is made */
  /* what power_next looks at */
  struct power_op ops[POWER_OPS];
  size_t op_count, dirty[POWER_FILES], dirty_count;
  uint64_t mark, *seen;
  size_t seen_count;
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

int __real_openat64(int folder, const char *name, int flags, mode_t mode);
ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t len, off_t at);
int __real_fsync(int fd);
int __real_renameat2(int from, const char *a, int to, const char *b, unsigned flags);
int __real_unlinkat(int folder, const char *name, int flags);
int __real_mkdirat(int folder, const char *name, mode_t mode);
int __real_futimens(int fd, const struct timespec times[2]);
int __real_ftruncate64(int fd, off_t len);

/* ---- what is below the root ---- */

static bool power_below(const char *path, const char *folder) {
  size_t len = strlen(folder);
  return len && strncmp(path, folder, len) == 0 && (path[len] == '/' || !path[len]);
}

static struct power_disk *power_disk_of(const char *path) {
  for (size_t i = power.disk_count; i-- > 1;)
    if (power_below(path, power.disks[i].seen)) return &power.disks[i];
  return &power.disks[0];
}

/* The path in its own mount, where it can be moved from and to what is beside. */
static void power_real(const char *path, char out[POWER_PATH]) {
  const struct power_disk *d = power_disk_of(path);
  assert_true(snprintf(out, POWER_PATH, "%s%s", d->real, path + strlen(d->seen)) < POWER_PATH);
}

static bool power_path(int fd, const char *name, char out[POWER_PATH]) {
  char link[64], folder[POWER_PATH];
  if (!power.disk_count) return false;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, folder, sizeof folder - 1);
  if (n < 0) return false;
  folder[n] = '\0';
  if (!power_below(folder, power.disks[0].seen)) return false;
  return snprintf(out, POWER_PATH, "%s%s%s", folder, name ? "/" : "", name ? name : "") <
         POWER_PATH;
}

/* 0: it is not known. */
static size_t power_known(const struct stat *st) {
  size_t i = power.file_count;
  while (i && (power.files[i].ino != st->st_ino ||
               power.files[i].dev != (st->st_dev & ~POWER_ELSEWHERE)))
    i--;
  return i;
}

static size_t power_known_at(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 ? power_known(&st) : 0;
}

static size_t power_add_text(int fd) {
  struct stat st;
  assert_int_equal(fstat(fd, &st), 0);
  assert_true(power.text_count < POWER_TEXTS - 1);
  struct power_text *t = &power.texts[++power.text_count];
  *t = (struct power_text){
      .bytes = malloc((size_t)st.st_size + 1), .len = (size_t)st.st_size, .mtime = st.st_mtim};
  assert_non_null(t->bytes);
  assert_int_equal(pread(fd, t->bytes, t->len, 0), (ssize_t)t->len);
  return power.text_count;
}

static size_t power_text_of(const char *path) {
  int fd = __real_openat64(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
  assert_true(fd >= 0);
  size_t text = power_add_text(fd);
  close(fd);
  return text;
}

static size_t power_add_file(const char *path) {
  struct stat st;
  assert_int_equal(lstat(path, &st), 0);
  assert_true(power.file_count < POWER_FILES - 1 && !power_known(&st));
  power.files[++power.file_count] =
      (struct power_file){st.st_dev, st.st_ino, S_ISDIR(st.st_mode), 0, 0, 0};
  return power.file_count;
}

/* Those that were there at the begin came first. */
static size_t power_name(const char *path) {
  for (size_t i = 0; i < power.name_count; i++)
    if (strcmp(power.names[i].path, path) == 0) return i;
  assert_true(power.name_count < POWER_NAMES);
  snprintf(power.names[power.name_count].path, POWER_PATH, "%s", path);
  return power.name_count++;
}

static void power_changed(size_t file, int fd) {
  if (power.changed && file) power.changed(power.files[file].ino, fd);
}

static void power_add(struct power_call call) {
  assert_true(power.call_count < POWER_CALLS);
  power.calls[power.call_count++] = call;
}

static void power_write_down(int fd, bool bytes) {
  struct stat st;
  char link[64];
  assert_int_equal(fstat(fd, &st), 0);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* it may be open for writing alone */
  int again = __real_openat64(AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  size_t file = power_known(&st);
  assert_true(again >= 0 && file);
  power_changed(file, bytes ? fd : -1);
  power_add((struct power_call){.kind = POWER_WRITE, .file = file, .value = power_add_text(again)});
  close(again);
}

static void power_to_vault(const char *path, size_t file) {
  char real[POWER_PATH], kept[POWER_PATH + 24];
  power_real(path, real);
  snprintf(kept, sizeof kept, "%s/%zu", power_disk_of(path)->vault, file);
  assert_int_equal(rename(real, kept), 0);
}

/* ---- the calls ---- */

static int power_open(int folder, const char *name, int flags, mode_t mode) {
  char path[POWER_PATH];
  struct stat st;
  if (!power.on || !(flags & O_CREAT) || !power_path(folder, name, path))
    return __real_openat64(folder, name, flags, mode);
  pthread_mutex_lock(&power.lock);
  bool made = lstat(path, &st) != 0;
  int fd = __real_openat64(folder, name, flags, mode);
  if (fd >= 0 && made) {
    size_t at = power_name(path), file = power_add_file(path);
    power_changed(file, fd);
    power_add((struct power_call){.kind = POWER_CREATE, .from = at, .to = at, .file = file});
  }
  pthread_mutex_unlock(&power.lock);
  return fd;
}

int __wrap_openat64(int folder, const char *name, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *name, int flags, mode_t mode) {
  if (power.refused && !(flags & O_CREAT) && power.refused(name)) return -1;
  int fd = power_open(folder, name, flags, mode);
  if (fd >= 0 && power.opened) power.opened(fd);
  return fd;
}

static bool power_file_of_ours(int fd) {
  char path[POWER_PATH];
  struct stat st;
  return power.on && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && power_path(fd, NULL, path);
}

#define POWER_CHANGE(fd, bytes, call)                                                              \
  if (!power_file_of_ours(fd)) return call;                                                        \
  pthread_mutex_lock(&power.lock);                                                                 \
  __typeof__(call) rc = call;                                                                      \
  if (rc >= 0) power_write_down(fd, bytes);                                                        \
  pthread_mutex_unlock(&power.lock);                                                               \
  return rc

ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len) {
  POWER_CHANGE(fd, true, __real_write(fd, bytes, len));
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t at) {
  POWER_CHANGE(fd, true, __real_pwrite64(fd, bytes, len, at));
}

int __wrap_futimens(int fd, const struct timespec times[2]);
int __wrap_futimens(int fd, const struct timespec times[2]) {
  POWER_CHANGE(fd, false, __real_futimens(fd, times));
}

int __wrap_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len) {
  POWER_CHANGE(fd, true, __real_ftruncate64(fd, len));
}

/* No need to trouble the real disk. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
  char path[POWER_PATH];
  struct stat st;
  bool fails = false;
  if (!power_path(fd, NULL, path)) return __real_fsync(fd);
  pthread_mutex_lock(&power.lock);
  if (power.on && fstat(fd, &st) == 0) {
    bool folder = S_ISDIR(st.st_mode);
    fails = folder && ++power.sync_calls == power.fail_sync_at;
    power_add((struct power_call){.kind = fails ? POWER_LOST : POWER_SYNC,
                                  .from = folder ? power_name(path) : 0,
                                  .file = folder ? 0 : power_known(&st)});
  }
  pthread_mutex_unlock(&power.lock);
  if (fails) errno = EIO;
  return fails ? -1 : 0;
}

/* The one that is replaced is kept: it goes where the other one was, and from there. */
static int power_replace(const char *source, const char *target, size_t replaced) {
  char a[POWER_PATH], b[POWER_PATH];
  power_real(source, a);
  power_real(target, b);
  int rc = __real_renameat2(AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
  if (rc == 0) power_to_vault(source, replaced);
  return rc;
}

int __wrap_renameat2(int from, const char *a, int to, const char *b, unsigned flags);
int __wrap_renameat2(int from, const char *a, int to, const char *b, unsigned flags) {
  char source[POWER_PATH], target[POWER_PATH];
  if (!power_path(from, a, source) || !power_path(to, b, target))
    return __real_renameat2(from, a, to, b, flags);
  pthread_mutex_lock(&power.lock);
  size_t file = power_known_at(source), over = power_known_at(target);
  bool replaces = !flags && over && over != file && access(source, F_OK) == 0;
  if (power_disk_of(source) != power_disk_of(target)) {
    pthread_mutex_unlock(&power.lock);
    errno = EXDEV;
    return -1;
  }
  int rc = replaces ? power_replace(source, target, over) : __real_renameat2(from, a, to, b, flags);
  bool exchanged = flags & 2;
  if (rc == 0 && power.on) power_changed(file, -1);
  if (rc == 0 && power.on && exchanged) power_changed(over, -1);
  if (rc == 0 && power.on)
    power_add((struct power_call){.kind = exchanged ? POWER_EXCHANGE : POWER_RENAME,
                                  .from = power_name(source),
                                  .to = power_name(target),
                                  .file = file,
                                  .other = exchanged ? over : 0});
  pthread_mutex_unlock(&power.lock);
  return rc;
}

int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b) {
  return __wrap_renameat2(from, a, to, b, 0);
}

int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags) {
  char path[POWER_PATH];
  if (!power_path(folder, name, path)) return __real_unlinkat(folder, name, flags);
  pthread_mutex_lock(&power.lock);
  int rc = 0;
  size_t file = power_known_at(path);
  if (file && !power.files[file].folder)
    power_to_vault(path, file);
  else
    rc = __real_unlinkat(folder, name, flags);
  if (rc == 0 && power.on) {
    size_t at = power_name(path);
    power_add((struct power_call){.kind = POWER_REMOVE, .from = at, .to = at, .file = file});
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

int __wrap_mkdirat(int folder, const char *name, mode_t mode);
int __wrap_mkdirat(int folder, const char *name, mode_t mode) {
  char path[POWER_PATH];
  if (!power.on || !power_path(folder, name, path)) return __real_mkdirat(folder, name, mode);
  pthread_mutex_lock(&power.lock);
  int rc = __real_mkdirat(folder, name, mode);
  if (rc == 0) {
    size_t at = power_name(path);
    power_add((struct power_call){
        .kind = POWER_CREATE, .from = at, .to = at, .file = power_add_file(path)});
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

/* ---- on and off ---- */

static int power_first_look(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)type;
  if (ftw->level == 0 || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))) return 0;
  size_t name = power_name(path), file = power_add_file(path);
  power.names[name].start = file;
  if (S_ISREG(st->st_mode)) power.files[file].start = power_text_of(path);
  return 0;
}

/* Before power_on: folder, a path below the root, is mount/name, and mount a file system of its
 * own. */
static inline void power_disk(const char *folder, const char *mount, const char *name) {
  assert_true(power.disk_count < POWER_DISKS);
  if (!power.disk_count) power.disk_count = 1; /* the root's */
  struct power_disk *d = &power.disks[power.disk_count++];
  snprintf(d->seen, sizeof d->seen, "%s", folder);
  snprintf(d->real, sizeof d->real, "%s/%s", mount, name);
  snprintf(d->vault, sizeof d->vault, "%s/vault", mount);
  assert_true(mkdir(d->vault, 0700) == 0 || errno == EEXIST);
}

/* The same of a folder that lies where it is seen: a file system of its own by name alone. */
static inline void power_elsewhere(const char *folder, const char *vault) {
  assert_true(power.disk_count < POWER_DISKS);
  if (!power.disk_count) power.disk_count = 1; /* the root's */
  struct power_disk *d = &power.disks[power.disk_count++];
  snprintf(d->seen, sizeof d->seen, "%s", folder);
  snprintf(d->real, sizeof d->real, "%s", folder);
  snprintf(d->vault, sizeof d->vault, "%s", vault);
  d->elsewhere = true;
  assert_true(mkdir(vault, 0700) == 0 || errno == EEXIST);
}

/* From now on all is written down. What lies there is durable. */
static inline void power_on(const char *root) {
  struct power_disk *d = &power.disks[0];
  if (!power.disk_count) power.disk_count = 1;
  snprintf(d->seen, sizeof d->seen, "%s", root);
  snprintf(d->real, sizeof d->real, "%s", root);
  assert_true(snprintf(d->vault, sizeof d->vault, "%s-vault", root) < POWER_PATH);
  assert_true(mkdir(d->vault, 0700) == 0 || errno == EEXIST);
  nftw(root, power_first_look, 8, FTW_PHYS);
  power.seen = calloc(POWER_STATES, sizeof *power.seen);
  assert_non_null(power.seen);
  power.on = true;
}

/* The world outside of the machine changed: power_walk.mark tells the last such number. */
static inline void power_mark(size_t value) {
  pthread_mutex_lock(&power.lock);
  if (power.on) power_add((struct power_call){.kind = POWER_MARK, .value = value});
  pthread_mutex_unlock(&power.lock);
}

static inline void power_off(void) {
  pthread_mutex_lock(&power.lock);
  power.on = false;
  pthread_mutex_unlock(&power.lock);
}

/* Nothing of it is known any more. */
static inline void power_end(void) {
  power.on = false;
  for (size_t i = 0; i < power.disk_count; i++) folder_remove(power.disks[i].vault);
  for (size_t i = 1; i <= power.text_count; i++) free(power.texts[i].bytes);
  free(power.seen);
  pthread_mutex_t lock = power.lock;
  memset(&power, 0, sizeof power);
  power.lock = lock;
}

#endif
