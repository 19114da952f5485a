#include "tests/support/folder.h"

#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void folder_make(char *path, size_t size, const char *name) {
  const char *tmp = getenv("TMPDIR");
  char *real = realpath(tmp ? tmp : "/tmp", NULL);
  int len = snprintf(path, size, "%s/busbridge-%s-XXXXXX", real ? real : "(no such folder)", name);
  free(real);
  assert_true(len > 0 && (size_t)len < size);
  if (!mkdtemp(path)) fail_msg("%s cannot be made", path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
  (void)st, (void)kind, (void)where;
  return remove(path);
}

static struct timespec stamped(int fd) {
  struct stat st;
  assert_int_equal(futimens(fd, NULL), 0);
  assert_int_equal(fstat(fd, &st), 0);
  return st.st_ctim;
}

void folder_tick(const char *path) {
  char probe[PATH_MAX];
  snprintf(probe, sizeof probe, "%s.tick", path);
  int fd = open(probe, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  struct timespec first = stamped(fd), now = first;
  for (int i = 0; i < 60000 && now.tv_sec == first.tv_sec && now.tv_nsec == first.tv_nsec; i++) {
    usleep(1000);
    now = stamped(fd);
  }
  close(fd);
  unlink(probe);
  if (now.tv_sec == first.tv_sec && now.tv_nsec == first.tv_nsec)
    fail_msg("the clock of %s stands still", path);
}

int folder_remove(const char *path) {
  return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT ? 0 : -1;
}
