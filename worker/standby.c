/* Prepares a relay, asks for its outbox's lock, and says who has that. It changes nothing of the
 * outbox before it owns it, and talks to no Kafka.
 * The main thread; a crash leaves nothing. */
#include "worker/standby.h"

static const struct service_options relaying = {
    .mode = SERVICE_RELAY, .background = true, .clock = &clock_system};
static const struct service_options answering = {
    .mode = SERVICE_INSPECT, .standby = true, .clock = &clock_system};

enum status standby_open(struct standby *w, const struct settings *settings, struct log *log,
                         struct error *err) {
  *w = (struct standby){.log = log, .began_ms = clock_mono_ms(&clock_system)};
  return service_meet(settings, log, &relaying, &w->next, err);
}

/* Its text is written a moment after the lock is taken: nobody is known then. */
static void tell_waits(struct standby *w) {
  char now[SERVICE_WAITS_TEXT];
  service_waits_for(w->answers, now);
  if (!strcmp(now, w->waits) || (*w->waits && strstr(now, " held by another process"))) return;
  memcpy(w->waits, now, sizeof now);
  log_write(w->log, LOG_INFO, "worker", "standby", NO_FIELDS,
            "Standby: %s; it is taken over when that ends", now);
}

enum status standby_try(struct standby *w, const struct settings *settings,
                        struct service **service, struct error *err) {
  enum status st = service_take(w->next, 0, err);
  if (st == ST_OK) {
    *service = w->next;
    w->next = NULL;
    if (w->answers)
      log_write(w->log, LOG_INFO, "worker", "took_over",
                FIELDS(F_INT("duration_ms", clock_mono_ms(&clock_system) - w->began_ms)),
                "The outbox is taken over. Before: %s", w->waits);
    return ST_OK;
  }
  if (st != ST_BUSY && st != ST_AGAIN) return st;
  struct error why = *err;
  if (!w->answers) {
    st = service_open(settings, w->log, &answering, &w->answers, err);
    if (st != ST_OK) return st;
  }
  if (why.status == ST_BUSY) service_stand_by(w->next);
  service_waits(w->answers, &why);
  tell_waits(w);
  return ST_BUSY;
}

enum status standby_renew(struct standby *w, const struct settings *fresh,
                          struct service **answered, struct error *err) {
  struct service *next = NULL, *answers = NULL;
  enum status st = service_meet(fresh, w->log, &relaying, &next, err);
  if (st == ST_OK) st = service_open(fresh, w->log, &answering, &answers, err);
  if (st != ST_OK) {
    service_close(next, 0);
    return st;
  }
  service_close(w->next, 0);
  *answered = w->answers;
  w->next = next;
  w->answers = answers;
  return ST_OK;
}

void standby_close(struct standby *w) {
  service_close(w->next, 0);
  service_close(w->answers, 0);
  w->next = w->answers = NULL;
}
