/* routing.h - event name -> canonical name -> namespace -> topic and key. Immutable after open: any thread may route.
 *
 * Names: an alias is looked up first (built-in table in names.c, then the user's), then the name must be
 * "namespace.rest". Namespaces are allow-listed, so topics are known at open and have small numbers. Key: the first of
 * the namespace's key fields that the payload has as a non-empty string or a number; else the event id.
 */
#ifndef BRIDGE_ROUTING_ROUTING_H
#define BRIDGE_ROUTING_ROUTING_H

#include "bridge/event/event.h"

struct routing_config {
  struct span namespaces; /* words: "episode quality plot usecase" */
  struct span topic;      /* "{namespace}.events" */
  struct span aliases;    /* "from=to" words, over the built-in ones */
  struct span keys;       /* "episode=episode_id,id" words (comma inside), over the built-in ones */
};

struct route {
  struct span name; /* canonical, lives as long as the routing or the event */
  struct span ns;   /* namespace, likewise */
  unsigned topic;   /* number below routing_topics() */
  struct span key;  /* in the arena or the document's text */
};

struct routing;
/* ST_INVALID with the setting and word that is wrong: a namespace that is no [a-z0-9_-]+, a topic name Kafka would not
 * take ([a-zA-Z0-9._-]{1,249}, not . or ..), an alias whose target is not a name. Two namespaces may share a topic
 * (then it has one number). A list of key fields may be empty ("plot="): then the event id is the key. */
MUST_CHECK enum status routing_open(const struct routing_config *config, struct routing **out, struct error *err);
void routing_close(struct routing *r);
unsigned routing_topics(const struct routing *r);
const char *routing_topic_name(const struct routing *r, unsigned topic);
/* The namespaces that are published, in the order of the settings; false at the end. */
bool routing_namespace(const struct routing *r, unsigned i, struct span *ns, unsigned *topic);
/* REASON_NONE, REASON_BAD_NAME, REASON_UNKNOWN_NAMESPACE or REASON_NO_MEMORY (not the event's fault). Spans in *out
 * that had to be made live in arena. */
enum reason routing_route(const struct routing *r, const struct json_doc *doc, const struct event *event,
                          struct arena *arena, struct route *out, struct error *err);
/* The canonical name of a name, without judging it (for listing and filters). */
struct span routing_canonical(const struct routing *r, struct span name);
/* The namespace that an event of this name is published in, empty: in none. Lives as long as the routing. */
struct span routing_namespace_of(const struct routing *r, struct span name);

#endif
