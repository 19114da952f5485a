/* same.h - is an entry the event that was published before? Its id may be another since: settings
 * that lift an event out of its envelope, or do not, change it. Any thread.
 */
#ifndef BRIDGE_EVENT_SAME_H
#define BRIDGE_EVENT_SAME_H

#include "bridge/event/event.h"

struct published {  /* as it was when it was published */
  struct span id;   /* not empty */
  uint64_t content; /* event_content; 0: not known, and then the id alone decides */
};
enum sameness {
  ANOTHER_EVENT,
  SAME_EVENT, /* read by other settings too: then it has that id and content when read by those */
  SAME_ID     /* with another content: a duplicate by its id */
};
/* doc was read as e with that lifting (event_read, typed: event_read_typed). What has the id only
 * beside its own, as the message around it or the event within, was another one unless its content
 * says otherwise: whoever uses a message's id twice published one of the two. */
enum sameness event_same(const struct json_doc *doc, const struct event *e,
                         const struct event_lifting *lifting, bool typed, struct arena *arena,
                         const struct published *was);

#endif
