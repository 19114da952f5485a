/* The keys of the events as a whole: settings and schemas together, and the sentences that say so.
 */
#include "bridge/service/key_rules.h"

#define SHOWN 5 /* events whose schema says it, in one sentence */

/* ---- both together ---- */

static bool of_namespace(const struct catalog_schema *schema, struct span ns) {
  return strncmp(schema->event_name, ns.ptr, ns.len) == 0 && schema->event_name[ns.len] == '.';
}

static enum status take_keys(const struct catalog *c, struct routing_config *config,
                             struct schema_key **keys) {
  struct catalog_schema schema;
  size_t count = 0;
  while (catalog_schema_at(c, count, &schema)) count++;
  if (!(*keys = calloc(count + 1, sizeof **keys))) return ST_NO_MEMORY;
  config->schema_keys = *keys;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++)
    if (schema.key.len)
      (*keys)[config->schema_key_count++] =
          (struct schema_key){span_of(schema.event_name), schema.key};
  return ST_OK;
}

static enum status check_field(const struct catalog *c, struct span ns, const char *field,
                               struct error *err) {
  struct catalog_schema schema;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++) {
    enum catalog_place place =
        of_namespace(&schema, ns) ? catalog_place(c, i, span_of(field)) : CATALOG_NONE;
    if (place == CATALOG_ARRAY || place == CATALOG_OBJECT)
      return error_set(
          err, ST_INVALID,
          "routing.keys: %.*s=%s: %s is %s in %s, and makes no key; name a string or a number",
          SPAN_ARGS(ns), field, field, place == CATALOG_ARRAY ? "an array" : "an object",
          schema.file);
  }
  return ST_OK;
}

/* The rule of namespace i where routing.keys says it. */
static bool by_setting(const struct routing *r, unsigned i, struct span *ns,
                       struct key_rule *rule) {
  struct span event;
  unsigned topic;
  return routing_namespace(r, i, ns, &topic) && routing_key_rule(r, i, 0, rule, &event) &&
         rule->source == KEY_OF_SETTING;
}

static enum status check_fields(const struct routing *r, const struct catalog *c,
                                struct error *err) {
  struct span ns;
  unsigned topic;
  struct key_rule rule;
  for (unsigned i = 0; routing_namespace(r, i, &ns, &topic); i++) {
    if (!by_setting(r, i, &ns, &rule)) continue;
    for (const char *const *field = rule.fields; *field; field++) {
      enum status st = check_field(c, ns, *field, err);
      if (st != ST_OK) return st;
    }
  }
  return ST_OK;
}

enum status plan_routing(const struct plan *plan, const struct catalog *catalog,
                         struct routing **out, struct error *err) {
  struct routing_config config = plan->routing;
  struct schema_key *keys = NULL;
  *out = NULL;
  if (catalog && take_keys(catalog, &config, &keys) != ST_OK)
    return error_set(err, ST_NO_MEMORY, "Out of memory");
  enum status st = routing_open(&config, out, err);
  free(keys);
  if (st == ST_OK && catalog) st = check_fields(*out, catalog, err);
  if (st == ST_OK) return ST_OK;
  routing_close(*out);
  *out = NULL;
  return st;
}

/* ---- in words ---- */

static void add_fields(struct buffer *out, const struct key_rule *rule) {
  for (const char *const *field = rule->fields; *field; field++)
    buffer_printf(out, "%s%s", field == rule->fields ? "" : ", else ", *field);
}

/* How many events of it have a key by their schema. */
static size_t add_events(const struct routing *r, unsigned i, struct buffer *out) {
  struct key_rule rule;
  struct span event;
  size_t count = 0;
  while (routing_key_rule(r, i, count + 1, &rule, &event)) {
    if (++count > SHOWN) continue;
    buffer_printf(out, "%s%s of %.*s", count == 1 ? "the key is " : ", ", rule.fields[0],
                  SPAN_ARGS(event));
  }
  if (count > SHOWN) buffer_printf(out, " and of %zu more", count - SHOWN);
  if (count) buffer_add_z(out, count == 1 ? " (its schema)" : " (their schemas)");
  return count;
}

bool key_rules_words(const struct routing *r, unsigned i, struct span *ns, struct buffer *out) {
  struct key_rule rule;
  struct span event;
  unsigned topic;
  if (!routing_namespace(r, i, ns, &topic) || !routing_key_rule(r, i, 0, &rule, &event))
    return false;
  size_t own = add_events(r, i, out);
  if (*rule.fields) {
    buffer_add_z(out, own ? "; of others " : "the key is ");
    add_fields(out, &rule);
    buffer_add_z(out, rule.source == KEY_OF_SETTING ? " (routing.keys)" : " (built in)");
  } else if (rule.source == KEY_OF_SETTING) {
    buffer_add_z(out, "no key (routing.keys says none), so nothing is ordered");
  } else if (own) {
    buffer_add_z(out, "; others have none and are not ordered");
  } else {
    buffer_printf(
        out, "no key is configured, so nothing is ordered; routing.keys = %.*s=FIELD names one",
        SPAN_ARGS(*ns));
  }
  return true;
}

/* Which field was meant (its front and itself), of all schemas of the namespace? *some: it has
 * schemas. True: the field is there. */
static bool find_field(const struct catalog *c, struct span ns, const char *field, bool *some,
                       struct span near[2]) {
  struct catalog_schema schema;
  near[1] = (struct span){0};
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++) {
    if (!of_namespace(&schema, ns)) continue;
    *some = true;
    if (catalog_place(c, i, span_of(field)) != CATALOG_NONE) return true;
    if (!near[1].len) near[1] = catalog_near_field(c, i, span_of(field), &near[0]);
  }
  return false;
}

bool key_rules_doubt(const struct routing *r, const struct catalog *catalog, unsigned i,
                     struct buffer *out) {
  struct span ns, near[2];
  struct key_rule rule;
  size_t before = out->len;
  bool some = false;
  if (!catalog || !by_setting(r, i, &ns, &rule)) return false;
  for (const char *const *field = rule.fields; *field; field++) {
    if (find_field(catalog, ns, *field, &some, near) || !some) continue;
    buffer_printf(out, "%srouting.keys names %s, which no schema of %.*s has",
                  out->len > before ? "; " : "", *field, SPAN_ARGS(ns));
    if (near[1].len)
      buffer_printf(out, "; did you mean %.*s%.*s?", SPAN_ARGS(near[0]), SPAN_ARGS(near[1]));
  }
  return out->len > before;
}

void key_rules_log(const struct routing *r, const struct catalog *catalog, struct log *log) {
  struct span ns;
  struct buffer words = {0};
  for (unsigned i = 0; key_rules_words(r, i, &ns, &words); i++) {
    log_write(log, LOG_INFO, "service", "key_rule", FIELDS(F_SPAN("namespace", ns)), "%.*s: %s",
              SPAN_ARGS(ns), buffer_z(&words));
    buffer_clear(&words);
    if (key_rules_doubt(r, catalog, i, &words))
      log_write(log, LOG_WARNING, "service", "key_field_unknown", FIELDS(F_SPAN("namespace", ns)),
                "%s", buffer_z(&words));
    buffer_clear(&words);
  }
  buffer_release(&words);
}
