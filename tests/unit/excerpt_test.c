/* The bytes around a place: right line and column, whole characters, nothing that moves a cursor.
 */
#include "bridge/service/entries/excerpt.h"
#include "tests/support/test.h"

static struct excerpt e;

static void make(struct span text, size_t at) {
  excerpt_release(&e);
  e = (struct excerpt){0};
  excerpt_make(&e, text, at);
}

static int teardown(void **state) {
  (void)state;
  excerpt_release(&e);
  return 0;
}

static void is(size_t line, size_t column, const char *before, const char *after) {
  assert_int_equal(e.line, line);
  assert_int_equal(e.column, column);
  assert_string_equal(buffer_z(&e.before), before);
  assert_string_equal(buffer_z(&e.after), after);
}

#define CASE(name) TEST_WITH(name, NULL, teardown)

CASE(test_a_short_line_is_whole) {
  make(SPAN("{\"a\": x}"), 6);
  is(1, 7, "{\"a\": ", "x}");
  make(SPAN("one\ntwo three\nfour"), 8);
  is(2, 5, "two ", "three");
  make(SPAN("one\r\ntwo\r\n"), 6);
  is(2, 2, "t", "wo");
}

CASE(test_ends_have_a_place_too) {
  make(SPAN(""), 0);
  is(1, 1, "", "");
  make(SPAN("{\"a\""), 4);
  is(1, 5, "{\"a\"", "");
  make(SPAN("{\n"), 2);
  is(2, 1, "", "");
  make(SPAN("abc"), 99);
  is(1, 4, "abc", "");
  make(SPAN("a\nb"), 1); /* the break itself */
  is(1, 2, "a", "\\x0a");
}

CASE(test_characters_are_counted_and_left_whole) {
  make(SPAN("\"\u661f\u306e\u6d77\": x"), 13);
  is(1, 8, "\"\u661f\u306e\u6d77\": ", "x");
  char text[400];
  size_t len = 0;
  for (unsigned i = 0; i < 130; i++, len += 3) memcpy(text + len, "\u661f", 3);
  make((struct span){text, len}, 180);
  assert_int_equal(e.column, 61);
  assert_int_equal(e.before.len, 3 + 48 * 3);
  assert_memory_equal(e.before.ptr, "...\u661f", 6);
  assert_int_equal(e.after.len, 28 * 3 + 3);
  assert_memory_equal(e.after.ptr + e.after.len - 6, "\u661f...", 6);
}

CASE(test_what_is_no_text_is_escaped) {
  make(SPAN("\x1b[2J\xff\xe6\x98 x\t\x00z"), 7);
  is(1, 8, "\\x1b[2J\\xff\\xe6\\x98", " x\\x09\\x00z");
  make(SPAN("\xc2\x85x"), 2); /* a control character of two bytes */
  assert_int_equal(e.column, 2);
  assert_null(memchr(e.before.ptr, '\x85', e.before.len));
  make(SPAN("a\xe6\x98\x9f"), 2); /* inside a character */
  is(1, 3, "a\\xe6", "\\x98\\x9f");
}
