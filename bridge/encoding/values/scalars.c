/* Values without parts: JSON to Avro bytes, exactly or not at all.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/values/encode_parts.h"

#include "bridge/base/text/escape.h"

#include <limits.h>
#include <math.h>

void avro_put_long(struct buffer *out, int64_t n) {
  uint64_t z = ((uint64_t)n << 1) ^ (n < 0 ? UINT64_MAX : 0);
  if (z <= 0x7F && out->len < out->cap && !out->failed) { /* most lengths and branches */
    out->ptr[out->len++] = (char)z;
    return;
  }
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

/* The bytes of a string: in the document when it has no escapes, else in e->text until the next
 * call. */
struct span encode_string(struct encoder *e, uint32_t node) {
  if (!(e->doc->nodes[node].flags & JSON_ESCAPED)) return json_raw(e->doc, node);
  buffer_clear(&e->text);
  json_unescape(e->doc, node, &e->text);
  if (e->text.failed) e->out->failed = true;
  return buffer_span(&e->text);
}

static enum reason put_time(struct encoder *e, const struct use *u, uint32_t node) {
  int64_t value = 0;
  const char *why = logical_read(u->type->logical, encode_string(e, node), &value);
  if (why) return encode_mismatch(e, u, node, why);
  avro_put_long(e->out, value);
  return REASON_NONE;
}

/* Some languages write every number as a real one: 1.0, 1e2. A schema's default is an integer as
 * Avro means it. */
static enum reason put_integer(struct encoder *e, const struct use *u, uint32_t node) {
  const struct json_node *n = &e->doc->nodes[node];
  enum logical logical = u->type->logical;
  int64_t value = 0;
  if (logical && n->type == JSON_STRING && !e->defaults) return put_time(e, u, node);
  if (n->type != JSON_NUMBER || (e->defaults && !(n->flags & JSON_INTEGER)))
    return encode_mismatch(e, u, node, NULL);
  enum json_whole whole = json_whole(e->doc, node, &value);
  if (whole == JSON_FRACTION) return encode_mismatch(e, u, node, NULL);
  if (whole == JSON_BEYOND ||
      (u->type->kind == KIND_INT && (value < INT32_MIN || value > INT32_MAX)))
    return encode_out_of_range(e, u, node, REASON_INTEGER_RANGE);
  if (logical && !logical_holds(logical, value))
    return encode_out_of_range(e, u, node, REASON_SCHEMA_MISMATCH);
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
  if (e->doc->nodes[node].type != JSON_NUMBER) return encode_mismatch(e, u, node, NULL);
  if (!json_double(e->doc, node, &value, &digits))
    return encode_out_of_range(e, u, node, REASON_SCHEMA_MISMATCH);
  if (loses_digits(e, node, value, digits) && !e->cut++) e->cut_node = node;
  uint64_t bits = 0;
  if (u->type->kind == KIND_FLOAT) {
    /* The largest double that still rounds to a finite float; beyond it the conversion would be
     * undefined. */
    if (fabs(value) >= 0x1.ffffffp127)
      return encode_out_of_range(e, u, node, REASON_SCHEMA_MISMATCH);
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
 * a text. Without memory it counts as one, and the output fails. */
static bool is_json_text(struct encoder *e, uint32_t node) {
  struct json_doc text = {0};
  enum status st = json_scan(&text, encode_string(e, node), NULL);
  json_doc_release(&text);
  if (st == ST_NO_MEMORY) e->out->failed = true;
  return st != ST_INVALID;
}

static enum reason put_text(struct encoder *e, const struct use *u, uint32_t node) {
  bool json = u->json && !e->defaults;
  if (!json && e->doc->nodes[node].type != JSON_STRING) return encode_mismatch(e, u, node, NULL);
  if (u->json && e->defaults && !is_json_text(e, node)) return encode_mismatch(e, u, node, NULL);
  struct span text = json ? json_slice(e->doc, node) : encode_string(e, node);
  char bytes[UUID_BYTES];
  if (u->type->logical == LOGICAL_UUID && !json && !uuid_read(text, bytes))
    return encode_mismatch(e, u, node, "that is not one");
  avro_put_string(e->out, text);
  return REASON_NONE;
}

/* ---- bytes ---- */

/* A schema's default is text whose characters up to U+00FF are the bytes. */
static bool put_characters(struct encoder *e, struct span text) {
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c > 0xC3) return false;
    if (c >= 0x80) c = (unsigned char)(c << 6 | ((unsigned char)text.ptr[++i] & 0x3F));
    buffer_add_char(&e->bytes, (char)c);
  }
  return true;
}

static const char *put_decimal(struct encoder *e, const struct type *t, struct span text) {
  const char *why = decimal_read(text, t->precision, t->scale, &e->bytes);
  if (why || t->kind != KIND_FIXED) return why;
  char sign = e->bytes.len && e->bytes.ptr[0] & 0x80 ? '\xFF' : 0;
  for (size_t n = e->bytes.len; n < t->size; n++) buffer_add_char(e->out, sign);
  return NULL;
}

/* The value's bytes to e->bytes; NULL, or what is wrong. */
static const char *take_bytes(struct encoder *e, const struct type *t, uint32_t node) {
  struct span text =
      e->doc->nodes[node].type == JSON_NUMBER ? json_slice(e->doc, node) : encode_string(e, node);
  buffer_clear(&e->bytes);
  if (e->defaults) return put_characters(e, text) ? NULL : "with characters beyond U+00FF";
  if (t->logical == LOGICAL_DECIMAL) return put_decimal(e, t, text);
  if (t->logical == LOGICAL_UUID) {
    char bytes[UUID_BYTES];
    if (!uuid_read(text, bytes)) return "that is not one";
    buffer_append(&e->bytes, bytes, sizeof bytes);
    return NULL;
  }
  return base64_read(text, &e->bytes) ? NULL : "that is not base64";
}

static enum reason put_bytes(struct encoder *e, const struct use *u, uint32_t node) {
  const struct type *t = u->type;
  bool fixed = t->kind == KIND_FIXED;
  bool decimal = t->logical == LOGICAL_DECIMAL && !e->defaults;
  enum json_type json = (enum json_type)e->doc->nodes[node].type;
  if (json != JSON_STRING && !(decimal && json == JSON_NUMBER))
    return encode_mismatch(e, u, node, NULL);
  const char *why = take_bytes(e, t, node);
  if (!why && fixed && !decimal && e->bytes.len != t->size) why = "of another length";
  if (why) return encode_mismatch(e, u, node, why);
  if (!fixed) avro_put_long(e->out, (int64_t)e->bytes.len);
  buffer_add(e->out, buffer_span(&e->bytes));
  if (e->bytes.failed) e->out->failed = true;
  return REASON_NONE;
}

static enum reason put_symbol(struct encoder *e, const struct use *u, uint32_t node) {
  if (e->doc->nodes[node].type != JSON_STRING) return encode_mismatch(e, u, node, NULL);
  uint32_t symbol = type_find(u->type, encode_string(e, node), 0);
  if (symbol == SCHEMA_NO_FIELD) return encode_mismatch(e, u, node, NULL);
  avro_put_long(e->out, symbol);
  return REASON_NONE;
}

enum reason encode_scalar(struct encoder *e, const struct use *u, uint32_t node) {
  enum json_type type = (enum json_type)e->doc->nodes[node].type;
  switch (u->type->kind) {
  case KIND_NULL: return type == JSON_NULL ? REASON_NONE : encode_mismatch(e, u, node, NULL);
  case KIND_BOOLEAN:
    if (type != JSON_TRUE && type != JSON_FALSE) return encode_mismatch(e, u, node, NULL);
    buffer_add_char(e->out, type == JSON_TRUE);
    return REASON_NONE;
  case KIND_INT:
  case KIND_LONG: return put_integer(e, u, node);
  case KIND_FLOAT:
  case KIND_DOUBLE: return put_real(e, u, node);
  case KIND_BYTES:
  case KIND_FIXED: return put_bytes(e, u, node);
  case KIND_STRING: return put_text(e, u, node);
  case KIND_ENUM: return put_symbol(e, u, node);
  case KIND_ARRAY:
  case KIND_MAP:
  case KIND_RECORD:
  case KIND_UNION: break;
  }
  BUG_ON(true);
  return REASON_NONE;
}
