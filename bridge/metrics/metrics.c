/* Makes, finds and changes series; beyond SERIES_MAX of a metric, all further label values share
 * one.
 * Any thread; a crash leaves what metrics_save.c wrote last. */
#include "bridge/metrics/metrics_private.h"

#include <math.h>

static void series_free(struct series *s) {
  if (!s) return;
  free(s->key);
  free(s->histogram);
  free(s);
}

static struct span key_span(const char *key, const char *label1, const char *label2) {
  return (struct span){key, 1 + strlen(label1) + 1 + strlen(label2)};
}

/* Key: the metric's number, label 1, NUL, label 2, NUL. */
static struct series *series_new(enum metric metric, const char *label1, const char *label2) {
  size_t len1 = strlen(label1) + 1, len2 = strlen(label2) + 1;
  struct series *s = calloc(1, sizeof *s);
  if (!s || !(s->key = malloc(1 + len1 + len2))) {
    series_free(s);
    return NULL;
  }
  s->metric = metric;
  s->key[0] = (char)metric;
  memcpy(s->key + 1, label1, len1);
  memcpy(s->key + 1 + len1, label2, len2);
  s->label1 = s->key + 1;
  s->label2 = s->key + 1 + len1;
  if (metric_is_set(metric)) series_set(s, NAN);
  if (metric_is_histogram(metric) && !(s->histogram = calloc(1, sizeof *s->histogram))) {
    series_free(s);
    return NULL;
  }
  return s;
}

enum status metrics_open(const struct clock *clock, struct metrics **out) {
  struct metrics *m = calloc(1, sizeof *m);
  if (!m) return ST_NO_MEMORY;
  mutex_init(&m->lock);
  m->clock = clock;
  m->period_us = clock_wall_us(clock);
  m->account = (struct metrics_account){.began_us = TIME_NONE, .clean = -1};
  for (int i = 0; i < METRIC_COUNT; i++) {
    m->last[i] = &m->first[i];
    m->common[i] = series_new((enum metric)i, metric_rows[i].label1[0] ? "other" : "",
                              metric_rows[i].label2[0] ? "other" : "");
    if (m->common[i]) continue;
    metrics_close(m);
    return ST_NO_MEMORY;
  }
  *out = m;
  return ST_OK;
}

void metrics_close(struct metrics *m) {
  if (!m) return;
  for (int i = 0; i < METRIC_COUNT; i++) {
    for (struct series *s = m->first[i], *next; s; s = next) {
      next = s->next;
      series_free(s);
    }
    series_free(m->common[i]);
  }
  table_release(&m->table);
  mutex_destroy(&m->lock);
  free(m);
}

bool series_is_overflow(const struct metrics *m, const struct series *s) {
  return s == m->common[s->metric] && metric_rows[s->metric].label1[0] != '\0';
}

static bool label_fits(const char *value) {
  struct span s = span_of(value);
  return s.len <= LABEL_MAX && span_utf8_prefix(s) == s.len;
}

static struct series *add_series(struct metrics *m, enum metric metric, const char *label1,
                                 const char *label2) {
  struct series *s = m->count[metric] < SERIES_MAX ? series_new(metric, label1, label2) : NULL;
  if (!s) return NULL;
  if (table_put(&m->table, key_span(s->key, label1, label2), s) != ST_OK) {
    series_free(s);
    return NULL;
  }
  *m->last[metric] = s;
  m->last[metric] = &s->next;
  m->count[metric]++;
  return s;
}

struct series *metrics_find(struct metrics *m, enum metric metric, const char *value1,
                            const char *value2) {
  const char *label1 = metric_rows[metric].label1[0] && value1 ? value1 : "";
  const char *label2 = metric_rows[metric].label2[0] && value2 ? value2 : "";
  struct series *common = m->common[metric];
  if (!strcmp(label1, common->label1) && !strcmp(label2, common->label2)) return common;
  if (!label_fits(label1) || !label_fits(label2)) return common;
  char key[1 + 2 * (LABEL_MAX + 1)];
  key[0] = (char)metric;
  memcpy(key + 1, label1, strlen(label1) + 1);
  memcpy(key + 2 + strlen(label1), label2, strlen(label2) + 1);
  struct series *s = table_get(&m->table, key_span(key, label1, label2));
  if (!s) s = add_series(m, metric, label1, label2);
  return s ? s : common;
}

struct series *metrics_series(struct metrics *m, enum metric metric, const char *value1,
                              const char *value2) {
  BUG_ON((unsigned)metric >= METRIC_COUNT);
  mutex_lock(&m->lock);
  struct series *s = metrics_find(m, metric, value1, value2);
  mutex_unlock(&m->lock);
  return s;
}

void series_add(struct series *s, uint64_t n) {
  BUG_ON(metric_rows[s->metric].kind != METRIC_COUNTER);
  atomic_fetch_add_explicit(&s->value, n, memory_order_relaxed);
}

void series_set(struct series *s, double value) {
  uint64_t bits;
  BUG_ON(!metric_is_set(s->metric));
  memcpy(&bits, &value, sizeof bits);
  metric_put(&s->value, bits);
}

void series_record(struct series *s, uint64_t value) {
  BUG_ON(!s->histogram);
  histogram_record(s->histogram, value);
}

uint64_t series_total(const struct series *s) {
  return s->histogram ? histogram_count(s->histogram) : metric_get(&s->value);
}

uint64_t metrics_sum(struct metrics *m, enum metric metric, const char *value1, const char *value2,
                     bool period) {
  uint64_t sum = 0;
  BUG_ON(metric_rows[metric].kind != METRIC_COUNTER);
  mutex_lock(&m->lock);
  FOR_SERIES(m, metric, s) {
    if ((value1 && strcmp(value1, s->label1) != 0) || (value2 && strcmp(value2, s->label2) != 0))
      continue;
    sum += metric_get(&s->value) - (period ? s->base : 0);
  }
  mutex_unlock(&m->lock);
  return sum;
}

void metrics_each(struct metrics *m, enum metric counter,
                  void (*visit)(void *ctx, const char *label1, const char *label2, uint64_t value),
                  void *ctx) {
  BUG_ON(metric_rows[counter].kind != METRIC_COUNTER);
  mutex_lock(&m->lock);
  FOR_SERIES(m, counter, s) visit(ctx, s->label1, s->label2, metric_get(&s->value));
  mutex_unlock(&m->lock);
}

void metrics_reset_period(struct metrics *m) {
  mutex_lock(&m->lock);
  m->period_us = clock_wall_us(m->clock);
  for (int i = 0; i < METRIC_COUNT; i++) FOR_SERIES(m, i, s) {
      if (s->histogram)
        histogram_set_base(s->histogram);
      else
        s->base = metric_get(&s->value);
    }
  mutex_unlock(&m->lock);
}

int64_t metrics_period_started_us(struct metrics *m) {
  mutex_lock(&m->lock);
  int64_t us = m->period_us;
  mutex_unlock(&m->lock);
  return us;
}

void metrics_account(struct metrics *m, struct metrics_account *out) {
  mutex_lock(&m->lock);
  *out = m->account;
  mutex_unlock(&m->lock);
}

void metrics_set_account(struct metrics *m, const struct metrics_account *account) {
  mutex_lock(&m->lock);
  m->account = *account;
  mutex_unlock(&m->lock);
}

void metrics_unset(struct metrics *m, enum metric metric) {
  mutex_lock(&m->lock);
  FOR_SERIES(m, metric, s) series_set(s, NAN);
  mutex_unlock(&m->lock);
}
