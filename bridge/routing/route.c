/* Routes one event: looks its name up, or splits off its namespace; picks the key; says why when it
 * cannot. */
#include "bridge/base/words.h"
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

/* The published namespace that is written most like it. */
static const struct space *nearest(const struct routing *r, struct span ns) {
  const struct space *best = r->spaces;
  for (const struct space *s = r->spaces->next; s; s = s->next)
    if (word_distance(ns, s->name) <= word_distance(ns, best->name)) best = s;
  return best;
}

static enum reason bad_name(struct span name, struct error *err) {
  struct buffer shown = {0};
  if (!err) return REASON_BAD_NAME;
  names_shown(name, &shown);
  error_set(
      err, ST_INVALID,
      "name %s is not namespace.event in [a-z0-9_.-] of at most %d bytes; fix it, or add it to routing.aliases",
      buffer_z(&shown), EVENT_NAME_MAX);
  buffer_release(&shown);
  return REASON_BAD_NAME;
}

static enum reason unknown_namespace(const struct routing *r, struct span name, struct span ns,
                                     struct error *err) {
  struct buffer shown = {0};
  if (!err) return REASON_UNKNOWN_NAMESPACE;
  names_shown(name, &shown);
  error_set(
      err, ST_INVALID,
      "name %s: namespace \"%.*s\" is not in routing.namespaces (the nearest there is \"%.*s\"); add it there, or "
      "the name to routing.aliases",
      buffer_z(&shown), (int)(ns.len < 60 ? ns.len : 60), ns.ptr, SPAN_ARGS(nearest(r, ns)->name));
  buffer_release(&shown);
  return REASON_UNKNOWN_NAMESPACE;
}

/* A member of that name, else the path: "customer.id" is id of customer. Behind the path stand its
 * steps (keys.c). */
static uint32_t member_at(const struct json_doc *doc, uint32_t node, const char *path) {
  uint32_t whole = json_member(doc, node, path);
  if (whole != JSON_NONE || !strchr(path, '.')) return whole;
  const char *step = path + strlen(path) + 1, *end = step + strlen(path);
  while (node != JSON_NONE && step < end) {
    node = doc->nodes[node].type == JSON_OBJECT ? json_member(doc, node, step) : JSON_NONE;
    step += strlen(step) + 1;
  }
  return node;
}

static enum reason no_memory(struct error *err) {
  if (err) error_set(err, ST_NO_MEMORY, "no memory to unescape a key");
  return REASON_NO_MEMORY;
}

static enum reason bad_key(const struct key_rule *rule, const char *field, bool array,
                           struct error *err) {
  struct buffer shown = {0};
  if (!err) return REASON_BAD_KEY;
  text_quoted(&shown, span_of(field), 60);
  error_set(err, ST_INVALID,
            "payload.%s: it is the key by %s, and %s makes none; a key is a string or a number",
            buffer_z(&shown), rule->source == KEY_OF_SCHEMA ? "its schema" : "routing.keys",
            array ? "an array" : "an object");
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
  for (const char *const *field = rule->fields; *field; field++) {
    struct span key;
    bool found = false;
    uint32_t node = member_at(doc, event->payload, *field);
    if (node == JSON_NONE) continue;
    bool array = doc->nodes[node].type == JSON_ARRAY;
    if ((array || doc->nodes[node].type == JSON_OBJECT) && rule->source != KEY_BUILT_IN)
      return bad_key(rule, *field, array, err);
    if (key_of(doc, node, arena, &key, &found) != REASON_NONE) return no_memory(err);
    if (!found) continue;
    out->key = key;
    return REASON_NONE;
  }
  out->keyless = *rule->fields != NULL;
  return REASON_NONE;
}

enum reason routing_route(const struct routing *r, const struct json_doc *doc,
                          const struct event *event, struct arena *arena, struct route *out,
                          struct error *err) {
  const struct known *known = table_get(&r->by_seen, event->name);
  const struct space *space = known ? known->space : NULL;
  *out = (struct route){.name = event->name};
  if (known) {
    out->name = known->name;
    out->ns = known->ns;
  } else if (names_canonical(event->name, &out->ns)) {
    space = table_get(&r->by_namespace, out->ns);
  } else {
    return bad_name(event->name, err);
  }
  if (!space) return unknown_namespace(r, out->name, out->ns, err);
  out->topic = space->topic;
  const struct by_schema *own = table_get(&r->by_event, out->name);
  return find_key(own ? &own->key : &space->key, doc, event, arena, out, err);
}

struct span routing_canonical(const struct routing *r, struct span name) {
  const struct known *known = table_get(&r->by_seen, name);
  return known ? known->name : name;
}

struct span routing_namespace_of(const struct routing *r, struct span name) {
  struct span ns;
  const struct known *known = table_get(&r->by_seen, name);
  const struct space *space = known                        ? known->space
                              : names_canonical(name, &ns) ? table_get(&r->by_namespace, ns)
                                                           : NULL;
  return space ? space->name : (struct span){NULL, 0};
}
