/* census.h - how many dead letters there are of each namespace and reason: dlq_events. Private to bridge/service.
 *
 * A thread of its own (RELAY) reads them once, at the start; then dead_total adds and census_left takes away. When the
 * sum is not what the store says lies in dlq/ (somebody else's hand, a move that came between), they are read again,
 * with long rests in between. Any thread, but for open and close.
 */
#ifndef BRIDGE_SERVICE_CENSUS_H
#define BRIDGE_SERVICE_CENSUS_H

#include "bridge/service/service.h"

struct census;
struct census_parts {
  struct store *store;
  const struct routing *routing;
  struct metrics *metrics;
  const struct clock *clock;
};
/* NULL where memory or a thread is not to be had: dlq_events are then not shown. */
struct census *census_open(const struct census_parts *parts, bool thread);
void census_close(struct census *c);
/* One left dlq/, for pending or for good. */
void census_left(struct census *c, struct span name, struct span reason);
/* Sets the gauges. Without a thread it reads them now. dead: what the store says lies in dlq/. */
void census_show(struct census *c, uint64_t dead);

#endif
