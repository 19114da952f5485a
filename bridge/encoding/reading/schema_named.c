/* Records, enums and fixed: names and namespaces, fields and symbols, and defaults, compiled by the
 * encoder itself.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/reading/schema_reader.h"
#include "bridge/encoding/values/encode.h"

#define MAX_DEFAULT_BYTES (64 * 1024)

static bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool name_valid(struct span name, bool dots) {
  bool begin = true;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    if (dots && c == '.' && !begin) {
      begin = true;
      continue;
    }
    if (!letter(c) && (begin || c < '0' || c > '9')) return false;
    begin = false;
  }
  return !begin;
}

enum status schema_reader_full_name(struct schema_reader *r, struct span name, struct span ns,
                                    struct span *out) {
  *out = name;
  if (!ns.len || memchr(name.ptr, '.', name.len)) return ST_OK;
  buffer_clear(&r->tmp);
  buffer_add(&r->tmp, ns);
  buffer_add_char(&r->tmp, '.');
  buffer_add(&r->tmp, name);
  char *full = r->tmp.failed ? NULL : arena_copy(r->arena, buffer_span(&r->tmp));
  if (!full) return schema_reader_no_memory(r);
  *out = (struct span){full, r->tmp.len};
  return ST_OK;
}

/* A string member that must be a name; *out.ptr is NULL when it is absent. */
static enum status name_member(struct schema_reader *r, uint32_t node, const char *key, bool dots,
                               struct span *out) {
  uint32_t member = json_member(&r->doc, node, key);
  *out = (struct span){0};
  if (member == JSON_NONE) return ST_OK;
  if (r->doc.nodes[member].type != JSON_STRING)
    return schema_reader_fault(r, member, "\"%s\" must be a string", key);
  enum status st = schema_reader_string(r, member, out);
  if (st != ST_OK) return st;
  bool no_namespace = span_is(span_of(key), "namespace") && !out->len;
  if (!no_namespace && !name_valid(*out, dots))
    return schema_reader_fault(r, member, "\"%s\" is not a %s; it takes letters, digits and _",
                               schema_reader_quote(r, *out), key);
  return ST_OK;
}

/* ns NULL: of a field. */
static enum status read_aliases(struct schema_reader *r, uint32_t node, const struct span *ns,
                                const struct alias **last) {
  uint32_t list = json_member(&r->doc, node, "aliases");
  if (list == JSON_NONE) return ST_OK;
  if (r->doc.nodes[list].type != JSON_ARRAY)
    return schema_reader_fault(r, list, "\"aliases\" must be an array of names");
  uint32_t at = list + 1;
  for (uint32_t i = 0; i < r->doc.nodes[list].count; i++, at = r->doc.nodes[at].next) {
    struct span alias = {0};
    enum status st = ST_OK;
    if (r->doc.nodes[at].type == JSON_STRING) st = schema_reader_string(r, at, &alias);
    if (st != ST_OK) return st;
    if (!alias.ptr || !name_valid(alias, ns != NULL))
      return schema_reader_fault(r, at, "\"aliases\" must be an array of names");
    struct alias *one = arena_zalloc(r->arena, sizeof *one);
    if (!one) return schema_reader_no_memory(r);
    st = schema_reader_full_name(r, alias, ns ? *ns : (struct span){"", 0}, &one->name);
    if (st != ST_OK) return st;
    *last = one;
    last = &one->next;
  }
  return ST_OK;
}

/* Makes the type of a record, enum or fixed and enters its full name; *ns becomes the namespace
 * inside it.
 */
static enum status define(struct schema_reader *r, uint32_t node, enum kind kind, struct span *ns,
                          struct type **out) {
  struct span name, own;
  const struct type *primitive;
  enum status st = name_member(r, node, "name", true, &name);
  if (st != ST_OK) return st;
  if (!name.ptr) return schema_reader_fault(r, node, "%s without \"name\"", kind_name(kind));
  st = name_member(r, node, "namespace", true, &own);
  if (st != ST_OK) return st;
  if (primitive_of(name, &primitive))
    return schema_reader_fault(r, node, "\"%s\" is a type of Avro and cannot be defined", name.ptr);
  struct type *type = arena_zalloc(r->arena, sizeof *type);
  if (!type) return schema_reader_no_memory(r);
  st = schema_reader_full_name(r, name, own.ptr ? own : *ns, &type->name);
  if (st != ST_OK) return st;
  const char *dot = memrchr(type->name.ptr, '.', type->name.len);
  /* The canonical form writes such a name bare, and readers of it would put it into the namespace
   * around it. */
  if (!dot && ns->len)
    return schema_reader_fault(r, node, "\"%s\" has no namespace, inside one that has",
                               schema_reader_quote(r, name));
  *ns = (struct span){type->name.ptr, dot ? (size_t)(dot - type->name.ptr) : 0};
  type->kind = kind;
  type->loose = r->loose;
  type->extra = type->key = type->fallback = SCHEMA_NO_FIELD;
  type->file = r->common_file;
  type->line = schema_reader_line_of(r, node);
  st = table_put(&r->names, type->name, type);
  if (st == ST_EXISTS)
    return schema_reader_fault(r, node, "\"%s\" is defined twice",
                               schema_reader_quote(r, type->name));
  *out = type;
  return st == ST_OK ? read_aliases(r, node, ns, &type->aliases) : schema_reader_no_memory(r);
}

static int by_name(const void *a, const void *b, void *type) {
  return span_cmp(type_item(type, *(const uint32_t *)a), type_item(type, *(const uint32_t *)b));
}

/* Sorts fields or symbols for type_find, and refuses two of one name. */
static enum status sort_names(struct schema_reader *r, uint32_t node, struct type *type) {
  type->sorted = arena_alloc(r->arena, (type->count + (size_t)1) * sizeof *type->sorted);
  if (!type->sorted) return schema_reader_no_memory(r);
  for (uint32_t i = 0; i < type->count; i++) type->sorted[i] = i;
  qsort_r(type->sorted, type->count, sizeof *type->sorted, by_name, type);
  for (uint32_t i = 1; i < type->count; i++) {
    struct span name = type_item(type, type->sorted[i]);
    if (span_eq(name, type_item(type, type->sorted[i - 1])))
      return schema_reader_fault(r, node, "\"%s\" twice in %s %s", schema_reader_quote(r, name),
                                 kind_name(type->kind), type->name.ptr);
  }
  return ST_OK;
}

/* The default as Avro bytes, made by the encoder itself: what it would not encode is not a default.
 */
static enum status compile_default(struct schema_reader *r, uint32_t node, struct field *f) {
  struct buffer bytes = {0};
  struct error why = {0};
  struct encoder e = {.doc = &r->doc, .out = &bytes, .err = &why, .defaults = true};
  enum reason reason = encode_use(&e, &f->use, node);
  enum status st = ST_OK;
  if (reason != REASON_NONE)
    st = schema_reader_fault(r, node, "default of \"%s\": %s", schema_reader_quote(r, f->name),
                             why.text);
  else if (bytes.len > MAX_DEFAULT_BYTES)
    st = schema_reader_fault(r, node, "default of \"%s\": larger than %d bytes",
                             schema_reader_quote(r, f->name), MAX_DEFAULT_BYTES);
  char *copy = st != ST_OK || bytes.failed ? NULL : arena_copy(r->arena, buffer_span(&bytes));
  if (st == ST_OK && !copy) st = schema_reader_no_memory(r);
  f->has_default = true;
  f->fallback = (struct span){copy, bytes.len};
  encoder_release(&e);
  buffer_release(&bytes);
  return st;
}

static bool holds_strings(const struct use *u) {
  while (u->type->kind == KIND_ARRAY || u->type->kind == KIND_MAP) u = &u->type->items;
  bool some = u->type->kind == KIND_STRING;
  for (uint32_t i = 0; u->type->kind == KIND_UNION && i < u->type->count; i++)
    some |= u->type->branches[i].type->kind == KIND_STRING;
  return some;
}

/* The commonest mistake: it belongs to the type. */
static enum status note_beside(struct schema_reader *r, uint32_t node, const struct field *f) {
  uint32_t logical = json_member(&r->doc, node, "logicalType");
  if (logical == JSON_NONE) return ST_OK;
  return schema_reader_note(
      r, logical,
      "\"logicalType\" of \"%s\" stands beside the type and means nothing there; "
      "write \"type\": {\"type\": ..., \"logicalType\": ...}",
      schema_reader_quote(r, f->name));
}

static enum status read_field(struct schema_reader *r, uint32_t node, struct span ns,
                              struct field *f) {
  const struct json_doc *doc = &r->doc;
  if (doc->nodes[node].type != JSON_OBJECT)
    return schema_reader_fault(r, node, "a field must be an object");
  enum status st = name_member(r, node, "name", false, &f->name);
  if (st != ST_OK) return st;
  if (!f->name.ptr) return schema_reader_fault(r, node, "a field without \"name\"");
  uint32_t type = json_member(doc, node, "type"), json = json_member(doc, node, "json");
  if (type == JSON_NONE)
    return schema_reader_fault(r, node, "field \"%s\" without \"type\"",
                               schema_reader_quote(r, f->name));
  bool is_json = json != JSON_NONE && doc->nodes[json].type == JSON_TRUE;
  if (json != JSON_NONE && !is_json && doc->nodes[json].type != JSON_FALSE)
    return schema_reader_fault(r, json, "\"json\" must be true or false");
  st = schema_reader_use(r, type, ns, is_json, &f->use);
  if (st != ST_OK) return st;
  if (is_json && !holds_strings(&f->use))
    return schema_reader_fault(r, json, "\"json\" is for strings; \"%s\" has none",
                               schema_reader_quote(r, f->name));
  st = read_aliases(r, node, NULL, &f->aliases);
  if (st == ST_OK) st = note_beside(r, node, f);
  uint32_t fallback = json_member(doc, node, "default");
  return st != ST_OK || fallback == JSON_NONE ? st : compile_default(r, fallback, f);
}

static bool makes_a_key(const struct use *u) {
  enum kind k = u->type->kind;
  bool number = (k > KIND_BOOLEAN && k < KIND_BYTES) || u->type->logical == LOGICAL_DECIMAL;
  return !u->json && (k == KIND_ENUM || k == KIND_STRING || number);
}

/* "key": true. */
static enum status read_key(struct schema_reader *r, uint32_t node, struct type *type, uint32_t i) {
  uint32_t key = json_member(&r->doc, node, "key");
  if (key == JSON_NONE || r->doc.nodes[key].type == JSON_FALSE) return ST_OK;
  const char *name = schema_reader_quote(r, type->fields[i].name);
  if (r->doc.nodes[key].type != JSON_TRUE)
    return schema_reader_fault(r, key, "\"key\" must be true or false");
  if (r->records > 1)
    return schema_reader_fault(r, key,
                               "\"%s\": only a field of the outermost record can be the key", name);
  if (!makes_a_key(&type->fields[i].use))
    return schema_reader_fault(r, key, "\"%s\" makes no key: a key is a string or a number", name);
  if (type->key != SCHEMA_NO_FIELD)
    return schema_reader_fault(r, key, "\"%s\": another field is the key already", name);
  type->key = i;
  return ST_OK;
}

static bool takes_unknown(const struct field *f) {
  return span_is(f->name, "extra") && f->use.null == NULL_NONE && f->use.type->kind == KIND_MAP &&
         f->use.type->items.null == NULL_NONE && f->use.type->items.type->kind == KIND_STRING;
}

enum status schema_reader_record(struct schema_reader *r, uint32_t node, struct span ns,
                                 struct type **out) {
  struct type *type;
  enum status st = define(r, node, KIND_RECORD, &ns, &type);
  if (st != ST_OK) return st;
  uint32_t fields = json_member(&r->doc, node, "fields");
  if (fields == JSON_NONE || r->doc.nodes[fields].type != JSON_ARRAY)
    return schema_reader_fault(r, node, "record %s needs \"fields\", an array",
                               schema_reader_quote(r, type->name));
  uint32_t count = r->doc.nodes[fields].count, at = fields + 1;
  unsigned height = 0;
  type->fields = arena_zalloc(r->arena, (count + (size_t)1) * sizeof *type->fields);
  if (!type->fields) return schema_reader_no_memory(r);
  r->records++;
  for (uint32_t i = 0; i < count; i++, at = r->doc.nodes[at].next) {
    st = read_field(r, at, ns, &type->fields[i]);
    if (st == ST_OK) st = read_key(r, at, type, i);
    if (st != ST_OK) return st;
    if (type->fields[i].use.type->height > height) height = type->fields[i].use.type->height;
    if (takes_unknown(&type->fields[i])) type->extra = i;
  }
  r->records--;
  type->count = count;
  type->height = height + 1;
  *out = type;
  return sort_names(r, node, type);
}

static enum status read_symbols(struct schema_reader *r, uint32_t symbols, struct type *type) {
  uint32_t count = r->doc.nodes[symbols].count, at = symbols + 1;
  type->symbols = arena_zalloc(r->arena, count * sizeof *type->symbols);
  if (!type->symbols) return schema_reader_no_memory(r);
  for (uint32_t i = 0; i < count; i++, at = r->doc.nodes[at].next) {
    if (r->doc.nodes[at].type != JSON_STRING)
      return schema_reader_fault(r, at, "a symbol must be a string");
    enum status st = schema_reader_string(r, at, &type->symbols[i]);
    if (st != ST_OK) return st;
    if (!name_valid(type->symbols[i], false))
      return schema_reader_fault(r, at, "\"%s\" is not a symbol; it takes letters, digits and _",
                                 schema_reader_quote(r, type->symbols[i]));
  }
  type->count = count;
  type->height = 1;
  return sort_names(r, symbols, type);
}

enum status schema_reader_enum(struct schema_reader *r, uint32_t node, struct span ns,
                               struct type **out) {
  enum status st = define(r, node, KIND_ENUM, &ns, out);
  if (st != ST_OK) return st;
  uint32_t symbols = json_member(&r->doc, node, "symbols"),
           fallback = json_member(&r->doc, node, "default");
  if (symbols == JSON_NONE || r->doc.nodes[symbols].type != JSON_ARRAY ||
      !r->doc.nodes[symbols].count)
    return schema_reader_fault(r, node, "enum %s needs \"symbols\", an array that is not empty",
                               schema_reader_quote(r, (*out)->name));
  st = read_symbols(r, symbols, *out);
  if (st != ST_OK || fallback == JSON_NONE) return st;
  struct span word = {0};
  if (r->doc.nodes[fallback].type == JSON_STRING) st = schema_reader_string(r, fallback, &word);
  if (st == ST_OK) (*out)->fallback = type_find(*out, word, 0);
  if (st == ST_OK && (*out)->fallback == SCHEMA_NO_FIELD)
    st = schema_reader_fault(r, fallback, "the default of enum %s is none of its symbols",
                             schema_reader_quote(r, (*out)->name));
  return st;
}

enum status schema_reader_fixed(struct schema_reader *r, uint32_t node, struct span ns,
                                struct type **out) {
  enum status st = define(r, node, KIND_FIXED, &ns, out);
  if (st != ST_OK) return st;
  uint32_t size = json_member(&r->doc, node, "size");
  if (!schema_reader_count(r, size, SCHEMA_MAX_FIXED, &(*out)->size) || !(*out)->size)
    return schema_reader_fault(r, size == JSON_NONE ? node : size,
                               "fixed %s needs \"size\", 1 to %d bytes",
                               schema_reader_quote(r, (*out)->name), SCHEMA_MAX_FIXED);
  (*out)->height = 1;
  return schema_reader_logical(r, node, *out);
}
