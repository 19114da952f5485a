/* Keeps what is set apart, in its order, until it goes in a group or back. The publisher's thread.
 * A crash leaves the entries pending. */
#include "bridge/relay/publish/publish.h"

bool small_groups_idle(const struct publishing *p) {
  return p->small_groups.first == p->small_groups.end;
}

bool small_groups_holds(struct publishing *p, const struct item *item) {
  struct small_groups_topic *t = &p->small_groups.topics[item->topic];
  if (!t->suspects) return false;
  t->held = true;
  return true;
}

static bool grow(struct small_groups *s) {
  if (s->first == s->end) s->first = s->end = 0;
  if (s->end < s->cap) return true;
  size_t cap = s->cap ? s->cap * 2 : 256;
  struct item **grown = realloc(s->items, cap * sizeof *grown);
  if (!grown) return false;
  s->items = grown;
  s->cap = cap;
  return true;
}

static bool keep_batch(struct small_groups *s, const struct batch *batch) {
  size_t free_at = SMALL_GROUPS_BATCHES;
  for (size_t i = 0; i < SMALL_GROUPS_BATCHES; i++) {
    if (s->kept[i].items && s->kept[i].batch == batch) {
      s->kept[i].items++;
      return true;
    }
    if (!s->kept[i].items) free_at = i;
  }
  if (free_at == SMALL_GROUPS_BATCHES) return false;
  s->kept[free_at].batch = batch;
  s->kept[free_at].items = 1;
  return true;
}

static void count_in(struct publishing *p, const struct item *item) {
  p->small_groups.topics[item->topic].suspects += item->attempts == 0;
}

bool small_groups_add(struct publishing *p, struct item *item) {
  struct relay *r = p->relay;
  struct small_groups *s = &p->small_groups;
  bool first = small_groups_idle(p) && !s->trying;
  if (!grow(s) || !keep_batch(s, item->batch)) return false;
  batch_set_apart(r, item->batch);
  if (first) {
    s->since_ms = clock_mono_ms(r->parts.clock);
    s->group = item->attempts ? 1 : SIZE_MAX / 2;
  }
  s->items[s->end++] = item;
  if (first && item->attempts == 0)
    log_write(
        r->parts.log, LOG_INFO, "relay", "isolating",
        FIELDS(F_TEXT("topic", routing_topic_name(r->parts.routing, item->topic))),
        "The broker refused events together; the ones it means are looked for beside the flow");
  count_in(p, item);
  store_linger(r->parts.store, &item->ref, true);
  return true;
}

bool small_groups_divert(struct publishing *p, struct item *item) {
  if (item->attempts == 0 || item->suspected) {
    if (small_groups_holds(p, item)) item->outcome = OUTCOME_HELD;
    return false;
  }
  bool passes = may_pass(p, item); /* else it waits for an earlier one of its key */
  if (passes) key_waits(p, item);
  if (passes && small_groups_add(p, item)) return true;
  item->outcome = OUTCOME_HELD;
  return false;
}

/* It has left for a try: it is counted again if it comes back. */
static void take_out(struct publishing *p, const struct item *item) {
  struct small_groups *s = &p->small_groups;
  BUG_ON(item->attempts == 0 && !s->topics[item->topic].suspects);
  s->topics[item->topic].suspects -= item->attempts == 0;
  for (size_t i = 0; i < SMALL_GROUPS_BATCHES; i++)
    if (s->kept[i].items && s->kept[i].batch == item->batch) {
      s->kept[i].items--;
      return;
    }
}

size_t small_groups_take(struct publishing *p, struct item ***items) {
  struct small_groups *s = &p->small_groups;
  size_t left = s->end - s->first, n = s->group < left ? s->group : left;
  BUG_ON(n == 0 || s->trying);
  *items = s->items + s->first;
  for (size_t i = 0; i < n; i++) take_out(p, (*items)[i]);
  s->first += n;
  return n;
}

/* They stood in front of `first` a moment ago, so there is room. */
void small_groups_back(struct publishing *p, struct item **items, size_t count, size_t group) {
  struct small_groups *s = &p->small_groups;
  BUG_ON(count > s->first);
  s->first -= count;
  memmove(s->items + s->first, items, count * sizeof *items);
  for (size_t i = s->first; i < s->first + count; i++) {
    count_in(p, s->items[i]);
    store_linger(p->relay->parts.store, &s->items[i]->ref, true);
    BUG_ON(!keep_batch(
        s, s->items[i]->batch)); /* its place is still free: nothing is added meanwhile */
  }
  s->refused = true;
  s->group = group ? group : 1;
}

void small_groups_gave_back(struct publishing *p, const struct item *item) {
  store_linger(p->relay->parts.store, &item->ref,
               false); /* the scan that is about to be asked for is to find it */
  p->small_groups.topics[item->topic].held = true;
}

void small_groups_give_back(struct publishing *p) {
  struct small_groups *s = &p->small_groups;
  for (; s->first < s->end; s->first++) {
    struct item *item = s->items[s->first];
    take_out(p, item);
    small_groups_gave_back(p, item);
    item->outcome = OUTCOME_HELD;
    chain_push(&p->done_first, &p->done_last, item);
  }
}
