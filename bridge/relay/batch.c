/* Batches, from the pool and back to it when their last item is settled; chains of items for the
 * finisher; waking and waiting.
 * Any thread, under relay.lock; a crash leaves nothing. */
#include "bridge/relay/parts.h"

#include <unistd.h>

enum { TURN_MS = 1000 };

/* Lock held. The last one stays there until something is set apart: without that it would only be
 * read ahead into, at the cost of its memory. */
static bool may_take(const struct relay *r) {
  return r->recovered && r->pool && (r->pool->next || r->apart);
}

struct batch *batch_take(struct relay *r) {
  mutex_lock(&r->lock);
  relay_beat(r, &r->reader_us);
  while (!may_take(r) && !r->stopping) {
    relay_wait_ms(r, TURN_MS);
    relay_beat(r, &r->reader_us);
  }
  struct batch *b = r->stopping ? NULL : r->pool;
  if (b) r->pool = b->next;
  mutex_unlock(&r->lock);
  if (!b) return NULL;
  BUG_ON(b->holders); /* it came to the pool with the last of them */
  b->next = NULL;
  b->count = b->bytes = 0;
  b->holders = 1;
  buffer_clear(&b->values);
  arena_reset(&b->arena);
  return b;
}

/* The array never grows while others hold pointers into it: a batch is given its room before its
 * first item. */
struct item *batch_add(struct batch *b) {
  if (b->count == b->cap) return NULL;
  struct item *item = &b->items[b->count++];
  memset(item, 0, sizeof *item);
  item->batch = b;
  item->offset = item->partition = -1;
  atomic_fetch_add(&b->holders, 1);
  return item;
}

void batch_drop(struct relay *r, struct batch *b, size_t holders) {
  size_t had = atomic_fetch_sub(&b->holders, holders);
  BUG_ON(had < holders);
  if (had != holders) return;
  mutex_lock(&r->lock);
  BUG_ON(b->apart && !r->apart);
  r->apart -= b->apart;
  b->apart = false;
  b->next = r->pool;
  r->pool = b;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
}

void batch_set_apart(struct relay *r, struct batch *b) {
  mutex_lock(&r->lock);
  if (!b->apart) cond_broadcast(&r->changed); /* the reader may take one more */
  r->apart += !b->apart;
  b->apart = true;
  mutex_unlock(&r->lock);
}

void chain_push(struct item **first, struct item **last, struct item *item) {
  item->next = NULL;
  if (*last)
    (*last)->next = item;
  else
    *first = item;
  *last = item;
}

void relay_settle(struct relay *r, struct item *first, struct item *last) {
  if (!first) return;
  BUG_ON(last->next);
  mutex_lock(&r->lock);
  if (r->settle_last)
    r->settle_last->next = first;
  else
    r->settle_first = first;
  r->settle_last = last;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
}

_Static_assert(REASON_COUNT <= UINT8_MAX && OUTCOME_HELD <= UINT8_MAX &&
                   SETTLED_REUSED <= UINT8_MAX,
               "of an item");

void item_fail(struct item *item, enum reason reason, int code, const char *text) {
  item->reason = (uint8_t)reason;
  item->error_code = code;
  item->error = arena_copy(&item->batch->arena, span_of(text ? text : ""));
}

void item_namespace(struct relay *r, const struct item *item, char out[64]) {
  struct span ns = item->ns.len ? item->ns : routing_namespace_of(r->parts.routing, item->name);
  if (!ns.len) ns = SPAN("none");
  snprintf(out, 64, "%.*s", (int)(ns.len < 60 ? ns.len : 60), ns.ptr);
}

void relay_wake_publisher(struct relay *r) {
  wake_give(r->wake_fd);
}

struct relay_tuning relay_tuning_now(struct relay *r) {
  mutex_lock(&r->lock);
  struct relay_tuning t = r->config.tuning;
  mutex_unlock(&r->lock);
  return t;
}

bool relay_wait_ms(struct relay *r, int64_t ms) {
  return cond_wait_until(&r->changed, &r->lock, clock_mono_ns(r->parts.clock) + ms * 1000000);
}
