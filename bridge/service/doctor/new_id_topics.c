/* What the topics know of the entries of an outbox that is to go on under a new id.
 * One thread; a crash leaves nothing. */
#include "bridge/base/disk/durable.h"
#include "bridge/kafka/topic_reader.h"
#include "bridge/service/doctor/new_id.h"

#define ANSWER_MS 10000
#define QUIET_MS 30000
#define FENCE_MS 60000
#define FAR_MS (INT64_C(3600) * 1000) /* what clocks may be apart at worst */
#define NEAR_MS 5000                  /* and those of one machine */

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
  return err->status != ST_OK ? err->status
                              : error_set(err, ST_UNAVAILABLE, "Kafka does not answer");
}

/* Another cluster's topics know nothing of it. */
enum status renewal_reach(struct renewal *n, struct error *err) {
  char id[128] = "";
  struct buffer known = {0};
  enum status st = kafka_config_check(&n->s->plan.kafka, NULL, err);
  if (st == ST_OK) st = cluster_open(&n->s->plan.kafka, n->s->log, &n->cluster, err);
  if (st == ST_OK) st = cluster_id(n->cluster, ANSWER_MS, id, err);
  if (st == ST_OK && store_note_read(n->s->store, NOTE_CLUSTER, &known, NULL) == ST_OK &&
      !span_is(span_trim(buffer_span(&known)), id))
    st = error_set(
        err, ST_INVALID,
        "The outbox belongs to the Kafka cluster %.*s, but the one reached is %s, whose topics "
        "cannot tell what was published. Fix kafka.bootstrap.servers; if the change is meant, "
        "first: busbridge doctor --accept-cluster",
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
  st = cluster_topic_setting(n->cluster, t->name, "cleanup.policy", ANSWER_MS, policy,
                             sizeof policy, err);
  if (st == ST_UNAVAILABLE) return st;
  if (st != ST_OK)
    tells_nothing(t, "nothing for certain: whether it is compacted may not be asked");
  else if (strstr(policy, "compact"))
    tells_nothing(t, "nothing for certain: it is compacted");
  return ST_OK;
}

/* After the seek: does each partition hold records of before the time it begins at? */
static enum status find_cuts(struct renewal *n, const struct topic_reader *reader,
                             struct error *err) {
  const char *name;
  int partition;
  int64_t offset, low = 0, high = 0;
  for (size_t i = 0; topic_reader_begins(reader, i, &name, &partition, &offset); i++) {
    size_t topic = renewal_topic(n, span_of(name));
    enum status st = cluster_offsets(n->cluster, name, partition, ANSWER_MS, &low, &high, err);
    if (st != ST_OK) return st;
    if (high > low) n->topics[topic].holds = true;
    if (low == 0 || low < offset) continue;
    struct cut *grown = realloc(n->cuts, (n->cut_count + 1) * sizeof *grown);
    if (!grown) return renewal_no_memory(err);
    n->cuts = grown;
    n->cuts[n->cut_count++] = (struct cut){.topic = topic, .partition = partition};
  }
  return ST_OK;
}

static void note_cut(struct renewal *n, const struct message *m) {
  for (size_t i = 0; i < n->cut_count; i++) {
    struct topic_view *t = &n->topics[n->cuts[i].topic];
    if (n->cuts[i].read || n->cuts[i].partition != m->partition || strcmp(t->name, m->topic) != 0)
      continue;
    n->cuts[i].read = true;
    if (routing_event_times(n->s->routing, span_of(t->name))) {
      tells_nothing(
          t,
          "nothing for certain: older records were removed, and the times of those that are there "
          "are the events' own");
      continue;
    }
    int64_t ms = m->timestamp_ms + (m->broker_time ? FAR_MS : NEAR_MS);
    if (ms <= t->from_ms) continue;
    t->from_ms = ms;
    t->why = "what is older was removed by its retention";
  }
}

static void see_record(struct renewal *n, const struct message *m) {
  note_cut(n, m);
  for (size_t i = 0; i < m->header_count; i++) {
    if (strcmp(m->headers[i].name, "ce_id") != 0) continue;
    struct span id = m->headers[i].value;
    struct waiting_entry *e = table_get(&n->by_id, id);
    const char *topic = table_get(&n->settled, id);
    if (e) e->in_topics = true;
    if (topic && !strcmp(topic, m->topic)) n->topics[renewal_topic(n, span_of(topic))].seen++;
    if (table_remove(&n->dead, id)) n->dead_published++;
  }
}

static enum status read_on(struct renewal *n, struct topic_reader *reader, uint64_t offsets,
                           struct error *err) {
  struct message m;
  enum status st = ST_OK;
  for (uint64_t records = 0; st == ST_OK; records++) {
    st = topic_reader_next(reader, QUIET_MS, &m, err);
    if (st == ST_AGAIN)
      return error_set(err, ST_UNAVAILABLE,
                       "Kafka said nothing for %d s: the topics could not be read to their end",
                       QUIET_MS / 1000);
    if (st == ST_OK) see_record(n, &m);
    if (st == ST_OK && n->how->progress) n->how->progress(n->how->progress_ctx, records, offsets);
  }
  return st == ST_END ? ST_OK : st;
}

/* Where nothing was ever removed, a topic is whole unless it was made anew; that shows where it
 * lacks what was settled.
 */
static void conclude_topics(struct renewal *n) {
  for (size_t i = 0; i < n->cut_count; i++)
    if (!n->cuts[i].read)
      tells_nothing(&n->topics[n->cuts[i].topic], "nothing: all was removed by its retention");
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

enum status renewal_read_topics(struct renewal *n, struct error *err) {
  const char **names = calloc(n->topic_count + 1, sizeof *names);
  struct topic_reader *reader = NULL;
  size_t count = 0;
  uint64_t offsets = 0;
  enum status st = names ? ST_OK : renewal_no_memory(err);
  for (size_t i = 0; st == ST_OK && i < n->topic_count; i++) {
    st = look_at_topic(n, &n->topics[i], err);
    if (st == ST_OK && n->topics[i].present) names[count++] = n->topics[i].name;
  }
  if (st == ST_OK && count) {
    st = topic_reader_open(&n->s->plan.kafka, n->s->log, names, count, false, ANSWER_MS, &reader,
                           err);
    if (st == ST_OK) st = topic_reader_seek_back(reader, begin_ms(n), 0, ANSWER_MS, &offsets, err);
    if (st == ST_OK) st = find_cuts(n, reader, err);
    if (st == ST_OK) st = read_on(n, reader, offsets, err);
    topic_reader_close(reader);
  }
  free(names);
  if (st == ST_OK) conclude_topics(n);
  return st;
}
