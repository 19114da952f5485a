/* order_rules.h - topics and key rules as they were when this outbox was published last: what
 * changed, while events of it are pending. Private to bridge/service.
 *
 * Events of one key keep their order as long as both stay: with another topic or key, those that
 * wait and those that went may lie in two partitions. What held last is a note of the outbox
 * (NOTE_ORDER), written when a worker starts.
 */
#ifndef BRIDGE_SERVICE_CHANGES_ORDER_RULES_H
#define BRIDGE_SERVICE_CHANGES_ORDER_RULES_H

#include "bridge/base/log.h"
#include "bridge/outbox/store.h"
#include "bridge/routing/routing.h"

/* "order: its key was order_id and is customer_id, while 12 of its events are pending". */
typedef void (*order_change_fn)(void *ctx, struct span ns, const char *words);
/* Tells each namespace with pending events whose topic or key is another than the note has, and
 * *changed: whether the note differs at all (or is not there yet). Reads the oldest 10,000 entries,
 * and only where something changed. Any process. */
MUST_CHECK enum status order_rules_compare(struct store *s, const struct routing *r,
                                           order_change_fn tell, void *ctx, bool *changed,
                                           struct error *err);
/* The note, anew: the owner alone. */
MUST_CHECK enum status order_rules_write(struct store *s, const struct routing *r,
                                         struct error *err);
/* Both, at the start of a worker: what changed is told in the log. */
void order_rules_keep(struct store *s, const struct routing *r, struct log *log);

#endif
