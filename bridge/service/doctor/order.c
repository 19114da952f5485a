/* Has a namespace another topic or key than at the last start, while events of it are pending?
 * One thread; a crash leaves nothing. */
#include "bridge/service/changes/order_rules.h"
#include "bridge/service/doctor/parts.h"

struct telling {
  struct doctor *d;
  bool told;
};

static void tell_namespace(void *ctx, struct span ns, const char *words) {
  struct telling *t = ctx;
  t->told = true;
  doctor_found(t->d, "order", REPORT_WARNING, "%.*s: %s", SPAN_ARGS(ns), words);
  doctor_next(t->d, "Those of one key may overtake each other: let the worker drain with the old "
                    "settings first (busbridge-worker --once), then change them");
}

void doctor_check_order(struct doctor *d) {
  struct telling t = {.d = d};
  struct error err = {0};
  bool changed = false;
  if (!d->store || !d->routing || !d->catalog) return;
  enum status st = order_rules_compare(d->store, d->routing, tell_namespace, &t, &changed, &err);
  if (st != ST_OK)
    doctor_found(d, "order", REPORT_SKIPPED, "what held at the last start is not known: %s",
                 err.text);
  else if (!t.told)
    doctor_found(d, "order", REPORT_OK, "no topic or key changed under pending events");
}
