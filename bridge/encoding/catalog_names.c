/* Which schema is that of a name, and what is said of names without one.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/encoding/catalog_parts.h"

#define COMPONENT "encoding"
#define TOLD_MAX 100 /* names come from outside */

struct event_schema *catalog_event_schema(const struct catalog *c, struct span event_name) {
  struct event_schema *e = event_schemas_find(&set_of(c)->schemas, event_name);
  return e ? e : set_of(c)->envelope;
}

const char *catalog_near(const struct catalog *c, struct span event_name) {
  char typed[EVENT_NAME_MAX + 1];
  const struct event_schemas *all =
      &set_of(c)->schemas; /* once: another may be taken over meanwhile */
  const char **names = calloc(all->count + 1, sizeof *names);
  if (!names) return NULL;
  for (size_t i = 0; i < all->count; i++) names[i] = all->list[i].event_name;
  snprintf(typed, sizeof typed, "%.*s", SPAN_ARGS(text_cut(event_name, sizeof typed - 1)));
  const char *near = word_nearest(typed, names, all->count);
  free(names);
  return near;
}

/* The first schema whose event is not before "namespace." tells. */
static bool namespace_has_some(const struct catalog *c, struct span event_name) {
  const char *dot = event_name.len ? memchr(event_name.ptr, '.', event_name.len) : NULL;
  if (!dot) return false;
  struct span head = {event_name.ptr, (size_t)(dot - event_name.ptr) + 1};
  const struct event_schemas *all = &set_of(c)->schemas;
  size_t low = 0, high = all->count;
  while (low < high) {
    size_t mid = low + (high - low) / 2;
    if (span_cmp(span_of(all->list[mid].event_name), head) < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low < all->count && strncmp(all->list[low].event_name, head.ptr, head.len) == 0;
}

bool catalog_unknown(const struct catalog *c, struct span event_name, const char **near) {
  *near = NULL;
  if (event_schemas_find(&set_of(c)->schemas, event_name) || !namespace_has_some(c, event_name))
    return false;
  *near = catalog_near(c, event_name);
  return true;
}

enum reason catalog_refuse_name(const struct catalog *c, struct span name, struct error *err) {
  const char *near;
  if (!catalog_unknown(c, name, &near)) return REASON_NONE;
  error_set(err, ST_INVALID,
            "name %.*s has no schema, though its namespace has some, and encoding.unknown_names is "
            "refuse%s%s%s",
            SPAN_ARGS(name), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  return REASON_UNKNOWN_EVENT;
}

void catalog_tell_name(struct catalog *c, struct span name) {
  const char *near;
  if (!c->log || table_get(&c->told, name) || c->told.count >= TOLD_MAX ||
      !catalog_unknown(c, name, &near))
    return;
  struct span kept = arena_span(&c->names, name);
  if (!kept.ptr || table_put(&c->told, kept, c) != ST_OK) return;
  log_write(c->log, near ? LOG_WARNING : LOG_INFO, COMPONENT, "name_unknown",
            FIELDS(F_SPAN("name", name)),
            "%.*s has no schema, though its namespace has some: it goes %s%s%s%s", SPAN_ARGS(name),
            framing_is_json(c->now) ? "as it is" : "in the envelope", near ? "; did you mean " : "",
            near ? near : "", near ? "?" : "");
}
