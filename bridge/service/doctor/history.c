/* Has a schema changed since the last start so that what is in the topics cannot be read?
 * One thread; a crash leaves nothing. */
#include "bridge/service/changes/last_schemas.h"
#include "bridge/service/doctor/parts.h"
#include "bridge/service/plan/framings.h"

struct telling {
  struct doctor *d;
  bool told;
};

static void tell_change(void *ctx, const char *event, const char *words, const char *next) {
  struct telling *t = ctx;
  t->told = true;
  doctor_found(t->d, "schema history", REPORT_WARNING, "%s: %s", event, words);
  doctor_next(t->d, "%s", next);
}

void doctor_check_history(struct doctor *d) {
  struct telling t = {.d = d};
  struct error err = {0};
  bool changed = false;
  if (!d->store || !d->catalog || !d->routing || !plan_needs_schemas(&d->plan, d->routing)) return;
  enum status st = last_schemas_compare(d->store, d->catalog, tell_change, &t, &changed, &err);
  if (st != ST_OK)
    doctor_found(d, "schema history", REPORT_SKIPPED, "those of the last start are not known: %s",
                 err.text);
  else if (!t.told)
    doctor_found(d, "schema history", REPORT_OK,
                 "no schema changed incompatibly or without a frozen predecessor");
}
