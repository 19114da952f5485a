/* groups.h - dead letters that died alike: of one reason, one name, and one error but for its
 * numbers and quoted texts. Private to bridge/service; one thread. */
#ifndef BRIDGE_SERVICE_ENTRIES_GROUPS_H
#define BRIDGE_SERVICE_ENTRIES_GROUPS_H

#include "bridge/service/operations.h"

struct groups;
struct groups *groups_open(void); /* NULL: memory is out */
void groups_close(struct groups *g);
/* Beyond GROUPS_MOST kinds, or without memory, it is only counted. */
#define GROUPS_MOST 1000
void groups_add(struct groups *g, const struct entry_info *info);
/* [{"reason","name","error","count":N,"first","last","sample":id}], the largest first; at most
 * `most` (0: all). *others: letters of those that are not told. */
void groups_write(struct groups *g, size_t most, struct buffer *json, uint64_t *others);

#endif
