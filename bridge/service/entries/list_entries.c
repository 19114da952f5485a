/* The entries that a selection means as JSON, whole or one by one; the members that list and show
 * share; what is set aside.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/entries/groups.h"
#include "bridge/service/operations.h"

struct lister {
  struct service *service;
  const struct list_request *request;
  struct buffer *json;
  struct arena arena;
  uint64_t matched;
  unsigned looked; /* since the caller was asked whether it still waits */
  bool stopped, full;
  bool narrow; /* each entry is looked at, and those that match are counted here */
};

bool entry_held(struct service *s, const struct entry_info *info, const struct route *route,
                char file[RELAY_FILE]) {
  if (info->shelf == SHELF_DEAD || !route || !s->relay) return false;
  return relay_waits(s->relay, route->topic, route->key, file) && strcmp(file, info->label) != 0;
}

static void member_file(struct buffer *json, bool *first, const struct store *store,
                        enum shelf shelf, const char *token, const char *label) {
  struct buffer path = {0};
  buffer_printf(&path, "%s%s", store_shelf_words(store, shelf, span_of(token)), label);
  member_text(json, first, "file", buffer_span(&path));
  json->failed = json->failed || path.failed;
  buffer_release(&path);
}

void entry_members(struct buffer *json, bool *first, struct service *s,
                   const struct entry_info *info, struct arena *arena) {
  const struct routing *routing = s->routing;
  bool dead = info->shelf == SHELF_DEAD;
  char behind[RELAY_FILE] = "";
  struct route route;
  bool routed = selection_route(routing, info, arena, &route);
  /* The seven keys of the producers' own tool come first, in its order. */
  member_text(json, first, "id", info->id);
  member_text(json, first, "name", info->name);
  member_time(json, first, "created_at",
              info->created_us != TIME_NONE ? info->created_us : info->arrived_us);
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
  member_text_or_null(json, first, "held_behind",
                      entry_held(s, info, routed ? &route : NULL, behind) ? span_of(behind)
                                                                          : (struct span){0});
  member_file(json, first, s->store, info->shelf, info->token, info->label);
  member_time(json, first, "mtime", info->arrived_us);
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
  entry_members(l->json, &first, l->service, info, &l->arena);
  buffer_add_char(l->json, '}');
  arena_reset(&l->arena);
}

/* What was written last goes out, or stays within what there is room for. False: no more. */
static bool written(struct lister *l) {
  l->full = l->request->room && l->json->len > l->request->room;
  if (!l->request->each || l->json->failed) return !l->json->failed && !l->full;
  l->stopped = !l->request->each(l->request->ctx, buffer_span(l->json));
  buffer_clear(l->json);
  return !l->stopped;
}

static bool visit(void *ctx, const struct entry_info *info) {
  struct lister *l = ctx;
  l->stopped = is_left(l);
  if (l->stopped) return false;
  if (l->narrow && !selection_matches(&l->request->selection, l->service->routing, info))
    return true;
  if (++l->matched > l->request->limit && l->request->limit) return true; /* only counted */
  write_entry(l, info);
  return written(l);
}

/* ---- what is set aside ---- */

/* The same members, as far as they are known of it without reading it, and what to do. */
static void write_aside(struct buffer *json, const struct store *store,
                        const struct aside_info *info) {
  const struct span none = {0};
  bool first = true;
  buffer_add_z(json, json->len > 0 ? ", {" : "{");
  member_text(json, &first, "id", info->id.len ? info->id : span_of(info->label));
  member_text(json, &first, "name", none);
  member_time(json, &first, "created_at", info->since_us);
  member_int(json, &first, "attempts", info->attempts);
  member_text(json, &first, "last_error", span_of(info->why));
  member_time(json, &first, "failed_at", info->since_us);
  member_int(json, &first, "payload_size", 0);
  member_text(json, &first, "status", SPAN("aside"));
  member_text(json, &first, "reason", span_of(store_aside_word(info->what)));
  static const char *const unknown[] = {"topic", "namespace", "key", "held_behind"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    member_text_or_null(json, &first, unknown[i], none);
  member_file(json, &first, store, SHELF_PENDING, info->token, info->label);
  member_time(json, &first, "mtime", info->arrived_us);
  member_int(json, &first, "size", (int64_t)info->size);
  member_bool(json, &first, "raw", false);
  member_text(json, &first, "next", span_of(info->remedy));
  buffer_add_char(json, '}');
}

static bool visit_aside(void *ctx, const struct aside_info *info) {
  struct lister *l = ctx;
  l->stopped = is_left(l);
  if (l->stopped) return false;
  if (++l->matched > l->request->limit && l->request->limit) return true;
  write_aside(l->json, l->service->store, info);
  return written(l);
}

static bool count_aside(void *ctx, const struct aside_info *info) {
  uint64_t *count = ctx;
  (void)info;
  ++*count;
  return true;
}

/* ---- all of it ---- */

static enum status walk_shelves(struct lister *l, uint64_t *total, struct error *err) {
  const struct selection *selection = &l->request->selection;
  struct store_range range = {selection->since_us, selection->until_us};
  unsigned which = (selection->pending ? LIST_PENDING : 0u) | (selection->dead ? LIST_DEAD : 0u);
  if (!selection->aside) {
    if (!service_follows(l->service)) which |= LIST_LOOK;
    enum status st =
        store_list_range(l->service->store, which, selection_narrows(selection) ? &range : NULL,
                         l->narrow ? 0 : l->request->limit, visit, l, total, err);
    if (l->narrow) *total = l->matched;
    return st;
  }
  if (selection_narrows(selection))
    return error_set(err, ST_INVALID, "type aside goes with no other filter");
  enum status st = store_asides(l->service->store, 0, visit_aside, l, err);
  *total = l->matched;
  return st;
}

/* ---- in groups ---- */

struct grouping {
  struct service *s;
  const struct list_request *request;
  struct groups *groups;
  uint64_t total;
};

static bool group_entry(void *ctx, const struct entry_info *info) {
  struct grouping *g = ctx;
  if (!selection_matches(&g->request->selection, g->s->routing, info)) return true;
  g->total++;
  groups_add(g->groups, info);
  return true;
}

enum status service_groups(struct service *s, const struct list_request *request,
                           struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "list");
  struct grouping g = {.s = s, .request = request, .groups = groups_open()};
  uint64_t total, others = 0;
  bool first = true;
  enum status st = g.groups ? store_list(s->store, LIST_DEAD, 0, group_entry, &g, &total, err)
                            : error_set(err, ST_NO_MEMORY, "Out of memory");
  if (st == ST_OK) {
    buffer_add_char(json, '{');
    member_int(json, &first, "version", 1);
    member_int(json, &first, "total", (int64_t)g.total);
    json_write_key(json, &first, "groups");
    groups_write(g.groups, request->limit, json, &others);
    member_int(json, &first, "others", (int64_t)others);
    buffer_add_char(json, '}');
    st = buffer_status(json, err);
  }
  groups_close(g.groups);
  return operation_end(&o, st);
}

enum status service_list(struct service *s, const struct list_request *request, struct buffer *json,
                         struct error *err) {
  struct operation o = operation_begin(s, "list");
  struct buffer entries = {0};
  struct lister lister = {.service = s,
                          .request = request,
                          .json = &entries,
                          .narrow = selection_reads(&request->selection)};
  uint64_t total = 0, aside = 0;
  enum status st = walk_shelves(&lister, &total, err);
  if (st == ST_OK) st = store_asides(s->store, 0, count_aside, &aside, err);
  if (st == ST_OK && lister.stopped)
    st = error_set(err, ST_CANCELLED, "Nobody waits for the list any more");
  if (st == ST_OK && lister.full)
    st = error_set(
        err, ST_TOO_LARGE,
        "The list has more than %zu MiB: ask for less by limit or filters, or read it as the "
        "worker's user by: busbridge list --limit 0 -o jsonl",
        request->room >> 20);
  if (st == ST_OK) st = buffer_status(&entries, err);
  if (st == ST_OK) {
    buffer_printf(json, "{\"version\": 1, \"total\": %llu, \"entries\": [",
                  (unsigned long long)total);
    buffer_add(json, buffer_span(&entries));
    buffer_printf(json, "], \"aside\": %llu}", (unsigned long long)aside);
    st = buffer_status(json, err);
  }
  buffer_release(&entries);
  arena_release(&lister.arena);
  return operation_end(&o, st);
}
