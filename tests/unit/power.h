/* power.h - a disk that loses its power: what was not fsynced is gone, in every combination.
 *
 * It lies below bridge/base/durable.c: the linker puts it in front of the system calls (--wrap, see
 * tests/CMakeLists.txt), which it makes in a real folder and writes down. At the crash, before the n-th call that
 * changes something, that call and all later ones fail; then power_back brings the folder into one of the states that
 * such a disk may show:
 *
 * - Bytes (and the mtime) of a file that were not fsynced since are as they were at its last fsync, half written, or as
 * new.
 * - A change of a folder is whole or not at all, a rename too. What happened in a folder is durable with the folder's
 * fsync, a rename with that of its target; where only the source was synced the file may have no name left. Changes
 * that concern the same file or the same name keep their order, all others are there or not in any combination.
 *
 * Inodes stay what they are, since files are moved and never copied, and a removed one waits in a folder beside; ctimes
 * are new. Hard links are not in it (the way of file systems that cannot rename without replacing). */
#ifndef TESTS_UNIT_POWER_H
#define TESTS_UNIT_POWER_H

#include "tests/support/folder.h"
#include "tests/unit/files.h"

#include <limits.h>
#include <pthread.h>

enum { POWER_OPS = 64, POWER_NAMES = 128, POWER_FILES = 64, POWER_FULL = 4, POWER_BYTES = 3 };
enum power_kind { POWER_CREATE, POWER_REMOVE, POWER_RENAME, POWER_EXCHANGE };
struct power_name { /* a name that was touched, and what lies there for good */
  char path[PATH_MAX];
  ino_t durable;
};
struct power_op {
  enum power_kind kind;
  size_t from, to;  /* names; to: of renames, else from */
  ino_t ino, other; /* other: what an exchange brings to from */
  bool source_synced, forced;
};
struct power_file {
  ino_t ino;
  bool dirty;
  char *bytes;
  size_t len;
  struct timespec mtime;
};
static struct power {
  bool on, dead;
  bool reached; /* the power went before the process was done */
  bool dirty;   /* then bytes were not durable */
  char root[PATH_MAX], vault[PATH_MAX];
  unsigned at, calls;
  struct power_name names[POWER_NAMES];
  struct power_op ops[POWER_OPS];
  struct power_file files[POWER_FILES];
  size_t name_count, op_count, file_count;
  pthread_mutex_t lock;
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

int __real_openat64(int folder, const char *name, int flags, mode_t mode);
ssize_t __real_write(int fd, const void *bytes, size_t len);
int __real_fsync(int fd);
int __real_renameat2(int from, const char *a, int to, const char *b, unsigned flags);
int __real_unlinkat(int folder, const char *name, int flags);
int __real_mkdirat(int folder, const char *name, mode_t mode);
int __real_futimens(int fd, const struct timespec times[2]);
int __real_ftruncate64(int fd, off_t len);

/* ---- what is below the root ---- */

static bool power_path(int fd, const char *name, char out[PATH_MAX]) {
  char link[64], folder[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, folder, sizeof folder - 1);
  if (n < 0) return false;
  folder[n] = '\0';
  if (strncmp(folder, power.root, strlen(power.root)) != 0) return false;
  return snprintf(out, PATH_MAX, "%s%s%s", folder, name ? "/" : "", name ? name : "") < PATH_MAX;
}

static ino_t power_ino(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 ? st.st_ino : 0;
}

/* Its first touch: so far everything about it is durable. */
static size_t power_name(const char *path) {
  for (size_t i = 0; i < power.name_count; i++)
    if (strcmp(power.names[i].path, path) == 0) return i;
  assert_true(power.name_count < POWER_NAMES);
  struct power_name *n = &power.names[power.name_count];
  snprintf(n->path, sizeof n->path, "%s", path);
  n->durable = power_ino(path);
  return power.name_count++;
}

static void power_keep(struct power_file *f, int fd) {
  struct stat st;
  assert_int_equal(fstat(fd, &st), 0);
  f->bytes = realloc(f->bytes, (size_t)st.st_size + 1);
  f->len = (size_t)st.st_size;
  assert_int_equal(pread(fd, f->bytes, f->len, 0), (ssize_t)f->len);
  f->mtime = st.st_mtim;
}

/* The bytes are about to change. */
static void power_soil(int fd) {
  struct stat st;
  char link[64];
  assert_int_equal(fstat(fd, &st), 0);
  struct power_file *f = power.files;
  while (f < power.files + power.file_count && f->ino != st.st_ino) f++;
  if (f == power.files + power.file_count) {
    assert_true(power.file_count < POWER_FILES);
    power.file_count++;
    f->ino = st.st_ino;
  }
  if (f->dirty) return;
  f->dirty = true;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int again = __real_openat64(AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
  assert_true(again >= 0);
  power_keep(f, again);
  close(again);
}

static void power_add(enum power_kind kind, size_t from, size_t to, ino_t ino, ino_t other) {
  assert_true(power.op_count < POWER_OPS);
  power.ops[power.op_count++] = (struct power_op){.kind = kind, .from = from, .to = to, .ino = ino, .other = other};
}

static bool power_bound(const struct power_op *x, const struct power_op *y) {
  bool names = x->from == y->from || x->from == y->to || x->to == y->from || x->to == y->to;
  return names || x->ino == y->ino || x->ino == y->other || (x->other && (x->other == y->ino || x->other == y->other));
}

static void power_apply(const struct power_op *op, bool there) {
  struct power_name *from = &power.names[op->from], *to = &power.names[op->to];
  if (!there) {
    if (op->source_synced && from->durable == op->ino) from->durable = 0;
  } else if (op->kind == POWER_CREATE) {
    from->durable = op->ino;
  } else if (op->kind == POWER_REMOVE) {
    if (from->durable == op->ino) from->durable = 0;
  } else {
    if (op->kind == POWER_EXCHANGE || from->durable == op->ino) from->durable = op->other;
    to->durable = op->ino;
  }
}

static bool power_in(size_t name, const char *folder) {
  const char *path = power.names[name].path, *end = strrchr(path, '/');
  return (size_t)(end - path) == strlen(folder) && strncmp(path, folder, strlen(folder)) == 0;
}

/* What happened in the folder is durable, and what that rests on. */
static void power_folder_synced(const char *folder) {
  for (size_t i = power.op_count; i-- > 0;) {
    struct power_op *op = &power.ops[i];
    if (power_in(op->to, folder) || (op->kind == POWER_EXCHANGE && power_in(op->from, folder))) op->forced = true;
    if (op->kind == POWER_RENAME && power_in(op->from, folder)) op->source_synced = true;
    for (size_t later = i + 1; later < power.op_count; later++)
      if (power.ops[later].forced && power_bound(op, &power.ops[later])) op->forced = true;
  }
  size_t left = 0;
  for (size_t i = 0; i < power.op_count; i++)
    if (power.ops[i].forced)
      power_apply(&power.ops[i], true);
    else
      power.ops[left++] = power.ops[i];
  power.op_count = left;
}

/* True: the call is not made, the power is gone. */
static bool power_gone(void) {
  if (++power.calls == power.at) power.dead = true;
  if (power.dead) errno = EIO;
  return power.dead;
}

/* ---- the calls ---- */

int __wrap_openat64(int folder, const char *name, int flags, mode_t mode);
int __wrap_openat64(int folder, const char *name, int flags, mode_t mode) {
  char path[PATH_MAX];
  if (!power.on || !(flags & O_CREAT) || !power_path(folder, name, path))
    return __real_openat64(folder, name, flags, mode);
  pthread_mutex_lock(&power.lock);
  int fd = -1;
  bool made = power_ino(path) == 0;
  if (!made || !power_gone()) {
    size_t at = power_name(path);
    fd = __real_openat64(folder, name, flags, mode);
    if (fd >= 0 && made) power_add(POWER_CREATE, at, at, power_ino(path), 0);
  }
  pthread_mutex_unlock(&power.lock);
  return fd;
}

static bool power_file_of_ours(int fd) {
  char path[PATH_MAX];
  struct stat st;
  return power.on && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && power_path(fd, NULL, path);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len) {
  if (!power_file_of_ours(fd)) return __real_write(fd, bytes, len);
  pthread_mutex_lock(&power.lock);
  ssize_t n = -1;
  if (!power_gone()) {
    power_soil(fd);
    n = __real_write(fd, bytes, len);
  }
  pthread_mutex_unlock(&power.lock);
  return n;
}

int __wrap_futimens(int fd, const struct timespec times[2]);
int __wrap_futimens(int fd, const struct timespec times[2]) {
  if (!power_file_of_ours(fd)) return __real_futimens(fd, times);
  pthread_mutex_lock(&power.lock);
  int rc = -1;
  if (!power_gone()) {
    power_soil(fd);
    rc = __real_futimens(fd, times);
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

int __wrap_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len) {
  if (!power_file_of_ours(fd)) return __real_ftruncate64(fd, len);
  pthread_mutex_lock(&power.lock);
  int rc = -1;
  if (!power_gone()) {
    power_soil(fd);
    rc = __real_ftruncate64(fd, len);
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

/* No need to trouble the real disk. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
  char path[PATH_MAX];
  struct stat st;
  if (!power.on || !power_path(fd, NULL, path)) return __real_fsync(fd);
  pthread_mutex_lock(&power.lock);
  int rc = -1;
  if (!power_gone() && fstat(fd, &st) == 0) {
    rc = 0;
    if (S_ISDIR(st.st_mode)) power_folder_synced(path);
    for (size_t i = 0; i < power.file_count; i++)
      if (power.files[i].ino == st.st_ino) power.files[i].dirty = false;
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

static void power_to_vault(const char *path) {
  char kept[PATH_MAX];
  snprintf(kept, sizeof kept, "%s/%llu", power.vault, (unsigned long long)power_ino(path));
  assert_int_equal(rename(path, kept), 0);
}

int __wrap_renameat2(int from, const char *a, int to, const char *b, unsigned flags);
int __wrap_renameat2(int from, const char *a, int to, const char *b, unsigned flags) {
  char source[PATH_MAX], target[PATH_MAX];
  if (!power.on || !power_path(from, a, source) || !power_path(to, b, target))
    return __real_renameat2(from, a, to, b, flags);
  pthread_mutex_lock(&power.lock);
  int rc = -1;
  ino_t ino = power_ino(source), over = power_ino(target);
  if (!power_gone()) {
    size_t x = power_name(source), y = power_name(target);
    if (!flags && ino && over && ino != over) power_to_vault(target);
    rc = __real_renameat2(from, a, to, b, flags);
    bool exchanged = flags & 2; /* RENAME_EXCHANGE */
    if (rc == 0) power_add(exchanged ? POWER_EXCHANGE : POWER_RENAME, x, y, ino, exchanged ? over : 0);
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b) {
  return __wrap_renameat2(from, a, to, b, 0);
}

int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags) {
  char path[PATH_MAX];
  if (!power.on || !power_path(folder, name, path)) return __real_unlinkat(folder, name, flags);
  pthread_mutex_lock(&power.lock);
  int rc = -1;
  if (!power_gone()) {
    ino_t ino = power_ino(path);
    size_t at = power_name(path);
    if (ino && !(flags & AT_REMOVEDIR)) {
      power_to_vault(path);
      power_add(POWER_REMOVE, at, at, ino, 0);
      rc = 0;
    } else {
      rc = __real_unlinkat(folder, name, flags);
    }
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

int __wrap_mkdirat(int folder, const char *name, mode_t mode);
int __wrap_mkdirat(int folder, const char *name, mode_t mode) {
  char path[PATH_MAX];
  if (!power.on || !power_path(folder, name, path)) return __real_mkdirat(folder, name, mode);
  pthread_mutex_lock(&power.lock);
  int rc = -1;
  if (!power_gone()) {
    size_t at = power_name(path);
    rc = __real_mkdirat(folder, name, mode);
    if (rc == 0) power_add(POWER_CREATE, at, at, power_ino(path), 0);
  }
  pthread_mutex_unlock(&power.lock);
  return rc;
}

/* ---- on and off ---- */

/* From now on, until before the at-th call. All that lies there is durable. */
static inline void power_on(const char *root, unsigned at) {
  snprintf(power.root, sizeof power.root, "%s", root);
  snprintf(power.vault, sizeof power.vault, "%s-vault", root);
  assert_true(mkdir(power.vault, 0700) == 0 || errno == EEXIST);
  power.at = at;
  power.calls = 0;
  power.name_count = power.op_count = 0;
  power.dead = false;
  power.on = true;
}

/* The process is gone: nothing that it still does is made. */
static inline void power_cut(void) {
  power.reached = power.dead;
  power.dead = true;
}

static bool power_bit(size_t chosen, size_t i) {
  return chosen >> i & 1;
}

/* Which of the changes that are not durable are there: a mask of them, or SIZE_MAX when there are no more choices. */
static size_t power_choice(unsigned number) {
  size_t n = power.op_count, all = ((size_t)1 << n) - 1;
  if (n <= POWER_FULL) return number <= all ? number : SIZE_MAX;
  if (number == 0) return 0;
  if (number <= n) return ((size_t)1 << number) - 1;                  /* the first ones; all of them */
  if (number <= 2 * n) return all & ~((size_t)1 << (number - n - 1)); /* all but one, and what rests on it */
  if (number <= 3 * n) return (size_t)1 << (number - 2 * n - 1);      /* one, and what it rests on */
  return SIZE_MAX;
}

/* Without what rests on a change that is not there. */
static size_t power_closed(size_t chosen) {
  for (size_t i = 0; i < power.op_count; i++)
    for (size_t before = 0; before < i; before++)
      if (power_bit(chosen, i) && !power_bit(chosen, before) && power_bound(&power.ops[i], &power.ops[before]))
        chosen &= ~((size_t)1 << i);
  return chosen;
}

static void power_bytes(const struct power_file *f, const char *path, unsigned bytes) {
  int fd = __real_openat64(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
  struct stat st;
  assert_true(fd >= 0 && fstat(fd, &st) == 0);
  if (bytes == 0) {
    struct timespec times[2] = {f->mtime, f->mtime};
    assert_int_equal(__real_ftruncate64(fd, 0), 0);
    assert_int_equal(pwrite(fd, f->bytes, f->len, 0), (ssize_t)f->len);
    assert_int_equal(__real_futimens(fd, times), 0);
  } else if (bytes == 1) {
    assert_int_equal(__real_ftruncate64(fd, st.st_size / 2), 0);
  }
  close(fd);
}

static bool power_is_folder(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void power_place(const struct power_name *n, unsigned bytes) {
  char kept[PATH_MAX];
  if (power_is_folder(n->path)) {
    if (!n->durable) folder_remove(n->path);
    return;
  }
  if (!n->durable) return;
  snprintf(kept, sizeof kept, "%s/%llu", power.vault, (unsigned long long)n->durable);
  assert_int_equal(rename(kept, n->path), 0);
  for (size_t i = 0; i < power.file_count; i++)
    if (power.files[i].dirty && power.files[i].ino == n->durable) power_bytes(&power.files[i], n->path, bytes);
}

/* The power is back: number (of the changes that are there, from 0) and bytes (0: the old ones, 1: half, 2: all) say
 * which of the possible states is found. False: it was the last number. */
static inline bool power_back(unsigned number, unsigned bytes) {
  power.on = power.dead = power.dirty = false;
  size_t chosen = power_closed(power_choice(number));
  bool more = power_choice(number + 1) != SIZE_MAX;
  for (size_t i = 0; i < power.file_count; i++) power.dirty |= power.files[i].dirty;
  for (size_t i = 0; i < power.op_count; i++) power_apply(&power.ops[i], power_bit(chosen, i));
  for (size_t i = 0; i < power.name_count; i++)
    if (power_ino(power.names[i].path) && !power_is_folder(power.names[i].path)) power_to_vault(power.names[i].path);
  for (size_t i = 0; i < power.name_count; i++) power_place(&power.names[i], bytes);
  for (size_t i = 0; i < power.file_count; i++) free(power.files[i].bytes);
  memset(power.files, 0, sizeof power.files);
  power.file_count = 0;
  folder_remove(power.vault);
  return more;
}

/* For whoever looks into a failure: what lies where. */
static inline void power_show(void) {
  for (size_t i = 0; i < power.name_count; i++)
    printf("  %s: %llu\n", power.names[i].path + strlen(power.root), (unsigned long long)power.names[i].durable);
}

#endif
