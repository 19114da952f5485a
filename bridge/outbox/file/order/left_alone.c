/* Files that are left alone: others' by inode and ctime, so that they are parsed once; odd ones,
 * which the log names once.
 * Any thread, all under the lock; a crash leaves nothing. */
#include "bridge/outbox/file/order/order.h"

#define SAID_MAX 10000
#define FOREIGN_MAX 750000 /* 16 MiB of digests */

struct digest fs_file_digest(const struct stamp *stamp) {
  int64_t key[2] = {(int64_t)stamp->inode, stamp->ctime_ns};
  return digest_of((struct span){(const char *)key, sizeof key});
}

bool fs_not_yet(const struct fs_site *s, enum place place, const struct stamp *stamp) {
  return place == PLACE_TYPED_PROCESSING &&
         clock_wall_us(s->clock) - stamp->mtime_ns / 1000 < s->c.typed_timeout_ms * 1000;
}

bool fs_foreign_known(struct fs_shared *s, const struct stamp *stamp) {
  mutex_lock(&s->lock);
  bool known = s->foreign.count && digest_set_has(&s->foreign, fs_file_digest(stamp));
  mutex_unlock(&s->lock);
  return known;
}

/* Full: begun anew, since most of it may be files that are gone. Each is only parsed once more. */
void fs_foreign_add(struct fs_shared *s, const struct stamp *stamp) {
  mutex_lock(&s->lock);
  if (s->foreign.count >= FOREIGN_MAX) digest_set_release(&s->foreign);
  enum status st = digest_set_add(&s->foreign, fs_file_digest(stamp));
  (void)st; /* without memory it is parsed again */
  mutex_unlock(&s->lock);
}

bool fs_say_once(struct digest_set *set, const struct stamp *stamp) {
  struct digest d = fs_file_digest(stamp);
  if (set->count >= SAID_MAX || digest_set_has(set, d)) return false;
  return digest_set_add(set, d) == ST_OK;
}

static const char *what_is(const struct stat *st) {
  switch (st->st_mode & S_IFMT) {
  case S_IFDIR: return "a folder";
  case S_IFLNK: return "a symbolic link";
  case S_IFIFO: return "a FIFO";
  case S_IFSOCK: return "a socket";
  case S_IFREG: return "a file with several links";
  default: return "a device";
  }
}

/* A second link is how some producers put a file in its place, so it is named only when it stays.
 */
void fs_odd(struct fs_reader *s, enum place place, const char *name, const struct stat *st) {
  struct stamp stamp = fs_stamp_of(st);
  bool young = clock_wall_us(s->site->clock) - stamp.ctime_ns / 1000 < s->site->c.settle_ms * 1000;
  if ((S_ISREG(st->st_mode) && young) || !fs_say_once(&s->said, &stamp)) return;
  log_write(s->site->log, LOG_WARNING, "outbox", "entry_odd",
            FIELDS(F_TEXT("place", place_path(place)), F_TEXT("file", name)),
            "Left alone: %s, not a plain file with one link; remove it or put a plain file there",
            what_is(st));
}
