/* names.h - inside bridge/routing only: what names look like, and the table of aliases that is
 * built in. */
#ifndef BRIDGE_ROUTING_NAMES_H
#define BRIDGE_ROUTING_NAMES_H

#include "bridge/base/span.h"

struct alias {
  const char *seen, *canonical;
};
extern const struct alias names_builtin[]; /* ends with {NULL, NULL} */

bool names_namespace_valid(struct span ns); /* [a-z0-9_-]+ */
bool names_canonical(struct span name,
                     struct span *ns);     /* [a-z0-9_-]+(\.[a-z0-9_.-]+), at most EVENT_NAME_MAX */
bool names_topic_valid(struct span topic); /* what Kafka takes */
void names_shown(struct span name, struct buffer *out); /* quoted for a message: cut at 60 */

#endif
