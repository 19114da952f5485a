/* Lifts an event out of the envelope that the bridge of the older typed bus put into its payload,
 * and tells what was left of both.
 * Any thread; a crash leaves nothing. */
#include "bridge/event/event.h"

#include "bridge/base/table.h"

#define GENERIC SPAN("GenericEvent")

bool event_goes_by(const struct event *e, struct span id) {
  return span_eq(e->id, id) || (e->other_id.len && span_eq(e->other_id, id));
}

/* ---- the envelope ---- */

struct envelope { /* its nodes, JSON_NONE: absent */
  uint32_t type, id, occurred, aggregate, data;
};

static bool is(const struct json_doc *d, uint32_t node, enum json_type type) {
  return node != JSON_NONE && d->nodes[node].type == type;
}

/* Has it a type and a time? Then it is one when its data is an object. */
static bool find_envelope(const struct json_doc *d, uint32_t payload, struct envelope *out) {
  uint32_t type = payload == JSON_NONE ? JSON_NONE : json_member(d, payload, "event_type");
  if (!is(d, type, JSON_STRING)) return false;
  *out = (struct envelope){.type = type,
                           .id = json_member(d, payload, "event_id"),
                           .occurred = json_member(d, payload, "occurred_at"),
                           .aggregate = json_member(d, payload, "aggregate_id"),
                           .data = json_member(d, payload, "data")};
  return out->occurred != JSON_NONE;
}

static bool is_envelope(const struct json_doc *d, uint32_t payload, struct envelope *out) {
  return find_envelope(d, payload, out) && is(d, out->data, JSON_OBJECT);
}

/* ---- its id ---- */

enum { ADDRESS_LEAST = 12, ADDRESS_MOST = 15 };

/* "..._140234567890123": an address of memory, which repeats from one process to the next. */
static bool ends_in_address(struct span id) {
  size_t digits = 0;
  while (digits < id.len && id.ptr[id.len - 1 - digits] >= '0' &&
         id.ptr[id.len - 1 - digits] <= '9')
    digits++;
  return digits >= ADDRESS_LEAST && digits <= ADDRESS_MOST && digits < id.len &&
         id.ptr[id.len - 1 - digits] == '_';
}

enum id_kind { ID_NONE, ID_GOOD, ID_BAD, ID_NO_MEMORY };

static enum id_kind id_of(const struct json_doc *d, uint32_t node, struct arena *arena,
                          struct span *out) {
  *out = (struct span){0};
  if (node == JSON_NONE || d->nodes[node].type == JSON_NULL) return ID_NONE;
  if (d->nodes[node].type != JSON_STRING) return ID_BAD;
  if (!json_text(d, node, arena, out)) return ID_NO_MEMORY;
  if (!out->len || ends_in_address(*out)) return ID_NONE;
  return event_id_valid(*out) ? ID_GOOD : ID_BAD;
}

/* ---- is it to be lifted ---- */

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_lower(const char *lowered, struct span text) {
  for (size_t i = 0; i < text.len; i++)
    if (lowered[i] != lower(text.ptr[i])) return false;
  return true;
}

static bool contains_lower(struct span text, struct span part) {
  for (size_t at = 0; at + part.len <= text.len; at++)
    if (same_lower(part.ptr, (struct span){text.ptr + at, part.len})) return true;
  return false;
}

/* What that bridge makes of a class: its name in small letters less "event" at the end, behind a
 * namespace that is a part of it. */
static bool is_bridged_name(struct span name, struct span type) {
  const char *dot = name.len ? memchr(name.ptr, '.', name.len) : NULL;
  size_t ending = sizeof "event" - 1;
  if (!dot) return false;
  if (type.len > ending && same_lower("event", (struct span){type.ptr + type.len - ending, ending}))
    type.len -= ending;
  struct span ns = {name.ptr, (size_t)(dot - name.ptr)};
  struct span rest = {dot + 1, name.len - ns.len - 1};
  return ns.len && rest.len == type.len && same_lower(rest.ptr, type) && contains_lower(type, ns);
}

struct lift {
  const struct json_doc *doc;
  const struct event_lifting *lifting;
  struct arena *arena;
  struct error *err;
  struct envelope in;
  struct span type;  /* unescaped */
  struct span inner; /* the name that the event inside has: its type, but for a generic one */
  uint32_t fields;   /* its payload */
  bool named;        /* it has a canonical name: */
  char canonical[EVENT_NAME_MAX + 1];
};

static bool is_wanted(const struct lift *l, struct span name) {
  char seen[EVENT_NAME_MAX + 1];
  if (!name.len) return false;
  if (is_bridged_name(name, l->type)) return true;
  return l->named && l->lifting->canonical(l->lifting->ctx, name, seen) &&
         !strcmp(seen, l->canonical);
}

/* ---- lifting ---- */

static enum reason no_memory(struct lift *l) {
  error_set(l->err, ST_NO_MEMORY, "no memory to unescape an entry");
  return REASON_NO_MEMORY;
}

/* An event of the simple bus that came back through the typed one: name and payload are inside. */
static bool find_inner(struct lift *l) {
  const struct json_doc *d = l->doc;
  l->fields = l->in.data;
  l->inner = l->type;
  if (!span_eq(l->type, GENERIC) || !is(d, l->in.data, JSON_OBJECT)) return true;
  uint32_t name = json_member(d, l->in.data, "event_name");
  l->fields = json_member(d, l->in.data, "payload");
  l->inner = (struct span){0};
  return !is(d, name, JSON_STRING) || json_text(d, name, l->arena, &l->inner);
}

static enum reason check_inner(const struct lift *l) {
  if (!l->type.len && is(l->doc, l->in.data, JSON_OBJECT)) {
    error_set(l->err, ST_INVALID, "payload.event_type: expected a class name, found nothing in it");
    return REASON_BAD_NAME;
  }
  if (!l->inner.len && l->type.len) {
    error_set(l->err, ST_INVALID,
              "payload.data.event_name: expected the name of the event that is inside");
    return REASON_MISSING_NAME;
  }
  if (is(l->doc, l->fields, JSON_OBJECT)) return REASON_NONE;
  error_set(l->err, ST_INVALID, "payload.data%s: expected an object, found %s",
            l->fields == l->in.data ? "" : ".payload",
            l->fields == JSON_NONE ? "nothing"
                                   : json_type_name((enum json_type)l->doc->nodes[l->fields].type));
  return REASON_BAD_PAYLOAD;
}

/* why: what stands against the entry's own id. */
static enum reason take_id(struct lift *l, enum reason why, struct event *out) {
  struct span id;
  switch (id_of(l->doc, l->in.id, l->arena, &id)) {
  case ID_NO_MEMORY: return no_memory(l);
  case ID_NONE: return why;
  case ID_BAD:
    out->id = (struct span){0};
    error_set(l->err, ST_INVALID, "payload.event_id: expected [A-Za-z0-9._-]{1,128}");
    return REASON_BAD_ID;
  case ID_GOOD: break;
  }
  if (!span_eq(out->id, id)) out->other_id = out->id;
  out->id = id;
  if (l->err) *l->err = (struct error){0};
  return REASON_NONE;
}

static void take_time(const struct lift *l, struct event *out) {
  struct span text;
  int64_t us;
  if (is(l->doc, l->in.occurred, JSON_STRING) &&
      json_text(l->doc, l->in.occurred, l->arena, &text) && time_parse(text, &us))
    out->created_us = us;
}

/* An empty one is none, as null is: of a message the message's own stands. */
static bool take_subject(const struct lift *l, struct event *out) {
  if (is(l->doc, l->in.aggregate, JSON_NUMBER)) out->subject = json_slice(l->doc, l->in.aggregate);
  return !is(l->doc, l->in.aggregate, JSON_STRING) || !json_raw(l->doc, l->in.aggregate).len ||
         json_text(l->doc, l->in.aggregate, l->arena, &out->subject);
}

static enum reason lift_out(struct lift *l, enum reason why, struct event *out) {
  if (!take_subject(l, out)) return no_memory(l);
  take_time(l, out);
  out->lifted = true;
  out->payload = is(l->doc, l->fields, JSON_OBJECT) ? l->fields : JSON_NONE;
  out->name = l->named ? arena_span(l->arena, span_of(l->canonical)) : l->inner;
  if (l->named && !out->name.ptr) return no_memory(l);
  why = take_id(l, why, out);
  return why == REASON_NONE ? check_inner(l) : why;
}

/* That it would go by if it were lifted. */
static enum reason keep_other_id(struct lift *l, enum reason why, struct event *out) {
  struct span id;
  enum id_kind kind = id_of(l->doc, l->in.id, l->arena, &id);
  if (kind == ID_NO_MEMORY) return no_memory(l);
  if (kind == ID_GOOD && !span_eq(id, out->id)) out->other_id = id;
  return why;
}

enum reason event_read(const struct json_doc *doc, const struct event_lifting *lifting,
                       struct arena *arena, struct event *out, struct error *err) {
  struct lift l = {.doc = doc, .lifting = lifting, .arena = arena, .err = err};
  enum reason why = event_parse(doc, arena, out, err);
  if (why == REASON_NO_MEMORY || !is_envelope(doc, out->payload, &l.in)) return why;
  if (!json_text(doc, l.in.type, arena, &l.type) || !find_inner(&l)) return no_memory(&l);
  l.named = lifting && l.inner.len && lifting->canonical(lifting->ctx, l.inner, l.canonical);
  if (lifting && !lifting->flat_off && is_wanted(&l, out->name)) return lift_out(&l, why, out);
  return keep_other_id(&l, why, out);
}

/* ---- an entry of the typed bus ---- */

static enum reason read_bare(struct lift *l, enum reason why, struct event *out) {
  l->named = l->lifting && l->lifting->canonical(l->lifting->ctx, out->name, l->canonical);
  out->lifted = out->bare = true;
  if (!l->named) return why;
  out->name = arena_span(l->arena, span_of(l->canonical));
  return out->name.ptr ? why : no_memory(l);
}

enum reason event_read_typed(const struct json_doc *doc, const struct event_lifting *lifting,
                             struct arena *arena, struct event *out, struct error *err) {
  struct lift l = {.doc = doc, .lifting = lifting, .arena = arena, .err = err};
  enum reason why = event_parse_typed(doc, arena, out, err);
  bool enveloped = find_envelope(doc, out->payload, &l.in) && l.in.data != JSON_NONE;
  if (why == REASON_NO_MEMORY || why == REASON_NOT_OBJECT) return why;
  if (!out->name.len) return enveloped ? keep_other_id(&l, why, out) : why;
  if (!enveloped) return read_bare(&l, why, out);
  if (!json_text(doc, l.in.type, arena, &l.type) || !find_inner(&l)) return no_memory(&l);
  out->left = lifting && lifting->generic_left && span_eq(l.type, GENERIC);
  l.named = lifting && l.inner.len && lifting->canonical(lifting->ctx, l.inner, l.canonical);
  return lift_out(&l, why, out);
}

/* ---- what is left ---- */

/* Blanks between the tokens are left out, and the one control byte that a text may have is escaped.
 */
static void add_line(struct buffer *out, struct span json) {
  bool text = false, escaped = false;
  for (size_t i = 0; i < json.len; i++) {
    char c = json.ptr[i];
    if (c == 0x7f)
      buffer_add_z(out, "\\u007f");
    else if (text || !strchr(" \t\r\n", c))
      buffer_add_char(out, c);
    if (escaped)
      escaped = false;
    else if (text && c == '\\')
      escaped = true;
    else if (c == '"')
      text = !text;
  }
}

static void add_member(const struct json_doc *d, uint32_t key, bool *first, struct buffer *out) {
  if (!*first) buffer_add_char(out, ',');
  *first = false;
  add_line(out, json_slice(d, key));
  buffer_add_char(out, ':');
  add_line(out, json_slice(d, key + 1));
}

typedef bool (*left_fn)(const struct json_doc *d, const struct event *e, uint32_t key);

/* The members of an object that are left, as a member of its own. */
static void add_object(const struct json_doc *d, const struct event *e, uint32_t object,
                       const char *name, left_fn left, struct buffer *out) {
  bool first = true;
  buffer_printf(out, "\"%s\":{", name);
  for (uint32_t key = object + 1; key < d->nodes[object].next; key = d->nodes[key + 1].next)
    if (left(d, e, key)) add_member(d, key, &first, out);
  buffer_add_char(out, '}');
}

static bool key_is(const struct json_doc *d, uint32_t key, const char *name) {
  return json_string_is(d, key, span_of(name));
}

static bool key_is_of(const struct json_doc *d, uint32_t key, const char *const *names) {
  for (; *names; names++)
    if (key_is(d, key, *names)) return true;
  return false;
}

static bool is_id(const struct json_doc *d, const struct event *e, uint32_t key) {
  return is(d, key + 1, JSON_STRING) && json_string_is(d, key + 1, e->id);
}

static bool is_subject(const struct json_doc *d, const struct event *e, uint32_t key) {
  if (is(d, key + 1, JSON_NUMBER)) return span_eq(json_slice(d, key + 1), e->subject);
  return is(d, key + 1, JSON_STRING) && json_string_is(d, key + 1, e->subject);
}

/* Its state, which is the outbox's. */
static bool left_of_entry(const struct json_doc *d, const struct event *e, uint32_t key) {
  static const char *const both[] = {"payload",   "created_at",      "attempts", "last_error",
                                     "failed_at", "status",          "reason",   "error_code",
                                     "topic",     "first_failed_at", NULL};
  static const char *const flat[] = {"dispatched_at", "storage_key", NULL};
  if (key_is_of(d, key, both)) return false;
  if (!e->typed) return !key_is_of(d, key, flat) && !(key_is(d, key, "id") && is_id(d, e, key));
  if (key_is(d, key, "message_id")) return !is_id(d, e, key);
  if (key_is(d, key, "aggregate_id")) return !is(d, key + 1, JSON_NULL) && !is_subject(d, e, key);
  return !key_is(d, key, "occurred_at");
}

static bool left_of_envelope(const struct json_doc *d, const struct event *e, uint32_t key) {
  int64_t us;
  if (key_is(d, key, "data")) return false;
  if (key_is(d, key, "aggregate_id"))
    return !is(d, key + 1, JSON_NULL) && !(e->subject.len && is_subject(d, e, key));
  if (key_is(d, key, "event_id")) return !is_id(d, e, key);
  if (key_is(d, key, "occurred_at"))
    return !is(d, key + 1, JSON_STRING) || !time_parse(json_raw(d, key + 1), &us);
  return true;
}

static bool left_of_data(const struct json_doc *d, const struct event *e, uint32_t key) {
  return key + 1 != e->payload && !key_is(d, key, "payload");
}

/* Is it a header already? */
static bool is_trace(const struct json_doc *d, const struct event *e, uint32_t key) {
  const char *at = d->text.ptr + d->nodes[key + 1].at + 1; /* of a string: its first byte */
  return (e->traceparent.len && at == e->traceparent.ptr) ||
         (e->tracestate.len && at == e->tracestate.ptr);
}

/* Of an entry that is the event itself: what CONTRACT.md does not know. */
static bool left_of_itself(const struct json_doc *d, const struct event *e, uint32_t key) {
  if (is_trace(d, e, key)) return false;
  if (!e->typed && (key_is(d, key, "id") || key_is(d, key, "name"))) return false;
  if (!key_is(d, key, "headers") || !is(d, key + 1, JSON_OBJECT)) return left_of_entry(d, e, key);
  for (uint32_t in = key + 2; in < d->nodes[key + 1].next; in = d->nodes[in + 1].next)
    if (!is_trace(d, e, in)) return true;
  return false;
}

static void own_rest(const struct json_doc *doc, const struct event *e, struct buffer *out) {
  bool some = false;
  for (uint32_t key = 1; !some && key < doc->nodes[0].next; key = doc->nodes[key + 1].next)
    some = left_of_itself(doc, e, key);
  if (!some) return;
  buffer_add_char(out, '{');
  add_object(doc, e, 0, "entry", left_of_itself, out);
  buffer_add_char(out, '}');
}

void event_rest(const struct json_doc *doc, const struct event *e, struct buffer *out) {
  if (!e->lifted || e->bare) {
    if (e->others || e->typed) own_rest(doc, e, out);
    return;
  }
  uint32_t payload = json_member(doc, 0, "payload"), data = json_member(doc, payload, "data");
  buffer_add_char(out, '{');
  add_object(doc, e, 0, "entry", left_of_entry, out);
  buffer_add_char(out, ',');
  add_object(doc, e, payload, "envelope", left_of_envelope, out);
  if (data != e->payload) {
    buffer_add_char(out, ',');
    add_object(doc, e, data, "data", left_of_data, out);
  }
  buffer_add_char(out, '}');
}
