/* metrics.h - counters, gauges and histograms; totals that survive a restart, and a window for operators.
 *
 * One table gives every metric's name, kind, labels and help (operations.md; prefix busbridge_). A series is one metric
 * with label values, made on first use, lives as long as the metrics. Adding and recording are lock-free and may be
 * done by any thread; the rest takes a lock inside. Histograms record microseconds (or plain counts) in buckets of at
 * most 12.5 % width, so that percentiles are right to that.
 */
#ifndef BRIDGE_METRICS_METRICS_H
#define BRIDGE_METRICS_METRICS_H

#include "bridge/base/clock.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_SECONDS, METRIC_SIZES }; /* the last two are histograms */

#define METRICS_TABLE(X)                                                                                               \
  X(FOUND, "found_total", COUNTER, "", "", "Entries found in the outbox for the first time")                           \
  X(REPLAYED, "replayed_total", COUNTER, "", "", "Dead letters moved back to pending")                                 \
  X(EVENTS, "events_total", COUNTER, "namespace", "result", "Entries by what became of them")                          \
  X(DEAD, "dead_total", COUNTER, "namespace", "reason", "Entries moved to the dead letter queue")                      \
  X(PUBLISH, "publish_duration_seconds", SECONDS, "", "", "From hand-over to acknowledged")                            \
  X(LATENCY, "end_to_end_latency_seconds", SECONDS, "", "", "From created to acknowledged")                            \
  X(BATCH, "batch_events", SIZES, "", "", "Events of a batch")                                                         \
  X(ATTEMPTS, "attempts", SIZES, "", "", "Attempts of an event that was published or died")                            \
  X(COMMANDS, "commands_total", COUNTER, "command", "result", "Operations asked of the worker")                        \
  X(COMMAND, "command_duration_seconds", SECONDS, "", "", "How long they took")                                        \
  X(PENDING, "pending_events", GAUGE, "state", "", "Entries waiting in the outbox")                                    \
  X(OLDEST, "oldest_pending_timestamp_seconds", GAUGE, "", "", "When the oldest pending entry was written")            \
  X(DLQ, "dlq_events", GAUGE, "", "", "Entries in the dead letter queue")                                              \
  X(BREAKER, "breaker_state", GAUGE, "target", "", "0 closed, 1 open, 2 probing")                                      \
  X(INFLIGHT, "inflight_events", GAUGE, "", "", "Events handed to Kafka and not acknowledged")                         \
  X(LAST_PUBLISH, "last_publish_timestamp_seconds", GAUGE, "", "", "When an event was last acknowledged")              \
  X(HEARTBEAT, "loop_heartbeat_timestamp_seconds", GAUGE, "", "", "When the worker's loop last turned")                \
  X(REDIS, "redis_operations_total", COUNTER, "op", "result", "Exchanges with Redis")

enum metric {
#define X(id, name, kind, label1, label2, help) METRIC_##id,
  METRICS_TABLE(X)
#undef X
      METRIC_COUNT
};

struct metrics;
struct series;
MUST_CHECK enum status metrics_open(const struct clock *clock, struct metrics **out);
void metrics_close(struct metrics *m);
/* The series of a metric with these label values (NULL where it has none). Never NULL: when memory is out, or a metric
 * has over 1,000 series, a common overflow series is returned. Keep the pointer for hot paths. */
struct series *metrics_series(struct metrics *m, enum metric metric, const char *value1, const char *value2);
void series_add(struct series *s, uint64_t n);
void series_set(struct series *s, double value);      /* a gauge set to NAN (all are at first) is not shown */
void series_record(struct series *s, uint64_t value); /* microseconds, or a size */
uint64_t series_total(const struct series *s);        /* counter: value; histogram: count */

/* Sum of a counter's series whose labels match (NULL matches all), since start of the account or since the window
 * began. */
uint64_t metrics_sum(struct metrics *m, enum metric metric, const char *value1, const char *value2, bool window);

struct summary { /* of a histogram since the window began */
  uint64_t count;
  double average, p50, p95, p99, max; /* in milliseconds for METRIC_SECONDS */
};
void metrics_summary(struct metrics *m, enum metric histogram, struct summary *out);
void metrics_reset_window(struct metrics *m); /* counters are untouched */
int64_t metrics_window_started_us(struct metrics *m);

/* Text form for .busbridge/metrics: counters, histograms and the window's baseline (gauges are not kept). Loading adds
 * to nothing: it replaces. ST_INVALID: not such a text; the metrics are then as they were. */
void metrics_save(struct metrics *m, struct buffer *out);
MUST_CHECK enum status metrics_load(struct metrics *m, struct span text, struct error *err);
/* Prometheus text format 0.0.4, all names with busbridge_ in front. */
void metrics_prometheus(struct metrics *m, struct buffer *out);

#endif
