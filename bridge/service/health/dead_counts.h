/* dead_counts.h - how many dead letters there are of each namespace and reason: dlq_events. Private
 * to bridge/service.
 *
 * A thread of its own (RELAY) reads them once, at the start; then dead_total adds and
 * dead_counts_left takes away. When the sum is not what the store says lies in dlq/ (somebody
 * else's hand, a move that came between), they are read again, with long rests in between. Any
 * thread, except for open and close.
 */
#ifndef BRIDGE_SERVICE_HEALTH_DEAD_COUNTS_H
#define BRIDGE_SERVICE_HEALTH_DEAD_COUNTS_H

#include "bridge/service/service.h"

struct dead_counts;
struct dead_counts_parts {
  struct store *store;
  const struct routing *routing;
  struct metrics *metrics;
  const struct clock *clock;
};
/* NULL where there is no memory or no thread for it: dlq_events are then not shown. */
struct dead_counts *dead_counts_open(const struct dead_counts_parts *parts, bool thread);
void dead_counts_close(struct dead_counts *c);
/* One left dlq/, for pending or for good. */
void dead_counts_left(struct dead_counts *c, struct span name, struct span reason);
/* Sets the gauges. Without a thread it reads them now. dead: what the store says lies in dlq/. */
void dead_counts_show(struct dead_counts *c, uint64_t dead);

#endif
