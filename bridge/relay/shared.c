/* What any thread tells of the relay as a whole, and asks before it goes on: the end, failure,
 * signs of life, doors as they are shown.
 * Any thread, under relay.lock; a crash leaves nothing. */
#include "bridge/relay/parts.h"

/* ---- points: set by tests only, as durable.c's hook is ---- */

static relay_hook_fn hook_fn;
static void *hook_ctx;

void relay_set_hook(relay_hook_fn hook, void *ctx) {
  hook_fn = hook;
  hook_ctx = ctx;
}

void relay_point(struct relay *r, const char *point) {
  (void)r;
  if (hook_fn) hook_fn(hook_ctx, point);
}

void relay_beat(struct relay *r, atomic_llong *when) {
  atomic_store(when, clock_wall_us(r->parts.clock));
}

/* ---- the end ---- */

bool relay_must_end(struct relay *r) {
  mutex_lock(&r->lock);
  bool end = r->stopping && clock_mono_ms(r->parts.clock) >= r->stop_by_ms;
  mutex_unlock(&r->lock);
  return end;
}

bool relay_stop_asked(void *publishing) {
  const struct publishing *p = publishing;
  struct relay *r = p->relay;
  if (p->ledger.started) return relay_must_end(r);
  mutex_lock(&r->lock);
  bool stopping = r->stopping;
  mutex_unlock(&r->lock);
  return stopping;
}

void relay_fail(struct relay *r, enum status st, const char *text) {
  mutex_lock(&r->lock);
  bool first = r->status.failed == ST_OK;
  if (first) {
    r->status.failed = st;
    snprintf(r->status.failure, sizeof r->status.failure, "%s", text);
  }
  r->stopping = true;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  if (first) log_write(r->parts.log, LOG_ERROR, "relay", "relay_failed", NO_FIELDS, "%s", text);
  store_wake(r->parts.store);
}

/* ---- figures ---- */

struct manifest_name relay_newest_settled(struct relay *r) {
  mutex_lock(&r->lock);
  struct manifest_name name = r->settled;
  mutex_unlock(&r->lock);
  return name;
}

void publish_status(struct publishing *p) {
  struct relay *r = p->relay;
  uint64_t n = p->publisher ? publisher_in_flight(p->publisher) : 0;
  mutex_lock(&r->lock);
  r->status.in_flight = n;
  r->status.heartbeat_us = clock_wall_us(r->parts.clock);
  mutex_unlock(&r->lock);
}

static const char *const worlds[] = {"outbox", "redis", "kafka"};
enum { WORLDS = sizeof worlds / sizeof *worlds };
_Static_assert(RELAY_BREAKERS > WORLDS, "topics too");

bool breaker_is_worlds(const char *target) {
  for (size_t i = 0; i < WORLDS; i++)
    if (!strcmp(target, worlds[i])) return true;
  return false;
}

/* However many topics have trouble, the doors that everything passes have their place. */
static bool has_place(const struct relay_status *s, const char *target) {
  size_t topics = 0;
  for (size_t i = 0; i < s->breaker_count; i++) topics += !breaker_is_worlds(s->breakers[i].target);
  return breaker_is_worlds(target) || topics < RELAY_BREAKERS - WORLDS;
}

static struct breaker_view *view_of(struct relay_status *s, const char *target) {
  for (size_t i = 0; i < s->breaker_count; i++)
    if (!strcmp(s->breakers[i].target, target)) return &s->breakers[i];
  return NULL;
}

struct breaker_view *status_breaker(struct relay *r, const char *target, enum breaker_state state,
                                    const char *reason, const char *remedy) {
  struct relay_status *s = &r->status;
  struct breaker_view *view = view_of(s, target);
  if (state == BREAKER_CLOSED) {
    if (view) *view = s->breakers[--s->breaker_count];
    return NULL;
  }
  if (!view) {
    if (!has_place(s, target)) return NULL;
    view = &s->breakers[s->breaker_count++];
    view->since_us = clock_wall_us(r->parts.clock);
  }
  view->state = state;
  view->sys = 0;
  view->type = view->wrong = false;
  snprintf(view->target, sizeof view->target, "%s", target);
  snprintf(view->reason, sizeof view->reason, "%s", reason);
  snprintf(view->remedy, sizeof view->remedy, "%s", remedy);
  return view;
}
