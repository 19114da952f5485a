/* keys_due.h - keys of published events that Redis has yet to be told, oldest first: part of the
 * contract of a store (store.h), whatever it keeps them in. They are added at the end, and read and
 * dropped at the beginning.
 *
 * A crash, at any point, loses none whose adding was told ST_OK, and doubles none. Of those dropped
 * the last may be there again after it: who tells Redis twice harms nothing.
 *
 * Threads: has and count any, the others one at a time (the caller's lock).
 */
#ifndef BRIDGE_OUTBOX_DUE_H
#define BRIDGE_OUTBOX_DUE_H

#include "bridge/base/status.h"
#include "bridge/event/key.h"

struct store;
/* What there is, anew; before all others. most: about so many are kept, then the oldest are given
 * up, an eighth of them at once. Of a store that was opened without create only has and count may
 * be asked. ST_IO, ST_DENIED, ST_INVALID: it cannot be read; err says what. */
MUST_CHECK enum status store_keys_due_open(struct store *s, size_t most, struct error *err);
/* Those of list that are not done: durable, all of them or none. *given_up: so many of the oldest
 * went for them. The owner's. */
MUST_CHECK enum status store_keys_due_add(struct store *s, const struct key *list, const bool *done,
                                          size_t count, uint64_t *given_up, struct error *err);
bool store_keys_due_has(struct store *s, struct span id);
uint64_t store_keys_due_count(struct store *s);
/* The oldest, at most max and perhaps fewer, into out; their bytes stay until the next call. *count
 * 0: nothing is due. */
MUST_CHECK enum status store_keys_due_read(struct store *s, struct key *out, size_t max,
                                           size_t *count, struct error *err);
/* Those that the last read gave were told. ST_OK: they are not due any more. */
MUST_CHECK enum status store_keys_due_drop(struct store *s, struct error *err);

#endif
