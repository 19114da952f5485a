/* Bytes of strangers: whatever they are, the reader answers with JSON or with the byte that is
 * wrong. */
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/values/decode.h"
#include "tests/support/test.h"

#define FIELDS_OF(fields) "{\"type\": \"record\", \"name\": \"R\", \"fields\": [" fields "]}"
#define A(type) FIELDS_OF("{\"name\": \"a\", \"type\": " type "}")
#define NESTED(type)                                                                               \
  "{\"type\": \"record\", \"name\": \"I\", \"fields\": [{\"name\": \"x\", \"type\": " type "}]}"
#define BYTES(lit) ((struct span){"" lit, sizeof(lit) - 1})

struct run {
  struct schema schema;
  struct buffer out;
  struct json_doc doc;
  struct error err;
};

static void release(struct run *r) {
  schema_release(&r->schema);
  buffer_release(&r->out);
  json_doc_release(&r->doc);
}

static enum status decode(struct run *r, const char *schema, struct span bytes) {
  *r = (struct run){0};
  enum status st = schema_read(span_of(schema), NULL, &r->schema, &r->err);
  if (st != ST_OK) print_message("%s\n", r->err.text);
  assert_int_equal(st, ST_OK);
  /* memory of exactly that size, so that a step beyond it is seen */
  char *copy = malloc(bytes.len ? bytes.len : 1);
  assert_non_null(copy);
  memcpy(copy, bytes.ptr, bytes.len);
  st = decode_value(&r->schema.root, (struct span){copy, bytes.len}, 0, (struct span){NULL, 0},
                    &r->doc, &r->out, &r->err);
  free(copy);
  return st;
}

static void assert_json(const char *schema, struct span bytes, const char *json) {
  struct run r;
  enum status st = decode(&r, schema, bytes);
  if (st != ST_OK) print_message("%s\n", r.err.text);
  assert_int_equal(st, ST_OK);
  assert_string_equal(buffer_z(&r.out), json);
  release(&r);
}

static void assert_bad(const char *schema, struct span bytes, const char *text) {
  struct run r;
  assert_int_equal(decode(&r, schema, bytes), ST_INVALID);
  assert_string_equal(r.err.text, text);
  release(&r);
}

TEST(numbers_are_read_to_their_ends) {
  assert_json("\"long\"", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
              "-9223372036854775808");
  assert_json("\"long\"", BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "9223372036854775807");
  assert_json("\"long\"", BYTES("\x80\x00"), "0"); /* longer than it need be */
  assert_bad("\"long\"", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
             "byte 0: a number of more than 64 bit");
  assert_bad("\"long\"", BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
             "byte 0: a number of more than 64 bit");
  assert_bad("\"long\"", BYTES("\x80"), "byte 0: the value ends in a number");
  assert_bad("\"long\"", BYTES(""), "byte 0: the value ends in a number");
  assert_json("\"int\"", BYTES("\xff\xff\xff\xff\x0f"), "-2147483648");
  assert_bad("\"int\"", BYTES("\x80\x80\x80\x80\x10"), "byte 0: an int of more than 32 bit");
  assert_bad("\"int\"", BYTES("\x81\x80\x80\x80\x10"), "byte 0: an int of more than 32 bit");
  assert_bad("\"double\"", BYTES("\0\0\0\0\0\0\0"), "byte 0: the value ends in a number");
  assert_bad("\"float\"", BYTES("\0\0\0"), "byte 0: the value ends in a number");
  assert_json("\"double\"", BYTES("\0\0\0\0\0\0\xf8\x7f"), "null"); /* NaN: JSON has none */
  assert_json("\"float\"", BYTES("\0\0\x80\x3f"), "1.0");
  assert_bad("\"boolean\"", BYTES("\2"), "byte 0: a boolean that is neither 0 nor 1");
  assert_bad("\"boolean\"", BYTES(""), "byte 0: the value ends in a number");
}

TEST(strings_stay_inside_the_value) {
  assert_json("\"string\"", BYTES("\6a\0b"), "\"a\\u0000b\"");
  assert_bad("\"string\"", BYTES("\6ab"), "byte 0: a length beyond the end of the value");
  assert_bad("\"string\"", BYTES("\1"), "byte 0: a length beyond the end of the value");
  assert_bad("\"string\"", BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
             "byte 0: a length beyond the end of the value");
  assert_bad("\"string\"", BYTES("\4a\xff"), "byte 2: a string that is not UTF-8");
  assert_bad("\"string\"", BYTES("\6\xed\xa0\x80"), "byte 1: a string that is not UTF-8");
  assert_bad("\"string\"", BYTES("\2ab"), "byte 2: bytes after the value");
}

TEST(indexes_stay_inside_their_tables) {
  const char *symbols = "{\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}";
  assert_json(symbols, BYTES("\2"), "\"B\"");
  assert_bad(symbols, BYTES("\4"), "byte 0: an enum without such a symbol");
  assert_bad(symbols, BYTES("\1"), "byte 0: an enum without such a symbol");
  assert_bad(symbols, BYTES("\x80"), "byte 0: the value ends in a number");
  assert_json("[\"null\", \"long\"]", BYTES("\0"), "null");
  assert_json("[\"long\", \"null\"]", BYTES("\2"), "null");
  assert_json("[\"long\", \"null\"]", BYTES("\0\2"), "1");
  assert_bad("[\"null\", \"long\"]", BYTES("\4"), "byte 0: a union without such a branch");
  assert_bad("[\"null\", \"long\"]", BYTES("\1"), "byte 0: a union without such a branch");
  assert_bad("[\"null\", \"long\"]", BYTES(""), "byte 0: the value ends in a number");
}

TEST(blocks_may_be_split_and_sized) {
  const char *longs = "{\"type\": \"array\", \"items\": \"long\"}",
             *map = "{\"type\": \"map\", \"values\": \"long\"}";
  assert_json(longs, BYTES("\0"), "[]");
  assert_json(longs, BYTES("\2\2\4\4\6\0"), "[1, 2, 3]");
  assert_json(longs, BYTES("\3\4\4\6\0"), "[2, 3]");
  assert_json(map, BYTES("\2\2a\2\1\4\0\4\0"), "{\"a\": 1, \"\": 2}");
  assert_bad(longs, BYTES("\3\6\4\6\0"), "byte 0: a block of another size than it says");
  assert_bad(longs, BYTES("\3\2\4\6\0"), "byte 0: a block of another size than it says");
  assert_bad(longs, BYTES("\3\x7e\4\6\0"), "byte 0: a block beyond the end of the value");
  assert_bad(longs, BYTES("\3\1\4\6\0"), "byte 0: a block beyond the end of the value");
  assert_bad(longs, BYTES("\3\x80"), "byte 1: the value ends in a number");
  assert_bad(longs, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\0"),
             "byte 11: the value ends in a number");
  assert_bad(longs, BYTES("\x80\x80\x80\x80\x10"), "byte 5: the value ends in a number");
  assert_bad(map, BYTES("\4\2a\2\2a\2\0"), "byte 4: a map with one key twice");
  assert_bad(map, BYTES("\2\4a"), "byte 1: a length beyond the end of the value");
}

/* Items that need no bytes cannot be counted against what is left: the output they make is. */
TEST(huge_counts_of_items_without_bytes_end) {
  static const char *const items[] = {"\"null\"", NESTED("\"null\""),
                                      "{\"type\": \"record\", \"name\": \"I\", \"fields\": []}"};
  for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
    struct run r;
    char schema[256];
    snprintf(schema, sizeof schema, "{\"type\": \"array\", \"items\": %s}", items[i]);
    assert_int_equal(decode(&r, schema, BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\0")),
                     ST_TOO_LARGE);
    assert_true(r.out.len < DECODE_MAX_OUTPUT + 1024);
    release(&r);
  }
}

TEST(output_ends_at_its_limit) {
  struct run r;
  struct buffer bytes = {0};
  size_t len = 9u << 20; /* each byte becomes six */
  buffer_append(&bytes, "\x80\x80\x80\x09", 4);
  buffer_reserve(&bytes, len);
  assert_int_equal(buffer_status(&bytes, NULL), ST_OK);
  memset(bytes.ptr + bytes.len, 1, len);
  bytes.len += len;
  assert_int_equal(decode(&r, "\"string\"", buffer_span(&bytes)), ST_TOO_LARGE);
  release(&r);
  struct span text = {bytes.ptr + 4, 17u << 20};
  buffer_clear(&bytes);
  buffer_append(&bytes, "\x80\x80\x80\x11", 4);
  buffer_reserve(&bytes, text.len);
  assert_int_equal(buffer_status(&bytes, NULL), ST_OK);
  memset(bytes.ptr + bytes.len, 'x', text.len);
  bytes.len += text.len;
  assert_int_equal(decode(&r, "\"string\"", buffer_span(&bytes)), ST_TOO_LARGE);
  assert_true(r.out.cap < DECODE_MAX_OUTPUT); /* refused before it is copied */
  release(&r);
  buffer_release(&bytes);
}

TEST(records_tell_absent_from_null_where_they_can) {
  assert_json(
      FIELDS_OF(
          "{\"name\": \"a\", \"type\": [\"null\", \"int\"], \"default\": null}, "
          "{\"name\": \"b\", \"type\": [\"null\", \"int\"]}, "
          "{\"name\": \"c\", \"type\": [\"int\", \"null\"], \"default\": 3}, "
          "{\"name\": \"d\", \"type\": {\"type\": \"array\", \"items\": [\"null\", \"int\"]}}"),
      BYTES("\0\0\2\4\0\2\2\0"), "{\"b\": null, \"c\": null, \"d\": [null, 1]}");
}

TEST(texts_of_json_fields_must_be_json) {
  const char *json = FIELDS_OF("{\"name\": \"a\", \"type\": \"string\", \"json\": true}");
  assert_json(json, BYTES("\x0e{\"a\":1}"), "{\"a\": {\"a\":1}}");
  assert_json(json,
              BYTES("\x10{\n\"\":\t1"
                    "}"),
              "{\"a\": { \"\": 1}}");
  assert_bad(json, BYTES("\4{}x"), "byte 3: bytes after the value");
  assert_bad(json, BYTES("\x06nul"), "byte 4: text that is not JSON");
  assert_bad(json,
             BYTES("\6{} "
                   "x"),
             "byte 4: bytes after the value");
  assert_bad(json, BYTES("\0"), "byte 1: text that is not JSON");
  assert_bad(json, BYTES("\6"), "byte 0: a length beyond the end of the value");
  assert_bad(json, BYTES("\6NaN"), "byte 1: text that is not JSON");
}

TEST(extras_cannot_stand_in_for_fields) {
  const char *extra =
      FIELDS_OF("{\"name\": \"a\", \"type\": \"int\"}, "
                "{\"name\": \"extra\", \"type\": {\"type\": \"map\", \"values\": \"string\"}}");
  assert_json(extra,
              BYTES("\2\4\2b\2"
                    "2\x0a"
                    "extra\4{}\0"),
              "{\"a\": 1, \"b\": 2, \"extra\": {}}");
  assert_bad(extra,
             BYTES("\2\2\2a\2"
                   "2\0"),
             "byte 2: extra repeats a field");
  assert_bad(extra,
             BYTES("\2\4\2b\2"
                   "2\2b\2"
                   "3\0"),
             "byte 6: a map with one key twice");
  assert_bad(extra, BYTES("\2\2\2b\2x\0"), "byte 5: text that is not JSON");
  assert_bad(extra,
             BYTES("\2\2\2\xff\2"
                   "1\0"),
             "byte 3: a string that is not UTF-8");
}

TEST(every_cut_and_every_flipped_bit_is_survived) {
  const char *schema = FIELDS_OF(
      "{\"name\": \"s\", \"type\": \"string\"}, {\"name\": \"d\", \"type\": \"double\"}, {\"name\": "
      "\"l\", \"type\": {\"type\": \"array\", \"items\": " NESTED(
          "[\"null\", \"int\"]") "}}, "
                                 "{\"name\": \"extra\", \"type\": {\"type\": \"map\", \"values\": \"string\"}}");
  const struct span good = BYTES("\6abc\0\0\0\0\0\0\0\0\4\0\2\2\0\4\2k\4{}\2m\2"
                                 "7\0");
  struct run r;
  enum status whole = decode(&r, schema, good);
  if (whole != ST_OK) print_message("%s\n", r.err.text);
  assert_int_equal(whole, ST_OK);
  release(&r);
  for (size_t cut = 0; cut < good.len; cut++) {
    assert_int_equal(decode(&r, schema, (struct span){good.ptr, cut}), ST_INVALID);
    release(&r);
  }
  for (size_t bit = 0; bit < good.len * 8; bit++) {
    char bytes[64];
    memcpy(bytes, good.ptr, good.len);
    bytes[bit / 8] ^= (char)(1 << bit % 8);
    enum status st = decode(&r, schema, (struct span){bytes, good.len});
    assert_true(st == ST_OK || st == ST_INVALID);
    if (st == ST_OK) assert_int_equal(json_scan(&r.doc, buffer_span(&r.out), NULL), ST_OK);
    release(&r);
  }
}

/* Which schema and framing: the catalog's part */

struct wire {
  struct catalog *c;
  struct buffer out;
  struct error err;
};

static int setup(void **state) {
  struct wire *w = calloc(1, sizeof *w);
  struct catalog_config config = {.folder = SOURCE_ROOT "/schemas",
                                  .framing = FRAMING_SINGLE_OBJECT};
  assert_non_null(w);
  assert_int_equal(catalog_open(&config, NULL, &w->c, &w->err), ST_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct wire *w = *state;
  catalog_close(w->c);
  buffer_release(&w->out);
  free(w);
  return 0;
}

static void assert_wire(struct wire *w, struct span value, const char *content_type,
                        const char *name, enum status st, const char *text) {
  buffer_clear(&w->out);
  buffer_add_z(&w->out, ">");
  enum status got =
      catalog_decode(w->c, value, span_of(content_type), span_of(name), &w->out, &w->err);
  if (got != st) print_message("%s\n", w->err.text);
  assert_int_equal(got, st);
  if (st == ST_OK)
    assert_string_equal(buffer_z(&w->out) + 1, text);
  else
    assert_string_equal(w->err.text, text);
  if (st != ST_OK) assert_int_equal(w->out.len, 1);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(framing_is_found_by_type_and_bytes) {
  struct wire *w = *state;
  const char *written = "episode.written";
  assert_wire(w,
              BYTES("\2"
                    "1\0"),
              "application/avro", written, ST_OK, "{\"id\": \"1\"}");
  assert_wire(w,
              BYTES("\2"
                    "1\0"),
              "", written, ST_OK, "{\"id\": \"1\"}");
  assert_wire(w,
              BYTES("\2"
                    "1\0"),
              "application/avro", "", ST_INVALID,
              "byte 0: neither JSON nor framed Avro, and raw Avro needs the event's name");
  assert_wire(w, BYTES("\xc3\x01\1\2\3\4\5\6\7\x08\2"), "", written, ST_NOT_FOUND,
              "no schema with the fingerprint 0807060504030201: it was written by another schema");
  assert_wire(w, BYTES("\xc3\x01\1"), "", written, ST_INVALID,
              "not Avro of " SOURCE_ROOT
              "/schemas/episode/written.avsc: byte 0: a length beyond the end of the value");
  assert_wire(w, BYTES(" {\"a\": 1}\n"), "", "", ST_OK, "{\"a\": 1}");
  assert_wire(w, BYTES("[1]"), "application/json", "", ST_OK, "[1]");
  assert_wire(w, BYTES(""), "text/plain", "", ST_INVALID,
              "byte 0: neither JSON nor framed Avro, and raw Avro needs the event's name");
}

CASE(offsets_count_from_the_first_byte_of_the_frame) {
  struct wire *w = *state;
  struct catalog_schema s;
  struct buffer value = {0};
  for (size_t i = 0; catalog_schema_at(w->c, i, &s); i++)
    if (strcmp(s.event_name, "episode.written") == 0) break;
  buffer_append(&value, "\xc3\x01", 2);
  for (int i = 0; i < 8; i++) buffer_add_char(&value, (char)(s.fingerprint >> (8 * i)));
  buffer_append(&value, "\2\xff\0", 3);
  assert_wire(w, buffer_span(&value), "", "", ST_INVALID,
              "not Avro of " SOURCE_ROOT
              "/schemas/episode/written.avsc: byte 11: a string that is not UTF-8");
  buffer_release(&value);
}

CASE(broken_json_is_refused) {
  struct wire *w = *state;
  struct buffer out = {0};
  assert_int_equal(
      catalog_decode(w->c, SPAN("{\"a\": NaN}"), SPAN("application/json"), SPAN(""), &out, &w->err),
      ST_INVALID);
  assert_int_equal(out.len, 0);
  buffer_release(&out);
}

CASE(a_large_json_value_is_refused) {
  struct wire *w = *state;
  struct buffer value = {0}, out = {0};
  buffer_add_z(&value, "\"");
  buffer_reserve(&value, DECODE_MAX_OUTPUT + 1);
  assert_int_equal(buffer_status(&value, NULL), ST_OK);
  memset(value.ptr + 1, 'x', DECODE_MAX_OUTPUT);
  value.len += DECODE_MAX_OUTPUT;
  buffer_add_z(&value, "\"");
  assert_int_equal(
      catalog_decode(w->c, buffer_span(&value), SPAN("application/json"), SPAN(""), &out, &w->err),
      ST_TOO_LARGE);
  assert_int_equal(out.len, 0);
  buffer_release(&value);
}

CASE(raw_avro_that_looks_framed_is_read_where_raw_is_written) {
  struct wire *w = *state;
  struct catalog_config config = {.folder = SOURCE_ROOT "/schemas", .framing = FRAMING_RAW};
  catalog_close(w->c);
  assert_int_equal(catalog_open(&config, NULL, &w->c, &w->err), ST_OK);
  /* no record of ours can begin with C3 01 (a length below zero): it is refused as Avro, not for
   * its fingerprint */
  assert_wire(w, BYTES("\xc3\x01\1\2\3\4\5\6\7\x08\2"), "", "episode.written", ST_INVALID,
              "not Avro of " SOURCE_ROOT
              "/schemas/episode/written.avsc: byte 0: a length beyond the end of the value");
  assert_wire(w, BYTES("\0\0\0\0\0"), "", "episode.written", ST_INVALID,
              "not Avro of " SOURCE_ROOT
              "/schemas/episode/written.avsc: byte 2: bytes after the value");
  assert_wire(w, BYTES("\0\0"), "", "episode.written", ST_OK, "{\"id\": \"\"}");
  assert_wire(w, BYTES("\2i\2n\2c\4{}"), "", "no.schema", ST_OK, "{}");
  assert_wire(w, BYTES("\2i\2n\2c\6{}"), "", "no.schema", ST_INVALID,
              "not Avro of " SOURCE_ROOT
              "/schemas/envelope.avsc: byte 6: a length beyond the end of the value");
}
