/* keys_due.h - inside bridge/outbox/file only: the keys that Redis has yet to be told, as
 * bridge/outbox/keys_due.h says of them: "<id> <place>" lines in keys-due.
 *
 * Only 16-byte digests stay in memory. When keys-due holds an eighth of what may be kept it is
 * renamed to keys-due-<n> and a new one begun; the oldest part is read, told to Redis and removed
 * first, and given up first when there are too many. So nothing is ever rewritten, and a crash at
 * any time leaves lines that are told once more. add, read, drop: one thread at a time; has, count:
 * any.
 */
#ifndef BRIDGE_OUTBOX_FILE_RECORDS_DUE_H
#define BRIDGE_OUTBOX_FILE_RECORDS_DUE_H

#include "bridge/base/log.h"
#include "bridge/outbox/keys_due.h"

#define DUE_PARTS 8

struct fs_keys_due;
/* folder: .busbridge, borrowed. most: so many ids in all, an eighth in each part. inspect: nothing
 * is changed. ST_IO, ST_DENIED, ST_NO_MEMORY. */
MUST_CHECK enum status fs_keys_due_open(int folder, size_t most, bool inspect, struct log *log,
                                        struct fs_keys_due **out, struct error *err);
void fs_keys_due_close(struct fs_keys_due *d);
MUST_CHECK enum status fs_keys_due_add(struct fs_keys_due *d, const struct key *list,
                                       const bool *done, size_t count, uint64_t *given_up,
                                       struct error *err);
bool fs_keys_due_has(struct fs_keys_due *d, struct span id);
uint64_t fs_keys_due_count(struct fs_keys_due *d);
MUST_CHECK enum status fs_keys_due_read(struct fs_keys_due *d, struct key *out, size_t max,
                                        size_t *count, struct error *err);
MUST_CHECK enum status fs_keys_due_drop(struct fs_keys_due *d, struct error *err);

#endif
