/* Framings that name an id of a registry: what stands in the value, what is asked for it, and how a
 * record's framing is told. */
#include "tests/unit/catalog_box.h"

#define HEAD "\0\0\0\0\7"
static const struct span no_text = {"", 0};

enum { PLACES = 6, PLACE = 4 };

static size_t index_of(const struct run *r, const char *event) {
  struct catalog_schema schema;
  size_t i = 0;
  while (catalog_schema_at(r->c, i, &schema) && strcmp(schema.event_name, event) != 0) i++;
  return i;
}

static void open_json(struct run *r, bool strict) {
  open_fields(
      r,
      "{\"name\": \"n\", \"type\": \"int\"}, {\"name\": \"x\", \"type\": \"double\", \"default\": 0}",
      strict);
  const struct catalog_config config = {.folder = r->folder,
                                        .places = PLACES,
                                        .framing = FRAMING_CONFLUENT_JSON,
                                        .unknown_fields = strict ? UNKNOWN_REFUSE : UNKNOWN_CARRY};
  catalog_close(r->c);
  assert_int_equal(catalog_open(&config, r->log, &r->c, &r->err), ST_OK);
  catalog_way(r->c, &(struct catalog_way){.framing = FRAMING_AUTO, .place = PLACE});
}

static void set_id(const struct run *r, const char *event, enum framing framing, int64_t id) {
  struct schema_id *s = catalog_id_at(r->c, index_of(r, event), PLACE, framing);
  assert_non_null(s);
  atomic_store(&s->id, id);
}

static void assert_value(const struct run *r, const char *payload) {
  assert_int_equal(r->bytes.len, SCHEMA_ID_BYTES + strlen(payload));
  assert_memory_equal(r->bytes.ptr, HEAD, SCHEMA_ID_BYTES);
  assert_memory_equal(r->bytes.ptr + SCHEMA_ID_BYTES, payload, strlen(payload));
}

CASE(confluent_json_is_an_id_and_the_payload_as_it_was_written) {
  struct run *r = *state;
  static const char payload[] =
      "{ \"n\":1.0, \"x\": 12345678901234567890.5, \"more\": {\"a\": [null]} }";
  const struct span types[] = {SPAN("application/json"), SPAN("")};
  uint64_t fingerprint;
  int64_t id;
  open_json(r, false);
  assert_int_equal(encode(r, "t.e", payload), REASON_NONE);
  assert_true(catalog_waits(r->c));
  assert_int_equal(r->bytes.len, 0);
  set_id(r, "t.e", FRAMING_CONFLUENT_JSON, 7);
  assert_int_equal(encode(r, "t.e", payload), REASON_NONE);
  assert_false(catalog_waits(r->c));
  assert_value(r, payload);
  assert_int_equal(catalog_carried(r->c).len, 0);
  assert_int_equal(catalog_unplaced(r->c), 0);
  assert_true(catalog_encoded(r->c, &fingerprint));
  assert_ptr_equal(catalog_written(r->c, &id),
                   catalog_id_at(r->c, index_of(r, "t.e"), 0, FRAMING_CONFLUENT_JSON));
  assert_int_equal(id, 7);
  for (size_t i = 0; i < 2; i++) { /* no registry is needed for that */
    buffer_clear(&r->text);
    assert_int_equal(
        catalog_decode(r->c, buffer_span(&r->bytes), types[i], no_text, &r->text, &r->err), ST_OK);
    assert_string_equal(buffer_z(&r->text), payload);
  }
}

CASE(confluent_json_refuses_what_its_schema_does) {
  struct run *r = *state;
  open_json(r, false);
  set_id(r, "t.e", FRAMING_CONFLUENT_JSON, 7);
  assert_int_equal(encode(r, "t.e", "{\"n\": \"1\"}"), REASON_SCHEMA_MISMATCH);
  assert_int_equal(r->bytes.len, 0);
  assert_int_equal(encode(r, "t.e", "{\"more\": 1}"), REASON_SCHEMA_MISMATCH);
  open_json(r, true);
  set_id(r, "t.e", FRAMING_CONFLUENT_JSON, 7);
  assert_int_equal(encode(r, "t.e", "{\"n\": 1, \"more\": 1}"), REASON_SCHEMA_MISMATCH);
  assert_int_equal(encode(r, "t.e", "{\"n\": 1}"), REASON_NONE);
  assert_value(r, "{\"n\": 1}");
}

CASE(names_without_a_schema_have_an_id_of_their_own_kind) {
  struct run *r = *state;
  uint64_t fingerprint;
  open_json(r, false);
  set_id(r, "envelope", FRAMING_CONFLUENT, 9);
  assert_int_equal(encode(r, "t.unheard", "{\"a\": 1}"), REASON_NONE);
  assert_true(catalog_waits(r->c));
  set_id(r, "envelope", FRAMING_CONFLUENT_JSON, 7);
  assert_int_equal(encode(r, "t.unheard", "{\"a\": 1}"), REASON_NONE);
  assert_value(r, "{\"a\": 1}");
  assert_false(catalog_encoded(r->c, &fingerprint));
}

CASE(a_trial_needs_no_id) {
  struct run *r = *state;
  static const enum framing framings[] = {FRAMING_CONFLUENT, FRAMING_CONFLUENT_HEADER,
                                          FRAMING_CONFLUENT_JSON};
  open_json(r, false);
  for (size_t i = 0; i < sizeof framings / sizeof *framings; i++) {
    catalog_way(r->c, &(struct catalog_way){.framing = framings[i], .trial = true});
    assert_int_equal(encode(r, "t.e", "{\"n\": 1}"), REASON_NONE);
    assert_false(catalog_waits(r->c));
    assert_int_equal(encode(r, "t.e", "{\"n\": null}"), REASON_SCHEMA_MISMATCH);
  }
}

/* An Avro record may begin with a brace: only what is JSON to its end is taken for it. */
CASE(without_a_content_type_avro_stays_avro) {
  struct run *r = *state;
  static const char avro[] = "\0\0\0\0\7{\"n\": 1";
  open_json(r, false);
  assert_int_equal(catalog_decode(r->c, (struct span){avro, sizeof avro - 1}, no_text, no_text,
                                  &r->text, &r->err),
                   ST_UNSUPPORTED);
}

TEST(a_records_framing_is_told_by_its_headers_and_its_value) {
  static const struct {
    struct span type, id, value;
    enum framing framing;
  } cases[] = {
      {SPAN("application/json"), SPAN(""), SPAN("{}"), FRAMING_JSON},
      {SPAN("application/json"), SPAN(""), SPAN(HEAD "{}"), FRAMING_CONFLUENT_JSON},
      {SPAN("application/json"), SPAN(""), SPAN(""), FRAMING_JSON},
      {SPAN("application/vnd.confluent.avro"), SPAN(""), SPAN(HEAD "x"), FRAMING_CONFLUENT},
      {SPAN("application/avro"), SPAN(HEAD), SPAN("x"), FRAMING_CONFLUENT_HEADER},
      {SPAN("application/cloudevents+json; charset=UTF-8"), SPAN(""), SPAN("{}"),
       FRAMING_CLOUDEVENTS},
      {SPAN("application/avro"), SPAN(""), SPAN("\xC3\x01 12345678"), FRAMING_SINGLE_OBJECT},
      {SPAN("application/avro"), SPAN(""), SPAN("x"), FRAMING_RAW},
      {SPAN(""), SPAN(""), SPAN(""), FRAMING_RAW}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(framing_seen(cases[i].type, cases[i].id, cases[i].value), cases[i].framing);
}
