/* Sends what the broker refused together in ever smaller groups, beside the flow, until the culprit
 * stands alone. The publisher's thread.
 * A crash leaves the entries pending. */
#include "bridge/relay/publish/publish.h"

enum { YOUNG_MS = 300 };

/* ---- a group ---- */

/* at_least_once: it goes alone, nothing else in flight; the reports put back what was refused
 * together. False: stop. */
static bool send_group(struct publishing *p, struct item **items, size_t count) {
  p->back = items;
  p->back_count = 0;
  for (size_t i = 0; i < count; i++) {
    struct item *item = items[i];
    item->alone = count == 1;
    while (!publish_item(p, item)) publisher_poll(p->publisher, 10); /* queue full */
  }
  bool whole = publish_wait(p);
  size_t back = p->back_count;
  bool smaller = back > 1 && topic_batches_refused(p, items, back);
  if (back) small_groups_back(p, items, back, smaller ? back : count / 2);
  if (smaller && whole) { /* nothing is in flight: the next producer makes smaller batches */
    publish_close(p);
    p->topics_ready = false;
  }
  return whole;
}

static bool run_group(struct publishing *p) {
  struct small_groups *s = &p->small_groups;
  struct item **items;
  if (!p->relay->exactly_once && (p->link_down || !publish_wait(p))) return false;
  size_t n = small_groups_take(p, &items);
  s->trying = true;
  s->refused = false;
  bool go_on = p->relay->exactly_once ? transact_group(p, items, n) : send_group(p, items, n);
  s->trying = false;
  if (!s->refused) s->group = n < SIZE_MAX / 4 ? 2 * n : n;
  return go_on && p->publisher;
}

/* ---- a topic's door ---- */

static void tell_topic(struct relay *r, unsigned topic, struct small_groups_topic *t) {
  t->told = true;
  mutex_lock(&r->lock);
  status_breaker(r, routing_topic_name(r->parts.routing, topic), BREAKER_PROBING,
                 "the broker refuses many of its events; they are tried one by one",
                 "busbridge list shows why; the other topics go on meanwhile");
  mutex_unlock(&r->lock);
}

static void open_door(struct publishing *p, unsigned topic, struct small_groups_topic *t) {
  struct relay *r = p->relay;
  if (t->held) p->topics[topic].from = order_scan(r);
  if (t->told && p->topics[topic].state == BREAKER_CLOSED) {
    mutex_lock(&r->lock);
    status_breaker(r, routing_topic_name(r->parts.routing, topic), BREAKER_CLOSED, "", "");
    mutex_unlock(&r->lock);
  }
  t->held = t->told = false;
}

static void tend_doors(struct publishing *p, bool young) {
  for (unsigned i = 0; i < routing_topics(p->relay->parts.routing); i++) {
    struct small_groups_topic *t = &p->small_groups.topics[i];
    if (t->suspects && !young && !t->told) tell_topic(p->relay, i, t);
    if (!t->suspects && (t->held || t->told)) open_door(p, i, t);
  }
}

void small_groups_run(struct publishing *p) {
  struct small_groups *s = &p->small_groups;
  bool young = true, go_on = true;
  while (go_on && young && !small_groups_idle(p)) {
    go_on = run_group(p);
    young = clock_mono_ms(p->relay->parts.clock) - s->since_ms < YOUNG_MS;
    push_done(p);
  }
  tend_doors(p, young);
}
