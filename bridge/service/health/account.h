/* account.h - does what the metrics say add up? Private to bridge/service.
 *
 *   pending at the beginning + found + replayed = published + duplicate + dead + vanished + pending
 * now
 *
 * all but the two pendings as growth since the account began. The store counts what comes, leaves
 * and lies there; the relay, on its own, what became of each entry: a relay that forgets or doubles
 * one does not balance. The account is kept in .busbridge/metrics over clean ends; after an unclean
 * one (kill -9, power loss) a new one begins with what the first whole listing found, since
 * counters of the last seconds are lost; totals go on. An outbox without figures begins with 0
 * pending. Any thread, except for open and close.
 */
#ifndef BRIDGE_SERVICE_HEALTH_ACCOUNT_H
#define BRIDGE_SERVICE_HEALTH_ACCOUNT_H

#include "bridge/service/operations.h"

struct account {
  bool known; /* false: the next start begins one, or this one has not listed the outbox yet */
  int64_t since_us; /* of all below */
  uint64_t pending_then, pending;
  uint64_t found, replayed, published, duplicate, dead, vanished; /* growth */
  int64_t missing; /* what the first two and pending_then have over the rest: 0 balances */
};

void account_open(struct service *s); /* the metrics are loaded, nothing runs yet */
/* Brings found_total, replayed_total and what vanished up to date. Before the metrics are shown or
 * saved. *seen (may be NULL): as service_count; false: it cannot be told. */
bool account_sync(struct service *s, struct store_counts *seen);
/* The same, and the terms. Entries on their way between two counters are waited for, so that what
 * is missing is. */
void account_read(struct service *s, struct account *out);
void account_end(struct service *s); /* nothing runs any more: the next start may go on with it */

#endif
