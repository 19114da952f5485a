/* trace.h - inside bridge/event only: the trace context of an entry (W3C Trace Context). */
#ifndef BRIDGE_EVENT_TRACE_H
#define BRIDGE_EVENT_TRACE_H

#include "bridge/event/event.h"

struct trace {
  struct span parent, state; /* slices of the text, or empty */
};
/* The first that is valid: of payload.metadata, then beside the payload, then of the entry's member
 * headers. The state is that which stands beside its parent. Nodes are JSON_NONE where there is
 * none; payload is an object. */
struct trace trace_read(const struct json_doc *doc, uint32_t payload, uint32_t traceparent,
                        uint32_t headers);

#endif
