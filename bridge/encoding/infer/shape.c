/* Looks at values, and keeps what they have in common.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/encoding/infer/shape.h"

#include "bridge/encoding/reading/schema_reader.h"

#define DOUBLE_WHOLE (INT64_C(1) << 53) /* a double keeps every whole number up to it */
#define DECIMAL_DIGITS 38               /* more is not money, but an identifier */

static struct shape *shape_new(struct arena *arena) {
  struct shape *s = arena_zalloc(arena, sizeof *s);
  if (s) s->last = &s->first;
  return s;
}

static bool is_time(enum logical l, struct span text) {
  int64_t value;
  return logical_read(l, text, &value) == NULL;
}

/* "-12.50": no zero in front of other digits. */
static bool is_decimal(struct shape *s, struct span text) {
  const char *at = text.ptr, *end = at + text.len, *digits;
  if (at < end && *at == '-') at++;
  for (digits = at; at < end && *at >= '0' && *at <= '9'; at++) continue;
  size_t before = (size_t)(at - digits);
  if (!before || (*digits == '0' && before > 1) || at == end || *at++ != '.') return false;
  for (digits = at; at < end && *at >= '0' && *at <= '9'; at++) continue;
  size_t behind = (size_t)(at - digits);
  if (at != end || !behind || before + behind > DECIMAL_DIGITS) return false;
  if (s->texts > 1 && behind != s->behind) return false;
  if (before > s->before) s->before = (uint32_t)before;
  s->behind = (uint32_t)behind;
  return s->before + s->behind <= DECIMAL_DIGITS;
}

static void take_text(struct shape *s, struct span text) {
  char bytes[UUID_BYTES];
  if (s->texts++ == 0) s->text = TEXT_UUID | TEXT_DATE | TEXT_TIME | TEXT_TIMESTAMP | TEXT_DECIMAL;
  if (s->text & TEXT_UUID && !uuid_read(text, bytes)) s->text &= ~(unsigned)TEXT_UUID;
  if (s->text & TEXT_DATE && !is_time(LOGICAL_DATE, text)) s->text &= ~(unsigned)TEXT_DATE;
  if (s->text & TEXT_TIME && !is_time(LOGICAL_TIME_MICROS, text)) s->text &= ~(unsigned)TEXT_TIME;
  if (s->text & TEXT_TIMESTAMP && !is_time(LOGICAL_TIMESTAMP_MICROS, text))
    s->text &= ~(unsigned)TEXT_TIMESTAMP;
  if (s->text & TEXT_DECIMAL && !is_decimal(s, text)) s->text &= ~(unsigned)TEXT_DECIMAL;
}

static void take_number(struct shape *s, const struct json_doc *doc, uint32_t node) {
  int64_t value = 0;
  double real;
  unsigned digits;
  enum json_whole whole = json_whole(doc, node, &value);
  s->numbers++;
  s->wide |= whole == JSON_WHOLE && (value > INT32_MAX || value < INT32_MIN);
  s->fraction |= !(doc->nodes[node].flags & JSON_INTEGER); /* 82.0 is not a count */
  s->beyond |= whole == JSON_BEYOND;
  s->rounds |= !json_double(doc, node, &real, &digits) || digits > 17 ||
               (whole == JSON_WHOLE && (value > DOUBLE_WHOLE || value < -DOUBLE_WHOLE));
}

static struct shape *member_of(struct shape *s, struct span name, struct arena *arena) {
  struct member *m = table_get(&s->by_name, name);
  if (m) return m->shape;
  m = arena_zalloc(arena, sizeof *m);
  if (!m || !(m->shape = shape_new(arena))) return NULL;
  m->name = arena_span(arena, name);
  if (name.len && !m->name.ptr) return NULL;
  if (!m->name.ptr) m->name = (struct span){"", 0};
  if (table_put(&s->by_name, m->name, m) != ST_OK) return NULL;
  *s->last = m;
  s->last = &m->next;
  s->members++;
  s->odd_names |= !name_valid(name, false);
  return m->shape;
}

static bool take_member(struct shape *s, const struct json_doc *doc, uint32_t key,
                        struct arena *arena, unsigned depth) {
  struct span name;
  if (s->members > SHAPE_MEMBERS || depth >= SHAPE_DEPTH) return true; /* as JSON text */
  if (!json_text(doc, key, arena, &name)) return false;
  struct shape *inner = member_of(s, name, arena);
  return inner && shape_take(inner, doc, key + 1, arena, depth + 1);
}

static bool take_object(struct shape *s, const struct json_doc *doc, uint32_t node,
                        struct arena *arena, unsigned depth) {
  uint32_t key = node + 1;
  s->objects++;
  for (uint32_t i = 0; i < doc->nodes[node].count; i++, key = doc->nodes[key + 1].next)
    if (!take_member(s, doc, key, arena, depth)) return false;
  return true;
}

static bool take_array(struct shape *s, const struct json_doc *doc, uint32_t node,
                       struct arena *arena, unsigned depth) {
  uint32_t at = node + 1;
  s->arrays++;
  if (depth >= SHAPE_DEPTH) return true;
  if (!s->items && !(s->items = shape_new(arena))) return false;
  for (uint32_t i = 0; i < doc->nodes[node].count; i++, at = doc->nodes[at].next)
    if (!shape_take(s->items, doc, at, arena, depth + 1)) return false;
  return true;
}

bool shape_take(struct shape *s, const struct json_doc *doc, uint32_t node, struct arena *arena,
                unsigned depth) {
  struct span text;
  s->seen++;
  switch ((enum json_type)doc->nodes[node].type) {
  case JSON_NULL: s->nulls++; return true;
  case JSON_FALSE:
  case JSON_TRUE: s->booleans++; return true;
  case JSON_NUMBER: take_number(s, doc, node); return true;
  case JSON_STRING:
    if (!json_text(doc, node, arena, &text)) return false;
    take_text(s, text);
    return true;
  case JSON_ARRAY: return take_array(s, doc, node, arena, depth);
  case JSON_OBJECT: return take_object(s, doc, node, arena, depth);
  }
  return true;
}

void shape_release(struct shape *s) {
  if (s->items) shape_release(s->items);
  for (struct member *m = s->first; m; m = m->next) shape_release(m->shape);
  table_release(&s->by_name);
}
