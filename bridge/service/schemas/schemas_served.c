/* The schemas by which a running worker writes and wrote, for whoever has a record's fingerprint.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/escape.h"
#include "bridge/service/operations.h"
#include "bridge/service/schemas/schemas_parts.h"

struct walk {
  bool frozen;
  size_t i;
};

/* Those in force, then the frozen ones. */
static bool next_schema(const struct catalog *c, struct walk *w, struct catalog_schema *out) {
  if (!w->frozen && catalog_schema_at(c, w->i++, out)) return true;
  if (!w->frozen) *w = (struct walk){.frozen = true};
  return catalog_frozen(c, (struct span){0}, w->i++, out);
}

static void write_head(const struct catalog_schema *schema, struct buffer *json, bool *first) {
  member_text(json, first, "event", span_of(schema->event_name));
  schemas_write_fingerprint(schema, json, first);
  if (schema->number)
    member_int(json, first, "frozen", schema->number);
  else
    member_text_or_null(json, first, "frozen", (struct span){0});
}

enum status service_schemas(struct service *s, struct buffer *json, struct error *err) {
  struct catalog_schema schema;
  buffer_add_z(json, "{\"version\": 1, \"schemas\": [");
  struct walk walk = {0};
  for (bool some = false; next_schema(s->catalog, &walk, &schema); some = true) {
    bool first = true;
    buffer_add_z(json, some ? ", {" : "{");
    write_head(&schema, json, &first);
    member_int(json, &first, "fields", (int64_t)schema.fields);
    member_text(json, &first, "file", span_of(schema.file));
    buffer_add_char(json, '}');
  }
  buffer_add_z(json, "]}");
  return buffer_status(json, err);
}

/* 16 hex digits, in either case. */
static bool read_hex(const char *text, uint64_t *out) {
  *out = 0;
  for (size_t i = 0; i < 16; i++) {
    int digit = hex_value(text[i]);
    if (digit < 0) return false;
    *out = *out << 4 | (unsigned)digit;
  }
  return text[16] == '\0';
}

static bool find_print(const struct catalog *c, uint64_t print, struct catalog_schema *out) {
  struct walk walk = {0};
  while (next_schema(c, &walk, out))
    if (out->fingerprint == print) return true;
  return false;
}

enum status service_schema(struct service *s, const char *fingerprint, struct buffer *json,
                           struct error *err) {
  struct catalog_schema schema;
  struct buffer text = {0};
  uint64_t print;
  bool first = true;
  if (!read_hex(fingerprint, &print))
    return error_set(err, ST_INVALID, "A fingerprint is 16 hex digits, not %.40s", fingerprint);
  if (!find_print(s->catalog, print, &schema) &&
      !find_print(s->catalog, __builtin_bswap64(print), &schema))
    return error_set(err, ST_NOT_FOUND,
                     "No schema here has the fingerprint %s, nor is it the bytes of one; it may be "
                     "another worker's, or was not frozen before it was changed",
                     fingerprint);
  enum status st = catalog_whole_text(s->catalog, schema.text, &text, err);
  if (st == ST_OK) {
    buffer_add_char(json, '{');
    member_int(json, &first, "version", 1);
    write_head(&schema, json, &first);
    json_write_key(json, &first, "schema");
    buffer_add(json, span_trim(buffer_span(&text)));
    buffer_add_char(json, '}');
  }
  buffer_release(&text);
  return st == ST_OK ? buffer_status(json, err) : st;
}
