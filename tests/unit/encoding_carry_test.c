/* What has no place in a schema: the header ce_extra, what it refuses, and the way back. */
#include "tests/unit/catalog_box.h"

static void open_policy(struct run *r, const char *fields, enum unknown_fields policy) {
  open_fields(r, fields, false);
  struct catalog_config config = {
      .folder = r->folder, .framing = FRAMING_RAW, .unknown_fields = policy};
  catalog_close(r->c);
  assert_int_equal(catalog_open(&config, r->log, &r->c, &r->err), ST_OK);
}

static const char *carried(const struct run *r, char text[static 400]) {
  snprintf(text, 400, "%.*s", SPAN_ARGS(catalog_carried(r->c)));
  return text;
}

#define LINES                                                                                                 \
  "{\"name\": \"l\", \"type\": {\"type\": \"array\", \"items\": [\"null\", {\"type\": \"record\", \"name\": " \
  "\"n.L\", \"fields\": [{\"name\": \"a\", \"type\": \"int\"}]}]}, \"default\": []}"

CASE(what_has_no_place_is_carried_by_its_pointer_in_the_order_of_the_payload) {
  struct run *r = *state;
  char text[400];
  open_policy(
      r,
      LINES
      ", {\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": \"n.L\"}, \"default\": {}}",
      UNKNOWN_CARRY);
  assert_round(r, "t.e",
               "{\"m\": {\"k/1\": {\"b~\": [1, 2], \"a\": 1}}, \"x\": \"y\", "
               "\"l\": [{\"b\": 1.0, \"a\": 1}, null, {\"a\": 2, \"c\": null}], \"z\": 5}",
               "{\"l\": [{\"a\": 1}, null, {\"a\": 2}], \"m\": {\"k/1\": {\"a\": 1}}}");
  assert_string_equal(carried(r, text),
                      "{\"/m/k~11/b~0\": [1, 2], \"/x\": \"y\", \"/l/0/b\": 1.0, \"/l/2/c\": null, "
                      "\"/z\": 5}");
  assert_int_equal(catalog_unplaced(r->c), 5);
  assert_round(r, "t.e", "{}", "{\"l\": [], \"m\": {}}");
  assert_string_equal(carried(r, text), "");
  assert_int_equal(catalog_unplaced(r->c), 0);
}

CASE(what_is_carried_has_no_control_byte_and_its_own_text) {
  struct run *r = *state;
  char text[400];
  open_policy(r, LINES, UNKNOWN_CARRY);
  assert_int_equal(
      encode(
          r, "t.e",
          "{\"a\\\"\\u0001\x7f\\/\\ud83d\\ude00\": {\"n\":\n\t1.50e0,\r \"s\": \"\x7f\\u0000é\"}}"),
      REASON_NONE);
  assert_string_equal(
      carried(r, text),
      "{\"/a\\\"\\u0001\\u007f~1😀\": {\"n\":  1.50e0,  \"s\": \"\\u007f\\u0000é\"}}");
}

CASE(a_map_extra_takes_what_its_own_record_has_no_field_for) {
  struct run *r = *state;
  char text[400];
  open_policy(r,
              LINES
              ", {\"name\": \"extra\", \"type\": {\"type\": \"map\", \"values\": \"string\"}, "
              "\"default\": {}}",
              UNKNOWN_CARRY);
  assert_round(r, "t.e", "{\"l\": [{\"a\": 1, \"b\": 1}], \"x\": 1}",
               "{\"l\": [{\"a\": 1}], \"x\": 1}");
  assert_string_equal(carried(r, text), "{\"/l/0/b\": 1}");
}

CASE(dropped_is_counted_and_not_carried) {
  struct run *r = *state;
  char text[4096], none[400];
  open_policy(r, LINES, UNKNOWN_DROP);
  assert_round(r, "t.e", "{\"b\": 1}", "{\"l\": []}");
  assert_string_equal(carried(r, none), "");
  assert_int_equal(catalog_unplaced(r->c), 1);
  assert_non_null(strstr(logged(r, text, sizeof text), "is not published"));
}

CASE(carried_is_said_as_carried) {
  struct run *r = *state;
  char text[4096];
  open_policy(r, LINES, UNKNOWN_CARRY);
  assert_round(r, "t.e", "{\"b\": 1}", "{\"l\": []}");
  assert_non_null(strstr(logged(r, text, sizeof text), "rides in the header ce_extra"));
}

CASE(framings_and_the_envelope_carry_the_payload_whole) {
  struct run *r = *state;
  char text[400];
  struct catalog_config config = {.folder = r->folder, .framing = FRAMING_JSON};
  open_policy(r, LINES, UNKNOWN_CARRY);
  assert_int_equal(encode(r, "t.f", "{\"b\": 1}"), REASON_NONE);
  assert_string_equal(carried(r, text), "");
  catalog_close(r->c);
  assert_int_equal(catalog_open(&config, r->log, &r->c, &r->err), ST_OK);
  assert_int_equal(encode(r, "t.e", "{\"b\": 1}"), REASON_NONE);
  assert_string_equal(carried(r, text), "");
}

/* A payload of one unknown member that makes the header so many bytes long. */
static void of_length(struct buffer *payload, size_t bytes) {
  buffer_clear(payload);
  buffer_add_z(payload, "{\"note\": \"");
  for (size_t i = strlen("{\"/note\": \"\"}"); i < bytes; i++) buffer_add_char(payload, 'x');
  buffer_add_z(payload, "\"}");
}

CASE(more_than_32_kib_is_a_dead_letter_of_its_own) {
  struct run *r = *state;
  struct buffer payload = {0};
  open_policy(r, LINES, UNKNOWN_CARRY);
  of_length(&payload, 32768);
  assert_int_equal(encode(r, "t.e", buffer_z(&payload)), REASON_NONE);
  assert_int_equal(catalog_carried(r->c).len, 32768);
  of_length(&payload, 32769);
  assert_refused(
      r, "t.e", buffer_z(&payload), REASON_HEADER_TOO_LARGE,
      "payload.note: 1 member without a place in the schema makes the header ce_extra larger "
      "than 32768 bytes (@/t/e.avsc)");
  assert_int_equal(catalog_carried(r->c).len, 0);
  buffer_release(&payload);
}

/* Thousands of members in one object cost one walk, not one each. */
CASE(a_hundred_thousand_unknown_members_are_no_matter) {
  struct run *r = *state;
  struct buffer payload = {0};
  open_policy(r, LINES, UNKNOWN_DROP);
  for (int i = 0; i < 100000; i++) buffer_printf(&payload, "%s\"m%d\": 1", i ? ", " : "{", i);
  buffer_add_char(&payload, '}');
  assert_int_equal(encode(r, "t.e", buffer_z(&payload)), REASON_NONE);
  assert_int_equal(catalog_unplaced(r->c), 100000);
  buffer_release(&payload);
}

/* ---- back ---- */

static const char *put_back(struct run *r, const char *value, const char *extra, size_t *left) {
  buffer_clear(&r->text);
  assert_int_equal(catalog_put_back(span_of(value), span_of(extra), &r->text, left, &r->err),
                   ST_OK);
  return buffer_z(&r->text);
}

CASE(what_was_carried_is_put_back_where_it_was) {
  struct run *r = *state;
  static const struct {
    const char *value, *extra, *whole;
    size_t left;
  } rows[] = {
      {"{\"a\": 1}", "{\"/b\": 2, \"/c\": [3]}", "{\"a\": 1, \"b\": 2, \"c\": [3]}", 0},
      {"{}", "{\"/b\": 2}", "{\"b\": 2}", 0},
      {"{\"l\": [{\"a\": 1}, {}], \"m\": {\"k/1\": {\"a\": 1}}}",
       "{\"/m/k~11/b~0\": 1, \"/l/1/c\": null, \"/l/0/c\": 0, \"/z\": {\"y\": 1.50}}",
       "{\"l\": [{\"a\": 1, \"c\": 0}, {\"c\": null}], \"m\": {\"k/1\": {\"a\": 1, \"b~\": 1}}, "
       "\"z\": {\"y\": 1.50}}",
       0},
      {"{\"\": {}}", "{\"//\": 1}", "{\"\": {\"\": 1}}", 0},
      /* foreign bytes: what leads nowhere stays in the header, and the value is as it was */
      {"{\"a\": {}}", "{\"\": 1, \"b\": 1, \"/a\": 1, \"/x/y\": 1, \"/~2\": 1}", "{\"a\": {}}", 5},
      {"{\"l\": [{}]}",
       "{\"/l/1/b\": 1, \"/l/-/b\": 1, \"/l/00/b\": 1, \"/l/99999999999999999999/b\": 1, \"/l/0\": 1}",
       "{\"l\": [{}]}", 5},
      {"{\"a\": 1}", "{\"/a/b\": 1}", "{\"a\": 1}", 1},
      {"[]", "{\"/0\": 1}", "[]", 1},
      {"{}", "{}", "{}", 0},
      {"{}", "{\"/a\": 1, \"/a/b\": 1}", "{\"a\": 1}", 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t left = 99;
    assert_string_equal(put_back(r, rows[i].value, rows[i].extra, &left), rows[i].whole);
    assert_int_equal(left, rows[i].left);
  }
}

CASE(a_header_that_is_no_such_object_is_told) {
  struct run *r = *state;
  static const char *const bad[] = {"", "{", "[]", "1", "{\"/a\": NaN}", "{\"/a\": 1, \"/a\": 2}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    size_t left = 0;
    buffer_clear(&r->text);
    assert_int_equal(catalog_put_back(SPAN("{}"), span_of(bad[i]), &r->text, &left, &r->err),
                     ST_INVALID);
    assert_int_equal(r->text.len, 0);
  }
}

CASE(encoded_decoded_and_put_back_is_what_it_was) {
  struct run *r = *state;
  size_t left;
  const char *payload =
      "{\"l\": [{\"a\": 1, \"b\": 1}, null, {\"a\": 2, \"c/~\\\"\": \"\\u0000\"}], "
      "\"x\": {\"y\": [1.0, 1e2]}, \"z\": 5}";
  open_policy(r, LINES, UNKNOWN_CARRY);
  assert_int_equal(encode(r, "t.e", payload), REASON_NONE);
  struct buffer value = {0};
  assert_int_equal(
      catalog_decode(r->c, buffer_span(&r->bytes), SPAN(""), SPAN("t.e"), &value, &r->err), ST_OK);
  buffer_clear(&r->text);
  assert_int_equal(
      catalog_put_back(buffer_span(&value), catalog_carried(r->c), &r->text, &left, &r->err),
      ST_OK);
  assert_string_equal(buffer_z(&r->text), payload);
  assert_int_equal(left, 0);
  buffer_release(&value);
}
