/* Counts and times each operation; JSON members; the figures of the period.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/operations.h"

struct operation operation_begin(struct service *s, const char *command) {
  return (struct operation){.service = s, .command = command, .began_ns = clock_mono_ns(s->clock)};
}

static const char *result_of(enum status st) {
  switch (st) {
  case ST_OK:
  case ST_AGAIN:
  case ST_END: return "ok";
  case ST_NOT_FOUND:
  case ST_EXISTS:
  case ST_INVALID:
  case ST_BUSY:
  case ST_UNSUPPORTED:
  case ST_CANCELLED: return "refused";
  case ST_TOO_LARGE:
  case ST_DENIED:
  case ST_UNAVAILABLE:
  case ST_NO_SPACE:
  case ST_IO:
  case ST_NO_MEMORY: break;
  }
  return "error";
}

enum status operation_end(const struct operation *o, enum status st) {
  struct service *s = o->service;
  if (s->mode == SERVICE_INSPECT) return st;
  series_add(metrics_series(s->metrics, METRIC_COMMANDS, o->command, result_of(st)), 1);
  int64_t took = (clock_mono_ns(s->clock) - o->began_ns) / 1000;
  series_record(metrics_series(s->metrics, METRIC_COMMAND, NULL, NULL),
                took > 0 ? (uint64_t)took : 0);
  return st;
}

void member_text(struct buffer *out, bool *first, const char *key, struct span value) {
  json_write_key(out, first, key);
  json_write_string(out, value);
}

void member_text_or_null(struct buffer *out, bool *first, const char *key, struct span value) {
  json_write_key(out, first, key);
  if (value.len == 0) {
    buffer_add_z(out, "null");
  } else {
    json_write_string(out, value);
  }
}

void member_int(struct buffer *out, bool *first, const char *key, int64_t value) {
  json_write_key(out, first, key);
  json_write_int(out, value);
}

void member_real(struct buffer *out, bool *first, const char *key, double value) {
  json_write_key(out, first, key);
  json_write_double(out, value);
}

void member_bool(struct buffer *out, bool *first, const char *key, bool value) {
  json_write_key(out, first, key);
  buffer_add_z(out, value ? "true" : "false");
}

void member_time(struct buffer *out, bool *first, const char *key, int64_t us) {
  char text[TIME_TEXT];
  struct span value = {0};
  if (us != TIME_NONE) value = span_of(time_format(us, text));
  member_text_or_null(out, first, key, value);
}

static void take_summary(struct service *s, enum metric histogram, struct figures *out) {
  struct summary summary;
  metrics_summary(s->metrics, histogram, &summary);
  out->average_ms = summary.average;
  out->p50_ms = summary.p50;
  out->p95_ms = summary.p95;
}

void figures_of_commands(struct service *s, struct figures *out) {
  out->total = metrics_sum(s->metrics, METRIC_COMMANDS, NULL, NULL, true);
  out->failed = metrics_sum(s->metrics, METRIC_COMMANDS, NULL, "error", true);
  take_summary(s, METRIC_COMMAND, out);
}

void figures_of_events(struct service *s, struct figures *out) {
  static const char *const results[] = {"published", "duplicate", "retried", "dead"};
  out->total = out->failed = 0;
  for (size_t i = 0; i < 4; i++) {
    uint64_t n = metrics_sum(s->metrics, METRIC_EVENTS, NULL, results[i], true);
    out->total += n;
    if (i >= 2) out->failed += n;
  }
  take_summary(s, METRIC_PUBLISH, out);
}
