/* foresee.h - would an event be published, as far as that needs nobody else? For whoever tells it
 * before the relay does. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_PLAN_FORESEE_H
#define BRIDGE_SERVICE_PLAN_FORESEE_H

#include "bridge/service/plan/configure.h"

/* Routes and encodes it. REASON_NONE: it fits; *route is then whole, and so it is where topic_known
 * became true. Else err (may be NULL) has the place. The record is thrown away; what a schema had
 * no place for can be asked of the catalog. Spans of *route live in arena. */
enum reason foresee(const struct plan *plan, const struct routing *routing, struct catalog *catalog,
                    const struct json_doc *doc, const struct event *event, struct arena *arena,
                    struct route *route, bool *topic_known, struct error *err);

#endif
