/* The operations of service.h on a real outbox, without Kafka and Redis: what they answer and what they change. */
#include "bridge/base/durable.h"
#include "bridge/json/json.h"
#include "bridge/service/operations.h"
#include "bridge/service/service.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"
#include "worker/control_call.h"
#include "worker/control_routes.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID1 "3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77"
#define ID2 "3f2b9999-7d4a-4e59-9b60-2c5d1a8f0e77"

static char outbox[200];
static struct settings *settings;
static struct service *service;
static struct buffer json;
static struct error err;

/* ---- a small outbox ------------------------------------------------------------------------------------------ */

static void put(const char *file, const char *text) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", outbox, file);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

static bool there(const char *file) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", outbox, file);
  return access(path, F_OK) == 0;
}

static void entry(const char *place, const char *id, const char *key, const char *name, const char *status,
                  const char *more) {
  char file[200], text[1000];
  snprintf(file, sizeof file, "%s%s.json", place, key);
  snprintf(text, sizeof text,
           "{\"id\": \"%s\", \"name\": \"%s\", \"payload\": {\"episode_id\": \"ep-1\"}, \"created_at\": "
           "\"2025-09-22T03:04:05.123456+00:00\", \"attempts\": %s, \"dispatched_at\": null, %s, \"status\": \"%s\", "
           "\"storage_key\": \"%s\"}",
           id, name, strcmp(status, "dlq") ? "0" : "1", more, status, key);
  put(file, text);
}
#define NEVER_FAILED "\"last_error\": null, \"failed_at\": null"
#define FAILED(why)                                                                                                    \
  "\"last_error\": \"" why "\", \"failed_at\": \"2025-09-22T04:00:00.000000+00:00\", \"reason\": \"schema_mismatch\""

static void pending(const char *id) {
  entry("", id, id, "episode.published", "pending", NEVER_FAILED);
}
static void dead(const char *id, const char *key) {
  entry("dlq/", id, key, "episode.published", "dlq", FAILED("payload.score: expected double"));
}

static void open_outbox(enum service_mode mode) {
  struct service_options options = {.mode = mode, .clock = &clock_system};
  err = (struct error){0};
  if (service_open(settings, NULL, &options, &service, &err) != ST_OK) fail_msg("%s", err.text);
}

static int setup(void **state) {
  (void)state;
  char url[256], sub[256];
  folder_make(outbox, sizeof outbox, "operations");
  snprintf(sub, sizeof sub, "%s/dlq", outbox);
  if (mkdir(sub, 0770) != 0) return -1;
  snprintf(url, sizeof url, "outbox.url=file:%s", outbox);
  const char *overrides[] = {url, "redis.url=off"};
  struct settings_sources sources = {.overrides = overrides, .override_count = 2};
  return settings_load(&sources, &settings, NULL, NULL) == ST_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  service_close(service, 0);
  service = NULL;
  settings_free(settings);
  buffer_release(&json);
  return folder_remove(outbox);
}

/* ---- reading the answers ----------------------------------------------------------------------------------------- */

static const char *answered(enum status st) {
  if (st != ST_OK) fail_msg("%s: %s", status_name(st), err.text);
  struct json_doc doc = {0};
  assert_int_equal(json_scan(&doc, buffer_span(&json), NULL), ST_OK);
  json_doc_release(&doc);
  return buffer_z(&json);
}

#define assert_has(text, part)                                                                                         \
  do {                                                                                                                 \
    if (!strstr((text), (part))) fail_msg("no '%s' in %s", (part), (text));                                            \
  } while (0)

static const char *list(bool want_pending, bool want_dead, size_t limit) {
  buffer_clear(&json);
  struct list_request request = {.limit = limit};
  selection_init(&request.selection);
  request.selection.pending = want_pending;
  request.selection.dead = want_dead;
  return answered(service_list(service, &request, &json, &err));
}

static enum status replay(const char *id, bool force) {
  buffer_clear(&json);
  err = (struct error){0};
  return service_replay(service, &(struct replay_request){.id = id, .force = force}, &json, &err);
}

/* ---- list ---- */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(test_list_begins_with_the_seven_keys_of_the_contract) {
  dead(ID1, ID1);
  open_outbox(SERVICE_INSPECT);
  assert_has(
      list(true, true, 0),
      "{\"version\": 1, \"total\": 1, \"entries\": [{\"id\": \"" ID1 "\", \"name\": \"episode.published\", "
      "\"created_at\": \"2025-09-22T03:04:05.123456+00:00\", \"attempts\": 1, \"last_error\": "
      "\"payload.score: expected double\", \"failed_at\": \"2025-09-22T04:00:00.000000+00:00\", "
      "\"payload_size\": 22, \"status\": \"dlq\", \"reason\": \"schema_mismatch\", \"topic\": \"episode.events\", "
      "\"namespace\": \"episode\", \"key\": \"ep-1\", \"held_behind\": null, \"file\": \"dlq/" ID1 ".json\"");
}

static enum status show(const char *id, bool raw) {
  buffer_clear(&json);
  err = (struct error){0};
  struct show_request request = {.id = id, .pending = true, .dead = true, .raw = raw};
  return service_show(service, &request, &json, &err);
}

CASE(test_show_tells_all_of_one_entry) {
  dead(ID1, ID1);
  pending(ID2);
  open_outbox(SERVICE_INSPECT);
  const char *text = answered(show("3f2b8", false));
  assert_has(text, "\"state\": \"dead\", \"due_at\": null, \"waits_for\": null");
  assert_has(text, "\"remedy\": \"Mend the field named, or the schema and restart the worker; then replay it\"");
  assert_has(text, "\"payload\": {\"episode_id\": \"ep-1\"}}");
  assert_has(text, "\"also\": []");
  assert_has(answered(show(ID2, false)), "\"state\": \"ready\"");
  assert_int_equal(show("3f2b", false), ST_EXISTS);
  assert_has(err.text, "dlq/" ID1);
  assert_int_equal(show("x", false), ST_NOT_FOUND);
  assert_int_equal(json.len, 0);
}

CASE(test_show_points_at_the_place) {
  entry(
      "dlq/", "b-1", "b-1", "no name", "dlq",
      "\"last_error\": \"name \\\"no name\\\" is no namespace.event\", \"failed_at\": null, \"reason\": \"bad_name\"");
  entry("dlq/", "s-1", "s-1", "episode.created", "dlq",
        "\"last_error\": \"payload.episode_id: expected long, found string\", \"reason\": \"schema_mismatch\"");
  put("half.json", "{\"id\": \"half\", ");
  put("dlq/r-1.json",
      "{\"id\": \"r-1\", \"name\": \"\", \"payload\": {}, \"status\": \"dlq\", \"reason\": \"not_json\", "
      "\"inode\": 5}");
  put("dlq/r-1.raw", "[1,\n 2, x]");
  open_outbox(SERVICE_INSPECT);
  assert_has(answered(show("b-1", false)), "\"fault\": {\"byte\": 22, \"line\": 1, \"column\": 23, \"error\": null");
  assert_has(answered(show("s-1", false)), "\"after\": \"\\\"ep-1\\\"}, ");
  assert_has(answered(show("half", false)), "\"state\": \"unread\"");
  assert_has(buffer_z(&json), "\"byte\": 15");
  assert_has(answered(show("r-1", false)),
             "\"fault\": {\"byte\": 8, \"line\": 2, \"column\": 5, \"error\": \"byte 8: ");
  assert_has(buffer_z(&json), "\"beginning\": \"[1,\\\\x0a 2, x]\"");
  assert_int_equal(show("r-1", true), ST_OK);
  assert_string_equal(buffer_z(&json), "[1,\n 2, x]");
  put("dlq/r-1.raw", "[1]");
  assert_has(answered(show("r-1", false)), "\"fault\": null, \"mended\": true");
}

CASE(test_list_counts_and_shows_what_matches) {
  pending("a-1");
  dead("d-1", "d-1");
  dead("d-2", "d-2");
  open_outbox(SERVICE_INSPECT);
  struct list_request request = {.limit = 1};
  selection_init(&request.selection);
  assert_int_equal(selection_set(&request.selection, "reason", "schema_mismatch", 0, &err), ST_OK);
  buffer_clear(&json);
  const char *text = answered(service_list(service, &request, &json, &err));
  assert_has(text, "\"total\": 2, \"entries\": [{\"id\": \"d-");
  assert_null(strstr(text, "}, {"));
}

static struct buffer given;
static bool take_two(void *ctx, struct span object) {
  buffer_printf(&given, "%.*s|", 13, object.ptr);
  return ++*(int *)ctx < 2;
}
static bool take_all(void *ctx, struct span object) {
  (void)take_two(ctx, object);
  return true;
}
static bool always(void *ctx) {
  (void)ctx;
  return true;
}

CASE(test_a_list_is_given_one_by_one_and_ends_when_nobody_wants_it) {
  int count = 0;
  char id[10];
  for (int i = 0; i < 40; i++) snprintf(id, sizeof id, "d-%02d", i), dead(id, id);
  open_outbox(SERVICE_INSPECT);
  struct list_request request = {.each = take_all, .ctx = &count, .limit = 39};
  selection_init(&request.selection);
  buffer_clear(&json);
  assert_string_equal(answered(service_list(service, &request, &json, &err)),
                      "{\"version\": 1, \"total\": 40, \"entries\": [], \"aside\": 0}");
  assert_int_equal(count, 39);
  assert_has(buffer_z(&given), "{\"id\": \"d-38\"|");
  count = 0;
  request.each = take_two;
  assert_int_equal(service_list(service, &request, &json, &err), ST_CANCELLED);
  assert_int_equal(count, 2);
  buffer_release(&given);
  request = (struct list_request){.selection = request.selection, .gone = always};
  buffer_clear(&json);
  assert_int_equal(service_list(service, &request, &json, &err), ST_CANCELLED);
  request = (struct list_request){.selection = request.selection, .room = 2000};
  assert_int_equal(service_list(service, &request, &json, &err), ST_TOO_LARGE);
  assert_has(err.text, "busbridge list --limit 0 -o jsonl");
  assert_int_equal(json.len, 0);
}

CASE(test_list_takes_places_and_limit) {
  pending("a-1");
  pending("a-2");
  dead("d-1", "d-1");
  open_outbox(SERVICE_INSPECT);
  assert_has(list(true, true, 0), "\"total\": 3");
  assert_has(list(false, true, 0), "\"total\": 1, \"entries\": [{\"id\": \"d-1\"");
  const char *text = list(true, false, 1);
  assert_has(text, "\"total\": 2");
  const char *first = strstr(text, "\"id\"");
  assert_non_null(first);
  assert_null(strstr(first + 1, "\"id\""));
}

CASE(test_list_of_nothing_is_an_empty_array) {
  open_outbox(SERVICE_INSPECT);
  assert_string_equal(list(true, true, 50), "{\"version\": 1, \"total\": 0, \"entries\": [], \"aside\": 0}");
  assert_false(there(".busbridge")); /* looking changes nothing */
}

/* ---- replay ---- */

CASE(test_replay_moves_a_dead_letter_back_under_its_id) {
  dead(ID1, ID1);
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay(ID1, false), ST_OK);
  assert_has(buffer_z(&json), "\"id\": \"" ID1 "\", \"name\": \"episode.published\"");
  assert_has(buffer_z(&json), "\"from\": \"dlq\"");
  assert_false(there("dlq/" ID1 ".json"));
  assert_true(there(ID1 ".json"));
  const char *text = list(true, true, 0);
  assert_has(text, "\"attempts\": 0, \"last_error\": null, \"failed_at\": null");
  assert_has(text, "\"status\": \"pending\"");
  buffer_clear(&json);
  assert_has(answered(service_metrics(service, false, &json, &err)), "\"replayed\": 1");
}

CASE(test_a_prefix_is_enough_when_it_is_unambiguous) {
  dead(ID1, ID1);
  dead(ID2, ID2);
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("3f2b", false), ST_EXISTS);
  assert_has(err.text, ID1);
  assert_has(err.text, ID2);
  assert_true(there("dlq/" ID1 ".json") && there("dlq/" ID2 ".json"));
  assert_int_equal(replay("3f2b9", false), ST_OK);
  assert_true(there(ID2 ".json") && there("dlq/" ID1 ".json"));
}

CASE(test_of_two_with_one_id_the_file_named_so_is_meant) {
  dead("twin", "twin");
  dead("twin", "twin__1");
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("twin", false), ST_OK);
  assert_true(there("twin.json") && there("dlq/twin__1.json"));
}

CASE(test_what_is_not_there_is_said_with_the_next_command) {
  pending("p-1");
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("nowhere", false), ST_NOT_FOUND);
  assert_has(err.text, "busbridge list --type dlq");
  assert_has(err.text, outbox);
  assert_int_equal(replay("p-1", false), ST_NOT_FOUND);
  assert_has(err.text, "--force");
  assert_int_equal(replay("nowhere", true), ST_NOT_FOUND);
  assert_int_equal(replay("", true), ST_INVALID);
}

CASE(test_force_takes_a_pending_entry_anew) {
  entry("", "p-1", "p-1", "episode.published", "pending", FAILED("refused"));
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("p-1", true), ST_OK);
  assert_has(buffer_z(&json), "\"from\": \"pending\"");
  assert_has(list(true, false, 0), "\"last_error\": null");
}

CASE(test_an_id_that_is_a_path_finds_nothing) {
  dead(ID1, ID1);
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("../dlq/" ID1, true), ST_NOT_FOUND);
  assert_true(there("dlq/" ID1 ".json"));
}

/* ---- health and figures ---- */

CASE(test_health_of_an_outbox_nobody_drains) {
  pending("p-1");
  dead("d-1", "d-1");
  dead("d-2", "d-2");
  dead("d-3", "d-3");
  entry("dlq/", "d-4", "d-4", "episode.published", "dlq",
        FAILED("0123456789012345678901234567890123456789012345678901234567890"));
  open_outbox(SERVICE_INSPECT);
  const char *text = answered(service_health(service, true, &json, &err));
  assert_has(text, "\"state\": 2, \"word\": \"CRITICAL\"");
  assert_has(text, "1 pending");
  assert_has(text, "No worker runs");
  assert_has(text, "\"pending\": 1");
  assert_has(text, "\"dlq\": {\"total\": 4, \"oldest\": \"2025-09-22T04:00:00.000000+00:00\", \"errors\": "
                   "[{\"error\": \"payload.score: expected double\", \"count\": 3}, {\"error\": "
                   "\"01234567890123456789012345678901234567890123456789\", \"count\": 1}], \"other_errors\": 0}");
  assert_has(text, "\"redis\": {\"state\": \"off\"");
  assert_has(text, "\"worker\": false");
  assert_has(text, "\"perfdata\": {\"pending\": \"1;1000;10000;0\"");
  buffer_clear(&json);
  assert_null(strstr(answered(service_health(service, false, &json, &err)), "\"errors\""));
}

CASE(test_entries_of_the_old_bus_are_not_pending) {
  char id[20];
  for (int i = 0; i < 600; i++) {
    snprintf(id, sizeof id, "o-%d", i);
    entry("", id, id, "episode.published", "dispatched", NEVER_FAILED);
  }
  open_outbox(SERVICE_INSPECT);
  assert_has(answered(service_health(service, false, &json, &err)), "\"pending\": 0, \"oldest_seconds\": null");
  pending("p-1");
  buffer_clear(&json);
  assert_has(answered(service_health(service, false, &json, &err)), "\"pending\": 1, ");
}

CASE(test_commands_are_counted_and_outlive_the_process) {
  open_outbox(SERVICE_CHANGE);
  list(true, true, 0);
  assert_int_equal(replay("nowhere", false), ST_NOT_FOUND);
  service_close(service, 0);
  service = NULL;
  open_outbox(SERVICE_INSPECT);
  buffer_clear(&json);
  const char *text = answered(service_metrics(service, false, &json, &err));
  /* a request that was at fault itself is no failure */
  assert_has(text, "\"commands\": {\"total\": 2, \"failed\": 0");
  assert_has(text, "\"counters\": {\"found\": 0, \"replayed\": 0, \"published\": 0");
  list(true, true, 0); /* and without the lock nothing is counted */
  buffer_clear(&json);
  assert_has(answered(service_metrics(service, false, &json, &err)), "\"commands\": {\"total\": 2");
}

CASE(test_a_new_window_needs_the_lock) {
  open_outbox(SERVICE_CHANGE);
  list(true, true, 0);
  buffer_clear(&json);
  assert_has(answered(service_metrics(service, true, &json, &err)), "\"total\": 1");
  service_close(service, 0);
  service = NULL;
  open_outbox(SERVICE_INSPECT);
  buffer_clear(&json);
  /* what was counted when the window had begun: the reset itself */
  assert_has(answered(service_metrics(service, false, &json, &err)), "\"commands\": {\"total\": 1");
  buffer_clear(&json);
  assert_int_equal(service_metrics(service, true, &json, &err), ST_UNSUPPORTED);
}

CASE(test_prometheus_text_has_the_gauges_of_now) {
  pending("p-1");
  dead("d-1", "d-1");
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(service_prometheus(service, &json, &err), ST_OK);
  const char *text = buffer_z(&json);
  assert_has(text, "busbridge_dlq_events{namespace=\"episode\",reason=\"");
  assert_has(text, "busbridge_pending_events{state=\"unread\"} 1\n");
  assert_has(text, "busbridge_oldest_pending_timestamp_seconds ");
  assert_true(service_alive(service));
}

/* ---- emit ---- */

static enum status emit(const char *name, const char *payload, const char *id) {
  buffer_clear(&json);
  err = (struct error){0};
  struct emit_request request = {.id = span_of(id), .name = span_of(name), .payload = span_of(payload)};
  return service_emit(service, &request, &json, &err);
}

CASE(test_emit_writes_what_producers_write) {
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(emit("episode.published", " {\"episode_id\": \"星\"}\n", "e-1"), ST_OK);
  assert_has(buffer_z(&json),
             "\"id\": \"e-1\", \"file\": \"e-1.json\", \"topic\": \"episode.events\", \"warning\": null");
  assert_true(there("e-1.json"));
  assert_false(there(".busbridge"));
  assert_has(list(true, false, 0), "\"payload_size\": 21");
}

CASE(test_emit_of_the_same_id_takes_the_next_name) {
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(emit("episode.published", "{}", "e-1"), ST_OK);
  assert_int_equal(emit("episode.published", "{}", "e-1"), ST_OK);
  assert_has(buffer_z(&json), "\"file\": \"e-1__1.json\"");
  assert_true(there("e-1.json") && there("e-1__1.json"));
}

CASE(test_emit_makes_an_id) {
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(emit("episode.published", "{}", ""), ST_OK);
  const char *id = strstr(buffer_z(&json), "\"id\": \"");
  assert_non_null(id);
  assert_int_equal(strcspn(id + 7, "\""), 36);
}

CASE(test_emit_warns_of_what_the_relay_would_set_aside) {
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(emit("weather.changed", "{}", "e-1"), ST_OK);
  assert_has(buffer_z(&json), "\"topic\": null, \"warning\": \"It will become a dead letter (unknown_namespace");
  assert_true(there("e-1.json"));
}

CASE(test_emit_refuses_what_is_no_event) {
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(emit("episode.published", "{\"a\": nope}", "e-1"), ST_INVALID);
  assert_has(err.text, "The payload is not JSON");
  assert_has(err.text, "byte 6");
  assert_int_equal(emit("episode.published", "[1]", "e-1"), ST_INVALID);
  assert_has(err.text, "must be a JSON object, but is array");
  assert_int_equal(emit("episode.published", "{}", "../e"), ST_INVALID);
  assert_int_equal(emit("", "{}", "e-1"), ST_INVALID);
  static char large[1100000];
  memset(large, ' ', sizeof large);
  memcpy(large, "{\"a\":", 5);
  memcpy(large + sizeof large - 3, "1}", 3);
  assert_int_equal(emit("episode.published", large, "e-1"), ST_TOO_LARGE);
  assert_has(err.text, "outbox.max_entry_bytes is 1048576");
  assert_false(there("e-1.json"));
}

/* ---- the control API's routes ---- */

static struct answer answer;
static const char *ask(const char *method, const char *path, const char *key, const char *value, int code) {
  struct query query = {0};
  if (key) {
    query.pairs[0].key = key;
    query.pairs[0].value = value;
    query.count = 1;
  }
  buffer_release(&answer.body);
  answer = (struct answer){0};
  route_request(&(struct call){.service = service, .query = &query}, method, path, &answer);
  const char *text = buffer_z(&answer.body);
  if (answer.code != code) fail_msg("%s %s: %d %s", method, path, answer.code, text);
  return text;
}

CASE(test_routes_answer_with_the_operations) {
  pending("p-1");
  dead("d-1", "d-1");
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("GET", "/v1/version", NULL, NULL, 200), BUSBRIDGE_VERSION);
  assert_string_equal(answer.type, "application/json");
  assert_has(ask("GET", "/v1/status", "detailed", "1", 200), "\"errors\"");
  assert_has(ask("GET", "/v1/entries", "type", "dlq", 200), "\"total\": 1, \"entries\": [{\"id\": \"d-1\"");
  assert_has(ask("GET", "/v1/entries", NULL, NULL, 200), "\"total\": 2");
  assert_has(ask("HEAD", "/v1/entries", "type", "pending", 200), "\"total\": 1");
  assert_has(ask("POST", "/v1/replay", "id", "d-1", 200), "\"from\": \"dlq\"");
  assert_has(ask("POST", "/v1/flush", "dry_run", "1", 200), "\"count\": 2");
  assert_has(ask("GET", "/v1/metrics", NULL, NULL, 200), "\"replayed\": 1");
  assert_has(ask("POST", "/v1/metrics", "reset", "true", 200), "\"since\"");
  assert_has(ask("GET", "/metrics", "anything", "goes", 200), "busbridge_replayed_total 1\n");
  assert_string_equal(ask("GET", "/livez", NULL, NULL, 200), "ok\n");
  assert_string_equal(ask("GET", "/readyz", NULL, NULL, 200), "ok\n");
  buffer_release(&answer.body);
}

static int full_disk(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx, (void)name;
  return !after && (op == DURABLE_OPEN || op == DURABLE_UNLINK) ? ENOSPC : 0;
}

CASE(test_a_pause_is_kept_and_ends_once) {
  pending("a-1");
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "{\"version\": 1, \"paused\": false");
  assert_has(ask("POST", "/v1/pause", "reason", "st\303\266rung", 200),
             "\"paused\": true, \"changed\": true, \"since\": \"2");
  assert_has(ask("POST", "/v1/pause", "reason", "another", 200), "\"changed\": false");
  assert_has(buffer_z(&answer.body), "\"by\": null, \"reason\": \"st\303\266rung\"");
  service_close(service, 0);
  open_outbox(SERVICE_INSPECT);
  buffer_clear(&json);
  const char *text = answered(service_health(service, false, &json, &err));
  assert_has(text, "\"state\": 1, \"text\": \"Publishing is paused since ");
  assert_has(text, "\"paused\": {\"since\": \"2");
  service_close(service, 0);
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("DELETE", "/v1/pause", NULL, NULL, 200), "\"paused\": false, \"changed\": true, \"since\"");
  assert_has(ask("POST", "/v1/resume", NULL, NULL, 200), "\"paused\": false, \"changed\": false, \"worker\"");
  assert_false(there(".busbridge/paused"));
  put(".busbridge/paused", "1");
  service_close(service, 0);
  open_outbox(SERVICE_INSPECT); /* what is not understood is a pause */
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "does not tell: it is no JSON object");
  put(".busbridge/paused", "");
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "\"since\": null, \"by\": null");
  buffer_release(&answer.body);
}

CASE(test_a_pause_that_cannot_be_kept_is_none) {
  open_outbox(SERVICE_CHANGE);
  durable_set_hook(full_disk, NULL);
  ask("POST", "/v1/pause", NULL, NULL, 507);
  durable_set_hook(NULL, NULL);
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "\"paused\": false");
  ask("POST", "/v1/pause", NULL, NULL, 200);
  durable_set_hook(full_disk, NULL);
  ask("POST", "/v1/resume", NULL, NULL, 507);
  durable_set_hook(NULL, NULL);
  assert_has(ask("GET", "/v1/pause", NULL, NULL, 200), "\"paused\": true");
  char reason[401];
  memset(reason, 'x', 400);
  reason[400] = '\0';
  assert_has(ask("POST", "/v1/pause", "reason", reason, 400), "at most 399 bytes");
  buffer_release(&answer.body);
}

CASE(test_routes_refuse_in_words) {
  open_outbox(SERVICE_CHANGE);
  assert_has(ask("GET", "/v2/status", NULL, NULL, 404), "\"type\": \"about:blank\", \"title\": \"Not Found\"");
  assert_string_equal(answer.type, "application/problem+json");
  ask("GET", "/v1/flush/", NULL, NULL, 404);
  ask("GET", "/v1/flush/1x", NULL, NULL, 404);
  ask("GET", "/v1/flush/99999999999999999999", NULL, NULL, 404);
  assert_has(ask("DELETE", "/v1/status", NULL, NULL, 405), "Method Not Allowed");
  assert_string_equal(answer.allow, "GET");
  ask("PUT", "/v1/metrics", NULL, NULL, 405);
  assert_string_equal(answer.allow, "GET, POST");
  assert_has(ask("GET", "/v1/entries", "type", "both", 400), "Parameter type \\\"both\\\": expected");
  assert_has(ask("GET", "/v1/entries", "limit", "-1", 400), "Parameter limit");
  assert_has(ask("GET", "/v1/entries", "namespaces", "x", 400), "Parameter \\\"namespaces\\\" is not known here");
  assert_has(ask("GET", "/v1/dead", "type", "all", 400), "Parameter \\\"type\\\" is not known here");
  assert_has(ask("GET", "/v1/dead", "reason", "schema_missmatch", 400), "did you mean schema_mismatch?");
  assert_has(ask("GET", "/v1/entries/none", NULL, NULL, 404), "No entry \\\"none\\\"");
  assert_has(ask("GET", "/v1/entries/none/raw", "type", "dlq", 404), "No dead letter \\\"none\\\"");
  assert_has(ask("GET", "/v1/entries/a/b", NULL, NULL, 404), "no such path");
  assert_has(ask("GET", "/v1/entries/", NULL, NULL, 404), "no such path");
  assert_has(ask("GET", "/v1/status", "detailed", "maybe", 400), "expected 0 or 1");
  assert_has(ask("POST", "/v1/flush", "limit", "many", 400), "\"code\": \"");
  assert_has(ask("POST", "/v1/replay", NULL, NULL, 400), "Which dead letters?");
  assert_has(ask("POST", "/v1/replay", "id", "", 400), "Parameter id is empty");
  assert_has(ask("POST", "/v1/replay", "id", "x", 404), "No dead letter");
  assert_has(ask("GET", "/v1/flush/7", NULL, NULL, 404), "no flush 7");
  ask("POST", "/v1/flush/7/cancel", NULL, NULL, 404);
  ask("POST", "/v1/flush", "limit", "0", 501); /* only a relay can */
  buffer_release(&answer.body);
}

CASE(test_readyz_says_that_it_drains) {
  open_outbox(SERVICE_CHANGE);
  struct query query = {0};
  struct answer drained = {0};
  route_request(&(struct call){.service = service, .draining = true, .query = &query}, "GET", "/readyz", &drained);
  assert_int_equal(drained.code, 503);
  assert_string_equal(buffer_z(&drained.body), "not ready: draining: it ends and takes nothing more\n");
  buffer_clear(&drained.body);
  route_request(&(struct call){.service = service, .wants_json = true, .query = &query}, "GET", "/readyz", &drained);
  assert_int_equal(drained.code, 200);
  assert_has(buffer_z(&drained.body), "\"ready\": true");
  buffer_release(&drained.body);
}

CASE(test_every_status_has_its_http_code) {
  static const struct {
    enum status st;
    int code;
  } codes[] = {{ST_OK, 200},          {ST_NOT_FOUND, 404}, {ST_EXISTS, 409}, {ST_BUSY, 409},
               {ST_INVALID, 400},     {ST_TOO_LARGE, 413}, {ST_DENIED, 403}, {ST_UNAVAILABLE, 503},
               {ST_UNSUPPORTED, 501}, {ST_NO_SPACE, 507},  {ST_IO, 500},     {ST_NO_MEMORY, 500}};
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) assert_int_equal(answer_code(codes[i].st), codes[i].code);
}
