/* service_relay_box.h - a service with a relay on an outbox of its own, against librdkafka's mock
 * cluster: what the programs about its operations share. */
#ifndef TESTS_UNIT_SERVICE_RELAY_BOX_H
#define TESTS_UNIT_SERVICE_RELAY_BOX_H

#include "tests/unit/mock_settings.h"
#include "tests/unit/schema_folder.h"

#include "bridge/json/json.h"
#include "bridge/service/operations.h"

#include <sys/stat.h>

struct world {
  struct mock mock;
  char outbox[200];
  struct settings *settings;
  struct service *service;
  struct buffer json;
  struct error err;
};

#define assert_has(text, part)                                                                     \
  do {                                                                                             \
    if (!strstr((text), (part))) fail_msg("no '%s' in %s", (part), (text));                        \
  } while (0)

static inline int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  mock_topic(&w->mock, "episode.events", 1);
  folder_make(w->outbox, sizeof w->outbox, "relay");
  *state = w;
  return 0;
}

static inline int teardown(void **state) {
  struct world *w = *state;
  service_close(w->service, 5000); /* the broker may be away */
  settings_free(w->settings);
  buffer_release(&w->json);
  mock_close(&w->mock);
  int removed = folder_remove(w->outbox);
  test_free(w);
  return removed;
}

/* The last two: further settings, or NULL. */
static inline void open_relay(struct world *w, bool background, const char *bootstrap,
                              const char *redis) {
  w->settings = mock_settings_of(
      &w->mock, w->outbox, "topics.create=never",
      "delivery.guarantee=at_least_once", /* the mock knows no transactions */
      background ? "flush.background=true" : "flush.background=false", bootstrap, redis);
  struct service_options options = {
      .mode = SERVICE_RELAY, .background = background, .clock = &clock_system};
  if (service_open(w->settings, w->mock.log, &options, &w->service, &w->err) != ST_OK)
    fail_msg("%s", w->err.text);
}

static inline void emit(struct world *w, const char *name, const char *payload, const char *id) {
  struct emit_request request = {
      .id = span_of(id), .name = span_of(name), .payload = span_of(payload)};
  buffer_clear(&w->json);
  if (service_emit(w->service, &request, &w->json, &w->err) != ST_OK) fail_msg("%s", w->err.text);
}

static inline uint64_t start_flush(struct world *w) {
  buffer_clear(&w->json);
  if (service_flush(w->service, &(struct flush_request){0}, &w->json, &w->err) != ST_OK)
    fail_msg("%s", w->err.text);
  struct json_doc doc = {0};
  int64_t id = 0;
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  assert_true(json_int(&doc, json_member(&doc, 0, "flush"), &id));
  json_doc_release(&doc);
  return (uint64_t)id;
}

static inline const char *follow(struct world *w, uint64_t id) {
  int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
  for (;;) {
    buffer_clear(&w->json);
    assert_int_equal(service_flush_progress(w->service, id, &w->json, &w->err), ST_OK);
    if (strstr(buffer_z(&w->json), "\"finished\": true")) return buffer_z(&w->json);
    assert_true(clock_mono_ms(&clock_system) < until);
    usleep(2000);
  }
}

static inline const char *health(struct world *w, bool detailed) {
  buffer_clear(&w->json);
  if (service_health(w->service, detailed, &w->json, &w->err) != ST_OK) fail_msg("%s", w->err.text);
  return buffer_z(&w->json);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
