/* Encodes payloads for nobody, and reads off what their schemas had no place for.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/unplaced.h"

#include "bridge/service/plan/framings.h"

enum status unplaced_open(const struct plan *plan, struct catalog **out, struct error *err) {
  struct plan own = *plan;
  own.catalog.unknown_fields = UNKNOWN_DROP;
  own.catalog.refuse_names = false;
  return plan_catalog(&own, NULL, out, err);
}

enum reason unplaced_meet(struct catalog *c, const struct plan *plan, const struct routing *routing,
                          struct span name, const struct json_doc *doc, uint32_t payload,
                          struct error *err) {
  struct buffer record = {0};
  const char *by;
  struct catalog_way way = {.framing = FRAMING_SINGLE_OBJECT, .trial = true};
  if (plan_framing(plan, routing, name, &way.framing, NULL) && framing_needs_id(way.framing) &&
      unplaced_policy(plan, routing, name, &by) == UNKNOWN_REFUSE)
    way.framing = FRAMING_SINGLE_OBJECT; /* all are met, whole payload or not */
  catalog_way(c, &way);
  const struct event event = {.payload = payload, .created_us = TIME_NONE};
  enum reason reason = catalog_encode(c, doc, &event, name, 0, &record, err);
  buffer_release(&record);
  return reason;
}

bool unplaced_at(struct catalog *c, struct span name, size_t n, struct span *path,
                 uint64_t *count) {
  struct catalog_schema schema;
  size_t i = 0;
  while (catalog_schema_at(c, i, &schema) && !span_is(name, schema.event_name)) i++;
  return catalog_left_out(c, i, n, path, count);
}

enum unknown_fields unplaced_policy(const struct plan *plan, const struct routing *r,
                                    struct span name, const char **by) {
  struct route_reasons reasons;
  routing_reasons(r, name, &reasons);
  struct span said = reasons.value[ROUTE_UNKNOWN_FIELDS];
  *by = said.len ? reasons.by[ROUTE_UNKNOWN_FIELDS] : "encoding.unknown_fields";
  if (!said.len) return plan->catalog.unknown_fields;
  return span_is(said, "refuse") ? UNKNOWN_REFUSE
         : span_is(said, "drop") ? UNKNOWN_DROP
                                 : UNKNOWN_CARRY;
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

bool unplaced_whole(const struct plan *plan, const struct routing *routing, struct span name) {
  enum framing framing;
  return plan_framing(plan, routing, name, &framing, NULL) && framing_is_json(framing);
}
