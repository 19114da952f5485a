/* Questions about the worker itself. */
#include "worker/control_call.h"

enum status answer_version(const struct call *call, struct answer *answer, struct error *err) {
  (void)call;
  buffer_add_z(&answer->body, "{\"version\": 1, \"busbridge\": \"" BUSBRIDGE_VERSION "\", \"api\": \"v1\"}");
  return buffer_status(&answer->body, err);
}

enum status answer_config(const struct call *call, struct answer *answer, struct error *err) {
  return service_config(call->service, &answer->body, err);
}

enum status answer_live(const struct call *call, struct answer *answer, struct error *err) {
  bool alive = service_alive(call->service);
  return answer_words(answer, alive ? 200 : 503, alive ? "ok\n" : "the relay has not turned for two minutes\n", err);
}

enum status answer_ready(const struct call *call, struct answer *answer, struct error *err) {
  return answer_words(answer, call->draining ? 503 : 200, call->draining ? "draining\n" : "ok\n", err);
}
