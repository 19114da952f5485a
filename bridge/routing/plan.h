/* plan.h - inside bridge/routing only: what routing_open makes of the settings, and routing_route reads. */
#ifndef BRIDGE_ROUTING_PLAN_H
#define BRIDGE_ROUTING_PLAN_H

#include "bridge/base/table.h"
#include "bridge/routing/routing.h"

struct space { /* a namespace that is published */
  struct span name;
  unsigned topic;
  const char **fields; /* of the key, ends with NULL */
  struct space *next;
};

struct known { /* what a name seen becomes */
  struct span name, ns;
  const struct space *space; /* NULL: its namespace is not published */
};

struct routing {
  struct arena memory;
  struct space *spaces;
  struct table by_namespace; /* -> struct space */
  struct table by_seen;      /* -> struct known */
  const char **topics;
  unsigned topic_count, topic_cap;
};

#endif
