/* scanning.h - inside bridge/outbox/database only: what the reader's parts have of each other. The
 * reader's thread. */
#ifndef BRIDGE_OUTBOX_DATABASE_SCANNING_H
#define BRIDGE_OUTBOX_DATABASE_SCANNING_H

#include "bridge/outbox/database/parts.h"

/* counting.c */
MUST_CHECK enum status db_count_anew(struct db *d, struct error *err);
void db_count_page(struct db *d);

#endif
