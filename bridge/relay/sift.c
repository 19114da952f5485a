#include "bridge/relay/parts.h"

enum { YOUNG_MS = 300 };

bool sift_idle(const struct relay *r) {
  return r->sift.first == r->sift.end;
}

bool sift_holds(struct relay *r, const struct item *item) {
  struct sifted *t = &r->sift.topics[item->topic];
  if (!t->suspects) return false;
  t->held = true;
  return true;
}

/* ---- what is here ---- */

static bool grow(struct sift *s) {
  if (s->first == s->end) s->first = s->end = 0;
  if (s->end < s->cap) return true;
  size_t cap = s->cap ? s->cap * 2 : 256;
  struct item **grown = realloc(s->items, cap * sizeof *grown);
  if (!grown) return false;
  s->items = grown;
  s->cap = cap;
  return true;
}

static bool keep_batch(struct sift *s, const struct batch *batch) {
  size_t free_at = SIFT_BATCHES;
  for (size_t i = 0; i < SIFT_BATCHES; i++) {
    if (s->kept[i].items && s->kept[i].batch == batch) {
      s->kept[i].items++;
      return true;
    }
    if (!s->kept[i].items) free_at = i;
  }
  if (free_at == SIFT_BATCHES) return false;
  s->kept[free_at].batch = batch;
  s->kept[free_at].items = 1;
  return true;
}

static void count_in(struct relay *r, const struct item *item) {
  r->sift.topics[item->topic].suspects += item->attempts == 0;
}

bool sift_add(struct relay *r, struct item *item) {
  struct sift *s = &r->sift;
  bool first = sift_idle(r) && !s->trying;
  if (!grow(s) || !keep_batch(s, item->batch)) return false;
  if (first) {
    s->since_ms = clock_mono_ms(r->parts.clock);
    s->group = item->attempts ? 1 : SIZE_MAX / 2;
  }
  s->items[s->end++] = item;
  if (first && item->attempts == 0)
    log_write(r->parts.log, LOG_INFO, "relay", "isolating",
              FIELDS(F_TEXT("topic", routing_topic_name(r->parts.routing, item->topic))),
              "The broker refused events together; the ones it means are looked for beside the flow");
  count_in(r, item);
  store_linger(r->parts.store, &item->ref, true);
  return true;
}

bool set_apart(struct relay *r, struct item *item) {
  if (item->attempts == 0 || item->suspected) {
    if (sift_holds(r, item)) item->outcome = OUTCOME_HELD;
    return false;
  }
  bool passes = may_pass(r, item); /* else it waits for an earlier one of its key */
  if (passes) key_waits(r, item);
  if (passes && sift_add(r, item)) return true;
  item->outcome = OUTCOME_HELD;
  return false;
}

/* It has left for a try: it is counted again if it comes back. */
static void take_out(struct relay *r, const struct item *item) {
  struct sift *s = &r->sift;
  s->topics[item->topic].suspects -= item->attempts == 0;
  for (size_t i = 0; i < SIFT_BATCHES; i++)
    if (s->kept[i].items && s->kept[i].batch == item->batch) {
      s->kept[i].items--;
      return;
    }
}

/* They stood in front of `first` a moment ago, so there is room. */
void sift_back(struct relay *r, struct item **items, size_t count, size_t group) {
  struct sift *s = &r->sift;
  s->first -= count;
  memmove(s->items + s->first, items, count * sizeof *items);
  for (size_t i = s->first; i < s->first + count; i++) {
    count_in(r, s->items[i]);
    store_linger(r->parts.store, &s->items[i]->ref, true);
    BUG_ON(!keep_batch(s, s->items[i]->batch)); /* its place is still free: nothing is added meanwhile */
  }
  s->refused = true;
  s->group = group ? group : 1;
}

void sift_gave_back(struct relay *r, const struct item *item) {
  store_linger(r->parts.store, &item->ref, false); /* the scan that is about to be asked for is to find it */
  r->sift.topics[item->topic].held = true;
}

/* ---- a group ---- */

/* at_least_once: it goes alone, nothing else in flight; the reports put back what was refused together. False: stop. */
static bool send_group(struct relay *r, struct item **items, size_t count) {
  r->back = items;
  r->back_count = 0;
  for (size_t i = 0; i < count; i++) {
    struct item *item = items[i];
    item->alone = count == 1;
    while (!publish_item(r, item)) publisher_poll(r->publisher, 10); /* queue full */
  }
  bool whole = publish_wait(r);
  size_t back = r->back_count;
  bool smaller = back > 1 && topic_batches_refused(r, items, back);
  if (back) sift_back(r, items, back, smaller ? back : count / 2);
  if (smaller && whole) { /* nothing is in flight: the next producer makes smaller batches */
    publish_close(r);
    r->topics_ready = false;
  }
  return whole;
}

static bool step(struct relay *r) {
  struct sift *s = &r->sift;
  if (!r->exactly_once && (r->link_down || !publish_wait(r))) return false;
  size_t left = s->end - s->first, n = s->group < left ? s->group : left;
  struct item **items = s->items + s->first;
  for (size_t i = 0; i < n; i++) take_out(r, items[i]);
  s->first += n;
  s->trying = true;
  s->refused = false;
  bool go_on = r->exactly_once ? transact_group(r, items, n) : send_group(r, items, n);
  s->trying = false;
  if (!s->refused) s->group = n < SIZE_MAX / 4 ? 2 * n : n;
  return go_on && r->publisher;
}

/* ---- a topic's door ---- */

static void tell(struct relay *r, unsigned topic, struct sifted *t) {
  t->told = true;
  pthread_mutex_lock(&r->lock);
  status_breaker(r, routing_topic_name(r->parts.routing, topic), BREAKER_PROBING,
                 "the broker refuses many of its events; they are tried one by one",
                 "busbridge list shows why; the other topics go on meanwhile");
  pthread_mutex_unlock(&r->lock);
}

static void open_door(struct relay *r, unsigned topic, struct sifted *t) {
  if (t->held) r->topics[topic].from = order_scan(r);
  if (t->told && r->topics[topic].state == BREAKER_CLOSED) {
    pthread_mutex_lock(&r->lock);
    status_breaker(r, routing_topic_name(r->parts.routing, topic), BREAKER_CLOSED, "", "");
    pthread_mutex_unlock(&r->lock);
  }
  t->held = t->told = false;
}

static void tend_doors(struct relay *r, bool young) {
  for (unsigned i = 0; i < routing_topics(r->parts.routing); i++) {
    struct sifted *t = &r->sift.topics[i];
    if (t->suspects && !young && !t->told) tell(r, i, t);
    if (!t->suspects && (t->held || t->told)) open_door(r, i, t);
  }
}

void sift_run(struct relay *r) {
  struct sift *s = &r->sift;
  bool young = true, go_on = true;
  while (go_on && young && !sift_idle(r)) {
    go_on = step(r);
    young = clock_mono_ms(r->parts.clock) - s->since_ms < YOUNG_MS;
    push_done(r);
  }
  tend_doors(r, young);
}

void sift_give_back(struct relay *r) {
  struct sift *s = &r->sift;
  for (; s->first < s->end; s->first++) {
    struct item *item = s->items[s->first];
    take_out(r, item);
    sift_gave_back(r, item);
    item->outcome = OUTCOME_HELD;
    chain_push(&r->done_first, &r->done_last, item);
  }
}
