/* The ids of the schemas that are published: which are asked for, and where they are remembered.
 * Main thread; a crash leaves the note of the ids as it was. */
#include "bridge/service/parts.h"
#include "bridge/service/plan/subjects.h"

static enum status load_note(void *ctx, struct buffer *out, struct error *err) {
  return store_note_read(ctx, NOTE_IDS, out, err);
}

static enum status save_note(void *ctx, struct span text, struct error *err) {
  return store_note_write(ctx, NOTE_IDS, text, err);
}

struct adding {
  struct service *service;
  const struct catalog *catalog;
};

static enum status add_use(void *ctx, const struct subject_use *use, struct error *err) {
  const struct adding *a = ctx;
  struct buffer text = {0};
  if (!framing_needs_id(use->framing)) return ST_OK;
  const struct service *s = a->service;
  struct schema_id *target = catalog_id_at(a->catalog, use->i, use->place, use->framing);
  struct ids_schema schema = {.kind = subject_kind(use),
                              .subject = use->subject,
                              .event = use->schema->event_name,
                              .topic =
                                  routing_topic_name(s->routing, use->place / SUBJECT_NAMINGS)};
  enum status st = subject_text(&s->plan, a->catalog, s->routing, use, &text, err);
  schema.text = buffer_span(&text);
  if (st == ST_OK) st = ids_add(s->ids, &schema, target, err);
  buffer_release(&text);
  return st;
}

enum status service_ids_add(struct service *s, const struct catalog *catalog, struct error *err) {
  struct adding a = {s, catalog};
  if (!s->ids) return ST_OK;
  enum status st = subjects_each(&s->plan, catalog, s->routing, add_use, &a, err);
  ids_ask_now(s->ids);
  return st;
}

enum status service_ids_open(struct service *s, struct error *err) {
  struct ids_config config = {.registry = s->plan.registry,
                              .verify_ms = setting_number(s->settings, SETTING_REGISTRY_VERIFY),
                              .load = load_note,
                              .save = save_note,
                              .ctx = s->store,
                              .log = s->log};
  if (!*s->plan.registry.urls) return ST_OK;
  config.registry.metrics = s->metrics;
  config.registry.clock = s->clock;
  enum status st = ids_open(&config, &s->ids, err);
  if (st == ST_OK) st = service_ids_add(s, s->catalog, err);
  return st == ST_OK ? ids_start(s->ids, err) : st;
}
