/* "logicalType" of a type: which one, and whether it fits.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/reading/schema_reader.h"

bool schema_reader_count(struct schema_reader *r, uint32_t member, int64_t max, uint32_t *out) {
  int64_t n;
  if (member == JSON_NONE || !json_int(&r->doc, member, &n) || n < 0 || n > max) return false;
  *out = (uint32_t)n;
  return true;
}

static enum status read_decimal(struct schema_reader *r, uint32_t node, struct type *type) {
  uint32_t precision = json_member(&r->doc, node, "precision"),
           scale = json_member(&r->doc, node, "scale");
  if (!schema_reader_count(r, precision, DECIMAL_MAX_PRECISION, &type->precision) ||
      !type->precision)
    return schema_reader_fault(r, precision == JSON_NONE ? node : precision,
                               "a decimal needs \"precision\", 1 to %d digits",
                               DECIMAL_MAX_PRECISION);
  if (scale != JSON_NONE && !schema_reader_count(r, scale, type->precision, &type->scale))
    return schema_reader_fault(r, scale, "\"scale\" of a decimal is 0 to its precision");
  if (type->kind == KIND_FIXED && type->precision > decimal_digits(type->size))
    return schema_reader_fault(r, precision, "%u bytes keep %u digits, not %u", type->size,
                               decimal_digits(type->size), type->precision);
  return ST_OK;
}

static bool fits(const struct type *t, enum logical l) {
  switch (l) {
  case LOGICAL_NONE: return false;
  case LOGICAL_DECIMAL: return t->kind == KIND_BYTES || t->kind == KIND_FIXED;
  case LOGICAL_UUID:
    return t->kind == KIND_STRING || (t->kind == KIND_FIXED && t->size == UUID_BYTES);
  case LOGICAL_DATE:
  case LOGICAL_TIME_MILLIS: return t->kind == KIND_INT;
  case LOGICAL_TIME_MICROS:
  case LOGICAL_TIMESTAMP_MILLIS:
  case LOGICAL_TIMESTAMP_MICROS:
  case LOGICAL_LOCAL_MILLIS:
  case LOGICAL_LOCAL_MICROS: return t->kind == KIND_LONG;
  }
  return false;
}

/* Of a foreign schema: one that Avro ignores is ignored. */
static enum status read_foreign_decimal(struct schema_reader *r, uint32_t node, struct type *type) {
  struct error *err = r->err, ignored = {0};
  r->err = &ignored;
  enum status st = read_decimal(r, node, type);
  r->err = err;
  if (st == ST_INVALID) type->logical = LOGICAL_NONE;
  return st == ST_INVALID ? ST_OK : st;
}

enum status schema_reader_logical(struct schema_reader *r, uint32_t node, struct type *type) {
  uint32_t member = json_member(&r->doc, node, "logicalType");
  struct span word = {0};
  if (member == JSON_NONE) return ST_OK;
  if (r->doc.nodes[member].type == JSON_STRING) {
    enum status st = schema_reader_string(r, member, &word);
    if (st != ST_OK) return st;
  }
  enum logical l = logical_of(word);
  if (!l) return schema_reader_note(r, member, "unknown \"logicalType\": it means nothing here");
  if (!fits(type, l))
    return schema_reader_note(r, member,
                              "\"logicalType\": \"%s\" is not for %s: it means nothing here",
                              logical_name(l), kind_name(type->kind));
  type->logical = l;
  if (l != LOGICAL_DECIMAL) return ST_OK;
  return r->foreign ? read_foreign_decimal(r, node, type) : read_decimal(r, node, type);
}
