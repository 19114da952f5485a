/* survey.h - everything that is in an outbox, and what belongs there or not. Part of the contract
 * of a store (store.h), whatever it keeps its entries in.
 *
 * Any thread, any process; needs no reader, and works on a store that was opened without create.
 */
#ifndef BRIDGE_OUTBOX_SURVEY_H
#define BRIDGE_OUTBOX_SURVEY_H

#include "bridge/outbox/store.h"

enum oddity {
  ODDITY_NONE,       /* an entry in its place */
  ODDITY_WRONG_SIDE, /* dead in form, but not a dead letter, or a pending one among these: a move
                        that was cut short */
  ODDITY_ON_ITS_WAY, /* a raw dead letter that is only told of yet: its bytes still wait. Likewise
                      */
  ODDITY_BYTES_GONE, /* one whose bytes are nowhere */
  ODDITY_NOT_DESCRIBED, /* a dead letter's bytes that no dead letter tells of */
  ODDITY_ASIDE,         /* published or dead, and set aside: what hinders is told by store_asides */
  ODDITY_LEFT,       /* of a change that was never finished; nobody has touched it for a minute */
  ODDITY_NO_ENTRY,   /* called like an entry, but none can be so: left alone */
  ODDITY_UNREADABLE, /* called like an entry, but no right to read it: left alone */
  ODDITY_HIDDEN,     /* holds an event, but where nobody looks */
  ODDITY_STRAY       /* any other that nothing here accounts for */
};
struct survey_item {
  enum oddity oddity;
  enum shelf shelf;
  const char *shown; /* by which people know it: of an entry its label behind its shelf's words */
  struct span id;    /* of the event, or empty */
};
/* false stops. All it points to is valid during the call. */
typedef bool (*store_survey_fn)(void *ctx, const struct survey_item *item);
/* Everything that is there, read, as it is met: at most limit (0 = all) of each place that the kind
 * has; *left_out: how many were not read. What moves meanwhile may be told twice, or not. Locks
 * nothing. */
MUST_CHECK enum status store_survey(struct store *s, size_t limit, store_survey_fn visit, void *ctx,
                                    uint64_t *left_out, struct error *err);

#endif
