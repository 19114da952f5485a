/* `busbridge tail` against librdkafka's mock cluster, and where settings come from. */
#include "tests/unit/kafka_mock.h"

#include "bridge/service/plan/configure.h"
#include "bridge/service/topics/tail.h"

struct world {
  struct mock mock;
  struct publisher *publisher;
  struct reports reports;
  struct settings *settings;
  struct tail *tail;
  struct buffer json;
  bool damaged;
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  char bootstrap[200];
  mock_open(&w->mock);
  snprintf(bootstrap, sizeof bootstrap, "kafka.bootstrap.servers=%s",
           rd_kafka_mock_cluster_bootstraps(w->mock.cluster));
  const char *overrides[] = {bootstrap, "encoding.schemas=" SOURCE_ROOT "/schemas"};
  struct settings_sources sources = {.overrides = overrides, .override_count = 2};
  assert_int_equal(settings_load(&sources, &w->settings, NULL, NULL), ST_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  tail_close(w->tail);
  publisher_close(w->publisher);
  settings_free(w->settings);
  buffer_release(&w->json);
  mock_close(&w->mock);
  test_free(w);
  return 0;
}

static void put(struct world *w, const char *topic, struct span key, struct span value,
                const struct record_header *headers, size_t count) {
  struct error err = {0};
  unsigned number = 0;
  if (!w->publisher && publisher_open(&w->mock.config, w->mock.log, reports_add, &w->reports,
                                      &w->publisher, &err) != ST_OK)
    fail_msg("%s", err.text);
  assert_int_equal(publisher_topic(w->publisher, topic, &number, &err), ST_OK);
  const struct record record = {
      .topic = number, .key = key, .value = value, .headers = headers, .header_count = count};
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
}

static void put_json(struct world *w, const char *topic, const char *value) {
  const struct record_header headers[] = {{"ce_type", SPAN("episode.created")},
                                          {"content-type", SPAN("application/json")}};
  put(w, topic, SPAN("ep-1"), span_of(value), headers, 2);
}

/* Of one topic; topic NULL: of those of the routing. */
static enum status open_at(struct world *w, const char *topic, struct tail_request request,
                           struct error *err) {
  const char *const topics[] = {topic};
  request.topics = topics;
  request.count = topic ? 1 : 0;
  request.timeout_ms = PATIENCE_MS;
  return tail_open(w->settings, w->mock.log, &request, &w->tail, err);
}

#define FROM_BEGINNING .since_us = TIME_NONE, .partition = -1, .offset = -1

static enum status open_tail(struct world *w, const char *topic, bool value_only,
                             struct error *err) {
  return open_at(w, topic, (struct tail_request){FROM_BEGINNING, .value_only = value_only}, err);
}

static const char *next(struct world *w) {
  struct error err = {0};
  buffer_clear(&w->json);
  enum status st = ST_OK;
  while (st == ST_OK && !w->json.len)
    st = tail_next(w->tail, PATIENCE_MS, &w->json, &w->damaged, &err);
  if (st == ST_END) return NULL;
  if (st != ST_OK) fail_msg("%s %s", status_name(st), err.text);
  return buffer_z(&w->json);
}

#define assert_has(text, part)                                                                     \
  do {                                                                                             \
    if (!strstr((text), (part))) fail_msg("no '%s' in %s", (part), (text));                        \
  } while (0)

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_record_is_one_object) {
  struct world *w = *state;
  struct error err = {0};
  mock_topic(&w->mock, "episode.events", 1);
  put_json(w, "episode.events", "{\"title\": \"星\", \"n\": 1.10}");
  if (open_tail(w, "episode.events", false, &err) != ST_OK) fail_msg("%s", err.text);
  const char *text = next(w);
  assert_ptr_equal(
      strstr(
          text,
          "{\"topic\": \"episode.events\", \"partition\": 0, \"offset\": 0, \"timestamp\": \"20"),
      text);
  assert_has(text,
             "\"key\": \"ep-1\", \"headers\": {\"ce_type\": \"episode.created\", \"content-type\": "
             "\"application/json\"}, \"value\": {\"title\": \"星\", \"n\": 1.10}}");
  assert_null(next(w));
  assert_false(w->damaged);
}

CASE(what_the_header_carries_is_shown_where_it_was) {
  struct world *w = *state;
  mock_topic(&w->mock, "episode.events", 1);
  const struct record_header headers[] = {{"content-type", SPAN("application/json")},
                                          {"ce_extra", SPAN("{\"/l/0/b\": 1.50, \"/x\": \"y\"}")}},
                             foreign[] = {{"content-type", SPAN("application/json")},
                                          {"ce_extra", SPAN("\xff[")}};
  put(w, "episode.events", SPAN("e"), SPAN("{\"l\": [{\"a\": 1}]}"), headers, 2);
  put(w, "episode.events", SPAN("e"), SPAN("{\"l\": [{\"a\": 1}]}"), foreign, 2);
  assert_int_equal(open_tail(w, "episode.events", true, NULL), ST_OK);
  assert_string_equal(next(w), "{\"l\": [{\"a\": 1, \"b\": 1.50}], \"x\": \"y\"}");
  assert_string_equal(next(w), "{\"l\": [{\"a\": 1}]}");
  assert_false(w->damaged);
}

CASE(what_cannot_be_decoded_is_shown_with_its_error) {
  struct world *w = *state;
  mock_topic(&w->mock, "plot.events", 1);
  const struct record_header odd[] = {{"x", SPAN("\xff")}};
  put(w, "plot.events", SPAN("\xfe\xfd"), SPAN("\x00\xff"), odd, 1);
  assert_int_equal(open_tail(w, "plot.events", false, NULL), ST_OK);
  const char *text = next(w);
  assert_has(text, "\"key\": {\"base64\": \"/v0=\"}, \"headers\": {\"x\": {\"base64\": \"/w==\"}}");
  assert_has(text, "\"value_base64\": \"AP8=\", \"error\": \"");
  assert_true(w->damaged);
  assert_null(next(w));
}

CASE(values_alone) {
  struct world *w = *state;
  mock_topic(&w->mock, "plot.events", 1);
  put_json(w, "plot.events", "{}");
  put(w, "plot.events", (struct span){0}, SPAN("\x00\xff"), NULL, 0);
  assert_int_equal(open_tail(w, "plot.events", true, NULL), ST_OK);
  assert_string_equal(next(w), "{}");
  assert_false(w->damaged);
  assert_string_equal(next(w), "AP8=");
  assert_true(w->damaged);
}

CASE(a_tombstone_is_null) {
  struct world *w = *state;
  mock_topic(&w->mock, "plot.events", 1);
  put(w, "plot.events", SPAN("k"), (struct span){0}, NULL, 0);
  assert_int_equal(open_tail(w, "plot.events", false, NULL), ST_OK);
  assert_has(next(w), "\"value\": null}");
  assert_false(w->damaged);
}

CASE(without_a_topic_those_of_the_routing_are_read) {
  struct world *w = *state;
  static const char *const topics[] = {"episode.events", "quality.events", "plot.events",
                                       "usecase.events", "other"};
  for (size_t i = 0; i < 5; i++) {
    mock_topic(&w->mock, topics[i], 1);
    put_json(w, topics[i], "{}");
  }
  assert_int_equal(open_tail(w, NULL, false, NULL), ST_OK);
  size_t count = 0;
  for (const char *text; (text = next(w)) != NULL; count++) assert_null(strstr(text, "\"other\""));
  assert_int_equal(count, 4);
}

/* ---- where it begins, and what is shown ---- */

static void put_numbered(struct world *w, const char *topic, const char *key, const char *id) {
  char value[40];
  snprintf(value, sizeof value, "{\"n\": \"%s\"}", id);
  const struct record_header headers[] = {{"ce_id", span_of(id)},
                                          {"content-type", SPAN("application/json")}};
  put(w, topic, span_of(key), span_of(value), headers, 2);
}

static void put_five(struct world *w, unsigned partitions) {
  static const char *const ids[] = {"a1", "a2", "b3", "b4", "b5"};
  mock_topic(&w->mock, "plot.events", (int)partitions);
  for (size_t i = 0; i < 5; i++) {
    put_numbered(w, "plot.events", i % 2 ? "even" : "odd", ids[i]);
    usleep(2000); /* times are in milliseconds */
  }
}

/* "b4 b5": what is shown of the request. */
static const char *shown(struct world *w, struct tail_request request) {
  static char text[200];
  struct error err = {0};
  size_t len = 0;
  request.value_only = true;
  *text = '\0';
  if (open_at(w, "plot.events", request, &err) != ST_OK) fail_msg("%s", err.text);
  for (const char *value; (value = next(w)) != NULL;)
    len += (size_t)snprintf(text + len, sizeof text - len, "%s%.2s", len ? " " : "", value + 7);
  tail_close(w->tail);
  w->tail = NULL;
  return text;
}

CASE(the_newest_come_in_order_of_their_times) {
  struct world *w = *state;
  put_five(w, 3);
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .last = 2}), "b4 b5");
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .last = 50}),
                      "a1 a2 b3 b4 b5");
}

CASE(records_of_a_key_or_an_id_are_shown_alone) {
  struct world *w = *state;
  put_five(w, 2);
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .last = 9, .key = "even"}),
                      "a2 b4");
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .last = 9, .id = "b"}),
                      "b3 b4 b5");
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .last = 1, .id = "a"}), "a2");
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .id = "b4"}), "b4");
  assert_string_equal(shown(w, (struct tail_request){FROM_BEGINNING, .last = 9, .id = "c"}), "");
}

CASE(one_partition_is_read_from_an_offset) {
  struct world *w = *state;
  put_five(w, 1);
  struct tail_request request = {FROM_BEGINNING};
  request.partition = 0;
  request.offset = 3;
  assert_string_equal(shown(w, request), "b4 b5");
  request.partition = 7;
  assert_int_equal(open_at(w, "plot.events", request, NULL), ST_NOT_FOUND);
}

CASE(what_was_written_since_then_is_shown) {
  struct world *w = *state;
  put_five(w, 2);
  struct tail_request request = {FROM_BEGINNING};
  request.since_us = clock_wall_us(&clock_system) + 3600 * INT64_C(1000000);
  assert_string_equal(shown(w, request), "");
}

CASE(broken_settings_are_named) {
  struct world *w = *state;
  static const struct {
    const char *setting;
    enum status st;
  } rows[] = {{"encoding.schemas=/nowhere", ST_INVALID},
              {"kafka.no.such.key=1", ST_INVALID},
              {"routing.topic=a b", ST_INVALID}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct error err = {0};
    const char *overrides[] = {"encoding.schemas=" SOURCE_ROOT "/schemas", rows[i].setting};
    struct settings_sources sources = {.overrides = overrides, .override_count = 2};
    settings_free(w->settings);
    w->settings = NULL;
    assert_int_equal(settings_load(&sources, &w->settings, NULL, NULL), ST_OK);
    assert_int_equal(open_tail(w, NULL, false, &err), rows[i].st);
    assert_true(err.text[0] != '\0');
  }
}

CASE(a_broker_that_is_away_is_told) {
  struct world *w = *state;
  const char *overrides[] = {"encoding.schemas=" SOURCE_ROOT "/schemas",
                             "kafka.bootstrap.servers=" NOBODY};
  struct settings_sources sources = {.overrides = overrides, .override_count = 2};
  settings_free(w->settings);
  w->settings = NULL;
  assert_int_equal(settings_load(&sources, &w->settings, NULL, NULL), ST_OK);
  struct tail_request request = {FROM_BEGINNING, .timeout_ms = 200};
  struct error err = {0};
  assert_int_equal(tail_open(w->settings, w->mock.log, &request, &w->tail, &err), ST_UNAVAILABLE);
}

/* ---- where settings come from ---- */

TEST(the_file_of_the_option_beats_the_variable) {
  const char *const environment[] = {"HOME=/", "BUSBRIDGE_CONFIG=/from/variable", NULL};
  struct configure c = {.file = "/from/option", .environment = environment};
  assert_string_equal(configure_file(&c), "/from/option");
  c.file = NULL;
  assert_string_equal(configure_file(&c), "/from/variable");
  const char *const empty[] = {"BUSBRIDGE_CONFIG=", NULL};
  c.environment = empty;
  assert_true(configure_file(&c) == NULL || strcmp(configure_file(&c), CONFIGURE_DEFAULT) == 0);
}

TEST(the_variable_is_no_setting_to_warn_of) {
  const char *const environment[] = {"BUSBRIDGE_CONFIG=/dev/null", "BUSBRIDGE_FLUSH_INTERVAL=7s",
                                     NULL};
  const char *const overrides[] = {"dlq.max_attempts=9"};
  struct configure c = {.environment = environment, .overrides = overrides, .override_count = 1};
  struct settings *settings = NULL;
  struct buffer warnings = {0};
  struct error err = {0};
  enum status st = configure_load(&c, &settings, &warnings, &err);
  if (st != ST_OK) fail_msg("%s", err.text);
  assert_int_equal(warnings.len, 0);
  assert_int_equal(setting_number(settings, SETTING_FLUSH_INTERVAL), 7000);
  assert_int_equal(setting_number(settings, SETTING_DLQ_MAX_ATTEMPTS), 9);
  settings_free(settings);
  buffer_release(&warnings);
  c.file = "/nowhere/at/all";
  assert_int_equal(configure_load(&c, &settings, &warnings, &err), ST_NOT_FOUND);
  buffer_release(&warnings);
}
