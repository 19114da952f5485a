/* The text of .busbridge/metrics:
 *
 *   busbridge-metrics 1
 *   window 1758510245123456
 *   counter events_total =episode =published 12 10
 *   histogram publish_duration_seconds = = 48213 1200 9000 100:3:1 101:2:0
 *   account 1758510245123456 7 100 0 90 1 2 0 -
 *   end
 *
 * counter: labels, value, value when the period began. histogram: labels, sum, sum then, largest of
 * the period, and for each bucket that is not empty its number, count and count then. account: when
 * it began, pending then, and the counters found, replayed, published, duplicate, dead, vanished
 * then; pending at a clean end, or -. Labels are percent-encoded. A well-formed line of a metric
 * this release does not know is skipped (it may come from a later one); anything else that is odd
 * refuses the whole text.
 * Any thread; a crash leaves nothing: whoever has the text writes it
 * (service/process/saved_metrics.c). */
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/metrics/metrics_private.h"

#include <inttypes.h>

static const char first_line[] = "busbridge-metrics 1";

static void put_label(struct buffer *out, const char *label) {
  buffer_add_z(out, " =");
  percent_write(out, span_of(label));
}

static void put_histogram(struct buffer *out, const struct histogram *h) {
  buffer_printf(out, " %llu %llu %llu", (unsigned long long)metric_get(&h->sum),
                (unsigned long long)h->base_sum, (unsigned long long)metric_get(&h->period_max));
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    uint64_t n = metric_get(&h->buckets[i]);
    if (n > 0)
      buffer_printf(out, " %u:%llu:%llu", i, (unsigned long long)n, (unsigned long long)h->base[i]);
  }
}

static void put_series(struct buffer *out, const struct series *s) {
  buffer_printf(out, "%s %s", s->histogram ? "histogram" : "counter", metric_rows[s->metric].name);
  put_label(out, s->label1);
  put_label(out, s->label2);
  if (s->histogram)
    put_histogram(out, s->histogram);
  else
    buffer_printf(out, " %llu %llu", (unsigned long long)metric_get(&s->value),
                  (unsigned long long)s->base);
  buffer_add_char(out, '\n');
}

static void put_account(struct buffer *out, const struct metrics_account *a) {
  if (a->began_us == TIME_NONE) return;
  buffer_printf(out, "account %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
                a->began_us, a->pending, a->found, a->replayed, a->published, a->duplicate);
  buffer_printf(out, " %" PRIu64 " %" PRIu64, a->dead, a->vanished);
  if (a->clean < 0)
    buffer_add_z(out, " -\n");
  else
    buffer_printf(out, " %" PRId64 "\n", a->clean);
}

void metrics_save(struct metrics *m, struct buffer *out) {
  mutex_lock(&m->lock);
  buffer_printf(out, "%s\nwindow %lld\n", first_line, (long long)m->period_us);
  for (int i = 0; i < METRIC_COUNT; i++) {
    if (metric_is_set((enum metric)i)) continue;
    FOR_SERIES(m, i, s)
    if (series_total(s) > 0) put_series(out, s);
  }
  put_account(out, &m->account);
  mutex_unlock(&m->lock);
  buffer_add_z(out, "end\n");
}

/* ---- reading ---- */

/* The next part of *rest up to the character, which is passed over; false when *rest is empty. */
static bool part(struct span *rest, char until, struct span *out) {
  if (rest->len == 0) return false;
  const char *end = memchr(rest->ptr, until, rest->len);
  *out = (struct span){rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
  size_t used = out->len + (end ? 1 : 0);
  *rest = (struct span){rest->ptr + used, rest->len - used};
  return true;
}

static bool get_number(struct span *rest, char until, uint64_t *n) {
  struct span s;
  return part(rest, until, &s) && number_parse(s, UINT64_MAX, n);
}

/* " =episode" into out, which has LABEL_MAX + 1 bytes. */
static bool get_label(struct span *rest, char *out) {
  struct span s;
  if (!part(rest, ' ', &s) || s.len == 0 || s.ptr[0] != '=') return false;
  if (!percent_read_z((struct span){s.ptr + 1, s.len - 1}, out, LABEL_MAX + 1)) return false;
  return span_utf8_prefix(span_of(out)) == strlen(out);
}

static int metric_named(struct span name) {
  for (int i = 0; i < METRIC_COUNT; i++)
    if (span_is(name, metric_rows[i].name)) return i;
  return -1;
}

static bool get_histogram(struct span rest, struct histogram *h) {
  uint64_t sum, max, number, count, last = 0;
  struct span bucket;
  if (!get_number(&rest, ' ', &sum) || !get_number(&rest, ' ', &h->base_sum) ||
      !get_number(&rest, ' ', &max))
    return false;
  metric_put(&h->sum, sum);
  metric_put(&h->period_max, max);
  while (part(&rest, ' ', &bucket)) {
    uint64_t base;
    if (!get_number(&bucket, ':', &number) || !get_number(&bucket, ':', &count) ||
        !number_parse(bucket, UINT64_MAX, &base))
      return false;
    /* numbers rise, so none comes twice */
    if (number >= HISTOGRAM_BUCKETS || number + 1 <= last || count == 0 || base > count)
      return false;
    metric_put(&h->buckets[number], count);
    h->base[number] = base;
    last = number + 1;
  }
  return last > 0 && h->base_sum <= sum;
}

static bool get_counter(struct span rest, struct series *s) {
  uint64_t value;
  if (!get_number(&rest, ' ', &value) || !number_parse(rest, UINT64_MAX, &s->base) || value == 0 ||
      s->base > value)
    return false;
  metric_put(&s->value, value);
  return true;
}

static bool get_account(struct metrics *m, struct span rest) {
  struct metrics_account a = {.clean = -1};
  uint64_t began, clean = 0;
  uint64_t *const fields[] = {&began,       &a.pending,   &a.found, &a.replayed,
                              &a.published, &a.duplicate, &a.dead,  &a.vanished};
  if (m->account.began_us != TIME_NONE) return false; /* twice */
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (!get_number(&rest, ' ', fields[i])) return false;
  if (began > INT64_MAX || (!span_is(rest, "-") && (!number_parse(rest, INT64_MAX, &clean))))
    return false;
  a.began_us = (int64_t)began;
  if (!span_is(rest, "-")) a.clean = (int64_t)clean;
  m->account = a;
  return true;
}

/* One "counter", "histogram" or "account" line into fresh metrics. */
static bool get_series(struct metrics *m, struct span line) {
  struct span kind, name;
  char label1[LABEL_MAX + 1], label2[LABEL_MAX + 1];
  if (!part(&line, ' ', &kind)) return false;
  if (span_is(kind, "account")) return get_account(m, line);
  if (!part(&line, ' ', &name) || !get_label(&line, label1) || !get_label(&line, label2))
    return false;
  bool histogram = span_is(kind, "histogram");
  if (!histogram && !span_is(kind, "counter")) return false;
  int metric = metric_named(name);
  if (metric < 0) return name.len > 0;
  if (metric_is_set((enum metric)metric) || metric_is_histogram((enum metric)metric) != histogram)
    return false;
  if ((label1[0] && !metric_rows[metric].label1[0]) ||
      (label2[0] && !metric_rows[metric].label2[0]))
    return false;
  struct series *s = metrics_find(m, (enum metric)metric, label1, label2);
  if (strcmp(s->label1, label1) != 0 || strcmp(s->label2, label2) != 0) return false; /* too many */
  if (series_total(s) > 0) return false;                                              /* twice */
  return histogram ? get_histogram(line, s->histogram) : get_counter(line, s);
}

static bool get_all(struct metrics *m, struct span text) {
  struct span line, word;
  uint64_t period;
  if (text.len == 0 || text.ptr[text.len - 1] != '\n') return false;
  if (!part(&text, '\n', &line) || !span_is(line, first_line)) return false;
  if (!part(&text, '\n', &line) || !part(&line, ' ', &word) || !span_is(word, "window"))
    return false;
  if (!number_parse(line, INT64_MAX, &period)) return false;
  m->period_us = (int64_t)period;
  while (part(&text, '\n', &line)) {
    if (span_is(line, "end")) return text.len == 0;
    if (!get_series(m, line)) return false;
  }
  return false; /* cut off */
}

/* The numbers of one series; from NULL: zero. Pointers handed out stay good. */
static void take_figures(struct series *s, const struct series *from) {
  if (!s->histogram) {
    metric_put(&s->value, from ? metric_get(&from->value) : 0);
    s->base = from ? from->base : 0;
    return;
  }
  const struct histogram *h = from ? from->histogram : NULL;
  for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
    metric_put(&s->histogram->buckets[i], h ? metric_get(&h->buckets[i]) : 0);
    s->histogram->base[i] = h ? h->base[i] : 0;
  }
  metric_put(&s->histogram->sum, h ? metric_get(&h->sum) : 0);
  metric_put(&s->histogram->period_max, h ? metric_get(&h->period_max) : 0);
  s->histogram->base_sum = h ? h->base_sum : 0;
}

static void replace(struct metrics *m, struct metrics *fresh) {
  mutex_lock(&m->lock);
  m->period_us = fresh->period_us;
  m->account = fresh->account;
  for (int i = 0; i < METRIC_COUNT; i++) {
    if (metric_is_set((enum metric)i)) continue;
    FOR_SERIES(m, i, s) take_figures(s, NULL);
    FOR_SERIES(fresh, i, f) {
      /* When memory is out, or there were others before, the overflow takes it: never over what is
       * there. */
      struct series *s =
          series_total(f) ? metrics_find(m, (enum metric)i, f->label1, f->label2) : NULL;
      if (s && series_total(s) == 0) take_figures(s, f);
    }
  }
  mutex_unlock(&m->lock);
}

enum status metrics_load(struct metrics *m, struct span text, struct error *err) {
  struct metrics *fresh = NULL;
  if (metrics_open(m->clock, &fresh) != ST_OK) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = ST_OK;
  if (get_all(fresh, text))
    replace(m, fresh);
  else
    st = error_set(err, ST_INVALID, "not metrics this release has written");
  metrics_close(fresh);
  return st;
}
