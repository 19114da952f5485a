/* The topics: what the templates make of the names there are, so that all are known at the start.
 * Any thread; a crash leaves nothing. */
#include "bridge/routing/names.h"
#include "bridge/routing/plan.h"

static bool take_topic(struct span template, size_t at, const char *hole) {
  size_t len = strlen(hole);
  return template.len - at >= len && memcmp(template.ptr + at, hole, len) == 0;
}

/* event: what stands behind the namespace. True: it is asked for. */
static bool fill_template(struct span template, struct span ns, struct span event,
                          struct buffer *out) {
  static const char of_namespace[] = "{namespace}", of_event[] = "{event}";
  bool by_event = false;
  for (size_t i = 0; i < template.len;) {
    if (take_topic(template, i, of_namespace)) {
      buffer_add(out, ns);
      i += strlen(of_namespace);
    } else if (take_topic(template, i, of_event)) {
      by_event = true;
      buffer_add(out, event);
      i += strlen(of_event);
    } else {
      buffer_add_char(out, template.ptr[i++]);
    }
  }
  return by_event;
}

static enum status judge_topic(const struct said *said, struct span name, struct span ledger,
                               struct error *err) {
  if (!names_topic_valid(name))
    return error_set(err, ST_INVALID,
                     "%s: \"%.*s\" is not a topic name; write 1 to 249 of [a-zA-Z0-9._-], with "
                     "{namespace} and {event} where the parts of a name go",
                     said->key, (int)(name.len < 260 ? name.len : 260), name.ptr ? name.ptr : "");
  if (span_starts(name, "__"))
    return error_set(err, ST_INVALID,
                     "%s: %.*s begins with __, as Kafka's own topics do; write another", said->key,
                     SPAN_ARGS(name));
  if (ledger.len && span_eq(name, ledger))
    return error_set(err, ST_INVALID,
                     "%s: %.*s is the topic of the ledger (ledger.topic); write another", said->key,
                     SPAN_ARGS(name));
  return ST_OK;
}

static enum status number_of(struct routing *r, const struct said *said, struct span name,
                             unsigned *number, struct error *err) {
  const unsigned *there = table_get(&r->by_topic, name);
  if (there) {
    *number = *there;
    return ST_OK;
  }
  if (r->topic_count == ROUTING_TOPICS_MAX)
    return error_set(err, ST_INVALID, "%s: these are more than %d topics; write fewer", said->key,
                     ROUTING_TOPICS_MAX);
  if (r->topic_count == r->topic_cap) {
    unsigned cap = r->topic_cap ? 2 * r->topic_cap : 8;
    struct topic *grown = realloc(r->topics, cap * sizeof *grown);
    if (!grown) return routing_no_memory(err);
    r->topics = grown;
    r->topic_cap = cap;
  }
  const char *copy = arena_copy(&r->memory, name);
  unsigned *kept = arena_zalloc(&r->memory, sizeof *kept);
  if (!copy || !kept) return routing_no_memory(err);
  *number = *kept = r->topic_count;
  if (table_put(&r->by_topic, span_of(copy), kept) != ST_OK) return routing_no_memory(err);
  r->topics[r->topic_count++] = (struct topic){.name = copy, .key = said->key};
  return ST_OK;
}

/* A namespace is the name of no event: where {event} is asked for it has no topic. */
static enum status of_rule(struct routing *r, const struct routing_config *config,
                           struct rule *rule, struct error *err) {
  const struct said *said = &rule->said[ROUTE_TOPIC];
  struct buffer name = {0};
  struct span event = {0};
  bool space = rule->pattern.len == rule->ns.len;
  if (!space)
    event =
        (struct span){rule->pattern.ptr + rule->ns.len + 1, rule->pattern.len - rule->ns.len - 1};
  rule->by_event = fill_template(said->value, rule->ns, space ? SPAN("event") : event, &name);
  enum status st = buffer_status(&name, err);
  if (st == ST_OK) st = judge_topic(said, buffer_span(&name), config->ledger_topic, err);
  if (st == ST_OK && !(space && rule->by_event))
    st = number_of(r, said, buffer_span(&name), &rule->topic, err);
  buffer_release(&name);
  return st;
}

static enum status times_of(struct routing *r, struct rule *rule, struct error *err) {
  const struct said *said = &rule->said[ROUTE_TIMESTAMP];
  if (!said->key) return ST_OK;
  rule->event_time = span_is(said->value, "event");
  if (rule->event_time && rule->topic != NO_TOPIC) r->topics[rule->topic].event_times = true;
  if (rule->event_time || span_is(said->value, "publish")) return ST_OK;
  return error_set(err, ST_INVALID, "%s: must be publish or event", said->key);
}

static enum status framing_of(struct rule *rule, struct error *err) {
  const struct said *framing = &rule->said[ROUTE_FRAMING], *subject = &rule->said[ROUTE_SUBJECT];
  rule->framing = FRAMING_AUTO;
  rule->subject = SUBJECT_AUTO;
  if (framing->key && !framing_parse(framing->value, &rule->framing))
    return error_set(err, ST_INVALID, "%s: there is no such framing", framing->key);
  if (subject->key && !subject_parse(subject->value, &rule->subject))
    return error_set(err, ST_INVALID, "%s: must be topic-record, record or topic", subject->key);
  return ST_OK;
}

/* Kafka names its metrics by topics with _ for each dot, and refuses to create the second of two
 * that would be one there. */
static enum status tell_apart(struct routing *r, struct error *err) {
  struct table seen = {0};
  enum status st = ST_OK;
  for (unsigned i = 0; st == ST_OK && i < r->topic_count; i++) {
    char *folded = arena_copy(&r->memory, span_of(r->topics[i].name));
    for (char *c = folded; c && *c; c++)
      if (*c == '.') *c = '_';
    st = folded ? table_put(&seen, span_of(folded), &r->topics[i]) : ST_NO_MEMORY;
    if (st != ST_EXISTS) continue;
    const struct topic *other = table_get(&seen, span_of(folded));
    st = error_set(err, ST_INVALID,
                   "%s: the topics %s and %s differ in . and _ only, and Kafka takes no two such; "
                   "rename one",
                   r->topics[i].key, other->name, r->topics[i].name);
  }
  table_release(&seen);
  return st == ST_NO_MEMORY ? routing_no_memory(err) : st;
}

enum status topics_plan(struct routing *r, const struct routing_config *config, struct error *err) {
  enum status st = ST_OK;
  for (unsigned i = 0; st == ST_OK && i < r->space_count; i++)
    st = of_rule(r, config, r->spaces[i], err);
  for (size_t i = 0; st == ST_OK && i < r->rule_count; i++)
    st = of_rule(r, config, r->rules[i], err);
  for (size_t i = 0; st == ST_OK && i < r->rule_count; i++) st = times_of(r, r->rules[i], err);
  for (size_t i = 0; st == ST_OK && i < r->rule_count; i++) st = framing_of(r->rules[i], err);
  return st == ST_OK ? tell_apart(r, err) : st;
}
