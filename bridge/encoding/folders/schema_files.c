/* Lists and reads the files of schemas.
 * Any thread; a crash leaves nothing. */
#include "bridge/encoding/folders/schema_files.h"

#include "bridge/base/disk/durable.h"
#include "bridge/base/text/words.h"
#include "bridge/encoding/types/quote.h"
#include "bridge/encoding/types/schema.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum status schema_file_read(const struct schema_folder *at, const char *name, struct buffer *text,
                             struct error *err) {
  struct stat info;
  int fd = openat(at->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return error_sys(err, errno, "cannot open it");
  enum status st = ST_OK;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
    st = error_set(err, ST_INVALID, "is not a regular file");
  else
    st = stream_read(fd, "it", SCHEMA_MAX_BYTES, text, err);
  if (st == ST_TOO_LARGE)
    st = error_set(err, st, "a schema of more than %d bytes is not read", SCHEMA_MAX_BYTES);
  close(fd);
  return st;
}

char *schema_file_path(const struct schema_folder *at, const char *name) {
  char *path;
  int n = asprintf(&path, "%.*s/%s%s%s", SPAN_ARGS(at->top), at->path ? at->path : "",
                   at->path ? "/" : "", name);
  return n < 0 ? NULL : path;
}

enum status schema_file_fault(const struct schema_folder *at, const char *name, enum status st,
                              struct error *err) {
  struct buffer shown = {0};
  if (at->path) {
    text_quoted(&shown, span_of(at->path), 4 * QUOTE_CHARACTERS);
    buffer_add_char(&shown, '/');
  }
  text_quoted(&shown, span_of(name), 4 * QUOTE_CHARACTERS);
  (void)error_prefix(err, "%.*s/%s", SPAN_ARGS(at->top), buffer_z(&shown));
  buffer_release(&shown);
  if (st == ST_NOT_FOUND || st == ST_TOO_LARGE) st = ST_INVALID;
  if (err) err->status = st;
  return st;
}

struct names {
  char **list;
  size_t count, cap;
};

static enum status add_name(struct names *names, const char *name, struct error *err) {
  if (names->count == names->cap) {
    size_t cap = names->cap ? names->cap * 2 : 32;
    char **grown = realloc(names->list, cap * sizeof *grown);
    if (!grown) return error_set(err, ST_NO_MEMORY, "no memory for the schemas");
    names->list = grown;
    names->cap = cap;
  }
  char *copy = strdup(name);
  if (!copy) return error_set(err, ST_NO_MEMORY, "no memory for the schemas");
  names->list[names->count++] = copy;
  return ST_OK;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status list(DIR *dir, const struct schema_folder *at, struct names *names,
                        struct error *err) {
  const struct dirent *d;
  enum status st = ST_OK;
  while (st == ST_OK && (errno = 0, d = readdir(dir)))
    if (d->d_name[0] != '.') st = add_name(names, d->d_name, err);
  if (st == ST_OK && errno) st = error_sys(err, errno, "cannot list %.*s", SPAN_ARGS(at->top));
  return st;
}

enum status schema_files_each(int fd, const struct schema_folder *at, schema_file_fn fn, void *ctx,
                              struct error *err) {
  struct names names = {0};
  DIR *dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    return error_sys(err, errno, "cannot list %.*s", SPAN_ARGS(at->top));
  }
  struct schema_folder here = *at;
  here.fd = dirfd(dir);
  enum status st = list(dir, at, &names, err);
  if (names.count) qsort(names.list, names.count, sizeof *names.list, by_name);
  for (size_t i = 0; i < names.count; i++) {
    if (st == ST_OK) st = fn(ctx, &here, names.list[i]);
    free(names.list[i]);
  }
  free(names.list);
  closedir(dir);
  return st;
}

enum status schema_files_below(const struct schema_folder *at, const char *name, schema_file_fn fn,
                               void *ctx, struct error *err) {
  struct schema_folder below = *at;
  char *path;
  int fd = openat(at->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && (errno == ENOTDIR || errno == ENOENT || errno == ELOOP)) return ST_NOT_FOUND;
  if (fd < 0) return schema_file_fault(at, name, error_sys(err, errno, "cannot open it"), err);
  if (asprintf(&path, "%s%s%s", at->path ? at->path : "", at->path ? "/" : "", name) < 0) {
    close(fd);
    return error_set(err, ST_NO_MEMORY, "no memory for the schemas");
  }
  below.path = path;
  const char *slash = strrchr(path, '/');
  below.ns = slash ? slash + 1 : path;
  enum status st = schema_files_each(fd, &below, fn, ctx, err);
  free(path);
  return st;
}
