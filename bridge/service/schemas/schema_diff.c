/* Tells what changed between two sets of schemas.
 * The caller's thread; a crash leaves nothing. */
#include "bridge/base/disk/durable.h"
#include "bridge/base/text/words.h"
#include "bridge/encoding/comparing/difference.h"
#include "bridge/service/operations.h"
#include "bridge/service/schemas/schemas_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define HEAD "{\"version\": 1, \"differences\": ["
enum { FILE_MOST = 16 * 1024 * 1024 };

struct differing {
  struct buffer *json;
  const struct catalog_schema *now, *before;
  bool some; /* an element stands in the array */
};

static void begin_event(struct differing *d, bool *first) {
  buffer_add_z(d->json, d->some ? ", {" : "{");
  d->some = true;
  member_text(d->json, first, "event", span_of((d->now ? d->now : d->before)->event_name));
}

static void add_place(struct differing *d, bool *first, const char *file, const char *line,
                      const struct schema_place *at, const struct catalog_schema *of) {
  member_text(d->json, first, file, span_of(at->file ? at->file : of->file));
  member_int(d->json, first, line, (int64_t)at->line);
}

static void add_difference(void *ctx, const struct difference *one) {
  struct differing *d = ctx;
  bool first = true;
  begin_event(d, &first);
  member_text(d->json, &first, "what", span_of(difference_name(one->what)));
  member_text(d->json, &first, "path", one->path);
  member_text(d->json, &first, "message", span_of(one->words));
  member_bool(d->json, &first, "new_reads_old", one->new_reads_old);
  member_bool(d->json, &first, "old_reads_new", one->old_reads_new);
  add_place(d, &first, "file", "line", &one->now, d->now);
  add_place(d, &first, "against_file", "against_line", &one->before, d->before);
  buffer_add_char(d->json, '}');
}

static void add_whole(struct differing *d, const char *what) {
  bool first = true;
  begin_event(d, &first);
  member_text(d->json, &first, "what", span_of(what));
  member_text(d->json, &first, "file", span_of((d->now ? d->now : d->before)->file));
  buffer_add_char(d->json, '}');
}

static enum status differ(struct differing *d, const struct catalog_schema *now,
                          const struct catalog_schema *before, struct error *err) {
  d->now = now;
  d->before = before;
  if (now && before) return schema_differences(before->schema, now->schema, add_difference, d, err);
  add_whole(d, now ? "EVENT_ADDED" : "EVENT_REMOVED");
  return ST_OK;
}

enum status schemas_diff(const struct schemas *s, const struct schemas *before, struct span only,
                         struct buffer *json, struct error *err) {
  struct differing d = {.json = json};
  struct catalog_schema now, old;
  size_t i = 0, j = 0;
  enum status st = ST_OK;
  bool more = catalog_schema_at(s->catalog, i, &now),
       older = catalog_schema_at(before->catalog, j, &old), found = false;
  buffer_add_z(json, HEAD);
  while (st == ST_OK && (more || older)) {
    int order = !more ? 1 : !older ? -1 : strcmp(now.event_name, old.event_name);
    bool meant = !only.len || span_is(only, order <= 0 ? now.event_name : old.event_name);
    found |= meant;
    if (meant) st = differ(&d, order <= 0 ? &now : NULL, order >= 0 ? &old : NULL, err);
    if (order <= 0) more = catalog_schema_at(s->catalog, ++i, &now);
    if (order >= 0) older = catalog_schema_at(before->catalog, ++j, &old);
  }
  buffer_add_z(json, "]}");
  if (st == ST_OK && !found)
    st = error_set(err, ST_NOT_FOUND, "There is no schema for %.*s; see: busbridge schema list",
                   SPAN_ARGS(text_cut(only, 80)));
  return st == ST_OK ? buffer_status(json, err) : st;
}

/* ---- with the last frozen ones ---- */

static bool last_frozen(const struct schemas *s, struct span event, struct catalog_schema *out) {
  struct catalog_schema one;
  size_t n = 0;
  while (catalog_frozen(s->catalog, event, n, &one)) *out = one, n++;
  return n > 0;
}

enum status schemas_diff_frozen(const struct schemas *s, struct span only, struct buffer *json,
                                struct error *err) {
  struct differing d = {.json = json};
  struct catalog_schema now, old;
  const char *name = "";
  size_t known = 0, compared = 0;
  enum status st = ST_OK;
  buffer_add_z(json, HEAD);
  for (size_t i = 0; st == ST_OK && catalog_schema_at(s->catalog, i, &now); i++) {
    struct span event = span_of(now.event_name);
    if (only.len && !span_eq(only, event)) continue;
    known++;
    name = now.event_name;
    if (!last_frozen(s, event, &old)) continue;
    compared++;
    st = differ(&d, &now, &old, err);
  }
  buffer_add_z(json, "]}");
  if (st == ST_OK && !known)
    return error_set(err, ST_NOT_FOUND, "There is no schema for %.*s; see: busbridge schema list",
                     SPAN_ARGS(text_cut(only, 80)));
  if (st == ST_OK && !compared)
    return error_set(
        err, ST_NOT_FOUND,
        "%s has %s frozen version to compare with; busbridge schema freeze writes one, "
        "--against FOLDER, --against-git REVISION and --against-registry compare with "
        "another",
        only.len ? name : "None of the schemas", only.len ? "no" : "a");
  return st == ST_OK ? buffer_status(json, err) : st;
}

/* ---- two files ---- */

static enum status read_file(const char *path, struct schema **out, struct error *err) {
  struct buffer text = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  enum status st = fd < 0 ? error_sys(err, errno, "Opening %s", path)
                          : stream_read(fd, path, FILE_MOST, &text, err);
  if (fd >= 0) close(fd);
  if (st == ST_OK) {
    st = compatibility_read(buffer_span(&text), out, err);
    if (st != ST_OK) (void)error_prefix(err, "%s", path);
  }
  buffer_release(&text);
  return st;
}

enum status schemas_diff_files(const char *before, const char *now, struct buffer *json,
                               struct error *err) {
  struct schema *old = NULL, *fresh = NULL;
  char name[300];
  const char *base = strrchr(now, '/');
  struct span stem = span_of(base ? base + 1 : now);
  if (span_ends(stem, ".avsc")) stem.len -= strlen(".avsc");
  snprintf(name, sizeof name, "%.*s", SPAN_ARGS(stem));
  struct differing d = {.json = json};
  enum status st = read_file(before, &old, err);
  if (st == ST_OK) st = read_file(now, &fresh, err);
  const struct catalog_schema ours = {.event_name = name, .file = now, .schema = fresh},
                              theirs = {.event_name = name, .file = before, .schema = old};
  buffer_add_z(json, HEAD);
  if (st == ST_OK) st = differ(&d, &ours, &theirs, err);
  buffer_add_z(json, "]}");
  compatibility_free(old);
  compatibility_free(fresh);
  return st == ST_OK ? buffer_status(json, err) : st;
}
