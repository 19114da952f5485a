/* What keeps everything from Kafka, told in one way: the door that health shows, its remedy, the
 * log's line.
 * Any thread; a crash leaves nothing. */
#include "bridge/relay/parts.h"

#include <errno.h>

void away_show(struct relay *r, const struct error *err) {
  char remedy[sizeof r->status.breakers[0].remedy];
  kafka_remedy((enum kafka_cause)err->cause, &r->client, r->config.ledger_topic, remedy,
               sizeof remedy);
  size_t len = strlen(remedy);
  snprintf(remedy + len, sizeof remedy - len, ". Everything stays pending and goes on by itself");
  struct breaker_view *view = status_breaker(r, "kafka", BREAKER_OPEN, err->text, remedy);
  if (view && err->cause == CAUSE_DESCRIPTORS) view->sys = EMFILE;
}

void away_tell(struct relay *r, const struct error *err, bool first) {
  char remedy[sizeof r->status.breakers[0].remedy];
  enum kafka_cause cause = (enum kafka_cause)err->cause;
  kafka_remedy(cause, &r->client, r->config.ledger_topic, remedy, sizeof remedy);
  log_write(r->parts.log, first ? LOG_ERROR : LOG_DEBUG, "relay", "kafka_away",
            FIELDS(F_TEXT("error", err->text)),
            "%s; everything stays pending and goes on by itself. %s",
            cause == CAUSE_ADDRESS ? "Kafka does not answer" : "Kafka cannot be used", remedy);
}

void watch_link(struct publishing *p) {
  struct relay *r = p->relay;
  struct error err = {0};
  bool down = publisher_link(p->publisher, &err) == LINK_DOWN;
  if (down == p->link_down && (!down || err.cause == p->link_cause)) return;
  p->link_down = down;
  p->link_cause = err.cause;
  if (down)
    away_tell(r, &err, true);
  else
    log_write(r->parts.log, LOG_INFO, "relay", "kafka_back", NO_FIELDS, "Kafka answers again");
  mutex_lock(&r->lock);
  if (down)
    away_show(r, &err);
  else
    status_breaker(r, "kafka", p->kafka.state, p->kafka.reason, "See the broker's log");
  mutex_unlock(&r->lock);
}
