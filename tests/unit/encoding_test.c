/* Payloads to Avro and back through the catalog. Expected bytes were made once by Apache Avro's
 * Python library. */
#include "tests/unit/catalog_box.h"

CASE(the_example_of_the_contract_has_the_bytes_of_the_reference_library) {
  struct run *r = *state;
  const char *entry =
      "{\"id\": \"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\", \"name\": \"quality.checked\", \"payload\": {\"content_id\": "
      "\"c-1\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, \"issues\": [], "
      "\"detailed_scores\": {\"grammar\": 82.5}}, \"created_at\": \"2025-09-22T03:04:05.123456+00:00\", \"attempts\": "
      "0, \"dispatched_at\": null, \"last_error\": null, \"failed_at\": null, \"status\": \"pending\", "
      "\"storage_key\": \"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"}";
  assert_int_equal(encode_entry(r, "quality.checked", span_of(entry)), REASON_NONE);
  assert_hex(
      r,
      "c3016076c691e334d63106632d310000000000a05440020e6772616d6d617200010002227b226772616d6d6172223a2038322e"
      "357d00");
  assert_string_equal(
      decode_as(r, "application/avro", "quality.checked"),
      "{\"content_id\": \"c-1\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, "
      "\"issues\": [], \"detailed_scores\": {\"grammar\": 82.5}}");
}

CASE(nul_extras_and_items_have_the_bytes_of_the_reference_library) {
  struct run *r = *state;
  assert_int_equal(
      encode(
          r, "quality.checked",
          "{\"extra\": {\"a\": null}, \"passed\": false, \"score\": 82, \"content_id\": \"c\\u00e9\\u0000x\", "
          "\"check_types\": [], \"issues\": [{\"line\": [1,  2], \"type\": \"style\"}, {\"description\": \"d\"}], "
          "\"new\": \"v\"}"),
      REASON_NONE);
  assert_hex(
      r,
      "c3016076c691e334d6310a63c3a900780000000000805440000004020a7374796c650002086c696e650e5b312c2020325d000002"
      "0264000000040a6578747261167b2261223a206e756c6c7d066e65770622762200");
  assert_string_equal(
      decode_as(r, "", ""),
      "{\"content_id\": \"c\xc3\xa9\\u0000x\", \"score\": 82.0, \"check_types\": [], \"passed\": false, "
      "\"issues\": [{\"type\": \"style\", \"line\": [1,  2]}, {\"description\": \"d\"}], "
      "\"extra\": {\"a\": null}, \"new\": \"v\"}");
}

CASE(longs_at_both_ends_have_the_bytes_of_the_reference_library) {
  struct run *r = *state;
  assert_int_equal(
      encode(
          r, "plot.updated",
          "{\"plot_id\": \"p\", \"episode_number\": -9223372036854775808, \"word_count\": "
          "9223372036854775807, \"updated_at\": null, \"consistency_checked\": true, "
          "\"consistency_issues\": [{\"type\": \"t\", \"description\": \"d\", \"severity\": \"high\"}]}"),
      REASON_NONE);
  assert_hex(
      r,
      "c301503f523d5811e880027002ffffffffffffffffff0102feffffffffffffffff0100020102020274020264020868696768000000");
  assert_string_equal(
      decode_as(r, "", ""),
      "{\"plot_id\": \"p\", \"episode_number\": -9223372036854775808, \"word_count\": "
      "9223372036854775807, \"consistency_checked\": true, \"consistency_issues\": [{\"type\": \"t\", "
      "\"description\": \"d\", \"severity\": \"high\"}]}");
}

CASE(a_name_without_a_schema_travels_in_the_envelope) {
  struct run *r = *state;
  assert_round(r, "quality.improved", "{\"content_id\": \"c-1\", \"delta\": 1.50}",
               "{\"content_id\": \"c-1\", \"delta\": 1.50}");
  assert_hex(
      r,
      "c301d50c5d883323c47206652d31207175616c6974792e696d70726f76656426323032352d30392d32325430333a30343a3035487b"
      "22636f6e74656e745f6964223a2022632d31222c202264656c7461223a20312e35307d");
}

CASE(the_envelope_takes_the_time_given_when_the_entry_has_none) {
  struct run *r = *state;
  static const char *const entries[] = {
      "{\"id\": \"e\", \"name\": \"a.b\", \"payload\": {}}",
      "{\"id\": \"e\", \"name\": \"a.b\", \"payload\": {}, \"created_at\": \"yesterday\"}",
      "{\"id\": \"e\", \"name\": \"a.b\", \"payload\": {}, \"created_at\": 7}"};
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_RAW, false);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(encode_entry(r, "a.b", span_of(entries[i])), REASON_NONE);
    assert_non_null(memmem(r->bytes.ptr, r->bytes.len,
                           "\x40"
                           "2025-09-22T03:04:05.000000+00:00",
                           33));
  }
}

CASE(raw_and_json_framing_carry_no_head) {
  struct run *r = *state;
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_RAW, false);
  assert_int_equal(encode(r, "episode.written", "{\"id\": \"1\"}"), REASON_NONE);
  assert_hex(r, "023100");
  assert_string_equal(decode_as(r, "application/avro", "episode.written"), "{\"id\": \"1\"}");
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_JSON, false);
  assert_int_equal(encode(r, "episode.written", "{\"id\" :\n7}"), REASON_NONE);
  assert_memory_equal(r->bytes.ptr, "{\"id\" :\n7}", 10);
  assert_string_equal(decode_as(r, "Application/JSON; charset=utf-8", ""), "{\"id\" : 7}");
  assert_string_equal(decode_as(r, "", ""), "{\"id\" : 7}");
}

CASE(without_a_registry_ids_are_not_known) {
  struct run *r = *state;
  struct buffer out = {0};
  struct span wire = {"\0\0\0\0\1\2", 6};
  assert_int_equal(catalog_decode(r->c, wire, SPAN(""), SPAN("episode.written"), &out, &r->err),
                   ST_UNSUPPORTED);
  assert_non_null(strstr(r->err.text, "registry.url"));
  buffer_release(&out);
}

/* Fields */

CASE(a_payload_member_named_extra_comes_back_under_its_name) {
  struct run *r = *state;
  assert_round(r, "episode.written", "{\"id\": \"1\", \"extra\": {\"id\": 2}}",
               "{\"id\": \"1\", \"extra\": {\"id\": 2}}");
  assert_round(r, "episode.written", "{\"extra\": \"text\", \"id\": \"1\"}",
               "{\"id\": \"1\", \"extra\": \"text\"}");
  assert_round(r, "episode.written", "{\"\\u0065xtra\": 1, \"id\": \"1\"}",
               "{\"id\": \"1\", \"extra\": 1}");
}

CASE(names_of_extras_are_kept_byte_for_byte) {
  struct run *r = *state;
  assert_round(
      r, "episode.written",
      "{\"id\": \"1\", \"a\\u0000b\": 1, \"a\": 2, \"\": 3, \"\\\"\": 4, \"\\ud83d\\ude00\": 5}",
      "{\"id\": \"1\", \"a\\u0000b\": 1, \"a\": 2, \"\": 3, \"\\\"\": 4, \"\xf0\x9f\x98\x80\": 5}");
}

CASE(escaped_names_find_their_fields) {
  struct run *r = *state;
  assert_round(r, "episode.written", "{\"\\u0069d\": \"1\"}", "{\"id\": \"1\"}");
}

CASE(texts_of_extras_are_not_printed_again) {
  struct run *r = *state;
  assert_round(
      r, "episode.written",
      "{\"id\": \"1\", \"n\": 123456789012345678901234567890, \"f\": 0.10, \"e\": 1E+5, \"s\": \"\\u0041\\/\"}",
      "{\"id\": \"1\", \"n\": 123456789012345678901234567890, \"f\": 0.10, \"e\": 1E+5, \"s\": \"\\u0041\\/\"}");
  assert_round(r, "episode.written", "{\"id\": \"1\", \"o\": {\n\t\"a\": [1,\r\n2]}}",
               "{\"id\": \"1\", \"o\": {  \"a\": [1,  2]}}");
}

CASE(free_form_fields_take_any_json) {
  struct run *r = *state;
  static const char *const values[] = {
      "{\"a\": [1, {\"b\": 1.0}]}", "[]", "\"text\"", "7", "true", "0.1000"};
  char payload[128];
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    snprintf(payload, sizeof payload,
             "{\"usecase_name\": \"u\", \"success\": true, \"request_data\": %s}", values[i]);
    assert_round(r, "usecase.executed", payload, payload);
  }
}

CASE(a_null_with_default_null_is_absent) {
  struct run *r = *state;
  const char *back = "{\"usecase_name\": \"u\"}";
  assert_round(r, "usecase.executed",
               "{\"usecase_name\": \"u\", \"response_data\": null, \"success\": null}", back);
  assert_round(r, "usecase.executed", "{\"usecase_name\": \"u\"}", back);
}

CASE(a_missing_field_takes_its_default) {
  struct run *r = *state;
  assert_round(
      r, "quality.checked",
      "{\"content_id\": \"c\", \"score\": 1, \"check_types\": [], \"passed\": true}",
      "{\"content_id\": \"c\", \"score\": 1.0, \"check_types\": [], \"passed\": true, \"issues\": []}");
  open_fields(
      r,
      "{\"name\": \"a\", \"type\": \"long\", \"default\": 7}, {\"name\": \"b\", \"type\": [\"string\", \"null\"], "
      "\"default\": \"x\"}, {\"name\": \"c\", \"type\": {\"type\": \"map\", \"values\": \"int\"}, \"default\": "
      "{\"k\": 1}}, {\"name\": \"d\", \"type\": \"string\", \"json\": true, \"default\": \"{}\"}, {\"name\": \"e\", "
      "\"type\": [\"string\", \"null\"]}",
      false);
  assert_round(r, "t.e", "{\"e\": null}",
               "{\"a\": 7, \"b\": \"x\", \"c\": {\"k\": 1}, \"d\": {}, \"e\": null}");
  assert_round(r, "t.e", "{\"b\": null, \"d\": \"\", \"e\": \"\", \"c\": {}}",
               "{\"a\": 7, \"b\": null, \"c\": {}, \"d\": \"\", \"e\": \"\"}");
}

CASE(every_kind_goes_there_and_back) {
  struct run *r = *state;
  open_fields(
      r,
      "{\"name\": \"n\", \"type\": \"null\"}, {\"name\": \"t\", \"type\": \"boolean\"}, {\"name\": \"i\", \"type\": "
      "\"int\"}, {\"name\": \"f\", \"type\": \"float\"}, {\"name\": \"d\", \"type\": \"double\"}, {\"name\": \"s\", "
      "\"type\": {\"type\": \"enum\", \"name\": \"Suit\", \"symbols\": [\"CLUBS\", \"HEARTS\"]}}, {\"name\": \"m\", "
      "\"type\": {\"type\": \"map\", \"values\": [\"null\", {\"type\": \"array\", \"items\": [\"Suit\", "
      "\"null\"]}]}}",
      false);
  const char *payload =
      "{\"n\": null, \"t\": false, \"i\": -2147483648, \"f\": 0.5, \"d\": -0.0, \"s\": \"HEARTS\", "
      "\"m\": {\"\": null, \"a\\u0000\": [null, \"CLUBS\"]}}";
  assert_round(r, "t.e", payload, payload);
  assert_hex(r, "00ffffffff0f0000003f0000000000000080020400000461000204020000"
                "00"
                "00");
}

CASE(numbers_become_the_nearest_double) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"d\", \"type\": \"double\"}", false);
  assert_round(r, "t.e", "{\"d\": 0.1}", "{\"d\": 0.1}");
  assert_round(r, "t.e", "{\"d\": 82}", "{\"d\": 82.0}");
  assert_round(r, "t.e", "{\"d\": 1e-400}", "{\"d\": 0.0}");
  assert_round(r, "t.e", "{\"d\": 9007199254740992}", "{\"d\": 9007199254740992.0}");
}

/* What does not fit */
