/* The fifth stage, in rounds: prepared batches to Kafka. The publisher's thread.
 *
 * at_least_once: what was handed to librdkafka stays in hand until its report and is never sent
 * again by us; an open door only stops handing over more. exactly_once: transact.c puts a
 * transaction with its position in the ledger around each batch. A crash leaves what those two
 * leave.
 */
#include "bridge/relay/publish/publish.h"

/* After a fatal error librdkafka fails all it holds; those reports are waited for, then a new
 * producer is made. */
static void replace_if_fatal(struct publishing *p) {
  struct error err = {0};
  if (!p->publisher || !publisher_fatal(p->publisher, &err)) return;
  log_write(p->relay->parts.log, LOG_ERROR, "relay", "producer_lost",
            FIELDS(F_TEXT("error", err.text)),
            "The Kafka producer failed for good; a new one is made");
  for (int i = 0; i < 100 && publisher_in_flight(p->publisher); i++)
    publisher_poll(p->publisher, 100);
  if (publisher_in_flight(p->publisher))
    return; /* their reports still come: the next round looks again */
  publish_close(p);
  p->topics_ready = false;
}

static void sleep_until_work(struct publishing *p) {
  int timeout = 500;
  if (p->queue_full)
    timeout = 5;
  else if (!p->topics_ready || p->link_down || p->kafka.state != BREAKER_CLOSED)
    timeout = 100;
  else if (!small_groups_idle(p))
    timeout = 0;
  struct pollfd fd = {.fd = p->relay->wake_fd, .events = POLLIN};
  if (thread_poll(&fd, 1, timeout) == 1) wake_take(p->relay->wake_fd);
}

static bool must_stop(struct relay *r, bool *too_late) {
  mutex_lock(&r->lock);
  bool stopping = r->stopping;
  *too_late = stopping && clock_mono_ms(r->parts.clock) >= r->stop_by_ms;
  mutex_unlock(&r->lock);
  return stopping;
}

/* What a transaction that could not go on left in flight is given up with its producer: nobody will
 * report it. */
static bool finished(struct publishing *p) {
  bool too_late;
  if (!must_stop(p->relay, &too_late)) return false;
  give_back_unsent(p);
  push_done(p);
  if (too_late || !p->publisher) return true;
  return p->renew || publisher_in_flight(p->publisher) == 0;
}

/* The round of at_least_once. */
static void relay_reports(struct publishing *p) {
  watch_link(p);
  doors_tick(p);
  bool too_late;
  if (must_stop(p->relay, &too_late)) return;
  small_groups_run(p);
  if (p->publisher) hand_over(p);
}

/* The round of exactly_once; also the start of at_least_once where a ledger was left. */
static void relay_transactions(struct publishing *p) {
  bool too_late;
  if (must_stop(p->relay, &too_late) || !renew_ready(p) || !p->relay->exactly_once) return;
  watch_link(p);
  doors_tick(p);
  small_groups_run(p);
  transact_next(p);
}

static void tick_waiting(struct relay *r) {
  mutex_lock(&r->lock);
  waiting_tick(&r->waiting, r->parts.store, clock_mono_ms(r->parts.clock), r->in_hand == 0);
  mutex_unlock(&r->lock);
}

bool stage_publish(struct publishing *p) {
  sleep_until_work(p);
  if (p->publisher) publisher_poll(p->publisher, 0);
  bool by_reports = !p->relay->exactly_once && p->ledger.started;
  if (by_reports) replace_if_fatal(p);
  topics_prepare(p);
  if (p->topics_ready && by_reports) relay_reports(p);
  if (p->topics_ready && !by_reports) relay_transactions(p);
  tick_waiting(p->relay);
  push_done(p);
  publish_status(p);
  return !finished(p);
}
