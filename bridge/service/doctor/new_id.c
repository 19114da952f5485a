/* An outbox whose ledger cannot be trusted any more (it was restored from a backup, copied, its
 * position reset) goes on under an id of its own, once it is known what of its pending entries was
 * published already.
 *
 *   fence   what the old id left in Kafka is resolved, so that the topics are complete (not beside
 *           the original)
 *   gather  the pending entries, and the manifests, which say how late the backup is at least
 *   read    the topics from there on, and Redis
 *   decide  published: out. The topics reach back far enough, and do not hold it: it stays. Else:
 *           asked for
 *   renew   take out, the new id, and then the manifests, which say nothing any more
 *
 * A crash in between leaves the old id or the new one, and nothing that was not published is gone:
 * the same command again, or the next start, goes on.
 * One thread. */
#include "bridge/service/doctor/new_id.h"
#include "bridge/base/disk/durable.h"
#include "bridge/service/operations.h"
#include "bridge/service/typed_hint.h"

#include <inttypes.h>

#define KEYS_AT_ONCE 500

/* ---- what lies here ---- */

static size_t topic_of(struct renewal *n, struct span name) {
  unsigned topic = 0;
  if (!routing_topic_of(n->s->routing, name, &topic)) return NO_TOPIC;
  return renewal_topic(n, span_of(routing_topic_name(n->s->routing, topic)));
}

static bool take_entry(void *ctx, const struct entry_info *info) {
  struct renewal *n = ctx;
  if (info->reason.len || !info->id.len) return true; /* no event: it will be a dead letter */
  if (n->count == n->cap) {
    size_t cap = n->cap ? n->cap * 2 : 256;
    struct waiting_entry *grown = realloc(n->entries, cap * sizeof *grown);
    if (!grown) return !(n->no_memory = true);
    n->entries = grown;
    n->cap = cap;
  }
  int64_t us = info->created_us != TIME_NONE && info->created_us < info->arrived_us
                   ? info->created_us
                   : info->arrived_us;
  struct waiting_entry e = {.token = arena_span(&n->arena, span_of(info->token)),
                            .label = arena_span(&n->arena, span_of(info->label)),
                            .id = arena_span(&n->arena, info->id),
                            .name = arena_span(&n->arena, info->name),
                            .shelf = info->shelf,
                            .created_us = info->created_us,
                            .since_ms = us / 1000,
                            .topic = topic_of(n, info->name)};
  if (!e.token.ptr || !e.label.ptr || !e.id.ptr) n->no_memory = true;
  if (e.topic != NO_TOPIC) n->topics[e.topic].pending++;
  n->entries[n->count++] = e;
  return !n->no_memory;
}

static bool take_dead(void *ctx, const struct entry_info *info) {
  struct renewal *n = ctx;
  struct span id = info->raw ? (struct span){0} : arena_span(&n->arena, info->id);
  if (id.len && table_put(&n->dead, id, (void *)id.ptr) == ST_NO_MEMORY) n->no_memory = true;
  return !n->no_memory;
}

/* The settled batches were published before the backup was made; what they hold was read from files
 * no younger. A copy of the folder keeps what stands in a manifest, whatever becomes of times on
 * the disk. */
static enum status take_manifests(struct renewal *n, struct error *err) {
  enum status st = manifest_list(n->s->store, &n->list, &n->manifests, err);
  for (size_t i = 0; st == ST_OK && i < n->manifests; i++) {
    struct manifest m = {0};
    if (manifest_read(n->s->store, &n->list[i], &m, NULL) != ST_OK) continue; /* it says nothing */
    for (size_t j = 0; j < m.count && !n->no_memory; j++) {
      size_t topic = renewal_topic(n, m.entries[j].topic);
      int64_t ms = m.entries[j].ref.since_ms;
      if (!n->list[i].settled || m.entries[j].duplicate || topic == NO_TOPIC) continue;
      struct span id = arena_span(&n->arena, m.entries[j].id);
      if (!id.ptr || table_put(&n->settled, id, (void *)n->topics[topic].name) == ST_NO_MEMORY)
        n->no_memory = true;
      n->topics[topic].settled++;
      if (ms > n->backup_ms) n->backup_ms = ms;
    }
    manifest_release(&m);
  }
  return st;
}

static enum status gather_known(struct renewal *n, struct error *err) {
  uint64_t total;
  for (unsigned i = 0; i < routing_topics(n->s->routing); i++)
    renewal_topic(n, span_of(routing_topic_name(n->s->routing, i)));
  enum status st = take_manifests(n, err);
  if (st == ST_OK)
    st =
        store_list(n->s->store, LIST_PENDING | LIST_LOOK | LIST_ALL, 0, take_entry, n, &total, err);
  if (st != ST_OK) error_prefix(err, "nothing was changed; each pending entry has to be known");
  if (st == ST_OK) st = store_list(n->s->store, LIST_DEAD, 0, take_dead, n, &total, err);
  for (size_t i = 0; st == ST_OK && i < n->count; i++) {
    struct waiting_entry *e = &n->entries[i];
    if (e->since_ms < n->backup_ms) e->since_ms = n->backup_ms;
    if (table_put(&n->by_id, e->id, e) == ST_NO_MEMORY) n->no_memory = true;
  }
  return st == ST_OK && n->no_memory ? renewal_no_memory(err) : st;
}

/* ---- what Redis knows ---- */

static void ask_redis(struct renewal *n) {
  struct span ids[KEYS_AT_ONCE];
  bool seen[KEYS_AT_ONCE];
  struct keys_state state;
  keys_state(n->s->keys, &state);
  n->redis = state.off ? "off" : "asked";
  for (size_t at = 0; !state.off && at < n->count;) {
    size_t count = 0, first = at;
    for (; at < n->count && count < KEYS_AT_ONCE; at++) ids[count++] = n->entries[at].id;
    if (keys_check(n->s->keys, ids, count, seen, NULL, NULL) != ST_OK) n->redis = "away";
    for (size_t i = 0; i < count; i++) n->entries[first + i].in_redis = seen[i];
  }
}

/* ---- deciding, and doing ---- */

static void decide(struct renewal *n) {
  for (size_t i = 0; i < n->count; i++) {
    struct waiting_entry *e = &n->entries[i];
    const struct waiting_entry *first = table_get(&n->by_id, e->id);
    e->in_topics = first->in_topics; /* of two with one id the first was told */
    n->in_topics += e->in_topics;
    n->in_redis += e->in_redis;
    if (e->in_topics || e->in_redis) {
      n->published++;
    } else if (e->topic != NO_TOPIC) {
      e->unknown = n->how->beside || e->since_ms < n->topics[e->topic].from_ms;
      n->unknown += e->unknown;
    }
  }
}

static enum status not_out(const struct renewal *n, const struct settling *row, struct error *err) {
  if (row->status != ST_OK) return *err = row->error, row->status;
  if (row->how != SETTLED_CHANGED) return ST_OK;
  return error_set(
      err, ST_IO,
      "%s%.*s was published, but cannot be taken out: it changed, or is no entry any more. "
      "The id is as it was; take it away and try again",
      store_shelf_words(n->s->store, row->ref->shelf, row->ref->token), SPAN_ARGS(row->ref->label));
}

static enum status take_rows(struct renewal *n, struct settling *rows, size_t count,
                             struct error *err) {
  enum status st = store_settle(n->s->store, rows, count, NULL, NULL, err);
  if (st == ST_AGAIN) st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < count; i++) st = not_out(n, &rows[i], err);
  return st;
}

struct taking { /* as many as one call takes */
  struct entry_ref refs[STORE_ROWS];
  struct settling rows[STORE_ROWS];
};

static enum status take_out(struct renewal *n, struct error *err) {
  struct taking *t = calloc(1, sizeof *t);
  enum status st = t ? ST_OK : renewal_no_memory(err);
  size_t count = 0;
  for (size_t i = 0; st == ST_OK && i < n->count; i++) {
    const struct waiting_entry *e = &n->entries[i];
    if (!e->in_topics && !e->in_redis) continue;
    t->refs[count] = (struct entry_ref){.shelf = e->shelf, .token = e->token, .label = e->label};
    t->rows[count] =
        (struct settling){.ref = &t->refs[count], .id = e->id, .late = true, .fate = FATE_DONE};
    if (++count < store_traits(n->s->store)->rows) continue;
    st = take_rows(n, t->rows, count, err);
    count = 0;
  }
  if (st == ST_OK && count) st = take_rows(n, t->rows, count, err);
  free(t);
  return st == ST_OK ? store_sync(n->s->store, err) : st;
}

static enum status renew(struct renewal *n, struct error *err) {
  enum status st = take_out(n, err);
  if (st == ST_OK) st = store_renew_id(n->s->store, err);
  for (size_t i = 0; st == ST_OK && i < n->manifests; i++)
    st = manifest_remove(n->s->store, &n->list[i], err);
  return st;
}

/* ---- what it says ---- */

static void write_topics(const struct renewal *n, struct buffer *json) {
  size_t told = 0;
  buffer_add_char(json, '[');
  for (size_t i = 0; i < n->topic_count; i++) {
    const struct topic_view *t = &n->topics[i];
    bool first = true, some = t->from_ms != INT64_MIN && t->from_ms != INT64_MAX;
    if (!t->pending) continue;
    buffer_add_z(json, told++ ? ",{" : "{");
    member_text(json, &first, "topic", span_of(t->name));
    member_time(json, &first, "tells_from", some ? t->from_ms * 1000 : TIME_NONE);
    member_text(json, &first, "why", span_of(t->why));
    buffer_add_char(json, '}');
  }
  buffer_add_char(json, ']');
}

static void write_unknown(const struct renewal *n, struct buffer *json) {
  size_t shown = 0;
  buffer_add_char(json, '[');
  for (size_t i = 0; i < n->count && shown < NEW_ID_SHOWN; i++) {
    const struct waiting_entry *e = &n->entries[i];
    bool first = true;
    struct buffer file = {0};
    if (!e->unknown) continue;
    buffer_add_z(json, shown++ ? ",{" : "{");
    buffer_printf(&file, "%s%.*s", store_shelf_words(n->s->store, e->shelf, e->token),
                  SPAN_ARGS(e->label));
    member_text(json, &first, "file", buffer_span(&file));
    member_text(json, &first, "id", e->id);
    member_text(json, &first, "name", e->name);
    member_time(json, &first, "created_at", e->created_us);
    buffer_add_char(json, '}');
    buffer_release(&file);
  }
  buffer_add_char(json, ']');
}

static enum status answer(const struct renewal *n, bool changed, const char *was,
                          struct buffer *json, struct error *err) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "outbox", span_of(store_name(n->s->store)));
  member_bool(json, &first, "changed", changed);
  member_text(json, &first, "id", span_of(store_id(n->s->store)));
  member_text(json, &first, "was", span_of(was));
  member_int(json, &first, "pending", (int64_t)n->count);
  member_int(json, &first, "published", (int64_t)n->published);
  member_int(json, &first, "in_topics", (int64_t)n->in_topics);
  member_int(json, &first, "in_redis", (int64_t)n->in_redis);
  member_int(json, &first, "fresh", (int64_t)(n->count - n->published - n->unknown));
  member_int(json, &first, "unknown", (int64_t)n->unknown);
  member_int(json, &first, "dead_published", (int64_t)n->dead_published);
  member_text(json, &first, "redis", span_of(n->redis));
  json_write_key(json, &first, "topics");
  write_topics(n, json);
  json_write_key(json, &first, "unknown_entries");
  write_unknown(n, json);
  buffer_add_char(json, '}');
  return buffer_status(json, err);
}

static enum status renew_outbox(struct renewal *n, struct buffer *json, struct error *err) {
  char was[40];
  snprintf(was, sizeof was, "%s", store_id(n->s->store));
  n->redis = "off";
  enum status st = gather_known(n, err);
  if (st == ST_OK && n->count) { /* where nothing waits nothing can be sent twice */
    st = renewal_reach(n, err);
    if (st == ST_OK) st = renewal_read_topics(n, err);
    if (st == ST_OK) ask_redis(n);
    if (st == ST_OK) decide(n);
  }
  bool changes = n->unknown == n->how->send;
  if (st == ST_OK && changes) st = renew(n, err);
  return st == ST_OK ? answer(n, changes, was, json, err) : st;
}

static void renewal_release(struct renewal *n) {
  free(n->list);
  free(n->entries);
  free(n->topics);
  free(n->cuts);
  table_release(&n->by_id);
  table_release(&n->settled);
  table_release(&n->dead);
  arena_release(&n->arena);
  cluster_close(n->cluster);
  service_close(n->s, 0);
}

/* Looked at before it is opened for change: an outbox that no worker has seen gets no .busbridge
 * from us. */
static enum status was_started(const struct doctor_request *request, struct error *err) {
  const struct store_options options = {.clock = request->clock,
                                        .typed = typed_folder(request->settings)};
  struct store *store = NULL;
  enum status st =
      store_open(setting_text(request->settings, SETTING_OUTBOX_URL), &options, &store, err);
  if (st == ST_OK && !*store_id(store))
    st = error_set(err, ST_NOT_FOUND,
                   "No worker was started on the outbox %s yet: there is nothing to change",
                   store_name(store));
  store_close(store);
  return st;
}

enum status doctor_new_id(const struct doctor_request *request, const struct new_id *how,
                          struct buffer *json, struct error *err) {
  struct service_options options = {.mode = SERVICE_CHANGE, .clock = request->clock};
  struct renewal n = {.request = request, .how = how};
  enum status st = was_started(request, err);
  if (st == ST_OK) st = service_open(request->settings, NULL, &options, &n.s, err);
  if (st == ST_OK) st = renew_outbox(&n, json, err);
  renewal_release(&n);
  return st;
}
