/* Eight buckets for each power of two, and the period's percentiles read from them.
 * Any thread; a crash leaves nothing. */
#include "bridge/metrics/metrics_private.h"

unsigned histogram_bucket(uint64_t value) {
  if (value < 8) return (unsigned)value;
  unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
  unsigned bucket = (exponent - 2) * 8 + (unsigned)((value >> (exponent - 3)) & 7);
  return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The whole number in the middle of those that share the bucket. */
uint64_t histogram_middle(unsigned bucket) {
  if (bucket < 16) return bucket;
  unsigned shift = bucket / 8 - 1;
  uint64_t low = (uint64_t)(8 + bucket % 8) << shift;
  return low + (((uint64_t)1 << shift) - 1) / 2;
}

void histogram_record(struct histogram *h, uint64_t value) {
  atomic_fetch_add_explicit(&h->buckets[histogram_bucket(value)], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
  uint64_t most = metric_get(&h->period_max);
  while (value > most &&
         !atomic_compare_exchange_weak_explicit(&h->period_max, &most, value, memory_order_relaxed,
                                                memory_order_relaxed)) {
  }
}

uint64_t histogram_count(const struct histogram *h) {
  uint64_t count = 0;
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) count += metric_get(&h->buckets[i]);
  return count;
}

void histogram_set_base(struct histogram *h) {
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) h->base[i] = metric_get(&h->buckets[i]);
  h->base_sum = metric_get(&h->sum);
  metric_put(&h->period_max, 0);
}

/* What all series of a histogram gathered since the period began. */
struct gathered {
  uint64_t buckets[HISTOGRAM_BUCKETS], count, sum, max;
};

static void gather_buckets(struct metrics *m, enum metric metric, struct gathered *g) {
  FOR_SERIES(m, metric, s) {
    const struct histogram *h = s->histogram;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
      uint64_t n = metric_get(&h->buckets[i]) - h->base[i];
      g->buckets[i] += n;
      g->count += n;
    }
    g->sum += metric_get(&h->sum) - h->base_sum;
    uint64_t most = metric_get(&h->period_max);
    if (most > g->max) g->max = most;
  }
}

/* The value that `per_mille` of all reach at most. */
static double percentile(const struct gathered *g, unsigned per_mille) {
  uint64_t rank = (uint64_t)((double)g->count * per_mille / 1000.0 + 0.9999999), seen = 0;
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += g->buckets[i];
    if (g->buckets[i] == 0 || seen < rank) continue;
    uint64_t middle = histogram_middle(i);
    return (double)(middle < g->max ? middle : g->max);
  }
  return (double)g->max;
}

void metrics_summary(struct metrics *m, enum metric histogram, struct summary *out) {
  struct gathered g = {.count = 0};
  double unit = metric_rows[histogram].kind == METRIC_SECONDS ? 1000.0 : 1.0;
  BUG_ON(!metric_is_histogram(histogram));
  mutex_lock(&m->lock);
  gather_buckets(m, histogram, &g);
  mutex_unlock(&m->lock);
  *out = (struct summary){.count = g.count};
  if (g.count == 0) return;
  out->average = (double)g.sum / (double)g.count / unit;
  out->p50 = percentile(&g, 500) / unit;
  out->p95 = percentile(&g, 950) / unit;
  out->p99 = percentile(&g, 990) / unit;
  out->max = (double)g.max / unit;
}
