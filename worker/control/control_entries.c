/* Lists of entries and of dead letters, one entry whole or its bytes alone.
 * A thread of each connection; a crash leaves nothing. */
#include "worker/control/control_call.h"

#define LIST_ROOM (60 * 1024 * 1024) /* an answer lies in memory, and the CLI takes 64 MiB */

static enum status answer_list(const struct call *call, struct list_request *request,
                               struct answer *answer, struct error *err) {
  enum status st = call_limit(call, 50, &request->limit, err);
  request->room = LIST_ROOM;
  request->gone = call->gone;
  request->ctx = call->gone_ctx;
  return st == ST_OK ? service_list(call->service, request, &answer->body, err) : st;
}

enum status answer_entries(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request = {0};
  enum status st = call_selection(call, &request.selection, err);
  return st == ST_OK ? answer_list(call, &request, answer, err) : st;
}

enum status answer_dead(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request = {0};
  enum status st = call_selection(call, &request.selection, err);
  request.selection.pending = false;
  return st == ST_OK ? answer_list(call, &request, answer, err) : st;
}

enum status answer_groups(const struct call *call, struct answer *answer, struct error *err) {
  struct list_request request = {0};
  enum status st = call_selection(call, &request.selection, err);
  if (st == ST_OK) st = call_limit(call, 50, &request.limit, err);
  return st == ST_OK ? service_groups(call->service, &request, &answer->body, err) : st;
}

static enum status answer_show(const struct call *call, bool raw, struct answer *answer,
                               struct error *err) {
  struct selection selection; /* of its filters only the type is taken */
  enum status st = call_selection(call, &selection, err);
  const char *file = call_value(call, "file"); /* where it lies, which no step of a path can say */
  struct show_request request = {.id = file ? file : call->name,
                                 .pending = selection.pending,
                                 .dead = selection.dead,
                                 .raw = raw};
  return st == ST_OK ? service_show(call->service, &request, &answer->body, err) : st;
}

enum status answer_entry(const struct call *call, struct answer *answer, struct error *err) {
  return answer_show(call, false, answer, err);
}

enum status answer_entry_raw(const struct call *call, struct answer *answer, struct error *err) {
  answer->type = "application/octet-stream";
  return answer_show(call, true, answer, err);
}

enum status answer_entry_payload(const struct call *call, struct answer *answer,
                                 struct error *err) {
  const char *file = call_value(call, "file");
  struct amend_request request = {
      .id = file ? file : call->name, .payload = span_trim(call->body), .by = call->caller};
  enum status st = call_flag(call, "force", &request.force, err);
  return st == ST_OK ? service_amend(call->service, &request, &answer->body, err) : st;
}
