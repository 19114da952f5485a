/* The doors of types of events, as they are shown: those whose schema has no id in the registry,
 * and the registry's own. Who waits at them and when it goes on is told by the waiting keys. The
 * publisher's thread; a crash leaves nothing. */
#include "bridge/relay/publish/publish.h"

enum { TICK_MS = 250, TYPES_SHOWN = 32 };

/* A topic may be called as a type of event is ({namespace}.{event}): its own trouble is shown then.
 * Lock held. */
static bool is_topics(const struct relay *r, const char *target) {
  for (size_t i = 0; i < r->status.breaker_count; i++)
    if (!strcmp(r->status.breakers[i].target, target)) return !r->status.breakers[i].type;
  return false;
}

static void show(struct relay *r, const char *target, bool wrong, const char *reason,
                 const char *remedy) {
  mutex_lock(&r->lock);
  struct breaker_view *view =
      is_topics(r, target) ? NULL : status_breaker(r, target, BREAKER_OPEN, reason, remedy);
  if (view) view->type = true, view->wrong = wrong;
  mutex_unlock(&r->lock);
}

/* All doors of types but these: several schemas may have events of one name (the envelope, one that
 * was replaced), and whichever has no id keeps its door. */
static void hide_others(struct relay *r, const char *const *names, size_t count) {
  mutex_lock(&r->lock);
  for (size_t i = r->status.breaker_count; i-- > 0;) {
    const struct breaker_view *view = &r->status.breakers[i];
    bool stays = !view->type;
    for (size_t n = 0; !stays && n < count; n++) stays = !strcmp(view->target, names[n]);
    if (!stays) status_breaker(r, view->target, BREAKER_CLOSED, "", "");
  }
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

/* Records carry an id that is not a schema's now. */
static void show_lost(struct relay *r, const struct ids_view *v) {
  char remedy[400];
  snprintf(remedy, sizeof remedy,
           "Was the registry reset? Restore it, or: busbridge schema register %.200s; records that "
           "carry the old id cannot be read by it",
           v->event);
  show(r, v->event, true, v->why, remedy);
}

/* True: it is shown. */
static bool show_type(struct relay *r, const struct ids_view *v) {
  switch (v->state) {
  case ID_MISSING:
    if (v->lost)
      show_lost(r, v);
    else
      show_missing(r, v);
    return true;
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
  return false;
}

static void show_registry(struct relay *r, const char *why) {
  show(r, "registry", false, why,
       "See whether the registry answers at registry.url: busbridge doctor; types whose id is "
       "known go on");
}

void types_tick(struct publishing *p) {
  struct relay *r = p->relay;
  struct ids_view v;
  size_t shown = 0;
  const char *names[TYPES_SHOWN + 1]; /* they live as long as the ids */
  char why[600] = "";
  if (!r->parts.ids || clock_mono_ms(r->parts.clock) < p->types_due_ms) return;
  p->types_due_ms = clock_mono_ms(r->parts.clock) + TICK_MS;
  uint64_t changes = ids_changes(r->parts.ids);
  for (size_t i = 0; ids_at(r->parts.ids, i, &v); i++) {
    if (v.retired) continue;
    bool waits = v.wanted || v.state == ID_WRONG || v.lost;
    if (waits && shown < TYPES_SHOWN && show_type(r, &v)) names[shown++] = v.event;
    if (v.wanted && v.state == ID_NOWHERE) snprintf(why, sizeof why, "%s", v.why);
  }
  if (*why) show_registry(r, why), names[shown++] = "registry";
  hide_others(r, names, shown);
  mutex_lock(&r->lock);
  r->types_told = changes;
  mutex_unlock(&r->lock);
}
