/* survey.h - everything that lies in an outbox, and what belongs there or not. Part of the contract
 * of a store (store.h), whatever it keeps its entries in.
 *
 * Any thread, any process; needs no reader, and works on a store that was opened without create.
 */
#ifndef BRIDGE_OUTBOX_SURVEY_H
#define BRIDGE_OUTBOX_SURVEY_H

#include "bridge/outbox/store.h"

enum oddity {
  ODDITY_NONE,       /* an entry in its place */
  ODDITY_WRONG_SIDE, /* a dead form outside dlq/, a pending one inside: a move that was cut short */
  ODDITY_ON_ITS_WAY, /* a dead letter that is only described yet: its bytes still lie in the outbox.
                        Likewise */
  ODDITY_BYTES_GONE, /* one whose bytes lie nowhere */
  ODDITY_NOT_DESCRIBED, /* bytes in dlq/ that no dead letter tells of */
  ODDITY_ASIDE,         /* published or dead, and set aside: what hinders is told by store_asides */
  ODDITY_LEFT,          /* a temporary file that nobody has touched for a minute */
  ODDITY_NO_FILE,       /* an entry's name, but no plain file with one link: left alone */
  ODDITY_UNREADABLE,    /* an entry's name, but no right to read it: left alone */
  ODDITY_HIDDEN,        /* a file that holds an event, under a name that nobody looks at */
  ODDITY_STRAY /* any other that nothing here accounts for; also in sent/, .busbridge and its tmp */
};
struct survey_item {
  enum oddity oddity;
  enum shelf shelf;
  const char *path; /* from the outbox folder: "dlq/x.json" */
  struct span id;   /* of the event, or empty */
};
/* false stops. All it points to is valid during the call. */
typedef bool (*store_survey_fn)(void *ctx, const struct survey_item *item);
/* Everything that lies there, read, as it is met: at most limit (0 = all) files of each place;
 * *left_out: names that were not read. What moves meanwhile may be told twice, or not. Locks
 * nothing. */
MUST_CHECK enum status store_survey(struct store *s, size_t limit, store_survey_fn visit, void *ctx,
                                    uint64_t *left_out, struct error *err);

#endif
