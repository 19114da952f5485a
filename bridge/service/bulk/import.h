/* import.h - the way back from what a purge exported: copies become dead letters again. Needs
 * CHANGE or RELAY. Any thread. */
#ifndef BRIDGE_SERVICE_BULK_IMPORT_H
#define BRIDGE_SERVICE_BULK_IMPORT_H

#include "bridge/service/service.h"

/* lines: of service_bulk_entries, one a line; all that tell of one dead letter stand behind each
 * other. Each by itself: one that is there already, or cannot be one, stops no other. One line in
 * the audit.
 * {"version":1,"imported":N,"there":N,"failed":N,"errors":["..", at most 10]}
 * ST_NO_SPACE, ST_UNAVAILABLE, ST_NO_MEMORY: it cannot go on now; what was done is there. */
MUST_CHECK enum status service_import(struct service *s, struct span lines, const struct caller *by,
                                      struct buffer *json, struct error *err);

#endif
