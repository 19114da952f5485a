/* fits.h - would an entry be published now, by the schemas and routes there are? Private to
 * bridge/service. */
#ifndef BRIDGE_SERVICE_FITS_H
#define BRIDGE_SERVICE_FITS_H

#include "bridge/service/operations.h"

/* text: a whole entry; typed: in the form of the older typed bus. catalog: of plan_catalog, the
 * caller's own. REASON_NONE: it fits; else why it would die, err with the place. REASON_NO_MEMORY:
 * it cannot be told. */
enum reason fits_now(const struct service *s, struct catalog *catalog, struct span text, bool typed,
                     struct error *err);

#endif
