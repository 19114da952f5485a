/* The operations of service.h on a real outbox, without Kafka and Redis: what they answer and what
 * they change. */
#include "bridge/service/operations.h"
#include "tests/unit/service_box.h"

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

CASE(test_list_begins_with_the_seven_keys_of_the_contract) {
  put_dead(ID1, ID1);
  open_outbox(SERVICE_INSPECT);
  assert_has(
      list(true, true, 0),
      "{\"version\": 1, \"total\": 1, \"entries\": [{\"id\": \"" ID1
      "\", \"name\": \"episode.published\", "
      "\"created_at\": \"2025-09-22T03:04:05.123456+00:00\", \"attempts\": 1, \"last_error\": "
      "\"payload.score: expected double\", \"failed_at\": \"2025-09-22T04:00:00.000000+00:00\", "
      "\"payload_size\": 22, \"status\": \"dlq\", \"reason\": \"schema_mismatch\", \"topic\": \"episode.events\", "
      "\"namespace\": \"episode\", \"key\": \"ep-1\", \"held_behind\": null, \"file\": \"dlq/" ID1
      ".json\"");
}

static enum status show(const char *id, bool raw) {
  buffer_clear(&json);
  err = (struct error){0};
  struct show_request request = {.id = id, .pending = true, .dead = true, .raw = raw};
  return service_show(service, &request, &json, &err);
}

CASE(test_show_tells_all_of_one_entry) {
  put_dead(ID1, ID1);
  put_pending(ID2);
  open_outbox(SERVICE_INSPECT);
  const char *text = answered(show("3f2b8", false));
  assert_has(text, "\"state\": \"dead\", \"due_at\": null, \"waits_for\": null");
  assert_has(
      text,
      "\"remedy\": \"Fix the field named, or the schema and restart the worker; then replay it\"");
  assert_has(text, "\"payload\": {\"episode_id\": \"ep-1\"}}");
  assert_has(text, "\"also\": []");
  assert_has(answered(show(ID2, false)), "\"state\": \"ready\"");
  assert_int_equal(show("3f2b", false), ST_EXISTS);
  assert_has(err.text, "dlq/" ID1);
  assert_int_equal(show("x", false), ST_NOT_FOUND);
  assert_int_equal(json.len, 0);
}

CASE(test_show_points_at_the_place) {
  put_entry(
      "dlq/", "b-1", "b-1", "no name", "dlq",
      "\"last_error\": \"name \\\"no name\\\" is not namespace.event\", \"failed_at\": null, \"reason\": \"bad_name\"");
  put_entry(
      "dlq/", "s-1", "s-1", "episode.created", "dlq",
      "\"last_error\": \"payload.episode_id: expected long, found string\", \"reason\": \"schema_mismatch\"");
  put("half.json", "{\"id\": \"half\", ");
  put("dlq/r-1.json",
      "{\"id\": \"r-1\", \"name\": \"\", \"payload\": {}, \"status\": \"dlq\", \"reason\": \"not_json\", "
      "\"inode\": 5}");
  put("dlq/r-1.raw", "[1,\n 2, x]");
  open_outbox(SERVICE_INSPECT);
  assert_has(answered(show("b-1", false)),
             "\"fault\": {\"byte\": 22, \"line\": 1, \"column\": 23, \"error\": null");
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
  put_pending("a-1");
  put_dead("d-1", "d-1");
  put_dead("d-2", "d-2");
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
  for (int i = 0; i < 40; i++) snprintf(id, sizeof id, "d-%02d", i), put_dead(id, id);
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
  put_pending("a-1");
  put_pending("a-2");
  put_dead("d-1", "d-1");
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
  assert_string_equal(list(true, true, 50),
                      "{\"version\": 1, \"total\": 0, \"entries\": [], \"aside\": 0}");
  assert_false(there(".busbridge")); /* looking changes nothing */
}

/* ---- replay ---- */

CASE(test_replay_moves_a_dead_letter_back_under_its_id) {
  put_dead(ID1, ID1);
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
  put_dead(ID1, ID1);
  put_dead(ID2, ID2);
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("3f2b", false), ST_EXISTS);
  assert_has(err.text, ID1);
  assert_has(err.text, ID2);
  assert_true(there("dlq/" ID1 ".json") && there("dlq/" ID2 ".json"));
  assert_int_equal(replay("3f2b9", false), ST_OK);
  assert_true(there(ID2 ".json") && there("dlq/" ID1 ".json"));
}

CASE(test_of_two_with_one_id_the_file_named_so_is_meant) {
  put_dead("twin", "twin");
  put_dead("twin", "twin__1");
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("twin", false), ST_OK);
  assert_true(there("twin.json") && there("dlq/twin__1.json"));
}

CASE(test_what_is_not_there_is_said_with_the_next_command) {
  put_pending("p-1");
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
  put_entry("", "p-1", "p-1", "episode.published", "pending", FAILED("refused"));
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("p-1", true), ST_OK);
  assert_has(buffer_z(&json), "\"from\": \"pending\"");
  assert_has(list(true, false, 0), "\"last_error\": null");
}

CASE(test_an_id_that_is_a_path_finds_nothing) {
  put_dead(ID1, ID1);
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(replay("../dlq/" ID1, true), ST_NOT_FOUND);
  assert_true(there("dlq/" ID1 ".json"));
}

/* ---- health and figures ---- */

CASE(test_health_of_an_outbox_nobody_drains) {
  put_pending("p-1");
  put_dead("d-1", "d-1");
  put_dead("d-2", "d-2");
  put_dead("d-3", "d-3");
  put_entry("dlq/", "d-4", "d-4", "episode.published", "dlq",
            FAILED("0123456789012345678901234567890123456789012345678901234567890"));
  open_outbox(SERVICE_INSPECT);
  const char *text = answered(service_health(service, true, &json, &err));
  assert_has(text, "\"state\": 1, \"word\": \"WARNING\"");
  assert_has(text, "1 pending");
  assert_has(text, "No worker runs");
  assert_has(text, "\"pending\": 1");
  assert_has(
      text,
      "\"dlq\": {\"total\": 4, \"in\": \"dlq/\", "
      "\"oldest\": \"2025-09-22T04:00:00.000000+00:00\", \"errors\": "
      "[{\"error\": \"payload.score: expected double\", \"count\": 3}, {\"error\": "
      "\"01234567890123456789012345678901234567890123456789\", \"count\": 1}], \"other_errors\": 0");
  assert_has(text, "\"groups\": [{\"reason\": \"schema_mismatch\"");
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
    put_entry("", id, id, "episode.published", "dispatched", NEVER_FAILED);
  }
  open_outbox(SERVICE_INSPECT);
  assert_has(answered(service_health(service, false, &json, &err)),
             "\"pending\": 0, \"oldest_seconds\": null");
  put_pending("p-1");
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

CASE(test_a_new_period_needs_the_lock) {
  open_outbox(SERVICE_CHANGE);
  list(true, true, 0);
  buffer_clear(&json);
  assert_has(answered(service_metrics(service, true, &json, &err)), "\"total\": 1");
  service_close(service, 0);
  service = NULL;
  open_outbox(SERVICE_INSPECT);
  buffer_clear(&json);
  /* what was counted when the period had begun: the reset itself */
  assert_has(answered(service_metrics(service, false, &json, &err)), "\"commands\": {\"total\": 1");
  buffer_clear(&json);
  assert_int_equal(service_metrics(service, true, &json, &err), ST_UNSUPPORTED);
}

CASE(test_prometheus_text_has_the_gauges_of_now) {
  put_pending("p-1");
  put_dead("d-1", "d-1");
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
  struct emit_request request = {
      .id = span_of(id), .name = span_of(name), .payload = span_of(payload)};
  return service_emit(service, &request, &json, &err);
}

CASE(test_emit_writes_what_producers_write) {
  open_outbox(SERVICE_INSPECT);
  assert_int_equal(emit("episode.published", " {\"episode_id\": \"星\"}\n", "e-1"), ST_OK);
  assert_has(
      buffer_z(&json),
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
  assert_has(buffer_z(&json),
             "\"topic\": null, \"warning\": \"It will become a dead letter (unknown_namespace");
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
