/* unplaced.h - the members of payloads without a place in their schema, for health. Private to
 * bridge/service. */
#ifndef BRIDGE_SERVICE_HEALTH_UNPLACED_H
#define BRIDGE_SERVICE_HEALTH_UNPLACED_H

#include "bridge/service/operations.h"

/* "unknown_fields": [{type, count, fields: [paths]}]. Paths are the relay's; another process has
 * none. Any thread. */
void write_unplaced(struct service *s, struct buffer *json, bool *first);

#endif
