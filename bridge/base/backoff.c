/* The base, doubled for each further try up to the limit, plus a random part of the jitter; it
 * cannot overflow.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/backoff.h"

int64_t backoff_delay_ms(const struct backoff *b, unsigned tries, const struct clock *c) {
  int64_t wait = b->base_ms;
  for (unsigned i = 1; i < tries && wait > 0 && wait < b->max_ms; i++) {
    if (wait > b->max_ms / 2)
      wait = b->max_ms; /* doubling might not fit */
    else
      wait *= 2;
  }
  if (wait > b->max_ms) wait = b->max_ms;
  if (b->jitter_ms > 0) wait += (int64_t)(c->random(c->ctx) % ((uint64_t)b->jitter_ms + 1));
  return wait;
}
