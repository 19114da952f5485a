/* disk.c - the simulated disk: the calls that change it are those of tests/unit/power_calls.h,
 * those that look at it and open it are here. */
#include "tests/simulate/disk.h"

#include "bridge/base/durable.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/fibers.h"
#include "tests/unit/power.h"

#include <sys/inotify.h>

enum { FDS = 4096, TIMES = 4096, NO_GROUP = -1 };

static char root[200], url[240];
static bool active;
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

static int looked(int rc, struct stat *st) {
  if (rc == 0 && active && S_ISREG(st->st_mode))
    st->st_ctim = timespec_of(times[time_of(st->st_ino)].ctime_ns);
  return rc;
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) {
  return looked(__real_fstat64(fd, st), st);
}

int __real_fstatat64(int folder, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int folder, const char *name, struct stat *st, int flags);
int __wrap_fstatat64(int folder, const char *name, struct stat *st, int flags) {
  return looked(__real_fstatat64(folder, name, st, flags), st);
}

/* ---- what is open ---- */

static int opened(int fd) {
  assert_true(fd < FDS);
  if (fd >= 0 && active) owner_of[fd] = sim_group();
  return fd;
}

/* For reading; what is made passes a fault point (bridge/base/durable.h). */
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
  power.changed = changed;
  power.opened = opened_at;
  power.refused = refused;
  power_on(root);
}

void disk_begin(void) {
  char outbox[220];
  for (int fd = 0; fd < FDS; fd++) owner_of[fd] = NO_GROUP;
  time_count = 0;
  folder_make(root, sizeof root, "simulate");
  snprintf(outbox, sizeof outbox, "%s/outbox", root);
  snprintf(url, sizeof url, "file:%s", outbox);
  assert_int_equal(mkdir(outbox, 0770), 0);
  begin();
  active = true;
  durable_set_hook(step, NULL);
}

const char *disk_url(void) {
  return url;
}

void disk_unlock(void) {
  char path[260];
  snprintf(path, sizeof path, "%s/outbox/.busbridge", root);
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  int rc = unlinkat(folder, "lock", 0);
  assert_true(rc == 0 || errno == ENOENT);
  close(folder);
}

/* ---- others ---- */

static int open_outbox_folder(void) {
  int folder = open(url + strlen("file:"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(folder >= 0);
  return folder;
}

bool disk_touch(const char *file) {
  int folder = open_outbox_folder(), fd = openat(folder, file, O_RDONLY | O_CLOEXEC);
  struct timespec now[2] = {timespec_of(wall_ns()), timespec_of(wall_ns())};
  if (fd >= 0) futimens(fd, now);
  if (fd >= 0) close(fd);
  close(folder);
  return fd >= 0;
}

bool disk_read(const char *file, struct buffer *out) {
  int folder = open_outbox_folder();
  bool there = file_read(folder, file, 1 << 20, out, NULL) == ST_OK;
  close(folder);
  return there;
}

bool disk_replace(const char *file, struct span text, bool keep_time) {
  struct stat old = {0};
  int folder = open_outbox_folder();
  bool there = fstatat(folder, file, &old, AT_SYMLINK_NOFOLLOW) == 0;
  int fd = there ? openat(folder, ".others", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660) : -1;
  struct timespec both[2] = {old.st_mtim, old.st_mtim};
  if (there) {
    assert_true(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
    if (keep_time) assert_int_equal(futimens(fd, both), 0);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    assert_int_equal(renameat(folder, ".others", folder, file), 0);
    assert_int_equal(fsync(folder), 0);
  }
  close(folder);
  return there;
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
}
