/* The routing of settings and schemas together.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/plan/configure.h"
#include "bridge/service/plan/subjects.h"

static enum status take_keys(const struct catalog *c, struct routing_config *config,
                             struct schema_key **keys) {
  struct catalog_schema schema;
  size_t count = 0;
  while (catalog_schema_at(c, count, &schema)) count++;
  if (!(*keys = calloc(count + 1, sizeof **keys))) return ST_NO_MEMORY;
  config->schema_keys = *keys;
  config->schema_key_count = count;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++)
    (*keys)[i] = (struct schema_key){span_of(schema.event_name), schema.key};
  return ST_OK;
}

static enum status check_field(const struct catalog *c, size_t i, const struct key_rule *rule,
                               const char *field, struct error *err) {
  struct catalog_schema schema;
  enum catalog_place place = catalog_place(c, i, span_of(field));
  if (place != CATALOG_ARRAY && place != CATALOG_OBJECT) return ST_OK;
  const char *what = place == CATALOG_ARRAY ? "an array" : "an object", *dot = "", *equals = "";
  int ns = 0;
  if (!catalog_schema_at(c, i, &schema)) return ST_OK;
  if (rule->source == KEY_OF_SETTING) { /* which of its words */
    dot = schema.event_name;
    ns = (int)strcspn(dot, ".");
    equals = "=";
  }
  return error_set(err, ST_INVALID,
                   "%s: %.*s%s%s: %s is %s in %s, and makes no key; name a string or a number",
                   rule->key, ns, dot, equals, field, field, what, schema.file);
}

static enum status check_fields(const struct routing *r, const struct catalog *c,
                                struct error *err) {
  struct catalog_schema schema;
  struct key_rule rule;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++) {
    if (!routing_key_of(r, span_of(schema.event_name), &rule) || !rule.key) continue;
    for (const char *const *field = rule.fields; *field; field++) {
      enum status st = check_field(c, i, &rule, *field, err);
      if (st != ST_OK) return st;
    }
  }
  return ST_OK;
}

static enum status open_with(const struct plan *plan, const struct catalog *catalog,
                             struct routing **out, struct error *err) {
  struct routing_config config = plan->routing;
  struct schema_key *keys = NULL;
  if (catalog && take_keys(catalog, &config, &keys) != ST_OK)
    return error_set(err, ST_NO_MEMORY, "Out of memory");
  enum status st = routing_open(&config, out, err);
  free(keys);
  if (st == ST_OK && catalog) st = check_fields(*out, catalog, err);
  if (st == ST_OK) st = subjects_check(plan, catalog, *out, err);
  return st;
}

enum status plan_routing(const struct plan *plan, const struct catalog *catalog,
                         struct routing **out, struct error *err) {
  struct catalog *own = NULL;
  *out = NULL;
  if (!catalog && plan_catalog(plan, NULL, &own, NULL) != ST_OK)
    own = NULL; /* a broken schema is told by who needs it */
  enum status st = open_with(plan, catalog ? catalog : own, out, err);
  catalog_close(own);
  if (st == ST_OK) return ST_OK;
  routing_close(*out);
  *out = NULL;
  return st;
}
