/* Checks id, name and payload of a new event, warns if the relay would set it aside, and writes it
 * durably under a free name.
 * Any thread; a crash leaves the entry whole, or not there. */
#include "bridge/base/text/words.h"
#include "bridge/service/operations.h"
#include "bridge/service/unplaced.h"

#define NAMES_TRIED 1000

static void add_doom(enum reason reason, const struct error *why, struct buffer *warning) {
  if (reason == REASON_NONE || reason == REASON_NO_MEMORY) return;
  buffer_printf(warning, "It will become a dead letter (%s: %s). %s", reason_word(reason),
                why->text, reason_remedy(reason));
}

static void add_what_becomes(struct service *s, struct span name, struct buffer *warning) {
  const char *by;
  enum unknown_fields policy = unplaced_policy(&s->plan, s->routing, name, &by);
  if (policy == UNKNOWN_CARRY)
    buffer_add_z(warning, "go in the header ce_extra");
  else
    buffer_printf(warning, "%s (%s)",
                  policy == UNKNOWN_REFUSE ? "make it a dead letter" : "will not be published", by);
}

/* Does the payload fit, and which of its members have no place? */
static void consult_fields(struct service *s, struct catalog *catalog, const struct json_doc *doc,
                           const struct event *event, struct span name, struct buffer *warning) {
  struct span path;
  struct error why = {0};
  uint64_t count;
  add_doom(unplaced_meet(catalog, &s->plan, s->routing, name, doc, event->payload, &why), &why,
           warning);
  for (size_t n = 0; unplaced_at(catalog, name, n, &path, &count); n++) {
    if (!n) buffer_add_z(warning, "These have no place in the schema and ");
    if (!n) add_what_becomes(s, name, warning);
    buffer_printf(warning, "%s %.*s", n ? "," : ":", SPAN_ARGS(path));
  }
}

/* What the schemas say of it: a name that none has, where others of its namespace have one, is
 * likely mistyped. Without schemas nothing is said. */
static void consult_schemas(struct service *s, const struct json_doc *doc,
                            const struct event *event, struct buffer *warning) {
  struct catalog *catalog = NULL;
  const char *near;
  struct span name = routing_canonical(s->routing, event->name);
  if (unplaced_open(&s->plan, &catalog, NULL) != ST_OK) return;
  if (!catalog_unknown(catalog, name, &near)) {
    consult_fields(s, catalog, doc, event, name, warning);
  } else {
    buffer_printf(warning, "%.*s has no schema, though its namespace has some: it ",
                  SPAN_ARGS(name));
    if (s->plan.catalog.refuse_names)
      buffer_printf(warning, "will become a dead letter (%s)", reason_word(REASON_UNKNOWN_EVENT));
    else if (unplaced_whole(&s->plan, s->routing, name))
      buffer_add_z(warning, "goes as it is");
    else
      buffer_add_z(warning, "goes in the envelope");
    if (near) buffer_printf(warning, "; did you mean %s?", near);
  }
  catalog_close(catalog);
}

/* Would the relay set it aside for its name? Says so in warning, or gives the topic. */
static void consult_routing(struct service *s, const struct json_doc *doc,
                            const struct emit_request *request, struct arena *arena,
                            struct span *topic, struct buffer *warning) {
  struct event event = {.id = request->id,
                        .name = request->name,
                        .payload = 0,
                        .status = EVENT_PENDING,
                        .created_us = TIME_NONE};
  struct route route = {0};
  struct error why = {0};
  enum reason reason = routing_route(s->routing, doc, &event, arena, &route, &why);
  add_doom(reason, &why, warning);
  if (reason != REASON_NONE) return;
  *topic = span_of(routing_topic_name(s->routing, route.topic));
  consult_schemas(s, doc, &event, warning);
}

static enum status check(const struct emit_request *request, struct json_doc *doc,
                         struct error *err) {
  if (!event_id_valid(request->id))
    return error_set(err, ST_INVALID, "The id must be [A-Za-z0-9._-]{1,%d}", EVENT_ID_MAX);
  if (request->name.len == 0 || request->name.len > EVENT_NAME_MAX ||
      span_utf8_prefix(request->name) != request->name.len)
    return error_set(err, ST_INVALID, "The name must be like episode.created, at most %d bytes",
                     EVENT_NAME_MAX);
  if (json_scan(doc, request->payload, err) != ST_OK) {
    if (err && err->status == ST_NO_MEMORY) return ST_NO_MEMORY;
    return error_prefix(err, "The payload is not JSON");
  }
  if (doc->nodes[0].type != JSON_OBJECT)
    return error_set(err, ST_INVALID, "The payload must be a JSON object, but is %s (byte 0)",
                     json_type_name(doc->nodes[0].type));
  return ST_OK;
}

/* By its id, or ID__1 and on when that is taken: the way of the producers. label: what it is called
 * then. */
static enum status write_entry(struct service *s, const struct emit_request *request,
                               struct buffer *label, struct error *err) {
  struct buffer key = {0}, text = {0};
  enum status st = ST_EXISTS;
  mutex_lock(&s->lock);
  size_t limit = (size_t)setting_number(s->settings, SETTING_OUTBOX_MAX_ENTRY_BYTES);
  mutex_unlock(&s->lock);
  for (unsigned i = 0; i < NAMES_TRIED && st == ST_EXISTS; i++) {
    buffer_clear(&key);
    buffer_clear(&text);
    event_stem(request->id, &key);
    if (i > 0) buffer_printf(&key, "__%u", i);
    event_write(request->id, request->name, span_trim(request->payload), clock_wall_us(s->clock),
                buffer_span(&key), &text);
    st = buffer_status(&text, err);
    if (st == ST_OK) st = buffer_status(&key, err);
    if (st == ST_OK && text.len > limit)
      st = error_set(err, ST_TOO_LARGE, "The entry has %zu bytes, outbox.max_entry_bytes is %zu",
                     text.len, limit);
    if (st == ST_OK) st = store_emit(s->store, buffer_span(&key), buffer_span(&text), label, err);
  }
  buffer_release(&key);
  buffer_release(&text);
  return st;
}

enum status service_emit(struct service *s, const struct emit_request *request, struct buffer *json,
                         struct error *err) {
  struct emit_request r = *request;
  struct json_doc doc = {0};
  struct arena arena = {0};
  struct buffer file = {0}, warning = {0};
  struct span topic = {0};
  char made[37];
  if (r.id.len == 0) {
    uuid_make(s->clock, made);
    r.id = span_of(made);
  }
  enum status st = check(&r, &doc, err);
  if (st != ST_OK) goto out;
  consult_routing(s, &doc, &r, &arena, &topic, &warning);
  st = write_entry(s, &r, &file, err);
  if (st != ST_OK) goto out;
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "id", r.id);
  member_text(json, &first, "file", buffer_span(&file));
  member_text_or_null(json, &first, "topic", topic);
  member_text_or_null(json, &first, "warning", buffer_span(&warning));
  buffer_add_char(json, '}');
  st = buffer_status(json, err);
out:
  buffer_release(&file);
  buffer_release(&warning);
  arena_release(&arena);
  json_doc_release(&doc);
  return st;
}
