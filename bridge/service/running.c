/* What is asked of a service as a whole while it runs. Any thread.
 * A crash leaves nothing. */
#include "bridge/service/changes/last_framings.h"
#include "bridge/service/health/account.h"
#include "bridge/service/parts.h"

void service_drain(struct service *s, int64_t drain_ms) {
  if (s)
    (void)relay_drain(s->relay,
                      drain_ms); /* service_close asks again, and says if a thread hangs */
}

enum status service_save(struct service *s, struct error *err) {
  service_reload_owed(s);
  account_sync(s, NULL);
  return saved_metrics_write(s, err);
}

void service_await_looks(struct service *s, const struct stop *stop) {
  last_framings_await(s->framings, stop);
}

enum status service_failure(struct service *s, struct error *err) {
  struct relay_status *status = s->relay ? malloc(sizeof *status) : NULL;
  enum status st = ST_OK;
  if (status) {
    relay_status(s->relay, status);
    st = status->failed;
    if (st != ST_OK) error_set(err, st, "%s", status->failure);
  }
  free(status);
  return st;
}

void service_stand_by(struct service *s) {
  store_stand_by(s->store);
}

void service_waits(struct service *s, const struct error *why) {
  mutex_lock(&s->lock);
  s->waits = *why;
  mutex_unlock(&s->lock);
  atomic_store(&s->beat_ms, clock_mono_ms(s->clock));
}

bool service_is_away(const struct error *err) {
  return store_is_away(err);
}

bool service_stands_by(const struct service *s) {
  return s->standby;
}

/* Whose lock it is that is waited for may be the second intake's. */
const char *service_waits_for(struct service *s, char out[SERVICE_WAITS_TEXT]) {
  struct store_owner owner;
  char who[STORE_OWNER_TEXT];
  mutex_lock(&s->lock);
  struct error why = s->waits;
  mutex_unlock(&s->lock);
  if (why.status == ST_BUSY && store_owner(s->store, &owner))
    snprintf(out, SERVICE_WAITS_TEXT, "the outbox is held by %s", store_owner_words(&owner, who));
  else
    snprintf(out, SERVICE_WAITS_TEXT, "%s",
             *why.text ? why.text : "nobody holds the outbox, it takes it over");
  return out;
}

void service_socket_path(const struct service *s, struct buffer *out) {
  buffer_add_z(out, home_socket(s->home));
}

void service_reload(struct service *s, const struct settings *fresh) {
  mutex_lock(&s->lock);
  s->settings = fresh;
  mutex_unlock(&s->lock);
  struct relay_tuning tuning = plan_tuning(fresh);
  if (s->relay) relay_tune(s->relay, &tuning);
  service_reload_schemas(s);
}
