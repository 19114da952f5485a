/* Stamps: what a file is known by between a look at it and the next. Any thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/site/site.h"

#include <fcntl.h>

struct stamp fs_stamp_of(const struct stat *st) {
  return (struct stamp){.inode = st->st_ino,
                        .size = st->st_size,
                        .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
                        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

bool fs_stamp_same(const struct stamp *a, const struct stamp *b) {
  return a->inode == b->inode && a->size == b->size && a->ctime_ns == b->ctime_ns &&
         a->mtime_ns == b->mtime_ns;
}

bool fs_stamp_alike(const struct stamp *a, const struct stamp *b) {
  return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

bool fs_stamp_at(int folder, const char *name, struct stamp *stamp) {
  struct stat st;
  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return false;
  *stamp = fs_stamp_of(&st);
  return true;
}

bool fs_unchanged(struct fs_site *s, enum place place, const char *name, const struct stamp *stamp,
                  enum settled *how) {
  struct stamp now;
  int folder = fs_folder(s, place);
  if (folder < 0 || !fs_stamp_at(folder, name, &now)) {
    *how = SETTLED_VANISHED;
    return false;
  }
  *how = SETTLED_CHANGED;
  return fs_stamp_same(&now, stamp);
}
