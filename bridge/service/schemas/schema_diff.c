/* Tells what changed between two sets of schemas.
 * The caller's thread; a crash leaves nothing. */
#include "bridge/base/words.h"
#include "bridge/encoding/difference.h"
#include "bridge/service/operations.h"
#include "bridge/service/schemas/schemas_parts.h"

struct differing {
  struct buffer *json;
  const struct catalog_schema *now, *before;
  bool some; /* an element stands in the array */
};

static void begin(struct differing *d, bool *first) {
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
  begin(d, &first);
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
  begin(d, &first);
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
  buffer_add_z(json, "{\"version\": 1, \"differences\": [");
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
