/* The schemas as JSON Schema: one with the types that it names, or all of them.
 * One thread; a crash leaves nothing. */
#include "bridge/service/operations.h"
#include "bridge/service/schemas/schemas_parts.h"
#include "bridge/service/unplaced.h"

/* Are members of that event refused that its schema has no place for? */
static bool refuses(const struct schemas *s, struct span event) {
  const char *by;
  return unplaced_policy(&s->plan, s->routing, event, &by) == UNKNOWN_REFUSE;
}

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

static enum status write_json_schema(const struct schemas *s, size_t i,
                                     const struct catalog_json *form, struct buffer *out,
                                     struct buffer *named, struct error *err) {
  struct catalog_schema schema;
  struct catalog_json own = *form;
  if (!catalog_schema_at(s->catalog, i, &schema)) return ST_OK;
  own.refuse = refuses(s, span_of(schema.event_name));
  return catalog_json_schema(s->catalog, i, &own, out, named, err);
}

static void begin(struct buffer *out) {
  buffer_add_z(out, "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\"");
}

static enum status write_one(const struct schemas *s, size_t i, struct buffer *out,
                             struct error *err) {
  const struct catalog_json form = {.root = "#", .place = "#/$defs/", .before = ""};
  struct buffer own = {0}, named = {0};
  enum status st = write_json_schema(s, i, &form, &own, &named, err);
  begin(out);
  if (own.len > 1) buffer_printf(out, ", %.*s", (int)own.len - 2, buffer_z(&own) + 1);
  if (named.len) buffer_printf(out, ", \"$defs\": {%s}", buffer_z(&named));
  buffer_add_char(out, '}');
  buffer_release(&own);
  buffer_release(&named);
  return st;
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
  enum status st = write_json_schema(s, i, &form, out, &named, err);
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
  begin(out);
  buffer_add_z(out, ", \"$defs\": {");
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
  if (st == ST_OK) st = event.len ? write_one(s, i, out, err) : write_all(s, out, err);
  return st == ST_OK ? buffer_status(out, err) : st;
}
