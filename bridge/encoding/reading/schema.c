/* Reads a schema's JSON into types, refuses what is not supported, and lets avro-c judge the
 * canonical form of the rest.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/types/schema.h"

#include "bridge/encoding/reading/schema_reader.h"
#include "bridge/encoding/types/reach.h"

#include <avro.h>

#define SUPPORTED                                                                                  \
  "supported are null, boolean, int, long, float, double, bytes, string, fixed, enum, array, "     \
  "map, record and unions of them"

static enum status use_of(struct schema_reader *r, uint32_t node, const struct type *type,
                          bool json, struct use *out) {
  *out = (struct use){.type = type, .json = json};
  if (type->height > SCHEMA_MAX_DEPTH)
    return schema_reader_fault(r, node, "types are nested deeper than %d levels", SCHEMA_MAX_DEPTH);
  return ST_OK;
}

/* A type of a file of its own stands where it is named first: read from there, as if its text were
 * here. */
static enum status inlined_use(struct schema_reader *r, uint32_t node, struct common *c, bool json,
                               struct use *out) {
  struct json_doc here = r->doc;
  unsigned line = r->line;
  size_t line_at = r->line_at;
  const char *file = r->common_file;
  struct error fault = {0};
  if (r->inlined == SCHEMA_MAX_DEPTH)
    return schema_reader_fault(r, node, "types are nested deeper than %d levels", SCHEMA_MAX_DEPTH);
  r->inlined++;
  r->common_file = c->file;
  r->doc = (struct json_doc){0};
  r->line = 0;
  enum status st = json_scan(&r->doc, buffer_span(&c->text), &fault);
  if (st == ST_NO_MEMORY)
    (void)schema_reader_no_memory(r);
  else if (st != ST_OK)
    (void)error_set(r->err, st, "line %u: %s", schema_reader_line(r->doc.text, r->doc.fault_at),
                    fault.text);
  else
    st = schema_reader_use(r, 0, (struct span){"", 0}, json, out);
  json_doc_release(&r->doc);
  r->doc = here;
  r->line = line;
  r->line_at = line_at;
  r->common_file = file;
  r->inlined--;
  if (st != ST_INVALID) return st;
  /* the innermost file and the outermost line, however many are between them */
  if (!r->told) (void)error_prefix(r->err, "%s", c->file);
  r->told = true;
  if (!r->inlined)
    (void)error_prefix(r->err, "line %u", schema_reader_line(here.text, here.nodes[node].at));
  return st;
}

/* A record may hold itself, but not at once: no value would ever end. */
static enum status inner_use(struct schema_reader *r, uint32_t node, const struct type *type,
                             struct span full) {
  if (type->loose == r->loose)
    return schema_reader_fault(r, node, "record \"%s\" contains itself without end",
                               schema_reader_quote(r, full));
  r->recursive = true;
  return ST_OK;
}

/* A type by its name: a primitive, or one defined above or in a file of its own. */
static enum status named_use(struct schema_reader *r, uint32_t node, struct span ns, bool json,
                             struct use *out) {
  struct span word, full;
  const struct type *type;
  enum status st = schema_reader_string(r, node, &word);
  if (st != ST_OK) return st;
  if (primitive_of(word, &type)) return use_of(r, node, type, json, out);
  st = schema_reader_full_name(r, word, ns, &full);
  if (st != ST_OK) return st;
  type = table_get(&r->names, full);
  struct common *c = !type && r->commons ? table_get(r->commons, full) : NULL;
  if (c) return inlined_use(r, node, c, json, out);
  if (!type)
    return schema_reader_fault(r, node, "unknown type \"%s\"; " SUPPORTED,
                               schema_reader_quote(r, word));
  if (!type->height) st = inner_use(r, node, type, full);
  if (st == ST_OK) st = use_of(r, node, type, json, out);
  out->named = true;
  return st;
}

/* ---- unions ---- */

static bool same_type(const struct type *a, const struct type *b) {
  return a->kind == b->kind && span_eq(a->name, b->name);
}

static enum status refuse_branches(struct schema_reader *r, uint32_t node, const struct type *t) {
  for (uint32_t i = 1; i < t->count; i++)
    for (uint32_t j = 0; j < i; j++)
      if (same_type(t->branches[i].type, t->branches[j].type))
        return schema_reader_fault(r, node, "the union has %s twice",
                                   kind_name(t->branches[i].type->kind));
  uint32_t lost = r->foreign ? SCHEMA_NO_FIELD : union_unreachable(t);
  if (lost == SCHEMA_NO_FIELD) return ST_OK;
  struct buffer word = {0};
  type_word(t->branches[lost].type, &word);
  enum status st =
      schema_reader_fault(r, node,
                          "branch %u of the union, %s, can never be reached: those before it take "
                          "all that it takes",
                          lost + 1, buffer_z(&word));
  buffer_release(&word);
  return st;
}

static enum status read_branches(struct schema_reader *r, uint32_t node, struct span ns, bool json,
                                 struct type *t) {
  uint32_t at = node + 1;
  for (uint32_t i = 0; i < t->count; i++, at = r->doc.nodes[at].next) {
    if (r->doc.nodes[at].type == JSON_ARRAY)
      return schema_reader_fault(r, at, "a union directly in a union");
    enum status st = schema_reader_use(r, at, ns, json, &t->branches[i]);
    if (st != ST_OK) return st;
    if (t->branches[i].type->height > t->height) t->height = t->branches[i].type->height;
  }
  return refuse_branches(r, node, t);
}

/* The union of null with one other is that other one, and a flag. */
static bool is_optional(const struct type *t, struct use *out) {
  if (t->count != 2) return false;
  bool first = t->branches[0].type->kind == KIND_NULL;
  if (!first && t->branches[1].type->kind != KIND_NULL) return false;
  *out = t->branches[first ? 1 : 0];
  out->null = first ? NULL_FIRST : NULL_SECOND;
  return true;
}

static enum status union_use(struct schema_reader *r, uint32_t node, struct span ns, bool json,
                             struct use *out) {
  struct type *t = arena_zalloc(r->arena, sizeof *t);
  uint32_t count = r->doc.nodes[node].count;
  if (t) t->branches = arena_zalloc(r->arena, (count + (size_t)1) * sizeof *t->branches);
  if (!t || !t->branches) return schema_reader_no_memory(r);
  if (!count) return schema_reader_fault(r, node, "a union of no types");
  t->kind = KIND_UNION;
  t->count = count;
  t->height = 1;
  r->loose += count > 1;
  enum status st = read_branches(r, node, ns, json, t);
  r->loose -= count > 1;
  if (st != ST_OK || is_optional(t, out)) return st;
  for (uint32_t i = 0; i < count; i++) t->branches[i].other_form = union_other_form(t, i);
  return use_of(r, node, t, json, out);
}

/* ---- the others ---- */

static enum status collection(struct schema_reader *r, uint32_t node, struct span ns,
                              enum kind kind, bool json, const struct type **out) {
  const char *key = kind == KIND_ARRAY ? "items" : "values";
  uint32_t items = json_member(&r->doc, node, key);
  if (items == JSON_NONE)
    return schema_reader_fault(r, node, "%s without \"%s\"", kind_name(kind), key);
  struct type *type = arena_zalloc(r->arena, sizeof *type);
  if (!type) return schema_reader_no_memory(r);
  r->loose++;
  enum status st = schema_reader_use(r, items, ns, json, &type->items);
  r->loose--;
  if (st != ST_OK) return st;
  type->kind = kind;
  type->height = 1 + type->items.type->height;
  *out = type;
  return ST_OK;
}

/* A primitive of its own, when it has a logical type. */
static enum status primitive_use(struct schema_reader *r, uint32_t node, const struct type *plain,
                                 bool json, struct use *out) {
  struct type own = *plain;
  enum status st = schema_reader_logical(r, node, &own);
  if (st != ST_OK || !own.logical) return st != ST_OK ? st : use_of(r, node, plain, json, out);
  struct type *type = arena_alloc(r->arena, sizeof *type);
  if (!type) return schema_reader_no_memory(r);
  *type = own;
  return use_of(r, node, type, json, out);
}

static enum status complex_use(struct schema_reader *r, uint32_t node, struct span ns, bool json,
                               struct use *out) {
  struct span word = {0};
  const struct type *type = NULL;
  struct type *made = NULL;
  uint32_t member = json_member(&r->doc, node, "type");
  if (member == JSON_NONE) return schema_reader_fault(r, node, "a type without \"type\"");
  if (r->doc.nodes[member].type != JSON_STRING)
    return schema_reader_fault(r, member, "\"type\" of a type must be a word such as \"array\"");
  enum status st = schema_reader_string(r, member, &word);
  if (st != ST_OK) return st;
  if (primitive_of(word, &type)) return primitive_use(r, node, type, json, out);
  if (span_is(word, "record"))
    st = schema_reader_record(r, node, ns, &made);
  else if (span_is(word, "enum"))
    st = schema_reader_enum(r, node, ns, &made);
  else if (span_is(word, "fixed"))
    st = schema_reader_fixed(r, node, ns, &made);
  else if (span_is(word, "array") || span_is(word, "map"))
    st = collection(r, node, ns, span_is(word, "map") ? KIND_MAP : KIND_ARRAY, json, &type);
  else
    return schema_reader_fault(r, member, "unknown type \"%s\"; " SUPPORTED,
                               schema_reader_quote(r, word));
  return st == ST_OK ? use_of(r, node, made ? made : type, json, out) : st;
}

static enum status any_use(struct schema_reader *r, uint32_t node, struct span ns, bool json,
                           struct use *out) {
  switch ((enum json_type)r->doc.nodes[node].type) {
  case JSON_STRING: return named_use(r, node, ns, json, out);
  case JSON_ARRAY: return union_use(r, node, ns, json, out);
  case JSON_OBJECT: return complex_use(r, node, ns, json, out);
  case JSON_NULL:
  case JSON_FALSE:
  case JSON_TRUE:
  case JSON_NUMBER: break;
  }
  return schema_reader_fault(r, node, "a type is a word, an object or an array, not %s",
                             json_type_name((enum json_type)r->doc.nodes[node].type));
}

enum status schema_reader_use(struct schema_reader *r, uint32_t node, struct span ns, bool json,
                              struct use *out) {
  uint32_t line = schema_reader_line_of(r, node);
  enum status st = any_use(r, node, ns, json, out);
  out->line = line;
  return st;
}

/* The reference library's word on what was accepted. It sees the canonical form: nothing unchecked
 * reaches it, and no record that holds itself, at which it falls over. */
static enum status second_opinion(struct schema_reader *r, struct span canonical) {
  avro_schema_t schema = NULL;
  if (avro_schema_from_json_length(canonical.ptr, canonical.len, &schema) != 0)
    return error_set(r->err, ST_INVALID, "line 1: avro-c refuses it: %s", avro_strerror());
  avro_schema_decref(schema);
  return ST_OK;
}

static enum status finish(struct schema_reader *r, struct schema *out) {
  struct buffer text = {0};
  canonical_write(&out->root, &text);
  char *copy = text.failed ? NULL : arena_copy(r->arena, buffer_span(&text));
  out->canonical = (struct span){copy, text.len};
  buffer_release(&text);
  if (!copy || !out->text.ptr) return schema_reader_no_memory(r);
  out->fingerprint = crc64_avro(out->canonical);
  return r->recursive || r->foreign ? ST_OK : second_opinion(r, out->canonical);
}

static enum status read_text(struct schema_reader *r, struct span text, struct schema *out) {
  struct error fault = {0};
  if (text.len > SCHEMA_MAX_BYTES)
    return error_set(r->err, ST_TOO_LARGE, "a schema of %zu bytes; %d are allowed", text.len,
                     SCHEMA_MAX_BYTES);
  enum status st = json_scan(&r->doc, text, &fault);
  if (st == ST_INVALID)
    return error_set(r->err, st, "line %u: %s", schema_reader_line(text, r->doc.fault_at),
                     fault.text);
  if (st != ST_OK) return schema_reader_no_memory(r);
  st = schema_reader_use(r, 0, (struct span){"", 0}, false, &out->root);
  out->text = arena_span(r->arena, text);
  return st == ST_OK ? finish(r, out) : st;
}

static enum status read_by(struct schema_reader *r, struct span text, struct schema *out) {
  *out = (struct schema){0};
  r->arena = &out->arena;
  r->last_note = &out->notes;
  enum status st = read_text(r, text, out);
  json_doc_release(&r->doc);
  table_release(&r->names);
  buffer_release(&r->tmp);
  if (st != ST_OK) schema_release(out);
  return st;
}

enum status schema_read(struct span text, const struct table *commons, struct schema *out,
                        struct error *err) {
  struct schema_reader r = {.commons = commons, .err = err};
  return read_by(&r, text, out);
}

enum status schema_read_foreign(struct span text, struct schema *out, struct error *err) {
  struct schema_reader r = {.foreign = true, .err = err};
  return read_by(&r, text, out);
}

void schema_release(struct schema *s) {
  arena_release(&s->arena);
  *s = (struct schema){0};
}
