/* metrics.h - counters, gauges and histograms; totals that survive a restart, and a period for
 * operators.
 *
 * One table gives every metric's name, kind, labels and help (prefix busbridge_, except for
 * process_*). A series is one metric with label values, made on first use, lives as long as the
 * metrics. Adding and recording are lock-free and may be done by any thread; the rest takes a lock
 * inside. Histograms record microseconds (or plain counts) in buckets of at most 12.5 % width, so
 * that percentiles are right to that.
 */
#ifndef BRIDGE_METRICS_METRICS_H
#define BRIDGE_METRICS_METRICS_H

#include "bridge/base/clock.h"

/* MIRROR: a counter that is kept elsewhere, set as a gauge is, and not saved. The last three are
 * histograms. */
enum metric_kind {
  METRIC_COUNTER,
  METRIC_GAUGE,
  METRIC_MIRROR,
  METRIC_SECONDS,
  METRIC_SIZES,
  METRIC_TRIES
};

#define METRICS_TABLE(X)                                                                           \
  X(FOUND, "found_total", COUNTER, "", "",                                                         \
    "Entries found in the outbox, when the account began or since")                                \
  X(REPLAYED, "replayed_total", COUNTER, "", "", "Dead letters moved back to pending")             \
  X(EVENTS, "events_total", COUNTER, "namespace", "result", "Entries by what became of them")      \
  X(DEAD, "dead_total", COUNTER, "namespace", "reason", "Entries moved to the dead letter queue")  \
  X(REUSED, "id_reused_total", COUNTER, "namespace", "",                                           \
    "Duplicates by id that were other events")                                                     \
  X(KEYLESS, "keyless_total", COUNTER, "namespace", "",                                            \
    "Published events that had none of their key fields")                                          \
  X(UNPLACED, "unknown_fields_total", COUNTER, "type", "",                                         \
    "Members of published payloads that had no place in their schema")                             \
  X(PUBLISH, "publish_duration_seconds", SECONDS, "", "", "From hand-over to acknowledged")        \
  X(LATENCY, "end_to_end_latency_seconds", SECONDS, "", "", "From created to acknowledged")        \
  X(BATCH, "batch_events", SIZES, "", "", "Events of a batch")                                     \
  X(ATTEMPTS, "attempts", TRIES, "", "", "Attempts of an event that was published or died")        \
  X(COMMANDS, "commands_total", COUNTER, "command", "result", "Operations asked of the worker")    \
  X(COMMAND, "command_duration_seconds", SECONDS, "", "", "How long they took")                    \
  X(PENDING, "pending_events", GAUGE, "state", "", "Entries waiting in the outbox")                \
  X(OLDEST, "oldest_pending_timestamp_seconds", GAUGE, "", "",                                     \
    "When the oldest pending entry was written")                                                   \
  X(ASIDE, "aside_events", GAUGE, "", "",                                                          \
    "Entries set aside, because they alone cannot be changed")                                     \
  X(LEFT, "left_entries", GAUGE, "", "",                                                           \
    "Entries that lie in .busbridge/tmp for more than a minute")                                   \
  X(STUCK, "stuck_manifests", GAUGE, "", "",                                                       \
    "Lists of batches that the file system refuses to change")                                     \
  X(HOLDS, "holding_dead_letters", GAUGE, "", "",                                                  \
    "Dead letters that hold back their key (dlq.hold_key)")                                        \
  X(DLQ, "dlq_events", GAUGE, "namespace", "reason", "Entries in the dead letter queue")           \
  X(BREAKER, "breaker_state", GAUGE, "target", "", "0 closed, 1 open, 2 probing")                  \
  X(INFLIGHT, "inflight_events", GAUGE, "", "", "Events handed to Kafka and not acknowledged")     \
  X(LAST_PUBLISH, "last_publish_timestamp_seconds", GAUGE, "", "",                                 \
    "When an event was last acknowledged")                                                         \
  X(HEARTBEAT, "loop_heartbeat_timestamp_seconds", GAUGE, "", "",                                  \
    "When the loop of the worker last turned")                                                     \
  X(REDIS, "redis_operations_total", COUNTER, "op", "result", "Exchanges with Redis")              \
  X(REGISTRY, "registry_requests_total", COUNTER, "op", "code",                                    \
    "Requests to the schema registry by HTTP status; none: there was no answer")                   \
  X(KEYS_DUE, "redis_keys_due", GAUGE, "", "", "Ids that Redis has still to learn")                \
  X(AVAIL_BYTES, "outbox_filesystem_avail_bytes", GAUGE, "", "",                                   \
    "Bytes that the worker may still write where the outbox lies")                                 \
  X(AVAIL_INODES, "outbox_filesystem_avail_inodes", GAUGE, "", "",                                 \
    "Files that it may still make there")                                                          \
  X(STEP, "outbox_step_duration_seconds", SECONDS, "step", "",                                     \
    "How long a step in the database took: poll, read, sweep, list, settle")                       \
  X(DEAD_ROWS, "outbox_dead_rows", GAUGE, "", "",                                                  \
    "Rows that PostgreSQL has yet to take out of the table outbox, about")                         \
  X(LEASE, "outbox_lease_renewed_timestamp_seconds", GAUGE, "", "",                                \
    "When PostgreSQL last granted the lease of the outbox")                                        \
  X(CONNECTED, "outbox_connected", GAUGE, "", "",                                                  \
    "1 while PostgreSQL answered the last step, else 0")                                           \
  X(CONNECTS, "outbox_connects_total", MIRROR, "", "", "Connections made to PostgreSQL")           \
  X(STANDBY, "standby", GAUGE, "", "",                                                             \
    "1 while the worker waits for an outbox that another one holds, else 0")                       \
  X(BUILD, "build_info", GAUGE, "version", "librdkafka", "1, with what runs")                      \
  X(KAFKA_TIME, "kafka_statistics_timestamp_seconds", GAUGE, "", "",                               \
    "When librdkafka made the kafka_ figures")                                                     \
  X(KAFKA_SENT_BYTES, "kafka_sent_bytes_total", MIRROR, "", "", "Bytes sent to brokers")           \
  X(KAFKA_RECEIVED_BYTES, "kafka_received_bytes_total", MIRROR, "", "",                            \
    "Bytes received from brokers")                                                                 \
  X(KAFKA_REQUESTS, "kafka_requests_total", MIRROR, "", "", "Requests sent to brokers")            \
  X(KAFKA_RESPONSES, "kafka_responses_total", MIRROR, "", "", "Answers of brokers")                \
  X(KAFKA_QUEUE, "kafka_queue_messages", GAUGE, "", "", "Messages in the queues of librdkafka")    \
  X(KAFKA_QUEUE_BYTES, "kafka_queue_bytes", GAUGE, "", "", "Bytes in the queues of librdkafka")    \
  X(KAFKA_UP, "kafka_broker_up", GAUGE, "broker", "",                                              \
    "1 while the connection to the broker is up")                                                  \
  X(KAFKA_RTT, "kafka_broker_rtt_average_seconds", GAUGE, "broker", "",                            \
    "Recent round trip of a request")                                                              \
  X(KAFKA_RTT_P99, "kafka_broker_rtt_p99_seconds", GAUGE, "broker", "",                            \
    "Recent round trip of a request, 99th percentile")                                             \
  X(KAFKA_WAIT_P99, "kafka_broker_request_wait_p99_seconds", GAUGE, "broker", "",                  \
    "How long a request recently waited to be sent, 99th percentile")                              \
  X(KAFKA_ERRORS, "kafka_broker_errors_total", MIRROR, "broker", "",                               \
    "Requests that could not be sent")                                                             \
  X(KAFKA_RETRIES, "kafka_broker_retries_total", MIRROR, "broker", "", "Requests sent again")      \
  X(KAFKA_TIMEOUTS, "kafka_broker_timeouts_total", MIRROR, "broker", "",                           \
    "Requests that timed out")                                                                     \
  X(KAFKA_CONNECTS, "kafka_broker_connects_total", MIRROR, "broker", "", "Attempts to connect")    \
  X(KAFKA_MESSAGES, "kafka_topic_messages_total", MIRROR, "topic", "",                             \
    "Messages sent, tries that were repeated included")                                            \
  X(KAFKA_BYTES, "kafka_topic_bytes_total", MIRROR, "topic", "", "Bytes of these messages")        \
  X(LOG_DROPPED, "log_lines_dropped_total", MIRROR, "", "", "Lines of the log that nobody took")   \
  X(CPU, "process_cpu_seconds_total", MIRROR, "", "", "Processor time, user and system")           \
  X(MEMORY, "process_resident_memory_bytes", GAUGE, "", "", "Memory in use")                       \
  X(FDS, "process_open_fds", GAUGE, "", "", "Open file descriptors")                               \
  X(MAX_FDS, "process_max_fds", GAUGE, "", "", "Most file descriptors that may be open")           \
  X(START, "process_start_time_seconds", GAUGE, "", "", "When the worker was started")

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
/* The series of a metric with these label values (NULL where it has none). Never NULL: when memory
 * is out, or a metric has over 4,000 series, a common overflow series is returned. Keep the pointer
 * for hot paths. */
struct series *metrics_series(struct metrics *m, enum metric metric, const char *value1,
                              const char *value2);
void series_add(struct series *s, uint64_t n);
void series_set(
    struct series *s,
    double value); /* a gauge, a mirror; set to NAN (all are at first) it is not shown */
void series_record(struct series *s, uint64_t value); /* microseconds, or a size */
uint64_t series_total(const struct series *s);        /* counter: value; histogram: count */

/* Sum of a counter's series whose labels match (NULL matches all), since start of the account or
 * since the period began. */
uint64_t metrics_sum(struct metrics *m, enum metric metric, const char *value1, const char *value2,
                     bool period);

/* Each series of a counter, the overflow included. */
void metrics_each(struct metrics *m, enum metric counter,
                  void (*visit)(void *ctx, const char *label1, const char *label2, uint64_t value),
                  void *ctx);

struct summary { /* of a histogram since the period began */
  uint64_t count;
  double average, p50, p95, p99, max; /* in milliseconds for METRIC_SECONDS */
};
void metrics_summary(struct metrics *m, enum metric histogram, struct summary *out);
void metrics_reset_period(struct metrics *m); /* counters are untouched */
int64_t metrics_period_started_us(struct metrics *m);

/* The account of the pending entries: what the counters were when it began, and how many waited
 * then. `clean`: pending entries at a clean end, -1 while it is in use (and after a kill). */
struct metrics_account {
  int64_t began_us; /* TIME_NONE: there is none */
  uint64_t pending, found, replayed, published, duplicate, dead, vanished;
  int64_t clean;
};
void metrics_account(struct metrics *m, struct metrics_account *out);
void metrics_set_account(struct metrics *m, const struct metrics_account *account);
/* All series of a gauge or mirror are not shown until they are set again. */
void metrics_unset(struct metrics *m, enum metric metric);

/* Text form for .busbridge/metrics: counters, histograms, the period's baseline, the account
 * (gauges and mirrors are not kept). Loading adds to nothing: it replaces. ST_INVALID: not such a
 * text; the metrics are then as they were. */
void metrics_save(struct metrics *m, struct buffer *out);
MUST_CHECK enum status metrics_load(struct metrics *m, struct span text, struct error *err);
/* Prometheus text format 0.0.4, all names with busbridge_ in front. */
void metrics_prometheus(struct metrics *m, struct buffer *out);
/* The table for busbridge-worker(8). */
void metrics_mdoc(struct buffer *out);

#endif
