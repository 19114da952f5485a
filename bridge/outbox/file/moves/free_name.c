/* A file moves to a free name, never over another one: by one rename, or where that is another file
 * system by a copy. A crash leaves it at its name or at the new one, or at both where it was
 * copied, which the next try recognises. Any thread. */
#include "bridge/outbox/file/moves/entry_moves.h"

#include <fcntl.h>
#include <unistd.h>

enum status fs_move_beside(int from, const char *name, int to, const char *to_name,
                           char target[NAME_SIZE], struct error *err) {
  uint64_t which = 0;
  enum status st = ST_EXISTS;
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    if (n == NAME_NUMBERED) which = name_which(from, name);
    name_try(to_name, n, which, ".json", target);
    st = durable_move(from, name, to, target, err);
  }
  return st;
}

/* ---- to another file system: a copy, durable under its name, and then the file goes ---- */

static bool alike(int from, const char *a, int to, const char *b) {
  struct stat x, y;
  return fstatat(from, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
         fstatat(to, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(x.st_mode) && S_ISREG(y.st_mode) &&
         x.st_size == y.st_size && x.st_mtim.tv_sec == y.st_mtim.tv_sec &&
         x.st_mtim.tv_nsec == y.st_mtim.tv_nsec;
}

static bool same_bytes(int one, int other) {
  char a[32768], b[sizeof a];
  for (off_t at = 0;;) {
    ssize_t n = pread(one, a, sizeof a, at), m = pread(other, b, sizeof b, at);
    if (n < 0 || n != m || memcmp(a, b, (size_t)n) != 0) return false;
    if (n == 0) return true;
    at += n;
  }
}

bool fs_is_copy(int from, const char *a, int to, const char *b) {
  if (!alike(from, a, to, b)) return false;
  int one = openat(from, a, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int other = openat(to, b, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  bool same = one >= 0 && other >= 0 && same_bytes(one, other);
  if (one >= 0) close(one);
  if (other >= 0) close(other);
  return same;
}

enum status fs_copy(int from, const char *name, int to, char tmp[NAME_SIZE], struct stat *copied,
                    struct error *err) {
  snprintf(tmp, NAME_SIZE, FS_LITTER "%016llx.tmp", (unsigned long long)name_which(from, name));
  enum status old = durable_unlink(to, tmp, NULL);
  (void)old; /* of a try that was cut */
  return durable_copy(from, name, to, tmp, copied, err);
}

/* A copy that an earlier try made lies there already, whole: a crash before the file went. */
static bool made_before(int from, const char *name, int to, const char *to_name,
                        char target[NAME_SIZE], struct stat *copied) {
  uint64_t which = name_which(from, name);
  for (unsigned n = 0; n < NAME_TRIES; n++) {
    name_try(to_name, n, which, ".json", target);
    if (!folder_has(to, target)) continue;
    if (fstatat(from, name, copied, AT_SYMLINK_NOFOLLOW) == 0 && fs_is_copy(from, name, to, target))
      return true;
  }
  return false;
}

static enum status copy_free(int from, const char *name, int to, const char *to_name,
                             char target[NAME_SIZE], struct stat *copied, struct error *err) {
  char tmp[NAME_SIZE];
  uint64_t which = name_which(from, name);
  enum status st = fs_copy(from, name, to, tmp, copied, err);
  if (st != ST_OK) return st;
  st = ST_EXISTS;
  for (unsigned n = 0; n < NAME_TRIES && st == ST_EXISTS; n++) {
    name_try(to_name, n, which, ".json", target);
    st = durable_move(to, tmp, to, target, err);
  }
  if (st == ST_OK) return ST_OK;
  enum status gone = durable_unlink(to, tmp, NULL);
  (void)gone; /* it goes with what a crash leaves */
  return st;
}

static enum status sync_fd(struct fs_site *s, int folder, struct error *err) {
  return s ? fs_sync_fd(s, folder, err) : durable_sync_folder(folder, err);
}

static enum status across(struct fs_site *s, int from, const char *name, int to,
                          const char *to_name, char target[NAME_SIZE], struct error *err) {
  struct stat copied;
  enum status st = ST_OK;
  if (!made_before(from, name, to, to_name, target, &copied))
    st = copy_free(from, name, to, to_name, target, &copied, err);
  if (st != ST_OK) return st;
  st = sync_fd(s, to, err);
  if (st == ST_OK) st = durable_remove_copied(from, name, &copied, err);
  /* For good: it must not come back when the copy has been replayed or purged. */
  if (st == ST_OK) return sync_fd(s, from, err);
  if (!folder_has(from, name)) return st;
  /* It stays, so its copy goes, which could be replayed or purged beside it. A newer one may lie
   * there. Or the copy's name is not durable, and asked once more the kernel would say it is: the
   * next try copies anew. */
  enum status gone = durable_unlink(to, target, NULL);
  (void)gone;
  return st;
}

enum status fs_to_free_name(struct fs_site *s, int from, const char *name, int to,
                            const char *to_name, char target[NAME_SIZE], struct error *err) {
  enum status st = fs_move_beside(from, name, to, to_name, target, err);
  return st == ST_UNSUPPORTED ? across(s, from, name, to, to_name, target, err) : st;
}
