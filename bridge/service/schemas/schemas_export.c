/* The schemas as JSON Schema: one with the types that it names, or all of them.
 * One thread; a crash leaves nothing. */
#include "bridge/service/operations.h"
#include "bridge/service/plan/json_schema_text.h"
#include "bridge/service/schemas/schemas_parts.h"

void schemas_key(struct span event, struct buffer *out) {
  for (size_t i = 0; i < event.len; i++) {
    unsigned char c = (unsigned char)event.ptr[i];
    bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '.' ||
                 c == '-' || c == '_';
    if (plain)
      buffer_add_char(out, (char)c);
    else
      buffer_printf(out, "_%02x", c);
  }
}

enum status schemas_write_among(const struct schemas *s, size_t i, const char *place,
                                struct buffer *out, struct error *err) {
  struct catalog_schema schema;
  struct buffer root = {0}, before = {0}, named = {0};
  if (!catalog_schema_at(s->catalog, i, &schema)) return ST_OK;
  buffer_add_z(&root, place);
  schemas_key(span_of(schema.event_name), &root);
  schemas_key(span_of(schema.event_name), &before);
  buffer_printf(out, "\"%s\": ", buffer_z(&before));
  buffer_add_char(&before, '-');
  const struct catalog_json form = {
      .root = buffer_z(&root), .place = place, .before = buffer_z(&before)};
  enum status st = json_schema_of(&s->plan, s->catalog, s->routing, i, &form, out, &named, err);
  if (named.len) buffer_printf(out, ", %s", buffer_z(&named));
  buffer_release(&root);
  buffer_release(&before);
  buffer_release(&named);
  return st;
}

static enum status write_all(const struct schemas *s, struct buffer *out, struct error *err) {
  struct catalog_schema schema;
  enum status st = ST_OK;
  bool first = true;
  buffer_add_z(out, JSON_SCHEMA_BEGIN ", \"$defs\": {");
  for (size_t i = 0; st == ST_OK && catalog_schema_at(s->catalog, i, &schema); i++) {
    if (schema.whole) continue;
    if (!first) buffer_add_z(out, ", ");
    first = false;
    st = schemas_write_among(s, i, "#/$defs/", out, err);
  }
  buffer_add_z(out, "}}");
  return st;
}

enum status schemas_json_schema(struct schemas *s, struct span event, struct buffer *out,
                                struct error *err) {
  size_t i = 0;
  enum status st = event.len ? schemas_index(s, event, &i, err) : ST_OK;
  if (st == ST_OK && event.len)
    st = json_schema_text(&s->plan, s->catalog, s->routing, i, out, err);
  if (st == ST_OK && !event.len) st = write_all(s, out, err);
  return st == ST_OK ? buffer_status(out, err) : st;
}
