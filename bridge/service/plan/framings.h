/* framings.h - how the events of the settings are framed: by their route, else as all. Private to
 * bridge/service. Any thread.
 */
#ifndef BRIDGE_SERVICE_PLAN_FRAMINGS_H
#define BRIDGE_SERVICE_PLAN_FRAMINGS_H

#include "bridge/service/plan/configure.h"

/* Events of that name, or pattern: never FRAMING_AUTO, SUBJECT_AUTO. naming may be NULL. False:
 * they are not published. */
bool plan_framing(const struct plan *plan, const struct routing *routing, struct span name,
                  enum framing *framing, enum subject_naming *naming);
/* Are there some whose schema is needed to read them? */
bool plan_needs_schemas(const struct plan *plan, const struct routing *routing);

#endif
