/* A scanned JSON object to struct event: one pass finds the members, then each is read, or refused
 * with the reason that its dead letter will carry.
 * Any thread; a crash leaves nothing. */
#include "bridge/event/event.h"

#include "bridge/base/table.h"
#include "bridge/base/text/escape.h"
#include "bridge/event/trace.h"

#include <limits.h>

#define SHOWN 40

/* The members that are read, in the order that producers write them. */
enum field {
  FIELD_ID,
  FIELD_NAME,
  FIELD_PAYLOAD,
  FIELD_CREATED,
  FIELD_ATTEMPTS,
  FIELD_DISPATCHED,
  FIELD_ERROR,
  FIELD_FAILED,
  FIELD_FIRST_FAILED,
  FIELD_STATUS,
  FIELD_REASON,
  FIELD_STORAGE_KEY,
  FIELD_ERROR_CODE,
  FIELD_TOPIC,
  FIELD_OCCURRED,
  FIELD_AGGREGATE,
  FIELD_TRACEPARENT,
  FIELD_HEADERS,
  FIELD_COUNT
};
struct form { /* one without a key is not read: the entry may have that member as its own */
  struct span keys[FIELD_COUNT];
  struct span dead;     /* the status of its dead letters */
  const char *name_has; /* what its name looks like */
};
static const struct form flat_form = {
    .keys[FIELD_ID] = SPAN("id"),
    .keys[FIELD_NAME] = SPAN("name"),
    .keys[FIELD_PAYLOAD] = SPAN("payload"),
    .keys[FIELD_CREATED] = SPAN("created_at"),
    .keys[FIELD_ATTEMPTS] = SPAN("attempts"),
    .keys[FIELD_ERROR] = SPAN("last_error"),
    .keys[FIELD_FAILED] = SPAN("failed_at"),
    .keys[FIELD_FIRST_FAILED] = SPAN("first_failed_at"),
    .keys[FIELD_STATUS] = SPAN("status"),
    .keys[FIELD_REASON] = SPAN("reason"),
    .keys[FIELD_STORAGE_KEY] = SPAN("storage_key"),
    .keys[FIELD_DISPATCHED] = SPAN("dispatched_at"),
    .keys[FIELD_ERROR_CODE] = SPAN("error_code"),
    .keys[FIELD_TOPIC] = SPAN("topic"),
    .keys[FIELD_TRACEPARENT] = SPAN("traceparent"),
    .keys[FIELD_HEADERS] = SPAN("headers"),
    .dead = SPAN("dlq"),
    .name_has = "a name like episode.created",
};

static const struct form typed_form = {
    .keys[FIELD_ID] = SPAN("message_id"),
    .keys[FIELD_NAME] = SPAN("event_type"),
    .keys[FIELD_PAYLOAD] = SPAN("payload"),
    .keys[FIELD_CREATED] = SPAN("created_at"),
    .keys[FIELD_ATTEMPTS] = SPAN("attempts"),
    .keys[FIELD_ERROR] = SPAN("last_error"),
    .keys[FIELD_FAILED] = SPAN("failed_at"),
    .keys[FIELD_FIRST_FAILED] = SPAN("first_failed_at"),
    .keys[FIELD_STATUS] = SPAN("status"),
    .keys[FIELD_REASON] = SPAN("reason"),
    .keys[FIELD_ERROR_CODE] = SPAN("error_code"),
    .keys[FIELD_TOPIC] = SPAN("topic"),
    .keys[FIELD_OCCURRED] = SPAN("occurred_at"),
    .keys[FIELD_AGGREGATE] = SPAN("aggregate_id"),
    .keys[FIELD_TRACEPARENT] = SPAN("traceparent"),
    .keys[FIELD_HEADERS] = SPAN("headers"),
    .dead = SPAN("errored"),
    .name_has = "a class name like EpisodeCreated",
};

struct reading {
  const struct json_doc *doc;
  const struct form *form;
  struct arena *arena;
  struct error *err;
  uint32_t at[FIELD_COUNT]; /* value nodes, JSON_NONE when absent */
  bool others;              /* it has members beyond those of CONTRACT.md */
};

/* FIELD_COUNT when it is none of ours. The one at `from` is tried first, then those behind it. */
static unsigned field_of(const struct form *form, const struct json_doc *d, uint32_t key,
                         unsigned from) {
  const struct span *keys = form->keys;
  bool escaped = d->nodes[key].flags & JSON_ESCAPED;
  size_t len = json_raw(d, key).len;
  for (unsigned n = 0, f = from; n < FIELD_COUNT; n++, f = f + 1 < FIELD_COUNT ? f + 1 : 0)
    if (keys[f].len && (escaped || keys[f].len == len) && json_string_is(d, key, keys[f])) return f;
  return FIELD_COUNT;
}

/* One pass over the members. */
static void find_fields(struct reading *r) {
  const struct json_doc *d = r->doc;
  for (unsigned f = 0; f < FIELD_COUNT; f++) r->at[f] = JSON_NONE;
  unsigned next = 0;
  for (uint32_t key = 1; key < d->nodes[0].next; key = d->nodes[key + 1].next) {
    unsigned f = field_of(r->form, d, key, next);
    if (f < FIELD_COUNT) r->at[f] = key + 1;
    if (f < FIELD_COUNT) next = f + 1 < FIELD_COUNT ? f + 1 : 0;
    if (f >= FIELD_TRACEPARENT) r->others = true;
  }
}

static bool has(const struct reading *r, enum field f, enum json_type type) {
  return r->at[f] != JSON_NONE && r->doc->nodes[r->at[f]].type == type;
}

static enum reason no_memory(struct reading *r) {
  error_set(r->err, ST_NO_MEMORY, "no memory to unescape an entry");
  return REASON_NO_MEMORY;
}

/* "id: missing" or "id: expected a string, found number 12". What stands for a payload is not
 * shown. */
static enum reason refuse_field(struct reading *r, enum reason why, enum field f,
                                const char *expected) {
  const char *key = r->form->keys[f].ptr;
  if (r->at[f] == JSON_NONE) {
    error_set(r->err, ST_INVALID, "%s: missing, expected %s", key, expected);
    return why;
  }
  struct span text = json_slice(r->doc, r->at[f]);
  bool cut = text.len > SHOWN;
  if (cut) text.len = span_utf8_prefix((struct span){text.ptr, SHOWN});
  const char *type = json_type_name((enum json_type)r->doc->nodes[r->at[f]].type);
  bool name_says_it = r->doc->nodes[r->at[f]].type == JSON_NULL || f == FIELD_PAYLOAD;
  error_set(r->err, ST_INVALID, "%s: expected %s, found %s%s%.*s%s", key, expected, type,
            name_says_it ? "" : " ", name_says_it ? 0 : (int)text.len, text.ptr,
            cut && !name_says_it ? "..." : "");
  return why;
}

bool event_id_valid(struct span id) {
  for (size_t i = 0; i < id.len; i++) {
    char c = id.ptr[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
          c == '_' || c == '-'))
      return false;
  }
  return id.len >= 1 && id.len <= EVENT_ID_MAX;
}

void event_stem(struct span id, struct buffer *out) {
  if (id.len && id.ptr[0] == '.') buffer_add_char(out, '_');
  buffer_add(out, id);
}

static enum reason read_id(struct reading *r, struct event *out) {
  struct span id;
  if (!has(r, FIELD_ID, JSON_STRING))
    return refuse_field(r, REASON_MISSING_ID, FIELD_ID, "a string");
  if (!json_text(r->doc, r->at[FIELD_ID], r->arena, &id)) return no_memory(r);
  if (!event_id_valid(id)) return refuse_field(r, REASON_BAD_ID, FIELD_ID, "[A-Za-z0-9._-]{1,128}");
  out->id = id;
  return REASON_NONE;
}

static enum reason read_name(struct reading *r, struct event *out) {
  if (!has(r, FIELD_NAME, JSON_STRING) || json_raw(r->doc, r->at[FIELD_NAME]).len == 0)
    return refuse_field(r, REASON_MISSING_NAME, FIELD_NAME, r->form->name_has);
  return json_text(r->doc, r->at[FIELD_NAME], r->arena, &out->name) ? REASON_NONE : no_memory(r);
}

static enum reason read_payload(struct reading *r, struct event *out) {
  if (!has(r, FIELD_PAYLOAD, JSON_OBJECT))
    return refuse_field(r, REASON_BAD_PAYLOAD, FIELD_PAYLOAD, "an object");
  out->payload = r->at[FIELD_PAYLOAD];
  return REASON_NONE;
}

/* Unescaped: some writers put \u002b for the + of an offset. */
static int64_t read_time(const struct reading *r, enum field f) {
  int64_t us;
  struct span text;
  if (!has(r, f, JSON_STRING) || !json_text(r->doc, r->at[f], r->arena, &text)) return TIME_NONE;
  return time_parse(text, &us) ? us : TIME_NONE;
}

static enum event_status read_status(const struct reading *r) {
  if (r->at[FIELD_STATUS] == JSON_NONE) return EVENT_ABSENT;
  if (!has(r, FIELD_STATUS, JSON_STRING)) return EVENT_OTHER;
  if (json_string_is(r->doc, r->at[FIELD_STATUS], SPAN("pending"))) return EVENT_PENDING;
  if (json_string_is(r->doc, r->at[FIELD_STATUS], SPAN("dispatched"))) return EVENT_DISPATCHED;
  if (json_string_is(r->doc, r->at[FIELD_STATUS], r->form->dead)) return EVENT_DLQ;
  return EVENT_OTHER;
}

/* Capped so that one more can always be counted. */
static unsigned read_attempts(const struct reading *r) {
  int64_t n;
  if (!has(r, FIELD_ATTEMPTS, JSON_NUMBER) || !json_int(r->doc, r->at[FIELD_ATTEMPTS], &n) || n < 0)
    return 0;
  return n < INT_MAX ? (unsigned)n : INT_MAX;
}

static struct span read_raw(const struct reading *r, enum field f) {
  return has(r, f, JSON_STRING) ? json_raw(r->doc, r->at[f]) : (struct span){NULL, 0};
}

static void read_rest(const struct reading *r, struct event *out) {
  out->status = read_status(r);
  out->created_us = read_time(r, FIELD_OCCURRED);
  if (out->created_us == TIME_NONE) out->created_us = read_time(r, FIELD_CREATED);
  out->failed_us = read_time(r, FIELD_FAILED);
  out->first_failed_us = read_time(r, FIELD_FIRST_FAILED);
  out->attempts = read_attempts(r);
  if (has(r, FIELD_ERROR, JSON_STRING) || has(r, FIELD_ERROR, JSON_NULL))
    out->last_error = json_slice(r->doc, r->at[FIELD_ERROR]);
  out->reason = read_raw(r, FIELD_REASON);
  out->storage_key = read_raw(r, FIELD_STORAGE_KEY);
  struct trace trace =
      trace_read(r->doc, has(r, FIELD_PAYLOAD, JSON_OBJECT) ? r->at[FIELD_PAYLOAD] : JSON_NONE,
                 r->at[FIELD_TRACEPARENT], r->at[FIELD_HEADERS]);
  out->traceparent = trace.parent;
  out->tracestate = trace.state;
  out->others = r->others;
}

/* Unescaped; what cannot be one is left among the others. */
static bool read_aggregate(const struct reading *r, struct event *out) {
  uint32_t node = r->at[FIELD_AGGREGATE];
  if (has(r, FIELD_AGGREGATE, JSON_NUMBER)) out->subject = json_slice(r->doc, node);
  return !has(r, FIELD_AGGREGATE, JSON_STRING) || json_text(r->doc, node, r->arena, &out->subject);
}

/* All three are read, so that a dead letter tells what it can; the first refusal is the one told.
 * No name comes first where another id than the entry's own may stand in for that. */
static enum reason read_all(struct reading *r, bool name_first, struct event *out) {
  enum reason (*const all[])(struct reading *, struct event *) = {
      name_first ? read_name : read_id, name_first ? read_id : read_name, read_payload};
  enum reason why = REASON_NONE;
  for (size_t i = 0; i < sizeof all / sizeof *all && why != REASON_NO_MEMORY; i++) {
    enum reason one = all[i](r, out);
    if (one == REASON_NO_MEMORY || why == REASON_NONE) why = one;
    if (why != REASON_NONE) r->err = NULL;
  }
  return why;
}

static enum reason parse(struct reading *r, struct event *out) {
  const struct json_doc *doc = r->doc;
  *out = (struct event){.payload = JSON_NONE,
                        .created_us = TIME_NONE,
                        .failed_us = TIME_NONE,
                        .first_failed_us = TIME_NONE,
                        .status = EVENT_ABSENT,
                        .typed = r->form == &typed_form};
  if (doc->nodes[0].type != JSON_OBJECT) {
    error_set(r->err, ST_INVALID, "an entry is one JSON object, found %s",
              json_type_name((enum json_type)doc->nodes[0].type));
    return REASON_NOT_OBJECT;
  }
  find_fields(r);
  read_rest(r, out);
  if (!read_aggregate(r, out)) return no_memory(r);
  return read_all(r, out->typed, out);
}

enum reason event_parse(const struct json_doc *doc, struct arena *arena, struct event *out,
                        struct error *err) {
  struct reading r = {.doc = doc, .form = &flat_form, .arena = arena, .err = err};
  return parse(&r, out);
}

enum reason event_parse_typed(const struct json_doc *doc, struct arena *arena, struct event *out,
                              struct error *err) {
  struct reading r = {.doc = doc, .form = &typed_form, .arena = arena, .err = err};
  return parse(&r, out);
}
