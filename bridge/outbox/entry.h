/* entry.h - what an outbox holds: entries, each on a shelf and named there by a token. Part of the
 * contract of a store (store.h), whatever it keeps them in.
 */
#ifndef BRIDGE_OUTBOX_ENTRY_H
#define BRIDGE_OUTBOX_ENTRY_H

#include "bridge/event/event.h"

/* Where entries stand: those that wait, dead letters, and published ones that are kept. */
enum shelf { SHELF_PENDING, SHELF_DEAD, SHELF_SENT };

/* Which entry it is: shelf and token name it, and survive a restart. */
#define TOKEN_MOST 272
struct entry_ref {
  enum shelf shelf;
  /* The store's own and opaque: printable, terminated, at most TOKEN_MOST bytes; no other entry of
   * its shelf has it. A number will do. With another shelf an entry may get another token. */
  struct span token;
  /* By which people know it, in the log and in lists; at most TOKEN_MOST bytes. A move keeps it
   * where it can; behind store_shelf_words it tells the entry from all others. */
  struct span label;
  struct span id;     /* empty: it has none */
  uint64_t content;   /* event_content of what was read, 0 = not known */
  int64_t arrived_ns; /* wall time, kept by every move: the order of arrival */
  uint64_t number; /* of a kind whose entries have one, 1 and up: then this is the order of arrival,
                      whatever the times say, and kept by every move. 0: it has none */
  int64_t since_ms; /* wall time: as it is, it was not there before; what Kafka holds of an earlier
                       time is of another one */
  uint64_t own[4];  /* the store's own, opaque: which version of it was read; all 0: not known */
};

struct entry {
  struct entry_ref ref;
  uint64_t generation;
  struct span text;    /* the bytes read; empty when reason is REASON_TOO_LARGE */
  struct json_doc doc; /* of text */
  struct event event;
  enum reason reason; /* REASON_NONE, or why it can never be published: settle it by store_dead */
  const char *error;  /* words for it ("byte 17: ..."), or NULL */
};

/* Why an entry was refused, or died. */
struct failure {
  enum reason reason; /* REASON_NONE for a retry whose cause has no word yet */
  const char *error;  /* last_error, in words */
  int error_code;     /* librdkafka's, 0 = none */
  const char *topic;  /* NULL = not routed */
  unsigned attempts;  /* counted, this one included */
  int64_t failed_us;
};

struct store;
/* In front of a label, where the shelf is to be told, too: "" of most that wait. Static. */
const char *store_shelf_words(const struct store *s, enum shelf shelf, struct span token);
/* The same of where an entry will stand when it is a dead letter. */
const char *store_dead_words(const struct store *s, const struct entry_ref *ref);
/* Where an editor finds its bytes, appended to out (of raw ones, operators.h, with raw); nothing
 * where the kind keeps them in no such place. */
void store_whereabouts(const struct store *s, enum shelf shelf, const char *token, bool raw,
                       struct buffer *out);

#endif
