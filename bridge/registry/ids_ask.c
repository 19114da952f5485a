/* One schema's question: is its id still right, else which is it. The asking thread, no lock; a
 * crash leaves nothing. */
#include "bridge/registry/ids_parts.h"

/* What has an id says its type, unless it is Avro. */
static bool is_ours(const struct ids_question *q, const struct registry_schema *s) {
  return span_is(s->type.len ? s->type : SPAN("AVRO"), q->kind->type) &&
         q->kind->same(s->text, q->text);
}

/* The answer to a look-up, and that of a version, need not say it: its id is looked at after. */
static bool may_be_ours(const struct ids_question *q, const struct registry_schema *s) {
  return (!s->type.len || span_is(s->type, q->kind->type)) && q->kind->same(s->text, q->text);
}

static void set(struct finding *f, enum id_state state, int64_t id) {
  f->state = state;
  f->id = id;
}

/* What the registry has under that id. MISSING: it knows no such id. */
static void look_at(struct registry *r, const struct ids_question *q, int64_t id,
                    struct finding *f) {
  struct registry_schema s;
  switch (registry_by_id(r, id, &s, &f->why)) {
  case REGISTRY_GIVEN:
    set(f, is_ours(q, &s) ? ID_KNOWN : ID_WRONG, id);
    if (f->state == ID_WRONG)
      error_set(&f->why, ST_INVALID, "the registry has another schema under the id %lld",
                (long long)id);
    return;
  case REGISTRY_MISSING:
    set(f, ID_MISSING, SCHEMA_NO_ID);
    error_set(&f->why, ST_NOT_FOUND, "the registry knows no schema with the id %lld",
              (long long)id);
    return;
  case REGISTRY_REFUSED:
  case REGISTRY_NOWHERE: break;
  }
  set(f, ID_NOWHERE, SCHEMA_NO_ID);
}

/* False: go on with the next way to find it. */
static bool by_text(struct registry *r, const struct ids_question *q, bool normalize,
                    struct finding *f) {
  struct registry_schema s;
  enum registry_said said =
      registry_look_up(r, q->subject, q->text, q->kind->type, normalize, &s, &f->why);
  set(f, said == REGISTRY_NOWHERE ? ID_NOWHERE : ID_MISSING, SCHEMA_NO_ID);
  if (said != REGISTRY_GIVEN) return f->state == ID_NOWHERE;
  if (s.text.len && !may_be_ours(q, &s)) {
    error_set(&f->why, ST_INVALID, "the registry answers with another schema, id %lld",
              (long long)s.id);
    return false;
  }
  look_at(r, q, s.id, f);
  return true;
}

/* Never 0. */
static struct digest digest_of_list(const int64_t *versions, size_t count) {
  struct digest d = digest_of((struct span){(const char *)versions, count * sizeof *versions});
  d.lo |= 1;
  return d;
}

/* A list that was compared to its end is not compared again: it would be 50 requests each time. */
static void among_versions(struct registry *r, const struct ids_question *q, struct digest compared,
                           struct finding *f) {
  int64_t versions[REGISTRY_VERSIONS];
  struct error why = {0};
  size_t count = 0;
  enum registry_said said = registry_versions(r, q->subject, versions, &count, &why);
  struct digest list = digest_of_list(versions, count);
  if (said == REGISTRY_GIVEN) f->versions = list;
  if (list.lo == compared.lo && list.hi == compared.hi) return;
  for (size_t i = 0; said == REGISTRY_GIVEN && i < count; i++) {
    struct registry_schema s;
    said = registry_version(r, q->subject, versions[i], &s, &why);
    if (said == REGISTRY_MISSING)
      said = REGISTRY_GIVEN; /* it was deleted meanwhile */
    else if (said == REGISTRY_GIVEN && may_be_ours(q, &s)) {
      look_at(r, q, s.id, f);
      return;
    }
  }
  if (said != REGISTRY_NOWHERE) return;
  set(f, ID_NOWHERE, SCHEMA_NO_ID);
  f->why = why;
}

void ids_ask(struct registry *r, const struct ids_question *q, int64_t known,
             struct digest compared, struct finding *f) {
  *f = (struct finding){.state = ID_MISSING, .id = SCHEMA_NO_ID, .gone = SCHEMA_NO_ID};
  if (known != SCHEMA_NO_ID) {
    look_at(r, q, known, f);
    if (f->state != ID_MISSING) return;
    f->gone = known;
  }
  if (by_text(r, q, false, f) || by_text(r, q, true, f)) return;
  among_versions(r, q, compared, f);
}

enum id_state ids_look_up(struct registry *r, const struct ids_question *q, int64_t *id,
                          struct error *why) {
  struct finding f;
  ids_ask(r, q, SCHEMA_NO_ID, (struct digest){0, 0}, &f);
  *id = f.id;
  *why = f.why;
  return f.state;
}
