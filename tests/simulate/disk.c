/* disk.c - the simulated disk: the calls that change it are those of tests/unit/power_calls.h,
 * those that look at it and open it are here. */
#include "tests/simulate/disk.h"

#include "bridge/base/disk/durable.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/fibers.h"
#include "tests/unit/power.h"

#include <sys/inotify.h>

enum { FDS = 4096, TIMES = 4096, NO_GROUP = -1 };

static char root[200], url[240], typed[240], strange[240], backup[240];
static bool active, far;
static int owner_of[FDS]; /* groups; NO_GROUP: not open, or not of this disk */
static struct {
  ino_t file;
  int64_t ctime_ns;
} times[TIMES];
static size_t time_count;

/* ---- times ---- */

static int64_t wall_ns(void) {
  return clock_wall_us(&sim_clock) * 1000;
}

static struct timespec timespec_of(int64_t ns) {
  return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static size_t time_of(ino_t file) {
  size_t i = time_count;
  while (i && times[i - 1].file != file) i--;
  if (i) return i - 1;
  assert_true(time_count < TIMES);
  times[time_count] = (__typeof__(times[0])){file, wall_ns()};
  return time_count++;
}

static void changed(ino_t file, int fd) {
  struct timespec both[2] = {timespec_of(wall_ns()), timespec_of(wall_ns())};
  times[time_of(file)].ctime_ns = wall_ns();
  if (fd >= 0) assert_int_equal(__real_futimens(fd, both), 0);
}

/* dlq/ tells another device where it is to be a file system of its own. */
static int looked(int rc, int fd, const char *name, struct stat *st) {
  char path[POWER_PATH];
  if (rc == 0 && active && S_ISREG(st->st_mode))
    st->st_ctim = timespec_of(times[time_of(st->st_ino)].ctime_ns);
  if (rc == 0 && active && far && power_path(fd, name, path) && power_disk_of(path)->elsewhere)
    st->st_dev |= POWER_ELSEWHERE;
  return rc;
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) {
  return looked(__real_fstat64(fd, st), fd, NULL, st);
}

int __real_fstatat64(int folder, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int folder, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int folder, const char *name, struct stat *st, int flags) {
  return looked(__real_fstatat64(folder, name, st, flags), folder, name, st);
}

/* ---- what is open ---- */

static int opened(int fd) {
  assert_true(fd < FDS);
  if (fd >= 0 && active) owner_of[fd] = sim_group();
  return fd;
}

/* For reading; what is made passes a fault point (bridge/base/disk/durable.h). */
static bool refused(const char *name) {
  int e = errors_at(ERRORS_READ, name, false);
  if (e) errno = e;
  return e;
}

static void closed(int fd) {
  if (fd >= 0 && fd < FDS) owner_of[fd] = NO_GROUP;
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode) {
  if (active && refused(path)) return -1;
  return opened(__real_open64(path, flags, mode));
}

static void opened_at(int fd) {
  opened(fd);
}

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);
int __wrap_inotify_init1(int flags) {
  return opened(__real_inotify_init1(flags));
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd) {
  closed(fd);
  return __real_close(fd);
}

int __real_closedir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_closedir(DIR *dir) {
  closed(dirfd(dir));
  return __real_closedir(dir);
}

void disk_close_all(int group) {
  for (int fd = 0; fd < FDS; fd++)
    if (owner_of[fd] == group) close(fd);
}

/* ---- a life's ---- */

static int step(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  if (!after) sim_step(name);
  return errors_at(1u << op, name, after);
}

static void begin(void) {
  char dlq[260], vault[260];
  power.changed = changed;
  power.opened = opened_at;
  power.refused = refused;
  snprintf(dlq, sizeof dlq, "%s/outbox/dlq", root);
  snprintf(vault, sizeof vault, "%s-far", root);
  if (far) power_elsewhere(dlq, vault);
  power_on(root);
}

static void make_folders(void) {
  static const char *const folders[] = {"outbox",        "outbox/dlq",       "typed",
                                        "typed/pending", "typed/processing", "typed/errored",
                                        "typed/sent"};
  char path[300];
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    snprintf(path, sizeof path, "%s/%s", root, folders[i]);
    assert_int_equal(mkdir(path, 0770), 0);
  }
  snprintf(url, sizeof url, "file:%s/outbox", root);
  snprintf(typed, sizeof typed, "%s/typed", root);
  snprintf(strange, sizeof strange, "%s-strange", root);
  snprintf(backup, sizeof backup, "%s-backup", root);
  assert_int_equal(mkdir(strange, 0770), 0);
}

void disk_begin(bool dlq_far) {
  for (int fd = 0; fd < FDS; fd++) owner_of[fd] = NO_GROUP;
  time_count = 0;
  far = dlq_far;
  folder_make(root, sizeof root, "simulate");
  make_folders();
  begin();
  active = true;
  durable_set_hook(step, NULL);
}

const char *disk_url(void) {
  return url;
}

const char *disk_typed(void) {
  return typed;
}

static int open_folder(const char *path) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(folder >= 0);
  return folder;
}

static void unlock(const char *side) {
  char path[260];
  snprintf(path, sizeof path, "%s/%s/.busbridge", root, side);
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  int rc = unlinkat(folder, "lock", 0);
  assert_true(rc == 0 || errno == ENOENT);
  close(folder);
}

void disk_unlock(void) {
  unlock("outbox");
  unlock("typed");
}

/* ---- others ---- */

bool disk_touch(const char *file) {
  int folder = open_folder(root), fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
  struct timespec now[2] = {timespec_of(wall_ns()), timespec_of(wall_ns())};
  if (fd >= 0) futimens(fd, now);
  if (fd >= 0) close(fd);
  close(folder);
  return fd >= 0;
}

bool disk_read(const char *file, struct buffer *out) {
  int folder = open_folder(root);
  bool there = file_read(folder, file, 1 << 20, out, NULL) == ST_OK;
  close(folder);
  return there;
}

/* Folder and name of a path below the root. */
static int open_parent(const char *file, const char **name) {
  char path[300];
  const char *slash = strrchr(file, '/');
  snprintf(path, sizeof path, "%s/%.*s", root, (int)(slash - file), file);
  *name = slash + 1;
  return open_folder(path);
}

static void write_beside(int folder, const char *name, struct span text,
                         const struct timespec *mtime) {
  struct timespec both[2] = {mtime ? *mtime : (struct timespec){0}, both[0]};
  int fd = openat(folder, ".others", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
  assert_true(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
  if (mtime) assert_int_equal(futimens(fd, both), 0);
  assert_int_equal(fsync(fd), 0);
  close(fd);
  sim_step(name);
  assert_int_equal(renameat(folder, ".others", folder, name), 0);
  sim_step(name);
  assert_int_equal(fsync(folder), 0);
}

bool disk_move(const char *from, const char *to) {
  const char *old, *name;
  int source = open_parent(from, &old), target = open_parent(to, &name);
  bool moved = renameat2(source, old, target, name, 1 /* RENAME_NOREPLACE */) == 0;
  if (moved) assert_int_equal(fsync(target), 0);
  close(source);
  close(target);
  return moved;
}

void disk_write(const char *file, struct span text) {
  const char *name;
  int folder = open_parent(file, &name);
  write_beside(folder, name, text, NULL);
  close(folder);
}

bool disk_replace(const char *file, struct span text, bool keep_time) {
  struct stat old = {0};
  const char *name;
  int folder = open_parent(file, &name);
  bool there = fstatat(folder, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (there) write_beside(folder, name, text, keep_time ? &old.st_mtim : NULL);
  close(folder);
  return there;
}

/* ---- second links: the other name lies outside of what the outbox is made of ---- */

#define BACKUP "backup-"

static bool link_between(const char *from_folder, const char *from, const char *to_folder,
                         const char *to) {
  struct stat st;
  int a = open_folder(from_folder), b = open_folder(to_folder);
  bool done = linkat(a, from, b, to, 0) == 0;
  if (done && fstatat(a, from, &st, AT_SYMLINK_NOFOLLOW) == 0) changed(st.st_ino, -1);
  close(a);
  close(b);
  return done;
}

void disk_put_strange(const char *file, struct span text) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", strange, strrchr(file, '/') + 1);
  FILE *f = fopen(path, "w");
  assert_true(f && fwrite(text.ptr, 1, text.len, f) == text.len && fclose(f) == 0);
  disk_link_strange(file);
}

void disk_link_strange(const char *file) {
  bool linked = link_between(strange, strrchr(file, '/') + 1, root, file);
  assert_true(linked || errno == EEXIST);
}

bool disk_strange_lies(const char *file) {
  struct stat there, own;
  char path[300];
  snprintf(path, sizeof path, "%s/%s", root, file);
  if (lstat(path, &there) != 0) return false;
  snprintf(path, sizeof path, "%s/%s", strange, strrchr(file, '/') + 1);
  return lstat(path, &own) == 0 && own.st_ino == there.st_ino;
}

bool disk_link(const char *file) {
  char copy[120];
  snprintf(copy, sizeof copy, BACKUP "%s", strrchr(file, '/') + 1);
  return link_between(root, file, strange, copy);
}

void disk_unlink_all(void) {
  struct stat st;
  int folder = open_folder(strange);
  DIR *d = fdopendir(dup(folder));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) {
    if (strncmp(e->d_name, BACKUP, sizeof BACKUP - 1) != 0 ||
        fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    assert_int_equal(unlinkat(folder, e->d_name, 0), 0);
    changed(st.st_ino, -1);
  }
  closedir(d);
  close(folder);
}

/* ---- a backup of the whole, and the power ---- */

static void copy_all(const char *from, const char *to) {
  char command[600];
  folder_remove(to);
  snprintf(command, sizeof command, "cp -a '%s' '%s'", from, to);
  assert_int_equal(system(command), 0);
}

static bool lies_in_tmp(const char *side, const char *what) {
  char path[260];
  bool found = false;
  snprintf(path, sizeof path, "%s/%s/.busbridge/tmp", root, side);
  DIR *d = opendir(path);
  if (!d) return false;
  for (struct dirent *e; (e = readdir(d));) found |= strncmp(e->d_name, what, strlen(what)) == 0;
  closedir(d);
  return found;
}

bool disk_is_rewritten(void) {
  return lies_in_tmp("outbox", "swap-") || lies_in_tmp("typed", "swap-");
}

void disk_back_up(void) {
  copy_all(root, backup);
}

void disk_restore(void) {
  power_end();
  copy_all(backup, root);
  begin();
}

void disk_lose_power(void) {
  power_off();
  power_replay(power.call_count);
  power_choose(sim_below(power_choices()));
  power_put(sim_below(power_ways()));
  power_end();
  begin();
}

void disk_end(void) {
  durable_set_hook(NULL, NULL);
  active = false;
  for (int fd = 0; fd < FDS; fd++)
    if (owner_of[fd] != NO_GROUP) close(fd);
  power_end();
  folder_remove(root);
  folder_remove(strange);
  folder_remove(backup);
}
