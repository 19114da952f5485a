/* routing.h - event name -> canonical name -> namespace -> topic and key. Immutable after open: any
 * thread may route.
 *
 * Names: an alias is looked up first (built-in table in names.c, then the user's), then the name
 * must be "namespace.rest". Namespaces are allow-listed, so topics are known at open and have small
 * numbers.
 *
 * Key: the first of the event's key fields that the payload has as a non-empty string or a number;
 * else the event id. Which fields: those that the setting names for the namespace, else the one
 * that the event's schema names, else those that are built in. "customer.id" is a member of that
 * name, else id of customer. An array or object that the setting or the schema names makes no key,
 * and the event is refused; the built-in fields pass over it.
 */
#ifndef BRIDGE_ROUTING_ROUTING_H
#define BRIDGE_ROUTING_ROUTING_H

#include "bridge/event/event.h"

struct routing_config {
  struct span namespaces; /* words: "episode quality plot usecase" */
  struct span topic;      /* "{namespace}.events" */
  struct span aliases;    /* "from=to" words, over the built-in ones */
  struct span keys; /* "episode=episode_id,id" words (comma inside), "episode=none": no field */
  const struct schema_key *schema_keys;
  size_t schema_key_count;
};

struct schema_key { /* what the schema of one event says */
  struct span event, field;
};

struct route {
  struct span name; /* canonical, lives as long as the routing or the event */
  struct span ns;   /* namespace, likewise */
  unsigned topic;   /* number below routing_topics() */
  struct span key;  /* in the arena or the document's text */
  bool keyless;     /* it has key fields, and the payload none of them: key is its id */
};

struct routing;
/* ST_INVALID with the setting and word that is wrong: a namespace that is no [a-z0-9_-]+, a topic
 * name Kafka would not take ([a-zA-Z0-9._-]{1,249}, not . or ..), an alias whose target is not a
 * name; key fields that are none, or two lists of them for one namespace. Two namespaces may share
 * a topic (then it has one number). */
MUST_CHECK enum status routing_open(const struct routing_config *config, struct routing **out,
                                    struct error *err);
void routing_close(struct routing *r);
unsigned routing_topics(const struct routing *r);
const char *routing_topic_name(const struct routing *r, unsigned topic);
/* The namespaces that are published, in the order of the settings; false at the end. */
bool routing_namespace(const struct routing *r, unsigned i, struct span *ns, unsigned *topic);

enum key_source { KEY_OF_NOBODY, KEY_BUILT_IN, KEY_OF_SCHEMA, KEY_OF_SETTING };
struct key_rule {
  const char *const *fields; /* ends with NULL; of KEY_OF_NOBODY there are none */
  enum key_source source;
};
/* What holds for a namespace, and for an event of it whose schema says it: *event is then its name,
 * else empty. First that of namespace i for at = 0, then those of its events for at = 1 on; false
 * at the end. */
bool routing_key_rule(const struct routing *r, unsigned i, size_t at, struct key_rule *out,
                      struct span *event);

/* REASON_NONE, REASON_BAD_NAME, REASON_UNKNOWN_NAMESPACE, REASON_BAD_KEY or REASON_NO_MEMORY (not
 * the event's fault). Spans in *out that had to be made live in arena. */
enum reason routing_route(const struct routing *r, const struct json_doc *doc,
                          const struct event *event, struct arena *arena, struct route *out,
                          struct error *err);
/* The canonical name of a name, without judging it (for listing and filters). */
struct span routing_canonical(const struct routing *r, struct span name);
/* The namespace that an event of this name is published in, empty: in none. Lives as long as the
 * routing. */
struct span routing_namespace_of(const struct routing *r, struct span name);

#endif
