/* scanning.h - inside bridge/outbox/database only: what the reader's parts have of each other. The
 * reader's thread. */
#ifndef BRIDGE_OUTBOX_DATABASE_SCANNING_H
#define BRIDGE_OUTBOX_DATABASE_SCANNING_H

#include "bridge/outbox/database/parts.h"

/* gaps.c: one is behind rows that were read, and was not read itself */
void db_gaps_before(struct db *d, int64_t seq); /* a row of the page is passed */
bool db_gap_known(const struct db *d, int64_t seq);
bool db_gap_end(struct db *d, int64_t seq); /* false: it was none */
void db_gaps_ask(struct db *d, struct db_query *q);
void db_gaps_answered(struct db *d, const struct db_query *q);

/* sweep.c: those that were visible late are looked at again */
MUST_CHECK enum status db_sweep(struct db *d, struct error *err);

/* counting.c */
MUST_CHECK enum status db_count_anew(struct db *d, struct error *err);
MUST_CHECK enum status db_count_due(struct db *d, struct error *err); /* where something says so */
void db_count_page(struct db *d);

#endif
