/* metrics_sample.h - what the metrics say at one moment, and what became of it since another: for
 * `top`. Pure; memory is fixed: beyond the rows that there is room for, namespaces and reasons are
 * summed in one row. */
#ifndef ADMIN_METRICS_SAMPLE_H
#define ADMIN_METRICS_SAMPLE_H

#include "bridge/base/span.h"

#define SAMPLE_ROWS 24
#define SAMPLE_BUCKETS 48
#define SAMPLE_NAME 64
#define SAMPLE_OTHERS "(others)"

enum sample_result {
  SAMPLE_PUBLISHED,
  SAMPLE_DUPLICATE,
  SAMPLE_RETRIED,
  SAMPLE_DEAD,
  SAMPLE_VANISHED,
  SAMPLE_RESULTS
};

struct sample_row { /* a namespace */
  char name[SAMPLE_NAME];
  double results[SAMPLE_RESULTS];
};
struct sample_count { /* a reason for which entries are dead */
  char name[SAMPLE_NAME];
  double count;
};
struct sample {
  int64_t taken_ms; /* monotonic; the caller's */
  double found, replayed, in_flight;
  double held, retrying; /* of those that are pending */
  struct sample_row rows[SAMPLE_ROWS];
  size_t row_count;
  struct sample_count reasons[SAMPLE_ROWS];
  size_t reason_count;
  struct {
    double below, count; /* events acknowledged within `below` seconds */
  } buckets[SAMPLE_BUCKETS];
  size_t bucket_count;
};
/* From Prometheus text as the worker gives it; lines that are not known are passed over. */
void sample_read(struct span text, struct sample *out);
/* Growth a second of one result, of one namespace or all (NULL), between two samples; 0 where a
 * counter went back. */
double sample_rate(const struct sample *from, const struct sample *to, const char *name,
                   enum sample_result result);
double sample_rate_found(const struct sample *from, const struct sample *to);
double sample_total(const struct sample *s, const char *name, enum sample_result result);
/* The latency in milliseconds that a share of the events acknowledged between two samples stayed
 * within, right to the width of a bucket; -1 when there was none. from NULL: of all since the
 * account began. */
double sample_latency(const struct sample *from, const struct sample *to, double share);

#endif
