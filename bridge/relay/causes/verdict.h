/* verdict.h - what a cause means: whose fault it is, whether an attempt is counted, what becomes of
 * the entry (L18). Pure.
 *
 * One table (verdict.c) maps every cause to a class; PROTOCOL.md 6 gives the reasons. An outcome is
 * not an error: it is one of a closed list, switched without default.
 */
#ifndef BRIDGE_RELAY_CAUSES_VERDICT_H
#define BRIDGE_RELAY_CAUSES_VERDICT_H

#include "bridge/event/event.h"
#include "bridge/kafka/client.h"

enum blame {
  BLAME_NOBODY,   /* it worked */
  BLAME_HOPELESS, /* the event's own, for ever: dead at once */
  BLAME_REFUSED,  /* the broker refuses the event: counted, tried again, dead at dlq.max_attempts */
  BLAME_TOPIC,    /* its topic's: no attempt counted, that topic waits */
  BLAME_WORLD     /* everybody's: no attempt counted, everything waits */
};

enum outcome {
  OUTCOME_SEND,  /* on its way: no verdict yet */
  OUTCOME_WAITS, /* was refused before and is not due yet: its key waits, it is given back untouched
                  */
  OUTCOME_TWIN,  /* shares the fate of the entry with its id that is in hand */
  OUTCOME_PUBLISHED, /* acknowledged */
  OUTCOME_DUPLICATE, /* its id was published by another entry: taken out */
  OUTCOME_RETRY,     /* stays, one attempt more, not before a due time */
  OUTCOME_DEAD,      /* to dlq/ */
  OUTCOME_HELD       /* given back untouched: a later scan brings it again */
};

enum blame verdict_of_fault(enum kafka_fault fault);
enum blame verdict_of_reason(enum reason reason);

struct verdict {
  enum outcome outcome;
  unsigned attempts; /* counted from now on */
  enum reason reason;
};
/* attempts: those counted before. fault and reason: the cause; reason counts when it is not
 * REASON_NONE. */
struct verdict verdict_judge(enum kafka_fault fault, enum reason reason, unsigned attempts,
                             unsigned max_attempts);

/* When an entry that was refused may be tried again: failed_at plus flush.interval doubling (at
 * most 5 minutes), and at once when failed_at lies in the future, because then the clock was set
 * back. */
int64_t verdict_due_us(unsigned attempts, int64_t failed_us, int64_t now_us,
                       int64_t flush_interval_ms);

#endif
