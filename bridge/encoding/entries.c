/* Reads the folder of schemas, one file for each event, and refuses two with the same record name
 * or fingerprint. */
#include "bridge/encoding/entries.h"

#include "bridge/base/denial.h"
#include "bridge/base/durable.h"
#include "bridge/base/words.h"
#include "bridge/encoding/quote.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".avsc"

struct loader {
  const char *folder;
  struct span
      shown; /* the same without slashes at its end: what stands before a file's name in messages */
  struct entries *out;
  struct error *err;
};

/* A place below the folder: ns is NULL at the top. */
struct place {
  int fd;
  const char *ns;
};

typedef enum status (*name_fn)(struct loader *l, const struct place *at, const char *name);

static enum status read_schema(struct loader *l, const struct place *at, const char *name,
                               struct buffer *text) {
  struct stat info;
  int fd = openat(at->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return error_sys(l->err, errno, "cannot open it");
  enum status st = ST_OK;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    st = error_set(l->err, ST_INVALID, "is not a regular file");
  else
    st = stream_read(fd, "it", SCHEMA_MAX_BYTES, text, l->err);
  if (st == ST_TOO_LARGE)
    st = error_set(l->err, st, "a schema of more than %d bytes is not read", SCHEMA_MAX_BYTES);
  close(fd);
  return st;
}

static struct entry *entry_new(struct entries *e) {
  if (e->count == e->cap) {
    size_t cap = e->cap ? e->cap * 2 : 32;
    struct entry *grown = realloc(e->list, cap * sizeof *grown);
    if (!grown) return NULL;
    e->list = grown;
    e->cap = cap;
  }
  e->list[e->count] = (struct entry){0};
  return &e->list[e->count++];
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

static enum status add_schema(struct loader *l, struct entry *e, const struct place *at,
                              const char *name) {
  const char *ns = at->ns ? at->ns : "", *dot = at->ns ? "." : "", *slash = at->ns ? "/" : "";
  int stem = (int)(strlen(name) - strlen(SUFFIX));
  struct buffer text = {0};
  if (asprintf(&e->event_name, "%s%s%.*s", ns, dot, stem, name) < 0) e->event_name = NULL;
  if (asprintf(&e->file, "%.*s/%s%s%s", SPAN_ARGS(l->shown), ns, slash, name) < 0) e->file = NULL;
  if (!e->event_name || !e->file) return error_set(l->err, ST_NO_MEMORY, "no memory for a schema");
  enum status st = read_schema(l, at, name, &text);
  if (st == ST_OK) st = schema_read(buffer_span(&text), NULL, &e->schema, l->err);
  if (st == ST_OK && (e->schema.root.type->kind != KIND_RECORD || e->schema.root.null))
    st = error_set(l->err, ST_INVALID, "line 1: the schema of an event must be a record");
  buffer_release(&text);
  return st;
}

/* Puts the file's path before the words. ST_NOT_FOUND is kept for the folder itself. */
static enum status name_file(struct loader *l, const struct place *at, const char *name,
                             enum status st) {
  struct buffer shown = {0};
  if (at->ns) {
    text_quoted(&shown, span_of(at->ns), 4 * QUOTE_CHARACTERS);
    buffer_add_char(&shown, '/');
  }
  text_quoted(&shown, span_of(name), 4 * QUOTE_CHARACTERS);
  (void)error_prefix(l->err, "%.*s/%s", SPAN_ARGS(l->shown), buffer_z(&shown));
  buffer_release(&shown);
  if (st == ST_NOT_FOUND || st == ST_TOO_LARGE) st = ST_INVALID;
  if (l->err) l->err->status = st;
  return st;
}

static enum status add_file(struct loader *l, const struct place *at, const char *name) {
  struct span file = span_of(name);
  if (!span_ends(file, SUFFIX)) return ST_OK;
  struct span stem = {file.ptr, file.len - strlen(SUFFIX)};
  struct entry *e = NULL;
  enum status st;
  if (!path_valid(at->ns, stem))
    st = error_set(l->err, ST_INVALID,
                   "expected <namespace>/<event>" SUFFIX ", of a-z 0-9 _ and - (an event also .)");
  else if (l->out->count == ENTRIES_MAX)
    st = error_set(l->err, ST_TOO_LARGE, "more than %d schemas", ENTRIES_MAX);
  else if (!(e = entry_new(l->out)))
    st = error_set(l->err, ST_NO_MEMORY, "no memory for a schema");
  else
    st = add_schema(l, e, at, name);
  return st == ST_OK ? ST_OK : name_file(l, at, name, st);
}

/* Calls fn for each name of a folder; takes fd. */
static enum status each_name(struct loader *l, int fd, const char *ns, name_fn fn) {
  DIR *dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    return error_sys(l->err, errno, "cannot list %s", l->folder);
  }
  struct place at = {dirfd(dir), ns};
  enum status st = ST_OK;
  const struct dirent *d;
  while (st == ST_OK && (errno = 0, d = readdir(dir)))
    if (d->d_name[0] != '.') st = fn(l, &at, d->d_name);
  if (st == ST_OK && errno) st = error_sys(l->err, errno, "cannot list %s", l->folder);
  closedir(dir);
  return st;
}

/* At the top: a folder is a namespace. Anything that cannot be one is a file, or nothing of ours.
 */
static enum status add_top(struct loader *l, const struct place *at, const char *name) {
  int fd = openat(at->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) return each_name(l, fd, name, add_file);
  if (errno == ENOTDIR || errno == ENOENT || errno == ELOOP) return add_file(l, at, name);
  return name_file(l, at, name, error_sys(l->err, errno, "cannot open it"));
}

static int by_event_name(const void *a, const void *b) {
  return strcmp(((const struct entry *)a)->event_name, ((const struct entry *)b)->event_name);
}

static int by_fingerprint(const void *a, const void *b) {
  const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
  if (x->schema.fingerprint != y->schema.fingerprint)
    return x->schema.fingerprint < y->schema.fingerprint ? -1 : 1;
  return strcmp(x->file, y->file);
}

static int by_record(const void *a, const void *b) {
  const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
  int order = span_cmp(x->schema.root.type->name, y->schema.root.type->name);
  return order ? order : strcmp(x->file, y->file);
}

static bool same_record(const struct entry *a, const struct entry *b) {
  return span_eq(a->schema.root.type->name, b->schema.root.type->name);
}

static bool same_fingerprint(const struct entry *a, const struct entry *b) {
  return a->schema.fingerprint == b->schema.fingerprint;
}

/* A reader finds a schema by its fingerprint, a registry's subject is made of the record's name:
 * both must be of one schema only. */
static enum status refuse_twins(struct loader *l, const struct entry **order) {
  const struct entries *e = l->out;
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

static enum status finish(struct loader *l) {
  if (!l->out->count) return ST_OK;
  const struct entry **order = calloc(l->out->count, sizeof *order);
  if (!order) return error_set(l->err, ST_NO_MEMORY, "no memory for the schemas");
  qsort(l->out->list, l->out->count, sizeof *l->out->list, by_event_name);
  enum status st = refuse_twins(l, order);
  free(order);
  return st;
}

enum status entries_read(const char *folder, struct entries *out, struct error *err) {
  struct loader l = {.folder = folder, .shown = span_of(folder), .out = out, .err = err};
  *out = (struct entries){0};
  while (l.shown.len && l.shown.ptr[l.shown.len - 1] == '/') l.shown.len--;
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    enum status st = error_sys(err, errno, "folder of schemas %s (encoding.schemas)", folder);
    error_denied(err, folder, R_OK | X_OK);
    return st;
  }
  enum status st = each_name(&l, fd, NULL, add_top);
  if (st == ST_OK) st = finish(&l);
  if (st != ST_OK) entries_release(out);
  return st;
}

void entries_release(struct entries *e) {
  for (size_t i = 0; i < e->count; i++) {
    schema_release(&e->list[i].schema);
    free(e->list[i].event_name);
    free(e->list[i].file);
  }
  free(e->list);
  *e = (struct entries){0};
}

struct entry *entries_find(const struct entries *e, struct span event_name) {
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
