/* selections.h - numbered texts of an outbox that are made whole and then only grow: which dead
 * letters a bulk replay or purge is about (bridge/service/bulk). Part of the contract of a store
 * (store.h), whatever it keeps them in.
 *
 * One thread at a time, the owner's; reading and listing also of a store that was opened without
 * create.
 */
#ifndef BRIDGE_OUTBOX_SELECTIONS_H
#define BRIDGE_OUTBOX_SELECTIONS_H

#include "bridge/base/span.h"
#include "bridge/base/status.h"

#define SELECTIONS_MOST 50

struct store;
/* One that is being made. A crash before it is committed leaves none. */
struct store_draft {
  struct store *store; /* NULL: none */
  void *impl;
};
MUST_CHECK enum status store_draft_begin(struct store *s, struct store_draft *d, struct error *err);
MUST_CHECK enum status store_draft_add(struct store_draft *d, struct span text, struct error *err);
/* Durable under a number that none had before. */
MUST_CHECK enum status store_draft_commit(struct store_draft *d, uint64_t *number,
                                          struct error *err);
void store_draft_close(struct store_draft *d); /* in any case; what was not committed is gone */

/* Numbers of those there are, smallest first. */
MUST_CHECK enum status store_selections(struct store *s, uint64_t numbers[SELECTIONS_MOST],
                                        size_t *count, struct error *err);
/* ST_NOT_FOUND: there is none of this number; likewise for all below. */
MUST_CHECK enum status store_selection_size(struct store *s, uint64_t number, uint64_t *size,
                                            struct error *err);
/* Appends to out what stands from `at` on, at most `most` bytes of it. */
MUST_CHECK enum status store_selection_read(struct store *s, uint64_t number, uint64_t at,
                                            size_t most, struct buffer *out, struct error *err);
/* Text behind its end, durable. It begins on a line of its own, also where a crash left half a
 * line. */
MUST_CHECK enum status store_selection_add(struct store *s, uint64_t number, struct span text,
                                           struct error *err);
MUST_CHECK enum status store_selection_remove(struct store *s, uint64_t number, struct error *err);

#endif
