/* Bytes, unions, records that hold themselves, and logical types: what JSON is taken, what is
 * refused in which words, and what comes back. Bytes were made by fastavro. */
#include "tests/unit/catalog_box.h"

#define LOGICAL(type, logical) "{\"type\": \"" type "\", \"logicalType\": \"" logical "\"}"
#define MONEY "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 9, \"scale\": 2}"

/* A field a of that type; values are what stands for @ in {"a": @}. */
static void open_type(struct run *r, const char *type) {
  struct buffer field = {0};
  buffer_printf(&field, "{\"name\": \"a\", \"type\": %s}", type);
  open_fields(r, buffer_z(&field), false);
  buffer_release(&field);
}

static enum reason encode_value(struct run *r, const char *value) {
  struct buffer payload = {0};
  buffer_printf(&payload, "{\"a\": %s}", value);
  enum reason reason = encode(r, "t.e", buffer_z(&payload));
  buffer_release(&payload);
  return reason;
}

/* hex may be NULL. back is encoded to the same bytes again. */
static void assert_value(struct run *r, const char *value, const char *hex, const char *back) {
  char text[400], want[400];
  enum reason reason = encode_value(r, value);
  if (reason != REASON_NONE) fail_msg("%s: %s", value, r->err.text);
  if (hex) assert_hex(r, hex);
  snprintf(want, sizeof want, "{\"a\": %s}", back);
  snprintf(text, sizeof text, "%s", decode_as(r, "", "t.e"));
  assert_string_equal(text, want);
  struct buffer first = {0};
  buffer_add(&first, buffer_span(&r->bytes));
  assert_int_equal(encode(r, "t.e", text), REASON_NONE);
  assert_int_equal(r->bytes.len, first.len);
  assert_memory_equal(r->bytes.ptr, first.ptr, first.len);
  buffer_release(&first);
}

static void assert_unfit(struct run *r, const char *value, const char *words) {
  char want[400];
  snprintf(want, sizeof want, "payload.a%s (%s/t/e.avsc)", words, r->folder);
  enum reason reason = encode_value(r, value);
  if (reason != REASON_SCHEMA_MISMATCH && reason != REASON_INTEGER_RANGE)
    fail_msg("%s was taken", value);
  assert_string_equal(r->err.text, want);
}

CASE(bytes_are_base64) {
  struct run *r = *state;
  open_type(r, "\"bytes\"");
  assert_value(r, "\"\"", "00", "\"\"");
  assert_value(r, "\"AA==\"", "0200", "\"AA==\"");
  assert_value(r, "\"\\u0041P8=\"", "0400ff", "\"AP8=\"");
  assert_value(r, "\"+/+/\"", "06fbffbf", "\"+/+/\"");
  static const char *const bad[] = {"\"A\"",    "\"AA\"",   "\"AA=\"",      "\"AB==\"",
                                    "\"AAB=\"", "\"-_-_\"", "\"AA==AA==\"", "\"A===\"",
                                    "\"====\"", "\"A A=\"", "\"AA=A\"",     "\"\\u0000AAA\""};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_unfit(r, bad[i], ": expected bytes, found string that is not base64");
  assert_unfit(r, "7", ": expected bytes, found number");
  assert_unfit(r, "null", ": expected bytes, found null");
}

CASE(a_fixed_has_its_length) {
  struct run *r = *state;
  open_type(r, "{\"type\": \"fixed\", \"name\": \"F\", \"size\": 3}");
  assert_value(r, "\"AAEC\"", "000102", "\"AAEC\"");
  assert_unfit(r, "\"AAE=\"", ": expected 3 bytes in base64, found string of another length");
  assert_unfit(r, "\"AAECAw==\"", ": expected 3 bytes in base64, found string of another length");
  assert_unfit(r, "\"?\"", ": expected 3 bytes in base64, found string that is not base64");
}

CASE(decimals_are_exact) {
  struct run *r = *state;
  open_type(r, MONEY);
  static const char *const table[][3] = {
      {"0", "0200", "0.00"},
      {"-0.0", "0200", "0.00"},
      {"1.00", "0264", "1.00"},
      {"\"1.00\"", "0264", "1.00"},
      {"1", "0264", "1.00"},
      {"0.01e2", "0264", "1.00"},
      {"1E0", "0264", "1.00"},
      {"1e2", "042710", "100.00"},
      {"\"1e+2\"", "042710", "100.00"},
      {"10000e-2", "042710", "100.00"},
      {"1.000000000000000000000000", "0264", "1.00"},
      {"0.000000000000000000000000e1000000000000000000000000", "0200", "0.00"},
      {"-1.28", "04ff80", "-1.28"},
      {"1.27", "027f", "1.27"},
      {"1.28", "040080", "1.28"},
      {"-1.29", "04ff7f", "-1.29"},
      {"9999999.99", "083b9ac9ff", "9999999.99"},
      {"-9999999.99", "08c4653601", "-9999999.99"},
      {"327.68", "06008000", "327.68"},
      {"-327.68", "06ff8000", "-327.68"},
      {"0.05", "0205", "0.05"},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    assert_value(r, table[i][0], table[i][1], table[i][2]);
  assert_unfit(r, "0.001",
               ": expected decimal(9,2), found number with more digits after the point");
  assert_unfit(r, "1e-3", ": expected decimal(9,2), found number with more digits after the point");
  assert_unfit(r, "1e-99999999999999999999999",
               ": expected decimal(9,2), found number with more digits after the point");
  assert_unfit(r, "10000000", ": expected decimal(9,2), found number with more digits");
  assert_unfit(r, "1e99999999999999999999999",
               ": expected decimal(9,2), found number with more digits");
  assert_unfit(r, "\"10000000.00\"", ": expected decimal(9,2), found string with more digits");
  static const char *const none[] = {"\"\"",    "\"-\"",   "\"+1\"",  "\"1.\"",      "\".5\"",
                                     "\"01\"",  "\"1e\"",  "\"1e+\"", "\" 1\"",      "\"1 \"",
                                     "\"1,5\"", "\"0x1\"", "\"NaN\"", "\"1\\u0000\""};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_unfit(r, none[i], ": expected decimal(9,2), found string that is not a number");
  assert_unfit(r, "true", ": expected decimal(9,2), found boolean");
}

CASE(decimals_beyond_a_double_keep_all_digits) {
  struct run *r = *state;
  open_type(
      r, "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 60, \"scale\": 10}");
  assert_value(r, "12345678901234567890123456789012345678901234567890.0123456789",
               "3213aaf504e4bc1e62173f87a4378c37b49c8ccff1968c04d515",
               "12345678901234567890123456789012345678901234567890.0123456789");
  assert_value(r, "-12345678901234567890123456789012345678901234567890.0123456789",
               "32ec550afb1b43e19de8c0785bc873c84b6373300e6973fb2aeb",
               "-12345678901234567890123456789012345678901234567890.0123456789");
  open_type(r,
            "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 3, \"scale\": 3}");
  assert_value(r, "0.999", NULL, "0.999");
  open_type(r, "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": 1000}");
  struct buffer nines = {0}, payload = {0};
  for (int i = 0; i < 1000; i++) buffer_add_char(&nines, '9');
  buffer_printf(&payload, "{\"a\": -%s}", buffer_z(&nines));
  assert_round(r, "t.e", buffer_z(&payload), buffer_z(&payload));
  buffer_release(&nines);
  buffer_release(&payload);
}

CASE(a_decimal_in_a_fixed_fills_it) {
  struct run *r = *state;
  open_type(r, "{\"type\": \"fixed\", \"name\": \"F\", \"size\": 5, \"logicalType\": \"decimal\", "
               "\"precision\": 9, \"scale\": 2}");
  assert_value(r, "0", "0000000000", "0.00");
  assert_value(r, "-0.01", "ffffffffff", "-0.01");
  assert_value(r, "\"12.30\"", "00000004ce", "12.30");
}

CASE(foreign_decimals_are_held_to_their_precision) {
  struct run *r = *state;
  struct buffer out = {0};
  static const struct span bad[] = {
      {"\0", 1}, {"\x08\x3b\x9a\xca\0", 5}, {"\x08\xc4\x65\x36\0", 5}};
  open_type(r, MONEY);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(catalog_decode(r->c, bad[i], SPAN(""), SPAN("t.e"), &out, &r->err),
                     ST_INVALID);
    assert_non_null(strstr(r->err.text, "byte 0: a decimal of more digits than its precision"));
  }
  struct span wide = {"\x0c\0\0\0\0\0\x64", 7}; /* more bytes than it needs */
  assert_int_equal(catalog_decode(r->c, wide, SPAN(""), SPAN("t.e"), &out, &r->err), ST_OK);
  assert_string_equal(buffer_z(&out), "{\"a\": 1.00}");
  buffer_release(&out);
}

CASE(a_uuid_is_one) {
  struct run *r = *state;
  open_type(r, LOGICAL("string", "uuid"));
  assert_value(r, "\"3F2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"", NULL,
               "\"3F2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"");
  static const char *const bad[] = {"\"\"",
                                    "\"3f2b8c1e7d4a4e599b602c5d1a8f0e77\"",
                                    "\"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e7\"",
                                    "\"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e7g\"",
                                    "\"3f2b8c1e-7d4a-4e59-9b6-02c5d1a8f0e77\"",
                                    "\"{f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\""};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_unfit(r, bad[i], ": expected uuid, found string that is not one");
  open_type(r, "{\"type\": \"fixed\", \"name\": \"F\", \"size\": 16, \"logicalType\": \"uuid\"}");
  assert_value(r, "\"3F2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"", "3f2b8c1e7d4a4e599b602c5d1a8f0e77",
               "\"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"");
  assert_unfit(r, "\"7\"", ": expected uuid, found string that is not one");
}

CASE(dates_are_days_or_iso) {
  struct run *r = *state;
  open_type(r, LOGICAL("int", "date"));
  assert_value(r, "\"2025-09-22\"", "82be02", "\"2025-09-22\"");
  assert_value(r, "20353", "82be02", "\"2025-09-22\"");
  assert_value(r, "20353.0", "82be02", "\"2025-09-22\"");
  assert_value(r, "\"0001-01-01\"", "f3e457", "\"0001-01-01\"");
  assert_value(r, "2932897", NULL, "2932897"); /* beyond the year 9999 */
  static const char *const bad[] = {
      "\"\"",         "\"2025-02-29\"",  "\"2025-9-22\"",       "\"2025-09-22T00:00:00\"",
      "\"20250922\"", "\"2025-09-22Z\"", "\"2025-09-2\\u0000\""};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_unfit(r, bad[i], ": expected date, found string that is not a date");
  assert_unfit(r, "1.5", ": expected date, found number that is not whole");
  assert_unfit(r, "2147483648", ": the number is beyond the range of date");
  assert_unfit(r, "true", ": expected date, found boolean");
}

CASE(times_of_a_day_have_no_offset) {
  struct run *r = *state;
  open_type(r, LOGICAL("int", "time-millis"));
  assert_value(r, "\"03:04:05.123\"", "86a4c40a", "\"03:04:05.123000\"");
  assert_value(r, "\"03:04:05.123000000\"", "86a4c40a", "\"03:04:05.123000\"");
  assert_value(r, "11045123", "86a4c40a", "\"03:04:05.123000\"");
  assert_value(r, "86399999", NULL, "\"23:59:59.999000\"");
  assert_unfit(r, "\"03:04:05.1234\"",
               ": expected time-millis, found string with digits beyond the unit");
  assert_unfit(r, "\"03:04:05+00:00\"", ": expected time-millis, found string with an offset");
  assert_unfit(r, "\"03:04:05Z\"", ": expected time-millis, found string with an offset");
  assert_unfit(r, "\"24:00:00\"", ": expected time-millis, found string that is not such a time");
  assert_unfit(r, "\"03:04\"", ": expected time-millis, found string that is not such a time");
  assert_unfit(r, "86400000", ": the number is beyond the range of time-millis");
  assert_unfit(r, "-1", ": the number is beyond the range of time-millis");
  open_type(r, LOGICAL("long", "time-micros"));
  assert_value(r, "\"03:04:05.123456\"", "80d6b9a552", "\"03:04:05.123456\"");
  assert_unfit(r, "\"03:04:05.1234567\"",
               ": expected time-micros, found string with digits beyond the unit");
  assert_unfit(r, "86400000000", ": the number is beyond the range of time-micros");
}

CASE(timestamps_are_utc_and_never_rounded) {
  struct run *r = *state;
  open_type(r, LOGICAL("long", "timestamp-millis"));
  assert_value(r, "\"2025-09-22T03:04:05.123\"", "869487f6ad66",
               "\"2025-09-22T03:04:05.123000+00:00\"");
  assert_value(r, "\"2025-09-22 05:04:05.123+02:00\"", "869487f6ad66",
               "\"2025-09-22T03:04:05.123000+00:00\"");
  assert_value(r, "1758510245123", "869487f6ad66", "\"2025-09-22T03:04:05.123000+00:00\"");
  assert_value(r, "-1", "01", "\"1969-12-31T23:59:59.999000+00:00\"");
  assert_value(r, "9223372036854775807", NULL, "9223372036854775807");
  assert_unfit(r, "\"2025-09-22T03:04:05.1234\"",
               ": expected timestamp-millis, found string with digits beyond the unit");
  assert_unfit(r, "\"2025-09-22T03:04:05.123456789Z\"",
               ": expected timestamp-millis, found string with digits beyond the unit");
  assert_unfit(r, "\"2025-09-22\"",
               ": expected timestamp-millis, found string that is not such a time");
  open_type(r, LOGICAL("long", "timestamp-micros"));
  assert_value(r, "\"2025-09-22T03:04:05.123456+00:00\"", "80d6f4a7e2d69f06",
               "\"2025-09-22T03:04:05.123456+00:00\"");
  assert_value(r, "\"1969-12-31T23:59:59.999999Z\"", "01", "\"1969-12-31T23:59:59.999999+00:00\"");
  assert_unfit(r, "\"2025-09-22T03:04:05.0000001Z\"",
               ": expected timestamp-micros, found string with digits beyond the unit");
  assert_unfit(r, "9223372036854775808", ": the number is beyond the range of timestamp-micros");
}

CASE(local_timestamps_refuse_an_offset) {
  struct run *r = *state;
  open_type(r, LOGICAL("long", "local-timestamp-millis"));
  assert_value(r, "\"2025-09-22T03:04:05.123\"", "869487f6ad66", "\"2025-09-22T03:04:05.123000\"");
  assert_value(r, "1758510245123", "869487f6ad66", "\"2025-09-22T03:04:05.123000\"");
  static const char *const zones[] = {"Z", "z", "+00:00", "-05:00", "+0000"};
  for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
    char value[60];
    snprintf(value, sizeof value, "\"2025-09-22T03:04:05%s\"", zones[i]);
    assert_unfit(r, value, ": expected local-timestamp-millis, found string with an offset");
  }
  open_type(r, LOGICAL("long", "local-timestamp-micros"));
  assert_value(r, "\"2025-09-22T03:04:05.123456\"", "80d6f4a7e2d69f06",
               "\"2025-09-22T03:04:05.123456\"");
}

CASE(a_union_takes_the_first_branch_that_fits) {
  struct run *r = *state;
  open_type(r, "[\"null\", \"int\", \"long\", \"double\", \"string\", \"boolean\"]");
  assert_value(r, "null", "00", "null");
  assert_value(r, "1", "0202", "1");
  assert_value(r, "1.0", "0202", "1");
  assert_value(r, "2147483648", "048080808010", "2147483648");
  assert_value(r, "1.5", "06000000000000f83f", "1.5");
  assert_value(r, "\"x\"", "080278", "\"x\"");
  assert_value(r, "true", "0a01", "true");
  assert_unfit(r, "[]", ": expected null, int, long, double, string or boolean, found array");
  open_type(r, "[\"int\", \"long\"]");
  assert_unfit(r, "1.5", ": expected int or long, found number");
  open_type(r, "[\"int\", " LOGICAL("string", "uuid") "]");
  assert_unfit(r, "2147483648", ": the number is beyond the range of int");
  assert_unfit(r, "\"x\"", ": expected uuid, found string that is not one");
  open_type(r, "[\"long\"]");
  assert_value(r, "1", "0002", "1");
}

CASE(a_branch_that_failed_leaves_nothing) {
  struct run *r = *state;
  open_type(
      r,
      "[{\"type\": \"record\", \"name\": \"A\", \"fields\": [{\"name\": \"l\", \"type\": {\"type\": \"array\", "
      "\"items\": \"long\"}}, {\"name\": \"x\", \"type\": \"double\"}]}, {\"type\": \"record\", \"name\": \"B\", "
      "\"fields\": [{\"name\": \"x\", \"type\": \"string\"}, {\"name\": \"l\", \"type\": {\"type\": \"array\", "
      "\"items\": \"double\"}}]}]");
  assert_value(r, "{\"l\": [1, 2], \"x\": 0.5}", "0004020400000000000000e03f",
               "{\"l\": [1, 2], \"x\": 0.5}");
  assert_value(r, "{\"l\": [1, 0.5], \"x\": \"s\", \"y\": 1}", NULL,
               "{\"x\": \"s\", \"l\": [1.0, 0.5]}");
  assert_unfit(r, "{\"l\": 7}", ": expected A or B, found object");
}

CASE(a_decimal_after_numbers_comes_back_in_quotes) {
  struct run *r = *state;
  open_type(r, "[\"long\", " MONEY "]");
  assert_value(r, "\"5\"", "020401f4", "\"5.00\"");
  assert_value(r, "5", "000a", "5");
  assert_value(r, "5.5", "02040226", "\"5.50\"");
  open_type(r, "[\"string\", " MONEY "]");
  assert_value(r, "5", "020401f4", "5.00");
}

#define NODE                                                                                       \
  "{\"type\": \"record\", \"name\": \"Node\", \"fields\": [{\"name\": \"v\", \"type\": \"int\"}, " \
  "{\"name\": \"next\", \"type\": [\"null\", \"Node\"], \"default\": null}]}"

static void nest(struct buffer *text, int levels, const char *inner) {
  for (int i = 0; i < levels; i++) buffer_printf(text, "{\"v\": 1, \"next\": ");
  buffer_add_z(text, inner);
  for (int i = 0; i < levels; i++) buffer_add_char(text, '}');
}

/* The string takes every text: only a count was ever such a time. */
CASE(a_time_after_a_string_comes_back_as_a_count) {
  struct run *r = *state;
  open_type(r, "[\"string\", " LOGICAL("long", "timestamp-micros") "]");
  assert_value(r, "7", "020e", "7");
  assert_value(r, "\"2025-09-22\"", NULL, "\"2025-09-22\"");
  open_type(r, "[\"null\", \"string\", " LOGICAL("int", "date") "]");
  assert_value(r, "1", "0402", "1");
  open_type(r, "[" LOGICAL("string", "uuid") ", " LOGICAL("int", "date") "]");
  assert_value(r, "1", "0202", "\"1970-01-02\"");
}

CASE(a_record_may_hold_itself) {
  struct run *r = *state;
  struct buffer value = {0};
  open_type(r, NODE);
  assert_value(r, "{\"v\": 1, \"next\": {\"v\": 2}}", "02020400",
               "{\"v\": 1, \"next\": {\"v\": 2}}");
  assert_unfit(r, "{\"v\": 1, \"next\": {\"v\": \"x\"}}", ".next.v: expected int, found string");
  nest(&value, 60, "null");
  assert_int_equal(encode_value(r, buffer_z(&value)), REASON_NONE);
  assert_int_equal(r->bytes.len, 60 * 2);
  buffer_release(&value);
  open_type(
      r,
      "{\"type\": \"record\", \"name\": \"Tree\", \"fields\": [{\"name\": \"kids\", \"type\": {\"type\": \"array\", "
      "\"items\": \"Tree\"}, \"default\": []}]}");
  assert_value(r, "{\"kids\": [{}, {\"kids\": [{}]}]}", "040002000000",
               "{\"kids\": [{\"kids\": []}, {\"kids\": [{\"kids\": []}]}]}");
}

CASE(foreign_bytes_do_not_nest_without_end) {
  struct run *r = *state;
  struct buffer bytes = {0}, out = {0};
  open_type(r, NODE);
  for (int i = 0; i < 200000; i++) buffer_append(&bytes, "\2\2", 2);
  assert_int_equal(catalog_decode(r->c, buffer_span(&bytes), SPAN(""), SPAN("t.e"), &out, &r->err),
                   ST_INVALID);
  assert_non_null(strstr(r->err.text, "a value nested deeper than 64 levels"));
  buffer_release(&bytes);
  buffer_release(&out);
}

/* Each level fits A until its last field and is a B: to try each again for every level around it
 * would take 2 to the 50th steps. */
CASE(branches_within_branches_are_tried_once) {
  struct run *r = *state;
  struct buffer value = {0};
  const int levels = 50;
  open_type(
      r,
      "[{\"type\": \"record\", \"name\": \"A\", \"fields\": [{\"name\": \"n\", \"type\": [\"null\", \"A\", {\"type\": "
      "\"record\", \"name\": \"B\", \"fields\": [{\"name\": \"n\", \"type\": [\"null\", \"A\", \"B\"]}, {\"name\": \"b\", "
      "\"type\": \"int\"}]}]}, {\"name\": \"a\", \"type\": \"int\"}]}, \"B\"]");
  for (int i = 0; i < levels; i++) buffer_add_z(&value, "{\"n\": ");
  buffer_add_z(&value, "null");
  for (int i = 0; i < levels; i++) buffer_add_z(&value, ", \"b\": 1}");
  assert_int_equal(encode_value(r, buffer_z(&value)), REASON_NONE);
  char *last = value.ptr + value.len - 2;
  *last = 'x'; /* no JSON: but its twin below is */
  value.len = 0;
  for (int i = 0; i < levels; i++) buffer_add_z(&value, "{\"n\": ");
  buffer_add_z(&value, "{\"b\": \"x\"}");
  for (int i = 0; i < levels; i++) buffer_add_z(&value, ", \"b\": 1}");
  assert_unfit(r, buffer_z(&value), ": expected A or B, found object");
  buffer_release(&value);
}

CASE(defaults_of_the_new_types_are_avro_s) {
  struct run *r = *state;
  open_fields(
      r,
      "{\"name\": \"b\", \"type\": \"bytes\", \"default\": \"\\u0000\\u00ff\\u007fA\"}, "
      "{\"name\": \"f\", \"type\": {\"type\": \"fixed\", \"name\": \"F\", \"size\": 2}, \"default\": \"AB\"}, "
      "{\"name\": \"d\", \"type\": " LOGICAL(
          "int",
          "date") ", \"default\": 1}, "
                  "{\"name\": \"m\", \"type\": " MONEY ", \"default\": \"\\u0001\\u00f4\"}, "
                  "{\"name\": \"u\", \"type\": [\"string\", \"null\", \"long\"], \"default\": \"x\"}",
      false);
  assert_round(
      r, "t.e", "{}",
      "{\"b\": \"AP9/QQ==\", \"f\": \"QUI=\", \"d\": \"1970-01-02\", \"m\": 5.00, \"u\": \"x\"}");
  assert_hex(r, "0800ff7f4141420204"
                "01f4"
                "000278");
}

CASE(absent_and_null_are_one_in_a_union_of_several_too) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"a\", \"type\": [\"null\", \"long\", \"string\"], \"default\": null}",
              false);
  assert_round(r, "t.e", "{}", "{}");
  assert_round(r, "t.e", "{\"a\": null}", "{}");
  assert_round(r, "t.e", "{\"a\": \"x\"}", "{\"a\": \"x\"}");
}
