/* Scans are asked for, and whoever waits for something to do is woken. Any thread.
 * A crash leaves nothing. */
#include "bridge/outbox/file/shared/shared.h"

void fs_wake(struct fs_shared *s) {
  if (s->wake_fd < 0) return;
  atomic_store(&s->woken, true);
  wake_give(s->wake_fd);
}

static uint64_t ask_for_scan(struct fs_shared *s, bool settled) {
  int64_t wait_ms = s->site->c.settled_wait_ms;
  mutex_lock(&s->lock);
  if (s->wanted == s->begun) s->wanted++;
  if (settled && !s->wanted_settled)
    s->settled_by_ns = wait_ms ? clock_mono_ns(s->site->clock) + wait_ms * 1000000 : INT64_MAX;
  if (settled) s->wanted_settled = true;
  uint64_t generation = s->wanted;
  mutex_unlock(&s->lock);
  fs_wake(s);
  return generation;
}

uint64_t fs_rescan(struct fs_shared *s) {
  return ask_for_scan(s, false);
}

uint64_t fs_rescan_settled(struct fs_shared *s) {
  return ask_for_scan(s, true);
}

bool fs_scanned(struct fs_shared *s, uint64_t generation) {
  mutex_lock(&s->lock);
  bool reached = s->scanned >= generation;
  mutex_unlock(&s->lock);
  return reached;
}
