/* The dead letters in cells of namespace and reason: read on a thread of its own, kept up to date
 * by what dies and leaves, and read again when the sum is off.
 * A crash leaves nothing: the next start reads them again. */
#include "bridge/service/health/dead_counts.h"

#include "bridge/base/thread.h"
#include "bridge/metrics/metrics.h"
#include "bridge/outbox/store.h"
#include "bridge/routing/routing.h"

#include <sys/resource.h>

enum {
  CELLS = 256,
  SHORTEST_MS = 5000, /* between two readings */
  SHARE = 20          /* and so many times as long as the last one took */
};

struct cell {
  char ns[64];
  const char *reason; /* one of the table's words, or "other": files may say anything */
  int64_t count;      /* dead_total of that time taken off */
};

struct cells {
  struct cell at[CELLS];
  size_t count;
};

struct dead_counts {
  struct dead_counts_parts parts;
  struct mutex lock; /* all below */
  struct cond changed;
  struct thread thread;
  bool threaded, wanted, reading, stop, read_once;
  struct cells now, fresh; /* fresh: of the reading under way */
  int64_t ended_ms, took_ms;
  /* The store's count less ours: as it may be, at the last look, when it was read anew for it. */
  int64_t off, last_off, cause;
};

/* ---- cells ---- */

static struct cell *cell_of(struct cells *c, struct span ns, const char *reason) {
  for (size_t i = 0; i < c->count; i++)
    if (span_is(ns, c->at[i].ns) && !strcmp(reason, c->at[i].reason)) return &c->at[i];
  if (c->count == CELLS) return &c->at[CELLS - 1];
  struct cell *cell = &c->at[c->count++];
  *cell = (struct cell){.reason = reason};
  snprintf(cell->ns, sizeof cell->ns, "%.*s",
           (int)(ns.len < sizeof cell->ns ? ns.len : sizeof cell->ns - 1), ns.ptr);
  return cell;
}

static const char *word_of(struct span reason) {
  enum reason r = reason_from_word(reason);
  return r == REASON_NONE ? "other" : reason_word(r);
}

static void count_cell(struct dead_counts *c, struct cells *cells, struct span name,
                       struct span reason, int by) {
  struct span ns = routing_namespace_of(c->parts.routing, name);
  cell_of(cells, ns.len ? ns : SPAN("none"), word_of(reason))->count += by;
}

static void take_off(void *ctx, const char *ns, const char *reason, uint64_t died) {
  if (died) cell_of(ctx, span_of(ns), word_of(span_of(reason)))->count -= (int64_t)died;
}

static void put_on(void *ctx, const char *ns, const char *reason, uint64_t died) {
  if (died) cell_of(ctx, span_of(ns), word_of(span_of(reason)))->count += (int64_t)died;
}

/* ---- reading ---- */

static bool visit(void *ctx, const struct entry_info *info) {
  struct dead_counts *c = ctx;
  mutex_lock(&c->lock);
  count_cell(c, &c->fresh, info->name, info->reason, 1);
  bool go_on = !c->stop;
  mutex_unlock(&c->lock);
  return go_on;
}

/* What dies or leaves meanwhile may be counted twice or not at all: the next look sees that the sum
 * is off. */
static void read_all(struct dead_counts *c) {
  uint64_t total;
  int64_t began = clock_mono_ms(c->parts.clock);
  mutex_lock(&c->lock);
  c->fresh.count = 0;
  c->reading = true;
  c->wanted = false;
  metrics_each(c->parts.metrics, METRIC_DEAD, take_off, &c->fresh);
  mutex_unlock(&c->lock);
  enum status st = store_list(c->parts.store, LIST_DEAD, 0, visit, c, &total, NULL);
  mutex_lock(&c->lock);
  c->reading = false;
  if (st == ST_OK && !c->stop) {
    c->now = c->fresh;
    c->read_once = true;
    c->last_off = INT64_MIN;
  }
  c->ended_ms = clock_mono_ms(c->parts.clock);
  c->took_ms = c->ended_ms - began;
  mutex_unlock(&c->lock);
}

static void *reader_main(void *arg) {
  struct dead_counts *c = arg;
  (void)setpriority(PRIO_PROCESS, 0, 10); /* of this thread: the relay comes first */
  mutex_lock(&c->lock);
  while (!c->stop) {
    if (c->wanted) {
      mutex_unlock(&c->lock);
      read_all(c);
      mutex_lock(&c->lock);
    } else {
      cond_wait(&c->changed, &c->lock);
    }
  }
  mutex_unlock(&c->lock);
  return NULL;
}

/* ---- showing ---- */

/* Off twice in a row, and by something else than what a reading does not put right (a folder in
 * dlq/, say). Lock held.
 */
static void look_at_sum(struct dead_counts *c, int64_t off) {
  int64_t rest = c->took_ms * SHARE > SHORTEST_MS ? c->took_ms * SHARE : SHORTEST_MS;
  if (c->last_off == INT64_MIN && off == c->cause)
    c->off = off; /* a reading did not put it right */
  bool wrong = off != c->off && off == c->last_off;
  c->last_off = off;
  if (!wrong || c->reading || clock_mono_ms(c->parts.clock) - c->ended_ms < rest) return;
  c->wanted = true;
  c->cause = off;
  cond_broadcast(&c->changed);
}

/* Lock held. */
static void show_counts(struct dead_counts *c, uint64_t dead) {
  struct cells cells = c->now;
  int64_t sum = 0;
  metrics_each(c->parts.metrics, METRIC_DEAD, put_on, &cells);
  metrics_unset(c->parts.metrics, METRIC_DLQ);
  for (size_t i = 0; i < cells.count; i++) {
    const struct cell *cell = &cells.at[i];
    sum += cell->count;
    series_set(metrics_series(c->parts.metrics, METRIC_DLQ, cell->ns, cell->reason),
               cell->count > 0 ? (double)cell->count : 0);
  }
  if (c->threaded) look_at_sum(c, (int64_t)dead - sum);
}

void dead_counts_show(struct dead_counts *c, uint64_t dead) {
  if (!c) return;
  if (!c->threaded) read_all(c);
  mutex_lock(&c->lock);
  if (c->read_once) show_counts(c, dead);
  mutex_unlock(&c->lock);
}

void dead_counts_left(struct dead_counts *c, struct span name, struct span reason) {
  if (!c) return;
  mutex_lock(&c->lock);
  count_cell(c, &c->now, name, reason, -1);
  if (c->reading) count_cell(c, &c->fresh, name, reason, -1);
  mutex_unlock(&c->lock);
}

/* ---- life ---- */

struct dead_counts *dead_counts_open(const struct dead_counts_parts *parts, bool thread) {
  struct dead_counts *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->parts = *parts;
  c->last_off = c->cause = INT64_MIN;
  c->wanted = true;
  mutex_init(&c->lock);
  cond_init(&c->changed);
  c->threaded = thread && thread_start(&c->thread, NULL, reader_main, c) == 0;
  if (!thread || c->threaded) return c;
  dead_counts_close(c);
  return NULL;
}

void dead_counts_close(struct dead_counts *c) {
  if (!c) return;
  mutex_lock(&c->lock);
  c->stop = true;
  cond_broadcast(&c->changed);
  mutex_unlock(&c->lock);
  if (c->threaded) thread_join(c->thread);
  cond_destroy(&c->changed);
  mutex_destroy(&c->lock);
  free(c);
}
