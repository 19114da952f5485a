/* Times, uuids, backoff. */
#include "bridge/base/backoff.h"
#include "tests/support/test.h"

TEST(times_are_read) {
  static const struct {
    const char *text;
    int64_t us;
  } rows[] = {
      {"2025-09-22T03:04:05.123456+00:00", INT64_C(1758510245123456)},
      {"2025-09-22T03:04:05.123456Z", INT64_C(1758510245123456)},
      {"2025-09-22T03:04:05.123456", INT64_C(1758510245123456)},
      {"2025-09-22 03:04:05.123456+00:00", INT64_C(1758510245123456)},
      {"2025-09-22T12:04:05.123456+09:00", INT64_C(1758510245123456)},
      {"2025-09-21T21:34:05.123456-05:30", INT64_C(1758510245123456)},
      {"2025-09-22T03:04:05", INT64_C(1758510245000000)},
      {"2025-09-22T03:04:05.1", INT64_C(1758510245100000)},
      {"2025-09-22T03:04:05.123456789-00:00", INT64_C(1758510245123456)},
      {"2025-09-22T12:04:05.123456+0900", INT64_C(1758510245123456)},
      {"2025-09-22 12:04:05.123456+09", INT64_C(1758510245123456)},
      {"2025-09-21T23:34:05.123456-0330", INT64_C(1758510245123456)},
      {"2025-09-22T10:39:48.123456+07:35:43", INT64_C(1758510245123456)},
      {"2025-09-22T10:39:48.123456+073543", INT64_C(1758510245123456)},
      {"2025-09-22t03:04:05.123456z", INT64_C(1758510245123456)},
      {"1970-01-01T00:00:00Z", 0},
      {"1969-12-31T23:59:59.999999Z", -1},
      {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
      {"2000-02-29T00:00:00Z", INT64_C(951782400000000)},
      {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
      {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t us = 1;
    if (!time_parse(span_of(rows[i].text), &us)) fail_msg("refused: %s", rows[i].text);
    if (us != rows[i].us) fail_msg("%s: %lld", rows[i].text, (long long)us);
  }
}

TEST(what_is_no_time_is_refused) {
  static const char *const rows[] = {
      "",
      "2025",
      "2025-09",
      "2025-09-22",
      "2025-09-22T",
      "2025-09-22T03",
      "2025-09-22T03:04",
      "2025-09-22T03:04:",
      "2025-13-22T03:04:05Z",
      "2025-00-22T03:04:05Z",
      "2025-09-00T03:04:05Z",
      "2025-09-31T03:04:05Z",
      "2025-02-29T03:04:05Z",
      "1900-02-29T03:04:05Z",
      "0000-01-01T00:00:00Z",
      "2025-09-22T24:00:00Z",
      "2025-09-22T03:60:05Z",
      "2025-09-22T03:04:60Z",
      "2025-09-22T03:04:05.Z",
      "2025-09-22T03:04:05.1234567890Z",
      "2025-09-22T03:04:05,5Z",
      "2025-09-22T03:04:05Z ",
      "2025-09-22T03:04:05ZZ",
      "2025-09-22T03:04:05+00:00x",
      "2025-09-22T03:04:05+24:00",
      "2025-09-22T03:04:05+00:60",
      "2025-09-22T03:04:05+",
      "2025-09-22T03:04:05+09:",
      "2025-09-22T03:04:05+9",
      "2025-09-22T03:04:05+090",
      "2025-09-22T03:04:05+09:0",
      "2025-09-22T03:04:05+2400",
      "2025-09-22T03:04:05+0060",
      "2025-09-22T03:04:05+09:0000",
      "2025-09-22T03:04:05+0900:00",
      "2025-09-22T03:04:05+09:00:60",
      "2025-09-22T03:04:05+09:00:00:",
      "2025-09-22T03:04:05Z+00:00",
      "2025-09-22T03:04:05*09:00",
      " 2025-09-22T03:04:05Z",
      "2025-9-22T03:04:05Z",
      "25-09-22T03:04:05Z",
      "2025/09/22T03:04:05Z",
      "2025-09/22T03:04:05Z",
      "2025-09-22T03.04:05Z",
      "2025-09-2xT03:04:05Z",
      "2025-09-22T0x:04:05Z",
      "2025-09-22T03:x4:05Z",
      "2025-09-22T03:04:0xZ",
      "12025-09-22T03:04:05Z",
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    int64_t us;
    if (time_parse(span_of(rows[i]), &us)) fail_msg("taken for a time: %s", rows[i]);
  }
  int64_t us;
  assert_false(time_parse((struct span){NULL, 0}, &us));
  assert_false(time_parse((struct span){"2025-09-22T03:04:05Z\0", 21}, &us));
}

TEST(times_are_written_with_six_digits_and_an_offset) {
  char out[TIME_TEXT];
  assert_string_equal(time_format(INT64_C(1758510245123456), out),
                      "2025-09-22T03:04:05.123456+00:00");
  assert_string_equal(time_format(0, out), "1970-01-01T00:00:00.000000+00:00");
  assert_string_equal(time_format(-1, out), "1969-12-31T23:59:59.999999+00:00");
  assert_string_equal(time_format(INT64_C(1709164800000000), out),
                      "2024-02-29T00:00:00.000000+00:00");
  assert_string_equal(time_format(TIME_NONE, out), "0001-01-01T00:00:00.000000+00:00");
  assert_string_equal(time_format(INT64_MAX, out), "9999-12-31T23:59:59.999999+00:00");
}

TEST(a_written_time_reads_back) {
  /* Steps of about 17 days through all years of four digits, at odd microseconds. */
  for (int64_t us = INT64_C(-62135596800000000); us < INT64_C(253402300799999999);
       us += INT64_C(1468800123457)) {
    char out[TIME_TEXT];
    int64_t back = 0;
    assert_true(time_parse(span_of(time_format(us, out)), &back));
    assert_int_equal(back, us);
  }
}

TEST(the_system_clock_moves_and_its_random_bits_differ) {
  int64_t mono = clock_mono_ns(&clock_system);
  assert_true(clock_wall_us(&clock_system) > INT64_C(1700000000000000));
  assert_true(clock_mono_ns(&clock_system) >= mono &&
              clock_mono_ms(&clock_system) >= mono / 1000000);
  uint64_t a = clock_system.random(NULL), b = clock_system.random(NULL),
           c = clock_system.random(NULL);
  assert_true(a != b || b != c);
}

static uint64_t fixed_random(void *ctx) {
  return *(uint64_t *)ctx;
}

TEST(uuids_are_version_4) {
  uint64_t bits = 0;
  struct clock c = {.random = fixed_random, .ctx = &bits};
  char out[37];
  uuid_make(&c, out);
  assert_string_equal(out, "00000000-0000-4000-8000-000000000000");
  bits = UINT64_MAX;
  uuid_make(&c, out);
  assert_string_equal(out, "ffffffff-ffff-4fff-bfff-ffffffffffff");
  bits = UINT64_C(0x0123456789abcdef);
  uuid_make(&c, out);
  assert_string_equal(out, "01234567-89ab-4def-8123-456789abcdef");
}

TEST(backoff_doubles_to_its_limit_and_adds_jitter) {
  uint64_t bits = 0;
  struct clock c = {.random = fixed_random, .ctx = &bits};
  struct backoff b = {.base_ms = 50, .max_ms = 500, .jitter_ms = 50};
  static const int64_t want[] = {50, 50, 100, 200, 400, 500, 500};
  for (unsigned tries = 0; tries < 7; tries++)
    assert_int_equal(backoff_delay_ms(&b, tries, &c), want[tries]);
  assert_int_equal(backoff_delay_ms(&b, UINT32_MAX, &c), 500);
  bits = 50; /* 0..jitter, both ends */
  assert_int_equal(backoff_delay_ms(&b, 1, &c), 100);
  bits = 51;
  assert_int_equal(backoff_delay_ms(&b, 1, &c), 50);
  bits = UINT64_MAX;
  b.jitter_ms = 0;
  assert_int_equal(backoff_delay_ms(&b, 2, &c), 100);
}

TEST(backoff_survives_extreme_settings) {
  uint64_t bits = 0;
  struct clock c = {.random = fixed_random, .ctx = &bits};
  struct backoff none = {0, 1000, 0}, huge = {3, INT64_MAX, 0}, over = {700, 500, INT64_MAX};
  assert_int_equal(backoff_delay_ms(&none, UINT32_MAX, &c), 0);
  assert_int_equal(backoff_delay_ms(&huge, 500, &c), INT64_MAX);
  assert_int_equal(backoff_delay_ms(&over, 1, &c), 500);
}
