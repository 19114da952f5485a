/* Replays and purges of many: frozen, gone through step by step, looked at, given up.
 * A thread of each connection; a crash leaves what bulk/frozen_selection.h says. */
#include "bridge/service/bulk/bulk.h"
#include "bridge/service/bulk/import.h"
#include "worker/control/control_call.h"

static enum status answer_freeze(const struct call *call, bool purge, struct answer *answer,
                                 struct error *err) {
  struct bulk_request request = {.purge = purge, .ids = span_trim(call->body), .by = call->caller};
  enum status st = call_selection(call, &request.selection, err);
  if (st == ST_OK) st = call_flag(call, "force", &request.force, err);
  if (st == ST_OK) st = call_flag(call, "all", &request.all, err);
  if (st == ST_OK) st = call_flag(call, "dry_run", &request.dry_run, err);
  if (st == ST_OK) st = service_bulk_freeze(call->service, &request, &answer->body, err);
  if (st == ST_OK && !request.dry_run) answer->code = 202;
  return st;
}

/* id=ID: one, at once. Else a selection, by filters or by the ids of the body. */
enum status answer_replay(const struct call *call, struct answer *answer, struct error *err) {
  struct replay_request request = {.id = call_value(call, "id"), .by = call->caller};
  if (!request.id) return answer_freeze(call, false, answer, err);
  if (!*request.id) return error_set(err, ST_INVALID, "Parameter id is empty");
  for (size_t i = 0; i < call->query->count; i++) {
    const char *key = call->query->pairs[i].key;
    if (strcmp(key, "id") != 0 && strcmp(key, "force") != 0)
      return error_set(err, ST_INVALID, "Parameter %.60s does not go with id", key);
  }
  enum status st = call_flag(call, "force", &request.force, err);
  return st == ST_OK ? service_replay(call->service, &request, &answer->body, err) : st;
}

enum status answer_purge(const struct call *call, struct answer *answer, struct error *err) {
  return answer_freeze(call, true, answer, err);
}

static enum status answer_step(const struct call *call, bool purge, struct answer *answer,
                               struct error *err) {
  size_t limit;
  enum status st = call_limit(call, 0, &limit, err);
  return st == ST_OK ? service_bulk_step(call->service, purge, call->id, limit, &answer->body, err)
                     : st;
}

enum status answer_replay_step(const struct call *call, struct answer *answer, struct error *err) {
  return answer_step(call, false, answer, err);
}

enum status answer_purge_step(const struct call *call, struct answer *answer, struct error *err) {
  return answer_step(call, true, answer, err);
}

enum status answer_replay_progress(const struct call *call, struct answer *answer,
                                   struct error *err) {
  return service_bulk_progress(call->service, false, call->id, &answer->body, err);
}

enum status answer_purge_progress(const struct call *call, struct answer *answer,
                                  struct error *err) {
  return service_bulk_progress(call->service, true, call->id, &answer->body, err);
}

enum status answer_replay_list(const struct call *call, struct answer *answer, struct error *err) {
  return service_bulk_list(call->service, false, &answer->body, err);
}

enum status answer_purge_list(const struct call *call, struct answer *answer, struct error *err) {
  return service_bulk_list(call->service, true, &answer->body, err);
}

enum status answer_replay_cancel(const struct call *call, struct answer *answer,
                                 struct error *err) {
  return service_bulk_cancel(call->service, false, call->id, &answer->body, err);
}

enum status answer_purge_cancel(const struct call *call, struct answer *answer, struct error *err) {
  return service_bulk_cancel(call->service, true, call->id, &answer->body, err);
}

enum status answer_purge_entries(const struct call *call, struct answer *answer,
                                 struct error *err) {
  const char *from = call_value(call, "from");
  size_t limit;
  enum status st = call_limit(call, 0, &limit, err);
  return st == ST_OK ? service_bulk_entries(call->service, call->id, from ? from : "", limit,
                                            &answer->body, err)
                     : st;
}

enum status answer_import(const struct call *call, struct answer *answer, struct error *err) {
  return service_import(call->service, call->body, call->caller, &answer->body, err);
}
