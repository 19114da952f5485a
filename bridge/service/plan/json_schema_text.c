/* Writes one schema as JSON Schema.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/plan/json_schema_text.h"

#include "bridge/service/unplaced.h"

enum status json_schema_of(const struct plan *plan, const struct catalog *catalog,
                           const struct routing *routing, size_t i, const struct catalog_json *form,
                           struct buffer *out, struct buffer *named, struct error *err) {
  struct catalog_schema schema;
  struct catalog_json own = *form;
  const char *by;
  if (!catalog_schema_at(catalog, i, &schema)) return ST_OK;
  if (schema.whole) {
    buffer_add_z(out, "{\"title\": \"" JSON_SCHEMA_ANY "\", \"type\": \"object\"}");
    return buffer_status(out, err);
  }
  own.refuse = unplaced_policy(plan, routing, span_of(schema.event_name), &by) == UNKNOWN_REFUSE;
  return catalog_json_schema(catalog, i, &own, out, named, err);
}

enum status json_schema_text(const struct plan *plan, const struct catalog *catalog,
                             const struct routing *routing, size_t i, struct buffer *out,
                             struct error *err) {
  const struct catalog_json form = {.root = "#", .place = "#/$defs/", .before = ""};
  struct buffer own = {0}, named = {0};
  enum status st = json_schema_of(plan, catalog, routing, i, &form, &own, &named, err);
  buffer_add_z(out, JSON_SCHEMA_BEGIN);
  if (own.len > 1) buffer_printf(out, ", %.*s", (int)own.len - 2, buffer_z(&own) + 1);
  if (named.len) buffer_printf(out, ", \"$defs\": {%s}", buffer_z(&named));
  buffer_add_char(out, '}');
  buffer_release(&own);
  buffer_release(&named);
  return st == ST_OK ? buffer_status(out, err) : st;
}
