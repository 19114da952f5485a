/* What is asked of a type that has been read.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/types/schema.h"

static const char *const kind_words[] = {"null",   "boolean", "int",    "long",  "float",
                                         "double", "bytes",   "string", "fixed", "enum",
                                         "array",  "map",     "record", "union"};

const char *kind_name(enum kind k) {
  return kind_words[k];
}

void type_word(const struct type *t, struct buffer *out) {
  if (t->logical == LOGICAL_DECIMAL)
    buffer_printf(out, "decimal(%u,%u)", t->precision, t->scale);
  else
    buffer_add_z(out, t->logical ? logical_name(t->logical) : kind_name(t->kind));
}

struct span type_item(const struct type *t, uint32_t i) {
  return t->kind == KIND_RECORD ? t->fields[i].name : t->symbols[i];
}

uint32_t type_find(const struct type *t, struct span name, uint32_t guess) {
  if (guess < t->count && span_eq(type_item(t, guess), name)) return guess;
  uint32_t low = 0, high = t->count;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    int order = span_cmp(type_item(t, t->sorted[mid]), name);
    if (!order) return t->sorted[mid];
    if (order < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return SCHEMA_NO_FIELD;
}
