/* The figures outlive the process. A crash loses what came since they were last written.
 * One thread at a time. */
#include "bridge/service/parts.h"

#define METRICS_FILE "metrics"
#define METRICS_MAX (16 * 1024 * 1024)

/* Damaged figures are no reason not to relay: they begin anew, and the log says so. Those of a
 * standby are of itself alone. */
enum status saved_metrics_open(struct service *s, struct error *err) {
  struct buffer text = {0};
  struct error why = {0};
  enum status st = metrics_open(s->clock, &s->metrics);
  if (st != ST_OK) return error_set(err, st, "out of memory for the metrics");
  if (s->standby) return ST_OK;
  st = home_read(s->home, METRICS_FILE, METRICS_MAX, &text, &why);
  if (st == ST_OK) st = metrics_load(s->metrics, buffer_span(&text), &why);
  if (st != ST_OK && st != ST_NOT_FOUND)
    log_write(s->log, LOG_WARNING, "service", "metrics_lost", FIELDS(F_TEXT("error", why.text)),
              "The saved figures cannot be read; they begin anew");
  buffer_release(&text);
  return ST_OK;
}

enum status saved_metrics_write(struct service *s, struct error *err) {
  struct buffer text = {0};
  enum status st = store_check(s->store, err);
  if (st != ST_OK) return st; /* another's: the figures are those of its new owner */
  metrics_save(s->metrics, &text);
  st = buffer_status(&text, err);
  if (st == ST_OK) st = home_replace(s->home, METRICS_FILE, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}
