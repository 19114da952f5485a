/* typed_entry_test.c - entries of the older typed bus: their id, name, time and payload, what is
 * wrong with them, and what is left. */

#include "bridge/routing/routing.h"
#include "tests/support/test.h"

struct bench {
  struct routing *routing;
  struct event_lifting lifting;
  struct arena arena;
  struct json_doc doc;
  struct event event;
  struct buffer text, rest;
  struct error err;
};

static int set_up(void **state) {
  struct bench *b = calloc(1, sizeof *b);
  struct routing_config config = {.namespaces = SPAN("episode quality plot usecase"),
                                  .topic = SPAN("{namespace}.events")};
  *state = b;
  if (!b || routing_open(&config, &b->routing, &b->err) != ST_OK) return -1;
  b->lifting = (struct event_lifting){.canonical = routing_class_name, .ctx = b->routing};
  return 0;
}

static int tear_down(void **state) {
  struct bench *b = *state;
  routing_close(b->routing);
  json_doc_release(&b->doc);
  arena_release(&b->arena);
  buffer_release(&b->text);
  buffer_release(&b->rest);
  free(b);
  return 0;
}

#define CASE(name) TEST_WITH(name, set_up, tear_down)

#define assert_span(s, z)                                                                          \
  do {                                                                                             \
    if (!span_is((s), (z))) fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARGS(s), (z));                 \
  } while (0)

static enum reason read(struct bench *b, const char *text) {
  memset(&b->err, 0, sizeof b->err);
  if (json_scan(&b->doc, span_of(text), &b->err) != ST_OK) fail_msg("%s: %s", text, b->err.text);
  return event_read_typed(&b->doc, &b->lifting, &b->arena, &b->event, &b->err);
}

/* A whole message: its own members, then those of its envelope. */
static enum reason read_message(struct bench *b, const char *members, const char *envelope) {
  buffer_clear(&b->text);
  buffer_printf(&b->text,
                "{\"message_id\": \"m-1\", \"event_type\": \"PlotSaved\", %s \"payload\": "
                "{\"event_type\": \"PlotSaved\", \"occurred_at\": "
                "\"2025-11-03T07:15:42.250000+00:00\", %s}}",
                members, envelope);
  return read(b, buffer_z(&b->text));
}

static const char *rest(struct bench *b) {
  buffer_clear(&b->rest);
  event_rest(&b->doc, &b->event, &b->rest);
  return buffer_z(&b->rest);
}

CASE(the_event_is_the_one_in_the_envelope) {
  struct bench *b = *state;
  enum reason why = read_message(
      b,
      "\"occurred_at\": \"2025-01-01T00:00:00Z\", \"created_at\": \"2025-01-02T00:00:00Z\","
      " \"aggregate_id\": \"ag\", \"status\": \"pending\", \"attempts\": 2, \"last_error\": null,",
      "\"event_id\": \"e-1\", \"aggregate_id\": \"ag\", \"version\": 1, \"data\": {\"file_path\": 1}");
  assert_int_equal(why, REASON_NONE);
  assert_span(b->event.id, "e-1");
  assert_span(b->event.other_id, "m-1");
  assert_span(b->event.name, "plot.saved");
  assert_span(b->event.subject, "ag");
  assert_int_equal(b->event.attempts, 2);
  assert_int_equal(b->event.status, EVENT_PENDING);
  assert_int_equal(b->event.created_us, INT64_C(1762154142250000));
  assert_span(json_slice(&b->doc, b->event.payload), "{\"file_path\": 1}");
  assert_true(b->event.typed && b->event.lifted && !b->event.bare);
  assert_string_equal(rest(b), "{\"entry\":{\"message_id\":\"m-1\",\"event_type\":\"PlotSaved\"},"
                               "\"envelope\":{\"event_type\":\"PlotSaved\",\"version\":1}}");
}

CASE(the_message_stands_in_for_what_the_envelope_lacks) {
  struct bench *b = *state;
  static const char *const ids[] = {"", "\"event_id\": null, ", "\"event_id\": \"\", ",
                                    "\"event_id\": \"saved_140234567890123\", "};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    char envelope[200];
    snprintf(envelope, sizeof envelope, "%s\"data\": {}", ids[i]);
    assert_int_equal(read_message(b, "", envelope), REASON_NONE);
    assert_span(b->event.id, "m-1");
  }
  static const char *const times[][2] = {
      {"\"occurred_at\": \"2025-01-01T00:00:00Z\", \"created_at\": \"2025-01-02T00:00:00Z\",",
       "2025-01-01T00:00:00+00:00"},
      {"\"occurred_at\": \"soon\", \"created_at\": \"2025-01-02T00:00:00Z\",",
       "2025-01-02T00:00:00+00:00"}};
  for (size_t i = 0; i < 2; i++) {
    int64_t us;
    buffer_clear(&b->text);
    buffer_printf(&b->text,
                  "{\"message_id\": \"m-1\", \"event_type\": \"PlotSaved\", %s \"payload\": "
                  "{\"event_type\": \"PlotSaved\", \"occurred_at\": 7, \"data\": {}}}",
                  times[i][0]);
    assert_int_equal(read(b, buffer_z(&b->text)), REASON_NONE);
    assert_true(time_parse(span_of(times[i][1]), &us));
    assert_int_equal(b->event.created_us, us);
  }
}

CASE(an_empty_aggregate_of_the_envelope_is_none) {
  struct bench *b = *state;
  static const char *const none[] = {"", "\"aggregate_id\": null, ", "\"aggregate_id\": \"\", "};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    char envelope[80];
    snprintf(envelope, sizeof envelope, "%s\"data\": {}", none[i]);
    assert_int_equal(read_message(b, "\"aggregate_id\": \"ag\",", envelope), REASON_NONE);
    assert_span(b->event.subject, "ag");
  }
}

CASE(without_an_envelope_the_payload_is_the_event) {
  struct bench *b = *state;
  static const char *const payloads[] = {
      "{\"a\": 1}", "{\"event_type\": \"PlotSaved\", \"occurred_at\": \"x\"}",
      "{\"event_type\": 1, \"occurred_at\": \"x\", \"data\": []}",
      "{\"event_type\": \"PlotSaved\", \"data\": {}}"};
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    buffer_clear(&b->text);
    buffer_printf(
        &b->text,
        "{\"message_id\": \"m-1\", \"event_type\": \"EpisodeCreatedEvent\", \"payload\": %s,"
        " \"aggregate_id\": \"ag\", \"tenant\": 1}",
        payloads[i]);
    assert_int_equal(read(b, buffer_z(&b->text)), REASON_NONE);
    assert_span(b->event.id, "m-1");
    assert_span(b->event.name, "episode.created");
    assert_span(b->event.subject, "ag");
    assert_span(json_slice(&b->doc, b->event.payload), payloads[i]);
    assert_true(b->event.lifted && b->event.bare);
    assert_string_equal(rest(b),
                        "{\"entry\":{\"event_type\":\"EpisodeCreatedEvent\",\"tenant\":1}}");
  }
}

CASE(what_is_wrong_is_told_with_its_path) {
  struct bench *b = *state;
  static const struct {
    enum reason why;
    const char *path, *text;
  } rows[] = {
      {REASON_MISSING_NAME, "event_type: ",
       "{\"message_id\": \"m\", \"payload\": {\"event_type\": \"PlotSaved\", \"event_id\": \"e\","
       " \"occurred_at\": 1, \"data\": {}}}"},
      {REASON_MISSING_NAME, "event_type: ", "{\"event_type\": \"\", \"payload\": {}}"},
      {REASON_MISSING_NAME,
       "event_type: ", "{\"message_id\": \"m\", \"event_type\": 5, \"payload\": {}}"},
      {REASON_MISSING_ID, "message_id: ", "{\"event_type\": \"PlotSaved\", \"payload\": {}}"},
      {REASON_BAD_ID, "message_id: ",
       "{\"message_id\": \"a b\", \"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": "
       "\"PlotSaved\", \"occurred_at\": 1, \"data\": {}}}"},
      {REASON_BAD_PAYLOAD,
       "payload: ", "{\"message_id\": \"m\", \"event_type\": \"PlotSaved\", \"payload\": []}"},
      {REASON_BAD_PAYLOAD, "payload.data: ",
       "{\"message_id\": \"m\", \"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": "
       "\"PlotSaved\", \"occurred_at\": 1, \"data\": []}}"},
      {REASON_BAD_PAYLOAD, "payload.data: ",
       "{\"message_id\": \"m\", \"event_type\": \"GenericEvent\", \"payload\": {\"event_type\": "
       "\"GenericEvent\", \"occurred_at\": 1, \"data\": null}}"},
      {REASON_BAD_ID, "payload.event_id: ",
       "{\"message_id\": \"m\", \"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": "
       "\"PlotSaved\", \"event_id\": \"a/b\", \"occurred_at\": 1, \"data\": {}}}"},
      {REASON_BAD_NAME, "payload.event_type: ",
       "{\"message_id\": \"m\", \"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": \"\","
       " \"occurred_at\": 1, \"data\": {}}}"},
      {REASON_BAD_PAYLOAD, "payload.data: ",
       "{\"message_id\": \"m\", \"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": \"\","
       " \"occurred_at\": 1, \"data\": []}}"},
      {REASON_NOT_OBJECT, "an entry is one JSON object", "[]"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (read(b, rows[i].text) != rows[i].why) fail_msg("row %zu: %s", i, b->err.text);
    if (!span_starts(span_of(b->err.text), rows[i].path))
      fail_msg("\"%s\" does not begin with \"%s\"", b->err.text, rows[i].path);
  }
}

CASE(a_good_id_of_the_event_makes_good_for_the_messages) {
  struct bench *b = *state;
  static const char *const ids[] = {"", "\"message_id\": 7, ", "\"message_id\": \"a b\", "};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    buffer_clear(&b->text);
    buffer_printf(&b->text,
                  "{%s\"event_type\": \"PlotSaved\", \"payload\": {\"event_type\": \"PlotSaved\","
                  " \"event_id\": \"e\", \"occurred_at\": 1, \"data\": {}}}",
                  ids[i]);
    assert_int_equal(read(b, buffer_z(&b->text)), REASON_NONE);
    assert_span(b->event.id, "e");
    assert_string_equal(b->err.text, "");
  }
}

CASE(one_without_a_name_goes_by_both_its_ids) {
  struct bench *b = *state;
  read(b,
       "{\"message_id\": \"m\", \"payload\": {\"event_type\": \"PlotSaved\", \"event_id\": \"e\","
       " \"occurred_at\": 1, \"data\": {}}}");
  assert_true(event_goes_by(&b->event, SPAN("m")) && event_goes_by(&b->event, SPAN("e")));
}

CASE(a_generic_event_is_the_one_inside_or_left) {
  struct bench *b = *state;
  static const char text[] =
      "{\"message_id\": \"m\", \"event_type\": \"GenericEvent\", \"payload\": {\"event_type\": "
      "\"GenericEvent\", \"event_id\": \"e\", \"occurred_at\": 1, \"data\": {\"event_name\": "
      "\"quality_checked\", \"payload\": {\"content_id\": \"c\"}, \"more\": 1}}}";
  assert_int_equal(read(b, text), REASON_NONE);
  assert_span(b->event.name, "quality.checked");
  assert_span(json_slice(&b->doc, b->event.payload), "{\"content_id\": \"c\"}");
  assert_false(b->event.left);
  assert_string_equal(rest(b), "{\"entry\":{\"message_id\":\"m\",\"event_type\":\"GenericEvent\"},"
                               "\"envelope\":{\"event_type\":\"GenericEvent\",\"occurred_at\":1},"
                               "\"data\":{\"event_name\":\"quality_checked\",\"more\":1}}");
  b->lifting.generic_left = true;
  read(b, text);
  assert_true(b->event.left);
  assert_int_equal(read_message(b, "", "\"data\": {}"), REASON_NONE);
  assert_false(b->event.left);
}

CASE(its_statuses_are_its_own) {
  struct bench *b = *state;
  static const struct {
    const char *text;
    enum event_status status;
  } rows[] = {{"", EVENT_ABSENT},
              {"\"status\": \"pending\",", EVENT_PENDING},
              {"\"status\": \"errored\",", EVENT_DLQ},
              {"\"status\": \"sent\",", EVENT_OTHER},
              {"\"status\": \"processing\",", EVENT_OTHER},
              {"\"status\": \"dlq\",", EVENT_OTHER},
              {"\"status\": null,", EVENT_OTHER}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(read_message(b, rows[i].text, "\"data\": {}"), REASON_NONE);
    assert_int_equal(b->event.status, rows[i].status);
  }
}

CASE(the_keys_of_the_flat_outbox_are_unknown_members_there) {
  struct bench *b = *state;
  assert_int_equal(read_message(b, "\"id\": \"x\", \"name\": \"y.z\", \"storage_key\": \"s\",",
                                "\"event_id\": \"e\", \"data\": {}"),
                   REASON_NONE);
  assert_span(b->event.id, "e");
  assert_string_equal(rest(b), "{\"entry\":{\"message_id\":\"m-1\",\"event_type\":\"PlotSaved\","
                               "\"id\":\"x\",\"name\":\"y.z\",\"storage_key\":\"s\"},"
                               "\"envelope\":{\"event_type\":\"PlotSaved\"}}");
}
