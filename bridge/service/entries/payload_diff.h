/* payload_diff.h - what differs between two payloads, in words. Pure; one thread. Private to
 * bridge/service. */
#ifndef BRIDGE_SERVICE_ENTRIES_PAYLOAD_DIFF_H
#define BRIDGE_SERVICE_ENTRIES_PAYLOAD_DIFF_H

#include "bridge/base/span.h"

/* "payload.score: \"A\" -> 1.5; payload.extra: gone; payload.new: {\"a\": 1}": a part for each
 * value that is another, values cut to 80 characters. Texts that are not JSON: by their lengths. */
void payload_diff(struct span before, struct span after, struct buffer *out);

#endif
