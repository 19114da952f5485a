/* Routes one event: looks its name up, or splits off its namespace; picks the key; says why when it cannot. */
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
  error_set(err, ST_INVALID,
            "name %s is no namespace.event in [a-z0-9_.-] of at most %d bytes; mend it, or add it to routing.aliases",
            buffer_z(&shown), EVENT_NAME_MAX);
  buffer_release(&shown);
  return REASON_BAD_NAME;
}

static enum reason unknown_namespace(const struct routing *r, struct span name, struct span ns, struct error *err) {
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

/* True with *out when the value can be a key. *lost: memory was out. */
static bool key_of(const struct json_doc *doc, uint32_t node, struct arena *arena, struct span *out, bool *lost) {
  if (node == JSON_NONE) return false;
  *out = json_slice(doc, node);
  if (doc->nodes[node].type == JSON_NUMBER) return true;
  if (doc->nodes[node].type != JSON_STRING) return false;
  *lost = !json_text(doc, node, arena, out);
  return *lost || out->len > 0;
}

static enum reason find_key(const struct space *space, const struct json_doc *doc, const struct event *event,
                            struct arena *arena, struct route *out, struct error *err) {
  bool lost = false;
  out->key = event->id;
  if (event->payload == JSON_NONE) return REASON_NONE;
  for (const char **field = space->fields; *field; field++) {
    struct span key;
    if (!key_of(doc, json_member(doc, event->payload, *field), arena, &key, &lost)) continue;
    if (lost) {
      error_set(err, ST_NO_MEMORY, "no memory to unescape a key");
      return REASON_NO_MEMORY;
    }
    out->key = key;
    return REASON_NONE;
  }
  return REASON_NONE;
}

enum reason routing_route(const struct routing *r, const struct json_doc *doc, const struct event *event,
                          struct arena *arena, struct route *out, struct error *err) {
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
  return find_key(space, doc, event, arena, out, err);
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
