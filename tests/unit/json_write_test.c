/* json_write_test.c - what is written is what Python writes, and reads back the same. */

#include "bridge/json/json.h"
#include "tests/support/test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

TEST(strings_are_written_as_python_does) {
  static const struct {
    struct span text;
    const char *json;
  } rows[] = {
      {SPAN(""), "\"\""},
      {SPAN("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
      {SPAN("\b\f\n\r\t\0\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\""},
      {SPAN("\xe6\x97\xa5\xf0\x9f\x98\x80"), "\"\xe6\x97\xa5\xf0\x9f\x98\x80\""},
      {SPAN("x\xff\xe6\x97y\n"), "\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\\n\""},
      {SPAN("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    json_write_string(&out, rows[i].text);
    assert_string_equal(buffer_z(&out), rows[i].json);
    buffer_release(&out);
  }
}

TEST(what_may_stand_as_it_is_is_found_byte_by_byte) {
  char text[40];
  for (unsigned at = 0; at < sizeof text; at++)
    for (unsigned c = 0; c < 256; c++) {
      memset(text, 'a', sizeof text);
      text[at] = (char)c;
      bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
      assert_int_equal(json_plain_prefix((struct span){text, sizeof text}),
                       plain ? sizeof text : at);
    }
  assert_int_equal(json_plain_prefix((struct span){0}), 0);
}

TEST(doubles_are_written_as_python_does) {
  static const struct {
    double x;
    const char *text; /* python3 -c 'print(repr(x))' */
  } rows[] = {
      {82.5, "82.5"},
      {0, "0.0"},
      {-0.0, "-0.0"},
      {1, "1.0"},
      {-1, "-1.0"},
      {100, "100.0"},
      {0.1, "0.1"},
      {0.30000000000000004, "0.30000000000000004"},
      {1e15, "1000000000000000.0"},
      {1e16, "1e+16"},
      {1.5e16, "1.5e+16"},
      {1234567890123456.0, "1234567890123456.0"},
      {9999999999999998.0, "9999999999999998.0"},
      {0.0001, "0.0001"},
      {0.00012345, "0.00012345"},
      {0.00001, "1e-05"},
      {2.5e-7, "2.5e-07"},
      {5e-324, "5e-324"},
      {DBL_MIN, "2.2250738585072014e-308"},
      {DBL_MAX, "1.7976931348623157e+308"},
      {1e100, "1e+100"},
      {123456.789, "123456.789"},
      {1.0 / 3, "0.3333333333333333"},
      {2.0 / 3, "0.6666666666666666"},
      {5e22, "5e+22"},
      {9007199254740993.0, "9007199254740992.0"},
      {NAN, "null"},
      {INFINITY, "null"},
      {-INFINITY, "null"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    json_write_double(&out, rows[i].x);
    assert_string_equal(buffer_z(&out), rows[i].text);
    buffer_release(&out);
  }
}

TEST(a_locale_with_a_comma_changes_nothing) {
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
  struct json_doc d = {0};
  struct buffer out = {0};
  double x = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (setlocale(LC_NUMERIC, names[i])) break;
  bool comma = localeconv()->decimal_point[0] == ',';
  assert_int_equal(json_scan(&d, SPAN("[82.5]"), NULL), ST_OK);
  assert_true(json_double(&d, 1, &x, NULL));
  json_write_double(&out, x);
  setlocale(LC_NUMERIC, "C");
  assert_true(x == 82.5);
  assert_string_equal(buffer_z(&out), "82.5");
  json_doc_release(&d);
  buffer_release(&out);
  if (!comma) skip(); /* no such locale is installed here */
}

TEST(members_are_written_with_pythons_separators) {
  struct buffer out = {0};
  bool first = true;
  json_write_key(&out, &first, "a");
  json_write_int(&out, INT64_MIN);
  json_write_key(&out, &first, "b\"");
  json_write_int(&out, 7);
  assert_string_equal(buffer_z(&out), "\"a\": -9223372036854775808, \"b\\\"\": 7");
  buffer_release(&out);
}
