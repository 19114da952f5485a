/* Writes the schema that what was seen has in common, reads it as any other, and encodes by it.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/encoding/infer/infer.h"

#include "bridge/encoding/infer/shape.h"
#include "bridge/encoding/reading/schema_reader.h"
#include "bridge/encoding/values/encode.h"

struct inference {
  struct arena arena;
  struct shape payload;
  size_t count;
  struct schema schema; /* of the proposal */
  bool proposed;
};

struct writer {
  struct buffer *out;
  struct table names; /* of records */
  struct arena arena;
  struct buffer tmp;
  bool failed;
};

enum status inference_open(struct inference **out, struct error *err) {
  *out = calloc(1, sizeof **out);
  if (!*out) return error_set(err, ST_NO_MEMORY, "Out of memory");
  (*out)->payload.last = &(*out)->payload.first;
  return ST_OK;
}

void inference_close(struct inference *i) {
  if (!i) return;
  shape_release(&i->payload);
  if (i->proposed) schema_release(&i->schema);
  arena_release(&i->arena);
  free(i);
}

enum status inference_add(struct inference *i, const struct json_doc *doc, uint32_t payload,
                          struct error *err) {
  i->count++;
  if (shape_take(&i->payload, doc, payload, &i->arena, 0)) return ST_OK;
  return error_set(err, ST_NO_MEMORY, "Out of memory");
}

size_t inference_count(const struct inference *i) {
  return i->count;
}

/* ---- which type ---- */

enum form { FORM_JSON, FORM_BOOLEAN, FORM_NUMBER, FORM_TEXT, FORM_ARRAY, FORM_MAP, FORM_RECORD };

static bool number_is_json(const struct shape *s) {
  return s->beyond || (s->fraction && s->rounds);
}

static enum form form_of(const struct shape *s, unsigned depth) {
  uint64_t some = s->seen - s->nulls;
  if (!some || depth >= SHAPE_DEPTH) return FORM_JSON;
  if (s->booleans == some) return FORM_BOOLEAN;
  if (s->numbers == some) return number_is_json(s) ? FORM_JSON : FORM_NUMBER;
  if (s->texts == some) return FORM_TEXT;
  if (s->arrays == some) return FORM_ARRAY;
  if (s->objects != some) return FORM_JSON;
  return s->odd_names || !s->members || s->members > SHAPE_MEMBERS ? FORM_MAP : FORM_RECORD;
}

/* Do its strings hold JSON text? A map is one of JSON texts: its names are no fields, its values of
 * any kind. */
static bool holds_json(const struct shape *s, unsigned depth) {
  enum form form = form_of(s, depth);
  if (form == FORM_ARRAY) return !s->items->seen || holds_json(s->items, depth + 1);
  return form == FORM_JSON || form == FORM_MAP;
}

/* ---- names ---- */

static void add_word(struct buffer *out, struct span word) {
  bool begin = true;
  for (size_t i = 0; i < word.len; i++) {
    char c = word.ptr[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter) buffer_add_char(out, begin && c >= 'a' && c <= 'z' ? (char)(c - 32) : c);
    begin = !letter;
  }
}

/* A record is called by its path; another of that name has a number behind. */
static struct span record_name(struct writer *w, struct span around, struct span word) {
  buffer_clear(&w->tmp);
  buffer_add(&w->tmp, around);
  add_word(&w->tmp, word);
  if (!w->tmp.len || (w->tmp.ptr[0] >= '0' && w->tmp.ptr[0] <= '9')) {
    struct span digits = arena_span(&w->arena, buffer_span(&w->tmp));
    buffer_clear(&w->tmp);
    buffer_add_char(&w->tmp, 'E');
    buffer_add(&w->tmp, digits);
  }
  size_t length = w->tmp.len;
  for (unsigned n = 2; table_get(&w->names, buffer_span(&w->tmp)); n++) {
    w->tmp.len = length;
    buffer_printf(&w->tmp, "%u", n);
  }
  struct span name = arena_span(&w->arena, buffer_span(&w->tmp));
  w->failed |= w->tmp.failed || !name.ptr || table_put(&w->names, name, w) != ST_OK;
  return name;
}

/* ---- writing ---- */

static void write_record(struct writer *w, const struct shape *s, struct span name, unsigned depth);

static void write_text(struct writer *w, const struct shape *s) {
  static const struct {
    unsigned text;
    const char *type;
  } types[] = {
      {TEXT_UUID, "{\"type\": \"string\", \"logicalType\": \"uuid\"}"},
      {TEXT_DATE, "{\"type\": \"int\", \"logicalType\": \"date\"}"},
      {TEXT_TIME, "{\"type\": \"long\", \"logicalType\": \"time-micros\"}"},
      {TEXT_TIMESTAMP, "{\"type\": \"long\", \"logicalType\": \"timestamp-micros\"}"},
  };
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    if (s->text & types[i].text) {
      buffer_add_z(w->out, types[i].type);
      return;
    }
  uint32_t digits = s->before + s->behind;
  if (s->text & TEXT_DECIMAL)
    buffer_printf(
        w->out,
        "{\"type\": \"bytes\", \"logicalType\": \"decimal\", \"precision\": %u, \"scale\": %u}",
        digits <= 18 ? 18 : 38, s->behind);
  else
    buffer_add_z(w->out, "\"string\"");
}

static void write_type(struct writer *w, const struct shape *s, struct span around,
                       struct span word, unsigned depth) {
  const char *number = s->fraction ? "\"double\"" : s->wide ? "\"long\"" : "\"int\"";
  struct span name = {0};
  switch (form_of(s, depth)) {
  case FORM_JSON: buffer_add_z(w->out, "\"string\""); return;
  case FORM_BOOLEAN: buffer_add_z(w->out, "\"boolean\""); return;
  case FORM_NUMBER: buffer_add_z(w->out, number); return;
  case FORM_TEXT: write_text(w, s); return;
  case FORM_MAP: buffer_add_z(w->out, "{\"type\": \"map\", \"values\": \"string\"}"); return;
  case FORM_ARRAY:
    buffer_add_z(w->out, "{\"type\": \"array\", \"items\": ");
    if (s->items->nulls && form_of(s->items, depth + 1) != FORM_JSON)
      buffer_add_z(w->out, "[\"null\", ");
    write_type(w, s->items, around, word, depth + 1);
    if (s->items->nulls && form_of(s->items, depth + 1) != FORM_JSON) buffer_add_char(w->out, ']');
    buffer_add_char(w->out, '}');
    return;
  case FORM_RECORD:
    name = record_name(w, around, word);
    buffer_printf(w->out, "{\"type\": \"record\", \"name\": \"%.*s\", \"fields\": [",
                  SPAN_ARGS(name));
    write_record(w, s, name, depth);
    return;
  }
}

static void write_field(struct writer *w, const struct member *m, const struct shape *parent,
                        struct span around, unsigned depth) {
  const struct shape *s = m->shape;
  bool nullable = s->nulls || s->seen < parent->objects;
  /* A map of strings of that name would take members without a place. */
  bool text = span_is(m->name, "extra") && form_of(s, depth) == FORM_MAP;
  buffer_printf(w->out, "%*s{\"name\": \"%.*s\", \"type\": ", 2 * (int)depth, "",
                SPAN_ARGS(m->name));
  if (nullable) buffer_add_z(w->out, "[\"null\", ");
  if (text)
    buffer_add_z(w->out, "\"string\"");
  else
    write_type(w, s, around, m->name, depth);
  if (nullable) buffer_add_char(w->out, ']');
  if (text || holds_json(s, depth)) buffer_add_z(w->out, ", \"json\": true");
  buffer_add_z(w->out, nullable ? ", \"default\": null}" : "}");
}

/* Names that no field can have, and those beyond what is told apart, go to the map `extra`, and a
 * member of that name with them. Inner records have none: such objects are maps. */
static void write_record(struct writer *w, const struct shape *s, struct span name,
                         unsigned depth) {
  bool extra = s->odd_names || s->members > SHAPE_MEMBERS;
  const char *before = "\n";
  for (const struct member *m = s->first; m; m = m->next) {
    bool field = !extra || (!span_is(m->name, "extra") && name_valid(m->name, false));
    if (!field) continue;
    buffer_add_z(w->out, before);
    write_field(w, m, s, name, depth + 1);
    before = ",\n";
  }
  if (extra)
    buffer_printf(w->out,
                  "%s%*s{\"name\": \"extra\", \"type\": {\"type\": \"map\", \"values\": "
                  "\"string\"}, \"json\": true, \"default\": {}}",
                  before, 2 * (int)depth + 2, "");
  buffer_add_z(w->out, "\n");
  buffer_printf(w->out, "%*s]}", 2 * (int)depth, "");
}

/* "order.placed": the record Placed of the namespace order. */
static void write_whole(struct writer *w, const struct inference *i, struct span event) {
  const char *dot = event.len ? memchr(event.ptr, '.', event.len) : NULL;
  struct span ns = {event.ptr, dot ? (size_t)(dot - event.ptr) : 0};
  struct span rest = dot ? (struct span){dot + 1, event.len - ns.len - 1} : event;
  struct span name = record_name(w, (struct span){"", 0}, rest);
  buffer_printf(w->out, "{\"type\": \"record\", \"name\": \"%.*s\",", SPAN_ARGS(name));
  if (ns.len) buffer_add_z(w->out, " \"namespace\": \"");
  if (ns.len && *ns.ptr >= '0' && *ns.ptr <= '9') buffer_add_char(w->out, '_');
  for (size_t c = 0; c < ns.len; c++) buffer_add_char(w->out, ns.ptr[c] == '-' ? '_' : ns.ptr[c]);
  if (ns.len) buffer_add_z(w->out, "\",");
  buffer_printf(w->out, "\n \"doc\": \"Proposed from %zu of its events\", \"fields\": [", i->count);
  write_record(w, &i->payload, name, 0);
  buffer_add_char(w->out, '\n');
}

enum status inference_write(struct inference *i, struct span event, struct buffer *out,
                            struct error *err) {
  struct writer w = {.out = out};
  size_t start = out->len;
  write_whole(&w, i, event);
  table_release(&w.names);
  arena_release(&w.arena);
  buffer_release(&w.tmp);
  if (w.failed || out->failed) return error_set(err, ST_NO_MEMORY, "Out of memory");
  struct span text = {out->ptr + start, out->len - start};
  enum status st = schema_read(text, NULL, &i->schema, err);
  i->proposed = st == ST_OK;
  if (st == ST_TOO_LARGE) err->status = st = ST_INVALID;
  return st;
}

enum status inference_check(struct inference *i, const struct json_doc *doc, uint32_t payload,
                            struct error *err) {
  struct buffer bytes = {0};
  struct encoder e = {.doc = doc, .out = &bytes, .err = err};
  enum reason reason = encode_use(&e, &i->schema.root, payload);
  enum status st = ST_OK;
  if (reason != REASON_NONE)
    st = reason == REASON_NO_MEMORY ? ST_NO_MEMORY : ST_INVALID;
  else if (e.left_count || e.cut)
    st = error_set(err, ST_INVALID, e.cut ? "a number loses digits" : "a member has no place");
  encoder_release(&e);
  buffer_release(&bytes);
  return st;
}
