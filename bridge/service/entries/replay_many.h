/* replay_many.h - dead letters back to pending: may they, and then the move. Private to
 * bridge/service; the caller holds `moving`. */
#ifndef BRIDGE_SERVICE_ENTRIES_REPLAY_MANY_H
#define BRIDGE_SERVICE_ENTRIES_REPLAY_MANY_H

#include "bridge/service/operations.h"

/* What may not be replayed gets its status: ST_BUSY (named in a manifest that is not settled),
 * ST_EXISTS and published[i] (in Kafka already; not with force, which forgets its key),
 * ST_UNAVAILABLE (Redis must forget it and is away). A crash afterwards leaves a dead letter whose
 * key is forgotten: replaying it once more is harmless. */
void replay_many_judge(struct service *s, bool force, struct letter *list, size_t count,
                       bool *published);
/* Judged and moved; at most STORE_LETTERS. The relay is woken. */
void replay_many_move(struct service *s, bool force, struct letter *list, size_t count,
                      bool *published);

#endif
