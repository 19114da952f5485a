/* settle_late.h - entries that were published before we came, as manifests name them: out of the
 * outbox by their ids, as many in one call as the store takes. Publisher's thread.
 */
#ifndef BRIDGE_RELAY_SETTLE_LATE_H
#define BRIDGE_RELAY_SETTLE_LATE_H

#include "bridge/outbox/manifest.h"

struct relay;
struct late {
  struct relay *relay;
  size_t gone; /* so many were still there, and are not any more */
  size_t count;
  const struct manifest_entry *entries[STORE_ROWS];
  struct settling rows[STORE_ROWS];
};
/* NULL: out of memory. To be freed. */
struct late *late_begin(struct relay *r, struct error *err);
/* One more, which stays where it is until late_end. Its key is set before it goes. One that alone
 * cannot be removed is set aside. ST_BUSY: the outbox is not ours any more. Any other: those before
 * it are as they were, or out. */
MUST_CHECK enum status late_add(struct late *l, const struct manifest_entry *e, struct error *err);
/* The rest of them, and with the last row the record of their batch, if closes names one. ST_OK
 * with a record that is not marked: a sync failed in this run (L11), or it is stuck. NULL: all of
 * it is durable. */
MUST_CHECK enum status late_end(struct late *l, struct manifest_name *closes, struct error *err);

#endif
