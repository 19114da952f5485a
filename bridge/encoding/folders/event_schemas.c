/* Reads the folders of schemas, one file for each event, and refuses two with the same record name
 * or fingerprint.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/folders/event_schemas.h"

#include "bridge/base/disk/denial.h"
#include "bridge/base/text/words.h"
#include "bridge/encoding/folders/commons.h"
#include "bridge/encoding/folders/schema_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* schemas/envelope.avsc: a folder of another domain needs no copy of it. */
static const char built_in[] =
    "{\"type\": \"record\", \"name\": \"Envelope\", \"namespace\": \"busbridge\", \"fields\": ["
    "{\"name\": \"id\", \"type\": \"string\"}, {\"name\": \"name\", \"type\": \"string\"}, "
    "{\"name\": \"created_at\", \"type\": \"string\"}, "
    "{\"name\": \"payload\", \"type\": \"string\", \"json\": true}]}";

struct loader {
  struct event_schemas *out;
  struct error *err;
};

static struct event_schema *add_event_schema(struct event_schemas *e) {
  if (e->count == e->cap) {
    size_t cap = e->cap ? e->cap * 2 : 32;
    struct event_schema *grown = realloc(e->list, cap * sizeof *grown);
    if (!grown) return NULL;
    e->list = grown;
    e->cap = cap;
  }
  e->list[e->count] = (struct event_schema){0};
  return &e->list[e->count++];
}

static void release_event_schema(struct event_schema *e) {
  schema_release(&e->schema);
  free(e->event_name);
  free(e->file);
}

static bool event_name_valid(struct span name, bool dots) {
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
                (dots && c == '.');
    if (!good) return false;
  }
  return name.len > 0;
}

static bool path_valid(const char *ns, struct span stem) {
  if (!ns) return span_is(stem, ENVELOPE);
  return event_name_valid(span_of(ns), false) && event_name_valid(stem, true);
}

/* One after the other: a digest of all. */
static void take_text(struct loader *l, struct span text) {
  struct digest both[2] = {l->out->texts, digest_fixed(text)};
  l->out->texts = digest_fixed((struct span){(const char *)both, sizeof both});
}

static enum status read_event(struct loader *l, struct event_schema *e,
                              const struct schema_folder *at, const char *name) {
  struct buffer text = {0};
  enum status st = schema_file_read(at, name, &text, l->err);
  take_text(l, span_of(e->event_name));
  take_text(l, buffer_span(&text));
  if (st == ST_OK)
    st = schema_read(buffer_span(&text), &l->out->commons.by_name, &e->schema, l->err);
  if (st == ST_OK && (e->schema.root.type->kind != KIND_RECORD || e->schema.root.null))
    st = error_set(l->err, ST_INVALID, "line 1: the schema of an event must be a record");
  buffer_release(&text);
  return st;
}

/* The envelope that was copied from one folder to another is still one. */
static void drop_second_envelope(struct loader *l, const struct event_schema *e) {
  const struct event_schema *first = e;
  for (size_t i = 0; strcmp(e->event_name, ENVELOPE) == 0 && i + 1 < l->out->count; i++)
    if (strcmp(l->out->list[i].event_name, ENVELOPE) == 0) first = &l->out->list[i];
  if (first != e && span_eq(first->schema.canonical, e->schema.canonical))
    release_event_schema(&l->out->list[--l->out->count]);
}

static enum status add_schema(struct loader *l, struct event_schema *e,
                              const struct schema_folder *at, const char *name) {
  const char *ns = at->ns ? at->ns : "", *dot = at->ns ? "." : "";
  int stem = (int)(strlen(name) - strlen(SCHEMA_SUFFIX));
  if (asprintf(&e->event_name, "%s%s%.*s", ns, dot, stem, name) < 0) e->event_name = NULL;
  e->file = schema_file_path(at, name);
  if (!e->event_name || !e->file) return error_set(l->err, ST_NO_MEMORY, "no memory for a schema");
  enum status st = read_event(l, e, at, name);
  if (st == ST_OK) drop_second_envelope(l, e);
  return st;
}

static enum status add_file(void *ctx, const struct schema_folder *at, const char *name) {
  struct loader *l = ctx;
  struct span file = span_of(name);
  if (!span_ends(file, SCHEMA_SUFFIX)) return ST_OK;
  struct span stem = {file.ptr, file.len - strlen(SCHEMA_SUFFIX)};
  struct event_schema *e = NULL;
  enum status st;
  if (!path_valid(at->ns, stem))
    st = error_set(l->err, ST_INVALID,
                   "expected <namespace>/<event>" SCHEMA_SUFFIX
                   ", of a-z 0-9 _ and - (an event also .)");
  else if (l->out->count == EVENT_SCHEMAS_MAX)
    st = error_set(l->err, ST_TOO_LARGE, "more than %d schemas", EVENT_SCHEMAS_MAX);
  else if (!(e = add_event_schema(l->out)))
    st = error_set(l->err, ST_NO_MEMORY, "no memory for a schema");
  else
    st = add_schema(l, e, at, name);
  return st == ST_OK ? ST_OK : schema_file_fault(at, name, st, l->err);
}

/* At the top: a folder is a namespace. Anything that cannot be one is a file, or nothing of ours.
 */
static enum status add_top(void *ctx, const struct schema_folder *at, const char *name) {
  struct loader *l = ctx;
  enum status st = schema_files_below(at, name, add_file, l, l->err);
  return st == ST_NOT_FOUND ? add_file(l, at, name) : st;
}

static int by_event_name(const void *a, const void *b) {
  return strcmp(((const struct event_schema *)a)->event_name,
                ((const struct event_schema *)b)->event_name);
}

static int by_fingerprint(const void *a, const void *b) {
  const struct event_schema *x = *(const struct event_schema *const *)a,
                            *y = *(const struct event_schema *const *)b;
  if (x->schema.fingerprint != y->schema.fingerprint)
    return x->schema.fingerprint < y->schema.fingerprint ? -1 : 1;
  return strcmp(x->file, y->file);
}

static int by_record(const void *a, const void *b) {
  const struct event_schema *x = *(const struct event_schema *const *)a,
                            *y = *(const struct event_schema *const *)b;
  int order = span_cmp(x->schema.root.type->name, y->schema.root.type->name);
  return order ? order : strcmp(x->file, y->file);
}

static bool same_record(const struct event_schema *a, const struct event_schema *b) {
  return span_eq(a->schema.root.type->name, b->schema.root.type->name);
}

static bool same_fingerprint(const struct event_schema *a, const struct event_schema *b) {
  return a->schema.fingerprint == b->schema.fingerprint;
}

/* A reader finds a schema by its fingerprint, a registry's subject is made of the record's name:
 * both must be of one schema only. */
static enum status refuse_twins(struct loader *l, const struct event_schema **order) {
  const struct event_schemas *e = l->out;
  for (size_t i = 0; i < e->count; i++) order[i] = &e->list[i];
  qsort(order, e->count, sizeof *order, by_record);
  for (size_t i = 1; i < e->count; i++)
    if (same_record(order[i - 1], order[i]))
      return error_set(l->err, ST_INVALID, "%s: line 1: record %.*s is that of %s too",
                       order[i]->file, SPAN_ARGS(order[i]->schema.root.type->name),
                       order[i - 1]->file);
  qsort(order, e->count, sizeof *order, by_fingerprint);
  for (size_t i = 1; i < e->count; i++)
    if (same_fingerprint(order[i - 1], order[i]))
      return error_set(l->err, ST_INVALID,
                       "%s: line 1: its fingerprint is that of %s too; rename a field",
                       order[i]->file, order[i - 1]->file);
  return ST_OK;
}

/* Two folders may each have a schema of one event. */
static enum status refuse_same_event(struct loader *l) {
  const struct event_schema *list = l->out->list;
  for (size_t i = 1; i < l->out->count; i++)
    if (strcmp(list[i - 1].event_name, list[i].event_name) == 0)
      return error_set(l->err, ST_INVALID, "%s: line 1: event %s is that of %s too", list[i].file,
                       list[i].event_name, list[i - 1].file);
  return ST_OK;
}

static enum status add_envelope(struct loader *l) {
  for (size_t i = 0; i < l->out->count; i++)
    if (strcmp(l->out->list[i].event_name, ENVELOPE) == 0) return ST_OK;
  struct event_schema *e = add_event_schema(l->out);
  if (e) e->event_name = strdup(ENVELOPE);
  if (e) e->file = strdup(ENVELOPE_BUILT_IN);
  if (!e || !e->event_name || !e->file)
    return error_set(l->err, ST_NO_MEMORY, "no memory for a schema");
  return schema_read(span_of(built_in), NULL, &e->schema, l->err);
}

static enum status finish(struct loader *l) {
  const struct event_schema **order = calloc(l->out->count, sizeof *order);
  if (!order) return error_set(l->err, ST_NO_MEMORY, "no memory for the schemas");
  qsort(l->out->list, l->out->count, sizeof *l->out->list, by_event_name);
  enum status st = refuse_same_event(l);
  if (st == ST_OK) st = refuse_twins(l, order);
  free(order);
  return st;
}

/* ---- folders ---- */

static enum status open_folder(struct span name, struct schema_folder *out, struct error *err) {
  char *path = strndup(name.ptr, name.len);
  *out = (struct schema_folder){.fd = -1, .top = name};
  if (!path) return error_set(err, ST_NO_MEMORY, "no memory for the schemas");
  out->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  enum status st = ST_OK;
  if (out->fd < 0) {
    st = error_sys(err, errno, "folder of schemas %s (encoding.schemas)", path);
    error_denied(err, path, R_OK | X_OK);
  }
  free(path);
  while (out->top.len && out->top.ptr[out->top.len - 1] == '/') out->top.len--;
  return st;
}

/* A folder whose own name has a blank is one folder. */
static bool next_folder(struct span *rest, struct span *folder) {
  struct stat st;
  char *whole = rest->len ? strndup(rest->ptr, rest->len) : NULL;
  bool one = whole && stat(whole, &st) == 0 && S_ISDIR(st.st_mode);
  free(whole);
  if (!one) return span_word(rest, folder);
  *folder = *rest;
  *rest = (struct span){0};
  return true;
}

typedef enum status (*folder_fn)(struct loader *l, const struct schema_folder *top);

static enum status each_folder(struct loader *l, const char *folders, folder_fn fn) {
  struct span rest = span_of(folders), folder;
  enum status st = ST_OK;
  while (st == ST_OK && next_folder(&rest, &folder)) {
    struct schema_folder top;
    st = open_folder(folder, &top, l->err);
    if (st == ST_OK) st = fn(l, &top);
    if (top.fd >= 0) close(top.fd);
  }
  return st;
}

static enum status take_commons(struct loader *l, const struct schema_folder *top) {
  return commons_read(&l->out->commons, top, l->err);
}

static enum status take_events(struct loader *l, const struct schema_folder *top) {
  int fd = openat(top->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_sys(l->err, errno, "cannot list %.*s", SPAN_ARGS(top->top));
  return schema_files_each(fd, top, add_top, l, l->err);
}

static enum status take_history(struct loader *l, const struct schema_folder *top) {
  return history_read(l->out, top, l->err);
}

enum status event_schemas_read(const char *folders, struct event_schemas *out, struct error *err) {
  struct loader l = {.out = out, .err = err};
  *out = (struct event_schemas){0};
  enum status st = each_folder(&l, folders, take_commons);
  if (st == ST_OK) st = commons_check(&out->commons, err);
  if (st == ST_OK)
    take_text(&l, (struct span){(const char *)&out->commons.texts, sizeof out->commons.texts});
  if (st == ST_OK) st = each_folder(&l, folders, take_events);
  if (st == ST_OK) st = add_envelope(&l);
  if (st == ST_OK) st = finish(&l);
  if (st == ST_OK) st = each_folder(&l, folders, take_history);
  history_sort(out);
  if (st != ST_OK) event_schemas_release(out);
  return st;
}

void event_schemas_release(struct event_schemas *e) {
  for (size_t i = 0; i < e->count; i++) release_event_schema(&e->list[i]);
  free(e->list);
  commons_release(&e->commons);
  history_release(e);
  *e = (struct event_schemas){0};
}

struct event_schema *event_schemas_find(const struct event_schemas *e, struct span event_name) {
  size_t low = 0, high = e->count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    int order = span_cmp(span_of(e->list[mid].event_name), event_name);
    if (!order) return &e->list[mid];
    if (order < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return NULL;
}
