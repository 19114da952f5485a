/* Holds two sets of schemas against each other, by a compatibility level.
 * The caller's thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/encoding/comparing/compatibility.h"
#include "bridge/service/operations.h"
#include "bridge/service/schemas/schemas_parts.h"

struct levels {
  bool backward, forward, transitive;
  struct buffer gone, found; /* elements of arrays */
  uint64_t checked;
  /* of the pair at hand */
  const struct catalog_schema *now, *before;
  bool forwards;
  struct error *err;
};

static void add_place(struct buffer *json, bool *first, const char *file, const char *line,
                      const struct schema_place *at, const struct catalog_schema *of) {
  member_text(json, first, file, span_of(at->file ? at->file : of->file));
  member_int(json, first, line, (int64_t)at->line);
}

static void add_incompatible(void *ctx, const struct incompatible *i) {
  struct levels *l = ctx;
  bool first = true;
  buffer_add_z(&l->found, l->found.len ? ", {" : "{");
  member_text(&l->found, &first, "event", span_of(l->now->event_name));
  member_text(&l->found, &first, "direction", span_of(l->forwards ? "forward" : "backward"));
  member_text(&l->found, &first, "what", span_of(incompatibility_name(i->what)));
  member_text(&l->found, &first, "path", i->path);
  member_text(&l->found, &first, "message", span_of(i->words));
  add_place(&l->found, &first, "file", "line", l->forwards ? &i->writer : &i->reader, l->now);
  add_place(&l->found, &first, "against_file", "against_line",
            l->forwards ? &i->reader : &i->writer, l->before);
  buffer_add_char(&l->found, '}');
}

static enum status compare_schemas(struct levels *l, const struct catalog_schema *now,
                                   const struct catalog_schema *before) {
  enum status st = ST_OK;
  bool fine;
  l->now = now;
  l->before = before;
  l->checked++;
  l->forwards = false;
  if (l->backward)
    st = compatibility_check(now->schema, before->schema, add_incompatible, l, &fine, l->err);
  l->forwards = true;
  if (st == ST_OK && l->forward)
    st = compatibility_check(before->schema, now->schema, add_incompatible, l, &fine, l->err);
  if (st != ST_OK) (void)error_prefix(l->err, "%s, %s", now->file, before->file);
  return st;
}

/* Is a frozen schema of ours one of theirs too? It is compared once. */
static bool theirs_too(const struct catalog *before, const struct catalog_schema *ours) {
  struct catalog_schema one;
  for (size_t n = 0; catalog_frozen(before, span_of(ours->event_name), n, &one); n++)
    if (one.number == ours->number && span_eq(one.canonical, ours->canonical)) return true;
  return false;
}

static enum status compare_frozen(struct levels *l, const struct schemas *s,
                                  const struct schemas *before, const struct catalog_schema *now) {
  struct span event = span_of(now->event_name);
  struct catalog_schema one;
  enum status st = ST_OK;
  for (size_t n = 0; st == ST_OK && catalog_frozen(before->catalog, event, n, &one); n++)
    st = compare_schemas(l, now, &one);
  for (size_t n = 0; st == ST_OK && catalog_frozen(s->catalog, event, n, &one); n++)
    if (!theirs_too(before->catalog, &one)) st = compare_schemas(l, now, &one);
  return st;
}

/* Both are sorted by the events' names. */
static enum status compare_all(struct levels *l, const struct schemas *s,
                               const struct schemas *before, struct span only, bool *found) {
  struct catalog_schema now, old;
  size_t i = 0, j = 0;
  enum status st = ST_OK;
  bool more = catalog_schema_at(s->catalog, i, &now),
       older = catalog_schema_at(before->catalog, j, &old);
  while (st == ST_OK && (more || older)) {
    int order = !more ? 1 : !older ? -1 : strcmp(now.event_name, old.event_name);
    bool meant = !only.len || span_is(only, order <= 0 ? now.event_name : old.event_name);
    *found |= meant;
    if (meant && !order) st = compare_schemas(l, &now, &old);
    if (meant && order <= 0 && st == ST_OK && l->transitive)
      st = compare_frozen(l, s, before, &now);
    if (meant && order > 0) {
      if (l->gone.len) buffer_add_z(&l->gone, ", ");
      json_write_string(&l->gone, span_of(old.event_name));
    }
    if (order <= 0) more = catalog_schema_at(s->catalog, ++i, &now);
    if (order >= 0) older = catalog_schema_at(before->catalog, ++j, &old);
  }
  return st;
}

static void write_answer(const struct levels *l, const char *level, const char *against,
                         struct buffer *json) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "level", span_of(level));
  member_text(json, &first, "against", span_of(against));
  member_bool(json, &first, "compatible", !l->found.len);
  member_int(json, &first, "checked", (int64_t)l->checked);
  json_write_key(json, &first, "gone");
  buffer_add_char(json, '[');
  buffer_add(json, buffer_span(&l->gone));
  buffer_add_char(json, ']');
  json_write_key(json, &first, "incompatible");
  buffer_add_char(json, '[');
  buffer_add(json, buffer_span(&l->found));
  buffer_add_z(json, "]}");
}

enum status schemas_compatible(const struct schemas *s, const struct schemas *before,
                               const char *level, struct span only, struct buffer *json,
                               struct error *err) {
  bool full = strncmp(level, "FULL", 4) == 0, found = false;
  struct levels l = {.backward = full || strncmp(level, "BACKWARD", 8) == 0,
                     .forward = full || strncmp(level, "FORWARD", 7) == 0,
                     .transitive = span_ends(span_of(level), "_TRANSITIVE"),
                     .err = err};
  enum status st = compare_all(&l, s, before, only, &found);
  if (st == ST_OK && !found)
    st = error_set(err, ST_NOT_FOUND, "There is no schema for %.*s; see: busbridge schema list",
                   SPAN_ARGS(text_cut(only, 80)));
  if (st == ST_OK && (l.gone.failed || l.found.failed))
    st = error_set(err, ST_NO_MEMORY, "Out of memory");
  if (st == ST_OK) write_answer(&l, level, schemas_folder(before), json);
  buffer_release(&l.gone);
  buffer_release(&l.found);
  return st == ST_OK ? buffer_status(json, err) : st;
}
