/* metrics_private.h - what the files of this module share; nobody else includes it.
 *
 * A series' numbers are relaxed atomics: each is right by itself, together they are a snapshot good
 * enough for percentiles. The baseline (what the numbers were when the period began), the lists and
 * the table belong to the lock.
 */
#ifndef BRIDGE_METRICS_METRICS_PRIVATE_H
#define BRIDGE_METRICS_METRICS_PRIVATE_H

#include "bridge/base/table.h"
#include "bridge/base/thread.h"
#include "bridge/metrics/metrics.h"

#include <stdatomic.h>

/* Values 0-15 have a bucket each, then every power of two has 8; the last bucket takes all from 15
 * * 2^37 on. */
#define HISTOGRAM_BUCKETS 312
#define SERIES_MAX 4000 /* of a metric */
#define LABEL_MAX 200   /* bytes of a label's value */

struct histogram {
  _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
  _Atomic uint64_t sum, period_max;
  uint64_t base[HISTOGRAM_BUCKETS], base_sum;
};

struct series {
  enum metric metric;
  char *key; /* what the table knows it by */
  const char *label1, *label2;
  _Atomic uint64_t value; /* counter, or the bits of the gauge's double */
  uint64_t base;
  struct histogram *histogram; /* NULL unless it is one */
  struct series *next;
};

struct metric_row {
  const char *name;
  enum metric_kind kind;
  const char *label1, *label2, *help;
};

struct metrics {
  struct mutex lock;
  const struct clock *clock;
  struct table table;
  struct series *common[METRIC_COUNT]; /* the only one of a metric without labels; of the others the
                                          overflow */
  struct series *first[METRIC_COUNT], **last[METRIC_COUNT];
  size_t count[METRIC_COUNT];
  int64_t period_us;
  struct metrics_account account;
};

extern const struct metric_row metric_rows[METRIC_COUNT];

static inline uint64_t metric_get(const _Atomic uint64_t *n) {
  return atomic_load_explicit(n, memory_order_relaxed);
}
static inline void metric_put(_Atomic uint64_t *n, uint64_t v) {
  atomic_store_explicit(n, v, memory_order_relaxed);
}
static inline bool metric_is_set(enum metric metric) { /* not added to */
  return metric_rows[metric].kind == METRIC_GAUGE || metric_rows[metric].kind == METRIC_MIRROR;
}
static inline bool metric_is_histogram(enum metric metric) {
  return metric_rows[metric].kind >= METRIC_SECONDS;
}

/* All series of a metric, the common one first. Under the lock. */
#define FOR_SERIES(m, metric, s)                                                                   \
  for (struct series *s = (m)->common[metric]; s; s = series_after((m), s))
static inline struct series *series_after(struct metrics *m, struct series *s) {
  return s == m->common[s->metric] ? m->first[s->metric] : s->next;
}
struct series *metrics_find(struct metrics *m, enum metric metric, const char *value1,
                            const char *value2);
bool series_is_overflow(const struct metrics *m,
                        const struct series *s); /* and not the only one of its metric */

unsigned histogram_bucket(uint64_t value);
uint64_t histogram_middle(unsigned bucket);
void histogram_record(struct histogram *h, uint64_t value);
uint64_t histogram_count(const struct histogram *h);
void histogram_set_base(struct histogram *h);

#endif
