/* breaker.h - a closed door stays closed until one entry got through: for Kafka as a whole, and for
 * each topic.
 *
 *            trouble                        due: a fresh scan, generation P
 *   CLOSED ------------> OPEN ------------------------------------------------> PROBING
 *     ^                   ^                        trouble                          |
 *     |                   +---------------------------------------------------------+
 *     |     worked: a fresh scan, generation G; what an older one brought goes back |
 *     +-----------------------------------------------------------------------------+
 *
 * While OPEN nothing passes. While PROBING the first entry of generation P or later passes alone.
 * Once CLOSED again, entries of generations before G go back as held: the fresh scan brings them in
 * order. Owned by the publisher thread.
 */
#ifndef BRIDGE_RELAY_BREAKER_H
#define BRIDGE_RELAY_BREAKER_H

#include "bridge/relay/relay.h"

struct breaker {
  enum breaker_state state;
  uint64_t from;    /* least generation that passes (PROBING, CLOSED) */
  bool probe_sent;  /* PROBING */
  unsigned tries;   /* troubles in a row */
  int64_t due_ms;   /* OPEN: when to probe, monotonic */
  int64_t since_us; /* wall time of the first trouble */
  char reason[256];
};

/* May an entry of this generation pass? Once it was handed over: breaker_sent. */
bool breaker_passes(const struct breaker *b, uint64_t generation);
void breaker_sent(struct breaker *b);
/* What was handed over says nothing about this door (its transaction was aborted for another's
 * sake, it was refused for its own): the next one is the probe. */
void breaker_unsent(struct breaker *b);
/* wait: how long to stay OPEN, by the number of troubles in a row. Returns true when the door was
 * not closed before. */
bool breaker_trouble(struct breaker *b, const struct backoff *wait, const struct clock *clock,
                     const char *reason);
/* Something got through, or there was nothing to try it with: what the fresh scan of that
 * generation brings passes again. */
void breaker_reopen(struct breaker *b, uint64_t generation);
/* OPEN and due: true; the caller asks for a fresh scan and tells by breaker_probe. */
bool breaker_due(const struct breaker *b, const struct clock *clock);
void breaker_probe(struct breaker *b, uint64_t generation);

#endif
