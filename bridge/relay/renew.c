/* renew.c - a producer that is ours: made anew by the ledger's steps (ledger.c), with what is told while that fails.
 * The publisher's thread. A crash leaves what ledger.c says.
 */
#include "bridge/relay/parts.h"

static const struct backoff renew_wait = {.base_ms = 50, .max_ms = 2000, .jitter_ms = 50};

bool renew_pause(struct relay *r, int64_t ms) {
  pthread_mutex_lock(&r->lock);
  int64_t until = clock_mono_ms(r->parts.clock) + ms;
  while (!r->stopping && clock_mono_ms(r->parts.clock) < until) relay_wait_ms(r, until - clock_mono_ms(r->parts.clock));
  bool go_on = !r->stopping;
  pthread_mutex_unlock(&r->lock);
  return go_on;
}

static void renewed(struct relay *r) {
  r->renew = false;
  if (r->renew_tries) kafka_worked(r);
  r->renew_tries = 0;
}

/* at_least_once: what exactly_once left is settled; from now on without transactions. */
static void leave_transactions(struct relay *r) {
  publish_close(r);
  r->client.transactional_id = NULL;
  r->topics_ready = false;
}

static void tell_away(struct relay *r, const struct error *err) {
  unsigned quick = kafka_cause_passes((enum kafka_cause)err->cause) ? relay_tuning_now(r).max_retries : 0;
  if (++r->renew_tries <= quick) return;
  pthread_mutex_lock(&r->lock);
  away_show(r, err);
  pthread_mutex_unlock(&r->lock);
  away_tell(r, err, r->renew_tries == quick + 1);
}

/* False: it cannot be seen now whether the outbox is ours. Nothing is touched meanwhile, and Kafka is not to blame. */
static bool sees_lock(struct relay *r) {
  struct error err = {0};
  enum status st = state_check(r->parts.state, &err);
  if (st == ST_OK || st == ST_BUSY) return true;
  disk_trouble(r, DISK_WRITING, &err);
  return false;
}

/* One try. */
static enum ledger_found try_renew(struct relay *r) {
  struct error err = {0};
  if (!sees_lock(r)) return LEDGER_AWAY;
  enum ledger_found found = ledger_renew(r, &err);
  switch (found) {
  case LEDGER_READY:
  case LEDGER_COMMITTED:
    pthread_mutex_lock(&r->lock);
    r->status.reached = true;
    if (r->renew_tries) status_breaker(r, "kafka", BREAKER_CLOSED, "", "");
    pthread_mutex_unlock(&r->lock);
    if (r->renew_tries) log_write(r->parts.log, LOG_INFO, "relay", "kafka_back", NO_FIELDS, "Kafka answers again");
    disk_works(r, DISK_WRITING);
    renewed(r);
    break;
  case LEDGER_AWAY:
    if (err.status == ST_CANCELLED) break; /* a stop; nothing is away */
    err.sys ? disk_trouble(r, DISK_WRITING, &err) : tell_away(r, &err);
    break;
  case LEDGER_REFUSED: relay_fail(r, err.status == ST_OK ? ST_INVALID : err.status, err.text); break;
  }
  return found;
}

static int64_t renew_delay(struct relay *r) {
  return disk_refuses(r, DISK_WRITING) ? RENEW_DISK_MS : backoff_delay_ms(&renew_wait, r->renew_tries, r->parts.clock);
}

bool renew_ready(struct relay *r) {
  if (r->publisher && !r->renew && r->ledger.started) return true;
  enum ledger_found found = try_renew(r);
  if (found == LEDGER_AWAY) renew_pause(r, renew_delay(r));
  if (found == LEDGER_READY && !r->exactly_once) leave_transactions(r);
  return found == LEDGER_READY;
}

/* A pause that a stop does not cut short while draining goes on. */
static void rest_ms(struct relay *r, int64_t ms) {
  int64_t until = clock_mono_ms(r->parts.clock) + ms;
  for (int64_t left; (left = until - clock_mono_ms(r->parts.clock)) > 0 && !relay_must_end(r);) {
    pthread_mutex_lock(&r->lock);
    relay_wait_ms(r, left);
    pthread_mutex_unlock(&r->lock);
  }
}

enum ledger_found renew_until_known(struct relay *r) {
  enum ledger_found found;
  while ((found = try_renew(r)) == LEDGER_AWAY && !relay_must_end(r)) rest_ms(r, renew_delay(r));
  return found;
}
