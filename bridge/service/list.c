#include "bridge/service/operations.h"

struct lister {
  const struct service *service;
  const struct list_request *request;
  struct buffer *json;
  struct arena arena;
  uint64_t matched;
  unsigned looked; /* since somebody was asked whether he still waits */
  bool stopped, full;
  bool narrow; /* each entry is looked at, and those that match are counted here */
};

void entry_members(struct buffer *json, bool *first, const struct routing *routing, const struct entry_info *info,
                   struct arena *arena) {
  bool dead = info->place == PLACE_DLQ;
  struct route route;
  bool routed = selection_route(routing, info, arena, &route);
  /* The seven keys of the producers' own tool come first, in its order. */
  member_text(json, first, "id", info->id);
  member_text(json, first, "name", info->name);
  member_time(json, first, "created_at", info->created_us != TIME_NONE ? info->created_us : info->mtime_us);
  member_int(json, first, "attempts", info->attempts);
  member_text_or_null(json, first, "last_error", info->last_error);
  member_time(json, first, "failed_at", info->failed_us);
  member_int(json, first, "payload_size", (int64_t)info->payload_size);
  member_text(json, first, "status", span_of(dead ? "dlq" : "pending"));
  member_text_or_null(json, first, "reason", info->reason);
  if (routed && !info->topic.len)
    member_text(json, first, "topic", span_of(routing_topic_name(routing, route.topic)));
  else
    member_text_or_null(json, first, "topic", info->topic);
  member_text_or_null(json, first, "namespace", selection_namespace(routing, info));
  member_text_or_null(json, first, "key", routed ? route.key : (struct span){0});
  struct buffer path = {0};
  buffer_printf(&path, "%s%s", place_path(info->place), info->file);
  member_text(json, first, "file", buffer_span(&path));
  json->failed = json->failed || path.failed;
  buffer_release(&path);
  member_time(json, first, "mtime", info->mtime_us);
  member_int(json, first, "size", (int64_t)info->size);
  member_bool(json, first, "raw", info->raw);
}

#define LOOK_EACH 32 /* entries */

static bool is_left(struct lister *l) {
  if (!l->request->gone || ++l->looked < LOOK_EACH) return false;
  l->looked = 0;
  return l->request->gone(l->request->ctx);
}

static void write_entry(struct lister *l, const struct entry_info *info) {
  bool first = true;
  buffer_add_z(l->json, l->json->len > 0 ? ", {" : "{");
  entry_members(l->json, &first, l->service->routing, info, &l->arena);
  buffer_add_char(l->json, '}');
  arena_reset(&l->arena);
}

static bool visit(void *ctx, const struct entry_info *info) {
  struct lister *l = ctx;
  l->stopped = is_left(l);
  if (l->stopped) return false;
  if (l->narrow && !selection_matches(&l->request->selection, l->service->routing, info)) return true;
  if (++l->matched > l->request->limit && l->request->limit) return true; /* only counted */
  write_entry(l, info);
  l->full = l->request->room && l->json->len > l->request->room;
  if (!l->request->each || l->json->failed) return !l->json->failed && !l->full;
  l->stopped = !l->request->each(l->request->ctx, buffer_span(l->json));
  buffer_clear(l->json);
  return !l->stopped;
}

enum status service_list(struct service *s, const struct list_request *request, struct buffer *json,
                         struct error *err) {
  struct operation o = operation_begin(s, "list");
  struct buffer entries = {0};
  const struct selection *selection = &request->selection;
  struct lister lister = {.service = s, .request = request, .json = &entries, .narrow = selection_reads(selection)};
  struct store_range range = {selection->since_us, selection->until_us};
  unsigned which = (selection->pending ? LIST_PENDING : 0u) | (selection->dead ? LIST_DEAD : 0u);
  if (!service_follows(s)) which |= LIST_LOOK;
  uint64_t total = 0;
  enum status st = store_list_range(s->store, which, selection_narrows(selection) ? &range : NULL,
                                    lister.narrow ? 0 : request->limit, visit, &lister, &total, err);
  if (st == ST_OK && lister.stopped) st = error_set(err, ST_CANCELLED, "Nobody waits for the list any more");
  if (st == ST_OK && lister.full)
    st = error_set(
        err, ST_TOO_LARGE,
        "The list has more than %zu MiB: ask for less by limit or filters, or read it as the worker's user by: "
        "busbridge list --limit 0 -o jsonl",
        request->room >> 20);
  if (st == ST_OK) st = buffer_status(&entries, err);
  if (st == ST_OK) {
    if (lister.narrow) total = lister.matched;
    buffer_printf(json, "{\"version\": 1, \"total\": %llu, \"entries\": [", (unsigned long long)total);
    buffer_add(json, buffer_span(&entries));
    buffer_add_z(json, "]}");
    st = buffer_status(json, err);
  }
  buffer_release(&entries);
  arena_release(&lister.arena);
  return operation_end(&o, st);
}
