/* POST /v1/pause and /v1/resume: publishing is stopped, and goes on.
 * A thread of each connection; a crash leaves what service/pause.c says. */
#include "worker/control/control_call.h"

enum status answer_pause(const struct call *call, struct answer *answer, struct error *err) {
  struct pause_request request = {.reason = call_value(call, "reason"), .by = call->caller};
  return service_pause(call->service, &request, &answer->body, err);
}

enum status answer_resume(const struct call *call, struct answer *answer, struct error *err) {
  struct pause_request request = {.by = call->caller};
  return service_resume(call->service, &request, &answer->body, err);
}

enum status answer_pause_state(const struct call *call, struct answer *answer, struct error *err) {
  return service_pause_state(call->service, &answer->body, err);
}
