/* Walks the names of a folder, tells which look like entries, and makes free ones (NAME__1.json)
 * that fit into 255 bytes.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/file/names/folder.h"

#include "bridge/base/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool walk_names(DIR *dir, folder_visit_fn visit, void *ctx) {
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
  enum status st =
      walk_names(dir, visit, ctx) ? ST_OK : error_sys(err, errno, "reading the folder");
  closedir(dir);
  return st;
}

/* st_dev of fstat tells as much as statx's, and is what a simulated disk answers. */
static bool mounts_differ(int a, const char *one, int b, const char *other) {
  struct statx x, y;
  int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
  if (statx(a, one, flags, STATX_MNT_ID, &x) < 0 || statx(b, other, flags, STATX_MNT_ID, &y) < 0)
    return false;
  if (x.stx_dev_major != y.stx_dev_major || x.stx_dev_minor != y.stx_dev_minor) return true;
  return (x.stx_mask & y.stx_mask & STATX_MNT_ID) && x.stx_mnt_id != y.stx_mnt_id;
}

bool folder_elsewhere(int folder, const char *name) {
  return mounts_differ(folder, "", folder, name);
}

bool folder_apart(int a, int b) {
  struct stat x, y;
  if (fstat(a, &x) < 0 || fstat(b, &y) < 0) return false;
  return x.st_dev != y.st_dev || mounts_differ(a, "", b, "");
}

bool folder_same(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

bool folder_has(int folder, const char *name) {
  struct stat st;
  return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool name_is_entry(const char *name) {
  size_t len = strlen(name);
  return name[0] != '.' && len > 5 && memcmp(name + len - 5, ".json", 5) == 0;
}

bool name_from(struct span name, char out[NAME_SIZE]) {
  if (!name.len || name.len >= NAME_SIZE || memchr(name.ptr, '/', name.len) ||
      memchr(name.ptr, 0, name.len))
    return false;
  memcpy(out, name.ptr, name.len);
  out[name.len] = '\0';
  return name_is_entry(out);
}

bool name_is_hidden(const char *name) {
  return name[0] == '.' && name_is_entry(name + 1);
}

static size_t stem_length(const char *name) {
  return strlen(name) - (name_is_entry(name) ? 5 : 0);
}

/* The first bytes of a text, no character of it cut through. */
static size_t cut_length(const char *text, size_t len, size_t most) {
  if (len <= most) return len;
  size_t cut = most;
  while (cut > 0 && most - cut < 3 && ((unsigned char)text[cut] & 0xC0) == 0x80) cut--;
  return ((unsigned char)text[cut] & 0xC0) == 0x80 ? most : cut; /* no UTF-8 anyway */
}

static void name_make(const char *name, const char *number, const char *suffix,
                      char out[NAME_SIZE]) {
  size_t stem =
      cut_length(name, stem_length(name), NAME_SIZE - 1 - strlen(number) - strlen(suffix));
  snprintf(out, NAME_SIZE, "%.*s%s%s", (int)stem, name, number, suffix);
}

void name_with(const char *name, const char *suffix, char out[NAME_SIZE]) {
  name_make(name, "", suffix, out);
}

void name_try(const char *name, unsigned n, uint64_t which, const char *suffix,
              char out[NAME_SIZE]) {
  char number[32] = "";
  uint64_t seed[2] = {which, n};
  if (n >= NAME_NUMBERED)
    snprintf(number, sizeof number, "__%llu",
             (unsigned long long)digest_fixed((struct span){(const char *)seed, sizeof seed}).lo);
  else if (n)
    snprintf(number, sizeof number, "__%u", n);
  name_make(name, number, suffix, out);
}

uint64_t name_which(int folder, const char *file) {
  struct stat st;
  if (fstatat(folder, file, &st, AT_SYMLINK_NOFOLLOW) < 0) return 0;
  uint64_t key[4] = {st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                     (uint64_t)st.st_mtim.tv_nsec};
  return digest_fixed((struct span){(const char *)key, sizeof key}).lo;
}
