/* Builds the routing from the settings, all checked when it is opened; and what is asked of it as a
 * whole.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/routing.h"

#include "bridge/routing/plan.h"

/* ---- open, close ---- */

enum status routing_open(const struct routing_config *config, struct routing **out,
                         struct error *err) {
  struct routing *r = calloc(1, sizeof *r);
  *out = NULL;
  if (!r) return routing_no_memory(err);
  enum status st = rules_plan(r, config, err);
  if (st == ST_OK) st = topics_plan(r, config, err);
  if (st == ST_OK) st = keys_plan(r, config, err);
  if (st == ST_OK) st = headers_plan(r, err);
  if (st == ST_OK) st = aliases_plan(r, config, err);
  if (st != ST_OK) {
    routing_close(r);
    return st;
  }
  *out = r;
  return ST_OK;
}

void routing_close(struct routing *r) {
  if (!r) return;
  table_release(&r->by_pattern);
  table_release(&r->by_seen);
  table_release(&r->by_topic);
  arena_release(&r->memory);
  free(r->rules);
  free(r->spaces);
  free(r->topics);
  free(r);
}

/* ---- the whole ---- */

bool routing_needs_names(const struct routing_config *config) {
  static const char hole[] = "{event}";
  bool needs = config->topic.len && memmem(config->topic.ptr, config->topic.len, hole, 7);
  for (size_t i = 0; !needs && i < config->route_count; i++) {
    struct span value = config->routes[i].value;
    needs = value.len && memmem(value.ptr, value.len, hole, 7);
  }
  return needs;
}

unsigned routing_topics(const struct routing *r) {
  return r->topic_count;
}

const char *routing_topic_name(const struct routing *r, unsigned topic) {
  return r->topics[topic].name;
}

bool routing_event_times(const struct routing *r, struct span topic) {
  const unsigned *number = table_get(&r->by_topic, topic);
  return number && r->topics[*number].event_times;
}

bool routing_namespace(const struct routing *r, unsigned i, struct span *ns) {
  if (i < r->space_count) *ns = r->spaces[i]->pattern;
  return i < r->space_count;
}

bool routing_topic_use(const struct routing *r, size_t i, struct topic_use *out) {
  for (unsigned s = 0; s < r->space_count; s++) {
    const struct rule *space = r->spaces[s];
    if (space->topic == NO_TOPIC || i-- > 0) continue;
    *out = (struct topic_use){space->ns, space->ns, space->topic};
    return true;
  }
  for (size_t at = 0; at < r->rule_count; at++) {
    const struct rule *rule = r->rules[at];
    const struct rule *space = table_get(&r->by_pattern, rule->ns);
    if (rule == space || rule->topic == space->topic || i-- > 0) continue;
    *out = (struct topic_use){rule->ns, rule->pattern, rule->topic};
    return true;
  }
  return false;
}

bool routing_key_rule(const struct routing *r, unsigned i, size_t at, struct key_rule *out,
                      struct span *event) {
  if (i >= r->space_count) return false;
  const struct rule *space = r->spaces[i];
  *event = (struct span){0};
  *out = space->key;
  if (at == 0) return true;
  for (size_t n = 0; n < r->rule_count; n++) {
    const struct rule *rule = r->rules[n];
    bool own = rule != space && (rule->own[ROUTE_KEY] || rule->exact.source == KEY_OF_SCHEMA);
    if (!own || !span_eq(rule->ns, space->ns) || --at > 0) continue;
    *event = rule->pattern;
    *out = rule->exact;
    return true;
  }
  return false;
}
