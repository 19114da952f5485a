/* The way of an event through routing and schemas, without an id of a registry.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/plan/foresee.h"

#include "bridge/service/plan/framings.h"

enum reason foresee(const struct plan *plan, const struct routing *routing, struct catalog *catalog,
                    const struct json_doc *doc, const struct event *event, struct arena *arena,
                    struct route *route, bool *topic_known, struct error *err) {
  struct buffer record = {0};
  enum reason reason = routing_route(routing, doc, event, arena, route, err);
  *topic_known = reason == REASON_NONE;
  if (reason != REASON_NONE) return reason;
  struct catalog_way way = {
      .unknown_fields = route->unknown_fields, .framing = FRAMING_AUTO, .trial = true};
  (void)plan_framing(plan, routing, route->name, &way.framing, NULL);
  catalog_way(catalog, &way);
  reason = catalog_encode(catalog, doc, event, route->name, 0, &record, err);
  if (reason == REASON_NONE && record.failed) reason = REASON_NO_MEMORY;
  buffer_release(&record);
  return reason;
}
