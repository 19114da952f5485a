/* key_rules.h - which fields are the keys of the events, in words. */
#ifndef BRIDGE_SERVICE_PLAN_KEY_RULES_H
#define BRIDGE_SERVICE_PLAN_KEY_RULES_H

#include "bridge/base/log.h"
#include "bridge/service/plan/configure.h"

/* Which field is the key of namespace i, in a sentence: "the key is order_id, else id
 * (routing.keys)". False at the end.
 */
bool key_rules_words(const struct routing *r, unsigned i, struct span *ns, struct buffer *out);
/* What settings name and no schema of namespace i has, in a sentence; false: nothing. */
bool key_rules_doubt(const struct routing *r, const struct catalog *catalog, unsigned i,
                     struct buffer *out);
/* The same of the rule for events of one name, in the namespace ns. */
bool key_rules_doubt_of(const struct routing *r, const struct catalog *catalog, struct span name,
                        struct span ns, struct buffer *out);
/* Both, of every namespace. */
void key_rules_log(const struct routing *r, const struct catalog *catalog, struct log *log);

#endif
