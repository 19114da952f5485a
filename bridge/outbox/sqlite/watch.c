/* Arrivals are told by inotify: every commit writes to the log beside the database. Where it cannot
 * tell, the reader asks in steps.
 * The reader's thread; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

#include <linux/limits.h>
#include <sys/inotify.h>
#include <unistd.h>

void sq_watch_open(struct sq *s) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s-wal", s->path);
  s->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (s->watch < 0 || inotify_add_watch(s->watch, path, IN_MODIFY) >= 0) return;
  close(s->watch);
  s->watch = -1;
}

int sq_watched(void *impl) {
  return ((struct sq *)impl)->watch;
}

void sq_watched_take(void *impl) {
  char events[4096] __attribute__((aligned(8)));
  while (read(((struct sq *)impl)->watch, events, sizeof events) > 0) {
  }
}
