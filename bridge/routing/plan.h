/* plan.h - inside bridge/routing only: what routing_open makes of the settings, and routing_route
 * reads. */
#ifndef BRIDGE_ROUTING_PLAN_H
#define BRIDGE_ROUTING_PLAN_H

#include "bridge/base/table.h"
#include "bridge/routing/routing.h"

struct space { /* a namespace that is published */
  struct span name;
  unsigned topic;
  struct key_rule key;
  struct by_schema *schemas; /* events whose schema names their key, in order of the names */
  struct space *next;
};

struct by_schema {
  struct span event;
  struct key_rule key;
  struct by_schema *next;
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
  struct table by_event;     /* -> struct by_schema, of namespaces that no setting gives a key */
  const char **topics;
  unsigned topic_count, topic_cap;
};

/* keys.c: the key fields of each namespace and event; the namespaces are there. */
MUST_CHECK enum status keys_plan(struct routing *r, const struct routing_config *config,
                                 struct error *err);
/* words.c */
MUST_CHECK enum status routing_no_memory(struct error *err);
bool routing_word(struct span *rest, struct span *word); /* the next; commas belong to it */
bool routing_halves(struct span word, struct span *left, struct span *right); /* "left=right" */

#endif
