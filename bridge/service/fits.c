/* An entry is read, routed and encoded for nobody, as the relay would do it now.
 * Any thread, with a catalog of its own; a crash leaves nothing. */
#include "bridge/service/fits.h"

#include "bridge/service/plan/foresee.h"

enum reason fits_now(const struct service *s, struct catalog *catalog, struct span text, bool typed,
                     struct error *err) {
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct event event = {.payload = JSON_NONE};
  struct route route;
  bool topic_known;
  enum status st = json_scan(&doc, text, err);
  enum reason reason = st == ST_OK          ? REASON_NONE
                       : st == ST_NO_MEMORY ? REASON_NO_MEMORY
                                            : event_reason_of(doc.fault);
  if (reason == REASON_NONE)
    reason = typed ? event_read_typed(&doc, &s->lifting, &arena, &event, err)
                   : event_read(&doc, &s->lifting, &arena, &event, err);
  if (reason == REASON_NONE)
    reason =
        foresee(&s->plan, s->routing, catalog, &doc, &event, &arena, &route, &topic_known, err);
  arena_release(&arena);
  json_doc_release(&doc);
  return reason;
}
