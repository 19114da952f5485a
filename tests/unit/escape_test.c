/* Bytes as hex, percent and base64, and back. */
#include "bridge/base/text/escape.h"
#include "tests/support/test.h"

TEST(test_hex_is_lower_case_both_ways) {
  struct buffer out = {0};
  char at[8] = {0};
  hex_write(&out, SPAN("\0\x0f\xa5\xff"));
  assert_string_equal(buffer_z(&out), "000fa5ff");
  assert_true(hex_read(buffer_span(&out), at));
  assert_memory_equal(at, "\0\x0f\xa5\xff", 4);
  assert_true(hex_read(SPAN(""), at));
  assert_false(hex_read(SPAN("0"), at));
  assert_false(hex_read(SPAN("0F"), at));
  assert_false(hex_read(SPAN("0g"), at));
  assert_false(hex_lower(SPAN("0\0")));
  assert_true(hex_lower(SPAN("09af")));
  buffer_release(&out);
}

/* Every char has a value if and only if it is a digit of hex. */
TEST(test_hex_digits_have_values) {
  for (int c = -128; c < 128; c++) {
    const char *digits = "0123456789abcdefABCDEF", *at = c ? strchr(digits, (char)c) : NULL;
    int value = !at ? -1 : at - digits < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
    assert_int_equal(hex_value((char)c), value);
  }
  for (unsigned n = 0; n < 16; n++) assert_int_equal(hex_value(hex_digit(n)), n);
}

TEST(test_percent_leaves_what_is_unreserved) {
  struct buffer out = {0};
  percent_write(&out, SPAN("aZ09-._~ /?&=%+\xC3\xA9\n\0x"));
  assert_string_equal(buffer_z(&out), "aZ09-._~%20%2F%3F%26%3D%25%2B%C3%A9%0A%00x");
  buffer_release(&out);
}

TEST(test_percent_comes_back) {
  char at[16];
  size_t len;
  assert_true(percent_read(SPAN("a%20%c3%A9%00~,"), at, &len));
  assert_int_equal(len, 7);
  assert_memory_equal(at, "a \xC3\xA9\0~,", 7);
  static const char *const wrong[] = {"%", "a%2", "%2", "%zz", "%2z", "%%20"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_false(percent_read(span_of(wrong[i]), at, &len));
    assert_false(percent_read_z(span_of(wrong[i]), at, sizeof at));
  }
}

TEST(test_a_c_string_has_no_nul_and_an_end) {
  char at[4];
  assert_true(percent_read_z(SPAN("%61bc"), at, sizeof at));
  assert_string_equal(at, "abc");
  assert_false(percent_read_z(SPAN("abcd"), at, sizeof at));
  assert_false(percent_read_z(SPAN("a%00"), at, sizeof at));
  assert_true(percent_read_z(SPAN(""), at, 1));
  assert_string_equal(at, "");
}

TEST(test_base64_as_rfc_4648_has_it) {
  static const struct {
    const char *in, *out;
  } rows[] = {{"", ""},
              {"f", "Zg=="},
              {"fo", "Zm8="},
              {"foo", "Zm9v"},
              {"foob", "Zm9vYg=="},
              {"fooba", "Zm9vYmE="},
              {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    base64_write(&out, span_of(rows[i].in));
    assert_string_equal(buffer_z(&out), rows[i].out);
    buffer_release(&out);
  }
  struct buffer out = {0};
  base64_write(&out, SPAN("\xff\xfb\xbf"));
  assert_string_equal(buffer_z(&out), "//u/");
  buffer_release(&out);
}

TEST(test_any_bytes_are_one_word_and_back) {
  static const struct {
    struct span text;
    const char *word;
  } rows[] = {{SPAN("a.json"), "a.json"},
              {SPAN(""), "-"},
              {SPAN("-"), "%2D"},
              {SPAN("--"), "--"},
              {SPAN("a b,c%\n"), "a%20b%2Cc%25%0A"},
              {SPAN("\0\xff"), "%00%FF"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    char room[40];
    word_escape(&out, rows[i].text);
    assert_string_equal(buffer_z(&out), rows[i].word);
    struct span word = buffer_span(&out);
    assert_true(word_unescape(&word, room));
    assert_true(span_eq(word, rows[i].text));
    buffer_release(&out);
  }
  for (const char *const *bad = (const char *const[]){"%", "%4", "a%2", "%zz", NULL}; *bad; bad++) {
    char room[40];
    struct span word = span_of(*bad);
    assert_false(word_unescape(&word, room));
  }
}
