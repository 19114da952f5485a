#include "bridge/metrics/metrics_private.h"
#include "tests/support/test.h"

#include <math.h>

static int64_t fixed_wall(void *ctx) {
  return *(int64_t *)ctx;
}

struct fixture {
  int64_t now;
  struct clock clock;
  struct metrics *m;
  struct buffer out;
};

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  f->now = 1758510245123456;
  f->clock = (struct clock){.wall_us = fixed_wall, .ctx = &f->now};
  assert_int_equal(metrics_open(&f->clock, &f->m), ST_OK);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  metrics_close(f->m);
  buffer_release(&f->out);
  free(f);
  return 0;
}

static void count(struct fixture *f, enum metric metric, const char *a, const char *b, uint64_t n) {
  series_add(metrics_series(f->m, metric, a, b), n);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_series_is_made_once_and_counts) {
  struct fixture *f = *state;
  struct series *s = metrics_series(f->m, METRIC_EVENTS, "episode", "published");
  series_add(s, 3);
  assert_ptr_equal(metrics_series(f->m, METRIC_EVENTS, "episode", "published"), s);
  assert_ptr_not_equal(metrics_series(f->m, METRIC_EVENTS, "episod", "epublished"), s);
  assert_ptr_not_equal(metrics_series(f->m, METRIC_DEAD, "episode", "published"), s);
  assert_int_equal(series_total(s), 3);
  assert_ptr_equal(metrics_series(f->m, METRIC_FOUND, NULL, NULL),
                   metrics_series(f->m, METRIC_FOUND, "x", "y"));
}

CASE(sums_match_labels_and_periods) {
  struct fixture *f = *state;
  count(f, METRIC_EVENTS, "episode", "published", 5);
  count(f, METRIC_EVENTS, "plot", "published", 7);
  count(f, METRIC_EVENTS, "plot", "dead", 11);
  f->now += 1000000;
  metrics_reset_period(f->m);
  count(f, METRIC_EVENTS, "plot", "dead", 2);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, NULL, NULL, false), 25);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, "plot", NULL, false), 20);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, NULL, "published", false), 12);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, "plot", "dead", true), 2);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, NULL, NULL, true), 2);
  assert_int_equal(metrics_period_started_us(f->m), 1758510246123456);
}

CASE(a_bucket_is_at_most_an_eighth_wide) {
  unsigned last = 0;
  for (uint64_t v = 0; v < ((uint64_t)1 << 40); v += v / 64 + 1) {
    unsigned bucket = histogram_bucket(v);
    uint64_t middle = histogram_middle(bucket), off = middle > v ? middle - v : v - middle;
    assert_true(bucket >= last && bucket <= last + 1);
    assert_int_equal(histogram_bucket(middle), bucket);
    assert_true(off * 16 <= v);
    last = bucket;
  }
  assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
  assert_true(sizeof(struct histogram) < 6000);
}

CASE(a_summary_tells_percentiles_of_the_period) {
  struct fixture *f = *state;
  struct series *s = metrics_series(f->m, METRIC_PUBLISH, NULL, NULL);
  struct summary sum;
  metrics_summary(f->m, METRIC_PUBLISH, &sum);
  assert_int_equal(sum.count, 0);
  assert_true(sum.p95 == 0 && sum.max == 0);
  series_record(s, 1000000000); /* before the period */
  metrics_reset_period(f->m);
  for (unsigned i = 1; i <= 1000; i++) series_record(s, i * 1000);
  metrics_summary(f->m, METRIC_PUBLISH, &sum);
  assert_int_equal(sum.count, 1000);
  assert_true(fabs(sum.average - 500.5) < 0.001);
  assert_true(fabs(sum.p50 - 500) <= 500 / 8.0);
  assert_true(fabs(sum.p95 - 950) <= 950 / 8.0);
  assert_true(fabs(sum.p99 - 990) <= 990 / 8.0);
  assert_true(sum.max == 1000);
  assert_true(sum.p50 < sum.p95 && sum.p95 <= sum.p99 && sum.p99 <= sum.max);
}

CASE(one_value_is_all_its_percentiles) {
  struct fixture *f = *state;
  struct summary sum;
  series_record(metrics_series(f->m, METRIC_ATTEMPTS, NULL, NULL), 5);
  metrics_summary(f->m, METRIC_ATTEMPTS, &sum);
  assert_true(sum.average == 5 && sum.p50 == 5 && sum.p95 == 5 && sum.p99 == 5 && sum.max == 5);
  series_record(metrics_series(f->m, METRIC_BATCH, NULL, NULL), 4610);
  metrics_summary(f->m, METRIC_BATCH, &sum);
  assert_true(sum.p50 == 4610 && sum.max == 4610); /* never above the largest */
}

CASE(too_many_series_share_one) {
  static const char other[] = "busbridge_events_total{namespace=\"other\",result=\"other\"} ";
  struct fixture *f = *state;
  char name[300];
  for (int i = 0; i < SERIES_MAX + 50; i++) {
    if (i == SERIES_MAX - 1 || i == SERIES_MAX) { /* from then on it will take what comes */
      buffer_clear(&f->out);
      metrics_prometheus(f->m, &f->out);
      const char *shown = strstr(buffer_z(&f->out), other);
      assert_true(i < SERIES_MAX ? !shown : shown && !strncmp(shown + strlen(other), "0\n", 2));
    }
    snprintf(name, sizeof name, "n%d", i);
    count(f, METRIC_EVENTS, name, "published", 1);
  }
  struct series *common = metrics_series(f->m, METRIC_EVENTS, "one", "more");
  assert_ptr_equal(common, metrics_series(f->m, METRIC_EVENTS, "other", "other"));
  assert_int_equal(series_total(common), 50);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, NULL, NULL, false), SERIES_MAX + 50);
  buffer_clear(&f->out);
  metrics_prometheus(f->m, &f->out);
  const char *shown = strstr(buffer_z(&f->out), other);
  assert_true(shown && !strncmp(shown + strlen(other), "50\n", 3));
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  assert_true(series_is_overflow(f->m, metrics_series(f->m, METRIC_DEAD, name, "x")));
  assert_true(series_is_overflow(f->m, metrics_series(f->m, METRIC_DEAD, "x", "\xFF")));
}

CASE(prometheus_text_is_what_it_should_be) {
  struct fixture *f = *state;
  count(f, METRIC_EVENTS, "a\"b\\c\nd", "published", 2);
  series_set(metrics_series(f->m, METRIC_PENDING, "ready", NULL), 12);
  series_set(metrics_series(f->m, METRIC_HEARTBEAT, NULL, NULL), 1758510245.25);
  series_set(metrics_series(f->m, METRIC_BREAKER, "a", NULL), -1.5);
  series_set(metrics_series(f->m, METRIC_BREAKER, "b", NULL), INFINITY);
  series_set(metrics_series(f->m, METRIC_BREAKER, "c", NULL), -INFINITY);
  series_set(metrics_series(f->m, METRIC_BREAKER, "d", NULL), 1e15);
  series_set(metrics_series(f->m, METRIC_INFLIGHT, NULL, NULL), 1);
  series_set(metrics_series(f->m, METRIC_INFLIGHT, NULL, NULL), NAN);
  metrics_prometheus(f->m, &f->out);
  const char *text = buffer_z(&f->out);
  assert_non_null(strstr(
      text, "# HELP busbridge_events_total Entries by what became of them\n"
            "# TYPE busbridge_events_total counter\n"
            "busbridge_events_total{namespace=\"a\\\"b\\\\c\\nd\",result=\"published\"} 2\n#"));
  assert_non_null(strstr(text, "# TYPE busbridge_found_total counter\nbusbridge_found_total 0\n"));
  assert_non_null(strstr(
      text,
      "# TYPE busbridge_pending_events gauge\nbusbridge_pending_events{state=\"ready\"} 12\n"));
  assert_non_null(strstr(text, "busbridge_loop_heartbeat_timestamp_seconds 1758510245.25\n"));
  assert_non_null(strstr(text, "{target=\"a\"} -1.5\n"));
  assert_non_null(strstr(text, "{target=\"b\"} +Inf\n"));
  assert_non_null(strstr(text, "{target=\"c\"} -Inf\n"));
  assert_non_null(strstr(text, "{target=\"d\"} 1000000000000000\n"));
  assert_null(strstr(text, "inflight_events"));
  assert_null(strstr(text, "dead_total")); /* no series yet */
  assert_null(strstr(text, "other"));
}

CASE(prometheus_buckets_are_cumulative_and_in_seconds) {
  struct fixture *f = *state;
  struct series *s = metrics_series(f->m, METRIC_PUBLISH, NULL, NULL);
  series_record(s, 500);
  series_record(s, 4000);
  series_record(s, 4001);
  series_record(s, 2000000);
  series_record(s, 500000000);
  series_record(metrics_series(f->m, METRIC_BATCH, NULL, NULL), 2);
  metrics_prometheus(f->m, &f->out);
  const char *text = buffer_z(&f->out);
  assert_non_null(strstr(text, "# TYPE busbridge_publish_duration_seconds histogram\n"
                               "busbridge_publish_duration_seconds_bucket{le=\"0.001\"} 1\n"
                               "busbridge_publish_duration_seconds_bucket{le=\"0.0025\"} 1\n"
                               "busbridge_publish_duration_seconds_bucket{le=\"0.005\"} 3\n"));
  assert_non_null(strstr(
      text,
      "_seconds_bucket{le=\"1\"} 3\nbusbridge_publish_duration_seconds_bucket{le=\"2.5\"} 4\n"));
  assert_non_null(strstr(text, "busbridge_publish_duration_seconds_bucket{le=\"100\"} 4\n"
                               "busbridge_publish_duration_seconds_bucket{le=\"+Inf\"} 5\n"
                               "busbridge_publish_duration_seconds_sum 502.008501\n"
                               "busbridge_publish_duration_seconds_count 5\n"));
  assert_non_null(strstr(
      text,
      "busbridge_batch_events_bucket{le=\"1\"} 0\nbusbridge_batch_events_bucket{le=\"2\"} 1\n"));
  assert_non_null(strstr(text, "busbridge_batch_events_sum 2\nbusbridge_batch_events_count 1\n"));
}

CASE(what_was_saved_is_loaded) {
  struct fixture *f = *state;
  struct summary before, after;
  count(f, METRIC_FOUND, NULL, NULL, 9);
  count(f, METRIC_EVENTS, "a b%\"\xC3\xA9-", "", 4);
  series_record(metrics_series(f->m, METRIC_PUBLISH, NULL, NULL), 77);
  f->now += 5;
  metrics_reset_period(f->m);
  count(f, METRIC_FOUND, NULL, NULL, 1);
  for (unsigned i = 0; i < 300; i++)
    series_record(metrics_series(f->m, METRIC_PUBLISH, NULL, NULL), i * 999);
  series_set(metrics_series(f->m, METRIC_INFLIGHT, NULL, NULL), 3);
  metrics_save(f->m, &f->out);
  metrics_summary(f->m, METRIC_PUBLISH, &before);

  struct metrics *other = NULL;
  struct buffer again = {0};
  struct error err = {0};
  assert_int_equal(metrics_open(&f->clock, &other), ST_OK);
  struct series *found = metrics_series(other, METRIC_FOUND, NULL, NULL);
  struct series *gone = metrics_series(other, METRIC_EVENTS, "gone", "x");
  series_add(found, 1000);
  series_add(gone, 1000);
  series_record(metrics_series(other, METRIC_BATCH, NULL, NULL), 5);
  assert_int_equal(metrics_load(other, buffer_span(&f->out), &err), ST_OK);
  assert_int_equal(series_total(found), 10);
  assert_int_equal(series_total(gone), 0);
  assert_int_equal(metrics_sum(other, METRIC_FOUND, NULL, NULL, true), 1);
  assert_int_equal(metrics_sum(other, METRIC_EVENTS, "a b%\"\xC3\xA9-", "", false), 4);
  assert_int_equal(metrics_period_started_us(other), f->now);
  metrics_summary(other, METRIC_PUBLISH, &after);
  assert_memory_equal(&before, &after, sizeof before);
  metrics_save(other, &again);
  assert_string_equal(buffer_z(&again), buffer_z(&f->out));
  buffer_release(&again);
  metrics_close(other);
}

CASE(odd_text_changes_nothing) {
  struct fixture *f = *state;
  static const char *const bodies[] = {
      "counter found_total = = 5\n",
      "counter found_total = = x 0\n",
      "counter found_total = = 5 6\n",
      "counter found_total = = 0 0\n",
      "counter found_total = = 5 0 \n",
      "counter found_total = = 99999999999999999999 0\n",
      "counter found_total = = 18446744073709551616 0\n",
      "counter found_total = = 5 0\ncounter found_total = = 5 0\n",
      "counter found_total =x = 5 0\n",
      "counter found_total = =x 5 0\n",
      "counter found_total x = 5 0\n",
      "counter events_total =%4 =x 5 0\n",
      "counter events_total =%GG =x 5 0\n",
      "counter events_total =%00 =x 5 0\n",
      "counter events_total =%FF =x 5 0\n",
      "counter publish_duration_seconds = = 5 0\n",
      "counter pending_events =x = 5 0\n",
      "gauge pending_events =x = 5 0\n",
      "histogram found_total = = 5 0 5 1:1:0\n",
      "histogram attempts = = 5 0 5\n",
      "histogram attempts = = 5 6 5 1:1:0\n",
      "histogram attempts = = 5 0 x 1:1:0\n",
      "histogram attempts = = 5 0 5 312:1:0\n",
      "histogram attempts = = 5 0 5 2:1:0 1:1:0\n",
      "histogram attempts = = 5 0 5 2:1:0 2:1:0\n",
      "histogram attempts = = 5 0 5 2:0:0\n",
      "histogram attempts = = 5 0 5 2:1:2\n",
      "histogram attempts = = 5 0 5 2:1\n",
      "account 5 1 2 3 4 5 6\n",
      "account 5 1 2 3 4 5 6 7\n",
      "account 5 1 2 3 4 5 6 7 8 9\n",
      "account 5 1 2 3 4 5 6 7 -1\n",
      "account -5 1 2 3 4 5 6 7 -\n",
      "account 5 1 2 3 4 5 6 7 -\naccount 5 1 2 3 4 5 6 7 -\n",
      "counter process_cpu_seconds_total = = 5 0\n",
      "\n",
      "end\n", /* text after the end */
  };
  count(f, METRIC_EVENTS, "x", "y", 4);
  metrics_save(f->m, &f->out);
  struct buffer text = {0}, now = {0};
  for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
    struct error err = {0};
    buffer_clear(&text);
    buffer_printf(&text, "busbridge-metrics 1\nwindow 5\n%send\n", bodies[i]);
    if (metrics_load(f->m, buffer_span(&text), &err) != ST_INVALID)
      fail_msg("taken: %s", bodies[i]);
    assert_string_equal(err.text, "not metrics this release has written");
  }
  static const char *const whole[] = {"",
                                      "\n",
                                      "x",
                                      "busbridge-metrics 2\nwindow 5\nend\n",
                                      "busbridge-metrics 1\nend\n",
                                      "busbridge-metrics 1\nwindow -5\nend\n",
                                      "busbridge-metrics 1\nwindow 18446744073709551615\nend\n",
                                      "busbridge-metrics 1\nwindow 5\n",
                                      "busbridge-metrics 1\nwindow 5\nend"};
  for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
    assert_int_equal(metrics_load(f->m, span_of(whole[i]), NULL), ST_INVALID);
  metrics_save(f->m, &now);
  assert_string_equal(buffer_z(&now), buffer_z(&f->out));
  buffer_release(&text);
  buffer_release(&now);
}

CASE(the_account_is_kept) {
  struct fixture *f = *state;
  struct metrics_account a = {1758510245123456, 7, 100, 1, 90, 2, 3, 4, -1}, b;
  metrics_account(f->m, &b);
  assert_int_equal(b.began_us, TIME_NONE);
  for (int clean = -1; clean < 20; clean += 13) {
    a.clean = clean;
    metrics_set_account(f->m, &a);
    buffer_clear(&f->out);
    metrics_save(f->m, &f->out);
    metrics_set_account(f->m, &(struct metrics_account){.began_us = TIME_NONE});
    assert_int_equal(metrics_load(f->m, buffer_span(&f->out), NULL), ST_OK);
    metrics_account(f->m, &b);
    assert_memory_equal(&a, &b, sizeof a);
  }
}

CASE(a_mirror_is_a_counter_that_is_set_and_not_saved) {
  struct fixture *f = *state;
  struct series *s = metrics_series(f->m, METRIC_KAFKA_RETRIES, "b:1", NULL);
  series_set(s, 12);
  metrics_prometheus(f->m, &f->out);
  assert_non_null(strstr(buffer_z(&f->out),
                         "# TYPE busbridge_kafka_broker_retries_total counter\n"
                         "busbridge_kafka_broker_retries_total{broker=\"b:1\"} 12\n"));
  metrics_unset(f->m, METRIC_KAFKA_RETRIES);
  series_set(metrics_series(f->m, METRIC_CPU, NULL, NULL), 1.5);
  buffer_clear(&f->out);
  metrics_prometheus(f->m, &f->out);
  assert_null(strstr(buffer_z(&f->out), "retries"));
  assert_non_null(strstr(buffer_z(&f->out), "\nprocess_cpu_seconds_total 1.5\n"));
  buffer_clear(&f->out);
  metrics_save(f->m, &f->out);
  assert_null(strstr(buffer_z(&f->out), "cpu"));
}

CASE(every_cut_of_a_saved_text_is_refused) {
  struct fixture *f = *state;
  count(f, METRIC_EVENTS, "x", "y", 4);
  series_record(metrics_series(f->m, METRIC_ATTEMPTS, NULL, NULL), 5);
  metrics_save(f->m, &f->out);
  for (size_t len = 0; len < f->out.len; len++)
    assert_int_equal(metrics_load(f->m, (struct span){f->out.ptr, len}, NULL), ST_INVALID);
  assert_int_equal(metrics_load(f->m, buffer_span(&f->out), NULL), ST_OK);
}

CASE(a_metric_of_another_release_is_skipped) {
  struct fixture *f = *state;
  assert_int_equal(metrics_load(f->m,
                                SPAN("busbridge-metrics 1\nwindow 5\ncounter later_total =a = 1 0\n"
                                     "counter found_total = = 2 0\nend\n"),
                                NULL),
                   ST_OK);
  assert_int_equal(metrics_sum(f->m, METRIC_FOUND, NULL, NULL, false), 2);
}

#define THREADS 4
#define ROUNDS 2000
static void *hammer(void *arg) {
  struct metrics *m = arg;
  for (int i = 0; i < ROUNDS; i++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", i % 20);
    series_add(metrics_series(m, METRIC_EVENTS, name, "published"), 1);
    series_record(metrics_series(m, METRIC_PUBLISH, NULL, NULL), (uint64_t)i);
    series_set(metrics_series(m, METRIC_INFLIGHT, NULL, NULL), i);
  }
  return NULL;
}

CASE(threads_lose_no_count) {
  struct fixture *f = *state;
  pthread_t threads[THREADS];
  struct summary sum;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, hammer, f->m), 0);
  for (int i = 0; i < 20; i++) {
    buffer_clear(&f->out);
    metrics_save(f->m, &f->out);
    metrics_prometheus(f->m, &f->out);
    metrics_summary(f->m, METRIC_PUBLISH, &sum);
    metrics_reset_period(f->m);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(metrics_sum(f->m, METRIC_EVENTS, NULL, NULL, false), THREADS * ROUNDS);
  assert_int_equal(series_total(metrics_series(f->m, METRIC_PUBLISH, NULL, NULL)),
                   THREADS * ROUNDS);
}
