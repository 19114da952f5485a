/* newest.h - the newest few of the records that are put in, in order of their times; those of one
 * partition stay in their order. Private to bridge/service/topics; one thread. */
#ifndef BRIDGE_SERVICE_TOPICS_NEWEST_H
#define BRIDGE_SERVICE_TOPICS_NEWEST_H

#include "bridge/kafka/topic_reader.h"

struct newest;
/* most: so many are kept, their texts with them. NULL: memory is out. */
struct newest *newest_open(uint64_t most);
void newest_close(struct newest *n); /* NULL is fine */
/* A record and what is shown of it. */
MUST_CHECK enum status newest_put(struct newest *n, const struct message *m, struct span text,
                                  bool damaged, struct error *err);
/* From now on they come out, oldest first: false when there is none any more. *text lives until the
 * next call. */
bool newest_take(struct newest *n, struct span *text, bool *damaged);

#endif
