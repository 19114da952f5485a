/* Builds the routing from the settings: namespaces, topics, key fields and aliases, all checked
 * when it is opened. */
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

/* ---- topics ---- */

static void topic_text(struct span template, struct span ns, struct buffer *out) {
  static const struct span hole = SPAN("{namespace}");
  for (size_t i = 0; i < template.len;) {
    if (template.len - i >= hole.len && memcmp(template.ptr + i, hole.ptr, hole.len) == 0) {
      buffer_add(out, ns);
      i += hole.len;
    } else {
      buffer_add_char(out, template.ptr[i++]);
    }
  }
}

static enum status topic_number(struct routing *r, struct span name, unsigned *number,
                                struct error *err) {
  for (unsigned i = 0; i < r->topic_count; i++)
    if (span_is(name, r->topics[i])) {
      *number = i;
      return ST_OK;
    }
  if (r->topic_count == r->topic_cap) {
    unsigned cap = r->topic_cap ? 2 * r->topic_cap : 8;
    const char **topics = realloc(r->topics, cap * sizeof *topics);
    if (!topics) return routing_no_memory(err);
    r->topics = topics;
    r->topic_cap = cap;
  }
  const char *copy = arena_copy(&r->memory, name);
  if (!copy) return routing_no_memory(err);
  *number = r->topic_count;
  r->topics[r->topic_count++] = copy;
  return ST_OK;
}

/* ---- namespaces ---- */

static enum status space_topic(struct routing *r, struct span template, struct space *space,
                               struct error *err) {
  struct buffer name = {0};
  topic_text(template, space->name, &name);
  enum status st = buffer_status(&name, err);
  if (st == ST_OK && !names_topic_valid(buffer_span(&name))) {
    st = error_set(
        err, ST_INVALID,
        "routing.topic: \"%.*s\" is not a topic name; write 1 to 249 of [a-zA-Z0-9._-], and {namespace} where the "
        "namespace goes",
        (int)(name.len < 260 ? name.len : 260), name.ptr ? name.ptr : "");
  } else if (st == ST_OK) {
    st = topic_number(r, buffer_span(&name), &space->topic, err);
  }
  buffer_release(&name);
  return st;
}

static enum status add_namespace(struct routing *r, struct span word, struct span template,
                                 struct error *err) {
  if (!names_namespace_valid(word))
    return error_set(err, ST_INVALID,
                     "routing.namespaces: \"%.*s\" is not a namespace; write [a-z0-9_-]+",
                     (int)(word.len < 100 ? word.len : 100), word.ptr);
  if (table_get(&r->by_namespace, word)) return ST_OK;
  struct space *space = arena_zalloc(&r->memory, sizeof *space);
  if (!space) return routing_no_memory(err);
  space->name = arena_span(&r->memory, word);
  if (!space->name.ptr) return routing_no_memory(err);
  enum status st = space_topic(r, template, space, err);
  if (st != ST_OK) return st;
  if (table_put(&r->by_namespace, space->name, space) != ST_OK) return routing_no_memory(err);
  space->next = r->spaces;
  r->spaces = space;
  return ST_OK;
}

static enum status add_namespaces(struct routing *r, const struct routing_config *config,
                                  struct error *err) {
  struct span rest = config->namespaces, word;
  while (span_word(&rest, &word)) {
    enum status st = add_namespace(r, word, config->topic, err);
    if (st != ST_OK) return st;
  }
  if (r->spaces) return ST_OK;
  return error_set(
      err, ST_INVALID,
      "routing.namespaces: empty; write the namespaces to publish, such as \"episode plot\"");
}

/* ---- aliases ---- */

/* The first that is put for a name stays: the user's come before the built-in ones. */
static enum status add_alias(struct routing *r, struct span seen, struct span canonical,
                             struct error *err) {
  struct known *known = arena_zalloc(&r->memory, sizeof *known);
  if (!known) return routing_no_memory(err);
  seen = arena_span(&r->memory, seen);
  known->name = arena_span(&r->memory, canonical);
  if (!seen.ptr || !known->name.ptr) return routing_no_memory(err);
  bool canonical_name = names_canonical(known->name, &known->ns);
  BUG_ON(!canonical_name);
  known->space = table_get(&r->by_namespace, known->ns);
  return table_put(&r->by_seen, seen, known) == ST_NO_MEMORY ? routing_no_memory(err) : ST_OK;
}

static enum status add_aliases(struct routing *r, struct span rest, struct error *err) {
  struct span word, seen, canonical, ns;
  while (span_word(&rest, &word)) {
    int shown = (int)(word.len < 100 ? word.len : 100);
    if (!routing_halves(word, &seen, &canonical))
      return error_set(err, ST_INVALID, "routing.aliases: \"%.*s\"; write SEEN=CANONICAL", shown,
                       word.ptr);
    if (!names_canonical(canonical, &ns))
      return error_set(
          err, ST_INVALID,
          "routing.aliases: \"%.*s\": what stands behind = is not a name; write namespace.event in "
          "[a-z0-9_.-]",
          shown, word.ptr);
    if (table_get(&r->by_seen, seen))
      return error_set(err, ST_INVALID,
                       "routing.aliases: \"%.*s\": that name has an alias already; leave one out",
                       shown, word.ptr);
    enum status st = add_alias(r, seen, canonical, err);
    if (st != ST_OK) return st;
  }
  for (const struct alias *a = names_builtin; a->seen; a++) {
    enum status st = add_alias(r, span_of(a->seen), span_of(a->canonical), err);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

/* ---- open, close ---- */

enum status routing_open(const struct routing_config *config, struct routing **out,
                         struct error *err) {
  struct routing *r = calloc(1, sizeof *r);
  *out = NULL;
  if (!r) return routing_no_memory(err);
  enum status st = add_namespaces(r, config, err);
  if (st == ST_OK) st = keys_plan(r, config, err);
  if (st == ST_OK) st = add_aliases(r, config->aliases, err);
  if (st != ST_OK) {
    routing_close(r);
    return st;
  }
  *out = r;
  return ST_OK;
}

void routing_close(struct routing *r) {
  if (!r) return;
  table_release(&r->by_namespace);
  table_release(&r->by_seen);
  table_release(&r->by_event);
  arena_release(&r->memory);
  free(r->topics);
  free(r);
}

unsigned routing_topics(const struct routing *r) {
  return r->topic_count;
}

/* The list begins with the last. */
static const struct space *space_at(const struct routing *r, unsigned i) {
  unsigned count = 0;
  for (const struct space *s = r->spaces; s; s = s->next) count++;
  if (i >= count) return NULL;
  const struct space *s = r->spaces;
  for (unsigned skip = count - 1 - i; skip; skip--) s = s->next;
  return s;
}

bool routing_namespace(const struct routing *r, unsigned i, struct span *ns, unsigned *topic) {
  const struct space *s = space_at(r, i);
  if (!s) return false;
  *ns = s->name;
  *topic = s->topic;
  return true;
}

bool routing_key_rule(const struct routing *r, unsigned i, size_t at, struct key_rule *out,
                      struct span *event) {
  const struct space *s = space_at(r, i);
  if (!s) return false;
  *event = (struct span){0};
  *out = s->key;
  if (at == 0) return true;
  const struct by_schema *e = s->schemas;
  while (e && --at) e = e->next;
  if (!e) return false;
  *event = e->event;
  *out = e->key;
  return true;
}

const char *routing_topic_name(const struct routing *r, unsigned topic) {
  return r->topics[topic];
}
