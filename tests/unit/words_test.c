#include "bridge/base/text/words.h"
#include "tests/support/test.h"

#include <inttypes.h>

TEST(test_duration_text_shows_two_units) {
  static const struct {
    int64_t ms;
    const char *text;
  } rows[] = {{-5, "0s"},          {0, "0s"},
              {999, "0s"},         {3000, "3s"},
              {59999, "59s"},      {60000, "1m 0s"},
              {125000, "2m 5s"},   {3599000, "59m 59s"},
              {3600000, "1h 0m"},  {11520000, "3h 12m"},
              {86400000, "1d 0h"}, {183600000, "2d 3h"}};
  char out[DURATION_TEXT];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_string_equal(duration_text(rows[i].ms, out), rows[i].text);
}

TEST(test_duration_parse_takes_units) {
  static const struct {
    const char *text;
    int64_t ms;
  } good[] = {{"250ms", 250},    {"1.5s", 1500}, {"2m", 120000}, {"3h", 10800000},
              {"7d", 604800000}, {"10", 10000},  {"0s", 0}};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    int64_t ms = -1;
    assert_true(duration_parse(span_of(good[i].text), &ms));
    assert_int_equal(ms, good[i].ms);
  }
  static const char *const bad[] = {
      "", "s", ".", "5 s", "5x", "1.2.3s", "-1s", "99999d", "1234567890123456s", "5sec"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int64_t ms;
    assert_false(duration_parse(span_of(bad[i]), &ms));
  }
}

TEST(test_number_parse_knows_its_limit) {
  uint64_t n = 0;
  assert_true(number_parse(SPAN("0"), 10, &n));
  assert_int_equal(n, 0);
  assert_true(number_parse(SPAN("18446744073709551615"), UINT64_MAX, &n));
  assert_true(n == UINT64_MAX);
  assert_false(number_parse(SPAN("18446744073709551616"), UINT64_MAX, &n));
  assert_false(number_parse(SPAN("11"), 10, &n));
  assert_true(number_parse(SPAN("10"), 10, &n));
  assert_false(number_parse(SPAN("7"), 5, &n));
  assert_false(number_parse(SPAN(""), 10, &n));
  assert_false(number_parse(SPAN("+1"), 10, &n));
  assert_false(number_parse(SPAN("1 "), 10, &n));
}

TEST(test_number_digits_are_plain) {
  char out[NUMBER_DIGITS + 1] = {0};
  assert_int_equal(number_digits(0, out), 1);
  assert_memory_equal(out, "0", 1);
  assert_int_equal(number_digits(1204, out), 4);
  assert_memory_equal(out, "1204", 4);
  assert_int_equal(number_digits(UINT64_MAX, out), NUMBER_DIGITS);
  assert_string_equal(out, "18446744073709551615");
}

TEST(test_number_digits_are_those_of_printf) {
  for (uint64_t n = 1; n < UINT64_MAX / 7; n = n * 3 + n / 100 + 1)
    for (unsigned less = 0; less < 2; less++) {
      char out[NUMBER_DIGITS + 1] = {0}, shown[NUMBER_DIGITS + 1];
      snprintf(shown, sizeof shown, "%" PRIu64, n - less);
      assert_int_equal(number_digits(n - less, out), strlen(shown));
      assert_string_equal(out, shown);
    }
  for (uint64_t n = 1; n < UINT64_MAX / 10; n *= 10) { /* where a digit more begins */
    char out[NUMBER_DIGITS + 1] = {0};
    assert_int_equal(number_digits(n, out) - number_digits(n - 1, out), n > 1);
  }
}

TEST(test_number_text_groups_digits) {
  char out[NUMBER_TEXT];
  assert_string_equal(number_text(0, out), "0");
  assert_string_equal(number_text(999, out), "999");
  assert_string_equal(number_text(1204, out), "1,204");
  assert_string_equal(number_text(1000000, out), "1,000,000");
  assert_string_equal(number_text(UINT64_MAX, out), "18,446,744,073,709,551,615");
}

TEST(test_nearest_word_is_near) {
  static const char *const words[] = {"flush", "list", "replay", "health", "metrics"};
  assert_string_equal(word_nearest("fluhs", words, 5), "flush");
  assert_string_equal(word_nearest("metric", words, 5), "metrics");
  assert_string_equal(word_nearest("lst", words, 5), "list");
  assert_string_equal(word_nearest("helth", words, 5), "health");
  assert_null(word_nearest("purge", words, 5));
  assert_null(word_nearest("", words, 5));
  char long_word[200];
  memset(long_word, 'a', sizeof long_word - 1);
  long_word[sizeof long_word - 1] = '\0';
  assert_null(word_nearest(long_word, words, 5));
}

static void assert_printable(struct span in, const char *expected) {
  struct buffer out = {0};
  text_printable(&out, in);
  assert_string_equal(buffer_z(&out), expected);
  buffer_release(&out);
}

TEST(test_nothing_printable_moves_the_cursor) {
  assert_printable(SPAN("plain 日本語 🎉"), "plain 日本語 🎉");
  assert_printable(SPAN("a\x1b[31mb\nc\td\x7f"), "a\\x1b[31mb\\x0ac\\x09d\\x7f");
  assert_printable(SPAN("a\0b"), "a\\x00b");
  assert_printable(SPAN("\xc2\x9b"), "\\xc2\\x9b"); /* CSI in one character */
  assert_printable(SPAN("\xff\xe6\x97"), "\\xff\\xe6\\x97");
  assert_printable(SPAN(""), "");
}

TEST(test_cutting_leaves_characters_whole) {
  assert_true(span_is(text_cut(SPAN("日本"), 4), "日"));
  assert_true(span_is(text_cut(SPAN("日本"), 6), "日本"));
  assert_true(span_is(text_cut(SPAN("日本"), 2), ""));
  assert_true(span_is(text_cut_characters(SPAN("日本語"), 2), "日本"));
  assert_true(span_is(text_cut_characters(SPAN("abc"), 5), "abc"));
  assert_true(span_is(text_cut_characters(SPAN("\xff\xfe\xfd"), 2), "\xff\xfe"));
}

TEST(test_edits_are_counted) {
  static const struct {
    const char *a, *b;
    size_t edits;
  } rows[] = {
      {"", "", 0},         {"list", "list", 0},     {"lst", "list", 1}, {"lists", "list", 1},
      {"lisp", "list", 1}, {"lsit", "list", 1},     {"", "abc", 3},     {"abc", "", 3},
      {"ca", "abc", 3},    {"kitten", "sitting", 3}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(word_distance(span_of(rows[i].a), span_of(rows[i].b)), rows[i].edits);
    assert_int_equal(word_distance(span_of(rows[i].b), span_of(rows[i].a)), rows[i].edits);
  }
  char word[WORD_FAR + 1];
  memset(word, 'a', sizeof word);
  assert_int_equal(word_distance((struct span){word, WORD_FAR}, (struct span){word, WORD_FAR}), 0);
  assert_int_equal(word_distance((struct span){word, WORD_FAR + 1}, SPAN("a")), WORD_FAR);
}

static void assert_quoted(struct span in, size_t characters, const char *expected) {
  struct buffer out = {0};
  text_quoted(&out, in, characters);
  assert_string_equal(buffer_z(&out), expected);
  buffer_release(&out);
}

TEST(test_quoted_text_is_cut_by_characters) {
  assert_quoted(SPAN("日本語"), 3, "日本語");
  assert_quoted(SPAN("日本語"), 2, "日本...");
  assert_quoted(SPAN("a\nb\x7f\0"), 9, "a\\u000ab\\u007f\\u0000");
  assert_quoted(SPAN("\xc2\x9b\xc2\xa0"), 9, "\\u009b\xc2\xa0");
  assert_quoted(SPAN("a\xff\xe6\x97"), 9, "a\xff\xe6\x97");
  assert_quoted(SPAN(""), 0, "");
}

TEST(test_control_characters_are_known) {
  static const struct {
    struct span text;
    int control;
    size_t bytes;
  } rows[] = {{SPAN("a"), TEXT_PLAIN, 1},
              {SPAN("\x1f"), 0x1f, 1},
              {SPAN(" "), TEXT_PLAIN, 1},
              {SPAN("\x7f"), 0x7f, 1},
              {SPAN("\xc2\x80"), 0x80, 2},
              {SPAN("\xc2\x9f"), 0x9f, 2},
              {SPAN("\xc2\xa0"), TEXT_PLAIN, 2},
              {SPAN("🎉x"), TEXT_PLAIN, 4},
              {SPAN("\xe6\x97"), TEXT_FOREIGN, 1},
              {SPAN("\xc2"), TEXT_FOREIGN, 1},
              {SPAN("\x80"), TEXT_FOREIGN, 1},
              {SPAN("\xc0\x80"), TEXT_FOREIGN, 1},
              {SPAN("\xed\xa0\x80"), TEXT_FOREIGN, 1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t bytes;
    assert_int_equal(text_control(rows[i].text, &bytes), rows[i].control);
    assert_int_equal(bytes, rows[i].bytes);
  }
}

TEST(test_a_url_is_shown_without_what_opens_a_door) {
  static const char *const rows[][2] = {
      {"postgresql://u:pw@h/db", "postgresql://u:***@h/db"},
      {"//u:p@ss/w?o=rd@h1:1,h2:2/db?sslmode=require", "//u:***@h1:1,h2:2/db?sslmode=require"},
      {"//h:5432/db?password=x&user=u", "//h:5432/db?password=***&user=u"},
      {"//h/db?sslpassword=x&application_name=a@b", "//h/db?sslpassword=***&application_name=a@b"},
      {"//h:5432/db?password=x&n=a@b", "//h:***@b"},
      {"//u:pw@h/db?password=x&n=a@b", "//u:***@b"},
      {"//u@h/db?passfile=/x", "//u@h/db?passfile=/x"},
      {"//:pw@h", "//:***@h"},
      {"//h", "//h"},
      {"//", "//"},
      {"", ""},
      {"/var/lib/a@b:c", "/var/lib/a@b:c"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct buffer out = {0};
    url_show(&out, span_of(rows[i][0]));
    assert_string_equal(buffer_z(&out), rows[i][1]);
    buffer_release(&out);
  }
}
