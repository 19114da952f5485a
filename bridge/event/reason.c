/* The table of reasons: word and remedy, the reason a word means, and the one a JSON fault becomes.
 * Any thread; a crash leaves nothing. */
#include "bridge/event/event.h"

static const struct {
  const char *word, *remedy;
} reasons[REASON_COUNT] = {
#define X(name, word, remedy) {word, remedy},
    REASON_TABLE(X)
#undef X
};

const char *reason_word(enum reason r) {
  return r < REASON_COUNT ? reasons[r].word : "no_memory";
}

const char *reason_remedy(enum reason r) {
  return r < REASON_COUNT ? reasons[r].remedy : "";
}

enum reason reason_from_word(struct span word) {
  for (unsigned r = 0; r < REASON_COUNT; r++)
    if (span_is(word, reasons[r].word)) return (enum reason)r;
  return REASON_NONE;
}

enum reason event_reason_of(enum json_fault fault) {
  switch (fault) {
  case JSON_OK: return REASON_NONE;
  case JSON_EMPTY: return REASON_EMPTY_FILE;
  case JSON_SYNTAX: return REASON_NOT_JSON;
  case JSON_NOT_A_NUMBER: return REASON_NOT_A_NUMBER;
  case JSON_LONE_SURROGATE: return REASON_LONE_SURROGATE;
  case JSON_INVALID_UTF8: return REASON_INVALID_UTF8;
  case JSON_DUPLICATE_KEY: return REASON_DUPLICATE_KEY;
  case JSON_TOO_DEEP: return REASON_TOO_DEEP;
  case JSON_NO_MEMORY: break;
  }
  return REASON_NO_MEMORY;
}
