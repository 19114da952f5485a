/* SIGHUP: the folders of schemas are read again and taken over whole, or not at all. Main thread.
 * A crash leaves the schemas of the files, which the next start reads. */
#include "bridge/service/changes/last_schemas.h"
#include "bridge/service/operations.h"
#include "bridge/service/parts.h"
#include "bridge/service/plan/framings.h"
#include "bridge/service/plan/subjects.h"

/* What routing made of the schemas when it was opened: it stays as it is while the worker runs. */
static void write_marks(const struct service *s, const struct catalog *c, struct buffer *out) {
  struct catalog_schema schema;
  bool names = routing_needs_names(&s->plan.routing);
  for (size_t i = 0; catalog_schema_at(c, i, &schema); i++)
    if (names || schema.key.len)
      buffer_printf(out, "%s=%.*s\n", schema.event_name, SPAN_ARGS(schema.key));
}

void service_mark_schemas(struct service *s) {
  write_marks(s, s->catalog, &s->schema_marks);
  s->schema_texts = catalog_texts(s->catalog);
}

static enum status read_again(struct service *s, struct catalog **fresh, struct error *err) {
  struct buffer marks = {0};
  enum status st = plan_catalog(&s->plan, s->log, fresh, err);
  if (st != ST_OK) return st;
  write_marks(s, *fresh, &marks);
  if (marks.failed || s->schema_marks.failed)
    st = error_set(err, ST_NO_MEMORY, "out of memory");
  else if (!span_eq(buffer_span(&marks), buffer_span(&s->schema_marks)))
    st = error_set(err, ST_INVALID,
                   "which field is a key, or which names have topics of their own, changes only "
                   "when the worker is restarted");
  buffer_release(&marks);
  if (st == ST_OK) st = subjects_check(&s->plan, *fresh, s->routing, err);
  if (st != ST_OK) catalog_close(*fresh);
  return st;
}

static void tell_refused(struct service *s, const struct error *err) {
  log_write(s->log, LOG_ERROR, "service", "schemas_refused", FIELDS(F_TEXT("error", err->text)),
            "The schemas were not taken over; the old ones stay");
}

/* Events of those without an id wait, so it is tried again, whether the files change or not. */
static void tell_owed(struct service *s, const struct error *err) {
  s->schema_texts = (struct digest){0};
  log_write(s->log, LOG_ERROR, "service", "schemas_owed", FIELDS(F_TEXT("error", err->text)),
            "Not all ids of the new schemas are asked for; tried again within 10 s");
}

void service_reload_owed(struct service *s) {
  if (s->reload_again) service_reload_schemas(s);
}

void service_reload_schemas(struct service *s) {
  struct catalog *fresh = NULL;
  struct catalog_schema schema;
  struct error err = {0};
  size_t count = 0;
  if (!s->catalog) return;
  enum status st = read_again(s, &fresh, &err);
  struct digest texts = st == ST_OK ? catalog_texts(fresh) : s->schema_texts;
  bool same = texts.lo == s->schema_texts.lo && texts.hi == s->schema_texts.hi;
  mutex_lock(&s->lock);
  snprintf(s->schemas_refused, sizeof s->schemas_refused, "%s", st == ST_OK ? "" : err.text);
  mutex_unlock(&s->lock);
  if (st != ST_OK) {
    tell_refused(s, &err);
  } else if (same) {
    catalog_close(fresh);
  } else {
    s->schema_texts = texts;
    while (catalog_schema_at(fresh, count, &schema)) count++;
    if (s->ids) ids_retire(s->ids);
    s->reload_again = service_ids_add(s, fresh, &err) != ST_OK;
    if (s->reload_again) tell_owed(s, &err);
    if (plan_needs_schemas(&s->plan, s->routing)) last_schemas_keep(s->store, fresh, s->log);
    service_begin_schemas(s, fresh);
    catalog_replace(s->catalog, fresh);
    log_write(s->log, LOG_INFO, "service", "schemas_reloaded", FIELDS(F_INT("count", count)),
              "The schemas were read again and serve from the next event on");
  }
}
