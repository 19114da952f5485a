/* Lists and shows schemas, and takes a payload through the relay's own steps, as far as they need
 * nobody else.
 * One thread; a crash leaves each frozen schema whole, or not there. */
#include "bridge/service/schemas/schemas_parts.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/text/words.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/framings.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SCHEMA_BYTES (1024 * 1024)

/* Of the settings, or those of a folder: however values are framed, do they fit? */
static enum status open_parts(struct schemas *s, const struct settings *settings,
                              const char *folder, struct error *err) {
  enum status st = plan_make(settings, &s->plan, err);
  enum framing framing = s->plan.catalog.framing;
  s->plan.catalog.framing = FRAMING_SINGLE_OBJECT;
  if (st == ST_OK && folder &&
      !(s->plan.catalog.folder = arena_copy(&s->plan.arena, span_of(folder))))
    st = error_set(err, ST_NO_MEMORY, "Out of memory");
  if (st == ST_OK && folder) st = catalog_open(&s->plan.catalog, NULL, &s->catalog, err);
  if (st == ST_OK && !folder) st = plan_catalog(&s->plan, NULL, &s->catalog, err);
  if (st == ST_OK) st = plan_routing(&s->plan, s->catalog, &s->routing, err);
  s->plan.catalog.framing = framing;
  return st;
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

void schemas_write_fingerprint(const struct catalog_schema *schema, struct buffer *json,
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
    schemas_write_fingerprint(&schema, json, &inner);
    write_notes(s->catalog, i, json, &inner);
    buffer_add_char(json, '}');
  }
  buffer_add_z(json, "]}");
  return buffer_status(json, err);
}

/* ---- one of them ---- */

static bool find_schema(const struct schemas *s, struct span event, struct catalog_schema *out) {
  for (size_t i = 0; catalog_schema_at(s->catalog, i, out); i++)
    if (span_is(event, out->event_name)) return true;
  return false;
}

enum status schemas_index(const struct schemas *s, struct span event, size_t *out,
                          struct error *err) {
  struct catalog_schema schema;
  struct span name = routing_canonical(s->routing, event);
  for (*out = 0; catalog_schema_at(s->catalog, *out, &schema); ++*out)
    if (span_is(name, schema.event_name)) return ST_OK;
  const char *near = catalog_near(s->catalog, name);
  return error_set(err, ST_NOT_FOUND,
                   "There is no schema for %.*s in %s%s%s; see: busbridge schema list",
                   SPAN_ARGS(text_cut(event, 80)), s->plan.catalog.folder,
                   near ? "; did you mean " : "", near ? near : "");
}

enum status schemas_text(struct schemas *s, struct span event, struct buffer *out,
                         struct error *err) {
  struct catalog_schema schema;
  size_t i;
  enum status found = schemas_index(s, event, &i, err);
  if (found != ST_OK || !catalog_schema_at(s->catalog, i, &schema)) return found;
  buffer_add(out, schema.text);
  return buffer_status(out, err);
}

/* ---- does it fit? ---- */

struct trial {
  struct schemas *schemas;
  struct span event, payload;
  struct json_doc doc;
  struct arena arena;
  struct buffer entry, record;
  struct route route;
  bool routed, check;
  struct error why;
};

/* Nothing rides in a header where the payload is whole. Encoding is by the schema, whatever else
 * the framing would do. */
static const char *unknown_fields_of(const struct trial *t) {
  const struct schemas *s = t->schemas;
  const char *word = t->route.unknown_fields;
  bool refuse =
      word ? strcmp(word, "refuse") == 0 : s->plan.catalog.unknown_fields == UNKNOWN_REFUSE;
  enum framing framing;
  bool whole = t->check && plan_framing(&s->plan, s->routing, t->route.name, &framing, NULL) &&
               framing_is_json(framing);
  return whole && !refuse ? "drop" : word;
}

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
  const struct catalog_way way = {.unknown_fields = unknown_fields_of(t),
                                  .framing = FRAMING_SINGLE_OBJECT};
  catalog_way(t->schemas->catalog, &way);
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

static const char *policy_of(const struct trial *t, struct span name) {
  const struct schemas *s = t->schemas;
  enum framing framing;
  if (plan_framing(&s->plan, s->routing, name, &framing, NULL) && framing_is_json(framing))
    return "whole";
  if (t->route.unknown_fields) return t->route.unknown_fields;
  return s->plan.catalog.unknown_fields == UNKNOWN_DROP ? "drop" : "carry";
}

static void write_trial(const struct trial *t, enum reason reason, struct buffer *json) {
  struct schemas *s = t->schemas;
  struct span name = routing_canonical(s->routing, t->event);
  struct catalog_schema schema;
  bool first = true, own = find_schema(s, name, &schema);
  const char *near = own ? NULL : catalog_near(s->catalog, name);
  if (!own && !find_schema(s, SPAN("envelope"), &schema))
    schema = (struct catalog_schema){.file = ""};
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
  member_text(json, &first, "unknown_fields", span_of(policy_of(t, name)));
  write_left_out(s, schema.event_name, json, &first);
  member_int(json, &first, "cut_numbers", (int64_t)schema.cut_numbers);
  buffer_add_char(json, '}');
}

enum status schemas_check(struct schemas *s, struct span event, struct span payload,
                          struct buffer *json, struct error *err) {
  struct trial t = {.schemas = s, .event = event, .payload = payload, .check = true};
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

/* ---- to bytes and back ---- */

enum status schemas_encode(struct schemas *s, struct span event, struct span payload,
                           struct buffer *value, struct buffer *extra, struct error *err) {
  struct trial t = {.schemas = s, .event = event, .payload = payload};
  enum reason reason = try_payload(&t);
  enum status st = ST_OK;
  if (reason == REASON_NO_MEMORY || t.entry.failed || t.record.failed)
    st = error_set(err, ST_NO_MEMORY, "Out of memory");
  else if (reason != REASON_NONE)
    st = error_set(err, ST_INVALID, "%s: %s", reason_word(reason), t.why.text);
  else {
    buffer_add(value, buffer_span(&t.record));
    buffer_add(extra, catalog_carried(s->catalog));
    st = buffer_status(extra, err);
  }
  json_doc_release(&t.doc);
  arena_release(&t.arena);
  buffer_release(&t.entry);
  buffer_release(&t.record);
  return st == ST_OK ? buffer_status(value, err) : st;
}

enum status schemas_decode(struct schemas *s, struct span value, struct span extra,
                           struct buffer *out, size_t *left, struct error *err) {
  struct span unknown = {"", 0};
  struct buffer json = {0};
  *left = 0;
  enum status st =
      catalog_decode(s->catalog, value, unknown, unknown, extra.len ? &json : out, err);
  if (st == ST_OK && extra.len) {
    st = catalog_put_back(buffer_span(&json), extra, out, left, err);
    if (st == ST_INVALID) (void)error_prefix(err, "The header ce_extra");
  }
  buffer_release(&json);
  return st;
}

/* ---- freezing ---- */

static bool is_file_of(const char *file, struct span text) {
  struct buffer there = {0};
  char *path = realpath(file, NULL);
  bool same = path && file_read(AT_FDCWD, path, SCHEMA_BYTES, &there, NULL) == ST_OK &&
              span_eq(buffer_span(&there), text);
  free(path);
  buffer_release(&there);
  return same;
}

/* The last frozen schema of an event; number 0: there is none. */
static struct catalog_schema last_frozen(const struct schemas *s, const char *event) {
  struct catalog_schema last = {0}, one;
  for (size_t n = 0; catalog_frozen(s->catalog, span_of(event), n, &one); n++) last = one;
  return last;
}

/* <folder>/.history, and in it the namespace's folder: *fd is where the file belongs. */
static enum status open_history(const char *folder, const char *ns, int *fd, struct error *err) {
  int top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), history = -1;
  if (top < 0) return error_sys(err, errno, "Opening %s", folder);
  enum status st = durable_folder(top, ".history", 0777, &history, err);
  close(top);
  if (st != ST_OK || !ns) {
    *fd = history;
    return st;
  }
  st = durable_folder(history, ns, 0777, fd, err);
  close(history);
  return st;
}

/* file, "<folder>/<namespace>/<event>.avsc" or "<folder>/envelope.avsc", as number of the history;
 * *frozen is its name there. */
static enum status put_frozen(const char *file, uint32_t number, bool top, struct span text,
                              struct buffer *frozen, struct error *err) {
  char *folder = strdup(file), name[300];
  if (!folder) return error_set(err, ST_NO_MEMORY, "Out of memory");
  char *event = strrchr(folder, '/'), *ns = NULL;
  *event++ = '\0';
  if (!top && (ns = strrchr(folder, '/'))) *ns++ = '\0';
  snprintf(name, sizeof name, "%.*s.%u.avsc", (int)(strlen(event) - strlen(".avsc")), event,
           number);
  int fd = -1;
  enum status st = open_history(folder, ns, &fd, err);
  if (st == ST_OK) st = durable_replace(fd, fd, name, text, err);
  if (fd >= 0) close(fd);
  buffer_printf(frozen, "%s/.history/%s%s%s", folder, ns ? ns : "", ns ? "/" : "", name);
  if (st != ST_OK) (void)error_prefix(err, "%s", buffer_z(frozen));
  free(folder);
  return st;
}

static enum status freeze_schema(struct schemas *s, const struct catalog_schema *schema,
                                 struct span text, struct buffer *json, struct error *err) {
  struct catalog_schema last = last_frozen(s, schema->event_name);
  struct buffer file = {0};
  bool first = true, there = last.number && is_file_of(last.file, text);
  enum status st = ST_OK;
  if (there)
    buffer_add_z(&file, last.file);
  else
    st = put_frozen(schema->file, last.number + 1, !strchr(schema->event_name, '.'), text, &file,
                    err);
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "event", span_of(schema->event_name));
  member_int(json, &first, "number", (int64_t)last.number + !there);
  member_text(json, &first, "file", buffer_span(&file));
  member_bool(json, &first, "frozen", !there);
  buffer_add_char(json, '}');
  buffer_release(&file);
  return st == ST_OK ? buffer_status(json, err) : st;
}

enum status schemas_freeze(struct schemas *s, struct span event, struct buffer *json,
                           struct error *err) {
  struct catalog_schema schema;
  struct buffer text = {0}, whole = {0};
  enum status st = schemas_text(s, event, &text, err);
  if (st != ST_OK) return st;
  if (!find_schema(s, routing_canonical(s->routing, event), &schema) || schema.built_in)
    st = error_set(err, ST_INVALID, "The envelope that is built in never changes");
  if (st == ST_OK) st = catalog_whole_text(s->catalog, buffer_span(&text), &whole, err);
  if (st == ST_OK) st = freeze_schema(s, &schema, buffer_span(&whole), json, err);
  buffer_release(&text);
  buffer_release(&whole);
  return st;
}
