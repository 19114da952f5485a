/* Reads a schema's JSON into types, refuses what is not supported, and lets avro-c judge the
 * canonical form of the rest. */
#include "bridge/encoding/schema.h"

#include "bridge/base/words.h"
#include "bridge/encoding/quote.h"
#include "bridge/encoding/schema_reader.h"

#include <avro.h>

#define SUPPORTED                                                                                                     \
  "supported are null, boolean, int, long, float, double, string, enum, array, map, record and a union of null with " \
  "one of them"

bool primitive_of(struct span word, const struct type **out) {
  static const struct type primitives[] = {
      {.kind = KIND_NULL, .height = 1},  {.kind = KIND_BOOLEAN, .height = 1},
      {.kind = KIND_INT, .height = 1},   {.kind = KIND_LONG, .height = 1},
      {.kind = KIND_FLOAT, .height = 1}, {.kind = KIND_DOUBLE, .height = 1},
      {.kind = KIND_STRING, .height = 1}};
  for (int k = KIND_NULL; k <= KIND_STRING; k++) {
    if (!span_is(word, kind_name((enum kind)k))) continue;
    *out = &primitives[k];
    return true;
  }
  return false;
}

static unsigned line_of(struct span text, size_t at) {
  unsigned line = 1;
  for (size_t i = 0; i < at && i < text.len; i++) line += text.ptr[i] == '\n';
  return line;
}

enum status reader_fault(struct reader *r, uint32_t node, const char *fmt, ...) {
  char words[sizeof r->err->text];
  va_list args;
  va_start(args, fmt);
  vsnprintf(words, sizeof words, fmt, args);
  va_end(args);
  return error_set(r->err, ST_INVALID, "line %u: %s", line_of(r->doc.text, r->doc.nodes[node].at),
                   words);
}

enum status reader_no_memory(struct reader *r) {
  return error_set(r->err, ST_NO_MEMORY, "no memory for a schema");
}

enum status reader_string(struct reader *r, uint32_t node, struct span *out) {
  buffer_clear(&r->tmp);
  json_unescape(&r->doc, node, &r->tmp);
  if (r->tmp.failed) return reader_no_memory(r);
  char *copy = arena_copy(r->arena, buffer_span(&r->tmp));
  if (!copy) return reader_no_memory(r);
  *out = (struct span){copy, r->tmp.len};
  return ST_OK;
}

const char *reader_quote(struct reader *r, struct span text) {
  buffer_clear(&r->tmp);
  text_quoted(&r->tmp, text, QUOTE_CHARACTERS);
  return buffer_z(&r->tmp);
}

static enum status use_of(struct reader *r, uint32_t node, const struct type *type, bool json,
                          struct use *out) {
  *out = (struct use){.type = type, .json = json};
  if (type->height > SCHEMA_MAX_DEPTH)
    return reader_fault(r, node, "types are nested deeper than %d levels", SCHEMA_MAX_DEPTH);
  return ST_OK;
}

/* A type by its name: a primitive, or a record or enum defined above. */
static enum status named_use(struct reader *r, uint32_t node, struct span ns, bool json,
                             struct use *out) {
  struct span word, full;
  const struct type *type;
  enum status st = reader_string(r, node, &word);
  if (st != ST_OK) return st;
  if (primitive_of(word, &type)) return use_of(r, node, type, json, out);
  st = reader_full_name(r, word, ns, &full);
  if (st != ST_OK) return st;
  type = table_get(&r->names, full);
  if (!type) return reader_fault(r, node, "unknown type \"%s\"; " SUPPORTED, reader_quote(r, word));
  if (!type->height)
    return reader_fault(r, node, "record \"%s\" contains itself", reader_quote(r, full));
  st = use_of(r, node, type, json, out);
  out->named = true;
  return st;
}

static bool same_type(const struct type *a, const struct type *b) {
  return a->kind == b->kind && span_eq(a->name, b->name);
}

static enum status union_use(struct reader *r, uint32_t node, struct span ns, bool json,
                             struct use *out) {
  uint32_t at[2] = {node + 1, 0};
  struct use branch[2];
  if (r->doc.nodes[node].count != 2)
    return reader_fault(r, node, "a union of %u types; " SUPPORTED, r->doc.nodes[node].count);
  at[1] = r->doc.nodes[at[0]].next;
  for (int i = 0; i < 2; i++) {
    if (r->doc.nodes[at[i]].type == JSON_ARRAY)
      return reader_fault(r, at[i], "a union directly in a union");
    enum status st = reader_use(r, at[i], ns, json, &branch[i]);
    if (st != ST_OK) return st;
  }
  if (same_type(branch[0].type, branch[1].type))
    return reader_fault(r, node, "the union has %s twice", kind_name(branch[0].type->kind));
  bool first = branch[0].type->kind == KIND_NULL, second = branch[1].type->kind == KIND_NULL;
  if (!first && !second) return reader_fault(r, node, "a union without null; " SUPPORTED);
  *out = branch[first ? 1 : 0];
  out->null = first ? NULL_FIRST : NULL_SECOND;
  return ST_OK;
}

static enum status collection(struct reader *r, uint32_t node, struct span ns, enum kind kind,
                              bool json, const struct type **out) {
  const char *key = kind == KIND_ARRAY ? "items" : "values";
  uint32_t items = json_member(&r->doc, node, key);
  if (items == JSON_NONE) return reader_fault(r, node, "%s without \"%s\"", kind_name(kind), key);
  struct type *type = arena_zalloc(r->arena, sizeof *type);
  if (!type) return reader_no_memory(r);
  enum status st = reader_use(r, items, ns, json, &type->items);
  if (st != ST_OK) return st;
  type->kind = kind;
  type->height = 1 + type->items.type->height;
  *out = type;
  return ST_OK;
}

static enum status complex_use(struct reader *r, uint32_t node, struct span ns, bool json,
                               struct use *out) {
  struct span word = {0};
  const struct type *type = NULL;
  struct type *made = NULL;
  uint32_t member = json_member(&r->doc, node, "type");
  if (member == JSON_NONE) return reader_fault(r, node, "a type without \"type\"");
  if (r->doc.nodes[member].type != JSON_STRING)
    return reader_fault(r, member, "\"type\" of a type must be a word such as \"array\"");
  enum status st = reader_string(r, member, &word);
  if (st != ST_OK) return st;
  if (primitive_of(word, &type)) return use_of(r, node, type, json, out);
  if (span_is(word, "record"))
    st = reader_record(r, node, ns, &made);
  else if (span_is(word, "enum"))
    st = reader_enum(r, node, ns, &made);
  else if (span_is(word, "array") || span_is(word, "map"))
    st = collection(r, node, ns, span_is(word, "map") ? KIND_MAP : KIND_ARRAY, json, &type);
  else
    return reader_fault(r, member, "unknown type \"%s\"; " SUPPORTED, reader_quote(r, word));
  return st == ST_OK ? use_of(r, node, made ? made : type, json, out) : st;
}

enum status reader_use(struct reader *r, uint32_t node, struct span ns, bool json,
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
  return reader_fault(r, node, "a type is a word, an object or an array of two, not %s",
                      json_type_name((enum json_type)r->doc.nodes[node].type));
}

/* The reference library's word on what was accepted. It sees the canonical form: nothing unchecked
 * reaches it. */
static enum status second_opinion(struct reader *r, struct span canonical) {
  avro_schema_t schema = NULL;
  if (avro_schema_from_json_length(canonical.ptr, canonical.len, &schema) != 0)
    return error_set(r->err, ST_INVALID, "line 1: avro-c refuses it: %s", avro_strerror());
  avro_schema_decref(schema);
  return ST_OK;
}

static enum status finish(struct reader *r, struct schema *out) {
  struct buffer text = {0};
  canonical_write(&out->root, &text);
  char *copy = text.failed ? NULL : arena_copy(r->arena, buffer_span(&text));
  out->canonical = (struct span){copy, text.len};
  buffer_release(&text);
  if (!copy) return reader_no_memory(r);
  out->fingerprint = crc64_avro(out->canonical);
  return second_opinion(r, out->canonical);
}

static enum status read_text(struct reader *r, struct span text, struct schema *out) {
  struct error fault = {0};
  if (text.len > SCHEMA_MAX_BYTES)
    return error_set(r->err, ST_TOO_LARGE, "a schema of %zu bytes; %d are allowed", text.len,
                     SCHEMA_MAX_BYTES);
  enum status st = json_scan(&r->doc, text, &fault);
  if (st == ST_INVALID)
    return error_set(r->err, st, "line %u: %s", line_of(text, r->doc.fault_at), fault.text);
  if (st != ST_OK) return reader_no_memory(r);
  st = reader_use(r, 0, (struct span){"", 0}, false, &out->root);
  return st == ST_OK ? finish(r, out) : st;
}

enum status schema_read(struct span text, struct schema *out, struct error *err) {
  *out = (struct schema){0};
  struct reader r = {.arena = &out->arena, .err = err};
  enum status st = read_text(&r, text, out);
  json_doc_release(&r.doc);
  table_release(&r.names);
  buffer_release(&r.tmp);
  if (st != ST_OK) schema_release(out);
  return st;
}

void schema_release(struct schema *s) {
  arena_release(&s->arena);
  *s = (struct schema){0};
}
