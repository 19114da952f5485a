/* Walks a compiled schema over a payload's nodes and writes Avro; a mismatch is told by path and
 * type, never by value. */
#include "bridge/encoding/encode.h"

#include "bridge/base/words.h"
#include "bridge/encoding/quote.h"

#include <limits.h>
#include <math.h>

void avro_put_long(struct buffer *out, int64_t n) {
  uint64_t z = ((uint64_t)n << 1) ^ (n < 0 ? UINT64_MAX : 0);
  unsigned char bytes[10];
  size_t len = 0;
  for (; z > 0x7F; z >>= 7) bytes[len++] = (unsigned char)((z & 0x7F) | 0x80);
  bytes[len++] = (unsigned char)z;
  buffer_append(out, bytes, len);
}

void avro_put_string(struct buffer *out, struct span s) {
  avro_put_long(out, (int64_t)s.len);
  buffer_add(out, s);
}

static void put_bits(struct buffer *out, uint64_t bits, size_t len) {
  unsigned char bytes[8];
  for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)(bits >> (8 * i));
  buffer_append(out, bytes, len);
}

/* Texts of mismatches */

static void put_path(const struct encoder *e, uint32_t node, struct buffer *text) {
  if (e->defaults) return;
  struct buffer path = {0};
  json_path(e->doc, node, &path);
  text_quoted(text, buffer_span(&path), 4 * QUOTE_CHARACTERS);
  buffer_release(&path);
}

static enum reason say(struct encoder *e, enum reason reason, struct buffer *text, bool name_file) {
  if (e->file && name_file) buffer_printf(text, " (%s)", e->file);
  error_set(e->err, ST_INVALID, "%s", buffer_z(text));
  buffer_release(text);
  return reason;
}

static void put_expected(const struct use *u, struct buffer *text) {
  const struct type *t = u->type;
  if (t->kind == KIND_ENUM) {
    buffer_add_z(text, "one of ");
    for (uint32_t i = 0; i < t->count && i < 10; i++) {
      if (i) buffer_add_z(text, ", ");
      text_quoted(text, t->symbols[i], QUOTE_CHARACTERS);
    }
    if (t->count > 10) buffer_add_z(text, ", ...");
  } else {
    if (u->json) buffer_add_z(text, "JSON text in a "); /* only a default can fail there */
    buffer_add_z(text,
                 t->kind == KIND_RECORD || t->kind == KIND_MAP ? "object" : kind_name(t->kind));
  }
  if (u->null) buffer_add_z(text, " or null");
}

/* A payload's values are nobody's business: these words come to logs and lists. */
static void put_found(const struct encoder *e, const struct use *u, uint32_t node,
                      struct buffer *text) {
  const struct json_node *n = &e->doc->nodes[node];
  int64_t value;
  bool part = n->type == JSON_NUMBER && json_whole(e->doc, node, &value) == JSON_FRACTION;
  buffer_add_z(text, json_type_name((enum json_type)n->type));
  if (part && (u->type->kind == KIND_INT || u->type->kind == KIND_LONG))
    buffer_add_z(text, " that is not whole");
}

static enum reason mismatch(struct encoder *e, const struct use *u, uint32_t node) {
  struct buffer text = {0};
  put_path(e, node, &text);
  buffer_add_z(&text, e->defaults ? "expected " : ": expected ");
  put_expected(u, &text);
  buffer_add_z(&text, ", found ");
  if (e->defaults)
    quote_value(&text, e->doc, node);
  else
    put_found(e, u, node, &text);
  return say(e, REASON_SCHEMA_MISMATCH, &text, true);
}

static enum reason out_of_range(struct encoder *e, const struct use *u, uint32_t node,
                                enum reason reason) {
  struct buffer text = {0};
  put_path(e, node, &text);
  if (e->defaults)
    text_quoted(&text, json_slice(e->doc, node), QUOTE_CHARACTERS);
  else
    buffer_add_z(&text, ": the number");
  buffer_printf(&text, " is beyond the range of %s", kind_name(u->type->kind));
  return say(e, reason, &text, true);
}

static enum reason missing(struct encoder *e, const struct field *f, uint32_t object) {
  struct buffer text = {0};
  put_path(e, object, &text);
  if (!e->defaults) buffer_add_char(&text, '.');
  text_quoted(&text, f->name, QUOTE_CHARACTERS);
  buffer_printf(&text, ": required by %s and missing", e->file ? e->file : "its type");
  return say(e, REASON_SCHEMA_MISMATCH, &text, false);
}

static enum reason no_place(struct encoder *e, uint32_t key) {
  struct buffer text = {0};
  put_path(e, key + 1, &text);
  buffer_add_z(&text, e->defaults ? "no such field: " : ": no such field");
  if (e->defaults) text_quoted(&text, json_raw(e->doc, key), QUOTE_CHARACTERS);
  return say(e, REASON_SCHEMA_MISMATCH, &text, true);
}

/* Values */

/* The bytes of a string: in the document when it has no escapes, else in e->text until the next
 * call. */
static struct span string_of(struct encoder *e, uint32_t node) {
  if (!(e->doc->nodes[node].flags & JSON_ESCAPED)) return json_raw(e->doc, node);
  buffer_clear(&e->text);
  json_unescape(e->doc, node, &e->text);
  if (e->text.failed) e->out->failed = true;
  return buffer_span(&e->text);
}

/* Some languages write every number as a real one: 1.0, 1e2. A schema's default is an integer as
 * Avro means it. */
static enum reason put_integer(struct encoder *e, const struct use *u, uint32_t node) {
  const struct json_node *n = &e->doc->nodes[node];
  int64_t value = 0;
  if (n->type != JSON_NUMBER || (e->defaults && !(n->flags & JSON_INTEGER)))
    return mismatch(e, u, node);
  enum json_whole whole = json_whole(e->doc, node, &value);
  if (whole == JSON_FRACTION) return mismatch(e, u, node);
  if (whole == JSON_BEYOND ||
      (u->type->kind == KIND_INT && (value < INT32_MIN || value > INT32_MAX)))
    return out_of_range(e, u, node, REASON_INTEGER_RANGE);
  avro_put_long(e->out, value);
  return REASON_NONE;
}

/* More digits than a double is sure to keep, or an integer that lies between two doubles. */
static bool loses_digits(const struct encoder *e, uint32_t node, double value, unsigned digits) {
  int64_t exact;
  if (digits > 17) return true;
  return fabs(value) >= 0x1p53 && fabs(value) < 0x1p63 && json_int(e->doc, node, &exact) &&
         (int64_t)value != exact;
}

static enum reason put_real(struct encoder *e, const struct use *u, uint32_t node) {
  double value;
  unsigned digits;
  if (e->doc->nodes[node].type != JSON_NUMBER) return mismatch(e, u, node);
  if (!json_double(e->doc, node, &value, &digits))
    return out_of_range(e, u, node, REASON_SCHEMA_MISMATCH);
  if (loses_digits(e, node, value, digits) && !e->cut++) e->cut_node = node;
  uint64_t bits = 0;
  if (u->type->kind == KIND_FLOAT) {
    /* The largest double that still rounds to a finite float; beyond it the conversion would be
     * undefined. */
    if (fabs(value) >= 0x1.ffffffp127) return out_of_range(e, u, node, REASON_SCHEMA_MISMATCH);
    float narrow = (float)value;
    uint32_t narrow_bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    put_bits(e->out, narrow_bits, 4);
  } else {
    memcpy(&bits, &value, sizeof bits);
    put_bits(e->out, bits, 8);
  }
  return REASON_NONE;
}

/* The default of a string that holds JSON text: a string like any other, whose content must be such
 * a text. */
static bool is_json_text(struct encoder *e, uint32_t node) {
  struct json_doc text = {0};
  enum status st = json_scan(&text, string_of(e, node), NULL);
  json_doc_release(&text);
  return st == ST_OK;
}

static enum reason put_text(struct encoder *e, const struct use *u, uint32_t node) {
  bool json = u->json && !e->defaults;
  if (!json && e->doc->nodes[node].type != JSON_STRING) return mismatch(e, u, node);
  if (u->json && e->defaults && !is_json_text(e, node)) return mismatch(e, u, node);
  avro_put_string(e->out, json ? json_slice(e->doc, node) : string_of(e, node));
  return REASON_NONE;
}

static enum reason put_symbol(struct encoder *e, const struct use *u, uint32_t node) {
  if (e->doc->nodes[node].type != JSON_STRING) return mismatch(e, u, node);
  uint32_t symbol = type_find(u->type, string_of(e, node), 0);
  if (symbol == SCHEMA_NO_FIELD) return mismatch(e, u, node);
  avro_put_long(e->out, symbol);
  return REASON_NONE;
}

static enum reason put_elements(struct encoder *e, const struct use *u, uint32_t node) {
  const struct json_node *n = &e->doc->nodes[node];
  bool map = u->type->kind == KIND_MAP;
  enum reason reason = REASON_NONE;
  if (n->type != (map ? JSON_OBJECT : JSON_ARRAY)) return mismatch(e, u, node);
  if (n->count) avro_put_long(e->out, n->count);
  uint32_t at = node + 1;
  for (uint32_t i = 0; i < n->count && reason == REASON_NONE; i++, at = e->doc->nodes[at].next) {
    if (map) avro_put_string(e->out, string_of(e, at++));
    reason = encode_use(e, &u->type->items, at);
  }
  avro_put_long(e->out, 0);
  return reason;
}

/* Records: the payload's members are walked once; `places` of the stack then has the node of each
 * field found (or JSON_NONE) and, after them, the keys of the members that have no field. Indexes,
 * not pointers: the stack may move. */

static bool stack_take(struct encoder *e, size_t count) {
  if (count > e->cap - e->used) {
    size_t cap = (e->used + count) * 2;
    uint32_t *grown = realloc(e->stack, cap * sizeof *grown);
    if (!grown) {
      e->out->failed = true;
      return false;
    }
    e->stack = grown;
    e->cap = cap;
  }
  e->used += count;
  return true;
}

/* Returns how many members have no field. */
static uint32_t sort_members(struct encoder *e, const struct type *t, uint32_t node,
                             size_t places) {
  const struct json_node *nodes = e->doc->nodes;
  uint32_t at = node + 1, guess = 0, unknown = 0;
  for (uint32_t i = 0; i < t->count; i++) e->stack[places + i] = JSON_NONE;
  for (uint32_t i = 0; i < nodes[node].count; i++, at = nodes[at + 1].next) {
    uint32_t field = type_find(t, string_of(e, at), guess);
    if (field == SCHEMA_NO_FIELD || (field == t->extra && !e->defaults)) {
      e->stack[places + t->count + unknown++] = at;
    } else {
      e->stack[places + field] = at + 1;
      guess = field + 1;
    }
  }
  return unknown;
}

static void put_extra(struct encoder *e, size_t keys, uint32_t count) {
  if (count) avro_put_long(e->out, count);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t key = e->stack[keys + i];
    avro_put_string(e->out, string_of(e, key));
    avro_put_string(e->out, json_slice(e->doc, key + 1));
  }
  avro_put_long(e->out, 0);
}

static void leave_out(struct encoder *e, size_t keys, uint32_t count) {
  if (count > e->left_cap - e->left_count) {
    size_t cap = (e->left_count + count) * 2;
    uint32_t *grown = realloc(e->left_out, cap * sizeof *grown);
    if (!grown) {
      e->out->failed = true;
      return;
    }
    e->left_out = grown;
    e->left_cap = cap;
  }
  memcpy(e->left_out + e->left_count, e->stack + keys, count * sizeof *e->stack);
  e->left_count += count;
}

static enum reason put_fields(struct encoder *e, const struct type *t, uint32_t node,
                              size_t places) {
  uint32_t unknown = sort_members(e, t, node, places);
  if (unknown && (t->extra == SCHEMA_NO_FIELD || e->defaults)) {
    uint32_t first = e->stack[places + t->count];
    if (e->strict || e->defaults) return no_place(e, first);
    leave_out(e, places + t->count, unknown);
  }
  for (uint32_t i = 0; i < t->count; i++) {
    const struct field *f = &t->fields[i];
    uint32_t value = e->stack[places + i];
    enum reason reason = REASON_NONE;
    if (i == t->extra && !e->defaults)
      put_extra(e, places + t->count, unknown);
    else if (value != JSON_NONE)
      reason = encode_use(e, &f->use, value);
    else if (f->has_default)
      buffer_add(e->out, f->fallback);
    else
      reason = missing(e, f, node);
    if (reason != REASON_NONE) return reason;
  }
  return REASON_NONE;
}

static enum reason put_record(struct encoder *e, const struct use *u, uint32_t node) {
  size_t places = e->used;
  if (e->doc->nodes[node].type != JSON_OBJECT) return mismatch(e, u, node);
  if (!stack_take(e, (size_t)u->type->count + e->doc->nodes[node].count)) return REASON_NONE;
  enum reason reason = put_fields(e, u->type, node, places);
  e->used = places;
  return reason;
}

static enum reason put_value(struct encoder *e, const struct use *u, uint32_t node) {
  enum json_type type = (enum json_type)e->doc->nodes[node].type;
  switch (u->type->kind) {
  case KIND_NULL: return type == JSON_NULL ? REASON_NONE : mismatch(e, u, node);
  case KIND_BOOLEAN:
    if (type != JSON_TRUE && type != JSON_FALSE) return mismatch(e, u, node);
    buffer_add_char(e->out, type == JSON_TRUE);
    return REASON_NONE;
  case KIND_INT:
  case KIND_LONG: return put_integer(e, u, node);
  case KIND_FLOAT:
  case KIND_DOUBLE: return put_real(e, u, node);
  case KIND_STRING: return put_text(e, u, node);
  case KIND_ENUM: return put_symbol(e, u, node);
  case KIND_ARRAY:
  case KIND_MAP: return put_elements(e, u, node);
  case KIND_RECORD: return put_record(e, u, node);
  }
  BUG_ON(true);
  return REASON_NONE;
}

enum reason encode_use(struct encoder *e, const struct use *u, uint32_t node) {
  if (!u->null) return put_value(e, u, node);
  bool null = e->doc->nodes[node].type == JSON_NULL;
  bool first = null == (u->null == NULL_FIRST);
  if (e->defaults && !first) {
    /* Avro: the default of a union belongs to its first branch. */
    struct use only = *u;
    static const struct type null_type = {.kind = KIND_NULL, .height = 1};
    only.null = NULL_NONE;
    if (!null) only.type = &null_type;
    return mismatch(e, &only, node);
  }
  avro_put_long(e->out, first ? 0 : 1);
  return null ? REASON_NONE : put_value(e, u, node);
}

void encoder_release(struct encoder *e) {
  free(e->stack);
  free(e->left_out);
  buffer_release(&e->text);
  e->stack = e->left_out = NULL;
  e->used = e->cap = e->left_count = e->left_cap = 0;
}
