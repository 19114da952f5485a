/* What lies in the outbox, and moving it. */
#include "worker/control_call.h"

enum status answer_entries(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request = {.pending = true, .dead = true};
  const char *type = call_value(call, "type");
  if (type && strcmp(type, "all") != 0) {
    request.pending = strcmp(type, "pending") == 0;
    request.dead = strcmp(type, "dlq") == 0;
    if (!request.pending && !request.dead) return call_bad(err, "type", type, "pending, dlq or all");
  }
  enum status st = call_limit(call, 50, &request.limit, err);
  return st == ST_OK ? service_list(call->service, &request, &answer->body, err) : st;
}

enum status answer_replay(const struct call *call, struct answer *answer, struct error *err) {
  struct replay_request request = {.id = call_value(call, "id")};
  if (!request.id || !*request.id) return error_set(err, ST_INVALID, "Parameter id is missing");
  enum status st = call_flag(call, "force", &request.force, err);
  return st == ST_OK ? service_replay(call->service, &request, &answer->body, err) : st;
}
