/* event_test.c - entries as the producers write them, read, refused, rewritten and written. */

#include "bridge/event/event.h"
#include "tests/support/test.h"

/* bridge/event/CONTRACT.md 1, byte for byte as Python wrote it */
static const char golden[] =
    "{\"id\": \"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\", \"name\": \"quality.checked\", \"payload\": {\"content_id\": "
    "\"c-1\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, \"issues\": [], \"detailed_scores\": "
    "{\"grammar\": 82.5}}, \"created_at\": \"2025-09-22T03:04:05.123456+00:00\", \"attempts\": 0, \"dispatched_at\": "
    "null, \"last_error\": null, \"failed_at\": null, \"status\": \"pending\", \"storage_key\": "
    "\"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"}";
#define GOLDEN_ID "3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77"
#define GOLDEN_PAYLOAD                                                                                            \
  "{\"content_id\": \"c-1\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, \"issues\": [], " \
  "\"detailed_scores\": {\"grammar\": 82.5}}"
#define GOLDEN_US 1758510245123456

struct bench {
  struct arena arena;
  struct json_doc doc;
  struct event event;
  struct error err;
};

static int set_up(void **state) {
  struct bench *b = calloc(1, sizeof *b);
  *state = b;
  return b ? 0 : -1;
}

static int tear_down(void **state) {
  struct bench *b = *state;
  json_doc_release(&b->doc);
  arena_release(&b->arena);
  free(b);
  return 0;
}

static enum reason parse(struct bench *b, const char *text) {
  memset(&b->err, 0, sizeof b->err);
  if (json_scan(&b->doc, span_of(text), &b->err) != ST_OK) fail_msg("%s: %s", text, b->err.text);
  return event_parse(&b->doc, &b->arena, &b->event, &b->err);
}

#define assert_span(s, z)                                                                          \
  do {                                                                                             \
    if (!span_is((s), (z))) fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARGS(s), (z));                 \
  } while (0)

/* ---- reading ---- */

#define CASE(name) TEST_WITH(name, set_up, tear_down)

CASE(the_contracts_entry_is_read) {
  struct bench *b = *state;
  assert_int_equal(parse(b, golden), REASON_NONE);
  assert_span(b->event.id, GOLDEN_ID);
  assert_span(b->event.name, "quality.checked");
  assert_span(json_slice(&b->doc, b->event.payload), GOLDEN_PAYLOAD);
  assert_int_equal(b->event.status, EVENT_PENDING);
  assert_true(b->event.created_us == GOLDEN_US);
  assert_true(b->event.failed_us == TIME_NONE);
  assert_true(b->event.first_failed_us == TIME_NONE);
  assert_int_equal(b->event.attempts, 0);
  assert_span(b->event.last_error, "null");
  assert_span(b->event.storage_key, GOLDEN_ID);
  assert_int_equal(b->event.reason.len, 0);
  assert_int_equal(b->event.traceparent.len, 0);
  assert_int_equal(b->arena.used, 0); /* slices of the text, nothing copied */
}

CASE(a_dead_letter_is_read) {
  struct bench *b = *state;
  assert_int_equal(
      parse(
          b,
          "{\"failed_at\": \"2025-09-22T03:04:06Z\", \"reason\": \"schema_mismatch\", \"storage_key\": "
          "\"a__1\", \"last_error\": \"say \\\"x\\\"\", \"first_failed_at\": \"2025-09-22 03:04:05\", "
          "\"attempts\": 5, \"status\": \"dlq\", \"payload\": {}, \"name\": \"a.b\", \"id\": \"a\"}"),
      REASON_NONE);
  assert_int_equal(b->event.status, EVENT_DLQ);
  assert_int_equal(b->event.attempts, 5);
  assert_span(b->event.last_error, "\"say \\\"x\\\"\"");
  assert_span(b->event.reason, "schema_mismatch");
  assert_span(b->event.storage_key, "a__1");
  assert_true(b->event.failed_us == GOLDEN_US - 123456 + 1000000);
  assert_true(b->event.first_failed_us == GOLDEN_US - 123456);
  assert_true(b->event.created_us == TIME_NONE);
}

CASE(escapes_are_undone) {
  struct bench *b = *state;
  assert_int_equal(
      parse(b, "{\"\\u0069d\": \"a\\u002db\", \"n\\u0061me\": \"x\\u002ey\\n\", \"payload\": {}, "
               "\"st\\u0061tus\": \"p\\u0065nding\"}"),
      REASON_NONE);
  assert_span(b->event.id, "a-b");
  assert_span(b->event.name, "x.y\n");
  assert_int_equal(b->event.status, EVENT_PENDING);
}

CASE(status_words) {
  struct bench *b = *state;
  static const struct {
    const char *member;
    enum event_status status;
  } rows[] = {{"", EVENT_ABSENT},
              {", \"status\": \"pending\"", EVENT_PENDING},
              {", \"status\": \"dispatched\"", EVENT_DISPATCHED},
              {", \"status\": \"dlq\"", EVENT_DLQ},
              {", \"status\": \"sent\"", EVENT_OTHER},
              {", \"status\": \"\"", EVENT_OTHER},
              {", \"status\": null", EVENT_OTHER},
              {", \"status\": [\"pending\"]", EVENT_OTHER}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[200];
    snprintf(text, sizeof text, "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}%s}",
             rows[i].member);
    assert_int_equal(parse(b, text), REASON_NONE);
    assert_int_equal(b->event.status, rows[i].status);
  }
}

CASE(attempts_that_are_no_count_are_none) {
  struct bench *b = *state;
  static const struct {
    const char *json;
    unsigned attempts;
  } rows[] = {{"3", 3},
              {"0", 0},
              {"-1", 0},
              {"\"3\"", 0},
              {"1.0", 0},
              {"null", 0},
              {"1e2", 0},
              {"99999999999999999999", 0},
              {"[1]", 0},
              {"true", 0},
              {"7.5", 0},
              {"2147483647", 2147483647u},
              {"4294967296", 2147483647u}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[200];
    snprintf(text, sizeof text,
             "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"attempts\": %s}", rows[i].json);
    assert_int_equal(parse(b, text), REASON_NONE);
    assert_int_equal(b->event.attempts, rows[i].attempts);
  }
}

CASE(unreadable_times_are_no_reason_to_refuse) {
  struct bench *b = *state;
  static const char *const values[] = {"\"yesterday\"", "1758510245", "null", "\"\"", "{}"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    char text[200];
    snprintf(text, sizeof text,
             "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"created_at\": %s}", values[i]);
    assert_int_equal(parse(b, text), REASON_NONE);
    assert_true(b->event.created_us == TIME_NONE);
  }
  assert_int_equal(
      parse(
          b,
          "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"created_at\": "
          "\"2025-09-22T03:04:05.123456\", \"last_error\": 7, \"storage_key\": 8, \"reason\": {}}"),
      REASON_NONE);
  assert_true(b->event.created_us == GOLDEN_US); /* naive is UTC */
  assert_int_equal(parse(b, "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"created_at\": "
                            "\"2025-09-22T12:04:05.123456\\u002b0900\"}"),
                   REASON_NONE);
  assert_true(b->event.created_us == GOLDEN_US);
  assert_int_equal(
      parse(
          b,
          "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"created_at\": "
          "\"2025-09-22T03:04:05.123456\", \"last_error\": 7, \"storage_key\": 8, \"reason\": {}}"),
      REASON_NONE);
  assert_int_equal(b->event.last_error.len, 0);
  assert_int_equal(b->event.storage_key.len, 0);
  assert_int_equal(b->event.reason.len, 0);
}

CASE(traceparent_only_in_its_w3c_form) {
  struct bench *b = *state;
#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
  static const struct {
    const char *value;
    bool taken;
  } rows[] = {
      {"\"00-" TRACE "-" PARENT "-01\"", true},
      {"\"cc-" TRACE "-" PARENT "-00\"", true},
      {"\"ff-" TRACE "-" PARENT "-01\"", false},
      {"\"00-00000000000000000000000000000000-" PARENT "-01\"", false},
      {"\"00-" TRACE "-0000000000000000-01\"", false},
      {"\"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01\"", false},
      {"\"00-" TRACE "-" PARENT "-0\"", false},
      {"\"00-" TRACE "-" PARENT "-01-x\"", false},
      {"\"00-" TRACE "-" PARENT "x01\"", false},
      {"\"00-" TRACE "x" PARENT "-01\"", false},
      {"\"00x" TRACE "-" PARENT "-01\"", false},
      {"\"00-" TRACE "-" PARENT "-0g\"", false},
      {"\"\"", false},
      {"7", false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[300];
    snprintf(
        text, sizeof text,
        "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {\"metadata\": {\"x\": 1, \"traceparent\": %s}}}",
        rows[i].value);
    assert_int_equal(parse(b, text), REASON_NONE);
    struct span t = b->event.traceparent;
    if (rows[i].taken)
      assert_true(t.len == 55 && memcmp(t.ptr, rows[i].value + 1, 55) == 0);
    else
      assert_int_equal(t.len, 0);
  }
  static const char *const without[] = {"{}", "{\"metadata\": []}", "{\"metadata\": {}}",
                                        "{\"metadata\": null}"};
  for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
    char text[200];
    snprintf(text, sizeof text, "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": %s}", without[i]);
    assert_int_equal(parse(b, text), REASON_NONE);
    assert_int_equal(b->event.traceparent.len, 0);
  }
}

CASE(a_trace_is_found_in_three_places_the_state_beside_its_parent) {
  struct bench *b = *state;
#define OF(digit) "00-" TRACE "-00f067aa0ba902b" digit "-01"
#define BOTH(digit) "\"traceparent\": \"" OF(digit) "\", \"tracestate\": \"s=" digit "\""
  static const struct {
    const char *top, *headers, *metadata, *parent, *state;
  } rows[] = {
      {BOTH("1"), "", "", OF("1"), "s=1"},
      {"", BOTH("2"), "", OF("2"), "s=2"},
      {"", "", BOTH("3"), OF("3"), "s=3"},
      {BOTH("1"), BOTH("2"), BOTH("3"), OF("3"), "s=3"},
      {BOTH("1"), BOTH("2"), "\"traceparent\": \"bad\", \"tracestate\": \"s=3\"", OF("1"), "s=1"},
      {"\"traceparent\": \"" OF("1") "\"", "", "\"tracestate\": \"s=3\"", OF("1"), ""},
      {"\"tracestate\": \"s=1\"", "", "", "", ""},
      {"\"traceparent\": \"" OF("1") "\", \"tracestate\": \"no pair\"", "", "", OF("1"), ""},
      {"\"traceparent\": \"" OF("1") "\", \"tracestate\": \"a=\\u0041\"", "", "", OF("1"), ""},
      {"\"traceparent\": \"" OF("1") "\", \"tracestate\": \"a=\xc3\xa9\"", "", "", OF("1"), ""},
      {"\"traceparent\": \"" OF("1") "\", \"tracestate\": 7", "", "", OF("1"), ""},
      {"\"headers\": []", "", "", "", ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[900];
    bool top = rows[i].top[0], headers = rows[i].headers[0];
    snprintf(text, sizeof text,
             "{\"id\": \"a\", \"name\": \"a.b\", %s%s%s%s%s\"payload\": {\"metadata\": {%s}}}",
             rows[i].top, top ? ", " : "", headers ? "\"headers\": {" : "", rows[i].headers,
             headers ? "}, " : "", rows[i].metadata);
    assert_int_equal(parse(b, text), REASON_NONE);
    assert_span(b->event.traceparent, rows[i].parent);
    assert_span(b->event.tracestate, rows[i].state);
  }
}

CASE(a_tracestate_of_more_than_512_bytes_is_left_out) {
  struct bench *b = *state;
  for (int len = 512; len <= 513; len++) {
    char value[600], text[900];
    memset(value, 'v', sizeof value);
    memcpy(value, "a=", 2);
    value[len] = '\0';
    snprintf(text, sizeof text,
             "{\"id\": \"a\", \"name\": \"a.b\", \"traceparent\": \"" OF(
                 "1") "\", \"tracestate\": \"%s\", "
                      "\"payload\": {}}",
             value);
    assert_int_equal(parse(b, text), REASON_NONE);
    assert_int_equal(b->event.tracestate.len, len == 512 ? 512 : 0);
  }
}

/* ---- refusing ---- */

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

CASE(refusals_say_what_was_found) {
  struct bench *b = *state;
  static const struct {
    const char *text;
    enum reason reason;
    const char *message;
  } rows[] = {
      {"[]", REASON_NOT_OBJECT, "an entry is one JSON object, found array"},
      {"null", REASON_NOT_OBJECT, "an entry is one JSON object, found null"},
      {"{}", REASON_MISSING_ID, "id: missing, expected a string"},
      {"{\"id\": null}", REASON_MISSING_ID, "id: expected a string, found null"},
      {"{\"id\": 12}", REASON_MISSING_ID, "id: expected a string, found number 12"},
      {"{\"id\": \"\"}", REASON_BAD_ID, "id: expected [A-Za-z0-9._-]{1,128}, found string \"\""},
      {"{\"id\": \"../x\"}", REASON_BAD_ID,
       "id: expected [A-Za-z0-9._-]{1,128}, found string \"../x\""},
      {"{\"id\": \"" A40 A40 A40 "123456789\"}", REASON_BAD_ID,
       "id: expected [A-Za-z0-9._-]{1,128}, found string \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."},
      {"{\"id\": \"a\\n\"}", REASON_BAD_ID,
       "id: expected [A-Za-z0-9._-]{1,128}, found string \"a\\n\""},
      {"{\"id\": \"a\", \"payload\": {}}", REASON_MISSING_NAME,
       "name: missing, expected a name like episode.created"},
      {"{\"id\": \"a\", \"name\": \"\"}", REASON_MISSING_NAME,
       "name: expected a name like episode.created, found string \"\""},
      {"{\"id\": \"a\", \"name\": false}", REASON_MISSING_NAME,
       "name: expected a name like episode.created, found boolean false"},
      {"{\"id\": \"a\", \"name\": \"b\"}", REASON_BAD_PAYLOAD,
       "payload: missing, expected an object"},
      {"{\"id\": \"a\", \"name\": \"b\", \"payload\": [1]}", REASON_BAD_PAYLOAD,
       "payload: expected an object, found array"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(parse(b, rows[i].text), rows[i].reason);
    assert_string_equal(b->err.text, rows[i].message);
    assert_int_equal(b->err.status, ST_INVALID);
    assert_int_equal(event_parse(&b->doc, &b->arena, &b->event, NULL), rows[i].reason);
  }
}

CASE(a_refused_entry_is_read_as_far_as_it_goes) {
  struct bench *b = *state;
  assert_int_equal(
      parse(
          b,
          "{\"name\": \"a.b\", \"payload\": {\"x\": 1}, \"attempts\": 2, \"status\": \"pending\"}"),
      REASON_MISSING_ID);
  assert_int_equal(b->event.id.len, 0);
  assert_span(b->event.name, "a.b");
  assert_span(json_slice(&b->doc, b->event.payload), "{\"x\": 1}");
  assert_int_equal(b->event.attempts, 2);
  assert_int_equal(b->event.status, EVENT_PENDING);
  assert_int_equal(parse(b, "{\"id\": \"a\", \"payload\": 1}"), REASON_MISSING_NAME);
  assert_span(b->event.id, "a");
  assert_int_equal(b->event.payload, JSON_NONE);
  assert_int_equal(parse(b, "[1]"), REASON_NOT_OBJECT);
  assert_int_equal(b->event.payload, JSON_NONE);
  assert_int_equal(b->event.status, EVENT_ABSENT);
  assert_true(b->event.created_us == TIME_NONE);
}

CASE(ids_of_the_allowed_form_only) {
  char longest[130];
  memset(longest, 'z', sizeof longest);
  assert_true(event_id_valid(SPAN("AZaz09._-")));
  assert_true(event_id_valid(SPAN("..")));
  assert_true(event_id_valid((struct span){longest, 128}));
  assert_false(event_id_valid((struct span){longest, 129}));
  static const struct span bad[] = {SPAN(""),         SPAN("a/b"), SPAN("a b"), SPAN("a\0b"),
                                    SPAN("\xc3\xa9"), SPAN("a:b"), SPAN("@"),   SPAN("["),
                                    SPAN("`"),        SPAN("{")};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(event_id_valid(bad[i]));
}

CASE(reasons_and_faults_share_their_words) {
  for (int f = JSON_EMPTY; f <= JSON_TOO_DEEP; f++) {
    enum reason r = event_reason_of((enum json_fault)f);
    assert_string_equal(reason_word(r), json_fault_word((enum json_fault)f));
    assert_true(reason_remedy(r)[0] != 0);
  }
  for (unsigned r = 0; r < REASON_COUNT; r++)
    assert_int_equal(reason_from_word(span_of(reason_word((enum reason)r))), r);
  assert_int_equal(event_reason_of(JSON_OK), REASON_NONE);
  assert_int_equal(event_reason_of(JSON_NO_MEMORY), REASON_NO_MEMORY);
  assert_int_equal(reason_from_word(SPAN("never heard")), REASON_NONE);
  assert_string_equal(reason_word(REASON_NO_MEMORY), "no_memory");
  assert_string_equal(reason_remedy(REASON_NO_MEMORY), "");
}

/* ---- rewriting and writing ---- */

CASE(rewriting_touches_nothing_else) {
  struct bench *b = *state;
  static const struct event_change changes[] = {
      {"status", {"\"dlq\"", 5}}, {"attempts", {"3", 1}}, {"topic", {"null", 4}}};
  static const struct {
    const char *before, *after;
  } rows[] = {
      {"{}", "{\"status\": \"dlq\", \"attempts\": 3, \"topic\": null}"},
      {"{ }\n", "{\"status\": \"dlq\", \"attempts\": 3, \"topic\": null }\n"},
      {"{\"a\": 1}", "{\"a\": 1, \"status\": \"dlq\", \"attempts\": 3, \"topic\": null}"},
      {"{\n  \"attempts\": 0,\n  \"x\": [1,2 ],\n  \"status\" :\"pending\"\n}\n",
       "{\n  \"attempts\": 3,\n  \"x\": [1,2 ],\n  \"status\" :\"dlq\", \"topic\": null\n}\n"},
      {"{\"st\\u0061tus\": {\"status\": 1}, \"p\": {\"attempts\": 1}} ",
       "{\"st\\u0061tus\": \"dlq\", \"p\": {\"attempts\": 1}, \"attempts\": 3, \"topic\": null} "},
      {" {\"topic\":1,\"status\":2,\"attempts\":[]}",
       " {\"topic\":null,\"status\":\"dlq\",\"attempts\":3}"},
      {"[1, 2] ", "[1, 2] "},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    struct json_doc again = {0};
    assert_int_equal(json_scan(&b->doc, span_of(rows[i].before), NULL), ST_OK);
    event_rewrite(&b->doc, changes, 3, &out);
    assert_string_equal(buffer_z(&out), rows[i].after);
    assert_int_equal(json_scan(&again, buffer_span(&out), NULL), ST_OK);
    json_doc_release(&again);
    buffer_release(&out);
  }
}

CASE(rewriting_with_no_change_copies) {
  struct bench *b = *state;
  struct buffer out = {0};
  buffer_add_z(&out, ">");
  assert_int_equal(parse(b, golden), REASON_NONE);
  event_rewrite(&b->doc, NULL, 0, &out);
  assert_string_equal(buffer_z(&out) + 1, golden);
  buffer_release(&out);
}

CASE(written_as_python_writes) {
  struct buffer out = {0};
  event_write(SPAN(GOLDEN_ID), SPAN("quality.checked"), SPAN(GOLDEN_PAYLOAD), GOLDEN_US,
              SPAN(GOLDEN_ID), &out);
  assert_string_equal(buffer_z(&out), golden);
  buffer_release(&out);
}

CASE(what_is_written_reads_back) {
  struct bench *b = *state;
  struct buffer out = {0};
  event_write(SPAN("a"), SPAN("n\"\\\n\xe6\x97\xa5"), SPAN("{\"x\": \"\xe6\x97\xa5\"}"), 0,
              SPAN("a__1"), &out);
  assert_int_equal(parse(b, buffer_z(&out)), REASON_NONE);
  assert_span(b->event.name, "n\"\\\n\xe6\x97\xa5");
  assert_span(b->event.storage_key, "a__1");
  assert_true(b->event.created_us == 0);
  assert_int_equal(b->event.status, EVENT_PENDING);
  buffer_release(&out);
}
