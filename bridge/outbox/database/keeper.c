/* A lease is renewed by a thread of its own, on a side of its own, so that nothing that takes long
 * lets it run out. By our clock it ends no later than by the database's: its time counts from
 * before it was asked for.
 * A crash ends it, and the lease runs out. */
#include "bridge/outbox/database/parts.h"

static void claimed(struct db *d, int64_t asked_ns) {
  mutex_lock(&d->lock);
  if (asked_ns > d->claimed_ns) d->claimed_ns = asked_ns;
  mutex_unlock(&d->lock);
}

enum status db_renew(struct db *d, struct error *err) {
  enum db_side side = d->steps->lease_ms ? SIDE_KEEPING : SIDE_WRITING;
  int64_t asked_ns = thread_now_ns();
  enum status st = DB_STEP(d, side, renew(d->impl, err));
  if (st == ST_OK) claimed(d, asked_ns);
  return st;
}

enum status db_still(struct db *d, struct error *err) {
  mutex_lock(&d->lock);
  bool runs = thread_now_ns() - d->claimed_ns < d->steps->lease_ms * 1000000;
  mutex_unlock(&d->lock);
  return runs || !d->steps->lease_ms ? ST_OK : db_renew(d, err);
}

/* Once, and again when it is kept. Whoever changes something is told that it is another's. */
static void tell_late(struct db *d, enum status st, const struct error *why, bool *told) {
  mutex_lock(&d->lock);
  int64_t late_ns = thread_now_ns() - d->claimed_ns - d->steps->lease_ms * 1000000;
  mutex_unlock(&d->lock);
  if (st == ST_OK && *told)
    log_write(d->log, LOG_INFO, "outbox", "lease_kept", NO_FIELDS,
              "The lease of the outbox is renewed again; nobody took it over");
  else if (st != ST_OK && st != ST_BUSY && late_ns >= 0 && !*told)
    log_write(d->log, LOG_WARNING, "outbox", "lease_late", FIELDS(F_TEXT("error", why->text)),
              "The lease of the outbox has run out, and cannot be renewed: no batch begins until "
              "it is. A standby may take over");
  else
    return;
  *told = st != ST_OK;
}

static void *keep_renewed(void *arg) {
  struct db *d = arg;
  int64_t third_ns = d->steps->lease_ms * 1000000 / 3, wait_ns = third_ns;
  bool told = false;
  mutex_lock(&d->lock);
  while (!d->ends) {
    cond_wait_until(&d->ending, &d->lock, thread_now_ns() + wait_ns);
    if (d->ends) break;
    mutex_unlock(&d->lock);
    struct error why = {0};
    enum status st = db_renew(d, &why);
    tell_late(d, st, &why, &told);
    wait_ns = st == ST_OK ? third_ns : third_ns / 4;
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
