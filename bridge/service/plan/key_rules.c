/* The sentences that say which fields are the keys of the events.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/plan/key_rules.h"

#define SHOWN 5 /* events whose schema says it, in one sentence */

static void add_fields(struct buffer *out, const struct key_rule *rule) {
  for (const char *const *field = rule->fields; *field; field++)
    buffer_printf(out, "%s%s", field == rule->fields ? "" : ", else ", *field);
}

static const char *source_words(const struct key_rule *rule) {
  return rule->source == KEY_OF_SCHEMA ? "its schema" : rule->key ? rule->key : "built in";
}

/* How many events of it have a key of their own. */
static size_t add_events(const struct routing *r, unsigned i, struct buffer *out) {
  struct key_rule rule;
  struct span event;
  size_t count = 0;
  while (routing_key_rule(r, i, count + 1, &rule, &event)) {
    if (++count > SHOWN) continue;
    buffer_add_z(out, count == 1 ? "the key is " : ", ");
    add_fields(out, &rule);
    buffer_printf(out, "%s of %.*s (%s)", *rule.fields ? "" : "its id", SPAN_ARGS(event),
                  source_words(&rule));
  }
  if (count > SHOWN) buffer_printf(out, " and of %zu more", count - SHOWN);
  return count;
}

bool key_rules_words(const struct routing *r, unsigned i, struct span *ns, struct buffer *out) {
  struct key_rule rule;
  struct span event;
  if (!routing_namespace(r, i, ns) || !routing_key_rule(r, i, 0, &rule, &event)) return false;
  size_t own = add_events(r, i, out);
  if (*rule.fields) {
    buffer_add_z(out, own ? "; of others " : "the key is ");
    add_fields(out, &rule);
    buffer_printf(out, " (%s)", source_words(&rule));
  } else if (own && rule.key) {
    buffer_printf(out, "; others have none (%s says so) and are not ordered", rule.key);
  } else if (rule.key) {
    buffer_printf(out, "no key (%s says none), so nothing is ordered", rule.key);
  } else if (own) {
    buffer_add_z(out, "; others have none and are not ordered");
  } else {
    buffer_printf(
        out, "no key is configured, so nothing is ordered; routing.keys = %.*s=FIELD names one",
        SPAN_ARGS(*ns));
  }
  return true;
}

/* Which field was meant (its front, itself, what is behind it), of all schemas of events whose rule
 * it is? *some: there are any. True: the field is there. */
static bool find_field(const struct routing *r, const struct catalog *c,
                       const struct key_rule *rule, const char *field, bool *some,
                       struct span near[3]) {
  struct catalog_schema schema;
  struct key_rule its;
  near[1] = near[2] = (struct span){0};
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++) {
    if (!routing_key_of(r, span_of(schema.event_name), &its) || its.fields != rule->fields)
      continue;
    *some = true;
    if (catalog_place(c, i, span_of(field)) != CATALOG_NONE) return true;
    if (!near[1].len) near[1] = catalog_near_field(c, i, span_of(field), &near[0], &near[2]);
  }
  return false;
}

static void doubt_rule(const struct routing *r, const struct catalog *catalog,
                       const struct key_rule *rule, struct span of, struct buffer *out) {
  struct span near[3];
  bool some = false;
  for (const char *const *field = rule->fields; *field; field++) {
    if (find_field(r, catalog, rule, *field, &some, near) || !some) continue;
    buffer_printf(out, "%s%s names %s, which no schema of %.*s has", out->len ? "; " : "",
                  rule->key, *field, SPAN_ARGS(of));
    if (near[1].len)
      buffer_printf(out, "; did you mean %.*s%.*s%.*s?", SPAN_ARGS(near[0]), SPAN_ARGS(near[1]),
                    SPAN_ARGS(near[2]));
  }
}

bool key_rules_doubt(const struct routing *r, const struct catalog *catalog, unsigned i,
                     struct buffer *out) {
  struct span ns, event;
  struct key_rule rule;
  struct buffer doubts = {0};
  if (!catalog || !routing_namespace(r, i, &ns)) return false;
  for (size_t at = 0; routing_key_rule(r, i, at, &rule, &event); at++)
    if (rule.key) doubt_rule(r, catalog, &rule, event.len ? event : ns, &doubts);
  bool any = doubts.len > 0;
  buffer_add(out, buffer_span(&doubts));
  out->failed |= doubts.failed;
  buffer_release(&doubts);
  return any;
}

bool key_rules_doubt_of(const struct routing *r, const struct catalog *catalog, struct span name,
                        struct span ns, struct buffer *out) {
  struct key_rule rule;
  if (routing_key_of(r, name, &rule) && rule.key) doubt_rule(r, catalog, &rule, ns, out);
  return out->len > 0;
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
