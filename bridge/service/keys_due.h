/* keys_due.h - the outbox as the place where keys wait that Redis cannot be told now: what
 * bridge/keys asks for, answered by bridge/outbox/keys_due.h. Private to bridge/service.
 */
#ifndef BRIDGE_SERVICE_KEYS_DUE_H
#define BRIDGE_SERVICE_KEYS_DUE_H

#include "bridge/keys/keys.h"
#include "bridge/outbox/store.h"

/* s outlives the keys that it is given to. */
struct keys_due keys_due_in(struct store *s);

#endif
