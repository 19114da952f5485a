/* Flushes: begun, followed, ended early.
 * A thread of each connection; a crash leaves what the flush had settled. */
#include "worker/control/control_call.h"

enum status answer_flush(const struct call *call, struct answer *answer, struct error *err) {
  struct flush_request request = {.by = call->caller};
  enum status st = call_limit(call, 100, &request.limit, err);
  if (st == ST_OK) st = call_flag(call, "dry_run", &request.dry_run, err);
  if (st == ST_OK) st = service_flush(call->service, &request, &answer->body, err);
  if (st == ST_OK && !request.dry_run) answer->code = 202;
  return st;
}

enum status answer_flush_progress(const struct call *call, struct answer *answer,
                                  struct error *err) {
  return service_flush_progress(call->service, call->id, &answer->body, err);
}

enum status answer_flush_cancel(const struct call *call, struct answer *answer, struct error *err) {
  enum status st = service_flush_progress(call->service, call->id, &answer->body, err);
  if (st != ST_OK) return st;
  service_flush_cancel(call->service, call->id);
  buffer_clear(&answer->body);
  return service_flush_progress(call->service, call->id, &answer->body, err);
}
