/* Temporary files in .busbridge/tmp. A crash leaves one there, which the next holder of the lock
 * removes.
 * Any thread. */
#include "bridge/outbox/file/site/site.h"

#include <unistd.h>

enum status fs_tmp_begin(struct fs_site *s, enum place place, struct span content,
                         const int64_t *mtime_ns, char name[NAME_SIZE], int *fd,
                         struct error *err) {
  struct timespec at = {0};
  if (mtime_ns) at = (struct timespec){*mtime_ns / 1000000000, *mtime_ns % 1000000000};
  if (at.tv_nsec < 0) at.tv_sec--, at.tv_nsec += 1000000000;
  snprintf(name, NAME_SIZE, "%ld.%u.%016llx.tmp", (long)getpid(), atomic_fetch_add(&s->serial, 1),
           (unsigned long long)s->clock->random(s->clock->ctx));
  enum status st =
      durable_write_begin(fs_tmp(s, place), name, content, mtime_ns ? &at : NULL, fd, err);
  return st == ST_NOT_FOUND
             ? error_set(err, ST_IO, "%s/.busbridge/tmp is gone", state_path(fs_state(s, place)))
             : st;
}

enum status fs_tmp_end(struct fs_site *s, enum place place, const char *name, int fd,
                       struct error *err) {
  return durable_write_end(fs_tmp(s, place), name, fd, err);
}

enum status fs_tmp_write(struct fs_site *s, enum place place, struct span content,
                         const int64_t *mtime_ns, char name[NAME_SIZE], struct error *err) {
  int fd;
  enum status st = fs_keep_tmp(s, place_side(place), err);
  if (st == ST_OK) st = fs_tmp_begin(s, place, content, mtime_ns, name, &fd, err);
  return st == ST_OK ? fs_tmp_end(s, place, name, fd, err) : st;
}

void fs_tmp_drop(struct fs_site *s, enum place place, const char *name) {
  enum status st = durable_unlink(fs_tmp(s, place), name, NULL);
  (void)st; /* removed at the next start */
}
