#include "tests/support/folder.h"

#include "tests/support/test.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

void folder_make(char *path, size_t size, const char *name) {
  const char *tmp = getenv("TMPDIR");
  int len = snprintf(path, size, "%s/busbridge-%s-XXXXXX", tmp ? tmp : "/tmp", name);
  assert_true(len > 0 && (size_t)len < size);
  if (!mkdtemp(path)) fail_msg("%s cannot be made", path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where) {
  (void)st, (void)kind, (void)where;
  return remove(path);
}

int folder_remove(const char *path) {
  return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT ? 0 : -1;
}
