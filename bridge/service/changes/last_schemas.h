/* last_schemas.h - the schemas by which this outbox was published last: what changed since, so that
 * consumers, or tail, cannot read what is in the topics. Private to bridge/service.
 *
 * They are a note of the outbox (NOTE_SCHEMAS), written when a worker starts or takes others over.
 */
#ifndef BRIDGE_SERVICE_CHANGES_LAST_SCHEMAS_H
#define BRIDGE_SERVICE_CHANGES_LAST_SCHEMAS_H

#include "bridge/base/log.h"
#include "bridge/encoding/catalog.h"
#include "bridge/outbox/store.h"

/* "payload.n: the reader has string, the writer has long"; next: what to do. */
typedef void (*schema_change_fn)(void *ctx, const char *event, const char *words, const char *next);
/* Tells each event whose schema cannot read what its last one wrote, and each whose last one is
 * neither in force nor frozen. *changed: whether the note differs at all, or is not there yet. Any
 * process. */
MUST_CHECK enum status last_schemas_compare(const struct store *s, const struct catalog *c,
                                            schema_change_fn tell, void *ctx, bool *changed,
                                            struct error *err);
/* Both, by the owner: what changed is told in the log, and the note written anew. */
void last_schemas_keep(struct store *s, const struct catalog *c, struct log *log);

#endif
