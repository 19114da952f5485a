/* service_box.h - a service on a real outbox of its own for each test, without Kafka and Redis, and
 * what it answered.
 */
#ifndef TESTS_UNIT_SERVICE_BOX_H
#define TESTS_UNIT_SERVICE_BOX_H

#include "bridge/json/json.h"
#include "bridge/service/service.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>
#include <unistd.h>

#define ID1 "3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77"
#define ID2 "3f2b9999-7d4a-4e59-9b60-2c5d1a8f0e77"

static char outbox[200];
static struct settings *settings;
static struct service *service;
static struct buffer json;
static struct error err;

/* ---- a small outbox ---- */

static inline const char *path_of(const char *file) {
  static char path[500];
  snprintf(path, sizeof path, "%s/%s", outbox, file);
  return path;
}

static inline void put(const char *file, const char *text) {
  FILE *f = fopen(path_of(file), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

static inline bool there(const char *file) {
  return access(path_of(file), F_OK) == 0;
}

static inline void put_entry(const char *place, const char *id, const char *key, const char *name,
                             const char *status, const char *more) {
  char file[200], text[1000];
  snprintf(file, sizeof file, "%s%s.json", place, key);
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"%s\", \"payload\": {\"episode_id\": \"ep-1\"}, \"created_at\": "
      "\"2025-09-22T03:04:05.123456+00:00\", \"attempts\": %s, \"dispatched_at\": null, %s, \"status\": \"%s\", "
      "\"storage_key\": \"%s\"}",
      id, name, strcmp(status, "dlq") ? "0" : "1", more, status, key);
  put(file, text);
}
#define NEVER_FAILED "\"last_error\": null, \"failed_at\": null"
#define FAILED(why)                                                                                \
  "\"last_error\": \"" why                                                                         \
  "\", \"failed_at\": \"2025-09-22T04:00:00.000000+00:00\", \"reason\": \"schema_mismatch\""

static inline void put_pending(const char *id) {
  put_entry("", id, id, "episode.published", "pending", NEVER_FAILED);
}
static inline void put_dead(const char *id, const char *key) {
  put_entry("dlq/", id, key, "episode.published", "dlq", FAILED("payload.score: expected double"));
}

static inline void open_outbox(enum service_mode mode) {
  struct service_options options = {.mode = mode, .clock = &clock_system};
  err = (struct error){0};
  if (service_open(settings, NULL, &options, &service, &err) != ST_OK) fail_msg("%s", err.text);
}

static inline void restart(void) {
  service_close(service, 0);
  service = NULL;
  open_outbox(SERVICE_CHANGE);
}

static inline int setup(void **state) {
  (void)state;
  char url[256];
  folder_make(outbox, sizeof outbox, "service");
  if (mkdir(path_of("dlq"), 0770) != 0) return -1;
  snprintf(url, sizeof url, "outbox.url=file:%s", outbox);
  const char *overrides[] = {url, "redis.url=off"};
  struct settings_sources sources = {.overrides = overrides, .override_count = 2};
  return settings_load(&sources, &settings, NULL, NULL) == ST_OK ? 0 : -1;
}

static inline int teardown(void **state) {
  (void)state;
  service_close(service, 0);
  service = NULL;
  settings_free(settings);
  buffer_release(&json);
  return folder_remove(outbox);
}

static inline const char *answered(enum status st) {
  if (st != ST_OK) fail_msg("%s: %s", status_name(st), err.text);
  struct json_doc doc = {0};
  assert_int_equal(json_scan(&doc, buffer_span(&json), NULL), ST_OK);
  json_doc_release(&doc);
  return buffer_z(&json);
}

#define assert_has(text, part)                                                                     \
  do {                                                                                             \
    if (!strstr((text), (part))) fail_msg("no '%s' in %s", (part), (text));                        \
  } while (0)

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
