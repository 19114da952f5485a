/* The text of GET /metrics, and the metrics for the manual page. Numbers are written without
 * printf's %f, whose decimal point depends on the locale.
 * Any thread; a crash leaves nothing. */
#include "bridge/metrics/metrics_private.h"

#include <inttypes.h>
#include <math.h>

/* Upper ends of the buckets shown, in microseconds and as plain numbers. */
#define GRID 16
static const uint64_t seconds_grid[GRID] = {
    1000,   2500,    5000,    10000,   25000,    50000,    100000,   250000,
    500000, 1000000, 2500000, 5000000, 10000000, 25000000, 50000000, 100000000};
static const uint64_t sizes_grid[GRID] = {1,   2,    5,    10,   25,    50,    100,   250,
                                          500, 1000, 2500, 5000, 10000, 25000, 50000, 100000};
static const uint64_t tries_grid[GRID] = {1, 2,  3,  4,  5,  6,
                                          8, 10, 15, 20, 50, 100}; /* ends at the first 0 */

static const uint64_t *grid_of(enum metric_kind kind) {
  return kind == METRIC_SECONDS ? seconds_grid : kind == METRIC_SIZES ? sizes_grid : tries_grid;
}

static void put_millionths(struct buffer *out, uint64_t n) {
  buffer_printf(out, "%" PRIu64, n / 1000000);
  if (n % 1000000 == 0) return;
  buffer_printf(out, ".%06" PRIu64, n % 1000000);
  while (!out->failed && out->ptr[out->len - 1] == '0') out->len--;
}

static void put_double(struct buffer *out, double d) {
  if (!isfinite(d) || fabs(d) >= 9e12) {
    /* a whole number beyond 2^43 has no use for a fraction */
    if (isfinite(d))
      buffer_printf(out, "%.0f", d);
    else
      buffer_add_z(out, d > 0 ? "+Inf" : "-Inf");
    return;
  }
  if (d < 0) buffer_add_char(out, '-');
  put_millionths(out, (uint64_t)(fabs(d) * 1e6 + 0.5));
}

static void put_label(struct buffer *out, const char *name, const char *value, char *before) {
  if (name[0] == '\0') return;
  buffer_printf(out, "%c%s=\"", *before, name);
  *before = ',';
  for (const char *c = value; *c; c++) {
    if (*c == '\n')
      buffer_add_z(out, "\\n");
    else {
      if (*c == '"' || *c == '\\') buffer_add_char(out, '\\');
      buffer_add_char(out, *c);
    }
  }
  buffer_add_char(out, '"');
}

/* What every client library tells of its process has the same names everywhere. */
static const char *prefix_of(const struct metric_row *row) {
  return strncmp(row->name, "process_", 8) == 0 ? "" : "busbridge_";
}

/* name{labels,le="..."} and a blank; le NULL: none */
static void put_name(struct buffer *out, const struct series *s, const char *suffix,
                     const char *le) {
  const struct metric_row *row = &metric_rows[s->metric];
  char before = '{';
  buffer_printf(out, "%s%s%s", prefix_of(row), row->name, suffix);
  put_label(out, row->label1, s->label1, &before);
  put_label(out, row->label2, s->label2, &before);
  if (le) put_label(out, "le", le, &before);
  buffer_add_z(out, before == ',' ? "} " : " ");
}

static void put_histogram(struct buffer *out, const struct series *s) {
  bool seconds = metric_rows[s->metric].kind == METRIC_SECONDS;
  const uint64_t *grid = grid_of(metric_rows[s->metric].kind);
  uint64_t below = 0;
  unsigned bucket = 0;
  struct buffer le = {0};
  for (size_t i = 0; i < GRID && grid[i]; i++) {
    /* A bucket across the line counts on the side where its middle lies: right to its width. */
    for (; histogram_middle(bucket) <= grid[i]; bucket++)
      below += metric_get(&s->histogram->buckets[bucket]);
    buffer_clear(&le);
    put_millionths(&le, seconds ? grid[i] : grid[i] * 1000000);
    put_name(out, s, "_bucket", buffer_z(&le));
    buffer_printf(out, "%" PRIu64 "\n", below);
  }
  out->failed |= le.failed;
  buffer_release(&le);
  for (; bucket < HISTOGRAM_BUCKETS; bucket++) below += metric_get(&s->histogram->buckets[bucket]);
  put_name(out, s, "_bucket", "+Inf");
  buffer_printf(out, "%" PRIu64 "\n", below);
  put_name(out, s, "_sum", NULL);
  if (seconds)
    put_millionths(out, metric_get(&s->histogram->sum));
  else
    buffer_printf(out, "%" PRIu64, metric_get(&s->histogram->sum));
  buffer_add_char(out, '\n');
  put_name(out, s, "_count", NULL);
  buffer_printf(out, "%" PRIu64 "\n", below);
}

static double gauge_of(const struct series *s) {
  double d;
  uint64_t bits = metric_get(&s->value);
  memcpy(&d, &bits, sizeof d);
  return d;
}

/* A gauge nobody has set is not there, nor is an overflow that took nothing and would take nothing
 * now: one that will is a counter, and stands at 0 from the start as any. */
static bool shown(const struct metrics *m, const struct series *s) {
  if (metric_is_set(s->metric)) return !isnan(gauge_of(s));
  return !series_is_overflow(m, s) || series_total(s) > 0 || m->count[s->metric] >= SERIES_MAX;
}

static void put_series(struct buffer *out, const struct series *s) {
  if (s->histogram) {
    put_histogram(out, s);
    return;
  }
  put_name(out, s, "", NULL);
  if (metric_is_set(s->metric))
    put_double(out, gauge_of(s));
  else
    buffer_printf(out, "%" PRIu64, metric_get(&s->value));
  buffer_add_char(out, '\n');
}

static void put_metric(struct buffer *out, struct metrics *m, enum metric metric) {
  static const char *const types[] = {"counter",   "gauge",     "counter",
                                      "histogram", "histogram", "histogram"};
  const struct metric_row *row = &metric_rows[metric];
  bool head = false;
  FOR_SERIES(m, metric, s) {
    if (!shown(m, s)) continue;
    if (!head)
      buffer_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix_of(row), row->name, row->help,
                    prefix_of(row), row->name, types[row->kind]);
    head = true;
    put_series(out, s);
  }
}

void metrics_prometheus(struct metrics *m, struct buffer *out) {
  mutex_lock(&m->lock);
  for (int i = 0; i < METRIC_COUNT; i++) put_metric(out, m, (enum metric)i);
  mutex_unlock(&m->lock);
}

/* ---- the manual ---- */

void metrics_mdoc(struct buffer *out) {
  static const char *const kinds[] = {"counter",   "gauge",     "counter",
                                      "histogram", "histogram", "histogram"};
  buffer_add_z(out, ".Bl -tag -width Ds -compact\n");
  for (int i = 0; i < METRIC_COUNT; i++) {
    const struct metric_row *row = &metric_rows[i];
    buffer_printf(out, ".It Va %s%s", prefix_of(row), row->name);
    if (row->label1[0])
      buffer_printf(out, "{%s%s%s}", row->label1, row->label2[0] ? "," : "", row->label2);
    buffer_printf(out, " Pq %s\n%s.\n", kinds[row->kind], row->help);
  }
  buffer_add_z(out, ".El\n");
}
