/* Explicit flushes: what may be taken now, and when a flush is over.
 * Any thread, under relay.lock; a crash leaves nothing. */
#include "bridge/relay/parts.h"

#include <errno.h>

#define STALLED_MS (INT64_C(30) * 1000)

static bool limit_reached(const struct flush *f) {
  return f->limit && f->own >= f->limit;
}

/* Lock held. */
static enum taking taking_now(const struct relay *r) {
  const struct flush *f = &r->flush;
  bool wants = f->active && !f->cancelled && !limit_reached(f);
  if (r->stopping) return TAKE_NOTHING;
  if (r->paused) return TAKE_LOOK;
  if (wants && !f->patient) return TAKE_ALL;
  return wants || r->config.background ? TAKE_DUE : TAKE_NOTHING;
}

enum taking flush_taking(struct relay *r) {
  mutex_lock(&r->lock);
  enum taking taking = taking_now(r);
  r->reaching = taking >= TAKE_DUE;
  mutex_unlock(&r->lock);
  return taking;
}

void flush_took_none(struct relay *r) {
  mutex_lock(&r->lock);
  r->reaching = false;
  mutex_unlock(&r->lock);
}

bool flush_idle(struct relay *r, int64_t ms) {
  mutex_lock(&r->lock);
  bool idle = !r->stopping && taking_now(r) <= TAKE_LOOK;
  if (idle) relay_wait_ms(r, ms);
  mutex_unlock(&r->lock);
  return idle;
}

void flush_took(struct relay *r, struct item *item) {
  mutex_lock(&r->lock);
  struct flush *f = &r->flush;
  r->reaching = false;
  r->in_hand++;
  item->flush = r->flushes;
  if (f->active && !f->cancelled && !limit_reached(f)) {
    f->own++;
    f->open++;
    f->progress.taken++;
  } else if (f->active) {
    item->flush = r->flushes + 1; /* taken by the background meanwhile: not this one's */
  }
  mutex_unlock(&r->lock);
}

void flush_settled(struct relay *r, const struct item *item, enum outcome fate, int64_t now_ms) {
  struct flush *f = &r->flush;
  BUG_ON(!r->in_hand);
  r->in_hand--;
  if (!f->active || item->flush > f->id) return;
  BUG_ON(!f->open);
  f->open--;
  f->quiet_since_ms = now_ms;
  struct flush_progress *p = &f->progress;
  switch (fate) {
  case OUTCOME_PUBLISHED: p->published++; break;
  case OUTCOME_DUPLICATE: p->duplicates++; break;
  case OUTCOME_RETRY: p->retried++; break;
  case OUTCOME_DEAD: p->dead++; break;
  case OUTCOME_HELD: p->held++; break;
  case OUTCOME_WAITS: p->taken--; break;
  case OUTCOME_SEND:
  case OUTCOME_TWIN: break;
  }
}

/* The door that everything waits at; else that of a topic. Lock held. */
static const struct breaker_view *closed_door(const struct relay *r) {
  static const char *const all[] = {"outbox", "redis", "kafka"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    for (size_t j = 0; j < r->status.breaker_count; j++)
      if (!strcmp(r->status.breakers[j].target, all[i])) return &r->status.breakers[j];
  return r->status.breaker_count ? &r->status.breakers[0] : NULL;
}

/* Its name, but what a limit of this process shuts is that limit's, whichever it is. */
static const char *stopper(const struct breaker_view *b) {
  if (!b) return "kafka";
  return b->sys == EMFILE || b->sys == ENFILE ? "limit" : b->target;
}

static void say_door(struct flush_progress *p, const struct breaker_view *b, bool stalled) {
  snprintf(p->reason, sizeof p->reason, "%.60s: %.255s", b ? b->target : "kafka",
           b ? b->reason : "nothing was acknowledged or settled for 30 s");
  snprintf(p->remedy, sizeof p->remedy, "%s",
           b ? b->remedy : "See the broker's log; busbridge doctor tells more");
  if (!b || breaker_is_worlds(b->target))
    snprintf(p->stopped_by, sizeof p->stopped_by, "%.15s", stopper(b));
  p->unreachable = stalled && !strcmp(p->stopped_by, "kafka");
}

static bool say_aside(void *ctx, const struct aside_info *info) {
  struct flush_progress *p = ctx;
  char first[300];
  store_aside_words(info, first, sizeof first);
  snprintf(p->reason, sizeof p->reason, "%llu set aside: %s%s", (unsigned long long)p->aside, first,
           p->aside > 1 ? ", ..." : "");
  snprintf(p->remedy, sizeof p->remedy, "%s", info->remedy);
  return true;
}

/* Why something is left, in words; lock held. */
static void say_why(struct relay *r, const struct store_counts *counts) {
  struct flush *f = &r->flush;
  struct flush_progress *p = &f->progress;
  const struct breaker_view *b = closed_door(r);
  p->left = counts->pending;
  p->aside = counts->aside;
  p->reason[0] = p->remedy[0] = p->stopped_by[0] = '\0';
  if (r->status.failed != ST_OK) {
    snprintf(p->reason, sizeof p->reason, "%.390s", r->status.failure);
    return;
  }
  if (p->left && r->paused)
    snprintf(p->reason, sizeof p->reason, "publishing was paused; go on by: busbridge resume");
  else if (f->stalled || (p->left && b))
    say_door(p, b, f->stalled);
  else if (p->left && f->cancelled)
    snprintf(p->reason, sizeof p->reason, "the flush was cancelled");
  else if (p->left && limit_reached(f))
    snprintf(p->reason, sizeof p->reason, "the limit was reached");
  else if (p->left && r->status.retrying)
    snprintf(p->reason, sizeof p->reason,
             "some were refused by the broker and wait for their next try");
  else if (p->left && r->holds.count)
    snprintf(p->reason, sizeof p->reason, "%zu dead %s (dlq.hold_key)", r->holds.count,
             r->holds.count == 1 ? "letter holds its key" : "letters hold their keys");
  else if (counts->growing)
    snprintf(p->reason, sizeof p->reason, "some files do not parse and may still be growing");
  else if (p->aside && store_asides(r->parts.store, 1, say_aside, p, NULL) != ST_OK)
    p->reason[0] = '\0';
}

/* What went back as held is on its way: another scan brings it. Lock held. */
static bool held_come_again(struct relay *r) {
  const struct relay_parts *parts = &r->parts;
  bool asking = parts->ids && (ids_asking(parts->ids) || r->types_told != ids_changes(parts->ids));
  return asking || waiting_ripe(&r->waiting) || r->holds.some_gone ||
         (r->waiting.released && r->waiting.keys.count) ||
         !store_scanned(r->parts.store, r->order_scan) ||
         !store_scanned(r->parts.store, r->waiting.asked);
}

/* Nothing gets through, or nothing can be read: kafka, redis or the outbox itself. Lock held. */
static bool all_wait(const struct relay *r) {
  const struct breaker_view *b = closed_door(r);
  return b && breaker_is_worlds(b->target);
}

bool flush_wants_aside(const struct relay *r) {
  const struct flush *f = &r->flush;
  return f->active && f->patient && r->aside_ms < f->began_ms;
}

/* Lock held. growing: files that may become entries. */
static bool is_over(struct relay *r, const struct store_counts *counts) {
  struct flush *f = &r->flush;
  int64_t now_ms = clock_mono_ms(r->parts.clock);
  if (r->status.failed != ST_OK) return true;
  if ((r->in_hand || !r->recovered) && now_ms - f->quiet_since_ms > STALLED_MS)
    return f->stalled = true;
  if (f->open) return false;
  if (f->cancelled || r->paused || limit_reached(f)) return true;
  bool scanned = store_scanned(r->parts.store, f->generation);
  if (all_wait(r) && (!scanned || counts->pending))
    return f->stalled = now_ms - f->quiet_since_ms > STALLED_MS;
  if (!scanned || r->reaching) return false;
  if (held_come_again(r) || (counts->aside && flush_wants_aside(r))) return false;
  if (!f->patient) return true;
  if (counts->growing) return false;
  int64_t soon = clock_wall_us(r->parts.clock) + r->config.tuning.flush_interval_ms * 1000;
  return r->next_due_us == TIME_NONE || r->next_due_us > soon;
}

void flush_check(struct relay *r) {
  struct store_counts counts = {0};
  mutex_lock(&r->lock);
  /* Under the lock: what was settled since would still be told as left. */
  bool known = r->flush.active && store_amounts(r->parts.store, &counts, NULL) == ST_OK;
  if (known && is_over(r, &counts)) {
    say_why(r, &counts);
    r->flush.active = false;
    r->flush.progress.finished = true;
    cond_broadcast(&r->changed);
  }
  mutex_unlock(&r->lock);
}

enum status relay_flush(struct relay *r, size_t limit, bool patient, uint64_t *id,
                        struct error *err) {
  struct store_counts counts = {0};
  enum status st = store_amounts(r->parts.store, &counts, err);
  if (st != ST_OK) return st;
  mutex_lock(&r->lock);
  if (r->flush.active) {
    uint64_t running = r->flush.id;
    mutex_unlock(&r->lock);
    return error_set(err, ST_BUSY, "flush %llu is running; wait for it to end",
                     (unsigned long long)running);
  }
  r->flush = (struct flush){.id = ++r->flushes, .limit = limit, .patient = patient, .active = true};
  r->flush.open = r->in_hand;
  r->flush.began_ms = r->flush.quiet_since_ms = clock_mono_ms(r->parts.clock);
  r->flush.progress.taken = r->in_hand;
  r->flush.progress.total = counts.pending;
  r->flush.generation = store_rescan(r->parts.store);
  *id = r->flush.id;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  store_wake(r->parts.store);
  return ST_OK;
}

enum status relay_flush_progress(struct relay *r, uint64_t id, struct flush_progress *out) {
  flush_check(r);
  mutex_lock(&r->lock);
  enum status st = id && id == r->flush.id ? ST_OK : ST_NOT_FOUND;
  if (st == ST_OK) *out = r->flush.progress;
  mutex_unlock(&r->lock);
  struct store_counts counts;
  if (st == ST_OK && !out->finished && store_amounts(r->parts.store, &counts, NULL) == ST_OK) {
    uint64_t settled = out->published + out->duplicates + out->dead;
    if (counts.pending + settled > out->total)
      out->total = counts.pending + settled; /* the first scan still counts */
    out->left = counts.pending;
  }
  return st;
}

void relay_flush_cancel(struct relay *r, uint64_t id) {
  mutex_lock(&r->lock);
  if (r->flush.active && r->flush.id == id) r->flush.cancelled = true;
  mutex_unlock(&r->lock);
  store_wake(r->parts.store);
}
