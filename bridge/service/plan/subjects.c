/* Walks the schemas by the routes. Any thread; a crash leaves nothing. */
#include "bridge/service/plan/subjects.h"

#include "bridge/service/plan/framings.h"
#include "bridge/service/plan/json_schema_text.h"

struct walk {
  const struct plan *plan;
  const struct catalog *catalog;
  const struct routing *routing;
  subject_fn visit;
  void *ctx;
  struct error *err;
  struct buffer subject;
};

/* The envelope is never the one type of its topic. */
static enum status visit_at(struct walk *w, struct subject_use *use, unsigned topic,
                            enum subject_naming naming) {
  const struct catalog_schema *schema = use->schema;
  bool any = schema->whole && framing_is_json(use->framing);
  use->place = topic * SUBJECT_NAMINGS + naming;
  if (schema->whole && naming == SUBJECT_TOPIC) naming = SUBJECT_TOPIC_RECORD;
  buffer_clear(&w->subject);
  registry_subject_write(naming, routing_topic_name(w->routing, topic),
                         any ? SPAN(JSON_SCHEMA_ANY) : schema->record, &w->subject);
  enum status st = buffer_status(&w->subject, w->err);
  use->subject = buffer_z(&w->subject);
  return st == ST_OK ? w->visit(w->ctx, use, w->err) : st;
}

static bool has_schema(const struct catalog *c, struct span name) {
  struct catalog_schema schema;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++)
    if (!schema.whole && span_is(name, schema.event_name)) return true;
  return false;
}

/* May events come there that have no schema? Where the pattern itself has one only those of longer
 * names, order.placed.late, unless the topic is that of the one name. */
static bool may_lack(struct walk *w, struct span pattern) {
  unsigned topic;
  if (!has_schema(w->catalog, pattern)) return true;
  buffer_clear(&w->subject);
  buffer_printf(&w->subject, "%.*s.x", SPAN_ARGS(pattern));
  return routing_topic_of(w->routing, buffer_span(&w->subject), &topic);
}

/* Wherever events without a schema of their own may go. */
static enum status visit_envelope(struct walk *w, size_t i, const struct catalog_schema *schema) {
  struct topic_use at;
  size_t places = (size_t)routing_topics(w->routing) * SUBJECT_NAMINGS * 2;
  bool *seen = calloc(places + 1, sizeof *seen);
  enum status st = seen ? ST_OK : error_set(w->err, ST_NO_MEMORY, "Out of memory");
  for (size_t n = 0; st == ST_OK && routing_pattern(w->routing, n, &at); n++) {
    struct subject_use use = {.schema = schema, .i = i};
    enum subject_naming naming;
    if (!plan_framing(w->plan, w->routing, at.pattern, &use.framing, &naming) ||
        !framing_needs_id(use.framing))
      continue;
    size_t place = ((size_t)at.topic * SUBJECT_NAMINGS + naming) * 2 + framing_is_json(use.framing);
    if (seen[place] || !may_lack(w, at.pattern)) continue;
    seen[place] = true;
    st = visit_at(w, &use, at.topic, naming);
  }
  free(seen);
  return st;
}

enum status subjects_each(const struct plan *plan, const struct catalog *catalog,
                          const struct routing *routing, subject_fn visit, void *ctx,
                          struct error *err) {
  struct walk w = {
      .plan = plan, .catalog = catalog, .routing = routing, .visit = visit, .ctx = ctx, .err = err};
  struct catalog_schema schema;
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && catalog_schema_at(catalog, i, &schema); i++) {
    struct subject_use use = {.schema = &schema, .i = i};
    enum subject_naming naming;
    unsigned topic;
    struct span event = span_of(schema.event_name);
    if (schema.whole)
      st = visit_envelope(&w, i, &schema);
    else if (routing_topic_of(routing, event, &topic) &&
             plan_framing(plan, routing, event, &use.framing, &naming))
      st = visit_at(&w, &use, topic, naming);
  }
  buffer_release(&w.subject);
  return st;
}

enum status subject_text(const struct plan *plan, const struct catalog *catalog,
                         const struct routing *routing, const struct subject_use *use,
                         struct buffer *out, struct error *err) {
  struct buffer whole = {0};
  enum status st = framing_is_json(use->framing)
                       ? json_schema_text(plan, catalog, routing, use->i, &whole, err)
                       : catalog_whole_text(catalog, use->schema->text, &whole, err);
  buffer_clear(out);
  if (st == ST_OK) registry_minify(buffer_span(&whole), out);
  buffer_release(&whole);
  return st == ST_OK ? buffer_status(out, err) : st;
}

const struct ids_kind *subject_kind(const struct subject_use *use) {
  static const struct ids_kind avro = {"AVRO", catalog_same_schema, catalog_form},
                               json = {"JSON", catalog_same_json, catalog_json_form};
  return framing_is_json(use->framing) ? &json : &avro;
}

/* ---- what cannot be ---- */

static enum status no_registry(const struct plan *plan, const struct routing *routing,
                               struct error *err) {
  struct topic_use use;
  for (size_t at = 0; routing_pattern(routing, at, &use); at++) {
    enum framing framing;
    if (plan_framing(plan, routing, use.pattern, &framing, NULL) && framing_needs_id(framing))
      return error_set(err, ST_INVALID,
                       "the framing %s of %.*s needs a schema registry; set registry.url, or "
                       "another encoding.framing",
                       framing_word(framing), SPAN_ARGS(use.pattern));
  }
  return ST_OK;
}

/* How many schemas have events in that topic; *first, *second: two of them. */
static size_t types_of(const struct catalog *catalog, const struct routing *routing, unsigned topic,
                       const char **first, const char **second) {
  struct catalog_schema schema;
  size_t count = 0;
  *first = *second = "";
  for (size_t i = 0; catalog_schema_at(catalog, i, &schema); i++) {
    unsigned at;
    if (schema.whole || !routing_topic_of(routing, span_of(schema.event_name), &at) || at != topic)
      continue;
    if (count++)
      *second = schema.event_name;
    else
      *first = schema.event_name;
  }
  return count;
}

static enum status one_type(const struct plan *plan, const struct catalog *catalog,
                            const struct routing *routing, struct error *err) {
  struct topic_use use;
  for (size_t at = 0; routing_pattern(routing, at, &use); at++) {
    enum framing framing;
    enum subject_naming naming;
    const char *first, *second;
    if (!plan_framing(plan, routing, use.pattern, &framing, &naming) ||
        !framing_needs_id(framing) || naming != SUBJECT_TOPIC)
      continue;
    size_t count = types_of(catalog, routing, use.topic, &first, &second);
    if (count == 1 || (!count && use.pattern.len == use.ns.len)) continue;
    return error_set(err, ST_INVALID,
                     "the subject of %.*s is that of its topic, %s, which has %s%s%s%s%s: such a "
                     "subject is for a topic with one type of event. Give each a topic of its own, "
                     "or set topic-record",
                     SPAN_ARGS(use.pattern), routing_topic_name(routing, use.topic),
                     count ? "several types of events (" : "no type of event with a schema", first,
                     count ? ", " : "", second, count ? ")" : "");
  }
  return ST_OK;
}

enum status subjects_check(const struct plan *plan, const struct catalog *catalog,
                           const struct routing *routing, struct error *err) {
  if (!*plan->registry.urls) return no_registry(plan, routing, err);
  enum status st = registry_config_check(&plan->registry, err);
  if (st != ST_OK) return st;
  return catalog ? one_type(plan, catalog, routing, err) : ST_OK;
}
