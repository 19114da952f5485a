/* Which members of published payloads had no place in their schema, by type: how many since the
 * account began, and by which paths since this worker did. */
#include "bridge/service/health/unplaced.h"

struct writing {
  struct service *s;
  struct buffer *json;
  bool first;
};

static void write_fields(const struct writing *w, const char *type) {
  struct catalog *c = w->s->catalog;
  struct catalog_schema schema;
  struct span path;
  uint64_t count;
  size_t i = 0;
  while (c && catalog_schema_at(c, i, &schema) && strcmp(schema.event_name, type) != 0) i++;
  for (size_t n = 0; c && catalog_left_out(c, i, n, &path, &count); n++) {
    if (n) buffer_add_z(w->json, ", ");
    json_write_string(w->json, path);
  }
}

static void write_type(void *ctx, const char *type, const char *none, uint64_t value) {
  struct writing *w = ctx;
  bool inner = true;
  (void)none;
  if (!value) return;
  buffer_add_z(w->json, w->first ? "{" : ", {");
  w->first = false;
  member_text(w->json, &inner, "type", span_of(type));
  member_int(w->json, &inner, "count", (int64_t)value);
  json_write_key(w->json, &inner, "fields");
  buffer_add_char(w->json, '[');
  write_fields(w, type);
  buffer_add_z(w->json, "]}");
}

void write_unplaced(struct service *s, struct buffer *json, bool *first) {
  struct writing w = {s, json, true};
  json_write_key(json, first, "unknown_fields");
  buffer_add_char(json, '[');
  metrics_each(s->metrics, METRIC_UNPLACED, write_type, &w);
  buffer_add_char(json, ']');
}
