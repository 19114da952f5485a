/* The rules: one for each namespace, one for each pattern of a route, one for each event that has a
 * schema.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

static const char *const attributes[ROUTE_ATTRIBUTES] = {[ROUTE_TOPIC] = "topic",
                                                         [ROUTE_KEY] = "key",
                                                         [ROUTE_HEADERS] = "headers",
                                                         [ROUTE_TIMESTAMP] = "timestamp",
                                                         [ROUTE_UNKNOWN_FIELDS] = "unknown_fields",
                                                         [ROUTE_FRAMING] = "framing",
                                                         [ROUTE_SUBJECT] = "subject"};

const char *route_attribute_word(enum route_attribute a) {
  return attributes[a];
}

/* NULL: no memory. */
static struct rule *new_rule(struct routing *r, struct span pattern, struct span ns) {
  if (r->rule_count == r->rule_cap) {
    size_t cap = r->rule_cap ? 2 * r->rule_cap : 16;
    struct rule **grown = realloc(r->rules, cap * sizeof *grown);
    if (!grown) return NULL;
    r->rules = grown;
    r->rule_cap = cap;
  }
  struct rule *rule = arena_zalloc(&r->memory, sizeof *rule);
  if (!rule || !(rule->pattern = arena_span(&r->memory, pattern)).ptr) return NULL;
  rule->ns = (struct span){rule->pattern.ptr, ns.len};
  rule->topic = NO_TOPIC;
  if (table_put(&r->by_pattern, rule->pattern, rule) != ST_OK) return NULL;
  return r->rules[r->rule_count++] = rule;
}

/* ---- namespaces ---- */

static enum status add_namespace(struct routing *r, struct span word, struct error *err) {
  if (!names_namespace_valid(word))
    return error_set(err, ST_INVALID,
                     "routing.namespaces: \"%.*s\" is not a namespace; write [a-z0-9_-]+",
                     routing_shown(word), word.ptr);
  if (table_get(&r->by_pattern, word)) return ST_OK;
  if (r->space_count == r->space_cap) {
    unsigned cap = r->space_cap ? 2 * r->space_cap : 8;
    struct rule **grown = realloc(r->spaces, cap * sizeof *grown);
    if (!grown) return routing_no_memory(err);
    r->spaces = grown;
    r->space_cap = cap;
  }
  struct rule *rule = new_rule(r, word, word);
  if (!rule) return routing_no_memory(err);
  r->spaces[r->space_count++] = rule;
  return ST_OK;
}

static enum status add_namespaces(struct routing *r, const struct routing_config *config,
                                  struct error *err) {
  struct span rest = config->namespaces, word;
  while (span_word(&rest, &word)) {
    enum status st = add_namespace(r, word, err);
    if (st != ST_OK) return st;
  }
  if (r->space_count) return ST_OK;
  return error_set(
      err, ST_INVALID,
      "routing.namespaces: empty; write the namespaces to publish, such as \"episode plot\"");
}

/* ---- routes ---- */

static enum status wrong_setting(struct span key, const char *what, struct error *err) {
  return error_set(err, ST_INVALID, "%.*s: %s", routing_shown(key), key.ptr, what);
}

/* "routing.order.placed.key" -> "order.placed", its namespace and ROUTE_KEY. */
static enum status split(struct span key, struct span *pattern, struct span *ns,
                         enum route_attribute *attribute, struct error *err) {
  static const char family[] = "routing.";
  const char *dot = key.len ? memrchr(key.ptr, '.', key.len) : NULL;
  size_t front = strlen(family);
  if (!span_starts(key, family) || !dot || dot < key.ptr + front)
    return wrong_setting(key, "no route; write routing.NAMESPACE.ATTRIBUTE", err);
  *pattern = (struct span){key.ptr + front, (size_t)(dot - key.ptr) - front};
  struct span word = {dot + 1, key.len - front - pattern->len - 1};
  int a = 0;
  while (a < ROUTE_ATTRIBUTES && !span_is(word, attributes[a])) a++;
  if (a == ROUTE_ATTRIBUTES) return wrong_setting(key, "a route has no such attribute", err);
  *attribute = (enum route_attribute)a;
  *ns = *pattern;
  if (names_namespace_valid(*pattern) || names_canonical(*pattern, ns)) return ST_OK;
  return wrong_setting(key,
                       "what stands between routing and the attribute is a namespace, or an event "
                       "namespace.event, in [a-z0-9_.-]",
                       err);
}

static enum status add_route(struct routing *r, const struct route_setting *s, struct error *err) {
  struct span pattern, ns;
  enum route_attribute a = 0;
  enum status st = split(s->key, &pattern, &ns, &a, err);
  if (st != ST_OK) return st;
  if (!table_get(&r->by_pattern, ns))
    return wrong_setting(s->key, "the namespace is not in routing.namespaces; add it there", err);
  struct rule *rule = table_get(&r->by_pattern, pattern);
  if (!rule && !(rule = new_rule(r, pattern, ns))) return routing_no_memory(err);
  rule->own[a] = true;
  const char *key = arena_copy(&r->memory, s->key), *value = arena_copy(&r->memory, s->value);
  if (!key || !value) return routing_no_memory(err);
  rule->said[a] = (struct said){key, span_of(value)};
  return ST_OK;
}

/* ---- schemas ---- */

static enum status add_schema(struct routing *r, const struct schema_key *schema,
                              struct error *err) {
  struct span ns;
  if (!names_canonical(schema->event, &ns) || !table_get(&r->by_pattern, ns)) return ST_OK;
  struct rule *rule = table_get(&r->by_pattern, schema->event);
  if (!rule && !(rule = new_rule(r, schema->event, ns))) return routing_no_memory(err);
  if (!schema->field.len) return ST_OK;
  rule->schema_key = arena_span(&r->memory, schema->field);
  return rule->schema_key.ptr ? ST_OK : routing_no_memory(err);
}

/* ---- what each has from shorter ones ---- */

static int by_pattern(const void *a, const void *b) {
  return span_cmp((*(struct rule *const *)a)->pattern, (*(struct rule *const *)b)->pattern);
}

/* The longest rule at or above these words of a name. */
static struct rule *longest(const struct routing *r, struct span name) {
  for (;;) {
    struct rule *rule = table_get(&r->by_pattern, name);
    const char *dot = name.len ? memrchr(name.ptr, '.', name.len) : NULL;
    if (rule || !dot) return rule;
    name.len = (size_t)(dot - name.ptr);
  }
}

const struct rule *rules_find(const struct routing *r, struct span name) {
  return longest(r, name);
}

const struct rule *rules_above(const struct routing *r, const struct rule *rule) {
  const char *dot = memrchr(rule->pattern.ptr, '.', rule->pattern.len);
  if (!dot) return NULL;
  return longest(r, (struct span){rule->pattern.ptr, (size_t)(dot - rule->pattern.ptr)});
}

static void inherit(struct routing *r, struct span topic) {
  for (size_t i = 0; i < r->rule_count; i++) {
    struct rule *rule = r->rules[i];
    const struct rule *from = rules_above(r, rule);
    if (!from && !rule->own[ROUTE_TOPIC])
      rule->said[ROUTE_TOPIC] = (struct said){"routing.topic", topic};
    for (int a = 0; from && a < ROUTE_ATTRIBUTES; a++)
      if (!rule->own[a]) rule->said[a] = from->said[a];
  }
}

enum status rules_plan(struct routing *r, const struct routing_config *config, struct error *err) {
  enum status st = add_namespaces(r, config, err);
  for (size_t i = 0; st == ST_OK && i < config->route_count; i++)
    st = add_route(r, &config->routes[i], err);
  for (size_t i = 0; st == ST_OK && i < config->schema_key_count; i++)
    st = add_schema(r, &config->schema_keys[i], err);
  if (st != ST_OK) return st;
  qsort(r->rules, r->rule_count, sizeof *r->rules, by_pattern);
  const char *topic = arena_copy(&r->memory, config->topic);
  if (!topic) return routing_no_memory(err);
  inherit(r, span_of(topic));
  return ST_OK;
}
