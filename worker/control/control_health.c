/* Health, the figures of the period and the beginning of a new one, and the text for Prometheus.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_call.h"

enum status answer_status(const struct call *call, struct answer *answer, struct error *err) {
  bool detailed;
  enum status st = call_flag(call, "detailed", &detailed, err);
  return st == ST_OK ? service_health(call->service, detailed, &answer->body, err) : st;
}

enum status answer_metrics(const struct call *call, struct answer *answer, struct error *err) {
  bool reset;
  enum status st = call_flag(call, "reset", &reset, err);
  return st == ST_OK ? service_metrics(call->service, reset, &answer->body, err) : st;
}

enum status answer_prometheus(const struct call *call, struct answer *answer, struct error *err) {
  answer->type = "text/plain; version=0.0.4; charset=utf-8";
  return service_prometheus(call->service, &answer->body, err);
}
