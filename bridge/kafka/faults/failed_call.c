/* What a call that failed means, and why nobody answers.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/kafka/faults/remedy.h"
#include "bridge/kafka/handle.h"

int handle_cause(const struct handle *h, int code, const char *words) {
  enum kafka_cause cause = kafka_cause_of(code, words);
  return cause == CAUSE_LOGIN && h->scram_too_old ? CAUSE_SCRAM : cause;
}

enum status handle_status(int code) {
  switch (kafka_fault_of(code)) {
  case KAFKA_OK: return ST_OK;
  case KAFKA_TOPIC_UNKNOWN: return ST_NOT_FOUND;
  case KAFKA_TOPIC_DENIED:
  case KAFKA_AUTHENTICATION: return ST_DENIED;
  case KAFKA_RECORD_TOO_LARGE:
  case KAFKA_RECORD_REFUSED:
  case KAFKA_CLOCK:
  case KAFKA_QUEUE_FULL:
  case KAFKA_UNREACHABLE:
  case KAFKA_TIMED_OUT:
  case KAFKA_NOT_ENOUGH_REPLICAS:
  case KAFKA_COORDINATOR:
  case KAFKA_FENCED:
  case KAFKA_PURGED:
  case KAFKA_FATAL:
  case KAFKA_OTHER: break;
  }
  return code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ? ST_UNSUPPORTED : ST_UNAVAILABLE;
}

enum status handle_failed(struct handle *h, enum status st, int code, const char *what,
                          struct error *err) {
  return handle_failed_saying(h, st, code, rd_kafka_err2str(code), what, err);
}

/* Why nobody answers, where that is known, says more than the call that waited for it. */
enum status handle_failed_saying(struct handle *h, enum status st, int code, const char *words,
                                 const char *what, struct error *err) {
  rd_kafka_poll(h->rk, 0);
  mutex_lock(&h->mutex);
  bool misnamed = atomic_load(&h->misnamed), starved = atomic_load(&h->starved);
  bool down = h->words.text[0] &&
              (misnamed || (st == ST_UNAVAILABLE && (starved || atomic_load(&h->link) != LINK_UP)));
  error_set(err, st, "%s%s%s", misnamed ? "" : what, misnamed ? "" : ": ",
            down ? h->words.text : words);
  if (err) err->cause = down ? h->words.cause : handle_cause(h, code, words);
  mutex_unlock(&h->mutex);
  return st;
}
