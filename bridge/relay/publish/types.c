/* The doors of types of events, as they are shown: those whose schema has no id in the registry,
 * and the registry's own. Who waits at them and when it goes on is told by the waiting keys. The
 * publisher's thread; a crash leaves nothing. */
#include "bridge/relay/publish/publish.h"

enum { TICK_MS = 250, TYPES_SHOWN = 32 };

static void show(struct relay *r, const char *target, bool wrong, const char *reason,
                 const char *remedy) {
  mutex_lock(&r->lock);
  struct breaker_view *view = status_breaker(r, target, BREAKER_OPEN, reason, remedy);
  if (view) view->type = true, view->wrong = wrong;
  mutex_unlock(&r->lock);
}

static void hide(struct relay *r, const char *target) {
  mutex_lock(&r->lock);
  status_breaker(r, target, BREAKER_CLOSED, "", "");
  mutex_unlock(&r->lock);
}

static void show_missing(struct relay *r, const struct ids_view *v) {
  char remedy[400], reason[300];
  snprintf(reason, sizeof reason, "its schema is not registered under %.100s (%.100s)", v->subject,
           v->why);
  snprintf(remedy, sizeof remedy, "busbridge schema register %.250s; its events follow within 30 s",
           v->event);
  show(r, v->event, false, reason, remedy);
}

/* True: it is shown. */
static bool show_type(struct relay *r, const struct ids_view *v) {
  switch (v->state) {
  case ID_MISSING: show_missing(r, v); return true;
  case ID_WRONG:
    show(r, v->event, true, v->why,
         "Was the registry reset? Restore it, or register the schema again: busbridge schema "
         "register; records that were published under the wrong id cannot be read by it");
    return true;
  case ID_ASKING:
  case ID_NOWHERE:
  case ID_KNOWN:
  case ID_CACHED: break;
  }
  hide(r, v->event);
  return false;
}

static void show_registry(struct relay *r, const char *why) {
  if (*why)
    show(r, "registry", false, why,
         "See whether the registry answers at registry.url: busbridge doctor; types whose id is "
         "known go on");
  else
    hide(r, "registry");
}

void types_tick(struct publishing *p) {
  struct relay *r = p->relay;
  struct ids_view v;
  size_t shown = 0;
  char why[600] = "";
  if (!r->parts.ids || clock_mono_ms(r->parts.clock) < p->types_due_ms) return;
  p->types_due_ms = clock_mono_ms(r->parts.clock) + TICK_MS;
  uint64_t changes = ids_changes(r->parts.ids);
  for (size_t i = 0; ids_at(r->parts.ids, i, &v); i++) {
    bool waits = v.wanted || v.state == ID_WRONG;
    if (waits && shown < TYPES_SHOWN) shown += show_type(r, &v);
    if (v.wanted && v.state == ID_NOWHERE) snprintf(why, sizeof why, "%s", v.why);
  }
  show_registry(r, why);
  mutex_lock(&r->lock);
  r->types_told = changes;
  mutex_unlock(&r->lock);
}
