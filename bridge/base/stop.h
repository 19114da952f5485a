/* stop.h - a sleep that a stop ends. For threads that have nothing to be woken by: who has a
 * condition or a descriptor waits for that.
 */
#ifndef BRIDGE_BASE_STOP_H
#define BRIDGE_BASE_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* Whether to end is asked for, from the thread that sleeps; it stays asked. */
struct stop {
  bool (*asked)(void *ctx);
  void *ctx;
};
/* stop NULL, or {0}: nobody asks. */
bool stop_asked(const struct stop *stop);

/* Real time, by the monotonic clock; stop is looked at before, and then some 50 times a second.
 * False: it is asked. */
bool sleep_ms(int64_t ms, const struct stop *stop);

#endif
