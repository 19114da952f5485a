/* json_test.c - nodes, messages and accessors. */

#include "bridge/json/json.h"
#include "tests/support/test.h"

#include <float.h>

static void scan(struct json_doc *d, struct span text) {
  struct error err = {0};
  if (json_scan(d, text, &err) != ST_OK) fail_msg("%.*s: %s", SPAN_ARGS(text), err.text);
}

/* ---- nodes and memory ---- */

TEST(nodes_stand_in_document_order) {
  static const char text[] = " {\"a\": [1, -2.5e3], \"b\\n\": {\"c\": null}, \"d\": \"x\"} ";
  static const struct json_node expected[] = {
      {1, 48, 11, 3, JSON_OBJECT, 0}, {2, 3, 2, 0, JSON_STRING, 0},
      {7, 11, 5, 2, JSON_ARRAY, 0},   {8, 1, 4, 0, JSON_NUMBER, JSON_INTEGER},
      {11, 6, 5, 0, JSON_NUMBER, 0},  {20, 5, 6, 0, JSON_STRING, JSON_ESCAPED},
      {27, 11, 9, 1, JSON_OBJECT, 0}, {28, 3, 8, 0, JSON_STRING, 0},
      {33, 4, 9, 0, JSON_NULL, 0},    {40, 3, 10, 0, JSON_STRING, 0},
      {45, 3, 11, 0, JSON_STRING, 0},
  };
  struct json_doc d = {0};
  scan(&d, span_of(text));
  assert_int_equal(d.count, 11);
  for (uint32_t i = 0; i < d.count; i++) {
    assert_int_equal(d.nodes[i].at, expected[i].at);
    assert_int_equal(d.nodes[i].len, expected[i].len);
    assert_int_equal(d.nodes[i].next, expected[i].next);
    assert_int_equal(d.nodes[i].count, expected[i].count);
    assert_int_equal(d.nodes[i].type, expected[i].type);
    assert_int_equal(d.nodes[i].flags, expected[i].flags);
  }
  assert_true(span_is(json_slice(&d, 4), "-2.5e3"));
  assert_true(span_is(json_raw(&d, 5), "b\\n"));
  json_doc_release(&d);
  assert_null(d.nodes);
}

TEST(one_document_is_scanned_again_and_again) {
  struct json_doc d = {0};
  scan(&d, SPAN("[1,2,3]"));
  struct json_node *nodes = d.nodes;
  assert_int_equal(json_scan(&d, SPAN("[NaN"), NULL), ST_INVALID);
  assert_int_equal(d.fault, JSON_NOT_A_NUMBER);
  scan(&d, SPAN("{}"));
  assert_int_equal(d.fault, JSON_OK);
  assert_int_equal(d.count, 1);
  assert_ptr_equal(d.nodes, nodes);
  json_doc_release(&d);
}

static void many_nodes(struct json_doc *d) {
  struct buffer text = {0};
  buffer_add_char(&text, '[');
  for (int i = 0; i < 50000; i++) buffer_add_z(&text, i ? ",7" : "7");
  buffer_add_char(&text, ']');
  scan(d, buffer_span(&text));
  assert_int_equal(d->count, 50001);
  assert_int_equal(d->nodes[0].count, 50000);
  assert_int_equal(d->nodes[50000].at, 99999);
  json_doc_release(d);
  buffer_release(&text);
}

TEST(nodes_grow_in_an_arena_without_much_waste) {
  struct arena arena = {0};
  struct json_doc d = {.arena = &arena}, small = {.arena = &arena};
  many_nodes(&d);
  assert_true(arena.used <=
              (size_t)4 * 50001 *
                  sizeof(struct json_node)); /* doubling: at most twice, plus copies */
  size_t before = arena.used;
  scan(&small, SPAN("{\"a\": 1}"));
  assert_true(arena.used - before <= 32 * sizeof(struct json_node));
  assert_ptr_equal(small.arena, &arena);
  arena_release(&arena);
}

TEST(nodes_grow_by_themselves) {
  struct json_doc d = {0};
  many_nodes(&d);
}

TEST(a_hundred_thousand_members_are_told_apart) {
  struct json_doc d = {0};
  struct buffer text = {0};
  struct error err = {0};
  buffer_add_char(&text, '{');
  for (int i = 0; i < 100000; i++) buffer_printf(&text, "\"\\u006bey%d\":0,", i);
  size_t before = text.len;
  buffer_add_z(&text, "\"key100000\":0}");
  scan(&d, buffer_span(&text));
  text.len = before;
  buffer_add_z(&text, "\"key4711\":0}");
  assert_int_equal(json_scan(&d, buffer_span(&text), &err), ST_INVALID);
  assert_int_equal(d.fault, JSON_DUPLICATE_KEY);
  assert_int_equal(d.fault_at, before);
  assert_non_null(strstr(err.text, ": key4711: "));
  json_doc_release(&d);
  buffer_release(&text);
}

/* ---- messages ---- */

TEST(faults_say_byte_path_and_what_to_do) {
  static const struct {
    const char *text, *message;
  } rows[] = {
      {"{\"payload\": {\"score\": NaN}}",
       "byte 22: payload.score: NaN is not JSON; write a number or null"},
      {"{\"payload\": {\"issues\": [1, 2, {\"type\": -Infinity}]}}",
       "byte 39: payload.issues[2].type: -Infinity is not JSON; write a number or null"},
      {"[Infinity]", "byte 1: [0]: Infinity is not JSON; write a number or null"},
      {"\"half", "byte 5: ends in the middle of a string"},
      {"{\"a\": {\"b\": \"x", "byte 14: a.b: ends in the middle of a string"},
      {"{\"a\": [1, 2", "byte 11: a: ends in the middle of an array"},
      {"{\"a\": {\"b\": 2", "byte 13: a: ends in the middle of an object"},
      {"{\"a\": ", "byte 6: a: ends where a value should follow"},
      {"[12, -", "byte 6: [1]: ends in the middle of a number"},
      {"", "byte 0: nothing is written here"},
      {"{\"a\": \"\\ud800\"}",
       "byte 7: a: \\ud800 is half a surrogate pair; write the whole character"},
      {"{\"a.b\": {\"\": [x]}}", "byte 14: [\"a.b\"][\"\"][0]: no value begins with 'x'"},
      {"{\"a\": 1, \"b\": 2, \"a\": 3}",
       "byte 17: a: a second member of that name; keep one of them (the first is at byte 1)"},
      {"{\"a\": [1, 2,]}", "byte 12: a[2]: a value must stand before ']'"},
      {"{\"a\": [1 2]}", "byte 9: a: a comma or ']' must follow, found '2'"},
      {"{} \x01", "byte 3: the value ends before byte 0x01; nothing may follow it"},
      {"\xef\xbb\xbf{}", "byte 0: a byte order mark; write plain UTF-8 without it"},
      {"[\"\xe9\"]", "byte 2: [0]: byte 0xe9 is not UTF-8 here; write the text in UTF-8"},
      {"\"a\tb\"", "byte 2: byte 0x09 inside a string; write it as \\u0009"},
      {"[01]", "byte 1: [0]: a number must not begin with 0; leave the zero out"},
      {"[1.x]", "byte 3: [0]: a digit must follow the point, found 'x'"},
      {"{a}", "byte 1: a member's name in quotes must stand here, found 'a'"},
      {"{\"a\"}", "byte 4: a: a colon must follow the member's name, found '}'"},
  };
  struct json_doc d = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct error err = {0};
    assert_int_equal(json_scan(&d, span_of(rows[i].text), &err), ST_INVALID);
    assert_string_equal(err.text, rows[i].message);
    assert_int_equal(strtoul(err.text + 5, NULL, 10), d.fault_at);
  }
  json_doc_release(&d);
}

TEST(a_long_path_is_cut_at_a_character) {
  struct json_doc d = {0};
  struct buffer text = {0};
  struct error err = {0};
  buffer_add_z(&text, "{\"x");
  for (int i = 0; i < 100; i++) buffer_add_z(&text, "\xe6\x97\xa5");
  buffer_add_z(&text, "\": NaN}");
  assert_int_equal(json_scan(&d, buffer_span(&text), &err), ST_INVALID);
  assert_int_equal(span_utf8_prefix(span_of(err.text)), strlen(err.text));
  assert_non_null(strstr(err.text, "\xe6\x97\xa5...: NaN is not JSON"));
  json_doc_release(&d);
  buffer_release(&text);
}

TEST(every_fault_has_its_word) {
  assert_string_equal(json_fault_word(JSON_OK), "none");
  assert_string_equal(json_fault_word(JSON_EMPTY), "empty_file");
  assert_string_equal(json_fault_word(JSON_SYNTAX), "not_json");
  assert_string_equal(json_fault_word(JSON_NOT_A_NUMBER), "not_a_number");
  assert_string_equal(json_fault_word(JSON_LONE_SURROGATE), "lone_surrogate");
  assert_string_equal(json_fault_word(JSON_INVALID_UTF8), "invalid_utf8");
  assert_string_equal(json_fault_word(JSON_DUPLICATE_KEY), "duplicate_key");
  assert_string_equal(json_fault_word(JSON_TOO_DEEP), "too_deep");
  assert_string_equal(json_fault_word(JSON_NO_MEMORY), "no_memory");
}

TEST(a_text_of_4_gib_is_refused_unread) {
  struct json_doc d = {0};
  assert_int_equal(json_scan(&d, (struct span){"x", UINT32_MAX}, NULL), ST_INVALID);
  assert_int_equal(d.fault, JSON_SYNTAX);
}

/* ---- accessors ---- */

TEST(members_are_found_by_their_unescaped_name) {
  struct json_doc d = {0};
  scan(&d, SPAN("{\"a\": {\"b\": 1}, \"\\u0062\\n\": 2, \"b\": 3}"));
  assert_true(span_is(json_slice(&d, json_member(&d, 0, "a")), "{\"b\": 1}"));
  assert_true(span_is(json_slice(&d, json_member(&d, 0, "b\n")), "2"));
  assert_true(span_is(json_slice(&d, json_member(&d, 0, "b")), "3"));
  assert_int_equal(json_member(&d, 0, "c"), JSON_NONE);
  assert_int_equal(json_member(&d, 0, "b\nx"), JSON_NONE);
  assert_int_equal(json_member(&d, json_member(&d, 0, "b"), "b"), JSON_NONE);
  json_doc_release(&d);
}

TEST(strings_are_unescaped) {
  static const struct {
    const char *text;
    struct span plain;
  } rows[] = {
      {"\"\"", SPAN("")},
      {"\"plain \xe6\x97\xa5\"", SPAN("plain \xe6\x97\xa5")},
      {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", SPAN("\"\\/\b\f\n\r\t")},
      {"\"x\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000y\"",
       SPAN("xA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0y")},
      {"\"\\udbff\\udfff\\uFFFF\"", SPAN("\xf4\x8f\xbf\xbf\xef\xbf\xbf")},
  };
  struct json_doc d = {0};
  struct arena arena = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    struct span text;
    scan(&d, span_of(rows[i].text));
    buffer_add_z(&out, ">");
    json_unescape(&d, 0, &out);
    assert_int_equal(out.len, rows[i].plain.len + 1);
    assert_memory_equal(out.ptr + 1, rows[i].plain.ptr, rows[i].plain.len);
    assert_true(json_text(&d, 0, &arena, &text));
    assert_true(span_eq(text, rows[i].plain));
    assert_true(json_string_is(&d, 0, rows[i].plain));
    assert_false(json_string_is(&d, 0, SPAN("xA")));
    assert_false(json_string_is(&d, 0, SPAN("other")));
    buffer_release(&out);
  }
  json_doc_release(&d);
  arena_release(&arena);
}

TEST(a_string_without_escapes_is_not_copied) {
  static const char text[] = "[\"abc\", \"a\\tc\"]";
  struct json_doc d = {0};
  struct arena arena = {0};
  struct span out;
  scan(&d, span_of(text));
  assert_true(json_text(&d, 1, &arena, &out));
  assert_ptr_equal(out.ptr, text + 2);
  assert_int_equal(arena.used, 0);
  assert_true(json_text(&d, 2, &arena, &out));
  assert_true(span_is(out, "a\tc"));
  assert_true(arena.used > 0);
  json_doc_release(&d);
  arena_release(&arena);
}

TEST(integers_are_exact_or_refused) {
  static const struct {
    const char *text;
    bool whole;
    int64_t n;
  } rows[] = {
      {"0", true, 0},
      {"-0", true, 0},
      {"42", true, 42},
      {"-7", true, -7},
      {"9223372036854775807", true, INT64_MAX},
      {"-9223372036854775808", true, INT64_MIN},
      {"9223372036854775808", false, 0},
      {"-9223372036854775809", false, 0},
      {"99999999999999999999", false, 0},
      {"1.0", false, 0},
      {"1e3", false, 0},
      {"\"1\"", false, 0},
      {"true", false, 0},
  };
  struct json_doc d = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t n = 99;
    scan(&d, span_of(rows[i].text));
    assert_int_equal(json_int(&d, 0, &n), rows[i].whole);
    if (rows[i].whole) assert_true(n == rows[i].n);
  }
  json_doc_release(&d);
}

TEST(whole_numbers_are_exact_however_they_are_written) {
  static const struct {
    const char *text;
    enum json_whole whole;
    int64_t n;
  } rows[] = {
      {"0", JSON_WHOLE, 0},
      {"-0.0", JSON_WHOLE, 0},
      {"0e99999999999999999999999999", JSON_WHOLE, 0},
      {"0.000E-400", JSON_WHOLE, 0},
      {"1.0", JSON_WHOLE, 1},
      {"-17.000", JSON_WHOLE, -17},
      {"1e2", JSON_WHOLE, 100},
      {"1E+2", JSON_WHOLE, 100},
      {"100e-2", JSON_WHOLE, 1},
      {"120E-1", JSON_WHOLE, 12},
      {"1.25e2", JSON_WHOLE, 125},
      {"0.00012e+5", JSON_WHOLE, 12},
      {"1002.5e1", JSON_WHOLE, 10025},
      {"10000000000000000000000000000000000000000e-40", JSON_WHOLE, 1},
      {"9007199254740993.0", JSON_WHOLE, INT64_C(9007199254740993)},
      {"9007199254740993.00e0", JSON_WHOLE, INT64_C(9007199254740993)},
      {"9223372036854775807", JSON_WHOLE, INT64_MAX},
      {"9.223372036854775807e18", JSON_WHOLE, INT64_MAX},
      {"-9223372036854775808.0", JSON_WHOLE, INT64_MIN},
      {"9223372036854775808.0", JSON_BEYOND, 0},
      {"-9.223372036854775809e18", JSON_BEYOND, 0},
      {"1e18", JSON_WHOLE, INT64_C(1000000000000000000)},
      {"1e19", JSON_BEYOND, 0},
      {"-1e400", JSON_BEYOND, 0},
      {"1e999999999999999999999999", JSON_BEYOND, 0},
      {"1e-999999999999999999999999", JSON_FRACTION, 0},
      {"1.5", JSON_FRACTION, 0},
      {"-0.1", JSON_FRACTION, 0},
      {"15e-1", JSON_FRACTION, 0},
      {"9223372036854775808.5", JSON_FRACTION, 0},
      {"1.00000000000000000000000000000000000000001", JSON_FRACTION, 0},
  };
  struct json_doc d = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t n = 99;
    scan(&d, span_of(rows[i].text));
    enum json_whole whole = json_whole(&d, 0, &n);
    if (whole != rows[i].whole || (whole == JSON_WHOLE && n != rows[i].n))
      fail_msg("%s: %d %lld", rows[i].text, whole, (long long)n);
  }
  json_doc_release(&d);
}

TEST(doubles_are_the_nearest_with_their_digits_counted) {
  static const struct {
    const char *text;
    double x;
    unsigned digits;
  } rows[] = {
      {"0", 0, 0},
      {"0.000", 0, 0},
      {"1", 1, 1},
      {"-100", -100, 3},
      {"100.0", 100, 3},
      {"82.5", 82.5, 3},
      {"0.00120", 0.0012, 2},
      {"10.50", 10.5, 3},
      {"1.05e2", 105, 3},
      {"1.500E+3", 1500, 2},
      {"1e22", 1e22, 1},
      {"0.1", 0.1, 1},
      {"5e-324", 5e-324, 1},
      {"1e-999", 0, 1},
      {"1.7976931348623157e308", DBL_MAX, 17},
      {"9007199254740993", 9007199254740992.0, 16},
      {"0.30000000000000004", 0.30000000000000004, 17},
      {"123456789012345678.5", 123456789012345678.5, 19},
  };
  struct json_doc d = {0};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    double x = -1, inside = -1;
    unsigned digits = 999;
    char text[64];
    scan(&d, span_of(rows[i].text));
    assert_true(json_double(&d, 0, &x, &digits));
    assert_true(x == rows[i].x);
    assert_int_equal(digits, rows[i].digits);
    snprintf(text, sizeof text, "[%s,5]", rows[i].text);
    scan(&d, span_of(text));
    assert_true(json_double(&d, 1, &inside, NULL));
    assert_true(inside == x);
  }
  double x;
  scan(&d, SPAN("[1e309,-1e999,\"1\"]"));
  for (uint32_t i = 1; i < 4; i++) assert_false(json_double(&d, i, &x, NULL));
  json_doc_release(&d);
}

TEST(paths_name_every_node) {
  static const struct {
    uint32_t node;
    const char *path;
  } rows[] = {{0, ""},
              {2, "payload"},
              {4, "payload.issues"},
              {7, "payload.issues[2]"},
              {9, "payload.issues[2].type"},
              {11, "payload[\"a b\"]"},
              {13, "[\"\"]"}};
  struct json_doc d = {0};
  scan(&d, SPAN("{\"payload\": {\"issues\": [1, 2, {\"type\": 3}], \"a b\": 4}, \"\": 5}"));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    buffer_add_z(&out, "at ");
    json_path(&d, rows[i].node, &out);
    assert_string_equal(buffer_z(&out) + 3, rows[i].path);
    buffer_release(&out);
    assert_int_equal(json_at_path(&d, span_of(rows[i].path)), rows[i].node);
  }
  static const char *const nowhere[] = {
      "pay",         "payload.",         "payload.issues[3]", "payload.issues[2].type.x",
      "payload.a b", "payload.issues[2", ".payload",          "[0]"};
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
    assert_int_equal(json_at_path(&d, span_of(nowhere[i])), JSON_NONE);
  json_doc_release(&d);
}

TEST(types_have_names) {
  static const char *const names[] = {"null",   "boolean", "boolean", "number",
                                      "string", "array",   "object"};
  for (int t = JSON_NULL; t <= JSON_OBJECT; t++)
    assert_string_equal(json_type_name((enum json_type)t), names[t]);
}
