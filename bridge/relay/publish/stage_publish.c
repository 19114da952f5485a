/* The fifth stage: prepared batches to Kafka, and what the delivery reports say of them.
 *
 * at_least_once: an entry's verdict is its own delivery report. What was handed to librdkafka stays
 * in hand until that report and is never sent again by us; an open door only stops handing over
 * more. exactly_once: transact.c puts a transaction with its position in the ledger around each
 * batch, and judges it as a whole.
 */
#include "bridge/relay/parts.h"

#include <unistd.h>

static const struct backoff topic_wait = {.base_ms = 1000, .max_ms = 30000, .jitter_ms = 250};

static struct breaker *topic_breaker(struct publishing *p, unsigned topic) {
  return &p->topics[topic];
}

static const char *topic_name(const struct relay *r, unsigned topic) {
  return routing_topic_name(r->parts.routing, topic);
}

static void show(struct relay *r, const char *target, const struct breaker *b, const char *remedy) {
  mutex_lock(&r->lock);
  status_breaker(r, target, b->state, b->reason, remedy);
  mutex_unlock(&r->lock);
}

/* ---- verdicts ---- */

static void topic_trouble(struct publishing *p, unsigned topic, const struct delivery *d) {
  struct relay *r = p->relay;
  char remedy[400], words[256];
  struct breaker *b = topic_breaker(p, topic);
  if (b->state == BREAKER_OPEN) return; /* others that were under way with the first one */
  if (d->fault == KAFKA_CLOCK)
    clock_words(p, d->text, words, sizeof words);
  else
    snprintf(words, sizeof words, "%s", d->text);
  bool first = breaker_trouble(b, &topic_wait, r->parts.clock, words);
  topic_remedy(r, topic, d->fault, remedy, sizeof remedy);
  show(r, topic_name(r, topic), b, remedy);
  if (first)
    log_write(r->parts.log, LOG_ERROR, "relay", "topic_unavailable",
              FIELDS(F_TEXT("topic", topic_name(r, topic)), F_INT("error_code", d->code),
                     F_TEXT("error", words)),
              "Events of this topic wait, the others go on. %s", remedy);
}

void kafka_trouble(struct publishing *p, const struct error *why, int code) {
  struct relay *r = p->relay;
  struct relay_tuning tuning = relay_tuning_now(r);
  char remedy[400];
  bool first = breaker_trouble(&p->kafka, &tuning.quick, r->parts.clock, why->text);
  kafka_remedy((enum kafka_cause)why->cause, &p->client, r->config.ledger_topic, remedy,
               sizeof remedy);
  show(r, "kafka", &p->kafka, remedy);
  if (first)
    log_write(r->parts.log, LOG_ERROR, "relay", "kafka_unavailable",
              FIELDS(F_INT("error_code", code), F_TEXT("error", why->text)),
              "Kafka does not take records; everything stays pending and goes on by itself. %s",
              remedy);
}

static void delivery_trouble(struct publishing *p, const struct delivery *d) {
  struct error why = {0};
  error_set(&why, ST_UNAVAILABLE, "%s", d->text);
  why.cause = kafka_cause_of(d->code, d->text);
  kafka_trouble(p, &why, d->code);
}

/* What went back as held comes again, in front of what is newer. */
uint64_t order_scan(struct relay *r) {
  uint64_t generation = store_rescan_settled(r->parts.store);
  mutex_lock(&r->lock);
  r->order_scan = generation;
  mutex_unlock(&r->lock);
  return generation;
}

static void door_opens(struct relay *r, struct breaker *b, const char *target) {
  if (b->state == BREAKER_CLOSED) return;
  breaker_reopen(b, order_scan(r));
  show(r, target, b, "");
  log_write(r->parts.log, LOG_INFO, "relay", "breaker_closed", FIELDS(F_TEXT("target", target)),
            "%s takes records again", target);
}

void kafka_worked(struct publishing *p) {
  door_opens(p->relay, &p->kafka, "kafka");
}

static void blame_event(struct relay *r, struct item *item, const struct delivery *d) {
  struct verdict v =
      verdict_judge(d->fault, REASON_NONE, item->attempts, relay_tuning_now(r).max_attempts);
  char text[400];
  BUG_ON_RULE(L18, v.outcome != OUTCOME_RETRY && v.outcome != OUTCOME_DEAD);
  snprintf(text, sizeof text, "%s (topic %s)", d->text, topic_name(r, item->topic));
  item->outcome = (uint8_t)v.outcome;
  item->attempts = v.attempts;
  item_fail(item, v.reason, d->code, text);
  if (v.outcome == OUTCOME_RETRY) key_waits(r, item);
  if (v.outcome == OUTCOME_DEAD) holds_add(r, item);
}

/* Within a transaction a report decides nothing yet: transact.c reads it when all have come. */
static void note_fault(struct item *item, const struct delivery *delivery) {
  item->fault = (uint8_t)delivery->fault;
  if (delivery->fault != KAFKA_OK) item_fail(item, REASON_NONE, delivery->code, delivery->text);
}

/* at_least_once. False: there is no room to set it apart. */
static bool refused_together(struct publishing *p, struct item *item) {
  if (!p->sift.trying) return sift_add(p, item);
  BUG_ON(!p->back);
  p->back[p->back_count++] = item;
  return true;
}

/* certain: it was refused by itself, not together with others. */
static void judge(struct publishing *p, struct item *item, const struct delivery *d, bool certain) {
  struct relay *r = p->relay;
  item->outcome = OUTCOME_HELD;
  if (p->sift.trying)
    store_linger(r->parts.store, &item->ref, false); /* before anybody asks for a scan */
  switch (verdict_of_fault(d->fault)) {
  case BLAME_NOBODY:
    BUG_ON_RULE(L8, r->exactly_once && p->ledger.doubt.number);
    item->outcome = OUTCOME_PUBLISHED;
    item->attempts++;
    door_opens(r, &p->kafka, "kafka");
    door_opens(r, topic_breaker(p, item->topic), topic_name(r, item->topic));
    break;
  case BLAME_REFUSED:
    if (!certain) {
      item->outcome = OUTCOME_SEND;
      note_fault(item, d);
      if (refused_together(p, item)) return;
      item->outcome = OUTCOME_HELD;
      topic_trouble(p, item->topic, d);
      break;
    }
    blame_event(r, item, d);
    break;
  case BLAME_HOPELESS: blame_event(r, item, d); break;
  case BLAME_TOPIC: topic_trouble(p, item->topic, d); break;
  case BLAME_WORLD:
    if (d->fault != KAFKA_PURGED) delivery_trouble(p, d);
    break;
  }
  if (item->outcome !=
      OUTCOME_PUBLISHED) { /* if it was the probe, it told nothing of what it passed */
    breaker_unsent(&p->kafka);
    breaker_unsent(topic_breaker(p, item->topic));
    if (item->outcome == OUTCOME_HELD && p->sift.trying) sift_gave_back(p, item);
  }
  chain_push(&p->done_first, &p->done_last, item);
}

void judge_item(struct publishing *p, struct item *item, const struct delivery *d) {
  judge(p, item, d, true);
}

void publish_report(void *ctx, void *opaque, const struct delivery *delivery) {
  struct publishing *p = ctx;
  struct item *item = opaque;
  item->partition = delivery->partition;
  item->offset = delivery->offset;
  if (!p->relay->exactly_once)
    judge(p, item, delivery, item->alone);
  else if (!p->aborting)
    note_fault(item, delivery);
}

/* ---- handing over ---- */

enum { HEADERS = 8 };

/* Those that it has. Returns how many. */
static size_t put_headers(const struct relay *r, const struct item *item, char when[TIME_TEXT],
                          struct record_header headers[HEADERS]) {
  const struct record_header all[HEADERS] = {
      {"ce_specversion", SPAN("1.0")},
      {"ce_id", item->id},
      {"ce_type", item->name},
      {"ce_source", span_of(r->config.ce_source)},
      {"ce_time", span_of(time_format(item->created_us, when))},
      {"content-type", span_of(catalog_content_type(r->parts.catalog))},
      {"traceparent", item->traceparent},
      {"ce_extra", item->carried},
  };
  size_t count = 6; /* these are always there */
  memcpy(headers, all, count * sizeof *all);
  for (size_t i = count; i < HEADERS; i++)
    if (all[i].value.len) headers[count++] = all[i];
  return count;
}

bool publish_item(struct publishing *p, struct item *item) {
  struct relay *r = p->relay;
  char when[TIME_TEXT];
  struct record_header headers[HEADERS];
  size_t header_count = put_headers(r, item, when, headers);
  struct record record = {.topic = item->topic,
                          .key = item->key,
                          .value = item->value,
                          .headers = headers,
                          .header_count = header_count,
                          .opaque = item};
  struct delivery refused = {.text = ""};
  item->handed_ns = clock_mono_ns(r->parts.clock);
  hands_take(r->parts.hands, HAND_PUBLISHER, item->ref.place, item->ref.name);
  enum kafka_fault fault = publisher_send(p->publisher, &record, &refused);
  hands_drop(r->parts.hands, HAND_PUBLISHER);
  if (fault == KAFKA_QUEUE_FULL) return false;
  if (fault == KAFKA_OK) {
    breaker_sent(&p->kafka);
    breaker_sent(topic_breaker(p, item->topic));
  } else if (r->exactly_once) {
    note_fault(item, &refused);
  } else {
    judge(p, item, &refused, true);
  }
  return true;
}

struct item *next_item(struct publishing *p) {
  struct relay *r = p->relay;
  while (!p->current || p->position == p->current->count) {
    if (p->current) batch_drop(r, p->current, 1);
    p->position = 0;
    mutex_lock(&r->lock);
    p->current = r->ready_first;
    if (p->current) r->ready_first = p->current->next;
    if (!r->ready_first) r->ready_last = NULL;
    mutex_unlock(&r->lock);
    if (!p->current) return NULL;
  }
  return &p->current->items[p->position];
}

void key_waits(struct relay *r, const struct item *item) {
  mutex_lock(&r->lock);
  if (!waiting_add(&r->waiting, item->topic, item->key, item->ref.name, item->generation))
    log_write(r->parts.log, LOG_WARNING, "relay", "key_not_held", FIELDS(F_SPAN("id", item->id)),
              "Out of memory: later events of this key may overtake it");
  mutex_unlock(&r->lock);
}

bool may_pass(struct publishing *p, struct item *item) {
  struct relay *r = p->relay;
  mutex_lock(&r->lock);
  bool held =
      r->paused || item->generation < r->resumed ||
      waiting_holds(&r->waiting, item->topic, item->key, item->ref.name, item->generation) ||
      holds_key(&r->holds, topic_name(r, item->topic), item);
  mutex_unlock(&r->lock);
  item->key_held = held;
  return !held && breaker_passes(&p->kafka, item->generation) &&
         breaker_passes(topic_breaker(p, item->topic), item->generation);
}

/* While the link is down one record at a time is the probe: librdkafka itself tries again until it
 * gets through. */
static bool may_send(const struct publishing *p) {
  return !p->link_down || publisher_in_flight(p->publisher) == 0;
}

void refuse_topic(struct publishing *p, struct item *item) {
  struct delivery d = {
      .fault = (enum kafka_fault)item->fault, .code = item->error_code, .text = item->error};
  item->outcome = OUTCOME_HELD;
  topic_trouble(p, item->topic, &d);
  chain_push(&p->done_first, &p->done_last, item);
}

static void hand_over(struct publishing *p) {
  struct item *item;
  BUG_ON_RULE(L19, !p->ledger.started);
  p->queue_full = false;
  while ((item = next_item(p))) {
    if (item->outcome == OUTCOME_SEND) {
      if (!may_send(p)) return;
      if (set_apart(p, item)) {
        p->position++;
        continue;
      }
      if (item->outcome == OUTCOME_HELD || !may_pass(p, item))
        item->outcome = OUTCOME_HELD;
      else if (!publish_item(p, item)) {
        p->queue_full = true;
        return;
      } else {
        p->position++;
        continue;
      }
    }
    p->position++;
    if (item->outcome == OUTCOME_WAITS) key_waits(p->relay, item);
    if (item->outcome == OUTCOME_DEAD) holds_add(p->relay, item);
    if (item->outcome != OUTCOME_TWIN)
      chain_push(&p->done_first, &p->done_last, item); /* a twin goes with its head */
  }
}

static void give_back_unsent(struct publishing *p) {
  for (struct item *item; (item = next_item(p)); p->position++) {
    if (item->outcome == OUTCOME_TWIN) continue;
    if (item->outcome == OUTCOME_SEND) item->outcome = OUTCOME_HELD;
    chain_push(&p->done_first, &p->done_last, item);
  }
  sift_give_back(p);
}

void push_done(struct publishing *p) {
  relay_settle(p->relay, p->done_first, p->done_last);
  p->done_first = p->done_last = NULL;
}

/* ---- the round ---- */

static void tick_breaker(struct publishing *p, struct breaker *b, const char *target,
                         unsigned topic, bool idle) {
  struct relay *r = p->relay;
  if (breaker_due(b, r->parts.clock)) {
    if (b != &p->kafka) topic_create(p, topic);
    breaker_probe(b, order_scan(r));
    show(r, target, b, "A probe is under way");
  } else if (b->state == BREAKER_PROBING && !b->probe_sent && idle &&
             store_scanned(r->parts.store, b->from)) {
    door_opens(r, b, target); /* nothing is left to try it with */
  }
}

static void tick_breakers(struct publishing *p) {
  struct relay *r = p->relay;
  mutex_lock(&r->lock);
  bool idle = r->in_hand == 0;
  mutex_unlock(&r->lock);
  tick_breaker(p, &p->kafka, "kafka", 0, idle);
  for (unsigned i = 0; i < routing_topics(r->parts.routing); i++)
    tick_breaker(p, topic_breaker(p, i), topic_name(r, i), i, idle);
}

void watch_link(struct publishing *p) {
  struct relay *r = p->relay;
  struct error err = {0};
  bool down = publisher_link(p->publisher, &err) == LINK_DOWN;
  if (down == p->link_down && (!down || err.cause == p->link_cause)) return;
  p->link_down = down;
  p->link_cause = err.cause;
  if (down)
    away_tell(r, &err, true);
  else
    log_write(r->parts.log, LOG_INFO, "relay", "kafka_back", NO_FIELDS, "Kafka answers again");
  mutex_lock(&r->lock);
  if (down)
    away_show(r, &err);
  else
    status_breaker(r, "kafka", p->kafka.state, p->kafka.reason, "See the broker's log");
  mutex_unlock(&r->lock);
}

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
  else if (!sift_idle(p))
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

bool publish_wait(struct publishing *p) {
  bool too_late = false;
  while (publisher_in_flight(p->publisher)) {
    publisher_poll(p->publisher, 50);
    publish_status(p);
    if (must_stop(p->relay, &too_late) && too_late) return false;
  }
  return true;
}

static bool finished(struct publishing *p) {
  bool too_late;
  if (!must_stop(p->relay, &too_late)) return false;
  give_back_unsent(p);
  push_done(p);
  return too_late || !p->publisher || publisher_in_flight(p->publisher) == 0;
}

/* The round of at_least_once. */
static void relay_reports(struct publishing *p) {
  watch_link(p);
  tick_breakers(p);
  bool too_late;
  if (must_stop(p->relay, &too_late)) return;
  sift_run(p);
  if (p->publisher) hand_over(p);
}

/* The round of exactly_once; also the start of at_least_once where a ledger was left. */
static void relay_transactions(struct publishing *p) {
  bool too_late;
  if (must_stop(p->relay, &too_late) || !renew_ready(p) || !p->relay->exactly_once) return;
  watch_link(p);
  tick_breakers(p);
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
