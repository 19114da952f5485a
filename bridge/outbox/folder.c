#include "bridge/outbox/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static bool walk(DIR *dir, folder_visit_fn visit, void *ctx) {
  for (;;) {
    errno = 0;
    struct dirent *d = readdir(dir);
    if (!d) return errno == 0;
    if (d->d_name[0] == '.' && (!d->d_name[1] || (d->d_name[1] == '.' && !d->d_name[2]))) continue;
    if (!visit(ctx, d->d_name, d->d_type)) return true;
  }
}

/* Opened anew: the descriptor's own position is shared by all threads. */
enum status folder_walk(int folder, folder_visit_fn visit, void *ctx, struct error *err) {
  int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening the folder");
  DIR *dir = fdopendir(fd);
  if (!dir) {
    int e = errno;
    close(fd);
    return error_sys(err, e, "opening the folder");
  }
  enum status st = walk(dir, visit, ctx) ? ST_OK : error_sys(err, errno, "reading the folder");
  closedir(dir);
  return st;
}

bool name_is_entry(const char *name) {
  size_t len = strlen(name);
  return name[0] != '.' && len > 5 && memcmp(name + len - 5, ".json", 5) == 0;
}

bool name_is_hidden(const char *name) {
  return name[0] == '.' && name_is_entry(name + 1);
}

bool name_with(const char *name, unsigned n, const char *suffix, char out[NAME_SIZE]) {
  size_t len = strlen(name);
  if (name_is_entry(name)) len -= 5;
  char number[16] = "";
  if (n) snprintf(number, sizeof number, "__%u", n);
  int need = snprintf(out, NAME_SIZE, "%.*s%s%s", (int)len, name, number, suffix);
  return need > 0 && need < NAME_SIZE;
}
