/* What a delivery report means for its entry, and on to the finisher with it. The publisher's
 * thread.
 *
 * at_least_once: an entry's verdict is its own report. exactly_once: a report is only noted, and
 * transact.c judges the batch as a whole.
 * A crash leaves the entries pending; Kafka may have some of them (at_least_once), or none
 * (exactly_once). */
#include "bridge/relay/publish/publish.h"

static void blame_event(struct publishing *p, struct item *item, const struct delivery *d) {
  struct relay *r = p->relay;
  struct verdict v =
      verdict_judge(d->fault, REASON_NONE, item->attempts, relay_tuning_now(r).max_attempts);
  char text[400];
  BUG_ON_RULE(L18, v.outcome != OUTCOME_RETRY && v.outcome != OUTCOME_DEAD);
  snprintf(text, sizeof text, "%s (topic %s)", d->text,
           routing_topic_name(r->parts.routing, item->topic));
  item->outcome = (uint8_t)v.outcome;
  item->attempts = v.attempts;
  item_fail(item, v.reason, d->code, text);
  if (v.outcome == OUTCOME_RETRY) key_waits(p, item);
  if (v.outcome == OUTCOME_DEAD) holds_add(r, item);
}

/* Within a transaction a report decides nothing yet: transact.c reads it when all have come. */
static void note_fault(struct item *item, const struct delivery *delivery) {
  item->fault = (uint8_t)delivery->fault;
  if (delivery->fault != KAFKA_OK) item_fail(item, REASON_NONE, delivery->code, delivery->text);
}

/* at_least_once. False: there is no room to set it apart. */
static bool refused_together(struct publishing *p, struct item *item) {
  if (!p->small_groups.trying) return small_groups_add(p, item);
  BUG_ON(!p->back);
  p->back[p->back_count++] = item;
  return true;
}

/* It stands beside events that bring their own times, and its own is this machine's. */
static void clock_trouble(struct publishing *p, const struct item *item, const struct delivery *d) {
  struct delivery ours = *d;
  ours.fault = KAFKA_CLOCK;
  topic_trouble(p, item->topic, &ours);
}

/* certain: it was refused by itself, not together with others. */
static void judge_report(struct publishing *p, struct item *item, const struct delivery *d,
                         bool certain) {
  struct relay *r = p->relay;
  item->outcome = OUTCOME_HELD;
  if (p->small_groups.trying)
    store_linger(r->parts.store, &item->ref, false); /* before anybody asks for a scan */
  switch (verdict_of_fault(d->fault)) {
  case BLAME_NOBODY:
    BUG_ON_RULE(L8, r->exactly_once && p->ledger.doubt.number);
    item->outcome = OUTCOME_PUBLISHED;
    item->attempts++;
    topic_worked(p, item->topic);
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
    if (!item->event_time && kafka_fault_of(d->code) == KAFKA_CLOCK)
      clock_trouble(p, item, d);
    else
      blame_event(p, item, d);
    break;
  case BLAME_HOPELESS: blame_event(p, item, d); break;
  case BLAME_TOPIC: topic_trouble(p, item->topic, d); break;
  case BLAME_WORLD:
    if (d->fault != KAFKA_PURGED) delivery_trouble(p, d);
    break;
  }
  if (item->outcome !=
      OUTCOME_PUBLISHED) { /* if it was the probe, it told nothing of what it passed */
    doors_unsent(p, item->topic);
    if (item->outcome == OUTCOME_HELD && p->small_groups.trying) small_groups_gave_back(p, item);
  }
  chain_push(&p->done_first, &p->done_last, item);
}

void judge_item(struct publishing *p, struct item *item, const struct delivery *d) {
  judge_report(p, item, d, true);
}

void judge_refused(struct publishing *p, struct item *item, const struct delivery *d) {
  if (p->relay->exactly_once)
    note_fault(item, d);
  else
    judge_report(p, item, d, true);
}

/* A time that the topic does not take is this machine's, else, where events bring their own there,
 * one of them: who stands alone is to blame. */
static struct delivery blamed(const struct relay *r, const struct item *item,
                              const struct delivery *delivery) {
  struct delivery d = *delivery;
  const char *topic = routing_topic_name(r->parts.routing, item->topic);
  if (d.fault == KAFKA_CLOCK && routing_event_times(r->parts.routing, span_of(topic)))
    d.fault = KAFKA_RECORD_REFUSED;
  return d;
}

void publish_report(void *ctx, void *opaque, const struct delivery *delivery) {
  struct publishing *p = ctx;
  struct item *item = opaque;
  struct delivery d = blamed(p->relay, item, delivery);
  item->partition = delivery->partition;
  item->offset = delivery->offset;
  if (!p->relay->exactly_once)
    judge_report(p, item, &d, item->alone);
  else if (!p->aborting)
    note_fault(item, &d);
}

void refuse_topic(struct publishing *p, struct item *item) {
  struct delivery d = {
      .fault = (enum kafka_fault)item->fault, .code = item->error_code, .text = item->error};
  item->outcome = OUTCOME_HELD;
  topic_trouble(p, item->topic, &d);
  chain_push(&p->done_first, &p->done_last, item);
}

void push_done(struct publishing *p) {
  types_tick(p);
  relay_settle(p->relay, p->done_first, p->done_last);
  p->done_first = p->done_last = NULL;
}
