/* Registers schemas in the registry, under the subjects by which the worker looks them up. No
 * worker comes here: what a topic may hold is decided where schemas are written. One thread; a
 * crash leaves some of them registered, which the next run finds there. */
#include "bridge/registry/registry.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/subjects.h"
#include "bridge/service/schemas/schemas_parts.h"

struct registering {
  struct schemas *schemas;
  struct registry *registry;
  struct span only; /* of this event alone; empty: of all */
  bool dry_run, first, found;
  size_t counts[5]; /* by enum outcome */
  struct buffer text;
  struct buffer *json;
  struct error *err;
};

enum outcome { WAS_THERE, REGISTERED, WOULD_REGISTER, REFUSED, NOT_NEEDED };
static const char *const outcome_words[] = {"there", "registered", "would_register", "refused",
                                            "not_needed"};

static void write_one(struct registering *g, const struct subject_use *use, enum outcome outcome,
                      int64_t id, const char *why) {
  bool inner = true;
  g->counts[outcome]++;
  buffer_add_z(g->json, g->first ? "{" : ", {");
  g->first = false;
  member_text(g->json, &inner, "event", span_of(use->schema->event_name));
  member_text(g->json, &inner, "subject", span_of(use->subject));
  member_text(g->json, &inner, "framing", span_of(framing_word(use->framing)));
  member_text(g->json, &inner, "outcome", span_of(outcome_words[outcome]));
  if (id >= 0)
    member_int(g->json, &inner, "id", id);
  else
    member_text_or_null(g->json, &inner, "id", (struct span){0});
  member_text_or_null(g->json, &inner, "error", span_of(why));
  buffer_add_char(g->json, '}');
}

/* ST_OK: it was told what became of it; else the registry is not there. */
static enum status take(struct registering *g, const struct subject_use *use) {
  struct registry_schema out = {.id = REGISTRY_NO_ID};
  struct error why = {0};
  int64_t id = REGISTRY_NO_ID;
  struct span text = buffer_span(&g->text);
  const char *type = framing_schema_type(use->framing);
  bool compatible = true;
  /* There is what the worker takes at its start, and no other. */
  const struct ids_question q = {use->subject, text, subject_kind(use)};
  enum id_state there = ids_look_up(g->registry, &q, &id, &why);
  if (there == ID_KNOWN) {
    write_one(g, use, WAS_THERE, id, "");
    return ST_OK;
  }
  if (there == ID_NOWHERE) {
    *g->err = why;
    return ST_UNAVAILABLE;
  }
  enum registry_said said =
      g->dry_run ? registry_compatible(g->registry, use->subject, text, type, &compatible, &why)
                 : registry_register(g->registry, use->subject, text, type, false, &out, &why);
  if (said == REGISTRY_NOWHERE) {
    *g->err = why;
    return ST_UNAVAILABLE;
  }
  if (said == REGISTRY_REFUSED || !compatible)
    write_one(g, use, REFUSED, out.id, why.text);
  else
    write_one(g, use, g->dry_run ? WOULD_REGISTER : REGISTERED, out.id, "");
  return ST_OK;
}

static enum status take_use(void *ctx, const struct subject_use *use, struct error *err) {
  struct registering *g = ctx;
  if (g->only.len && !span_is(g->only, use->schema->event_name)) return ST_OK;
  g->found = true;
  if (!framing_needs_id(use->framing)) {
    write_one(g, use, NOT_NEEDED, REGISTRY_NO_ID, "");
    return ST_OK;
  }
  const struct schemas *s = g->schemas;
  enum status st = subject_text(&s->plan, s->catalog, s->routing, use, &g->text, err);
  return st == ST_OK ? take(g, use) : st;
}

static enum status take_all(struct registering *g) {
  const struct schemas *s = g->schemas;
  enum status st = subjects_each(&s->plan, s->catalog, s->routing, take_use, g, g->err);
  buffer_clear(&g->text);
  if (st == ST_OK && g->only.len && !g->found) /* says which may have been meant */
    st = schemas_text(g->schemas, g->only, &g->text, g->err);
  return st;
}

static enum status write_all(struct registering *g) {
  struct buffer *json = g->json;
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "registry", span_of(registry_shown(g->registry)));
  member_bool(json, &first, "dry_run", g->dry_run);
  json_write_key(json, &first, "schemas");
  buffer_add_char(json, '[');
  enum status st = take_all(g);
  buffer_add_char(json, ']');
  for (size_t i = 0; i < sizeof g->counts / sizeof *g->counts; i++)
    member_int(json, &first, outcome_words[i], (int64_t)g->counts[i]);
  buffer_add_char(json, '}');
  return st == ST_OK ? buffer_status(json, g->err) : st;
}

enum status schemas_register(struct schemas *s, struct span event, bool dry_run,
                             struct buffer *json, struct error *err) {
  struct registering g = {.schemas = s,
                          .only = event.len ? routing_canonical(s->routing, event) : event,
                          .dry_run = dry_run,
                          .first = true,
                          .json = json,
                          .err = err};
  enum status st = registry_open(&s->plan.registry, &g.registry, err);
  if (st == ST_OK) st = write_all(&g);
  registry_close(g.registry);
  buffer_release(&g.text);
  return st;
}
