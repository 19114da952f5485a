/* Payloads to Avro and back through the catalog. Expected bytes were made once by Apache Avro's Python library. */
#include "bridge/encoding/catalog.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_HEAD                                                                                                     \
  "{\"id\": \"e-1\", \"name\": \"x.y\", \"created_at\": \"2025-09-22T03:04:05\", \"status\": \"pending\", "

/* A catalog, and the last event that went through it. */
struct run {
  char folder[64]; /* of schemas made by the test */
  char at[128];    /* the folder it was opened with */
  struct catalog *c;
  struct buffer entry, bytes, text;
  struct json_doc doc;
  struct arena arena;
  struct error err;
  int log_pipe[2];
  struct log *log;
};

static void open_catalog(struct run *r, const char *folder, enum framing framing, bool strict) {
  struct catalog_config config = {.folder = folder, .framing = framing, .strict = strict};
  snprintf(r->at, sizeof r->at, "%s", folder);
  catalog_close(r->c);
  enum status st = catalog_open(&config, r->log, &r->c, &r->err);
  if (st != ST_OK) print_message("%s\n", r->err.text);
  assert_int_equal(st, ST_OK);
}

static int setup(void **state) {
  struct run *r = calloc(1, sizeof *r);
  assert_non_null(r);
  folder_make(r->folder, sizeof r->folder, "encoding");
  assert_int_equal(pipe(r->log_pipe), 0);
  assert_int_equal(log_open(r->log_pipe[1], LOG_LOGFMT, LOG_INFO, &clock_system, &r->log), ST_OK);
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_SINGLE_OBJECT, false);
  *state = r;
  return 0;
}

static int teardown(void **state) {
  struct run *r = *state;
  catalog_close(r->c);
  log_close(r->log);
  close(r->log_pipe[0]);
  close(r->log_pipe[1]);
  buffer_release(&r->entry);
  buffer_release(&r->bytes);
  buffer_release(&r->text);
  json_doc_release(&r->doc);
  arena_release(&r->arena);
  int rc = folder_remove(r->folder);
  free(r);
  return rc;
}

/* Everything logged since the last call. */
static const char *logged(struct run *r, char *text, size_t size) {
  static const char end[] = "(end)";
  assert_int_equal(write(r->log_pipe[1], end, sizeof end), sizeof end);
  ssize_t n = read(r->log_pipe[0], text, size - 1);
  assert_true(n > 0);
  text[n] = '\0';
  return text;
}

static void put(struct run *r, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", r->folder, name);
  char *slash = strrchr(path, '/');
  *slash = '\0';
  (void)mkdir(path, 0700);
  *slash = '/';
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
  assert_int_equal(fclose(f), 0);
}

#define ENVELOPE_SCHEMA                                                                                                \
  "{\"type\": \"record\", \"name\": \"Envelope\", \"fields\": [{\"name\": \"id\", \"type\": \"string\"}, "             \
  "{\"name\": \"name\", \"type\": \"string\"}, {\"name\": \"created_at\", \"type\": \"string\"}, "                     \
  "{\"name\": \"payload\", \"type\": \"string\", \"json\": true}]}"

/* A catalog of one event t.e with the fields given, no framing. */
static void open_fields(struct run *r, const char *fields, bool strict) {
  struct buffer text = {0};
  buffer_printf(&text, "{\"type\": \"record\", \"name\": \"E\", \"fields\": [%s]}", fields);
  put(r, "envelope.avsc", ENVELOPE_SCHEMA);
  put(r, "t/e.avsc", buffer_z(&text));
  buffer_release(&text);
  open_catalog(r, r->folder, FRAMING_RAW, strict);
}

static enum reason encode_entry(struct run *r, const char *name, struct span entry) {
  struct event event;
  arena_reset(&r->arena);
  buffer_clear(&r->bytes);
  r->err = (struct error){0};
  buffer_clear(&r->entry);
  buffer_add(&r->entry, entry);
  assert_int_equal(json_scan(&r->doc, buffer_span(&r->entry), &r->err), ST_OK);
  assert_int_equal(event_parse(&r->doc, &r->arena, &event, &r->err), REASON_NONE);
  buffer_add_z(&r->bytes, "<"); /* what is there stays */
  enum reason reason = catalog_encode(r->c, &r->doc, &event, span_of(name), 1758510245000000, &r->bytes, &r->err);
  assert_int_equal(buffer_status(&r->bytes, NULL), ST_OK);
  assert_int_equal(r->bytes.ptr[0], '<');
  memmove(r->bytes.ptr, r->bytes.ptr + 1, --r->bytes.len);
  return reason;
}

static enum reason encode(struct run *r, const char *name, const char *payload) {
  struct buffer entry = {0};
  buffer_printf(&entry, ENTRY_HEAD "\"payload\": %s}", payload);
  enum reason reason = encode_entry(r, name, buffer_span(&entry));
  buffer_release(&entry);
  return reason;
}

static const char *decode_as(struct run *r, const char *content_type, const char *name) {
  buffer_clear(&r->text);
  buffer_add_z(&r->text, ">");
  enum status st =
      catalog_decode(r->c, buffer_span(&r->bytes), span_of(content_type), span_of(name), &r->text, &r->err);
  if (st != ST_OK) print_message("%s\n", r->err.text);
  assert_int_equal(st, ST_OK);
  return buffer_z(&r->text) + 1;
}

static void assert_round(struct run *r, const char *name, const char *payload, const char *back) {
  enum reason reason = encode(r, name, payload);
  if (reason != REASON_NONE) print_message("%s\n", r->err.text);
  assert_int_equal(reason, REASON_NONE);
  assert_string_equal(decode_as(r, "", name), back);
}

/* "@" in the text: the folder that the catalog was opened with. */
static void assert_refused(struct run *r, const char *name, const char *payload, enum reason reason, const char *text) {
  struct buffer said = {0};
  for (; *text; text++) *text == '@' ? buffer_add_z(&said, r->at) : buffer_add_char(&said, *text);
  assert_int_equal(encode(r, name, payload), reason);
  assert_string_equal(r->err.text, buffer_z(&said));
  assert_int_equal(r->bytes.len, 0);
  buffer_release(&said);
}

static void assert_hex(const struct run *r, const char *hex) {
  struct buffer made = {0};
  for (size_t i = 0; i < r->bytes.len; i++) buffer_printf(&made, "%02x", (unsigned char)r->bytes.ptr[i]);
  assert_string_equal(buffer_z(&made), hex);
  buffer_release(&made);
}

/* Bytes on the wire */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(the_example_of_the_contract_has_the_bytes_of_the_reference_library) {
  struct run *r = *state;
  const char *entry =
      "{\"id\": \"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\", \"name\": \"quality.checked\", \"payload\": {\"content_id\": "
      "\"c-1\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, \"issues\": [], "
      "\"detailed_scores\": {\"grammar\": 82.5}}, \"created_at\": \"2025-09-22T03:04:05.123456+00:00\", \"attempts\": "
      "0, \"dispatched_at\": null, \"last_error\": null, \"failed_at\": null, \"status\": \"pending\", "
      "\"storage_key\": \"3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77\"}";
  assert_int_equal(encode_entry(r, "quality.checked", span_of(entry)), REASON_NONE);
  assert_hex(r, "c3016076c691e334d63106632d310000000000a05440020e6772616d6d617200010002227b226772616d6d6172223a2038322e"
                "357d00");
  assert_string_equal(decode_as(r, "application/avro", "quality.checked"),
                      "{\"content_id\": \"c-1\", \"score\": 82.5, \"check_types\": [\"grammar\"], \"passed\": true, "
                      "\"issues\": [], \"detailed_scores\": {\"grammar\": 82.5}}");
}

CASE(nul_extras_and_items_have_the_bytes_of_the_reference_library) {
  struct run *r = *state;
  assert_int_equal(
      encode(r, "quality.checked",
             "{\"extra\": {\"a\": null}, \"passed\": false, \"score\": 82, \"content_id\": \"c\\u00e9\\u0000x\", "
             "\"check_types\": [], \"issues\": [{\"line\": [1,  2], \"type\": \"style\"}, {\"description\": \"d\"}], "
             "\"new\": \"v\"}"),
      REASON_NONE);
  assert_hex(r,
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
      encode(r, "plot.updated",
             "{\"plot_id\": \"p\", \"episode_number\": -9223372036854775808, \"word_count\": "
             "9223372036854775807, \"updated_at\": null, \"consistency_checked\": true, "
             "\"consistency_issues\": [{\"type\": \"t\", \"description\": \"d\", \"severity\": \"high\"}]}"),
      REASON_NONE);
  assert_hex(
      r, "c301503f523d5811e880027002ffffffffffffffffff0102feffffffffffffffff0100020102020274020264020868696768000000");
  assert_string_equal(decode_as(r, "", ""),
                      "{\"plot_id\": \"p\", \"episode_number\": -9223372036854775808, \"word_count\": "
                      "9223372036854775807, \"consistency_checked\": true, \"consistency_issues\": [{\"type\": \"t\", "
                      "\"description\": \"d\", \"severity\": \"high\"}]}");
}

CASE(a_name_without_a_schema_travels_in_the_envelope) {
  struct run *r = *state;
  assert_round(r, "quality.improved", "{\"content_id\": \"c-1\", \"delta\": 1.50}",
               "{\"content_id\": \"c-1\", \"delta\": 1.50}");
  assert_hex(
      r, "c301d50c5d883323c47206652d31207175616c6974792e696d70726f76656426323032352d30392d32325430333a30343a3035487b"
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
  assert_string_equal(catalog_content_type(r->c), "application/avro");
  assert_int_equal(encode(r, "episode.written", "{\"id\": \"1\"}"), REASON_NONE);
  assert_hex(r, "023100");
  assert_string_equal(decode_as(r, "application/avro", "episode.written"), "{\"id\": \"1\"}");
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_JSON, false);
  assert_string_equal(catalog_content_type(r->c), "application/json");
  assert_int_equal(encode(r, "episode.written", "{\"id\" :\n7}"), REASON_NONE);
  assert_memory_equal(r->bytes.ptr, "{\"id\" :\n7}", 10);
  assert_string_equal(decode_as(r, "Application/JSON; charset=utf-8", ""), "{\"id\" : 7}");
  assert_string_equal(decode_as(r, "", ""), "{\"id\" : 7}");
}

CASE(confluent_framing_is_refused_until_there_is_a_registry) {
  struct run *r = *state;
  struct catalog_config config = {.folder = SOURCE_ROOT "/schemas", .framing = FRAMING_CONFLUENT};
  struct catalog *c;
  struct buffer out = {0};
  assert_int_equal(catalog_open(&config, NULL, &c, &r->err), ST_UNSUPPORTED);
  assert_non_null(strstr(r->err.text, "registry.url"));
  assert_null(c);
  struct span wire = {"\0\0\0\0\1\2", 6};
  assert_int_equal(catalog_decode(r->c, wire, SPAN(""), SPAN("episode.written"), &out, &r->err), ST_UNSUPPORTED);
  assert_int_equal(catalog_decode(r->c, SPAN("x"), SPAN("application/vnd.confluent.avro"), SPAN(""), &out, &r->err),
                   ST_UNSUPPORTED);
  assert_int_equal(out.len, 0);
  buffer_release(&out);
}

/* Fields */

CASE(a_payload_member_named_extra_comes_back_under_its_name) {
  struct run *r = *state;
  assert_round(r, "episode.written", "{\"id\": \"1\", \"extra\": {\"id\": 2}}",
               "{\"id\": \"1\", \"extra\": {\"id\": 2}}");
  assert_round(r, "episode.written", "{\"extra\": \"text\", \"id\": \"1\"}", "{\"id\": \"1\", \"extra\": \"text\"}");
  assert_round(r, "episode.written", "{\"\\u0065xtra\": 1, \"id\": \"1\"}", "{\"id\": \"1\", \"extra\": 1}");
}

CASE(names_of_extras_are_kept_byte_for_byte) {
  struct run *r = *state;
  assert_round(r, "episode.written",
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
  static const char *const values[] = {"{\"a\": [1, {\"b\": 1.0}]}", "[]", "\"text\"", "7", "true", "0.1000"};
  char payload[128];
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    snprintf(payload, sizeof payload, "{\"usecase_name\": \"u\", \"success\": true, \"request_data\": %s}", values[i]);
    assert_round(r, "usecase.executed", payload, payload);
  }
}

CASE(a_null_with_default_null_is_absent) {
  struct run *r = *state;
  const char *back = "{\"usecase_name\": \"u\"}";
  assert_round(r, "usecase.executed", "{\"usecase_name\": \"u\", \"response_data\": null, \"success\": null}", back);
  assert_round(r, "usecase.executed", "{\"usecase_name\": \"u\"}", back);
}

CASE(a_missing_field_takes_its_default) {
  struct run *r = *state;
  assert_round(r, "quality.checked", "{\"content_id\": \"c\", \"score\": 1, \"check_types\": [], \"passed\": true}",
               "{\"content_id\": \"c\", \"score\": 1.0, \"check_types\": [], \"passed\": true, \"issues\": []}");
  open_fields(
      r,
      "{\"name\": \"a\", \"type\": \"long\", \"default\": 7}, {\"name\": \"b\", \"type\": [\"string\", \"null\"], "
      "\"default\": \"x\"}, {\"name\": \"c\", \"type\": {\"type\": \"map\", \"values\": \"int\"}, \"default\": "
      "{\"k\": 1}}, {\"name\": \"d\", \"type\": \"string\", \"json\": true, \"default\": \"{}\"}, {\"name\": \"e\", "
      "\"type\": [\"string\", \"null\"]}",
      false);
  assert_round(r, "t.e", "{\"e\": null}", "{\"a\": 7, \"b\": \"x\", \"c\": {\"k\": 1}, \"d\": {}, \"e\": null}");
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
  const char *payload = "{\"n\": null, \"t\": false, \"i\": -2147483648, \"f\": 0.5, \"d\": -0.0, \"s\": \"HEARTS\", "
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

CASE(a_mismatch_names_path_expectation_and_find) {
  struct run *r = *state;
#define CHECKED(score, types, passed, rest)                                                                            \
  "{\"content_id\": \"c\", \"score\": " score ", \"check_types\": " types ", \"passed\": " passed rest "}"
#define Q " (@/quality/checked.avsc)"
  enum reason no = REASON_SCHEMA_MISMATCH;
  const char *n = "quality.checked";
  assert_refused(r, n, CHECKED("\"A\"", "[]", "true", ""), no, "payload.score: expected double, found string" Q);
  assert_refused(r, n, CHECKED("null", "[]", "true", ""), no, "payload.score: expected double, found null" Q);
  assert_refused(r, n, CHECKED("1e999", "[]", "true", ""), no,
                 "payload.score: the number is beyond the range of double" Q);
  assert_refused(r, n, CHECKED("1", "{}", "true", ""), no, "payload.check_types: expected array, found object" Q);
  assert_refused(r, n, CHECKED("1", "[\"a\", 2]", "true", ""), no,
                 "payload.check_types[1]: expected string, found number" Q);
  assert_refused(r, n, CHECKED("1", "[]", "1", ""), no, "payload.passed: expected boolean, found number" Q);
  assert_refused(r, n, CHECKED("1", "[]", "true", ", \"issues\": null"), no,
                 "payload.issues: expected array, found null" Q);
  assert_refused(r, n, CHECKED("1", "[]", "true", ", \"issues\": [{}, []]"), no,
                 "payload.issues[1]: expected object, found array" Q);
  assert_refused(r, n, CHECKED("1", "[]", "true", ", \"issues\": [{\"type\": 1}]"), no,
                 "payload.issues[0].type: expected string or null, found number" Q);
}

CASE(a_missing_required_field_names_its_schema) {
  struct run *r = *state;
  assert_refused(r, "episode.created", "{\"episode_id\": \"e\", \"episode_number\": 1}", REASON_SCHEMA_MISMATCH,
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
  assert_refused(r, "t.e", "{\"i\": null}", REASON_SCHEMA_MISMATCH, "payload.i: expected int, found null (@/t/e.avsc)");
  assert_int_equal(chdir(r->folder), 0);
  open_catalog(r, ".", FRAMING_SINGLE_OBJECT, false);
  assert_refused(r, "t.e", "{\"i\": null}", REASON_SCHEMA_MISMATCH, "payload.i: expected int, found null (./t/e.avsc)");
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
                 "payload.episode_number: expected long, found number that is no whole one" C);
  assert_refused(r, "episode.created", NUMBER("1e400"), REASON_INTEGER_RANGE,
                 "payload.episode_number: the number is beyond the range of long" C);
  assert_refused(r, "episode.created", NUMBER("\"1\""), REASON_SCHEMA_MISMATCH,
                 "payload.episode_number: expected long, found string" C);
  open_fields(r, "{\"name\": \"i\", \"type\": \"int\"}, {\"name\": \"f\", \"type\": \"float\"}", false);
  assert_refused(r, "t.e", "{\"i\": 2147483648, \"f\": 0}", REASON_INTEGER_RANGE,
                 "payload.i: the number is beyond the range of int (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 2147483647, \"f\": 3.5e38}", REASON_SCHEMA_MISMATCH,
                 "payload.f: the number is beyond the range of float (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 1, \"f\": \"0\"}", REASON_SCHEMA_MISMATCH,
                 "payload.f: expected float, found string (@/t/e.avsc)");
}

CASE(integers_written_as_real_numbers_are_published_exactly) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"i\", \"type\": [\"null\", \"int\"]}, {\"name\": \"l\", \"type\": \"long\"}", false);
  assert_round(r, "t.e", "{\"i\": 2147483647.0, \"l\": 9007199254740993.0}",
               "{\"i\": 2147483647, \"l\": 9007199254740993}");
  assert_round(r, "t.e", "{\"i\": -2.147483648e9, \"l\": -0.0}", "{\"i\": -2147483648, \"l\": 0}");
  assert_round(r, "t.e", "{\"i\": 1E+2, \"l\": 1e18}", "{\"i\": 100, \"l\": 1000000000000000000}");
  assert_refused(r, "t.e", "{\"i\": 2147483648.0, \"l\": 0}", REASON_INTEGER_RANGE,
                 "payload.i: the number is beyond the range of int (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 1e400, \"l\": 0}", REASON_INTEGER_RANGE,
                 "payload.i: the number is beyond the range of int (@/t/e.avsc)");
  assert_refused(r, "t.e", "{\"i\": 1e-400, \"l\": 0}", REASON_SCHEMA_MISMATCH,
                 "payload.i: expected int or null, found number that is no whole one (@/t/e.avsc)");
}

CASE(a_wrong_symbol_is_told_the_right_ones) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"s\", \"type\": {\"type\": \"enum\", \"name\": \"S\", \"symbols\": [\"A\", \"B\"]}}",
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
  assert_refused(r, "t.e", "{\"s\": \"a\"}", REASON_SCHEMA_MISMATCH,
                 "payload.s: expected one of A, B, C, D, E, F, G, H, I, J, ..., found string (@/t/e.avsc)");
}

CASE(null_fields_and_maps_refuse_other_types) {
  struct run *r = *state;
  open_fields(
      r, "{\"name\": \"n\", \"type\": \"null\"}, {\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": \"int\"}}",
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

CASE(fields_left_out_are_counted_and_said_once_a_type) {
  struct run *r = *state;
  char text[4096];
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", false);
  assert_round(r, "t.e", "{\"b\": 1, \"a\": 1, \"c\": 2}", "{\"a\": 1}");
  logged(r, text, sizeof text);
  assert_non_null(strstr(text, "fields_left_out"));
  assert_non_null(strstr(text, "payload.b"));
  assert_round(r, "t.e", "{\"b\": 1, \"a\": 1}", "{\"a\": 1}");
  assert_string_equal(logged(r, text, sizeof text), "(end)");
  assert_int_equal(schema_of(r, "t.e").left_out, 3);
  assert_int_equal(schema_of(r, "envelope").left_out, 0);
}

CASE(a_refused_event_is_not_counted) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"d\", \"type\": \"double\"}, {\"name\": \"a\", \"type\": \"long\"}", false);
  assert_int_equal(encode(r, "t.e", "{\"d\": 0.1234567890123456789, \"b\": 1, \"a\": \"\"}"), REASON_SCHEMA_MISMATCH);
  assert_int_equal(schema_of(r, "t.e").left_out, 0);
  assert_int_equal(schema_of(r, "t.e").cut_numbers, 0);
}

CASE(strict_refuses_what_would_be_left_out) {
  struct run *r = *state;
  open_fields(r, "{\"name\": \"a\", \"type\": \"long\"}", true);
  assert_refused(r, "t.e", "{\"a\": 1, \"b\": 1}", REASON_SCHEMA_MISMATCH, "payload.b: no such field (@/t/e.avsc)");
  open_catalog(r, SOURCE_ROOT "/schemas", FRAMING_SINGLE_OBJECT, true);
  assert_round(r, "episode.written", "{\"id\": \"1\", \"b\": 1}", "{\"id\": \"1\", \"b\": 1}");
}

CASE(numbers_that_lose_digits_are_counted_and_said_once_a_type) {
  struct run *r = *state;
  char text[4096];
  open_fields(r, "{\"name\": \"d\", \"type\": \"double\"}", false);
  assert_round(r, "t.e", "{\"d\": 0.12345678901234567}", "{\"d\": 0.12345678901234566}"); /* 17 digits: not counted */
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
  assert_refused(r, "t.e", "{\"extra\": 5, \"a\": 1}", REASON_SCHEMA_MISMATCH, "payload.a: no such field (@/t/e.avsc)");
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
