/* An outbox of files is made ready: its folder, and those above it. One thread; a crash leaves some
 * of the folders, and the next call goes on from there. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The next folder of the path, perhaps through a link; it is made where it is missing. ST_END: it
 * would be. */
static enum status step(int *at, const char *name, bool dry_run, struct error *err) {
  int next = openat(*at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  enum status st = ST_OK;
  if (next < 0 && errno != ENOENT) return error_sys(err, errno, "opening the folder %s", name);
  if (next < 0) st = dry_run ? ST_END : durable_folder(*at, name, 0770, &next, err);
  if (st != ST_OK) return st;
  close(*at);
  *at = next;
  return ST_OK;
}

static enum status walk(char *path, bool dry_run, bool *missing, struct error *err) {
  int at = open(*path == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  enum status st = at < 0 ? error_sys(err, errno, "opening the folder above %s", path) : ST_OK;
  char *rest = path, *slash = path;
  for (; st == ST_OK && slash; rest = slash + 1) {
    slash = strchr(rest, '/');
    if (slash) *slash = '\0';
    struct stat found;
    if (!*rest) continue;
    *missing = *missing || fstatat(at, rest, &found, 0) != 0;
    st = step(&at, rest, dry_run, err);
  }
  if (at >= 0) close(at);
  return st == ST_END ? ST_OK : st;
}

enum status fs_prepare(const char *address, struct store_preparation *p, struct error *err) {
  char *path = strdup(address);
  bool missing = false;
  if (!path) return error_set(err, ST_NO_MEMORY, "no memory for a path");
  enum status st = walk(path, p->dry_run || !p->fresh, &missing, err);
  free(path);
  if (st != ST_OK) return error_prefix(err, "making the outbox folder %s", address);
  if (missing && !p->fresh)
    return error_set(err, ST_NOT_FOUND,
                     "there is no outbox folder %s; make it with: busbridge outbox init", address);
  if (missing) buffer_printf(&p->steps, "mkdir -p '%s'\n", address);
  return ST_OK;
}
