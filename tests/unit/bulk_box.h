/* bulk_box.h - dead letters on a real outbox without Kafka and Redis, and asking for a replay or a
 * purge of many. */
#ifndef TESTS_UNIT_BULK_BOX_H
#define TESTS_UNIT_BULK_BOX_H

#include "bridge/base/disk/durable.h"
#include "bridge/outbox/file/records/journal.h"
#include "bridge/service/audit.h"
#include "bridge/service/bulk/bulk.h"
#include "bridge/service/bulk/frozen_selection.h"
#include "tests/unit/service_box.h"

#include <fcntl.h>
#include <sys/wait.h>

static inline const char *text_of(const char *file) {
  static char text[20000];
  FILE *f = fopen(path_of(file), "rb");
  if (!f) return "";
  text[fread(text, 1, sizeof text - 1, f)] = '\0';
  fclose(f);
  return text;
}

static inline void dead(const char *stem, const char *name, const char *reason, int second) {
  char file[300], text[1000];
  snprintf(file, sizeof file, "dlq/%s.json", stem);
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"%s\", \"payload\": {\"episode_id\": \"ep-1\"}, \"created_at\": "
      "\"2025-09-22T03:04:05.123456+00:00\", \"attempts\": 5, \"dispatched_at\": null, \"last_error\": \"no\", "
      "\"failed_at\": \"2025-09-22T04:00:%02d.000000+00:00\", \"status\": \"dlq\", \"storage_key\": \"%s\", "
      "\"reason\": \"%s\"}",
      stem, name, second, stem, reason);
  put(file, text);
}

/* d-00 ... : every third a plot.* of schema_mismatch, the others episode.* of bad_name. */
static inline void many(int count) {
  for (int i = 0; i < count; i++) {
    char stem[20];
    snprintf(stem, sizeof stem, "d-%02d", i);
    dead(stem, i % 3 ? "episode.created" : "plot.created", i % 3 ? "bad_name" : "schema_mismatch",
         i % 60);
  }
}

/* ---- asking ---- */

static inline struct bulk_request request(bool purge) {
  static const struct caller us = {.uid = 0};
  struct bulk_request r = {.purge = purge, .by = &us};
  selection_init(&r.selection);
  return r;
}

static inline enum status freeze(struct bulk_request r) {
  buffer_clear(&json);
  err = (struct error){0};
  return service_bulk_freeze(service, &r, &json, &err);
}

static inline enum status freeze_all(bool purge) {
  struct bulk_request r = request(purge);
  r.all = true;
  return freeze(r);
}

static inline enum status freeze_reason(const char *reason) {
  struct bulk_request r = request(false);
  assert_int_equal(selection_set(&r.selection, "reason", reason, 0, &err), ST_OK);
  return freeze(r);
}

static inline enum status step(bool purge, uint64_t n, size_t limit) {
  buffer_clear(&json);
  err = (struct error){0};
  return service_bulk_step(service, purge, n, limit, &json, &err);
}

/* How many of many() lie there. */
static inline int files_in(const char *folder) {
  int n = 0;
  char path[300];
  snprintf(path, sizeof path, "%s/%s", outbox, folder);
  for (int i = 0; i < 100; i++) {
    char file[340];
    snprintf(file, sizeof file, "%s/d-%02d.json", path, i);
    n += access(file, F_OK) == 0;
  }
  return n;
}

#endif
