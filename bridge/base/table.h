/* table.h - hash table from borrowed bytes to a pointer, and a set of 128-bit digests.
 *
 * table: keys are compared in full; the caller keeps key bytes alive as long as they are in. Open
 * addressing, grows at 3/4, shrinks never (table_release does). Keyed SipHash-1-3, so no input can
 * make it slow. digest_set: remembers SipHash-128 digests of byte strings, 16 bytes each, for sets
 * too large to keep whole. No threads: the owner locks.
 */
#ifndef BRIDGE_BASE_TABLE_H
#define BRIDGE_BASE_TABLE_H

#include "bridge/base/span.h"

struct table_slot;
struct table {
  struct table_slot *slots;
  size_t count, used, cap; /* used counts removed slots too */
};
void table_release(struct table *t);
void table_clear(struct table *t);
void *table_get(const struct table *t, struct span key); /* NULL when absent */
/* ST_OK put; ST_EXISTS the key is in (nothing changed); ST_NO_MEMORY. value must not be NULL. */
MUST_CHECK enum status table_put(struct table *t, struct span key, void *value);
void *table_remove(struct table *t, struct span key); /* the value it had, or NULL */
/* Visit all: start with *pos = 0; false at the end. The table must not change meanwhile. */
bool table_each(const struct table *t, size_t *pos, struct span *key, void **value);

struct digest {
  uint64_t lo, hi;
};
struct digest digest_of(struct span s); /* keyed per process: never store it on disk */
/* SipHash-128 under a fixed, published key: the same in every process, on every machine and in
 * every release, so it may be stored (names of manifests are made of it). It finds damage; whoever
 * wants two texts of one digest can make them.
 */
struct digest digest_fixed(struct span s);
/* XXH64, at a tenth of that cost: likewise the same everywhere and for ever. It tells two texts
 * apart that differ by accident. */
uint64_t fixed_hash(struct span s);
struct digest_set {
  struct digest *slots;
  size_t count, cap;
};
void digest_set_release(struct digest_set *s);
MUST_CHECK enum status digest_set_add(struct digest_set *s,
                                      struct digest d); /* ST_OK also when it was in */
bool digest_set_has(const struct digest_set *s, struct digest d);

#endif
