/* Matches types, round by round.
 * The thread that asks; a crash leaves nothing. */
#include "bridge/encoding/comparing/resolve.h"

#include "bridge/encoding/reading/schema_reader.h"

#define DEPTH_MAX 1000 /* records in records, by pairs */

uint32_t use_branches(const struct use *u) {
  if (u->null) return 2;
  return u->type->kind == KIND_UNION ? u->type->count : 0;
}

struct use use_branch(const struct use *u, uint32_t i) {
  struct use branch = *u;
  if (!u->null) {
    branch = u->type->branches[i];
    return branch;
  }
  branch.null = NULL_NONE;
  if ((u->null == NULL_FIRST) == (i == 0)) {
    branch.named = false;
    (void)primitive_of(SPAN("null"), &branch.type);
  }
  return branch;
}

/* ---- what is asked of two types ---- */

static struct span unqualified(struct span name) {
  const char *dot = name.len ? memrchr(name.ptr, '.', name.len) : NULL;
  return dot ? (struct span){dot + 1, name.len - (size_t)(dot + 1 - name.ptr)} : name;
}

bool types_same_name(const struct type *reader, const struct type *writer) {
  if (span_eq(unqualified(reader->name), unqualified(writer->name))) return true;
  for (const struct alias *a = reader->aliases; a; a = a->next)
    if (span_eq(a->name, writer->name)) return true;
  return false;
}

bool types_promote(const struct type *reader, const struct type *writer) {
  switch (writer->kind) {
  case KIND_INT:
    return reader->kind == KIND_LONG || reader->kind == KIND_FLOAT || reader->kind == KIND_DOUBLE;
  case KIND_LONG: return reader->kind == KIND_FLOAT || reader->kind == KIND_DOUBLE;
  case KIND_FLOAT: return reader->kind == KIND_DOUBLE;
  case KIND_STRING: return reader->kind == KIND_BYTES;
  case KIND_BYTES: return reader->kind == KIND_STRING;
  case KIND_NULL:
  case KIND_BOOLEAN:
  case KIND_DOUBLE:
  case KIND_FIXED:
  case KIND_ENUM:
  case KIND_ARRAY:
  case KIND_MAP:
  case KIND_RECORD:
  case KIND_UNION: break;
  }
  return false;
}

bool types_decimals_differ(const struct type *reader, const struct type *writer) {
  return reader->logical == LOGICAL_DECIMAL && writer->logical == LOGICAL_DECIMAL &&
         (reader->precision != writer->precision || reader->scale != writer->scale);
}

bool types_missing_symbol(const struct type *reader, const struct type *writer, uint32_t *at) {
  if (reader->fallback != SCHEMA_NO_FIELD) return false;
  for (; *at < writer->count; ++*at)
    if (type_find(reader, writer->symbols[*at], *at) == SCHEMA_NO_FIELD) return true;
  return false;
}

const struct field *types_source(const struct field *f, const struct type *writer) {
  uint32_t at = type_find(writer, f->name, 0);
  for (const struct alias *a = f->aliases; a && at == SCHEMA_NO_FIELD; a = a->next)
    at = type_find(writer, a->name, 0);
  return at == SCHEMA_NO_FIELD ? NULL : &writer->fields[at];
}

/* ---- rounds ---- */

static struct span pair_key(const struct type *const pair[2]) {
  return (struct span){(const char *)pair, 2 * sizeof *pair};
}

bool types_pair(struct resolver *r, struct table *t, const struct type *reader,
                const struct type *writer) {
  const struct type *pair[2] = {reader, writer};
  if (table_get(t, pair_key(pair))) return false;
  struct span kept = arena_span(&r->arena, pair_key(pair));
  if (kept.ptr && table_put(t, kept, r) == ST_OK) return true;
  r->status = ST_NO_MEMORY;
  return false;
}

static bool is_bad(const struct resolver *r, const struct type *reader, const struct type *writer) {
  const struct type *pair[2] = {reader, writer};
  return table_get(&r->bad, pair_key(pair)) != NULL;
}

/* All of them, also behind one that does not: whoever tells the reasons asks for each. */
static bool fields_fit(struct resolver *r, const struct type *reader, const struct type *writer) {
  bool fit = true;
  for (uint32_t i = 0; i < reader->count; i++) {
    const struct field *f = &reader->fields[i], *from = types_source(f, writer);
    fit &= from ? resolver_fits(r, &f->use, &from->use) : f->has_default;
  }
  return fit;
}

static bool records_fit(struct resolver *r, const struct type *reader, const struct type *writer) {
  if (is_bad(r, reader, writer)) return false;
  if (!types_pair(r, &r->seen, reader, writer)) return true;
  if (++r->depth > DEPTH_MAX) r->status = ST_TOO_LARGE;
  bool fit = r->status == ST_OK && types_same_name(reader, writer) && fields_fit(r, reader, writer);
  r->depth--;
  if (fit || r->status != ST_OK) return fit;
  r->changed |= types_pair(r, &r->bad, reader, writer);
  return false;
}

static bool one_fits(struct resolver *r, const struct type *reader, const struct type *writer) {
  uint32_t at = 0;
  if (reader->kind != writer->kind) return types_promote(reader, writer);
  if (types_decimals_differ(reader, writer)) return false;
  switch (reader->kind) {
  case KIND_FIXED: return types_same_name(reader, writer) && reader->size == writer->size;
  case KIND_ENUM:
    return types_same_name(reader, writer) && !types_missing_symbol(reader, writer, &at);
  case KIND_ARRAY:
  case KIND_MAP: return resolver_fits(r, &reader->items, &writer->items);
  case KIND_RECORD: return records_fit(r, reader, writer);
  case KIND_NULL:
  case KIND_BOOLEAN:
  case KIND_INT:
  case KIND_LONG:
  case KIND_FLOAT:
  case KIND_DOUBLE:
  case KIND_BYTES:
  case KIND_STRING:
  case KIND_UNION: break; /* unions were taken apart */
  }
  return true;
}

bool resolver_fits(struct resolver *r, const struct use *reader, const struct use *writer) {
  uint32_t of_writer = use_branches(writer), of_reader = use_branches(reader);
  bool all = true;
  if (r->status != ST_OK) return false;
  for (uint32_t i = 0; i < of_writer; i++) {
    struct use branch = use_branch(writer, i);
    all &= resolver_fits(r, reader, &branch);
  }
  if (of_writer) return all;
  for (uint32_t i = 0; i < of_reader; i++) {
    struct use branch = use_branch(reader, i);
    if (resolver_fits(r, &branch, writer)) return true;
  }
  return !of_reader && one_fits(r, reader->type, writer->type);
}

bool resolver_run(struct resolver *r, const struct use *reader, const struct use *writer) {
  bool fit;
  do {
    r->changed = false;
    table_clear(&r->seen);
    fit = resolver_fits(r, reader, writer);
  } while (r->changed && r->status == ST_OK);
  return fit;
}

void resolver_release(struct resolver *r) {
  table_release(&r->seen);
  table_release(&r->bad);
  arena_release(&r->arena);
}
