/* stuck_manifests.h - manifests that the file system refuses to rename or remove, each by itself
 * (immutable, mounted on). Nothing waits for them: what they list is settled, or was never
 * committed, and a start that meets them again does the same once more. They are named, tried again
 * each flush.interval, and at most STUCK_MOST: then the next one is waited for.
 *
 * Kept in memory alone, since each start meets them in the folder. Lock: relay.lock, taken here. P,
 * F.
 */
#ifndef BRIDGE_RELAY_STUCK_MANIFESTS_H
#define BRIDGE_RELAY_STUCK_MANIFESTS_H

#include "bridge/outbox/manifest.h"

#define STUCK_MOST 100

struct relay;

struct stuck {
  struct manifest_name names[STUCK_MOST];
  size_t count;
};
/* manifest_settle and manifest_remove. ST_OK: done, or it is stuck and counts no more; settle tells
 * which by name->settled. Any other: it is not this file alone that cannot be changed. */
MUST_CHECK enum status stuck_settle(struct relay *r, struct manifest_name *name, struct error *err);
MUST_CHECK enum status stuck_remove(struct relay *r, const struct manifest_name *name,
                                    struct error *err);
void stuck_tend(struct relay *r); /* F, once what an earlier run left is settled */

#endif
