/* isolate.c - only the culprit pays. A broker refuses a whole record batch and librdkafka does not name the record it
 * meant: the events refused together are sent again in halves, nothing else in flight, until each was acknowledged or
 * refused by itself.
 */
#include "bridge/relay/parts.h"

void suspect_add(struct relay *r, struct item *item) {
  if (r->suspect_count == r->suspect_cap) {
    size_t cap = r->suspect_cap ? r->suspect_cap * 2 : 256;
    struct item **grown = realloc(r->suspects, cap * sizeof *grown);
    if (!grown) { /* out of memory: given back, a later scan brings it again */
      item->outcome = OUTCOME_HELD;
      chain_push(&r->done_first, &r->done_last, item);
      return;
    }
    r->suspects = grown;
    r->suspect_cap = cap;
  }
  r->suspects[r->suspect_count++] = item;
}

/* Send these and wait for their reports. Those refused together again stand in r->suspects afterwards. False: stop. */
static bool try_again(struct relay *r, struct item **items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    items[i]->alone = count == 1;
    while (!publish_item(r, items[i])) publisher_poll(r->publisher, 10); /* queue full */
  }
  return publish_wait(r);
}

/* items is a copy of its own: r->suspects is used again below. */
static bool narrow_down(struct relay *r, struct item **items, size_t count) {
  for (size_t half = 0; half < 2; half++) {
    size_t from = half ? count / 2 : 0, n = half ? count - count / 2 : count / 2;
    if (n == 0) continue;
    r->suspect_count = 0;
    if (!try_again(r, items + from, n)) return false;
    size_t left = r->suspect_count;
    if (left == 0) continue;
    if ((r->smaller = topic_batches_refused(r, r->suspects, left))) return false;
    struct item **copy = malloc(left * sizeof *copy);
    if (!copy) return false;
    memcpy(copy, r->suspects, left * sizeof *copy);
    bool go_on = narrow_down(r, copy, left);
    free(copy);
    if (!go_on) return false;
  }
  return true;
}

/* Their batches were too large, not they: all again with a producer that makes smaller ones. Nothing is in flight. */
static void make_smaller(struct relay *r) {
  r->smaller = false;
  for (size_t i = 0; i < r->suspect_count; i++) r->suspects[i]->fault = KAFKA_OK;
  publish_close(r);
  r->topics_ready = false;
}

void isolate_suspects(struct relay *r) {
  size_t count = r->suspect_count;
  if (topic_batches_refused(r, r->suspects, count)) {
    make_smaller(r);
    return;
  }
  log_write(r->parts.log, LOG_INFO, "relay", "isolating", FIELDS(F_INT("events", count)),
            "The broker refused %zu events together; looking for the one it means", count);
  struct item **all = r->suspects;
  r->suspects = NULL;
  r->suspect_count = r->suspect_cap = 0;
  if (!narrow_down(r, all, count)) { /* smaller batches, stopping, or out of memory: those without a verdict go back */
    r->suspect_count = 0;
    for (size_t i = 0; i < count; i++)
      if (all[i]->outcome == OUTCOME_SEND && !all[i]->alone) suspect_add(r, all[i]);
    if (r->smaller) make_smaller(r);
  } else {
    r->suspect_count = 0;
  }
  free(all);
}
