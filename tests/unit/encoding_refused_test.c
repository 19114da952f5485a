/* Payloads that do not fit their schema: what is refused and in which words, what is left out and
 * how that is told. */
#include "tests/unit/catalog_box.h"

CASE(a_mismatch_names_path_expectation_and_find) {
  struct run *r = *state;
#define CHECKED(score, types, passed, rest)                                                        \
  "{\"content_id\": \"c\", \"score\": " score ", \"check_types\": " types                          \
  ", \"passed\": " passed rest "}"
#define Q " (@/quality/checked.avsc)"
  enum reason no = REASON_SCHEMA_MISMATCH;
  const char *n = "quality.checked";
  assert_refused(r, n, CHECKED("\"A\"", "[]", "true", ""), no,
                 "payload.score: expected double, found string" Q);
  assert_refused(r, n, CHECKED("null", "[]", "true", ""), no,
                 "payload.score: expected double, found null" Q);
  assert_refused(r, n, CHECKED("1e999", "[]", "true", ""), no,
                 "payload.score: the number is beyond the range of double" Q);
  assert_refused(r, n, CHECKED("1", "{}", "true", ""), no,
                 "payload.check_types: expected array, found object" Q);
  assert_refused(r, n, CHECKED("1", "[\"a\", 2]", "true", ""), no,
                 "payload.check_types[1]: expected string, found number" Q);
  assert_refused(r, n, CHECKED("1", "[]", "1", ""), no,
                 "payload.passed: expected boolean, found number" Q);
  assert_refused(r, n, CHECKED("1", "[]", "true", ", \"issues\": null"), no,
                 "payload.issues: expected array, found null" Q);
  assert_refused(r, n, CHECKED("1", "[]", "true", ", \"issues\": [{}, []]"), no,
                 "payload.issues[1]: expected object, found array" Q);
  assert_refused(r, n, CHECKED("1", "[]", "true", ", \"issues\": [{\"type\": 1}]"), no,
                 "payload.issues[0].type: expected string or null, found number" Q);
}

CASE(a_missing_required_field_names_its_schema) {
  struct run *r = *state;
  assert_refused(r, "episode.created", "{\"episode_id\": \"e\", \"episode_number\": 1}",
                 REASON_SCHEMA_MISMATCH,
                 "payload.title: required by @/episode/created.avsc and missing");
}

CASE(a_schema_is_named_by_a_path_that_can_be_opened) {
  struct run *r = *state;
  char here[512], folder[128];
  assert_non_null(getcwd(here, sizeof here));
  open_fields(r, "{\"name\": \"i\", \"type\": \"int\"}", false);
  snprintf(folder, sizeof folder, "%s//", r->folder);
  open_catalog(r, folder, FRAMING_SINGLE_OBJECT, false);
  snprintf(r->at, sizeof r->at, "%s", r->folder);
  assert_refused(r, "t.e", "{\"i\": null}", REASON_SCHEMA_MISMATCH,
                 "payload.i: expected int, found null (@/t/e.avsc)");
  assert_int_equal(chdir(r->folder), 0);
  open_catalog(r, ".", FRAMING_SINGLE_OBJECT, false);
  assert_refused(r, "t.e", "{\"i\": null}", REASON_SCHEMA_MISMATCH,
                 "payload.i: expected int, found null (./t/e.avsc)");
  assert_int_equal(access("./t/e.avsc", R_OK), 0);
  assert_int_equal(chdir(here), 0);
}

CASE(integers_are_exact_or_refused) {
  struct run *r = *state;
#define NUMBER(n) "{\"episode_id\": \"e\", \"title\": \"t\", \"episode_number\": " n "}"
#define C " (@/episode/created.avsc)"
  assert_refused(r, "episode.created", NUMBER("9223372036854775808"), REASON_INTEGER_RANGE,
                 "payload.episode_number: the number is beyond the range of long" C);
  assert_refused(r, "episode.created", NUMBER("1.5"), REASON_SCHEMA_MISMATCH,
                 "payload.episode_number: expected long, found number that is not whole" C);
  assert_refused(r, "episode.created", NUMBER("1e400"), REASON_INTEGER_RANGE,
                 "payload.episode_number: the number is beyond the range of long" C);
  assert_refused(r, "episode.created", NUMBER("\"1\""), REASON_SCHEMA_MISMATCH,
                 "payload.episode_number: expected long, found string" C);
  open_fields(r, "{\"name\": \"i\", \"type\": \"int\"}, {\"name\": \"f\", \"type\": \"float\"}",
              false);
  assert_refused(r, "t.e", "{\"i\": 2147483648, \"f\": 0}", REASON_INTEGER_RANGE,
                 "payload.i: the number is beyond the range of int (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 2147483647, \"f\": 3.5e38}", REASON_SCHEMA_MISMATCH,
                 "payload.f: the number is beyond the range of float (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 1, \"f\": \"0\"}", REASON_SCHEMA_MISMATCH,
                 "payload.f: expected float, found string (@/t/e.avsc)");
}

CASE(integers_written_as_real_numbers_are_published_exactly) {
  struct run *r = *state;
  open_fields(
      r, "{\"name\": \"i\", \"type\": [\"null\", \"int\"]}, {\"name\": \"l\", \"type\": \"long\"}",
      false);
  assert_round(r, "t.e", "{\"i\": 2147483647.0, \"l\": 9007199254740993.0}",
               "{\"i\": 2147483647, \"l\": 9007199254740993}");
  assert_round(r, "t.e", "{\"i\": -2.147483648e9, \"l\": -0.0}", "{\"i\": -2147483648, \"l\": 0}");
  assert_round(r, "t.e", "{\"i\": 1E+2, \"l\": 1e18}", "{\"i\": 100, \"l\": 1000000000000000000}");
  assert_refused(r, "t.e", "{\"i\": 2147483648.0, \"l\": 0}", REASON_INTEGER_RANGE,
                 "payload.i: the number is beyond the range of int (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 1e400, \"l\": 0}", REASON_INTEGER_RANGE,
                 "payload.i: the number is beyond the range of int (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 1e-400, \"l\": 0}", REASON_SCHEMA_MISMATCH,
                 "payload.i: expected int or null, found number that is not whole (@/t/e.avsc)");
}

CASE(a_wrong_symbol_is_told_the_right_ones) {
  struct run *r = *state;
  open_fields(
      r,
      "{\"name\": \"s\", \"type\": {\"type\": \"enum\", \"name\": \"S\", \"symbols\": [\"A\", \"B\"]}}",
      false);
  assert_refused(r, "t.e", "{\"s\": \"C\"}", REASON_SCHEMA_MISMATCH,
                 "payload.s: expected one of A, B, found string (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"s\": 1}", REASON_SCHEMA_MISMATCH,
                 "payload.s: expected one of A, B, found number (@/t/e.avsc)");
  open_fields(
      r,
      "{\"name\": \"s\", \"type\": {\"type\": \"enum\", \"name\": \"S\", \"symbols\": [\"A\", \"B\", \"C\", \"D\", "
      "\"E\", \"F\", \"G\", \"H\", \"I\", \"J\", \"K\"]}}",
      false);
  assert_refused(
      r, "t.e", "{\"s\": \"a\"}", REASON_SCHEMA_MISMATCH,
      "payload.s: expected one of A, B, C, D, E, F, G, H, I, J, ..., found string (@/t/e.avsc)");
}

CASE(null_fields_and_maps_refuse_other_types) {
  struct run *r = *state;
  open_fields(
      r,
      "{\"name\": \"n\", \"type\": \"null\"}, {\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": \"int\"}}",
      false);
  assert_refused(r, "t.e", "{\"n\": 0, \"m\": {}}", REASON_SCHEMA_MISMATCH,
                 "payload.n: expected null, found number (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"n\": null, \"m\": []}", REASON_SCHEMA_MISMATCH,
                 "payload.m: expected object, found array (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"n\": null, \"m\": {\"a\": true}}", REASON_SCHEMA_MISMATCH,
                 "payload.m.a: expected int, found boolean (@/t/e.avsc)");
}

CASE(what_a_payload_holds_is_not_told) {
  struct run *r = *state;
  struct buffer payload = {0};
  buffer_add_z(&payload, "{\"id\": {\n\t\"\x7f\xc2\x85\": \"");
  for (int i = 0; i < 60; i++) buffer_add_z(&payload, "\xe3\x81\x82");
  buffer_add_z(&payload, "\"}}");
  assert_refused(r, "episode.written", buffer_z(&payload), REASON_SCHEMA_MISMATCH,
                 "payload.id: expected string, found object (@/episode/written.avsc)");
  buffer_release(&payload);
}

/* What a schema has no place for */

static struct catalog_schema schema_of(const struct run *r, const char *event_name) {
  struct catalog_schema s;
  for (size_t i = 0; catalog_schema_at(r->c, i, &s); i++)
    if (strcmp(s.event_name, event_name) == 0) return s;
  fail_msg("no schema of %s", event_name);
  return s;
}

CASE(fields_left_out_are_counted_and_said_once_a_path) {
  struct run *r = *state;
  char text[4096];
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", false);
  assert_round(r, "t.e", "{\"b\": 1, \"a\": 1, \"c\": 2}", "{\"a\": 1}");
  logged(r, text, sizeof text);
  assert_non_null(strstr(text, "fields_left_out"));
  assert_non_null(strstr(text, "payload.b"));
  assert_non_null(strstr(text, "payload.c"));
  assert_round(r, "t.e", "{\"b\": 1, \"a\": 1}", "{\"a\": 1}");
  assert_string_equal(logged(r, text, sizeof text), "(end)");
  assert_int_equal(schema_of(r, "t.e").left_out, 3);
  assert_int_equal(schema_of(r, "envelope").left_out, 0);
}

/* "path=count ..." */
static const char *left_out_of(const struct run *r, const char *event_name, char text[static 400]) {
  struct catalog_schema s;
  struct span path;
  uint64_t count;
  size_t i = 0, used = 0;
  while (catalog_schema_at(r->c, i, &s) && strcmp(s.event_name, event_name) != 0) i++;
  text[0] = '\0';
  for (size_t n = 0; used < 300 && catalog_left_out(r->c, i, n, &path, &count); n++)
    used += (size_t)snprintf(text + used, 400 - used, "%.*s=%d ", SPAN_ARGS(path), (int)count);
  return text;
}

CASE(each_path_left_out_is_kept_whatever_the_index) {
  struct run *r = *state;
  char text[400];
  open_fields(
      r,
      "{\"name\": \"l\", \"type\": {\"type\": \"array\", \"items\": {\"type\": \"record\", \"name\": \"n.L\", "
      "\"fields\": [{\"name\": \"a\", \"type\": \"int\"}]}}}",
      false);
  assert_round(r, "t.e",
               "{\"l\": [{\"a\": 1, \"b\": 1}, {\"a\": 1, \"b\": 2, \"c[3]\": 0}], \"x\": {}}",
               "{\"l\": [{\"a\": 1}, {\"a\": 1}]}");
  assert_string_equal(left_out_of(r, "t.e", text),
                      "payload.l[].b=2 payload.l[][\"c[3]\"]=1 payload.x=1 ");
  assert_int_equal(schema_of(r, "t.e").left_out, 4);
}

CASE(paths_left_out_are_bounded) {
  struct run *r = *state;
  struct span path;
  uint64_t count;
  size_t i = 0, kept = 0;
  struct catalog_schema s;
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", false);
  for (int n = 0; n < 300; n++) {
    char payload[60];
    snprintf(payload, sizeof payload, "{\"a\": 1, \"b%d\": 1}", n);
    assert_int_equal(encode(r, "t.e", payload), REASON_NONE);
  }
  while (catalog_schema_at(r->c, i, &s) && strcmp(s.event_name, "t.e") != 0) i++;
  while (catalog_left_out(r->c, i, kept, &path, &count)) kept++;
  assert_int_equal(kept, 100);
  assert_int_equal(schema_of(r, "t.e").left_out, 300);
}

CASE(a_name_that_others_of_its_namespace_have_a_schema_for_is_told_once) {
  struct run *r = *state;
  char text[4096];
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_SINGLE_OBJECT, false);
  assert_int_equal(encode(r, "plot.updatet", "{}"), REASON_NONE);
  logged(r, text, sizeof text);
  assert_non_null(strstr(text, "name_unknown"));
  assert_non_null(strstr(text, "did you mean plot.updated?"));
  assert_int_equal(encode(r, "plot.updatet", "{}"), REASON_NONE);
  assert_int_equal(encode(r, "plot.updated", "{\"plot_id\": \"p\"}"), REASON_NONE);
  assert_int_equal(encode(r, "weather.changed", "{}"), REASON_NONE);
  assert_int_equal(encode(r, "plo.updated", "{}"), REASON_NONE);
  assert_string_equal(logged(r, text, sizeof text), "(end)");
}

CASE(a_name_without_a_schema_may_be_refused) {
  struct run *r = *state;
  struct catalog_config config = {
      .folder = SOURCE_ROOT "/schemas", .framing = FRAMING_JSON, .refuse_names = true};
  for (int i = 0; i < 2; i++, config.framing = FRAMING_SINGLE_OBJECT) {
    catalog_close(r->c);
    assert_int_equal(catalog_open(&config, NULL, &r->c, &r->err), ST_OK);
    assert_refused(
        r, "plot.updatet", "{}", REASON_UNKNOWN_EVENT,
        "name plot.updatet has no schema, though its namespace has some, and encoding.unknown_names is refuse; "
        "did you mean plot.updated?");
    assert_refused(
        r, "plot.something-else", "{}", REASON_UNKNOWN_EVENT,
        "name plot.something-else has no schema, though its namespace has some, and encoding.unknown_names is "
        "refuse");
    assert_int_equal(encode(r, "weather.changed", "{}"), REASON_NONE);
    assert_int_equal(encode(r, "plot.updated", "{\"plot_id\": \"p\"}"), REASON_NONE);
  }
}

CASE(a_refused_event_is_not_counted) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"d\", \"type\": \"double\"}, {\"name\": \"a\", \"type\": \"long\"}",
              false);
  assert_int_equal(encode(r, "t.e", "{\"d\": 0.1234567890123456789, \"b\": 1, \"a\": \"\"}"),
                   REASON_SCHEMA_MISMATCH);
  assert_int_equal(schema_of(r, "t.e").left_out, 0);
  assert_int_equal(schema_of(r, "t.e").cut_numbers, 0);
}

CASE(strict_refuses_what_would_be_left_out) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", true);
  assert_refused(r, "t.e", "{\"a\": 1, \"b\": 1}", REASON_SCHEMA_MISMATCH,
                 "payload.b: no such field (@/t/e.avsc)");
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_SINGLE_OBJECT, true);
  assert_round(r, "episode.written", "{\"id\": \"1\", \"b\": 1}", "{\"id\": \"1\", \"b\": 1}");
}

CASE(numbers_that_lose_digits_are_counted_and_said_once_a_type) {
  struct run *r = *state;
  char text[4096];
  open_fields(r, "{\"name\": \"d\", \"type\": \"double\"}", false);
  assert_round(r, "t.e", "{\"d\": 0.12345678901234567}",
               "{\"d\": 0.12345678901234566}"); /* 17 digits: not counted */
  assert_round(r, "t.e", "{\"d\": 9007199254740994}", "{\"d\": 9007199254740994.0}");
  assert_int_equal(schema_of(r, "t.e").cut_numbers, 0);
  assert_round(r, "t.e", "{\"d\": 0.123456789012345678}", "{\"d\": 0.12345678901234568}");
  logged(r, text, sizeof text);
  assert_non_null(strstr(text, "number_cut"));
  assert_non_null(strstr(text, "payload.d"));
  assert_null(strstr(text, "0.1234"));
  assert_round(r, "t.e", "{\"d\": 9007199254740993}", "{\"d\": 9007199254740992.0}");
  assert_string_equal(logged(r, text, sizeof text), "(end)");
  assert_int_equal(schema_of(r, "t.e").cut_numbers, 2);
}

CASE(a_field_extra_of_another_type_is_an_ordinary_field) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"extra\", \"type\": \"long\"}", true);
  assert_round(r, "t.e", "{\"extra\": 5}", "{\"extra\": 5}");
  assert_refused(r, "t.e", "{\"extra\": 5, \"a\": 1}", REASON_SCHEMA_MISMATCH,
                 "payload.a: no such field (@/t/e.avsc)");
}

CASE(many_members_in_any_order_find_their_fields) {
  struct run *r = *state;
  struct buffer fields = {0}, payload = {0}, want = {0};
  for (int i = 0; i < 200; i++) {
    buffer_printf(&fields, "%s{\"name\": \"f%d\", \"type\": \"int\"}", i ? ", " : "", i);
    buffer_printf(&payload, "%s\"f%d\": %d", i ? ", " : "{", i * 77 % 200, i * 77 % 200);
    buffer_printf(&want, "%s\"f%d\": %d", i ? ", " : "{", i, i);
  }
  buffer_add_z(&payload, "}");
  buffer_add_z(&want, "}");
  open_fields(r, buffer_z(&fields), true);
  assert_round(r, "t.e", buffer_z(&payload), buffer_z(&want));
  buffer_release(&fields);
  buffer_release(&payload);
  buffer_release(&want);
}
