/* keys_due.h - the ids that Redis is still to be told, on disk: "<id> <place>" lines in keys-due.
 * Private.
 *
 * Only 16-byte digests stay in memory. When keys-due holds an eighth of what may be kept it is
 * renamed to keys-due-<n> and a new one begun; the oldest part is read, told to Redis and removed
 * first, and given up first when there are too many. So nothing is ever rewritten, and a crash at
 * any time leaves lines that are told once more. due_add, due_read, due_drop: one thread at a time
 * (the caller's lock); due_has, due_counts, due_count: any.
 */
#ifndef BRIDGE_KEYS_KEYS_DUE_H
#define BRIDGE_KEYS_KEYS_DUE_H

#include "bridge/keys/keys.h"

#define DUE_PARTS 8
#define DUE_PART_MAX 125000 /* a million in all */

struct due;
/* part_max: ids of a part. inspect: nothing is changed, only due_has and due_counts may be called.
 * ST_IO, ST_DENIED, ST_NO_MEMORY. */
MUST_CHECK enum status due_open(int folder, size_t part_max, bool inspect, struct log *log,
                                struct due **out, struct error *err);
void due_close(struct due *d);
/* Those of list that are not done, appended and fsynced. */
MUST_CHECK enum status due_add(struct due *d, const struct key *list, const bool *done,
                               size_t count, struct error *err);
bool due_has(struct due *d, struct span id);
void due_counts(struct due *d, uint64_t *due, uint64_t *given_up);
uint64_t due_count(struct due *d); /* the first of them; d may be NULL: 0 */
/* The oldest ids, at most max, into out; their bytes stay until the next call. *count 0: nothing is
 * due. */
MUST_CHECK enum status due_read(struct due *d, struct key *out, size_t max, size_t *count,
                                struct error *err);
/* What the last due_read gave has been told: forget it, and remove the part when it was its last.
 */
MUST_CHECK enum status due_drop(struct due *d, struct error *err);

#endif
