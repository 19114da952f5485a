/* A producer that is ours: made anew by the ledger's steps, with what is told while that
 * fails. The publisher's thread. A crash leaves what ledger.c says. */
#include "bridge/relay/publish/publish.h"

static const struct backoff renew_wait = {.base_ms = 50, .max_ms = 2000, .jitter_ms = 50};

bool renew_pause(struct relay *r, int64_t ms) {
  mutex_lock(&r->lock);
  int64_t until = clock_mono_ms(r->parts.clock) + ms;
  while (!r->stopping && clock_mono_ms(r->parts.clock) < until)
    relay_wait_ms(r, until - clock_mono_ms(r->parts.clock));
  bool go_on = !r->stopping;
  mutex_unlock(&r->lock);
  return go_on;
}

static void renewed(struct publishing *p) {
  p->renew = false;
  if (p->renew_tries) kafka_worked(p);
  p->renew_tries = 0;
}

/* at_least_once: what exactly_once left is settled; from now on without transactions. */
static void leave_transactions(struct publishing *p) {
  BUG_ON_RULE(L19, !p->ledger.started || p->relay->exactly_once);
  publish_close(p);
  p->client.transactional_id = NULL;
  p->topics_ready = false;
}

static void tell_away(struct publishing *p, const struct error *err) {
  struct relay *r = p->relay;
  unsigned quick =
      kafka_cause_passes((enum kafka_cause)err->cause) ? relay_tuning_now(r).max_retries : 0;
  if (++p->renew_tries <= quick) return;
  mutex_lock(&r->lock);
  away_show(r, err);
  mutex_unlock(&r->lock);
  away_tell(r, err, p->renew_tries == quick + 1);
}

/* False: it cannot be seen now whether the outbox is ours. Nothing is touched meanwhile, and Kafka
 * is not to blame. */
static bool sees_lock(struct relay *r) {
  struct error err = {0};
  enum status st = store_check(r->parts.store, &err);
  if (st == ST_OK || st == ST_BUSY) return true;
  disk_trouble(r, DISK_WRITING, &err);
  return false;
}

/* One try. */
static enum ledger_found try_renew(struct publishing *p) {
  struct relay *r = p->relay;
  struct error err = {0};
  if (!sees_lock(r)) return LEDGER_AWAY;
  enum ledger_found found = ledger_renew(p, &err);
  switch (found) {
  case LEDGER_READY:
  case LEDGER_COMMITTED:
    mutex_lock(&r->lock);
    r->status.reached = true;
    if (p->renew_tries) status_breaker(r, "kafka", BREAKER_CLOSED, "", "");
    mutex_unlock(&r->lock);
    if (p->renew_tries)
      log_write(r->parts.log, LOG_INFO, "relay", "kafka_back", NO_FIELDS, "Kafka answers again");
    disk_works(r, DISK_WRITING);
    renewed(p);
    break;
  case LEDGER_AWAY:
    if (err.status == ST_CANCELLED) break; /* a stop; nothing is away */
    err.sys ? disk_trouble(r, DISK_WRITING, &err) : tell_away(p, &err);
    break;
  case LEDGER_REFUSED:
    relay_fail(r, err.status == ST_OK ? ST_INVALID : err.status, err.text);
    break;
  }
  return found;
}

static int64_t renew_delay(struct publishing *p) {
  return disk_refuses(p->relay, DISK_WRITING)
             ? RENEW_DISK_MS
             : backoff_delay_ms(&renew_wait, p->renew_tries, p->relay->parts.clock);
}

bool renew_ready(struct publishing *p) {
  if (p->publisher && !p->renew && p->ledger.started) return true;
  enum ledger_found found = try_renew(p);
  if (found == LEDGER_AWAY) renew_pause(p->relay, renew_delay(p));
  if (found == LEDGER_READY && !p->relay->exactly_once) leave_transactions(p);
  return found == LEDGER_READY;
}

/* A pause that a stop does not cut short while draining goes on. */
static void rest_ms(struct relay *r, int64_t ms) {
  int64_t until = clock_mono_ms(r->parts.clock) + ms;
  for (int64_t left; (left = until - clock_mono_ms(r->parts.clock)) > 0 && !relay_must_end(r);) {
    mutex_lock(&r->lock);
    relay_wait_ms(r, left);
    mutex_unlock(&r->lock);
  }
}

enum ledger_found renew_until_known(struct publishing *p) {
  enum ledger_found found;
  while ((found = try_renew(p)) == LEDGER_AWAY && !relay_must_end(p->relay))
    rest_ms(p->relay, renew_delay(p));
  return found;
}
