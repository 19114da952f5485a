/* routing.h - event name -> canonical name -> namespace -> topic and key. Immutable after open: any
 * thread may route.
 *
 * Routes are settings for a namespace or for names in it, routing.PATTERN.ATTRIBUTE: of each
 * attribute the longest pattern holds that is the name, or its first words.
 *
 * Topics: a template, in which {namespace} and {event} stand for the two parts of a name. {event}
 * has a topic for names that have a schema or a route, so that all are known at open; others are
 * refused.
 *
 * Names: an alias is looked up first (built-in table in names.c, then the user's), then the name
 * must be "namespace.rest". Namespaces are allow-listed, so topics are known at open and have small
 * numbers.
 *
 * Own headers: members of the payload, NAME=PATH words. A string is its text, a number or boolean
 * as it was written; of null and of what is not there is no header. An array or object is none, and
 * the event is refused, as it is where they are too large together.
 *
 * Key: the first of the event's key fields that the payload has as a non-empty string or a number;
 * else the subject of a lifted event (unless a setting says that there is no key), else the event
 * id. Which fields: those of its route, else those that the setting names for the namespace, else
 * the one that the event's schema names, else those that are built in (of lifted events more).
 * "customer.id" is a member of that name, else id of customer. An array or object that settings or
 * the schema name makes no key, and the event is refused; the built-in fields pass over it.
 */
#ifndef BRIDGE_ROUTING_ROUTING_H
#define BRIDGE_ROUTING_ROUTING_H

#include "bridge/event/event.h"
#include "bridge/event/framing.h"

struct routing_config {
  struct span namespaces; /* words: "episode quality plot usecase" */
  struct span topic;      /* "{namespace}.events" */
  bool no_defaults;       /* neither the built-in aliases nor keys */
  struct span aliases;    /* "from=to" words, over the built-in ones */
  struct span keys; /* "episode=episode_id,id" words (comma inside), "episode=none": no field */
  const struct route_setting *routes;
  size_t route_count;
  const struct schema_key *schema_keys;
  size_t schema_key_count;
  struct span ledger_topic; /* refused as the topic of events; empty: there is none */
};

struct route_setting { /* "routing.order.placed.key" and its value */
  struct span key, value;
};
struct schema_key { /* an event has a schema, and what that says; empty: nothing */
  struct span event, field;
};

enum route_attribute {
  ROUTE_TOPIC,
  ROUTE_KEY,
  ROUTE_HEADERS,
  ROUTE_TIMESTAMP,
  ROUTE_UNKNOWN_FIELDS,
  ROUTE_FRAMING,
  ROUTE_SUBJECT,
  ROUTE_ATTRIBUTES
};
const char *route_attribute_word(enum route_attribute a);
#define ROUTING_TOPICS_MAX 1000

struct own_header {
  const char *name; /* lives as long as the routing */
  struct span value;
};
#define OWN_HEADERS_MAX 64
#define OWN_HEADERS_BYTES (32 * 1024) /* names and values of an event's together */

struct route {
  struct span name;                 /* canonical, lives as long as the routing or the event */
  struct span ns;                   /* namespace, likewise */
  unsigned topic;                   /* number below routing_topics() */
  struct span key;                  /* in the arena or the document's text */
  const struct own_header *headers; /* in the arena, in the order of the setting */
  size_t header_count;
  const char *unknown_fields;  /* the word of the setting, NULL: as of all; lives as the routing */
  enum framing framing;        /* FRAMING_AUTO: as of all */
  enum subject_naming subject; /* SUBJECT_AUTO: as of all */
  bool event_time;             /* the record's time is that of the event */
  bool keyless;                /* it has key fields, and the payload none of them: key is its id */
};

struct routing;
/* ST_INVALID with the setting and word that is wrong: a namespace that is no [a-z0-9_-]+, a topic
 * name Kafka would not take ([a-zA-Z0-9._-]{1,249}, not . or ..), one that begins with __, that is
 * the ledger's, or that differs from another in . and _ only, more than ROUTING_TOPICS_MAX of them;
 * an alias whose target is not a name; a route outside the namespaces; key fields that are none, or
 * two lists of them for one namespace. Two namespaces may share a topic (then it has one number).
 */
MUST_CHECK enum status routing_open(const struct routing_config *config, struct routing **out,
                                    struct error *err);
void routing_close(struct routing *r);
unsigned routing_topics(const struct routing *r);
const char *routing_topic_name(const struct routing *r, unsigned topic);
/* How events of that name, or of that pattern, are framed, and under which subject; false: its
 * namespace is not published. */
bool routing_framing_of(const struct routing *r, struct span name, enum framing *framing,
                        enum subject_naming *subject);
/* What is built in, as words of routing.aliases and of routing.keys. */
void routing_builtin_aliases(struct buffer *out);
void routing_builtin_keys(struct buffer *out);
/* Is {event} in a topic? Then the names of the schemas are wanted to know all topics. */
bool routing_needs_names(const struct routing_config *config);
/* The namespaces that are published, in the order of the settings; false at the end. */
bool routing_namespace(const struct routing *r, unsigned i, struct span *ns);
/* Who uses which topic: the namespaces, then the names in them that have another; false at the end.
 */
struct topic_use {
  struct span ns, pattern; /* pattern: the namespace, or an event of it */
  unsigned topic;
};
bool routing_topic_use(const struct routing *r, size_t i, struct topic_use *out);
/* Every pattern that a rule stands for, a namespace among them, which has a topic; false at the
 * end.
 */
bool routing_pattern(const struct routing *r, size_t i, struct topic_use *out);
/* May records of that topic carry the times of their events? */
bool routing_event_times(const struct routing *r, struct span topic);
/* The topic of events of that name, aliases too; false: there is none. */
bool routing_topic_of(const struct routing *r, struct span name, unsigned *topic);

enum key_source { KEY_OF_NOBODY, KEY_BUILT_IN, KEY_OF_SCHEMA, KEY_OF_SETTING, KEY_OF_ROUTE };
struct key_rule {
  const char *const *fields; /* ends with NULL; of KEY_OF_NOBODY there are none */
  enum key_source source;
  const char *key;           /* of the setting that says it, "routing.order.key"; NULL: none does */
  const char *const *lifted; /* the fields of lifted events; NULL: the same */
};
/* What holds for events of that name; false: its namespace is not published. */
bool routing_key_of(const struct routing *r, struct span name, struct key_rule *out);
/* What holds for a namespace, and for names of it whose schema or route says it: *event is then the
 * name, else empty. First that of namespace i for at = 0, then those of names for at = 1 on; false
 * at the end. */
bool routing_key_rule(const struct routing *r, unsigned i, size_t at, struct key_rule *out,
                      struct span *event);

/* REASON_NONE, REASON_BAD_NAME, REASON_UNKNOWN_NAMESPACE, REASON_UNKNOWN_EVENT (it has no topic),
 * REASON_BAD_KEY, REASON_BAD_HEADER, REASON_HEADER_TOO_LARGE or REASON_NO_MEMORY (not the event's
 * fault). Spans in *out that had to be made live in arena. */
enum reason routing_route(const struct routing *r, const struct json_doc *doc,
                          const struct event *event, struct arena *arena, struct route *out,
                          struct error *err);
/* The name that what lay in an envelope is published by: a name as routing_canonical takes it, with
 * or without "Event" behind it; a canonical name itself; else the words of a class name, the first
 * as namespace ("PlotOutlineApproved": plot.outline_approved), whether it is published or not.
 * False: it is none. For event_lifting. */
bool routing_class_name(const void *routing, struct span seen, char out[EVENT_NAME_MAX + 1]);
/* Which key of the settings says what holds for events of that name, "": none; name and ns are
 * empty where they are not known. */
struct route_reasons {
  struct span name, ns; /* canonical */
  const char *by[ROUTE_ATTRIBUTES];
  struct span value[ROUTE_ATTRIBUTES]; /* and what it says; empty: nothing */
  struct key_rule key;
};
void routing_reasons(const struct routing *r, struct span name, struct route_reasons *out);
/* The canonical name of a name, without judging it (for listing and filters). */
struct span routing_canonical(const struct routing *r, struct span name);
/* The namespace that an event of this name is published in, empty: in none. Lives as long as the
 * routing. */
struct span routing_namespace_of(const struct routing *r, struct span name);

#endif
