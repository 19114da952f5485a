/* burial.h - what a dead letter that comes back (store_bury) says of itself, for the kinds that do
 * not keep its text as it is. Private to bridge/outbox; one thread at a time. */
#ifndef BRIDGE_OUTBOX_BURIAL_H
#define BRIDGE_OUTBOX_BURIAL_H

#include "bridge/outbox/operators.h"

struct burial_notes {
  struct json_doc doc;
  struct event event;                    /* of doc; its reason and times are the letter's */
  struct span last_error, reason, topic; /* topic.ptr NULL: none */
  int error_code;
  struct span pending; /* its text without what is told of its failure: an entry that waits */
};
/* All in arena, or in the letter. ST_INVALID: its text is not a dead letter's. */
MUST_CHECK enum status burial_read(const struct burial *letter, struct arena *arena,
                                   struct burial_notes *out, struct error *err);

#endif
