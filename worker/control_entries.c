/* What lies in the outbox, and moving it. */
#include "worker/control_call.h"

static enum status answer_list(const struct call *call, struct list_request *request, struct answer *answer,
                               struct error *err) {
  enum status st = call_limit(call, 50, &request->limit, err);
  return st == ST_OK ? service_list(call->service, request, &answer->body, err) : st;
}

enum status answer_entries(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request;
  enum status st = call_selection(call, &request.selection, err);
  return st == ST_OK ? answer_list(call, &request, answer, err) : st;
}

enum status answer_dead(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request;
  enum status st = call_selection(call, &request.selection, err);
  request.selection.pending = false;
  return st == ST_OK ? answer_list(call, &request, answer, err) : st;
}

enum status answer_replay(const struct call *call, struct answer *answer, struct error *err) {
  struct replay_request request = {.id = call_value(call, "id"), .by = call->caller};
  if (!request.id || !*request.id) return error_set(err, ST_INVALID, "Parameter id is missing");
  enum status st = call_flag(call, "force", &request.force, err);
  return st == ST_OK ? service_replay(call->service, &request, &answer->body, err) : st;
}
