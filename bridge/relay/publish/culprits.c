/* Who is to blame for a transaction that was aborted, as far as its reports say so, and how the
 * others go on (L18). The publisher's thread. A crash leaves the transaction as it is: aborted. */
#include "bridge/relay/publish/publish.h"

static void blame(struct publishing *p, struct item *item) {
  struct delivery d = {.fault = (enum kafka_fault)item->fault,
                       .code = item->error_code,
                       .text = item->error ? item->error : "",
                       .partition = -1,
                       .offset = -1};
  judge_item(p, item, &d);
}

size_t culprits_take_out(struct publishing *p, struct item **items, size_t count, size_t *middle) {
  size_t kept = 0, suspects = 0, passed = 0;
  bool alone = count == 1;
  for (size_t i = 0; i < count; i++) {
    enum blame whose = verdict_of_fault((enum kafka_fault)items[i]->fault);
    if (whose == BLAME_HOPELESS || whose == BLAME_TOPIC || (whose == BLAME_REFUSED && alone)) {
      BUG_ON_RULE(L18, whose == BLAME_REFUSED && count != 1);
      blame(p, items[i]);
    } else {
      items[kept++] = items[i];
    }
  }
  for (size_t i = 0; i < kept; i++) suspects += items[i]->fault == KAFKA_RECORD_REFUSED;
  *middle = kept;
  for (size_t i = 0; i < kept; i++)
    if (items[i]->fault == KAFKA_RECORD_REFUSED && passed++ == suspects / 2) *middle = i;
  push_done(p);
  return kept;
}

size_t culprits_part_topics(struct item **items, size_t count) {
  unsigned topic = items[0]->topic;
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (items[i]->topic != topic) continue;
    struct item *item = items[i];
    memmove(&items[n + 1], &items[n], (i - n) * sizeof *items);
    items[n++] = item;
  }
  return n;
}

void culprits_deny(struct publishing *p, struct item **items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    BUG_ON(items[i]->topic != items[0]->topic);
    items[i]->fault = KAFKA_TOPIC_DENIED;
    items[i]->error = "Broker: Topic authorization failed";
    blame(p, items[i]);
  }
  push_done(p);
}

/* Those of topics that refused nothing first, the others behind them, each in their order. Returns
 * how many the first are. */
static size_t part_refused(const struct publishing *p, struct item **items, size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) {
    if (p->small_groups.topics[items[i]->topic].refused) continue;
    struct item *item = items[i];
    memmove(&items[n + 1], &items[n], (i - n) * sizeof *items);
    items[n++] = item;
  }
  return n;
}

static void mark_refused(struct publishing *p, struct item **items, size_t count, bool refused) {
  for (size_t i = 0; i < count; i++)
    if (!refused || items[i]->fault == KAFKA_RECORD_REFUSED)
      p->small_groups.topics[items[i]->topic].refused = refused;
}

/* Of topics that refused some of them: beside the flow from here on, first those in front of the
 * middle one. */
static void look_apart(struct publishing *p, struct item **items, size_t count) {
  size_t suspects = 0, passed = 0, middle = 0;
  for (size_t i = 0; i < count; i++) suspects += items[i]->fault == KAFKA_RECORD_REFUSED;
  BUG_ON(!suspects);
  while (items[middle]->fault != KAFKA_RECORD_REFUSED || passed++ < suspects / 2) middle++;
  if (p->small_groups.trying) {
    small_groups_back(p, items, count, middle);
    return;
  }
  bool first = small_groups_idle(p);
  for (size_t i = 0; i < count; i++)
    if (!small_groups_add(p, items[i])) refuse_topic(p, items[i]);
  if (first) p->small_groups.group = middle ? middle : 1;
}

size_t culprits_set_apart(struct publishing *p, struct item **items, size_t count) {
  mark_refused(p, items, count, true);
  size_t others = part_refused(p, items, count);
  mark_refused(p, items, count, false);
  look_apart(p, items + others, count - others);
  return others;
}
