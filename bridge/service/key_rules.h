/* key_rules.h - the keys of the events as a whole: what settings and schemas say together, and in
 * words. */
#ifndef BRIDGE_SERVICE_KEY_RULES_H
#define BRIDGE_SERVICE_KEY_RULES_H

#include "bridge/base/log.h"
#include "bridge/service/configure.h"

/* routing_open with the keys that the schemas of catalog say; NULL: they are not there. ST_INVALID
 * too where routing.keys names a field that a schema has as an array or object. */
MUST_CHECK enum status plan_routing(const struct plan *plan, const struct catalog *catalog,
                                    struct routing **out, struct error *err);

/* Which field is the key of namespace i, in a sentence: "the key is order_id, else id
 * (routing.keys)". False at the end.
 */
bool key_rules_words(const struct routing *r, unsigned i, struct span *ns, struct buffer *out);
/* What routing.keys names and no schema of namespace i has, in a sentence; false: nothing. */
bool key_rules_doubt(const struct routing *r, const struct catalog *catalog, unsigned i,
                     struct buffer *out);
/* Both, of every namespace. */
void key_rules_log(const struct routing *r, const struct catalog *catalog, struct log *log);

#endif
