#include "bridge/service/operations.h"

#include <math.h>

#define HEARTBEAT_LIMIT_US (120 * INT64_C(1000000))

static void write_figures(const char *key, const struct figures *f, struct buffer *json, bool *first) {
  bool inner = true;
  json_write_key(json, first, key);
  buffer_add_char(json, '{');
  member_int(json, &inner, "total", (int64_t)f->total);
  member_int(json, &inner, "failed", (int64_t)f->failed);
  member_real(json, &inner, "average_ms", f->average_ms);
  member_real(json, &inner, "p50_ms", f->p50_ms);
  member_real(json, &inner, "p95_ms", f->p95_ms);
  member_real(json, &inner, "failure_rate", figures_rate(f));
  buffer_add_char(json, '}');
}

static void write_counters(struct service *s, struct buffer *json, bool *first) {
  static const char *const results[] = {"published", "duplicate", "retried", "dead", "vanished"};
  bool inner = true;
  json_write_key(json, first, "counters");
  buffer_add_char(json, '{');
  member_int(json, &inner, "found", (int64_t)metrics_sum(s->metrics, METRIC_FOUND, NULL, NULL, false));
  member_int(json, &inner, "replayed", (int64_t)metrics_sum(s->metrics, METRIC_REPLAYED, NULL, NULL, false));
  for (size_t i = 0; i < sizeof results / sizeof *results; i++)
    member_int(json, &inner, results[i], (int64_t)metrics_sum(s->metrics, METRIC_EVENTS, NULL, results[i], false));
  buffer_add_char(json, '}');
}

static void write_metrics(struct service *s, struct buffer *json) {
  bool first = true;
  struct figures commands, events;
  figures_of_commands(s, &commands);
  figures_of_events(s, &events);
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_time(json, &first, "since", metrics_window_started_us(s->metrics));
  write_figures("commands", &commands, json, &first);
  write_figures("events", &events, json, &first);
  write_counters(s, json, &first);
  buffer_add_char(json, '}');
}

/* With reset the answer shows the window that ends. */
enum status service_metrics(struct service *s, bool reset, struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "metrics");
  enum status st = ST_OK;
  write_metrics(s, json);
  if (reset && s->mode == SERVICE_INSPECT) {
    st = error_set(err, ST_UNSUPPORTED, "A new window can only be begun by whoever holds the outbox's lock");
  } else if (reset) {
    metrics_reset_window(s->metrics);
    st = service_save_metrics(s, err);
  }
  if (st == ST_OK) st = buffer_status(json, err);
  return operation_end(&o, st);
}

static void set_gauge(struct service *s, enum metric metric, const char *label, double value) {
  series_set(metrics_series(s->metrics, metric, label, NULL), value);
}

static void set_time(struct service *s, enum metric metric, int64_t us) {
  set_gauge(s, metric, NULL, us == TIME_NONE ? NAN : (double)us / 1e6);
}

/* The relay names only doors that are not closed: all others are set to 0, so that a healed one is seen. */
static void set_breakers(struct service *s, const struct relay_status *status) {
  set_gauge(s, METRIC_BREAKER, "kafka", BREAKER_CLOSED);
  set_gauge(s, METRIC_BREAKER, "outbox", BREAKER_CLOSED);
  for (unsigned i = 0; i < routing_topics(s->routing); i++)
    set_gauge(s, METRIC_BREAKER, routing_topic_name(s->routing, i), BREAKER_CLOSED);
  for (size_t i = 0; i < status->breaker_count; i++)
    set_gauge(s, METRIC_BREAKER, status->breakers[i].target, status->breakers[i].state);
}

static void set_gauges(struct service *s, const struct store_counts *c) {
  struct relay_status *status = s->relay ? calloc(1, sizeof *status) : NULL;
  uint64_t waiting = 0;
  if (status) {
    relay_status(s->relay, status);
    waiting = status->retrying < c->pending ? status->retrying : c->pending;
    set_gauge(s, METRIC_INFLIGHT, NULL, (double)status->in_flight);
    set_time(s, METRIC_LAST_PUBLISH, status->last_publish_us);
    set_time(s, METRIC_HEARTBEAT, status->heartbeat_us);
    set_breakers(s, status);
  }
  set_gauge(s, METRIC_PENDING, "unread", (double)c->growing);
  set_gauge(s, METRIC_PENDING, "retrying", (double)waiting);
  set_gauge(s, METRIC_PENDING, "ready", (double)(c->pending - waiting));
  set_time(s, METRIC_OLDEST, c->oldest_us);
  set_gauge(s, METRIC_DLQ, NULL, (double)c->dead);
  free(status);
}

enum status service_prometheus(struct service *s, struct buffer *text, struct error *err) {
  struct store_counts counts;
  /* A folder that cannot be read leaves the gauges as they were; the rest is still worth having. */
  if (service_count(s, &counts, NULL) == ST_OK) set_gauges(s, &counts);
  metrics_prometheus(s->metrics, text);
  return buffer_status(text, err);
}

bool service_alive(struct service *s) {
  if (!s->relay) return true;
  struct relay_status *status = calloc(1, sizeof *status);
  if (!status) return true;
  relay_status(s->relay, status);
  bool alive = status->heartbeat_us == TIME_NONE || clock_wall_us(s->clock) - status->heartbeat_us < HEARTBEAT_LIMIT_US;
  free(status);
  return alive;
}

void service_flush_cancel(struct service *s, uint64_t flush) {
  if (s->relay) relay_flush_cancel(s->relay, flush);
}
