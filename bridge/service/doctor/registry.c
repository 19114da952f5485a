/* The schema registry: does it answer, has it each schema that is looked up there.
 * One thread; a crash leaves nothing. */
#include "bridge/service/changes/last_framings.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/plan/subjects.h"

enum { TOLD_MOST = 20 };

/* ---- what is registered ---- */

struct asking {
  struct doctor *d;
  struct registry *registry;
  const char *last;
  size_t asked, missing;
  struct error away;
};

static void tell_missing(struct doctor *d, const struct subject_use *use) {
  bool whole = use->schema->whole;
  doctor_found(d, "registry", whole ? REPORT_OK : REPORT_WARNING, "%s is not registered under %s%s",
               use->schema->event_name, use->subject,
               whole ? ": names without a schema would wait" : "; its events wait");
  if (!whole) doctor_next(d, "busbridge schema register %s", use->schema->event_name);
}

/* As the worker looks it up: what it does not find is not found here. */
static enum status ask_one(void *ctx, const struct subject_use *use, struct error *err) {
  struct asking *a = ctx;
  struct buffer text = {0};
  int64_t id;
  if (!framing_needs_id(use->framing)) return ST_OK;
  enum status st = subject_text(&a->d->plan, a->d->catalog, a->d->routing, use, &text, err);
  const struct ids_question q = {use->subject, buffer_span(&text), subject_kind(use)};
  enum id_state said = ID_NOWHERE;
  if (st == ST_OK) said = ids_look_up(a->registry, &q, &id, &a->away);
  buffer_release(&text);
  if (st != ST_OK) return st;
  if (said == ID_NOWHERE) return ST_UNAVAILABLE;
  a->asked++;
  if (said == ID_KNOWN || ++a->missing > TOLD_MOST) return ST_OK;
  if (said == ID_MISSING) {
    tell_missing(a->d, use);
    return ST_OK;
  }
  doctor_found(a->d, "registry", REPORT_FAILED, "%s under %s: %s; its events wait",
               use->schema->event_name, use->subject, a->away.text);
  doctor_next(a->d,
              "The registry contradicts itself: see what it has under that id, and restore it");
  return ST_OK;
}

static void check_schemas(struct doctor *d, struct asking *a) {
  struct error err = {0};
  enum status st = subjects_each(&d->plan, d->catalog, d->routing, ask_one, a, &err);
  if (st != ST_OK) {
    doctor_found(d, "registry", REPORT_FAILED, "%s",
                 st == ST_UNAVAILABLE ? a->away.text : err.text);
    doctor_next(d, "See registry.url, registry.ca_file and who the worker is there "
                   "(registry.username, registry.token_file, registry.oauth_url)");
    return;
  }
  doctor_found(d, "registry", REPORT_OK, "%s answers; %zu of %zu schemas are registered there",
               registry_shown(a->registry), a->asked - a->missing, a->asked);
}

void doctor_check_registry(struct doctor *d) {
  struct asking a = {.d = d};
  struct error err = {0};
  if (!*d->plan.registry.urls || !d->routing || !d->catalog) return;
  if (registry_open(&d->plan.registry, &a.registry, &err) != ST_OK) {
    doctor_found(d, "registry", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix the registry.* settings");
    return;
  }
  check_schemas(d, &a);
  registry_close(a.registry);
}

/* ---- what the last records are ---- */

static void tell_framing(void *ctx, const struct last_framing *f) {
  struct doctor *d = ctx;
  doctor_found(d, "framing", REPORT_WARNING,
               "the last record of %s (%s) is framed as %s, the next will be as %s", f->topic,
               f->event, framing_word(f->seen), framing_word(f->now));
  doctor_next(d, FRAMING_REMEDY, framing_word(f->seen));
}

void doctor_check_framing(struct doctor *d) {
  const struct framing_parts parts = {.plan = &d->plan, .routing = d->routing};
  if (!d->routing || !last_framings_may_differ(&parts, d->store)) return;
  last_framings_compare(&parts, d->cluster, INT64_MAX, tell_framing, d);
}
