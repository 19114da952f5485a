/* avro_fuzz.c - any bytes as a record's value: by every framing, as every event, and by a schema of
 * every kind. What is accepted is one line of JSON, and what the encoder makes of that line is
 * decoded to the same line. */
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/values/decode.h"
#include "bridge/encoding/values/encode.h"

static const char every_kind[] =
    "{\"type\": \"record\", \"name\": \"K\", \"fields\": [{\"name\": \"n\", \"type\": \"null\"}, {\"name\": \"b\", \"type\": "
    "\"boolean\"}, {\"name\": \"i\", \"type\": [\"int\", \"null\"]}, {\"name\": \"f\", \"type\": \"float\"}, {\"name\": \"e\", "
    "\"type\": {\"type\": \"enum\", \"name\": \"E\", \"symbols\": [\"A\", \"B\"]}}, {\"name\": \"a\", \"type\": {\"type\": "
    "\"array\", \"items\": {\"type\": \"record\", \"name\": \"I\", \"fields\": [{\"name\": \"z\", \"type\": [\"null\", "
    "\"double\"]}]}}}, {\"name\": \"m\", \"type\": {\"type\": \"map\", \"values\": [\"null\", {\"type\": \"array\", \"items\": "
    "\"null\"}]}}, {\"name\": \"j\", \"type\": {\"type\": \"array\", \"items\": \"string\"}, \"json\": true}]}";

/* Bytes, unions of several, logical types, and a record that holds itself. */
static const char newer_kinds[] =
    "{\"type\": \"record\", \"name\": \"N\", \"fields\": [{\"name\": \"u\", \"type\": [\"null\", \"boolean\", "
    "\"string\", {\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}, {\"type\": \"array\", \"items\": "
    "\"N\"}]}, {\"name\": \"d\", \"type\": [\"double\", {\"type\": \"bytes\", \"logicalType\": \"decimal\", "
    "\"precision\": 5, \"scale\": 2}]}, {\"name\": \"f\", \"type\": {\"type\": \"fixed\", \"name\": \"F\", \"size\": 3, "
    "\"logicalType\": \"decimal\", \"precision\": 6, \"scale\": 6}}, {\"name\": \"b\", \"type\": \"bytes\"}, {\"name\": "
    "\"i\", \"type\": {\"type\": \"fixed\", \"name\": \"U\", \"size\": 16, \"logicalType\": \"uuid\"}}, {\"name\": \"s\", "
    "\"type\": {\"type\": \"string\", \"logicalType\": \"uuid\"}}, {\"name\": \"y\", \"type\": {\"type\": \"int\", "
    "\"logicalType\": \"date\"}}, {\"name\": \"t\", \"type\": {\"type\": \"int\", \"logicalType\": \"time-millis\"}}, "
    "{\"name\": \"l\", \"type\": {\"type\": \"long\", \"logicalType\": \"local-timestamp-millis\"}}, {\"name\": \"next\", "
    "\"type\": [\"null\", \"N\"], \"default\": null}]}";

struct harness {
  struct catalog *framed, *raw;
  struct schema kinds, newer;
  struct json_doc doc, entry_doc;
  struct arena arena;
  struct buffer out, entry, bytes, again;
};

static struct catalog *open_with(enum framing framing) {
  struct catalog_config config = {.folder = SOURCE_ROOT "/schemas", .framing = framing};
  struct catalog *c;
  BUG_ON(catalog_open(&config, NULL, &c, NULL) != ST_OK);
  return c;
}

static bool one_line_of_json(struct harness *h, struct span text) {
  enum status st = json_scan(&h->doc, text, NULL);
  /* JSON text inside Avro may be nested as deep as a document, and stands inside another one */
  BUG_ON(st != ST_OK && h->doc.fault != JSON_TOO_DEEP);
  BUG_ON(memchr(text.ptr, '\n', text.len) != NULL);
  return st == ST_OK && h->doc.nodes[0].type == JSON_OBJECT;
}

/* The payload encoded again, when it can be (a NaN was decoded as null), must be decoded to the
 * same text. */
static void encode_again(struct harness *h, const char *name, struct span payload) {
  struct event event;
  buffer_clear(&h->entry);
  buffer_clear(&h->bytes);
  buffer_clear(&h->again);
  arena_reset(&h->arena);
  event_write(SPAN("e"), span_of(name), payload, 0, SPAN("e"), &h->entry);
  if (json_scan(&h->entry_doc, buffer_span(&h->entry), NULL) != ST_OK)
    return; /* one level deeper than the payload */
  BUG_ON(event_parse(&h->entry_doc, &h->arena, &event, NULL) != REASON_NONE);
  if (catalog_encode(h->raw, &h->entry_doc, &event, span_of(name), 0, &h->bytes, NULL) !=
      REASON_NONE)
    return;
  BUG_ON(catalog_decode(h->raw, buffer_span(&h->bytes), SPAN("application/avro"), span_of(name),
                        &h->again, NULL) != ST_OK);
  BUG_ON(!span_eq(payload, buffer_span(&h->again)));
}

static void try(struct harness *h, struct catalog *c, const char *name, const char *type,
                struct span value) {
  struct error err = {0};
  buffer_clear(&h->out);
  buffer_add_z(&h->out, ">");
  enum status st = catalog_decode(c, value, span_of(type), span_of(name), &h->out, &err);
  BUG_ON(st != ST_OK && h->out.len != 1);
  BUG_ON(st != ST_OK && !err.text[0]);
  if (st != ST_OK) return;
  struct span text = {h->out.ptr + 1, h->out.len - 1};
  bool object = one_line_of_json(h, text);
  bool named = span_starts(value, "\xc3\x01"); /* by its fingerprint: it is of another schema */
  if (object && c == h->raw && *name && !named) encode_again(h, name, text);
}

/* What is decoded is encoded again, when it can be (a NaN cannot), and decoded to the same. */
static void kinds_again(struct harness *h, const struct schema *kinds, struct span text) {
  struct encoder e = {.doc = &h->entry_doc, .out = &h->bytes};
  buffer_clear(&h->bytes);
  buffer_clear(&h->again);
  bool taken = json_scan(&h->entry_doc, text, NULL) == ST_OK &&
               encode_use(&e, &kinds->root, 0) == REASON_NONE;
  encoder_release(&e);
  if (!taken) return;
  BUG_ON(decode_value(&kinds->root, buffer_span(&h->bytes), 0, (struct span){NULL, 0}, &h->doc,
                      &h->again, NULL) != ST_OK);
  BUG_ON(!span_eq(text, buffer_span(&h->again)));
}

static void try_kinds(struct harness *h, const struct schema *kinds, struct span value) {
  buffer_clear(&h->out);
  if (decode_value(&kinds->root, value, 0, (struct span){NULL, 0}, &h->doc, &h->out, NULL) != ST_OK)
    return;
  one_line_of_json(h, buffer_span(&h->out));
  kinds_again(h, kinds, buffer_span(&h->out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const types[] = {"", "application/avro", "application/vnd.confluent.avro",
                                      "application/json"};
  static struct harness h; /* opened once: reading the schemas takes longer than an input */
  struct catalog_schema s;
  struct span value = {(const char *)data, size};
  if (!h.framed) {
    h.framed = open_with(FRAMING_SINGLE_OBJECT);
    h.raw = open_with(FRAMING_RAW);
    BUG_ON(schema_read(span_of(every_kind), NULL, &h.kinds, NULL) != ST_OK);
    BUG_ON(schema_read(span_of(newer_kinds), NULL, &h.newer, NULL) != ST_OK);
  }
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) try(&h, h.framed, "", types[i], value);
  for (size_t i = 0; catalog_schema_at(h.raw, i, &s); i++)
    try(&h, h.raw, s.event_name, "application/avro", value);
  try_kinds(&h, &h.kinds, value);
  try_kinds(&h, &h.newer, value);
  return 0;
}
