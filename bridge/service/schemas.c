/* Lists and shows schemas, and takes a payload through the relay's own steps, as far as they need
 * nobody else. */
#include "bridge/service/schemas.h"

#include "bridge/base/durable.h"
#include "bridge/base/words.h"
#include "bridge/service/configure.h"
#include "bridge/service/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SCHEMA_BYTES (1024 * 1024)

struct schemas {
  struct plan plan;
  struct routing *routing;
  struct catalog *catalog;
};

/* Of the settings, or those of a folder: however values are framed, do they fit? */
static enum status open_parts(struct schemas *s, const struct settings *settings,
                              const char *folder, struct error *err) {
  enum status st = plan_make(settings, &s->plan, err);
  s->plan.catalog.framing = FRAMING_SINGLE_OBJECT;
  if (st == ST_OK && folder &&
      !(s->plan.catalog.folder = arena_copy(&s->plan.arena, span_of(folder))))
    st = error_set(err, ST_NO_MEMORY, "Out of memory");
  if (st == ST_OK && folder) st = catalog_open(&s->plan.catalog, NULL, &s->catalog, err);
  if (st == ST_OK && !folder) st = plan_catalog(&s->plan, NULL, &s->catalog, err);
  return st == ST_OK ? plan_routing(&s->plan, s->catalog, &s->routing, err) : st;
}

enum status schemas_open(const struct settings *settings, const char *folder, struct schemas **out,
                         struct error *err) {
  struct schemas *s = calloc(1, sizeof *s);
  if (!s) return error_set(err, ST_NO_MEMORY, "Out of memory");
  enum status st = open_parts(s, settings, folder, err);
  if (st != ST_OK) {
    schemas_close(s);
    return st;
  }
  *out = s;
  return ST_OK;
}

void schemas_close(struct schemas *s) {
  if (!s) return;
  catalog_close(s->catalog);
  routing_close(s->routing);
  plan_release(&s->plan);
  free(s);
}

const char *schemas_folder(const struct schemas *s) {
  return s->plan.catalog.folder;
}

/* The fingerprint as people write it, and as its bytes stand in a record. */
static void write_fingerprint(const struct catalog_schema *schema, struct buffer *json,
                              bool *first) {
  uint64_t fingerprint = schema->fingerprint;
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)fingerprint);
  member_text(json, first, "fingerprint", span_of(text));
  snprintf(text, sizeof text, "%016llx", (unsigned long long)__builtin_bswap64(fingerprint));
  member_text(json, first, "wire", span_of(text));
}

static void write_notes(const struct catalog *c, size_t i, struct buffer *json, bool *first) {
  const char *note;
  json_write_key(json, first, "notes");
  buffer_add_char(json, '[');
  for (size_t n = 0; catalog_note(c, i, n, &note); n++) {
    if (n) buffer_add_z(json, ", ");
    json_write_string(json, span_of(note));
  }
  buffer_add_char(json, ']');
}

enum status schemas_list(struct schemas *s, struct buffer *json, struct error *err) {
  struct catalog_schema schema;
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "folder", span_of(s->plan.catalog.folder));
  json_write_key(json, &first, "schemas");
  buffer_add_char(json, '[');
  for (size_t i = 0; catalog_schema_at(s->catalog, i, &schema); i++) {
    bool inner = true;
    buffer_add_z(json, i ? ", {" : "{");
    member_text(json, &inner, "event", span_of(schema.event_name));
    member_int(json, &inner, "fields", (int64_t)schema.fields);
    member_text(json, &inner, "file", span_of(schema.file));
    write_fingerprint(&schema, json, &inner);
    write_notes(s->catalog, i, json, &inner);
    buffer_add_char(json, '}');
  }
  buffer_add_z(json, "]}");
  return buffer_status(json, err);
}

/* ---- one of them ---- */

static bool find(const struct schemas *s, struct span event, struct catalog_schema *out) {
  for (size_t i = 0; catalog_schema_at(s->catalog, i, out); i++)
    if (span_is(event, out->event_name)) return true;
  return false;
}

enum status schemas_text(struct schemas *s, struct span event, struct buffer *out,
                         struct error *err) {
  struct catalog_schema schema;
  struct span name = routing_canonical(s->routing, event);
  if (!find(s, name, &schema)) {
    const char *near = catalog_near(s->catalog, name);
    return error_set(err, ST_NOT_FOUND,
                     "There is no schema for %.*s in %s%s%s; see: busbridge schema list",
                     SPAN_ARGS(text_cut(event, 80)), s->plan.catalog.folder,
                     near ? "; did you mean " : "", near ? near : "");
  }
  if (schema.built_in.len) {
    buffer_add(out, schema.built_in);
    return buffer_status(out, err);
  }
  char *path = realpath(schema.file, NULL); /* a ConfigMap is made of links */
  if (!path) return error_sys(err, errno, "Opening %s", schema.file);
  enum status st = file_read(AT_FDCWD, path, SCHEMA_BYTES, out, err);
  free(path);
  return st;
}

/* ---- does it fit? ---- */

struct trial {
  struct schemas *schemas;
  struct span event, payload;
  struct json_doc doc;
  struct arena arena;
  struct buffer entry, record;
  struct route route;
  bool routed;
  struct error why;
};

/* The way of an entry through the relay, as far as it needs nobody else. */
static enum reason try_payload(struct trial *t) {
  struct event event;
  if (json_scan(&t->doc, t->payload, &t->why) != ST_OK) return event_reason_of(t->doc.fault);
  event_write(SPAN("schema-check"), t->event, span_trim(t->payload), TIME_NONE,
              SPAN("schema-check"), &t->entry);
  if (json_scan(&t->doc, buffer_span(&t->entry), &t->why) != ST_OK)
    return event_reason_of(t->doc.fault);
  enum reason reason = event_parse(&t->doc, &t->arena, &event, &t->why);
  if (reason != REASON_NONE) return reason;
  reason = routing_route(t->schemas->routing, &t->doc, &event, &t->arena, &t->route, &t->why);
  if (reason != REASON_NONE) return reason;
  t->routed = true;
  return catalog_encode(t->schemas->catalog, &t->doc, &event, t->route.name, 0, &t->record,
                        &t->why);
}

static void write_left_out(const struct schemas *s, const char *event, struct buffer *json,
                           bool *first) {
  struct catalog_schema schema;
  struct span path;
  uint64_t count;
  size_t i = 0;
  while (event && catalog_schema_at(s->catalog, i, &schema) &&
         strcmp(schema.event_name, event) != 0)
    i++;
  json_write_key(json, first, "unknown");
  buffer_add_char(json, '[');
  for (size_t n = 0; event && catalog_left_out(s->catalog, i, n, &path, &count); n++) {
    if (n) buffer_add_z(json, ", ");
    json_write_string(json, path);
  }
  buffer_add_char(json, ']');
}

static void write_trial(const struct trial *t, enum reason reason, struct buffer *json) {
  struct schemas *s = t->schemas;
  struct span name = routing_canonical(s->routing, t->event);
  struct catalog_schema schema;
  bool first = true, own = find(s, name, &schema);
  const char *near = own ? NULL : catalog_near(s->catalog, name);
  if (!own && !find(s, SPAN("envelope"), &schema)) schema = (struct catalog_schema){.file = ""};
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "event", t->event);
  member_text(json, &first, "name", name);
  member_text_or_null(json, &first, "topic",
                      t->routed ? span_of(routing_topic_name(s->routing, t->route.topic))
                                : (struct span){0});
  member_text(json, &first, "schema", span_of(schema.file));
  member_bool(json, &first, "own", own);
  member_text_or_null(json, &first, "near", span_of(near));
  member_bool(json, &first, "fits", reason == REASON_NONE);
  member_text_or_null(json, &first, "reason",
                      span_of(reason == REASON_NONE ? "" : reason_word(reason)));
  member_text_or_null(json, &first, "error", span_of(reason == REASON_NONE ? "" : t->why.text));
  member_text_or_null(json, &first, "remedy",
                      span_of(reason == REASON_NONE ? "" : reason_remedy(reason)));
  member_int(json, &first, "left_out", (int64_t)schema.left_out);
  member_text(json, &first, "unknown_fields",
              span_of(s->plan.catalog.unknown_fields == UNKNOWN_DROP ? "drop" : "carry"));
  write_left_out(s, schema.event_name, json, &first);
  member_int(json, &first, "cut_numbers", (int64_t)schema.cut_numbers);
  buffer_add_char(json, '}');
}

enum status schemas_check(struct schemas *s, struct span event, struct span payload,
                          struct buffer *json, struct error *err) {
  struct trial t = {.schemas = s, .event = event, .payload = payload};
  enum reason reason = try_payload(&t);
  bool no_memory = reason == REASON_NO_MEMORY || t.doc.fault == JSON_NO_MEMORY || t.entry.failed ||
                   t.record.failed;
  if (!no_memory) write_trial(&t, reason, json);
  json_doc_release(&t.doc);
  arena_release(&t.arena);
  buffer_release(&t.entry);
  buffer_release(&t.record);
  return no_memory ? error_set(err, ST_NO_MEMORY, "Out of memory") : buffer_status(json, err);
}
