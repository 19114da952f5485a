/* The state of one door, changed only by the moves that breaker.h draws.
 * The publisher's thread; a crash leaves nothing. */
#include "bridge/relay/publish/breaker.h"

/* The only place that changes the state; moves that the drawing lacks are bugs. */
static void move_to(struct breaker *b, enum breaker_state next) {
  static const bool allowed[3][3] = {
      [BREAKER_CLOSED] = {[BREAKER_OPEN] = true},
      [BREAKER_OPEN] = {[BREAKER_OPEN] = true, [BREAKER_PROBING] = true, [BREAKER_CLOSED] = true},
      [BREAKER_PROBING] = {[BREAKER_OPEN] = true, [BREAKER_CLOSED] = true},
  };
  BUG_ON(!allowed[b->state][next]);
  b->state = next;
}

bool breaker_passes(const struct breaker *b, uint64_t generation) {
  if (b->state == BREAKER_OPEN || generation < b->from) return false;
  return b->state == BREAKER_CLOSED || !b->probe_sent;
}

void breaker_sent(struct breaker *b) {
  if (b->state == BREAKER_PROBING) b->probe_sent = true;
}

void breaker_unsent(struct breaker *b) {
  if (b->state == BREAKER_PROBING) b->probe_sent = false;
}

bool breaker_trouble(struct breaker *b, const struct backoff *wait, const struct clock *clock,
                     const char *reason) {
  bool first = b->state == BREAKER_CLOSED;
  if (b->state == BREAKER_OPEN) return false; /* others that were under way with the first one */
  if (first) {
    b->since_us = clock_wall_us(clock);
    b->tries = 0;
  }
  b->tries++;
  b->due_ms = clock_mono_ms(clock) + backoff_delay_ms(wait, b->tries, clock);
  snprintf(b->reason, sizeof b->reason, "%s", reason);
  move_to(b, BREAKER_OPEN);
  return first;
}

void breaker_reopen(struct breaker *b, uint64_t generation) {
  move_to(b, BREAKER_CLOSED);
  b->from = generation;
  b->tries = 0;
}

bool breaker_due(const struct breaker *b, const struct clock *clock) {
  return b->state == BREAKER_OPEN && clock_mono_ms(clock) >= b->due_ms;
}

void breaker_probe(struct breaker *b, uint64_t generation) {
  move_to(b, BREAKER_PROBING);
  BUG_ON(generation < b->from);
  b->from = generation;
  b->probe_sent = false;
}
