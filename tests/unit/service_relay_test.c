/* The operations while a relay runs, against librdkafka's mock cluster: flush, health, figures,
 * replay. */
#include "tests/unit/service_relay_box.h"

CASE(a_flush_publishes_and_the_figures_tell) {
  struct world *w = *state;
  open_relay(w, false, NULL, NULL);
  emit(w, "episode.published", "{\"episode_id\": \"e\"}", "a-1");
  emit(w, "episode.published", "{\"episode_id\": \"e\"}", "a-2");
  emit(w, "weather.changed", "{}", "w-1");
  const char *text = health(w, false); /* nobody has scanned: still nothing is hidden */
  assert_has(text, "\"pending\": 3");
  assert_has(text, "background flush is off");
  text = follow(w, start_flush(w));
  assert_has(
      text,
      "\"published\": 2, \"duplicates\": 0, \"retried\": 0, \"dead\": 1, \"held\": 0, \"left\": 0");
  text = health(w, true);
  assert_has(text, "\"pending\": 0, \"oldest_seconds\": null, \"dead\": 1, \"processed\": 3");
  assert_has(text, "\"worker\": true");
  assert_has(text, "\"errors\": [{\"error\": \"");
  buffer_clear(&w->json);
  assert_int_equal(service_metrics(w->service, false, &w->json, &w->err), ST_OK);
  assert_has(buffer_z(&w->json), "\"events\": {\"total\": 3, \"failed\": 1");
  assert_has(buffer_z(&w->json), "\"published\": 2, \"duplicate\": 0, \"retried\": 0, \"dead\": 1");
  assert_has(buffer_z(&w->json),
             "\"found\": 3, \"replayed\": 0, \"published\": 2, \"duplicate\": 0, \"dead\": 1");
  assert_has(buffer_z(&w->json), "\"pending\": 0, \"missing\": 0, \"balanced\": true");
  do {
    buffer_clear(&w->json);
    assert_int_equal(service_prometheus(w->service, &w->json, &w->err), ST_OK);
  } while (!strstr(buffer_z(&w->json), "dlq_events")); /* a thread of its own reads them */
  assert_has(buffer_z(&w->json),
             "busbridge_dlq_events{namespace=\"none\",reason=\"unknown_namespace\"} 1\n");
  assert_has(buffer_z(&w->json), "busbridge_pending_events{state=\"ready\"} 0\n");
  assert_has(buffer_z(&w->json), "busbridge_inflight_events 0\n");
  assert_has(buffer_z(&w->json), "busbridge_breaker_state{target=\"kafka\"} 0\n");
  assert_has(buffer_z(&w->json), "busbridge_breaker_state{target=\"plot.events\"} 0\n");
  assert_has(buffer_z(&w->json), "busbridge_loop_heartbeat_timestamp_seconds ");
  assert_true(service_alive(w->service));
}

static bool there(struct world *w, const char *file) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", w->outbox, file);
  return access(path, F_OK) == 0;
}

CASE(the_background_relays_what_is_replayed) {
  struct world *w = *state;
  open_relay(w, true, NULL, NULL);
  emit(w, "episode.published", "{}", "a-1"); /* episode_id is missing */
  int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
  while (!there(w, "dlq/a-1.json") || there(w, "a-1.json")) {
    assert_true(clock_mono_ms(&clock_system) < until);
    usleep(2000);
  }
  struct replay_request request = {.id = "a-1"};
  buffer_clear(&w->json);
  enum status st;
  while ((st = service_replay(w->service, &request, &w->json, &w->err)) == ST_BUSY)
    usleep(2000); /* still in hand */
  if (st != ST_OK) fail_msg("%s", w->err.text);
  while (metrics_sum(w->service->metrics, METRIC_DEAD, NULL, NULL, false) <
         2) { /* it was tried again */
    assert_true(clock_mono_ms(&clock_system) < until);
    usleep(2000);
  }
}

CASE(a_broker_that_is_away_is_never_green) {
  struct world *w = *state;
  open_relay(w, true, "kafka.bootstrap.servers=" NOBODY, "redis.url=redis://127.0.0.1:1/0");
  emit(w, "episode.published", "{\"episode_id\": \"e\"}", "a-1");
  int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
  while (!strstr(health(w, false), "\"target\": \"kafka\", \"state\": \"")) {
    assert_true(clock_mono_ms(&clock_system) < until);
    usleep(10000);
  }
  const char *text = buffer_z(&w->json);
  assert_has(text, "Nothing goes to kafka");
  assert_null(strstr(text, "\"word\": \"OK\""));
  buffer_clear(&w->json);
  assert_int_equal(service_prometheus(w->service, &w->json, &w->err), ST_OK);
  assert_null(strstr(buffer_z(&w->json), "busbridge_breaker_state{target=\"kafka\"} 0\n"));
  assert_has(buffer_z(&w->json), "busbridge_breaker_state{target=\"outbox\"} 0\n");
  uint64_t id = start_flush(w);
  service_flush_cancel(w->service, id);
  service_flush_cancel(w->service, id + 1);
  struct replay_request request = {.id = "a-1", .force = true};
  buffer_clear(&w->json);
  /* Redis must forget the key, and is away; the entry is in hand besides */
  assert_int_equal(service_replay(w->service, &request, &w->json, &w->err), ST_UNAVAILABLE);
}

CASE(a_pause_holds_everything_and_a_flush_is_refused) {
  struct world *w = *state;
  const struct caller root = {0};
  open_relay(w, true, NULL, NULL);
  assert_int_equal(
      service_pause(w->service, &(struct pause_request){"why", &root}, &w->json, &w->err), ST_OK);
  emit(w, "episode.published", "{\"episode_id\": \"e\"}", "a-1");
  int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
  while (!strstr(health(w, false), "\"pending\": 1")) {
    assert_true(clock_mono_ms(&clock_system) < until);
    usleep(10000);
  }
  assert_has(buffer_z(&w->json), "\"word\": \"WARNING\"");
  assert_int_equal(service_flush(w->service, &(struct flush_request){0}, &w->json, &w->err),
                   ST_BUSY);
  assert_has(w->err.text, "by root: why; go on by: busbridge resume");
  buffer_clear(&w->json);
  assert_int_equal(
      service_resume(w->service, &(struct pause_request){NULL, NULL}, &w->json, &w->err), ST_OK);
  while (there(w, "a-1.json")) {
    assert_true(clock_mono_ms(&clock_system) < until);
    usleep(10000);
  }
  assert_has(health(w, false), "\"paused\": null");
}
