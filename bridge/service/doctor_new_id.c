/* doctor_new_id.c - an outbox whose ledger cannot be trusted any more (it was restored from a backup, copied, its
 * position reset) goes on under an id of its own, once it is known what of its pending entries was published already.
 *
 *   fence     what the old id left in Kafka is resolved, so that the topics are complete (not beside the original)
 *   gather    the pending entries, and the manifests, which say how late the backup is at least
 *   read      the topics from there on, and Redis
 *   decide    published: out. The topics reach back far enough, and do not hold it: it stays. Else: asked for
 *   renew     take out, the new id, and then the manifests, which say nothing any more
 *
 * A crash in between leaves the old id or the new one, and nothing that was not published is gone: the same command
 * again, or the next start, goes on.
 */
#include "bridge/base/durable.h"
#include "bridge/base/table.h"
#include "bridge/kafka/reader.h"
#include "bridge/outbox/manifest.h"
#include "bridge/service/doctor.h"
#include "bridge/service/operations.h"
#include "bridge/service/parts.h"

#include <inttypes.h>

#define ANSWER_MS 10000
#define QUIET_MS 30000
#define FENCE_MS 60000
#define KEYS_AT_ONCE 500
#define FAR_MS (INT64_C(3600) * 1000) /* what clocks may be apart at worst */
#define NEAR_MS 5000                  /* and those of one machine */

struct waiting_entry {
  struct span file, id, name;
  enum place place;
  int64_t created_us, since_ms; /* since_ms: it cannot have been published before */
  size_t topic;                 /* of topics; NO_TOPIC: it is published nowhere */
  bool in_topics, in_redis, unknown;
};
#define NO_TOPIC SIZE_MAX

struct topic_view {
  const char *name;
  bool present, holds;  /* holds: a record at least */
  size_t pending;       /* entries that belong there */
  size_t settled, seen; /* ids of the settled batches that belong there, and that are there */
  int64_t from_ms;      /* it tells from then on: INT64_MIN from its beginning, INT64_MAX nothing */
  const char *why;
};

/* A partition whose records of before the time looked at are gone: it tells from the first one that is left. */
struct cut {
  size_t topic;
  int partition;
  bool read;
};

struct renewal {
  const struct doctor_request *request;
  const struct new_id *how;
  struct service *s;
  struct cluster *cluster;
  struct manifest_name *list;
  size_t manifests;
  struct arena arena;
  struct waiting_entry *entries;
  size_t count, cap;
  struct table by_id;   /* id -> the first entry with it */
  struct table settled; /* id of a settled batch -> its topic_view */
  struct table dead;    /* ids of dead letters -> themselves */
  struct topic_view *topics;
  size_t topic_count;
  struct cut *cuts;
  size_t cut_count;
  int64_t backup_ms; /* the backup is no older: of the last entry that was settled in it; 0: not known */
  uint64_t published, in_topics, in_redis, unknown, dead_published;
  const char *redis;
  bool no_memory;
};

static enum status no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "out of memory for what is pending");
}

/* ---- what lies here ---- */

static size_t topic_at(struct renewal *n, struct span name) {
  for (size_t i = 0; i < n->topic_count; i++)
    if (span_is(name, n->topics[i].name)) return i;
  struct topic_view *grown = realloc(n->topics, (n->topic_count + 1) * sizeof *grown);
  const char *kept = arena_copy(&n->arena, name);
  if (grown) n->topics = grown;
  if (!grown || !kept) return n->no_memory = true, NO_TOPIC;
  n->topics[n->topic_count] = (struct topic_view){.name = kept, .from_ms = INT64_MIN, .why = "from its beginning"};
  return n->topic_count++;
}

static size_t topic_of(struct renewal *n, struct span name) {
  struct span ns, wanted = routing_namespace_of(n->s->routing, name);
  unsigned topic = 0;
  for (unsigned i = 0; wanted.len && routing_namespace(n->s->routing, i, &ns, &topic); i++)
    if (span_eq(ns, wanted)) return topic_at(n, span_of(routing_topic_name(n->s->routing, topic)));
  return NO_TOPIC;
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
  int64_t us = info->created_us != TIME_NONE && info->created_us < info->mtime_us ? info->created_us : info->mtime_us;
  struct waiting_entry e = {.file = arena_span(&n->arena, span_of(info->file)),
                            .id = arena_span(&n->arena, info->id),
                            .name = arena_span(&n->arena, info->name),
                            .place = info->place,
                            .created_us = info->created_us,
                            .since_ms = us / 1000,
                            .topic = topic_of(n, info->name)};
  if (!e.file.ptr || !e.id.ptr) n->no_memory = true;
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

/* The settled batches were published before the backup was made; what they hold was read from files no younger. A copy
 * of the folder keeps what stands in a manifest, whatever becomes of times on the disk. */
static enum status take_manifests(struct renewal *n, struct error *err) {
  enum status st = manifest_list(n->s->store, &n->list, &n->manifests, err);
  for (size_t i = 0; st == ST_OK && i < n->manifests; i++) {
    struct manifest m = {0};
    if (manifest_read(n->s->store, &n->list[i], &m, NULL) != ST_OK) continue; /* it says nothing */
    for (size_t j = 0; j < m.count && !n->no_memory; j++) {
      size_t topic = topic_at(n, m.entries[j].topic);
      int64_t ms = entry_since_ms(&m.entries[j].ref);
      if (!n->list[i].settled || m.entries[j].duplicate || topic == NO_TOPIC) continue;
      struct span id = arena_span(&n->arena, m.entries[j].id);
      if (!id.ptr || table_put(&n->settled, id, (void *)n->topics[topic].name) == ST_NO_MEMORY) n->no_memory = true;
      n->topics[topic].settled++;
      if (ms > n->backup_ms) n->backup_ms = ms;
    }
    manifest_release(&m);
  }
  return st;
}

static enum status gather(struct renewal *n, struct error *err) {
  uint64_t total;
  for (unsigned i = 0; i < routing_topics(n->s->routing); i++)
    topic_at(n, span_of(routing_topic_name(n->s->routing, i)));
  enum status st = take_manifests(n, err);
  if (st == ST_OK) st = store_list(n->s->store, LIST_PENDING | LIST_LOOK | LIST_ALL, 0, take_entry, n, &total, err);
  if (st != ST_OK) error_prefix(err, "nothing was changed; each pending entry has to be known");
  if (st == ST_OK) st = store_list(n->s->store, LIST_DEAD, 0, take_dead, n, &total, err);
  for (size_t i = 0; st == ST_OK && i < n->count; i++) {
    struct waiting_entry *e = &n->entries[i];
    if (e->since_ms < n->backup_ms) e->since_ms = n->backup_ms;
    if (table_put(&n->by_id, e->id, e) == ST_NO_MEMORY) n->no_memory = true;
  }
  return st == ST_OK && n->no_memory ? no_memory(err) : st;
}

/* ---- what the topics know ---- */

static void no_report(void *ctx, void *opaque, const struct delivery *delivery) {
  (void)ctx, (void)opaque, (void)delivery;
}

/* A transaction of the old id may be open still, or on its way to be committed. */
static enum status fence(struct renewal *n, struct error *err) {
  struct kafka_config config = n->s->plan.kafka;
  struct publisher *publisher = NULL;
  config.transactional_id = n->s->plan.group;
  config.at_least_once = false;
  enum status st = publisher_open(&config, n->s->log, no_report, NULL, &publisher, err);
  enum txn_next next = TXN_AGAIN;
  for (int waited = 0; st == ST_OK && next == TXN_AGAIN && waited < FENCE_MS; waited += ANSWER_MS)
    next = publisher_init(publisher, ANSWER_MS, err);
  publisher_close(publisher);
  if (st != ST_OK || next == TXN_DONE) return st;
  return err->status != ST_OK ? err->status : error_set(err, ST_UNAVAILABLE, "Kafka does not answer");
}

/* Another cluster's topics know nothing of it. */
static enum status reach(struct renewal *n, struct error *err) {
  char id[128] = "";
  struct buffer known = {0};
  enum status st = kafka_config_check(&n->s->plan.kafka, NULL, err);
  if (st == ST_OK) st = cluster_open(&n->s->plan.kafka, n->s->log, &n->cluster, err);
  if (st == ST_OK) st = cluster_id(n->cluster, ANSWER_MS, id, err);
  if (st == ST_OK && state_note_read(n->s->state, NOTE_CLUSTER, &known, NULL) == ST_OK &&
      !span_is(span_trim(buffer_span(&known)), id))
    st = error_set(
        err, ST_INVALID,
        "The outbox belongs to the Kafka cluster %.*s, but the one reached is %s, whose topics cannot tell what "
        "was published. Mend kafka.bootstrap.servers; if the change is meant, first: busbridge doctor "
        "--accept-cluster",
        SPAN_ARGS(span_trim(buffer_span(&known))), id);
  buffer_release(&known);
  bool mock = span_starts(span_of(id), "mockCluster");
  if (st == ST_OK && n->s->plan.exactly_once && !n->how->beside && !mock) st = fence(n, err);
  return st;
}

static void tells_nothing(struct topic_view *t, const char *why) {
  t->from_ms = INT64_MAX;
  t->why = why;
}

static enum status look_at_topic(struct renewal *n, struct topic_view *t, struct error *err) {
  enum topic_state state = TOPIC_UNCLEAR;
  char policy[64] = "";
  enum status st = cluster_topic(n->cluster, t->name, ANSWER_MS, &state, NULL, err);
  if (st != ST_OK) return st;
  t->present = state != TOPIC_MISSING;
  if (!t->present) {
    tells_nothing(t, "nothing: it is missing");
    return ST_OK;
  }
  st = cluster_topic_setting(n->cluster, t->name, "cleanup.policy", ANSWER_MS, policy, sizeof policy, err);
  if (st == ST_UNAVAILABLE) return st;
  if (st != ST_OK)
    tells_nothing(t, "nothing for certain: whether it is compacted may not be asked");
  else if (strstr(policy, "compact"))
    tells_nothing(t, "nothing for certain: it is compacted");
  return ST_OK;
}

/* After the seek: does each partition hold records of before the time it begins at? */
static enum status find_cuts(struct renewal *n, const struct reader *reader, struct error *err) {
  const char *name;
  int partition;
  int64_t offset, low = 0, high = 0;
  for (size_t i = 0; reader_begins(reader, i, &name, &partition, &offset); i++) {
    size_t topic = topic_at(n, span_of(name));
    enum status st = cluster_offsets(n->cluster, name, partition, ANSWER_MS, &low, &high, err);
    if (st != ST_OK) return st;
    if (high > low) n->topics[topic].holds = true;
    if (low == 0 || low < offset) continue;
    struct cut *grown = realloc(n->cuts, (n->cut_count + 1) * sizeof *grown);
    if (!grown) return no_memory(err);
    n->cuts = grown;
    n->cuts[n->cut_count++] = (struct cut){.topic = topic, .partition = partition};
  }
  return ST_OK;
}

static void note_cut(struct renewal *n, const struct message *m) {
  for (size_t i = 0; i < n->cut_count; i++) {
    struct topic_view *t = &n->topics[n->cuts[i].topic];
    if (n->cuts[i].read || n->cuts[i].partition != m->partition || strcmp(t->name, m->topic) != 0) continue;
    n->cuts[i].read = true;
    int64_t ms = m->timestamp_ms + (m->broker_time ? FAR_MS : NEAR_MS);
    if (ms <= t->from_ms) continue;
    t->from_ms = ms;
    t->why = "what is older was removed by its retention";
  }
}

static void see(struct renewal *n, const struct message *m) {
  note_cut(n, m);
  for (size_t i = 0; i < m->header_count; i++) {
    if (strcmp(m->headers[i].name, "ce_id") != 0) continue;
    struct span id = m->headers[i].value;
    struct waiting_entry *e = table_get(&n->by_id, id);
    const char *topic = table_get(&n->settled, id);
    if (e) e->in_topics = true;
    if (topic && !strcmp(topic, m->topic)) n->topics[topic_at(n, span_of(topic))].seen++;
    if (table_remove(&n->dead, id)) n->dead_published++;
  }
}

static enum status read_on(struct renewal *n, struct reader *reader, uint64_t offsets, struct error *err) {
  struct message m;
  enum status st = ST_OK;
  for (uint64_t records = 0; st == ST_OK; records++) {
    st = reader_next(reader, QUIET_MS, &m, err);
    if (st == ST_AGAIN) return error_set(err, ST_UNAVAILABLE, "The topics could not be read to their end");
    if (st == ST_OK) see(n, &m);
    if (st == ST_OK && n->how->progress) n->how->progress(n->how->progress_ctx, records, offsets);
  }
  return st == ST_END ? ST_OK : st;
}

/* Where nothing was ever removed, a topic is whole unless it was made anew; that shows where it lacks what was settled.
 */
static void conclude_topics(struct renewal *n) {
  for (size_t i = 0; i < n->cut_count; i++)
    if (!n->cuts[i].read) tells_nothing(&n->topics[n->cuts[i].topic], "nothing: all was removed by its retention");
  for (size_t i = 0; i < n->topic_count; i++) {
    struct topic_view *t = &n->topics[i];
    if (t->from_ms != INT64_MIN) continue;
    if (t->settled && !t->seen)
      tells_nothing(t, "nothing: it was made anew, and lacks what this outbox published last");
    else if (!t->holds)
      tells_nothing(t, "nothing: it is empty");
  }
}

static int64_t begin_ms(const struct renewal *n) {
  int64_t from = INT64_MAX;
  for (size_t i = 0; i < n->count; i++)
    if (n->entries[i].since_ms < from) from = n->entries[i].since_ms;
  if (n->backup_ms && n->backup_ms < from) from = n->backup_ms;
  return from > FAR_MS ? from - FAR_MS : 0;
}

static enum status read_topics(struct renewal *n, struct error *err) {
  const char **names = calloc(n->topic_count + 1, sizeof *names);
  struct reader *reader = NULL;
  size_t count = 0;
  uint64_t offsets = 0;
  enum status st = names ? ST_OK : no_memory(err);
  for (size_t i = 0; st == ST_OK && i < n->topic_count; i++) {
    st = look_at_topic(n, &n->topics[i], err);
    if (st == ST_OK && n->topics[i].present) names[count++] = n->topics[i].name;
  }
  if (st == ST_OK && count) {
    st = reader_open(&n->s->plan.kafka, n->s->log, names, count, false, ANSWER_MS, &reader, err);
    if (st == ST_OK) st = reader_seek_back(reader, begin_ms(n), 0, ANSWER_MS, &offsets, err);
    if (st == ST_OK) st = find_cuts(n, reader, err);
    if (st == ST_OK) st = read_on(n, reader, offsets, err);
    reader_close(reader);
  }
  free(names);
  if (st == ST_OK) conclude_topics(n);
  return st;
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

static enum status take_out(struct renewal *n, struct error *err) {
  for (size_t i = 0; i < n->count; i++) {
    const struct waiting_entry *e = &n->entries[i];
    struct entry_ref ref = {.name = e->file, .place = e->place};
    enum settled how = SETTLED_GONE;
    if (!e->in_topics && !e->in_redis) continue;
    enum status st = store_done_id(n->s->store, &ref, e->id, &how, err);
    if (st == ST_OK && how == SETTLED_CHANGED)
      st = error_set(
          err, ST_IO,
          "%s%.*s was published, but cannot be taken out: it changed, or is no plain file with one link. The id "
          "is as it was; take the file away and try again",
          place_path(e->place), SPAN_ARGS(e->file));
    if (st != ST_OK) return st;
  }
  return store_sync(n->s->store, err);
}

static enum status renew(struct renewal *n, struct error *err) {
  enum status st = take_out(n, err);
  if (st == ST_OK) st = state_renew_id(n->s->state, err);
  for (size_t i = 0; st == ST_OK && i < n->manifests; i++) st = manifest_remove(n->s->store, &n->list[i], err);
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
    buffer_printf(&file, "%s%.*s", place_path(e->place), SPAN_ARGS(e->file));
    member_text(json, &first, "file", buffer_span(&file));
    member_text(json, &first, "id", e->id);
    member_text(json, &first, "name", e->name);
    member_time(json, &first, "created_at", e->created_us);
    buffer_add_char(json, '}');
    buffer_release(&file);
  }
  buffer_add_char(json, ']');
}

static enum status answer(const struct renewal *n, bool changed, const char *was, struct buffer *json,
                          struct error *err) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "outbox", span_of(state_path(n->s->state)));
  member_bool(json, &first, "changed", changed);
  member_text(json, &first, "id", span_of(state_id(n->s->state)));
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

static enum status run(struct renewal *n, struct buffer *json, struct error *err) {
  char was[40];
  snprintf(was, sizeof was, "%s", state_id(n->s->state));
  n->redis = "off";
  enum status st = gather(n, err);
  if (st == ST_OK && n->count) { /* where nothing waits nothing can be sent twice */
    st = reach(n, err);
    if (st == ST_OK) st = read_topics(n, err);
    if (st == ST_OK) ask_redis(n);
    if (st == ST_OK) decide(n);
  }
  bool changes = n->unknown == n->how->send;
  if (st == ST_OK && changes) st = renew(n, err);
  return st == ST_OK ? answer(n, changes, was, json, err) : st;
}

static void release(struct renewal *n) {
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

/* Looked at before it is opened for change: an outbox that no worker has seen gets no .busbridge from us. */
static enum status was_started(const struct doctor_request *request, struct error *err) {
  const char *folder = NULL;
  struct state *state = NULL;
  enum status st = store_address(setting_text(request->settings, SETTING_OUTBOX_URL), &folder, err);
  if (st == ST_OK) st = state_open(folder, false, request->clock, &state, err);
  if (st == ST_OK && !*state_id(state))
    st = error_set(err, ST_NOT_FOUND, "No worker was started on the outbox %s yet: there is nothing to change", folder);
  state_close(state);
  return st;
}

enum status doctor_new_id(const struct doctor_request *request, const struct new_id *how, struct buffer *json,
                          struct error *err) {
  struct service_options options = {.mode = SERVICE_CHANGE, .clock = request->clock};
  struct renewal n = {.request = request, .how = how};
  enum status st = was_started(request, err);
  if (st == ST_OK) st = service_open(request->settings, NULL, &options, &n.s, err);
  if (st == ST_OK) st = run(&n, json, err);
  release(&n);
  return st;
}
