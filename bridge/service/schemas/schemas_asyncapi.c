/* AsyncAPI 3.0 of what the worker sends: a channel for each topic, a message for each event with a
 * schema, and one for all that go in the envelope.
 * One thread; a crash leaves nothing. */
#include "bridge/service/operations.h"
#include "bridge/service/plan/framings.h"
#include "bridge/service/schemas/schemas_parts.h"

#define MESSAGES "#/components/messages/"
#define SCHEMAS "#/components/schemas/"

/* ---- which events are in which topic ---- */

static bool is_in(const struct schemas *s, const char *event, unsigned topic) {
  unsigned own;
  return routing_topic_of(s->routing, span_of(event), &own) && own == topic;
}

static bool has_schemas(const struct schemas *s, struct span ns) {
  struct catalog_schema schema;
  for (size_t i = 0; catalog_schema_at(s->catalog, i, &schema); i++) {
    struct span event = span_of(schema.event_name);
    if (event.len > ns.len && event.ptr[ns.len] == '.' && !memcmp(event.ptr, ns.ptr, ns.len))
      return true;
  }
  return false;
}

static bool has_schema(const struct schemas *s, struct span event) {
  struct catalog_schema schema;
  for (size_t i = 0; catalog_schema_at(s->catalog, i, &schema); i++)
    if (span_is(event, schema.event_name)) return true;
  return false;
}

/* May events without a schema come there? */
static bool has_envelopes(const struct schemas *s, unsigned topic) {
  struct topic_use use;
  for (size_t i = 0; routing_topic_use(s->routing, i, &use); i++) {
    if (use.topic != topic || has_schema(s, use.pattern)) continue;
    if (!s->plan.catalog.refuse_names || !has_schemas(s, use.ns)) return true;
  }
  return false;
}

/* ---- channels ---- */

static void put_message_of_channel(struct span event, const char *between, struct buffer *out) {
  struct buffer key = {0};
  schemas_key(event, &key);
  buffer_printf(out, "%s\"%s\": {\"$ref\": \"" MESSAGES "%s\"}", between, buffer_z(&key),
                buffer_z(&key));
  buffer_release(&key);
}

/* False: nothing of what is asked for is in that topic. */
static bool put_channel(const struct schemas *s, struct span only, unsigned topic,
                        struct buffer *out) {
  struct catalog_schema schema;
  struct buffer messages = {0};
  const char *name = routing_topic_name(s->routing, topic);
  for (size_t i = 0; catalog_schema_at(s->catalog, i, &schema); i++) {
    struct span event = span_of(schema.event_name);
    bool in = schema.whole
                  ? !only.len && has_envelopes(s, topic)
                  : is_in(s, schema.event_name, topic) && (!only.len || span_eq(only, event));
    if (in) put_message_of_channel(event, messages.len ? ", " : "", &messages);
  }
  bool some = messages.len > 0;
  if (some)
    buffer_printf(out,
                  "\"%s\": {\"address\": \"%s\", \"messages\": {%s}, \"bindings\": {\"kafka\": "
                  "{\"topic\": \"%s\", \"bindingVersion\": \"0.5.0\"}}}",
                  name, name, buffer_z(&messages), name);
  buffer_release(&messages);
  return some;
}

static void put_channels(const struct schemas *s, struct span only, struct buffer *out) {
  struct buffer sends = {0};
  bool first = true;
  buffer_add_z(out, ", \"channels\": {");
  for (unsigned t = 0; t < routing_topics(s->routing); t++) {
    struct buffer one = {0};
    const char *name = routing_topic_name(s->routing, t);
    if (put_channel(s, only, t, &one)) {
      buffer_printf(out, "%s%s", first ? "" : ", ", buffer_z(&one));
      buffer_printf(&sends,
                    "%s\"send-%s\": {\"action\": \"send\", \"channel\": {\"$ref\": "
                    "\"#/channels/%s\"}}",
                    first ? "" : ", ", name, name);
      first = false;
    }
    buffer_release(&one);
  }
  buffer_printf(out, "}, \"operations\": {%s}", sends.len ? buffer_z(&sends) : "");
  buffer_release(&sends);
}

/* ---- messages ---- */

/* Events without a schema may be framed in several ways: then as most. */
static enum framing framing_of(const struct schemas *s, const struct catalog_schema *schema) {
  enum framing framing = s->plan.catalog.framing;
  if (!schema->whole &&
      !plan_framing(&s->plan, s->routing, span_of(schema->event_name), &framing, NULL))
    framing = s->plan.catalog.framing;
  return framing;
}

/* The event's own headers: the names of NAME=PATH words. */
static void put_own_headers(struct span words, struct buffer *out) {
  struct span word;
  while (span_word(&words, &word)) {
    const char *at = word.len ? memchr(word.ptr, '=', word.len) : NULL;
    while (word.len && *word.ptr == ',') word.ptr++, word.len--;
    if (!at || at <= word.ptr) continue;
    buffer_add_z(out, ", ");
    json_write_string(out, (struct span){word.ptr, (size_t)(at - word.ptr)});
    buffer_add_z(out, ": {\"type\": \"string\"}");
  }
}

static void put_headers(const struct schemas *s, const struct catalog_schema *schema,
                        const struct route_reasons *route, struct buffer *out) {
  buffer_add_z(out, ", \"headers\": {\"type\": \"object\", \"properties\": {\"ce_specversion\": "
                    "{\"const\": \"1.0\"}, \"ce_id\": {\"type\": \"string\"}, \"ce_type\": ");
  if (schema->whole) {
    buffer_add_z(out, "{\"type\": \"string\"}");
  } else {
    buffer_add_z(out, "{\"const\": ");
    json_write_string(out, span_of(schema->event_name));
    buffer_add_char(out, '}');
  }
  buffer_printf(out,
                ", \"ce_source\": {\"type\": \"string\"}, \"ce_time\": {\"type\": \"string\", "
                "\"format\": \"date-time\"}, \"content-type\": {\"const\": \"%s\"}",
                framing_content_type(framing_of(s, schema)));
  static const char *const others[] = {"ce_subject", "traceparent",        "tracestate",
                                       "ce_extra",   "busbridge-envelope", "ce_dataschema"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    buffer_printf(out, ", \"%s\": {\"type\": \"string\"}", others[i]);
  put_own_headers(route->value[ROUTE_HEADERS], out);
  buffer_add_z(out, "}, \"required\": [\"ce_specversion\", \"ce_id\", \"ce_type\", \"ce_source\", "
                    "\"ce_time\", \"content-type\"]}");
}

static void put_key(const struct route_reasons *route, struct buffer *out) {
  struct buffer words = {0};
  const struct key_rule *rule = &route->key;
  for (const char *const *field = rule->fields; field && *field; field++)
    buffer_printf(&words, "%s, else ", *field);
  buffer_add_z(&words, "the event's id");
  buffer_add_z(out,
               ", \"bindings\": {\"kafka\": {\"key\": {\"type\": \"string\", \"description\": ");
  json_write_string(out, buffer_span(&words));
  buffer_add_z(out, "}, \"bindingVersion\": \"0.5.0\"}}");
  buffer_release(&words);
}

static enum status put_avro(struct schemas *s, const struct catalog_schema *schema,
                            struct buffer *out, struct error *err) {
  struct buffer text = {0}, whole = {0};
  bool first = false;
  enum status st = schemas_text(s, span_of(schema->event_name), &text, err);
  if (st == ST_OK) st = catalog_whole_text(s->catalog, buffer_span(&text), &whole, err);
  if (st == ST_OK) {
    struct buffer names = {0};
    bool start = true;
    schemas_write_fingerprint(schema, &names, &start);
    json_write_key(out, &first, "x-avro");
    buffer_printf(out, "{%s, \"schema\": ", buffer_z(&names));
    buffer_add(out, span_trim(buffer_span(&whole)));
    buffer_add_char(out, '}');
    buffer_release(&names);
  }
  buffer_release(&text);
  buffer_release(&whole);
  return st;
}

/* What it is, in words, and its schema. */
static void put_payload(const struct catalog_schema *schema, enum framing framing, const char *key,
                        struct buffer *out) {
  bool event = framing == FRAMING_CLOUDEVENTS;
  buffer_add_z(out, schema->whole ? "\"Events whose name has no schema: what the envelope carries\""
                    : event       ? "\"A CloudEvent; data is the payload as it was written\""
                    : framing_is_json(framing) ? "\"The payload as it was written\""
                                               : "\"Avro; payload is what it stands for in JSON\"");
  buffer_add_z(out, ", \"payload\": ");
  if (event) buffer_add_z(out, "{\"type\": \"object\", \"properties\": {\"data\": ");
  buffer_printf(out, "{\"$ref\": \"" SCHEMAS "%s\"}", key);
  if (event) buffer_add_z(out, "}, \"required\": [\"data\"]}");
}

static enum status put_message(struct schemas *s, const struct catalog_schema *schema,
                               struct buffer *out, struct error *err) {
  struct span event = span_of(schema->event_name);
  struct route_reasons route;
  struct buffer key = {0};
  enum framing framing = framing_of(s, schema);
  routing_reasons(s->routing, event, &route);
  schemas_key(event, &key);
  buffer_printf(out, "\"%s\": {\"name\": ", buffer_z(&key));
  json_write_string(out, event);
  buffer_printf(out, ", \"title\": \"%s\", \"contentType\": \"%s\", \"summary\": ", buffer_z(&key),
                framing_content_type(framing));
  put_payload(schema, framing, buffer_z(&key), out);
  put_headers(s, schema, &route, out);
  put_key(&route, out);
  enum status st = framing_is_json(framing) ? ST_OK : put_avro(s, schema, out, err);
  buffer_add_char(out, '}');
  buffer_release(&key);
  return st;
}

/* ---- the document ---- */

/* Is it sent to any topic at all? */
static bool is_sent(const struct schemas *s, const struct catalog_schema *schema,
                    struct span only) {
  unsigned topic;
  if (only.len) return span_is(only, schema->event_name);
  for (unsigned t = 0; schema->whole && t < routing_topics(s->routing); t++)
    if (has_envelopes(s, t)) return true;
  return !schema->whole && routing_topic_of(s->routing, span_of(schema->event_name), &topic);
}

static enum status put_components(struct schemas *s, struct span only, struct buffer *out,
                                  struct error *err) {
  struct catalog_schema schema;
  struct buffer schemas = {0};
  enum status st = ST_OK;
  bool first = true;
  buffer_add_z(out, ", \"components\": {\"messages\": {");
  for (size_t i = 0; st == ST_OK && catalog_schema_at(s->catalog, i, &schema); i++) {
    if (!is_sent(s, &schema, only)) continue;
    buffer_add_z(out, first ? "" : ", ");
    buffer_add_z(&schemas, first ? "" : ", ");
    first = false;
    st = put_message(s, &schema, out, err);
    if (st == ST_OK) st = schemas_write_among(s, i, SCHEMAS, &schemas, err);
  }
  buffer_printf(out, "}, \"schemas\": {%s}}", schemas.len ? buffer_z(&schemas) : "");
  buffer_release(&schemas);
  return st;
}

enum status schemas_asyncapi(struct schemas *s, struct span event, struct buffer *out,
                             struct error *err) {
  struct catalog_schema schema;
  struct span only = {0};
  size_t i;
  enum status st = event.len ? schemas_index(s, event, &i, err) : ST_OK;
  if (st != ST_OK) return st;
  if (event.len && catalog_schema_at(s->catalog, i, &schema)) only = span_of(schema.event_name);
  buffer_printf(out,
                "{\"asyncapi\": \"3.0.0\", \"info\": {\"title\": \"Events of busbridge\", "
                "\"version\": \"%s\"}, \"defaultContentType\": \"%s\"",
                BUSBRIDGE_VERSION, framing_content_type(s->plan.catalog.framing));
  put_channels(s, only, out);
  st = put_components(s, only, out, err);
  buffer_add_char(out, '}');
  return st == ST_OK ? buffer_status(out, err) : st;
}
