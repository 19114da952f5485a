/* backoff.h - how long to wait before the next try: base doubling to max, plus up to jitter. Pure.
 */
#ifndef BRIDGE_BASE_BACKOFF_H
#define BRIDGE_BASE_BACKOFF_H

#include "bridge/base/clock.h"

struct backoff {
  int64_t base_ms, max_ms, jitter_ms;
};
/* Wait before try number `tries` + 1 when `tries` (>= 1) have failed: min(base * 2^(tries-1), max)
 * + random 0..jitter.
 */
int64_t backoff_delay_ms(const struct backoff *b, unsigned tries, const struct clock *c);

#endif
