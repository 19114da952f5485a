/* Routes one event: looks its name up, or splits off its namespace; picks the key; says why when it
 * cannot.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

/* The published namespace that is written most like it. */
static struct span nearest(const struct routing *r, struct span ns) {
  struct span best = r->spaces[0]->ns;
  for (unsigned i = 1; i < r->space_count; i++)
    if (word_distance(ns, r->spaces[i]->ns) < word_distance(ns, best)) best = r->spaces[i]->ns;
  return best;
}

/* In front of words on the name: where the typed bus has it. That of a generic event lies beside
 * the payload inside. */
static const char *name_path(const struct json_doc *doc, const struct event *event) {
  if (event->bare) return "event_type: ";
  if (!event->lifted) return "";
  uint32_t data = json_member(doc, json_member(doc, 0, "payload"), "data");
  return data == event->payload ? "payload.event_type: " : "payload.data.event_name: ";
}

static enum reason bad_name(const struct json_doc *doc, const struct event *event,
                            struct error *err) {
  struct buffer shown = {0};
  if (!err) return REASON_BAD_NAME;
  names_shown(event->name, &shown);
  error_set(
      err, ST_INVALID,
      "%sname %s is not namespace.event in [a-z0-9_.-] of at most %d bytes; fix it, or add it to "
      "routing.aliases",
      name_path(doc, event), buffer_z(&shown), EVENT_NAME_MAX);
  buffer_release(&shown);
  return REASON_BAD_NAME;
}

static enum reason unknown_namespace(const struct routing *r, const struct json_doc *doc,
                                     const struct event *event, const struct route *route,
                                     struct error *err) {
  struct buffer shown = {0};
  struct span ns = route->ns;
  if (!err) return REASON_UNKNOWN_NAMESPACE;
  names_shown(route->name, &shown);
  error_set(err, ST_INVALID,
            "%sname %s: namespace \"%.*s\" is not in routing.namespaces (the nearest there is "
            "\"%.*s\"); add it there, or the name to routing.aliases",
            name_path(doc, event), buffer_z(&shown), (int)(ns.len < 60 ? ns.len : 60), ns.ptr,
            SPAN_ARGS(nearest(r, ns)));
  buffer_release(&shown);
  return REASON_UNKNOWN_NAMESPACE;
}

static enum reason no_memory(struct error *err) {
  if (err) error_set(err, ST_NO_MEMORY, "no memory to unescape a key");
  return REASON_NO_MEMORY;
}

static enum reason bad_key(const struct key_rule *rule, const char *field,
                           const struct json_doc *doc, const struct event *event, bool array,
                           struct error *err) {
  struct buffer shown = {0};
  if (!err) return REASON_BAD_KEY;
  routing_path_shown(doc, event, field, &shown);
  error_set(
      err, ST_INVALID, "%s: it is the key by %s, and %s makes none; a key is a string or a number",
      buffer_z(&shown), rule->key ? rule->key : "its schema", array ? "an array" : "an object");
  buffer_release(&shown);
  return REASON_BAD_KEY;
}

/* REASON_NONE and *found when this member is the key. */
static enum reason key_of(const struct json_doc *doc, uint32_t node, struct arena *arena,
                          struct span *out, bool *found) {
  *out = json_slice(doc, node);
  *found = doc->nodes[node].type == JSON_NUMBER;
  if (doc->nodes[node].type != JSON_STRING) return REASON_NONE;
  if (!json_text(doc, node, arena, out)) return REASON_NO_MEMORY;
  *found = out->len > 0;
  return REASON_NONE;
}

static enum reason find_key(const struct key_rule *rule, const struct json_doc *doc,
                            const struct event *event, struct arena *arena, struct route *out,
                            struct error *err) {
  out->key = event->id;
  if (event->payload == JSON_NONE) return REASON_NONE;
  const char *const *field = event->lifted && rule->lifted ? rule->lifted : rule->fields;
  bool none = !*field, set = rule->source == KEY_OF_SETTING || rule->source == KEY_OF_ROUTE;
  for (; *field; field++) {
    struct span key;
    bool found = false;
    uint32_t node = routing_member_at(doc, event->payload, *field);
    if (node == JSON_NONE) continue;
    bool array = doc->nodes[node].type == JSON_ARRAY;
    if ((array || doc->nodes[node].type == JSON_OBJECT) && rule->source != KEY_BUILT_IN)
      return bad_key(rule, *field, doc, event, array, err);
    if (key_of(doc, node, arena, &key, &found) != REASON_NONE) return no_memory(err);
    if (!found) continue;
    out->key = key;
    return REASON_NONE;
  }
  if (event->subject.len && !(none && set))
    out->key = event->subject;
  else
    out->keyless = !none;
  return REASON_NONE;
}

/* {event} stands for names that are known at the start; this one is none. */
static enum reason no_topic(const struct rule *rule, struct span name, struct error *err) {
  struct buffer shown = {0};
  if (!err) return REASON_UNKNOWN_EVENT;
  names_shown(name, &shown);
  error_set(
      err, ST_INVALID,
      "name %s has no topic: {event} in %s stands for names that have a schema or a route; give it "
      "one of them",
      buffer_z(&shown), rule->said[ROUTE_TOPIC].key);
  buffer_release(&shown);
  return REASON_UNKNOWN_EVENT;
}

/* The canonical name, its namespace and its rule, NULL: that namespace is not published. False: it
 * is not a name. */
static bool look_up(const struct routing *r, struct span seen, struct span *name, struct span *ns,
                    const struct rule **rule) {
  const struct known *known = table_get(&r->by_seen, seen);
  *name = known ? known->name : seen;
  if (known)
    *ns = known->ns;
  else if (!names_canonical(seen, ns))
    return false;
  *rule = rules_find(r, *name);
  return true;
}

static bool topic_of(const struct rule *rule, struct span name, unsigned *topic) {
  *topic = rule->topic;
  return !rule->by_event || name.len == rule->pattern.len;
}

enum reason routing_route(const struct routing *r, const struct json_doc *doc,
                          const struct event *event, struct arena *arena, struct route *out,
                          struct error *err) {
  const struct rule *rule = NULL;
  *out = (struct route){.name = event->name};
  if (!look_up(r, event->name, &out->name, &out->ns, &rule)) return bad_name(doc, event, err);
  if (!rule) return unknown_namespace(r, doc, event, out, err);
  if (!topic_of(rule, out->name, &out->topic)) return no_topic(rule, out->name, err);
  out->event_time = rule->event_time;
  out->framing = rule->framing;
  out->subject = rule->subject;
  if (rule->said[ROUTE_UNKNOWN_FIELDS].key)
    out->unknown_fields = rule->said[ROUTE_UNKNOWN_FIELDS].value.ptr;
  bool exact = out->name.len == rule->pattern.len;
  enum reason why = find_key(exact ? &rule->exact : &rule->key, doc, event, arena, out, err);
  return why == REASON_NONE ? headers_find(rule, doc, event, arena, out, err) : why;
}

struct span routing_canonical(const struct routing *r, struct span name) {
  const struct known *known = table_get(&r->by_seen, name);
  return known ? known->name : name;
}

struct span routing_namespace_of(const struct routing *r, struct span name) {
  struct span canonical, ns;
  const struct rule *rule = NULL;
  if (!look_up(r, name, &canonical, &ns, &rule) || !rule) return (struct span){NULL, 0};
  return rule->ns;
}

bool routing_topic_of(const struct routing *r, struct span name, unsigned *topic) {
  struct span canonical, ns;
  const struct rule *rule = NULL;
  return look_up(r, name, &canonical, &ns, &rule) && rule && topic_of(rule, canonical, topic);
}

bool routing_pattern(const struct routing *r, size_t i, struct topic_use *out) {
  for (size_t at = 0; at < r->rule_count; at++) {
    const struct rule *rule = r->rules[at];
    if (rule->topic == NO_TOPIC || i--) continue;
    *out = (struct topic_use){rule->ns, rule->pattern, rule->topic};
    return true;
  }
  return false;
}

bool routing_framing_of(const struct routing *r, struct span name, enum framing *framing,
                        enum subject_naming *subject) {
  struct span canonical, ns;
  const struct rule *rule = NULL;
  if (!look_up(r, name, &canonical, &ns, &rule)) rule = rules_find(r, name); /* a namespace */
  if (!rule) return false;
  *framing = rule->framing;
  *subject = rule->subject;
  return true;
}

bool routing_key_of(const struct routing *r, struct span name, struct key_rule *out) {
  struct span canonical, ns;
  const struct rule *rule = NULL;
  if (!look_up(r, name, &canonical, &ns, &rule) || !rule) return false;
  *out = canonical.len == rule->pattern.len ? rule->exact : rule->key;
  return true;
}

void routing_reasons(const struct routing *r, struct span name, struct route_reasons *out) {
  const struct rule *rule = NULL;
  *out = (struct route_reasons){.name = name};
  for (int a = 0; a < ROUTE_ATTRIBUTES; a++) out->by[a] = "";
  if (!look_up(r, name, &out->name, &out->ns, &rule) || !rule) return;
  for (int a = 0; a < ROUTE_ATTRIBUTES; a++) {
    if (!rule->said[a].key) continue;
    out->by[a] = rule->said[a].key;
    out->value[a] = rule->said[a].value;
  }
  out->key = out->name.len == rule->pattern.len ? rule->exact : rule->key;
}
