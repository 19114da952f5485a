/* plan.h - inside bridge/routing only: what routing_open makes of the settings, and routing_route
 * reads.
 *
 * A rule stands for a namespace, or for a pattern of names in it: those that a route names and
 * those that have a schema. It holds for the name that equals its pattern and for all below it
 * ("order.item" for order.item.added), unless a longer one does. What a rule does not say itself it
 * has from the next shorter one.
 */
#ifndef BRIDGE_ROUTING_PLAN_H
#define BRIDGE_ROUTING_PLAN_H

#include "bridge/base/table.h"
#include "bridge/routing/routing.h"

#include <limits.h>

struct said { /* one attribute: of which key, "routing.order.topic", and what; NULL: of none */
  const char *key;
  struct span value;
};

struct rule {
  struct span pattern, ns;
  struct said said[ROUTE_ATTRIBUTES]; /* with what it has from shorter ones */
  bool own[ROUTE_ATTRIBUTES];         /* it says that itself */
  struct span schema_key;             /* the field that the schema of that very name says */
  unsigned topic;                     /* NO_TOPIC: by_event, and pattern is a namespace */
  bool by_event;                      /* {event} is in the template: names below it have no topic */
  struct key_rule key, exact;         /* of all names; of the one that equals the pattern */
  bool event_time;
  enum framing framing;
  enum subject_naming subject;
  const struct header_rule *headers; /* ends with a name that is NULL */
};
#define NO_TOPIC UINT_MAX

struct header_rule {
  const char *name, *path;
};

struct known { /* what a name seen becomes */
  struct span name, ns;
};

struct topic {
  const char *name, *key; /* key: of the setting that named it first */
  bool event_times;       /* of some rule that sends there */
};

struct routing {
  struct arena memory;
  struct rule **rules;  /* by pattern: a shorter one comes before those below it */
  struct rule **spaces; /* the namespaces, in the order of the settings */
  size_t rule_count, rule_cap;
  unsigned space_count, space_cap;
  struct table by_pattern; /* -> struct rule */
  struct table by_seen;    /* -> struct known */
  struct table by_topic;   /* -> its number */
  struct topic *topics;
  unsigned topic_count, topic_cap;
};

/* event_rules.c: the namespaces, the patterns of routes and schemas, and what each has from others.
 */
MUST_CHECK enum status rules_plan(struct routing *r, const struct routing_config *config,
                                  struct error *err);
/* The rule of a canonical name, NULL: its namespace is not published. */
const struct rule *rules_find(const struct routing *r, struct span name);
/* The one that a rule has from what it does not say itself, NULL: it is a namespace's. It comes
 * before it among the rules. */
const struct rule *rules_above(const struct routing *r, const struct rule *rule);
/* topic_names.c, key_fields.c, headers.c: those of each rule. */
MUST_CHECK enum status topics_plan(struct routing *r, const struct routing_config *config,
                                   struct error *err);
MUST_CHECK enum status keys_plan(struct routing *r, const struct routing_config *config,
                                 struct error *err);
MUST_CHECK enum status headers_plan(struct routing *r, struct error *err);
/* headers.c: the own headers of an event. REASON_NONE, REASON_BAD_HEADER, REASON_HEADER_TOO_LARGE
 * or REASON_NO_MEMORY. */
enum reason headers_find(const struct rule *rule, const struct json_doc *doc,
                         const struct event *event, struct arena *arena, struct route *out,
                         struct error *err);
/* aliases.c */
MUST_CHECK enum status aliases_plan(struct routing *r, const struct routing_config *config,
                                    struct error *err);
/* paths.c: a path into a payload, "customer.id": one or more steps that are not empty. The copy is
 * what routing_member_at takes; NULL: no memory. */
bool routing_path_sound(struct span path);
const char *routing_path_copy(struct routing *r, struct span path);
/* The member of that name, else at that path; JSON_NONE: there is none. */
uint32_t routing_member_at(const struct json_doc *doc, uint32_t node, const char *path);
/* As a path in the entry's file, "payload.customer.id". */
void routing_path_shown(const struct json_doc *doc, const struct event *event, const char *path,
                        struct buffer *out);
/* setting_words.c */
MUST_CHECK enum status routing_no_memory(struct error *err);
bool routing_word(struct span *rest, struct span *word); /* the next; commas belong to it */
bool routing_halves(struct span word, struct span *left, struct span *right); /* "left=right" */
int routing_shown(struct span word); /* as "%.*s" of a message takes it: at most 100 bytes */

#endif
