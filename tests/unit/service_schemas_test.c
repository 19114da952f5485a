/* The operations while a relay runs: what its start and a reload tell, above all of schemas and
 * keys.
 */
#include "tests/unit/service_relay_box.h"

CASE(emit_hints_at_a_mistyped_name) {
  struct world *w = *state;
  open_relay(w, false, NULL, NULL);
  emit(w, "episode.publishd", "{}", "n-1");
  assert_has(
      buffer_z(&w->json),
      "\"warning\": \"episode.publishd has no schema, though its namespace has some: it goes in "
      "the envelope; did you mean episode.published?\"");
  emit(w, "episode.published", "{\"episode_id\": \"e\", \"publication_id\": \"p\"}", "n-2");
  assert_has(buffer_z(&w->json), "\"warning\": null");
  emit(w, "episode.published", "{\"publication_id\": \"p\"}", "n-4");
  assert_has(buffer_z(&w->json), "\"warning\": \"It will become a dead letter (schema_mismatch: "
                                 "payload.episode_id: required by ");
  emit(w, "episode.published", "{\"episode_id\": 7, \"publication_id\": \"p\"}", "n-5");
  assert_has(buffer_z(&w->json), "(schema_mismatch: payload.episode_id: expected string");
  service_close(w->service, 5000);
  w->service = NULL;
  struct service_options options = {.mode = SERVICE_INSPECT, .clock = &clock_system};
  assert_int_equal(service_open(w->settings, w->mock.log, &options, &w->service, &w->err), ST_OK);
  emit(w, "episode.publishd", "{}", "n-3"); /* without a worker too */
  assert_has(buffer_z(&w->json), "did you mean episode.published?");
}

CASE(an_event_without_its_key_field_is_counted) {
  struct world *w = *state;
  open_relay(w, false, NULL, NULL);
  emit(w, "episode.seen-by-nobody", "{\"episode_id\": \"e\"}", "k-1");
  emit(w, "episode.seen-by-nobody", "{\"episode\": \"e\"}", "k-2");
  assert_has(health(w, true), "\"keyless\": {}");
  follow(w, start_flush(w));
  assert_has(health(w, true), "\"keyless\": {\"episode\": 1}");
}

static void open_with_schema(struct world *w, const char *setting) {
  char schemas[400];
  schema_folder_make(w->outbox, schemas);
  open_relay(w, false, schemas, setting);
}

CASE(members_without_a_place_are_counted_by_type) {
  struct world *w = *state;
  open_with_schema(w, NULL);
  emit(w, "episode.noted", NOTED, "u-1");
  assert_has(
      buffer_z(&w->json),
      "These have no place in the schema and go in the header ce_extra: payload.lines[].line, "
      "payload.lines[].hint");
  assert_has(health(w, true), "\"unknown_fields\": []");
  follow(w, start_flush(w));
  assert_has(health(w, true),
             "\"unknown_fields\": [{\"type\": \"episode.noted\", \"count\": 3, \"fields\": "
             "[\"payload.lines[].line\", \"payload.lines[].hint\"]}]");
  buffer_clear(&w->json);
  assert_int_equal(service_prometheus(w->service, &w->json, &w->err), ST_OK);
  assert_has(buffer_z(&w->json), "busbridge_unknown_fields_total{type=\"episode.noted\"} 3\n");
}

static const char *scraped(struct world *w) {
  buffer_clear(&w->json);
  assert_int_equal(service_prometheus(w->service, &w->json, &w->err), ST_OK);
  return buffer_z(&w->json);
}

CASE(what_a_reload_brings_stands_at_0_before_its_first_event) {
  struct world *w = *state;
  char folder[300];
  open_with_schema(w, NULL);
  snprintf(folder, sizeof folder, "%s/schemas", w->outbox);
  schema_write(folder, "episode", "brought.avsc", RECORD("Brought", TEXT_FIELD("who")));
  assert_null(strstr(scraped(w), "episode.brought"));
  service_reload_schemas(w->service);
  assert_has(scraped(w), "busbridge_unknown_fields_total{type=\"episode.brought\"} 0\n");
}

/* An event's name and the registry are named by the relay while they are open only. */
CASE(a_door_that_is_closed_again_is_not_shown_open) {
  struct world *w = *state;
  open_relay(w, false, "registry.url=http://127.0.0.1:1", NULL);
  assert_has(scraped(w), "busbridge_breaker_state{target=\"registry\"} 0\n");
  series_set(metrics_series(w->service->metrics, METRIC_BREAKER, "registry", NULL), 1);
  series_set(metrics_series(w->service->metrics, METRIC_BREAKER, "episode.rated", NULL), 1);
  assert_has(scraped(w), "busbridge_breaker_state{target=\"registry\"} 0\n");
  assert_null(strstr(buffer_z(&w->json), "episode.rated\"} 1"));
}

static void open_again(struct world *w, enum service_mode mode, const char *schemas,
                       const char *setting) {
  service_close(w->service, 5000);
  w->service = NULL;
  settings_free(w->settings);
  w->settings = mock_settings_of(&w->mock, w->outbox, "delivery.guarantee=at_least_once",
                                 "topics.create=never", "flush.background=false", schemas, setting);
  struct service_options options = {.mode = mode, .clock = &clock_system};
  if (service_open(w->settings, w->mock.log, &options, &w->service, &w->err) != ST_OK)
    fail_msg("%s", w->err.text);
}

static void reopen(struct world *w, enum service_mode mode, const char *setting) {
  char schemas[400];
  schema_folder_make(w->outbox, schemas);
  open_again(w, mode, schemas, setting);
}

static const char *shown(struct world *w, const char *id) {
  struct show_request request = {.id = id, .pending = true, .dead = true};
  buffer_clear(&w->json);
  if (service_show(w->service, &request, &w->json, &w->err) != ST_OK) fail_msg("%s", w->err.text);
  return buffer_z(&w->json);
}

CASE(show_knows_the_key_of_a_schema_without_a_worker) {
  struct world *w = *state;
  open_with_schema(w, NULL);
  emit(w, "episode.rated", "{\"rater\": \"r-1\", \"episode_id\": \"e-1\"}", "r");
  assert_has(shown(w, "r"), "\"key\": \"r-1\"");
  reopen(w, SERVICE_INSPECT, NULL);
  assert_has(shown(w, "r"), "\"key\": \"r-1\"");
}

CASE(a_key_that_changed_under_pending_events_is_logged) {
  struct world *w = *state;
  open_with_schema(w, NULL);
  emit(w, "episode.other", "{}", "o");
  reopen(w, SERVICE_RELAY, "routing.keys=episode=title");
  assert_true(mock_logged(&w->mock, "order_changed"));
}

/* Incompatible, and without a frozen predecessor: each is told, once, at start and at SIGHUP. */
CASE(a_schema_that_changed_since_the_last_start_is_told_once) {
  struct world *w = *state;
  char folder[300], setting[400];
  open_with_schema(w, NULL);
  assert_int_equal(mock_count(&w->mock, "schema_changed"), 0);
  snprintf(folder, sizeof folder, "%s/schemas", w->outbox);
  snprintf(setting, sizeof setting, "encoding.schemas=%s", folder);
  const char *stars = RECORD("Rated", TEXT_FIELD("rater") ", " TEXT_FIELD("stars"));
  schema_write(folder, "episode", "rated.avsc", stars);
  open_again(w, SERVICE_RELAY, setting, NULL);
  assert_int_equal(mock_count(&w->mock, "schema_changed"), 2);
  assert_true(mock_logged(&w->mock, "payload.stars"));
  assert_true(mock_logged(&w->mock, "not in .history/"));
  open_again(w, SERVICE_RELAY, setting, NULL);
  assert_int_equal(mock_count(&w->mock, "schema_changed"), 2);
  schema_write(folder, ".history", "none.txt", "");
  schema_write(folder, ".history/episode", "rated.1.avsc", stars);
  schema_write(folder, "episode", "rated.avsc", RECORD("Rated", TEXT_FIELD("rater")));
  service_reload_schemas(w->service);
  assert_int_equal(mock_count(&w->mock, "schemas_reloaded"), 1);
  assert_int_equal(mock_count(&w->mock, "schema_changed"), 2); /* compatible, and frozen */
  schema_write(folder, "episode", "rated.avsc", RECORD("Rated", ""));
  service_reload_schemas(w->service);
  assert_int_equal(mock_count(&w->mock, "schema_changed"), 3); /* not frozen */
}

/* How often a schema is looked at. */
static _Atomic size_t looks;
bool __real_catalog_schema_at(const struct catalog *c, size_t i, struct catalog_schema *out);
bool __wrap_catalog_schema_at(const struct catalog *c, size_t i, struct catalog_schema *out);
bool __wrap_catalog_schema_at(const struct catalog *c, size_t i, struct catalog_schema *out) {
  looks++;
  return __real_catalog_schema_at(c, i, out);
}

static void write_many(const char *folder, size_t count, const char *fields) {
  for (size_t i = 0; i < count; i++) {
    char name[32], text[400];
    snprintf(name, sizeof name, "n%zu.avsc", i);
    snprintf(text, sizeof text, "{\"type\": \"record\", \"name\": \"N%zu\", \"fields\": [%s]}", i,
             fields);
    schema_write(folder, "episode", name, text);
  }
}

CASE(when_all_schemas_change_each_is_looked_at_a_few_times) {
  struct world *w = *state;
  enum { MANY = 200 };
  char folder[300];
  open_with_schema(w, NULL);
  snprintf(folder, sizeof folder, "%s/schemas", w->outbox);
  write_many(folder, MANY, TEXT_FIELD("rater"));
  service_reload_schemas(w->service);
  write_many(folder, MANY, TEXT_FIELD("rater") ", " TEXT_FIELD("stars"));
  looks = 0;
  service_reload_schemas(w->service);
  assert_int_equal(mock_count(&w->mock, "schemas_reloaded"), 2);
  assert_true(mock_logged(&w->mock, "schema_changed"));
  assert_true(looks < 20 * MANY);
}

/* Fails so often, as if memory were out. */
static unsigned adding_fails, added;
enum status __real_service_ids_add(struct service *s, const struct catalog *c, struct error *err);
enum status __wrap_service_ids_add(struct service *s, const struct catalog *c, struct error *err);
enum status __wrap_service_ids_add(struct service *s, const struct catalog *c, struct error *err) {
  added++;
  if (!adding_fails) return __real_service_ids_add(s, c, err);
  adding_fails--;
  return error_set(err, ST_NO_MEMORY, "out of memory");
}

CASE(ids_that_a_reload_could_not_ask_for_are_asked_for_again) {
  struct world *w = *state;
  char folder[300];
  open_with_schema(w, NULL);
  snprintf(folder, sizeof folder, "%s/schemas", w->outbox);
  write_many(folder, 1, TEXT_FIELD("rater"));
  adding_fails = 2;
  added = 0;
  service_reload_schemas(w->service);
  assert_int_equal(added, 1);
  assert_int_equal(service_save(w->service, &w->err), ST_OK);
  assert_int_equal(added, 2);
  assert_int_equal(mock_count(&w->mock, "schemas_owed"), 2);
  assert_int_equal(service_save(w->service, &w->err), ST_OK);
  assert_int_equal(added, 3);
  assert_int_equal(service_save(w->service, &w->err), ST_OK);
  assert_int_equal(added, 3);
}

CASE(an_older_outbox_of_which_nothing_is_read_is_told_at_the_start) {
  struct world *w = *state;
  char folder[300], setting[400];
  snprintf(folder, sizeof folder, "%s-typed", w->outbox);
  snprintf(setting, sizeof setting, "outbox.typed=%s", folder);
  assert_int_equal(mkdir(folder, 0770), 0);
  open_relay(w, false, setting, NULL);
  assert_int_equal(mock_count(&w->mock, "typed_doubtful"), 1);
  assert_true(mock_logged(&w->mock, "there is no pending/ in"));
  service_close(w->service, 5000);
  w->service = NULL;
  settings_free(w->settings);
  snprintf(folder, sizeof folder, "%s-typed/pending", w->outbox);
  assert_int_equal(mkdir(folder, 0770), 0);
  open_relay(w, false, setting, NULL);
  assert_int_equal(mock_count(&w->mock, "typed_doubtful"), 1);
  snprintf(folder, sizeof folder, "%s-typed", w->outbox);
  assert_int_equal(folder_remove(folder), 0);
}

/* As --once does before it ends. */
CASE(what_is_looked_at_in_the_background_is_told_before_the_end) {
  struct world *w = *state;
  open_with_schema(w, NULL);
  emit(w, "episode.rated", "{\"rater\": \"r-1\", \"episode_id\": \"e-1\"}", "r");
  assert_has(follow(w, start_flush(w)), "\"published\": 1");
  reopen(w, SERVICE_RELAY, "encoding.framing=json");
  service_await_looks(w->service, NULL);
  assert_int_equal(mock_count(&w->mock, "framing_changed"), 1);
}

CASE(show_names_what_has_no_place) {
  struct world *w = *state;
  struct show_request request = {.id = "u-1", .pending = true, .dead = true};
  open_with_schema(w, NULL);
  emit(w, "episode.noted", NOTED, "u-1");
  buffer_clear(&w->json);
  assert_int_equal(service_show(w->service, &request, &w->json, &w->err), ST_OK);
  assert_has(buffer_z(&w->json),
             "\"unknown_fields\": [\"payload.lines[].line\", \"payload.lines[].hint\"]");
}

CASE(emit_says_what_becomes_of_members_without_a_place) {
  struct world *w = *state;
  open_with_schema(w, "encoding.unknown_fields=refuse");
  emit(w, "episode.noted", NOTED, "u-1");
  assert_has(
      buffer_z(&w->json),
      "These have no place in the schema and make it a dead letter (encoding.unknown_fields): "
      "payload.lines[].line, payload.lines[].hint");
}

CASE(emit_says_what_the_route_of_the_event_makes_of_them) {
  struct world *w = *state;
  open_with_schema(w, "routing.episode.unknown_fields=drop");
  emit(w, "episode.noted", NOTED, "u-1");
  assert_has(buffer_z(&w->json), "These have no place in the schema and will not be published "
                                 "(routing.episode.unknown_fields): payload.lines[].line");
}

CASE(a_dry_run_says_what_orders_each_namespace) {
  struct world *w = *state;
  open_relay(w, false, NULL, NULL);
  assert_int_equal(
      service_flush(w->service, &(struct flush_request){.dry_run = true}, &w->json, &w->err),
      ST_OK);
  assert_has(buffer_z(&w->json),
             "\"keys\": [{\"namespace\": \"episode\", \"key\": \"the key is episode_id, else id "
             "(built in)\"}, ");
  assert_has(
      buffer_z(&w->json),
      "{\"namespace\": \"usecase\", \"key\": \"no key is configured, so nothing is ordered; ");
}
