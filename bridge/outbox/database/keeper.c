/* A lease is renewed by a thread of its own, so that nothing that takes long lets it run out.
 * A crash ends it, and the lease runs out. */
#include "bridge/outbox/database/parts.h"

static void *keep_renewed(void *arg) {
  struct db *d = arg;
  int64_t third_ns = d->steps->lease_ms * 1000000 / 3;
  mutex_lock(&d->lock);
  while (!d->ends) {
    cond_wait_until(&d->ending, &d->lock, thread_now_ns() + third_ns);
    if (d->ends) break;
    mutex_unlock(&d->lock);
    enum status st = DB_STEP(d, SIDE_WRITING, renew(d->impl, NULL));
    (void)st; /* whoever changes something is told */
    mutex_lock(&d->lock);
  }
  mutex_unlock(&d->lock);
  return NULL;
}

enum status db_keeper_start(struct db *d, struct error *err) {
  if (!d->steps->lease_ms) return ST_OK;
  int errnum = thread_start(&d->keeper, "lease", keep_renewed, d);
  if (errnum) return error_sys(err, errnum, "starting the thread that renews the lease");
  d->keeping = true;
  return ST_OK;
}

void db_keeper_stop(struct db *d) {
  if (!d->keeping) return;
  mutex_lock(&d->lock);
  d->ends = true;
  cond_broadcast(&d->ending);
  mutex_unlock(&d->lock);
  thread_join(d->keeper);
  d->keeping = false;
}
