/* Frozen schemas: what older records were written by.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/folders/event_schemas.h"

struct adding {
  struct event_schemas *schemas;
  struct error *err;
};

/* "placed.12.avsc": *stem is what stands before the number; false: it has none. */
static bool split_name(const char *name, struct span *stem, uint32_t *number) {
  struct span text = {name, strlen(name) - strlen(SCHEMA_SUFFIX)};
  const char *dot = memrchr(text.ptr, '.', text.len);
  uint64_t n = 0;
  if (!dot || dot == text.ptr || dot + 1 == text.ptr + text.len || dot[1] == '0') return false;
  for (const char *c = dot + 1; c < text.ptr + text.len; c++) {
    if (*c < '0' || *c > '9' || n > UINT32_MAX / 10 - 1) return false;
    n = n * 10 + (uint64_t)(*c - '0');
  }
  *stem = (struct span){text.ptr, (size_t)(dot - text.ptr)};
  *number = (uint32_t)n;
  return true;
}

static void frozen_release(struct frozen *f) {
  schema_release(&f->schema);
  free(f->event_name);
  free(f->file);
}

static enum status keep_frozen(struct event_schemas *e, const struct frozen *f, struct error *err) {
  if (e->frozen_count == e->frozen_cap) {
    size_t cap = e->frozen_cap ? e->frozen_cap * 2 : 16;
    struct frozen *grown = realloc(e->frozen, cap * sizeof *grown);
    if (!grown) return error_set(err, ST_NO_MEMORY, "no memory for a schema");
    e->frozen = grown;
    e->frozen_cap = cap;
  }
  e->frozen[e->frozen_count++] = *f;
  return ST_OK;
}

static enum status read_frozen(struct frozen *f, const struct schema_folder *at, const char *name,
                               struct error *err) {
  struct buffer text = {0};
  enum status st = schema_file_read(at, name, &text, err);
  if (st == ST_OK) st = schema_read(buffer_span(&text), NULL, &f->schema, err);
  if (st == ST_OK && (f->schema.root.type->kind != KIND_RECORD || f->schema.root.null))
    st = error_set(err, ST_INVALID, "line 1: the schema of an event must be a record");
  buffer_release(&text);
  return st;
}

static enum status add_version(struct adding *a, const struct schema_folder *at, const char *name,
                               bool top) {
  struct frozen f = {0};
  struct span stem;
  if (!span_ends(span_of(name), SCHEMA_SUFFIX)) return ST_OK;
  if (!split_name(name, &stem, &f.number))
    return schema_file_fault(
        at, name,
        error_set(a->err, ST_INVALID, "expected <namespace>/<event>.<number>" SCHEMA_SUFFIX),
        a->err);
  if (asprintf(&f.event_name, "%s%s%.*s", top ? "" : at->ns, top ? "" : ".", SPAN_ARGS(stem)) < 0)
    f.event_name = NULL;
  f.file = schema_file_path(at, name);
  enum status st = f.event_name && f.file
                       ? read_frozen(&f, at, name, a->err)
                       : error_set(a->err, ST_NO_MEMORY, "no memory for a schema");
  if (st == ST_OK) st = keep_frozen(a->schemas, &f, a->err);
  if (st == ST_OK) return ST_OK;
  frozen_release(&f);
  return schema_file_fault(at, name, st, a->err);
}

static enum status add_file(void *ctx, const struct schema_folder *at, const char *name) {
  return add_version(ctx, at, name, false);
}

static enum status add_top(void *ctx, const struct schema_folder *at, const char *name) {
  struct adding *a = ctx;
  enum status st = schema_files_below(at, name, add_file, a, a->err);
  return st == ST_NOT_FOUND ? add_version(a, at, name, true) : st;
}

enum status history_read(struct event_schemas *e, const struct schema_folder *top,
                         struct error *err) {
  struct adding a = {e, err};
  enum status st = schema_files_below(top, ".history", add_top, &a, err);
  return st == ST_NOT_FOUND ? ST_OK : st;
}

static int by_name_and_number(const void *a, const void *b) {
  const struct frozen *x = a, *y = b;
  int order = strcmp(x->event_name, y->event_name);
  return order ? order : (x->number > y->number) - (x->number < y->number);
}

void history_sort(struct event_schemas *e) {
  if (e->frozen_count) qsort(e->frozen, e->frozen_count, sizeof *e->frozen, by_name_and_number);
}

void history_release(struct event_schemas *e) {
  for (size_t i = 0; i < e->frozen_count; i++) frozen_release(&e->frozen[i]);
  free(e->frozen);
}
