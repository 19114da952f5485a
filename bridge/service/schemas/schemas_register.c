/* Registers schemas in the registry, under the subjects by which the worker looks them up. No
 * worker comes here: what a topic may hold is decided where schemas are written. One thread; a
 * crash leaves some of them registered, which the next run finds there. */
#include "bridge/registry/registry.h"
#include "bridge/service/operations.h"
#include "bridge/service/schemas/schemas_parts.h"

struct registering {
  struct schemas *schemas;
  struct registry *registry;
  bool dry_run, first;
  size_t counts[4]; /* by enum outcome */
  struct buffer text, subject;
  struct buffer *json;
  struct error *err;
};

enum outcome { WAS_THERE, REGISTERED, WOULD_REGISTER, REFUSED };
static const char *const outcome_words[] = {"there", "registered", "would_register", "refused"};

/* A canonical form begins with the record's full name: {"name":"shop.Placed",... */
static struct span record_of(const struct catalog_schema *schema) {
  const char *name = schema->canonical.ptr + strlen("{\"name\":\"");
  return (struct span){name,
                       (size_t)((const char *)memchr(name, '"', schema->canonical.len) - name)};
}

static void write_one(struct registering *g, const char *event, enum outcome outcome,
                      const struct registry_schema *there, const char *why) {
  bool inner = true;
  g->counts[outcome]++;
  buffer_add_z(g->json, g->first ? "{" : ", {");
  g->first = false;
  member_text(g->json, &inner, "event", span_of(event));
  member_text(g->json, &inner, "subject", buffer_span(&g->subject));
  member_text(g->json, &inner, "outcome", span_of(outcome_words[outcome]));
  if (there->id >= 0)
    member_int(g->json, &inner, "id", there->id);
  else
    member_text_or_null(g->json, &inner, "id", (struct span){0});
  member_text_or_null(g->json, &inner, "error", span_of(why));
  buffer_add_char(g->json, '}');
}

/* ST_OK: it was told what became of it; else the registry is not there. */
static enum status take(struct registering *g, const char *event) {
  struct registry_schema out = {.id = REGISTRY_NO_ID};
  struct error why = {0};
  const char *subject = buffer_z(&g->subject);
  struct span text = buffer_span(&g->text);
  bool compatible = true;
  enum registry_said said =
      registry_look_up(g->registry, subject, text, "AVRO", true, &out, g->err);
  if (said == REGISTRY_GIVEN) write_one(g, event, WAS_THERE, &out, "");
  if (said != REGISTRY_MISSING) return said == REGISTRY_GIVEN ? ST_OK : ST_UNAVAILABLE;
  out.id = REGISTRY_NO_ID;
  said = g->dry_run ? registry_compatible(g->registry, subject, text, "AVRO", &compatible, &why)
                    : registry_register(g->registry, subject, text, "AVRO", false, &out, &why);
  if (said == REGISTRY_NOWHERE) {
    *g->err = why;
    return ST_UNAVAILABLE;
  }
  if (said == REGISTRY_REFUSED || !compatible)
    write_one(g, event, REFUSED, &out, why.text);
  else
    write_one(g, event, g->dry_run ? WOULD_REGISTER : REGISTERED, &out, "");
  return ST_OK;
}

/* The text as it is registered: whole, so that it needs no other subject, and minified, as the
 * worker asks for it. */
static enum status load_text(struct registering *g, struct span event) {
  struct buffer file = {0}, whole = {0};
  enum status st = schemas_text(g->schemas, event, &file, g->err);
  if (st == ST_OK) st = catalog_whole_text(g->schemas->catalog, buffer_span(&file), &whole, g->err);
  g->text.len = 0;
  if (st == ST_OK) registry_minify(buffer_span(&whole), &g->text);
  buffer_release(&file);
  buffer_release(&whole);
  return st == ST_OK ? buffer_status(&g->text, g->err) : st;
}

/* Under the subject that the route of that pattern says; the envelope is never the one type of its
 * topic. */
static void write_subject(const struct schemas *s, const struct catalog_schema *schema,
                          unsigned topic, struct span pattern, struct buffer *out) {
  enum framing framing;
  enum subject_naming naming = SUBJECT_AUTO;
  if (!routing_framing_of(s->routing, pattern, &framing, &naming) || naming == SUBJECT_AUTO)
    naming = s->plan.subject;
  if (schema->whole && naming == SUBJECT_TOPIC) naming = SUBJECT_TOPIC_RECORD;
  buffer_clear(out);
  registry_subject_write(naming, routing_topic_name(s->routing, topic), record_of(schema), out);
}

void schemas_subject(const struct schemas *s, const struct catalog_schema *schema, unsigned topic,
                     struct buffer *out) {
  write_subject(s, schema, topic, span_of(schema->event_name), out);
}

static bool has_schema(const struct catalog *c, struct span name) {
  struct catalog_schema schema;
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++)
    if (!schema.whole && span_is(name, schema.event_name)) return true;
  return false;
}

/* The naming of the subject that the route of that pattern says. */
static enum subject_naming naming_at(const struct schemas *s, struct span pattern) {
  enum framing framing;
  enum subject_naming naming = SUBJECT_AUTO;
  bool said = routing_framing_of(s->routing, pattern, &framing, &naming);
  return said && naming != SUBJECT_AUTO ? naming : s->plan.subject;
}

/* Each subject under which there may be events without a schema of their own, once: a route may say
 * another one in the same topic. */
static enum status take_envelope(struct registering *g, const struct catalog_schema *schema) {
  const struct routing *routing = g->schemas->routing;
  bool *taken = calloc((size_t)routing_topics(routing) * SUBJECT_NAMINGS + 1, sizeof *taken);
  enum status st = taken ? ST_OK : error_set(g->err, ST_NO_MEMORY, "Out of memory");
  struct topic_use use;
  for (size_t i = 0; st == ST_OK && routing_pattern(routing, i, &use); i++) {
    enum subject_naming naming = naming_at(g->schemas, use.pattern);
    if (naming == SUBJECT_TOPIC)
      naming = SUBJECT_TOPIC_RECORD; /* never the one type of its topic */
    size_t place = (size_t)use.topic * SUBJECT_NAMINGS + naming;
    if (taken[place] || has_schema(g->schemas->catalog, use.pattern)) continue;
    taken[place] = true;
    write_subject(g->schemas, schema, use.topic, use.pattern, &g->subject);
    st = buffer_status(&g->subject, g->err);
    if (st == ST_OK) st = take(g, schema->event_name);
  }
  free(taken);
  return st;
}

static enum status take_schema(struct registering *g, const struct catalog_schema *schema) {
  struct span event = span_of(schema->event_name);
  unsigned topic = 0;
  bool goes = schema->whole || routing_topic_of(g->schemas->routing, event, &topic);
  if (!goes) return ST_OK; /* its namespace is not published */
  enum status st = load_text(g, event);
  if (st != ST_OK) return st;
  if (schema->whole) return take_envelope(g, schema);
  write_subject(g->schemas, schema, topic, event, &g->subject);
  st = buffer_status(&g->subject, g->err);
  return st == ST_OK ? take(g, schema->event_name) : st;
}

static enum status take_all(struct registering *g, struct span event) {
  struct catalog_schema schema;
  enum status st = ST_OK;
  bool found = false;
  for (size_t i = 0; st == ST_OK && catalog_schema_at(g->schemas->catalog, i, &schema); i++) {
    if (event.len && !span_is(event, schema.event_name)) continue;
    found = true;
    st = take_schema(g, &schema);
  }
  if (st == ST_OK && event.len && !found) /* says which may have been meant */
    st = schemas_text(g->schemas, event, &g->text, g->err);
  return st;
}

static enum status write_all(struct registering *g, struct span event) {
  struct buffer *json = g->json;
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "registry", span_of(registry_shown(g->registry)));
  member_bool(json, &first, "dry_run", g->dry_run);
  json_write_key(json, &first, "schemas");
  buffer_add_char(json, '[');
  enum status st = take_all(g, event);
  buffer_add_char(json, ']');
  for (size_t i = 0; i < sizeof g->counts / sizeof *g->counts; i++)
    member_int(json, &first, outcome_words[i], (int64_t)g->counts[i]);
  buffer_add_char(json, '}');
  return st == ST_OK ? buffer_status(json, g->err) : st;
}

enum status schemas_register(struct schemas *s, struct span event, bool dry_run,
                             struct buffer *json, struct error *err) {
  struct registering g = {
      .schemas = s, .dry_run = dry_run, .first = true, .json = json, .err = err};
  struct span name = event.len ? routing_canonical(s->routing, event) : event;
  enum status st = registry_open(&s->plan.registry, &g.registry, err);
  if (st == ST_OK) st = write_all(&g, name);
  registry_close(g.registry);
  buffer_release(&g.text);
  buffer_release(&g.subject);
  return st;
}
