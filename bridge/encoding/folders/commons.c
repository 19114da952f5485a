/* Types that several schemas share: found by the name that each file defines.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/folders/commons.h"

#include "bridge/encoding/reading/schema_reader.h"

struct adding {
  struct commons *commons;
  struct error *err;
};

/* A string member's bytes; empty when it is none. */
static struct span member_text(struct commons *c, const struct json_doc *doc, const char *key,
                               bool *memory) {
  struct span text = {0};
  uint32_t at = json_member(doc, 0, key);
  if (at == JSON_NONE || doc->nodes[at].type != JSON_STRING) return text;
  *memory &= json_text(doc, at, &c->arena, &text);
  return text;
}

/* The full name that a definition gives; what is wrong with it is found when it is read. */
static enum status full_name(struct commons *c, const struct json_doc *doc, struct span *out,
                             struct error *err) {
  bool memory = true, object = doc->nodes[0].type == JSON_OBJECT;
  struct span name = {0}, ns = {0};
  if (object) {
    name = member_text(c, doc, "name", &memory);
    ns = member_text(c, doc, "namespace", &memory);
  }
  if (memory && !name_valid(name, true))
    return error_set(err, ST_INVALID, "line 1: a record, enum or fixed with a name is expected");
  *out = name;
  if (memory && ns.len && !memchr(name.ptr, '.', name.len)) {
    struct buffer full = {0};
    buffer_printf(&full, "%.*s.%.*s", SPAN_ARGS(ns), SPAN_ARGS(name));
    *out = full.failed ? (struct span){0} : arena_span(&c->arena, buffer_span(&full));
    buffer_release(&full);
  }
  return memory && out->ptr ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory for a schema");
}

static enum status take_type(struct commons *c, struct common *one, struct error *err) {
  struct json_doc doc = {0};
  struct error fault = {0};
  enum status st = json_scan(&doc, buffer_span(&one->text), &fault);
  if (st == ST_INVALID)
    (void)error_set(err, st, "line %u: %s", schema_reader_line(doc.text, doc.fault_at), fault.text);
  else if (st != ST_OK)
    (void)error_set(err, st, "no memory for a schema");
  else
    st = full_name(c, &doc, &one->name, err);
  json_doc_release(&doc);
  return st;
}

static enum status enter(struct commons *c, struct common *one, struct error *err) {
  enum status st = table_put(&c->by_name, one->name, one);
  if (st == ST_NO_MEMORY) return error_set(err, st, "no memory for a schema");
  if (st == ST_OK) {
    struct digest d = digest_fixed(buffer_span(&one->text));
    c->texts.lo += d.lo;
    c->texts.hi += d.hi;
    return ST_OK;
  }
  const struct common *other = table_get(&c->by_name, one->name);
  return error_set(err, ST_INVALID, "line 1: %.*s is that of %s too", SPAN_ARGS(one->name),
                   other->file);
}

static void common_free(struct common *one) {
  buffer_release(&one->text);
  free(one->file);
  free(one);
}

static enum status add_common(void *ctx, const struct schema_folder *at, const char *name) {
  struct adding *a = ctx;
  if (!span_ends(span_of(name), SCHEMA_SUFFIX)) return ST_OK;
  struct common *one = calloc(1, sizeof *one);
  if (!one) return error_set(a->err, ST_NO_MEMORY, "no memory for a schema");
  one->file = schema_file_path(at, name);
  enum status st = one->file ? schema_file_read(at, name, &one->text, a->err)
                             : error_set(a->err, ST_NO_MEMORY, "no memory for a schema");
  if (st == ST_OK) st = take_type(a->commons, one, a->err);
  if (st == ST_OK) st = enter(a->commons, one, a->err);
  if (st == ST_OK) return ST_OK;
  common_free(one);
  return schema_file_fault(at, name, st, a->err);
}

enum status commons_read(struct commons *c, const struct schema_folder *top, struct error *err) {
  struct adding a = {c, err};
  enum status st = schema_files_below(top, ".common", add_common, &a, err);
  return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status commons_check(struct commons *c, struct error *err) {
  size_t pos = 0;
  struct span name;
  void *value;
  while (table_each(&c->by_name, &pos, &name, &value)) {
    struct common *one = value;
    struct schema s;
    enum status st = schema_read(buffer_span(&one->text), &c->by_name, &s, err);
    if (st != ST_OK) {
      (void)error_prefix(err, "%s", one->file);
      return st == ST_TOO_LARGE ? ST_INVALID : st;
    }
    schema_release(&s);
  }
  return ST_OK;
}

void commons_release(struct commons *c) {
  size_t pos = 0;
  struct span name;
  void *value;
  while (table_each(&c->by_name, &pos, &name, &value)) common_free(value);
  table_release(&c->by_name);
  arena_release(&c->arena);
}
