/* Which members of published payloads had no place in their schema, by type: how many since the
 * account began, and by which paths since this worker did.
 * Any thread; a crash loses what came since the figures were last written. */
#include "bridge/service/health/unplaced.h"

#include "bridge/service/unplaced.h"

struct writing {
  struct service *s;
  struct buffer *json;
  bool first;
};

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
  if (w->s->catalog)
    unplaced_write(w->s->catalog, span_of(type), w->json);
  else
    buffer_add_z(w->json, "[]");
  buffer_add_char(w->json, '}');
}

void write_unplaced(struct service *s, struct buffer *json, bool *first) {
  struct writing w = {s, json, true};
  json_write_key(json, first, "unknown_fields");
  buffer_add_char(json, '[');
  metrics_each(s->metrics, METRIC_UNPLACED, write_type, &w);
  buffer_add_char(json, ']');
}
