/* unplaced.h - which members of a payload have no place in the schema of its event, found by
 * encoding it. Private to bridge/service. */
#ifndef BRIDGE_SERVICE_UNPLACED_H
#define BRIDGE_SERVICE_UNPLACED_H

#include "bridge/service/plan/configure.h"

/* A catalog of its own (that of a relay is its reader's) that refuses no member, so that all are
 * met, and logs nothing. */
MUST_CHECK enum status unplaced_open(const struct plan *plan, struct catalog **out,
                                     struct error *err);
/* Meets those of a payload, where its framing does not carry it whole. plan, routing: what they say
 * of its name, the canonical one. Returns why it does not fit its schema, err
 * (may be NULL) with the place, or REASON_NONE; one that does not fit has met none. */
enum reason unplaced_meet(struct catalog *c, const struct plan *plan, const struct routing *routing,
                          struct span name, const struct json_doc *doc, uint32_t payload,
                          struct error *err);
/* The n-th path met in events of that name, as catalog_left_out; false at the end. */
bool unplaced_at(struct catalog *c, struct span name, size_t n, struct span *path, uint64_t *count);
/* What becomes of such members of events of that name, and *by: the key of the setting that says
 * it.
 */
enum unknown_fields unplaced_policy(const struct plan *plan, const struct routing *r,
                                    struct span name, const char **by);
/* ["payload.a", ...] of that name. */
void unplaced_write(struct catalog *c, struct span name, struct buffer *json);
/* Do events of that name carry their payload whole, schema or not? */
bool unplaced_whole(const struct plan *plan, const struct routing *routing, struct span name);

#endif
