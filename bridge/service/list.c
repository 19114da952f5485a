#include "bridge/service/operations.h"

struct lister {
  const struct service *service;
  const struct list_request *request;
  struct buffer *json;
  uint64_t matched;
  bool narrow; /* each entry is looked at, and those that match are counted here */
};

static void write_entry(struct buffer *json, const struct entry_info *info) {
  bool first = true;
  bool dead = info->place == PLACE_DLQ;
  buffer_add_char(json, '{');
  /* The seven keys of the producers' own tool come first, in its order. */
  member_text(json, &first, "id", info->id);
  member_text(json, &first, "name", info->name);
  member_time(json, &first, "created_at", info->created_us != TIME_NONE ? info->created_us : info->mtime_us);
  member_int(json, &first, "attempts", info->attempts);
  member_text_or_null(json, &first, "last_error", info->last_error);
  member_time(json, &first, "failed_at", info->failed_us);
  member_int(json, &first, "payload_size", (int64_t)info->payload_size);
  member_text(json, &first, "status", span_of(dead ? "dlq" : "pending"));
  member_text_or_null(json, &first, "reason", info->reason);
  member_text_or_null(json, &first, "topic", info->topic);
  json_write_key(json, &first, "file");
  struct buffer path = {0};
  buffer_add_z(&path, place_path(info->place));
  buffer_add_z(&path, info->file);
  json_write_string(json, buffer_span(&path));
  json->failed = json->failed || path.failed;
  buffer_release(&path);
  member_time(json, &first, "mtime", info->mtime_us);
  member_int(json, &first, "size", (int64_t)info->size);
  member_bool(json, &first, "raw", info->raw);
  buffer_add_char(json, '}');
}

static bool visit(void *ctx, const struct entry_info *info) {
  struct lister *l = ctx;
  if (l->narrow && !selection_matches(&l->request->selection, l->service->routing, info)) return true;
  if (++l->matched > l->request->limit && l->request->limit) return true; /* only counted */
  if (l->json->len > 0) buffer_add_z(l->json, ", ");
  write_entry(l->json, info);
  return !l->json->failed;
}

enum status service_list(struct service *s, const struct list_request *request, struct buffer *json,
                         struct error *err) {
  struct operation o = operation_begin(s, "list");
  struct buffer entries = {0};
  const struct selection *selection = &request->selection;
  struct lister lister = {.service = s, .request = request, .json = &entries, .narrow = selection_narrows(selection)};
  unsigned which = (selection->pending ? LIST_PENDING : 0u) | (selection->dead ? LIST_DEAD : 0u);
  if (!service_follows(s)) which |= LIST_LOOK;
  uint64_t total = 0;
  enum status st = store_list(s->store, which, lister.narrow ? 0 : request->limit, visit, &lister, &total, err);
  if (st == ST_OK) st = buffer_status(&entries, err);
  if (st == ST_OK) {
    if (lister.narrow) total = lister.matched;
    buffer_printf(json, "{\"version\": 1, \"total\": %llu, \"entries\": [", (unsigned long long)total);
    buffer_add(json, buffer_span(&entries));
    buffer_add_z(json, "]}");
    st = buffer_status(json, err);
  }
  buffer_release(&entries);
  return operation_end(&o, st);
}
