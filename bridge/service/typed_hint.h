/* typed_hint.h - the older typed bus's own outbox, which lies beside the usual one and is read only
 * when outbox.typed says so. Private to bridge/service. Any thread. */
#ifndef BRIDGE_SERVICE_TYPED_HINT_H
#define BRIDGE_SERVICE_TYPED_HINT_H

#include "bridge/outbox/store.h"
#include "bridge/settings/settings.h"

#include <limits.h>

/* How many files wait in ../outbox/pending of an outbox that is called bus_outbox, where nothing
 * reads them; else 0. folder: what outbox.typed would be. */
uint64_t typed_unread(const struct settings *settings, char folder[PATH_MAX]);
/* outbox.typed for store_open: NULL where it is off */
const char *typed_folder(const struct settings *settings);
/* At the start: what waits there unread; or that nothing of it is read, or remembers its ids. */
void typed_log(const struct settings *settings, struct store *store, struct log *log);

#endif
