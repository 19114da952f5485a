/* The tables: which fault or reason blames the event, its topic or the world, what follows from it,
 * and when a retry is due.
 * Any thread; a crash leaves nothing. */
#include "bridge/relay/causes/verdict.h"

enum blame verdict_of_fault(enum kafka_fault fault) {
  switch (fault) {
  case KAFKA_OK: return BLAME_NOBODY;
  case KAFKA_RECORD_TOO_LARGE: return BLAME_HOPELESS; /* our own limit: trying again cannot help */
  case KAFKA_RECORD_REFUSED: return BLAME_REFUSED;
  case KAFKA_CLOCK: return BLAME_TOPIC; /* its limits and our clock: the event has no part in it */
  case KAFKA_TOPIC_UNKNOWN: return BLAME_TOPIC;
  case KAFKA_TOPIC_DENIED: return BLAME_TOPIC;
  case KAFKA_QUEUE_FULL: return BLAME_WORLD;
  case KAFKA_UNREACHABLE: return BLAME_WORLD;
  case KAFKA_TIMED_OUT: return BLAME_WORLD;
  case KAFKA_NOT_ENOUGH_REPLICAS: return BLAME_WORLD;
  case KAFKA_AUTHENTICATION: return BLAME_WORLD;
  case KAFKA_COORDINATOR: return BLAME_WORLD;
  case KAFKA_FENCED: return BLAME_WORLD;
  case KAFKA_PURGED: return BLAME_WORLD;
  case KAFKA_FATAL: return BLAME_WORLD;
  case KAFKA_OTHER: return BLAME_WORLD; /* what we do not know never costs an event its life */
  }
  return BLAME_WORLD;
}

enum blame verdict_of_reason(enum reason reason) {
  switch (reason) {
  case REASON_NONE: return BLAME_NOBODY;
  case REASON_BROKER_REFUSED: return BLAME_REFUSED;
  case REASON_EMPTY_FILE:
  case REASON_NOT_JSON:
  case REASON_NOT_A_NUMBER:
  case REASON_LONE_SURROGATE:
  case REASON_INVALID_UTF8:
  case REASON_DUPLICATE_KEY:
  case REASON_TOO_DEEP:
  case REASON_TOO_LARGE:
  case REASON_NOT_OBJECT:
  case REASON_MISSING_ID:
  case REASON_BAD_ID:
  case REASON_MISSING_NAME:
  case REASON_BAD_NAME:
  case REASON_UNKNOWN_NAMESPACE:
  case REASON_UNKNOWN_EVENT:
  case REASON_BAD_KEY:
  case REASON_BAD_HEADER:
  case REASON_BAD_TIME:
  case REASON_BAD_PAYLOAD:
  case REASON_SCHEMA_MISMATCH:
  case REASON_INTEGER_RANGE:
  case REASON_HEADER_TOO_LARGE:
  case REASON_RECORD_TOO_LARGE:
  case REASON_CRASHES_WORKER: return BLAME_HOPELESS;
  case REASON_COUNT: break;
  }
  return BLAME_WORLD;
}

static enum reason reason_of_fault(enum kafka_fault fault) {
  if (fault == KAFKA_RECORD_TOO_LARGE) return REASON_RECORD_TOO_LARGE;
  return fault == KAFKA_RECORD_REFUSED ? REASON_BROKER_REFUSED : REASON_NONE;
}

struct verdict verdict_judge(enum kafka_fault fault, enum reason reason, unsigned attempts,
                             unsigned max_attempts) {
  enum blame blame = reason != REASON_NONE ? verdict_of_reason(reason) : verdict_of_fault(fault);
  if (reason == REASON_NONE) reason = reason_of_fault(fault);
  switch (blame) {
  case BLAME_NOBODY: return (struct verdict){OUTCOME_PUBLISHED, attempts + 1, REASON_NONE};
  case BLAME_HOPELESS: return (struct verdict){OUTCOME_DEAD, attempts + 1, reason};
  case BLAME_REFUSED:
    return (struct verdict){attempts + 1 >= max_attempts ? OUTCOME_DEAD : OUTCOME_RETRY,
                            attempts + 1, reason};
  case BLAME_TOPIC:
  case BLAME_WORLD: break;
  }
  return (struct verdict){OUTCOME_HELD, attempts, REASON_NONE};
}

#define LONGEST_US (INT64_C(300) * 1000000)

int64_t verdict_due_us(unsigned attempts, int64_t failed_us, int64_t now_us,
                       int64_t flush_interval_ms) {
  if (attempts == 0 || failed_us == TIME_NONE || failed_us > now_us) return now_us;
  int64_t wait = flush_interval_ms * 1000;
  for (unsigned i = 1; i < attempts && wait < LONGEST_US; i++) wait *= 2;
  return failed_us + (wait < LONGEST_US ? wait : LONGEST_US);
}
