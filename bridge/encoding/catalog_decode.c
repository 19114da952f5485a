/* Decodes values: by content type, by fingerprint, else by their first bytes.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/catalog_parts.h"
#include "bridge/encoding/types/quote.h"
#include "bridge/encoding/values/decode.h"

#include <strings.h>

enum wire { WIRE_UNKNOWN, WIRE_JSON, WIRE_AVRO, WIRE_CONFLUENT, WIRE_CLOUDEVENT };

static enum wire wire_of(struct span content_type) {
  static const struct {
    const char *name;
    enum wire wire;
  } table[] = {{"application/json", WIRE_JSON},
               {"application/avro", WIRE_AVRO},
               {"application/vnd.confluent.avro", WIRE_CONFLUENT},
               {"application/cloudevents+json", WIRE_CLOUDEVENT}};
  const char *end = content_type.len ? memchr(content_type.ptr, ';', content_type.len) : NULL;
  if (end) content_type.len = (size_t)(end - content_type.ptr);
  content_type = span_trim(content_type);
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (content_type.len == strlen(table[i].name) &&
        strncasecmp(content_type.ptr, table[i].name, content_type.len) == 0)
      return table[i].wire;
  return WIRE_UNKNOWN;
}

static bool value_begins(struct span value, const char *bytes, size_t len) {
  return value.len >= len && memcmp(value.ptr, bytes, len) == 0;
}

/* A schema that values may be of, today's or an older one. */
struct writer {
  const struct schema *schema; /* NULL: none */
  const char *file;
  bool envelope;
};

static struct writer writer_of(const struct catalog *c, struct span event_name) {
  const struct event_schema *e = catalog_event_schema(c, event_name);
  return (struct writer){&e->schema, e->file, e == set_of(c)->envelope};
}

static struct writer by_fingerprint(const struct catalog *c, struct span value,
                                    uint64_t *fingerprint) {
  const struct event_schemas *all = &set_of(c)->schemas;
  *fingerprint = 0;
  for (int i = 0; i < 8; i++) *fingerprint |= (uint64_t)(unsigned char)value.ptr[2 + i] << (8 * i);
  for (size_t i = 0; i < all->count; i++)
    if (all->list[i].schema.fingerprint == *fingerprint)
      return writer_of(c, span_of(all->list[i].event_name));
  for (size_t i = 0; i < all->frozen_count; i++) {
    const struct frozen *f = &all->frozen[i];
    if (f->schema.fingerprint == *fingerprint)
      return (struct writer){&f->schema, f->file, strcmp(f->event_name, ENVELOPE) == 0};
  }
  return (struct writer){0};
}

/* Behind 00 and an id, where it has one: no JSON begins with 00. */
static struct span json_of(struct span value) {
  int64_t id;
  if (!schema_id_read(value, &id)) return value;
  return (struct span){value.ptr + SCHEMA_ID_BYTES, value.len - SCHEMA_ID_BYTES};
}

static enum status decode_json_value(struct catalog *c, struct span value, struct buffer *out,
                                     struct error *err) {
  value = json_of(value);
  enum status st = json_scan(&c->doc, value, err);
  if (st != ST_OK) return st;
  if (value.len > DECODE_MAX_OUTPUT)
    return error_set(err, ST_TOO_LARGE, "the value is larger than %u bytes", DECODE_MAX_OUTPUT);
  quote_one_line(out, span_trim(value));
  return buffer_status(out, err);
}

/* The payload in it. */
static enum status decode_cloudevent(struct catalog *c, struct span value, struct buffer *out,
                                     struct error *err) {
  enum status st = json_scan(&c->doc, value, err);
  if (st != ST_OK) return st;
  uint32_t data = c->doc.nodes[0].type == JSON_OBJECT ? json_member(&c->doc, 0, "data") : JSON_NONE;
  if (data == JSON_NONE) return error_set(err, ST_INVALID, "byte 0: a CloudEvent without data");
  struct span payload = json_slice(&c->doc, data);
  if (payload.len > DECODE_MAX_OUTPUT)
    return error_set(err, ST_TOO_LARGE, "the value is larger than %u bytes", DECODE_MAX_OUTPUT);
  quote_one_line(out, payload);
  return buffer_status(out, err);
}

static enum status decode_avro(struct catalog *c, struct writer w, struct span value, size_t from,
                               struct buffer *out, struct error *err) {
  size_t start = out->len;
  struct span only = w.envelope ? SPAN("payload") : (struct span){NULL, 0};
  enum status st = decode_value(&w.schema->root, value, from, only, &c->doc, out, err);
  if (st != ST_OK) {
    out->len = start;
    if (st == ST_INVALID) (void)error_prefix(err, "not Avro of %s", w.file);
  }
  return st;
}

static enum status decode_confluent(struct catalog *c, struct span value, struct buffer *out,
                                    struct error *err) {
  int64_t id;
  struct foreign *f;
  char name[60];
  if (!schema_id_read(value, &id))
    return error_set(err, ST_INVALID, "byte 0: not 00 and an id of four bytes");
  enum status st = catalog_foreign(c, id, &f, err);
  if (st != ST_OK) return st;
  snprintf(name, sizeof name, "the schema with the id %lld", (long long)id);
  return decode_avro(c, (struct writer){&f->schema, name, f->envelope}, value, SCHEMA_ID_BYTES, out,
                     err);
}

static bool writes_bare(const struct catalog *c) {
  return c->framing == FRAMING_RAW || c->framing == FRAMING_CONFLUENT_HEADER;
}

/* The bytes decide; where they do not, what this catalog itself writes. */
static enum wire guess(struct catalog *c, struct span value, struct span event_name) {
  if (value_begins(value, "\xC3\x01", 2)) return WIRE_AVRO;
  if (writes_bare(c) && event_name.len) return WIRE_AVRO;
  if (value_begins(value, "\0", 1) && value.len >= SCHEMA_ID_BYTES)
    return value_begins(json_of(value), "{", 1) && json_scan(&c->doc, json_of(value), NULL) == ST_OK
               ? WIRE_JSON
               : WIRE_CONFLUENT;
  return value_begins(span_trim(value), "{", 1) ? WIRE_JSON : WIRE_AVRO;
}

enum status catalog_decode(struct catalog *c, struct span value, struct span content_type,
                           struct span event_name, struct buffer *out, struct error *err) {
  enum wire wire = wire_of(content_type);
  uint64_t fingerprint = 0;
  if (wire == WIRE_UNKNOWN) wire = guess(c, value, event_name);
  if (wire == WIRE_JSON) return decode_json_value(c, value, out, err);
  if (wire == WIRE_CLOUDEVENT) return decode_cloudevent(c, value, out, err);
  if (wire == WIRE_CONFLUENT) return decode_confluent(c, value, out, err);
  bool framed = value_begins(value, "\xC3\x01", 2) && value.len >= CATALOG_HEAD;
  struct writer w = framed ? by_fingerprint(c, value, &fingerprint) : (struct writer){0};
  if (w.schema) return decode_avro(c, w, value, CATALOG_HEAD, out, err);
  /* Raw Avro may begin with C3 01 by chance, but only where raw is what is written. */
  if (framed && !(writes_bare(c) && event_name.len))
    return error_set(err, ST_NOT_FOUND,
                     "no schema with the fingerprint %016llx: it was written by another schema",
                     (unsigned long long)fingerprint);
  if (!event_name.len)
    return error_set(err, ST_INVALID,
                     "byte 0: neither JSON nor framed Avro, and raw Avro needs the event's name");
  return decode_avro(c, writer_of(c, event_name), value, 0, out, err);
}
