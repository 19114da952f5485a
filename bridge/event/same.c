/* Is it the event that was published, whatever the settings are by now? Any thread; a crash leaves
 * nothing. */
#include "bridge/event/same.h"

/* As the other settings read it: lifted where it is not, and the other way round. */
static bool read_otherwise(const struct json_doc *doc, const struct event *e,
                           const struct event_lifting *lifting, struct arena *arena,
                           struct event *out) {
  struct event_lifting other = *lifting;
  other.flat_off = false;
  enum reason why =
      e->lifted ? event_parse(doc, arena, out, NULL) : event_read(doc, &other, arena, out, NULL);
  return why != REASON_NO_MEMORY && out->lifted != e->lifted;
}

enum sameness event_same(const struct json_doc *doc, const struct event *e,
                         const struct event_lifting *lifting, bool typed, struct arena *arena,
                         const struct published *was) {
  struct event other;
  if (span_eq(e->id, was->id))
    return was->content && event_content(doc, e) != was->content ? SAME_ID : SAME_EVENT;
  if (!event_goes_by(e, was->id)) return ANOTHER_EVENT;
  if (!was->content || !lifting) return SAME_EVENT; /* nothing tells */
  bool same = !typed && read_otherwise(doc, e, lifting, arena, &other) &&
              span_eq(other.id, was->id) && event_content(doc, &other) == was->content;
  return same ? SAME_EVENT : ANOTHER_EVENT;
}
