/* Encodes payloads for nobody, and reads off what their schemas had no place for.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/unplaced.h"

enum status unplaced_open(const struct plan *plan, struct catalog **out, struct error *err) {
  struct plan own = *plan;
  own.catalog.unknown_fields = UNKNOWN_DROP;
  own.catalog.refuse_names = false;
  return plan_catalog(&own, NULL, out, err);
}

void unplaced_meet(struct catalog *c, struct span name, const struct json_doc *doc,
                   uint32_t payload) {
  struct buffer record = {0};
  const struct event event = {.payload = payload, .created_us = TIME_NONE};
  enum reason reason = catalog_encode(c, doc, &event, name, 0, &record, NULL);
  (void)reason; /* what is refused has met none */
  buffer_release(&record);
}

bool unplaced_at(struct catalog *c, struct span name, size_t n, struct span *path,
                 uint64_t *count) {
  struct catalog_schema schema;
  size_t i = 0;
  while (catalog_schema_at(c, i, &schema) && !span_is(name, schema.event_name)) i++;
  return catalog_left_out(c, i, n, path, count);
}

void unplaced_write(struct catalog *c, struct span name, struct buffer *json) {
  struct span path;
  uint64_t count;
  buffer_add_char(json, '[');
  for (size_t n = 0; unplaced_at(c, name, n, &path, &count); n++) {
    if (n) buffer_add_z(json, ", ");
    json_write_string(json, path);
  }
  buffer_add_char(json, ']');
}
