/* Reads off settings and routes how events are framed.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/plan/framings.h"

bool plan_framing(const struct plan *plan, const struct routing *routing, struct span name,
                  enum framing *framing, enum subject_naming *naming) {
  enum subject_naming said;
  if (!routing_framing_of(routing, name, framing, &said)) return false;
  if (*framing == FRAMING_AUTO) *framing = plan->catalog.framing;
  if (naming) *naming = said == SUBJECT_AUTO ? plan->subject : said;
  return true;
}

bool plan_needs_schemas(const struct plan *plan, const struct routing *routing) {
  struct topic_use use;
  bool needs = false;
  for (size_t i = 0; !needs && routing_pattern(routing, i, &use); i++) {
    enum framing framing;
    needs = plan_framing(plan, routing, use.pattern, &framing, NULL) && !framing_is_json(framing);
  }
  return needs;
}
