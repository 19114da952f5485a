/* Reads Prometheus text into the figures that top shows, and works out rates and latencies between
 * two samples.
 * The command's one thread; a crash leaves nothing. */
#include "admin/top/metrics_sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LABELS 4

/* ---- a line: name{label="value",...} number ---- */

struct line {
  struct span name;
  size_t count;
  struct {
    struct span name;
    char value[SAMPLE_NAME];
  } labels[LABELS];
  double number;
};

/* A quoted value; what is longer is cut. Returns what is behind it. */
static const char *take_value(const char *at, const char *end, char out[SAMPLE_NAME]) {
  size_t len = 0;
  for (; at < end && *at != '"'; at++) {
    if (*at == '\\' && at + 1 < end) at++;
    if (len + 1 < SAMPLE_NAME) out[len++] = *at;
  }
  out[len] = '\0';
  return at < end ? at + 1 : end;
}

static const char *take_labels(struct line *l, const char *at, const char *end) {
  while (at < end && *at != '}') {
    const char *equals = memchr(at, '=', (size_t)(end - at));
    if (!equals || equals + 1 >= end || equals[1] != '"' || l->count == LABELS) return NULL;
    l->labels[l->count].name = (struct span){at, (size_t)(equals - at)};
    at = take_value(equals + 2, end, l->labels[l->count++].value);
    if (at < end && *at == ',') at++;
  }
  return at < end ? at + 1 : NULL;
}

static bool take_line(struct span text, struct line *l) {
  const char *at = text.ptr, *end = at + text.len;
  char number[40];
  *l = (struct line){0};
  while (at < end && *at != '{' && *at != ' ') at++;
  l->name = (struct span){text.ptr, (size_t)(at - text.ptr)};
  if (at < end && *at == '{') at = take_labels(l, at + 1, end);
  if (!at || at >= end || *at != ' ') return false;
  size_t len = (size_t)(end - at) - 1;
  if (len == 0 || len >= sizeof number) return false;
  memcpy(number, at + 1, len);
  number[len] = '\0';
  char *rest;
  l->number = strtod(number, &rest);
  return *rest == '\0' && !isnan(l->number);
}

static const char *label(const struct line *l, const char *name) {
  for (size_t i = 0; i < l->count; i++)
    if (span_is(l->labels[i].name, name)) return l->labels[i].value;
  return "";
}

/* ---- what is kept of it ---- */

static const char *const results[SAMPLE_RESULTS] = {"published", "duplicate", "retried", "dead",
                                                    "vanished"};

/* The last row is for all that have no room. */
static struct sample_row *row_of(struct sample *s, const char *name) {
  for (size_t i = 0; i < s->row_count; i++)
    if (strcmp(s->rows[i].name, name) == 0) return &s->rows[i];
  if (s->row_count == SAMPLE_ROWS) return &s->rows[SAMPLE_ROWS - 1];
  if (s->row_count == SAMPLE_ROWS - 1) name = SAMPLE_OTHERS;
  struct sample_row *row = &s->rows[s->row_count++];
  snprintf(row->name, sizeof row->name, "%s", name);
  return row;
}

static void add_result(struct sample *s, const struct line *l) {
  if (l->number <= 0) return; /* a namespace of which nothing came yet has no row */
  for (unsigned r = 0; r < SAMPLE_RESULTS; r++)
    if (strcmp(label(l, "result"), results[r]) == 0)
      row_of(s, label(l, "namespace"))->results[r] += l->number;
}

static void add_reason(struct sample *s, const struct line *l) {
  const char *name = label(l, "reason");
  if (l->number <= 0 || !*name) return;
  for (size_t i = 0; i < s->reason_count; i++)
    if (strcmp(s->reasons[i].name, name) == 0) {
      s->reasons[i].count += l->number;
      return;
    }
  if (s->reason_count == SAMPLE_ROWS) {
    s->reasons[SAMPLE_ROWS - 1].count += l->number;
    return;
  }
  struct sample_count *reason = &s->reasons[s->reason_count++];
  snprintf(reason->name, sizeof reason->name, "%s",
           s->reason_count == SAMPLE_ROWS ? SAMPLE_OTHERS : name);
  reason->count = l->number;
}

static void add_bucket(struct sample *s, const struct line *l) {
  const char *le = label(l, "le");
  double below = strcmp(le, "+Inf") == 0 ? INFINITY : strtod(le, NULL);
  if (s->bucket_count == SAMPLE_BUCKETS) return;
  s->buckets[s->bucket_count].below = below;
  s->buckets[s->bucket_count++].count = l->number;
}

static void add_pending(struct sample *s, const struct line *l) {
  if (strcmp(label(l, "state"), "held") == 0) s->held = l->number;
  if (strcmp(label(l, "state"), "retrying") == 0) s->retrying = l->number;
}

static void add_line(struct sample *s, const struct line *l) {
  struct span name = l->name;
  if (!span_starts(name, "busbridge_")) return;
  name = (struct span){name.ptr + strlen("busbridge_"), name.len - strlen("busbridge_")};
  if (span_is(name, "found_total")) s->found = l->number;
  if (span_is(name, "replayed_total")) s->replayed = l->number;
  if (span_is(name, "inflight_events")) s->in_flight = l->number;
  if (span_is(name, "events_total")) add_result(s, l);
  if (span_is(name, "dlq_events")) add_reason(s, l);
  if (span_is(name, "pending_events")) add_pending(s, l);
  if (span_is(name, "end_to_end_latency_seconds_bucket")) add_bucket(s, l);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct sample_row *)a)->name, ((const struct sample_row *)b)->name);
}

static int by_count(const void *a, const void *b) {
  double x = ((const struct sample_count *)a)->count, y = ((const struct sample_count *)b)->count;
  return (x < y) - (x > y);
}

void sample_read(struct span text, struct sample *out) {
  *out = (struct sample){0};
  while (text.len) {
    const char *newline = memchr(text.ptr, '\n', text.len);
    size_t len = newline ? (size_t)(newline - text.ptr) : text.len;
    struct line l;
    if (text.ptr[0] != '#' && take_line((struct span){text.ptr, len}, &l)) add_line(out, &l);
    len += newline != NULL;
    text = (struct span){text.ptr + len, text.len - len};
  }
  qsort(out->rows, out->row_count, sizeof *out->rows, by_name);
  qsort(out->reasons, out->reason_count, sizeof *out->reasons, by_count);
}

/* ---- between two ---- */

double sample_total(const struct sample *s, const char *name, enum sample_result result) {
  double sum = 0;
  for (size_t i = 0; i < s->row_count; i++)
    if (!name || strcmp(s->rows[i].name, name) == 0) sum += s->rows[i].results[result];
  return sum;
}

static double rate(const struct sample *from, const struct sample *to, double before,
                   double after) {
  int64_t ms = to->taken_ms - from->taken_ms;
  return ms > 0 && after > before ? (after - before) * 1000 / (double)ms : 0;
}

double sample_rate(const struct sample *from, const struct sample *to, const char *name,
                   enum sample_result result) {
  return rate(from, to, sample_total(from, name, result), sample_total(to, name, result));
}

double sample_rate_found(const struct sample *from, const struct sample *to) {
  return rate(from, to, from->found, to->found);
}

double sample_latency(const struct sample *from, const struct sample *to, double share) {
  size_t n = to->bucket_count;
  if (from && from->bucket_count != n) from = NULL;
  double all = n ? to->buckets[n - 1].count - (from ? from->buckets[n - 1].count : 0) : 0;
  if (all <= 0) return -1;
  double below = 0, at = 0;
  for (size_t i = 0; i < n; i++) {
    double count = to->buckets[i].count - (from ? from->buckets[i].count : 0),
           edge = to->buckets[i].below;
    if (count < share * all) {
      below = count;
      at = edge;
      continue;
    }
    if (isinf(edge)) return at * 1000; /* beyond the last edge nothing more is known */
    return (at + (edge - at) * (count > below ? (share * all - below) / (count - below) : 1)) *
           1000;
  }
  return at * 1000;
}
