/* Waiting for what arrives: told where the kind can tell, asked for in steps that grow while
 * nothing comes.
 * The reader's thread; a crash leaves nothing. */
#include "bridge/outbox/database/scanning.h"

enum {
  SLICE_MS = 2,     /* the first, and the next ones are twice as long up to */
  SLICE_MOST = 250, /* this */
  QUIET_MS = 1      /* between two looks for something told that was nothing for us */
};

enum look { NOTHING, SOMETHING, ONLY_TOLD };

/* Has the reader something to do? *until_ns: when it has at the latest. */
static enum look look(struct db *d, int64_t *until_ns) {
  mutex_lock(&d->lock);
  bool waits = d->wanted != d->begun && d->wanted_settled;
  enum look found = d->woken || db_scan_due(d) || (!waits && d->notice_count) ? SOMETHING
                    : waits                                                   ? ONLY_TOLD
                                                                              : NOTHING;
  if (waits && d->settled_by_ns < *until_ns) *until_ns = d->settled_by_ns;
  int64_t cursor = d->cursor;
  mutex_unlock(&d->lock);
  bool yes = false;
  if (found != NOTHING || !d->there) return found;
  enum status st = DB_TIMED(d, STEP_POLL, SIDE_READING, arrived(d->impl, cursor, &yes, NULL));
  return st == ST_OK && yes ? SOMETHING : NOTHING;
}

static void poll_for(struct db *d, int watched, int64_t wait_ms) {
  struct pollfd list[] = {{.fd = d->wake, .events = POLLIN}, {.fd = watched, .events = POLLIN}};
  int ready = thread_poll(list, watched >= 0 ? 2 : 1, (int)wait_ms);
  if (ready > 0 && list[0].revents) wake_take(d->wake);
  if (ready > 0 && watched >= 0 && list[1].revents) {
    d->steps->watched_take(d->impl);
    d->slice_ms = SLICE_MS;
  }
}

static int64_t slice_of(struct db *d, int watched, int64_t left_ns) {
  int64_t slice_ms = watched >= 0 ? SLICE_MOST : d->slice_ms, left_ms = left_ns / 1000000 + 1;
  if (d->slice_ms < SLICE_MOST) d->slice_ms *= 2;
  if (d->slice_ms > SLICE_MOST) d->slice_ms = SLICE_MOST;
  return slice_ms < left_ms ? slice_ms : left_ms;
}

void db_wait(void *impl, int64_t timeout_ms) {
  struct db *d = impl;
  int64_t now_ns = clock_mono_ns(d->clock);
  int64_t until_ns = timeout_ms < 0 ? INT64_MAX : now_ns + timeout_ms * 1000000;
  int watched = d->steps->watched(d->impl);
  bool told = false;
  enum look found;
  while ((found = look(d, &until_ns)) != SOMETHING && now_ns < until_ns) {
    if (told) poll_for(d, -1, QUIET_MS);
    poll_for(d, watched, slice_of(d, watched, until_ns - now_ns));
    told = watched >= 0;
    now_ns = clock_mono_ns(d->clock);
    if (d->gap_count) break; /* what is late is found by reading alone */
  }
  if (found == SOMETHING) d->slice_ms = SLICE_MS;
  mutex_lock(&d->lock);
  d->woken = false;
  mutex_unlock(&d->lock);
}
