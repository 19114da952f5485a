/* Holds the branches of a union against each other. What is not sure counts as reachable: a schema
 * is refused only for what can never be.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/types/reach.h"

#define MAX_STEPS 1000 /* of one comparison: types may be wide, and hold themselves */

struct judge {
  unsigned steps;
};

static bool is_integer(const struct type *t) {
  return t->kind == KIND_INT || t->kind == KIND_LONG;
}

static bool is_time(const struct type *t) {
  return t->logical >= LOGICAL_DATE;
}

static bool takes_all(const struct use *u) {
  return u->json && u->type->kind == KIND_STRING;
}

static bool type_takes(const struct type *t, enum json_type json) {
  bool number = json == JSON_NUMBER, string = json == JSON_STRING;
  switch (t->kind) {
  case KIND_NULL: return json == JSON_NULL;
  case KIND_BOOLEAN: return json == JSON_TRUE || json == JSON_FALSE;
  case KIND_INT:
  case KIND_LONG: return number || (string && is_time(t));
  case KIND_FLOAT:
  case KIND_DOUBLE: return number;
  case KIND_BYTES:
  case KIND_FIXED: return string || (number && t->logical == LOGICAL_DECIMAL);
  case KIND_STRING:
  case KIND_ENUM: return string;
  case KIND_ARRAY: return json == JSON_ARRAY;
  case KIND_MAP:
  case KIND_RECORD: return json == JSON_OBJECT;
  case KIND_UNION: break;
  }
  for (uint32_t i = 0; i < t->count; i++)
    if (use_takes(&t->branches[i], json)) return true;
  return false;
}

bool use_takes(const struct use *u, enum json_type json) {
  return takes_all(u) || (u->null && json == JSON_NULL) || type_takes(u->type, json);
}

static bool use_covers(struct judge *j, const struct use *a, const struct use *b);

static void range(const struct type *t, int64_t *low, int64_t *high) {
  *low = t->kind == KIND_INT ? INT32_MIN : INT64_MIN;
  *high = t->kind == KIND_INT ? INT32_MAX : INT64_MAX;
  if (t->logical == LOGICAL_TIME_MILLIS) *low = 0, *high = INT64_C(86400000) - 1;
  if (t->logical == LOGICAL_TIME_MICROS) *low = 0, *high = INT64_C(86400000000) - 1;
}

static bool decimal_covers(const struct type *a, const struct type *b) {
  return a->logical == LOGICAL_DECIMAL && a->scale >= b->scale &&
         a->precision - a->scale >= b->precision - b->scale;
}

/* b takes numbers. */
static bool numbers_covered(const struct type *a, const struct type *b) {
  int64_t low, high, from, to;
  if (b->logical == LOGICAL_DECIMAL) {
    uint32_t whole =
        b->precision - b->scale; /* digits that a float, a double keep in their range */
    return decimal_covers(a, b) || (a->kind == KIND_DOUBLE && whole <= 308) ||
           (a->kind == KIND_FLOAT && whole <= 38);
  }
  if (b->kind == KIND_DOUBLE) return a->kind == KIND_DOUBLE;
  if (a->kind == KIND_FLOAT || a->kind == KIND_DOUBLE) return true;
  if (!is_integer(a) || !is_integer(b)) return false;
  range(a, &low, &high);
  range(b, &from, &to);
  return low <= from && to <= high;
}

static bool symbols_covered(const struct type *a, const struct type *b) {
  for (uint32_t i = 0; i < b->count; i++)
    if (type_find(a, b->symbols[i], i) == SCHEMA_NO_FIELD) return false;
  return true;
}

/* b takes strings. */
static bool strings_covered(const struct type *a, const struct type *b) {
  if (a->kind == KIND_STRING) return !a->logical || b->logical == LOGICAL_UUID;
  if (b->logical == LOGICAL_DECIMAL) return decimal_covers(a, b);
  if (a->kind == KIND_ENUM) return b->kind == KIND_ENUM && symbols_covered(a, b);
  if (a->kind == KIND_BYTES) return !a->logical && b->kind == KIND_FIXED && !b->logical;
  if (a->kind == KIND_FIXED)
    return b->kind == KIND_FIXED && a->logical == b->logical && a->size == b->size;
  return a->logical == LOGICAL_TIME_MICROS && b->logical == LOGICAL_TIME_MILLIS;
}

/* A field that a has: whatever fits b must fit it there. */
static bool field_covered(struct judge *j, const struct field *f, const struct type *b) {
  uint32_t at = type_find(b, f->name, 0);
  if (at == SCHEMA_NO_FIELD) return f->has_default && takes_all(&f->use);
  const struct field *g = &b->fields[at];
  return (f->has_default || !g->has_default) && use_covers(j, &f->use, &g->use);
}

static bool record_covered(struct judge *j, const struct type *a, const struct type *b) {
  if (a->extra == SCHEMA_NO_FIELD) { /* members that it lacks may be refused */
    if (b->extra != SCHEMA_NO_FIELD) return false;
    for (uint32_t i = 0; i < b->count; i++)
      if (type_find(a, b->fields[i].name, i) == SCHEMA_NO_FIELD) return false;
  }
  for (uint32_t i = 0; i < a->count; i++)
    if (i != a->extra && !field_covered(j, &a->fields[i], b)) return false;
  return true;
}

static bool objects_covered(struct judge *j, const struct type *a, const struct type *b) {
  if (!a->height || !b->height) return false; /* still being read */
  if (a->kind == KIND_MAP && takes_all(&a->items)) return true;
  if (a->kind == KIND_RECORD && a->extra != SCHEMA_NO_FIELD && a->count == 1) return true;
  if (a->kind != b->kind) return false;
  return a->kind == KIND_MAP ? use_covers(j, &a->items, &b->items) : record_covered(j, a, b);
}

/* Does a take every value of that JSON type which b takes? */
static bool covers(struct judge *j, const struct use *a, const struct use *b, enum json_type json) {
  if (takes_all(a)) return true;
  if (++j->steps > MAX_STEPS || takes_all(b) || !use_takes(a, json)) return false;
  if (json == JSON_NULL) return true;
  for (uint32_t i = 0; a->type->kind == KIND_UNION && i < a->type->count; i++)
    if (covers(j, &a->type->branches[i], b, json)) return true;
  if (a->type->kind == KIND_UNION || b->type->kind == KIND_UNION) return false;
  switch (json) {
  case JSON_NUMBER: return numbers_covered(a->type, b->type);
  case JSON_STRING: return strings_covered(a->type, b->type);
  case JSON_ARRAY: return use_covers(j, &a->type->items, &b->type->items);
  case JSON_OBJECT: return objects_covered(j, a->type, b->type);
  case JSON_NULL:
  case JSON_FALSE:
  case JSON_TRUE: break;
  }
  return true;
}

static bool use_covers(struct judge *j, const struct use *a, const struct use *b) {
  for (int json = JSON_NULL; json <= JSON_OBJECT; json++)
    if (use_takes(b, (enum json_type)json) && !covers(j, a, b, (enum json_type)json)) return false;
  return true;
}

static bool covered_before(const struct type *t, uint32_t i, enum json_type json) {
  for (uint32_t k = 0; k < i; k++) {
    struct judge j = {0};
    if (covers(&j, &t->branches[k], &t->branches[i], json)) return true;
  }
  return false;
}

uint32_t union_unreachable(const struct type *t) {
  for (uint32_t i = 1; i < t->count; i++) {
    bool reached = t->branches[i].type->kind == KIND_NULL; /* null goes nowhere else */
    for (int json = JSON_NULL; json <= JSON_OBJECT && !reached; json++)
      reached = use_takes(&t->branches[i], (enum json_type)json) &&
                !covered_before(t, i, (enum json_type)json);
    if (!reached) return i;
  }
  return SCHEMA_NO_FIELD;
}

bool union_other_form(const struct type *t, uint32_t i) {
  enum logical logical = t->branches[i].type->logical;
  bool numbers = false, texts = false;
  for (uint32_t k = 0; k < i; k++) {
    const struct type *before = t->branches[k].type;
    texts |= before->kind == KIND_STRING && before->logical != LOGICAL_UUID;
    numbers |= type_takes(before, JSON_NUMBER);
  }
  if (logical == LOGICAL_DECIMAL) return numbers && !texts;
  return logical >= LOGICAL_DATE && texts && !numbers;
}
