/* The first stage: entries out of the outbox into a batch. The reader's thread.
 * A crash leaves the entries as they were. */
#include "bridge/relay/parts.h"

/* Not before its due time: its key waits, and the reader will look again then. */
static bool is_due(struct turn *t, const struct entry *entry) {
  struct relay *r = t->relay;
  int64_t now = clock_wall_us(r->parts.clock);
  int64_t due = verdict_due_us(entry->event.attempts, entry->event.failed_us, now,
                               t->tuning.flush_interval_ms);
  if (due <= now) return true;
  mutex_lock(&r->lock);
  r->status.retrying++;
  if (r->next_due_us == TIME_NONE || due < r->next_due_us) r->next_due_us = due;
  mutex_unlock(&r->lock);
  return false;
}

/* A scan from the start finds what waits anew. */
static void count_anew(struct relay *r, uint64_t generation) {
  if (r->counted == generation) return; /* nobody else changes it */
  mutex_lock(&r->lock);
  r->counted = generation;
  r->status.retrying = r->status.held = 0;
  mutex_unlock(&r->lock);
}

static void keep_entry(struct turn *t, const struct entry *entry, bool due) {
  struct relay *r = t->relay;
  struct item *item = batch_add(t->batch);
  BUG_ON(!item); /* room was made for all of the batch */
  struct arena *arena = &t->batch->arena;
  item->ref = entry->ref;
  item->generation = entry->generation;
  item->attempts = entry->event.attempts;
  item->created_us =
      entry->event.created_us != TIME_NONE ? entry->event.created_us : entry->ref.arrived_ns / 1000;
  item->id = item->ref.id;
  item->name = arena_span(arena, entry->event.name);
  item->traceparent = arena_span(arena, entry->event.traceparent);
  item->tracestate = arena_span(arena, entry->event.tracestate);
  item->subject = arena_span(arena, entry->event.subject);
  item->suspected = crash_marks_suspected(r->parts.crash_marks, item->ref.token) > 0;
  item->outcome = due ? OUTCOME_SEND : OUTCOME_WAITS;
  t->batch->bytes += entry->text.len;
  flush_took(r, item);
  if (entry->reason == REASON_NO_MEMORY) {
    item->outcome = OUTCOME_HELD; /* out of memory: later */
  } else if (entry->reason != REASON_NONE) {
    item->outcome = OUTCOME_DEAD;
    item->attempts++;
    item_fail(item, entry->reason, 0, entry->error);
  }
}

static bool has_room(const struct turn *t) {
  const struct batch *b = t->batch;
  return b->count < t->tuning.batch_events && b->count < b->cap && b->bytes < t->tuning.batch_bytes;
}

static enum status take_next(struct turn *t, enum taking taking, struct entry *entry,
                             struct error *err) {
  struct relay *r = t->relay;
  if (taking >= TAKE_DUE)
    return store_next(r->parts.store, &t->batch->arena, &t->reading->scratch, entry, err);
  enum status st = taking == TAKE_LOOK ? store_follow(r->parts.store, err) : ST_OK;
  if (st == ST_OK && taking == TAKE_LOOK) disk_works(r, DISK_READING);
  return st == ST_OK ? ST_AGAIN : st;
}

void stage_take(struct turn *t) {
  struct relay *r = t->relay;
  struct error err = {0};
  t->more = has_room(t);
  for (size_t seen = 0; seen < TURN_EVENTS && t->more; seen++) {
    enum taking taking = flush_taking(r);
    struct entry *entry = &t->reading->entries[t->batch->count - t->first];
    enum status st = take_next(t, taking, entry, &err);
    if (st != ST_OK) {
      flush_took_none(r);
      t->more = false;
      if (st != ST_AGAIN)
        disk_trouble(r, DISK_READING, &err);
      else if (disk_refuses(r, DISK_READING) && store_follow(r->parts.store, NULL) == ST_OK)
        disk_works(r, DISK_READING); /* it has been listed since, and there is nothing in it */
      return;
    }
    disk_works(r, DISK_READING);
    count_anew(r, entry->generation);
    keep_entry(t, entry, taking == TAKE_ALL || is_due(t, entry));
    t->more = has_room(t);
  }
}
