/* kinds.h - the kinds of outbox, by the scheme of outbox.url. Private to bridge/outbox. Any thread.
 */
#ifndef BRIDGE_OUTBOX_KINDS_H
#define BRIDGE_OUTBOX_KINDS_H

#include "bridge/outbox/store_ops.h"

/* The kind of a url, each operation of it there, and what comes behind "scheme:" (part of url).
 * ST_INVALID: there is no such kind. */
MUST_CHECK enum status store_kind(const char *url, const struct store_ops **ops,
                                  const char **address, struct error *err);

#endif
