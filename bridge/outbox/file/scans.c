/* Scans are asked for, and whoever waits for something to do is woken. Any thread. */
#include "bridge/outbox/file/file.h"

#include <unistd.h>

void fs_wake(void *impl) {
  struct fs *s = impl;
  uint64_t one = 1;
  if (s->wake_fd < 0) return;
  atomic_store(&s->woken, true);
  ssize_t n = write(s->wake_fd, &one, sizeof one);
  (void)n; /* full: it wakes anyway */
}

static uint64_t ask_for_scan(struct fs *s, bool settled) {
  int64_t wait_ms = s->c.settled_wait_ms;
  mutex_lock(&s->lock);
  if (s->wanted == s->begun) s->wanted++;
  if (settled && !s->wanted_settled)
    s->settled_by_ns = wait_ms ? clock_mono_ns(s->clock) + wait_ms * 1000000 : INT64_MAX;
  if (settled) s->wanted_settled = true;
  uint64_t generation = s->wanted;
  mutex_unlock(&s->lock);
  fs_wake(s);
  return generation;
}

uint64_t fs_rescan(void *impl) {
  return ask_for_scan(impl, false);
}

uint64_t fs_rescan_settled(void *impl) {
  return ask_for_scan(impl, true);
}

bool fs_scanned(void *impl, uint64_t generation) {
  struct fs *s = impl;
  mutex_lock(&s->lock);
  bool reached = s->scanned >= generation;
  mutex_unlock(&s->lock);
  return reached;
}
