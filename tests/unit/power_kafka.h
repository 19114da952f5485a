/* power_kafka.h - a Kafka that survives the power loss of the worker's machine: it stands in the
 * place of bridge/kafka's publisher, cluster and reader at link. It keeps what was committed,
 * records and positions, and writes each commit down among the calls of the disk (power.h), so that
 * it can be taken back to what it held at one of them. A transaction that was not committed is gone
 * with the next producer. */
#ifndef TESTS_UNIT_POWER_KAFKA_H
#define TESTS_UNIT_POWER_KAFKA_H

#include "tests/unit/power.h"

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/topic_reader.h"

enum { KAFKA_RECORDS = 100, KAFKA_POSITIONS = 4, KAFKA_TOPICS = 8, KAFKA_MARKS = 200 };
#define KAFKA_REFUSED "refused" /* records with this key are, as long as kafka.refuses */

struct kafka_record {
  char id[40], key[40], topic[60];
};
struct kafka_position {
  char topic[60], group[60], digest[40];
  int64_t number;
};
struct kafka_held {
  struct kafka_record records[KAFKA_RECORDS];
  struct kafka_position positions[KAFKA_POSITIONS];
  size_t count, position_count;
};
static struct {
  struct kafka_held now, marks[KAFKA_MARKS]; /* marks: by the numbers of power_mark */
  size_t mark_count;
  bool refuses;
} kafka;

/* ---- the publisher: one thread ---- */

struct publisher {
  publisher_report_fn report;
  void *ctx;
  char topics[KAFKA_TOPICS][60];
  size_t topic_count;
  struct kafka_held next; /* with what this transaction adds */
  struct {
    void *opaque;
    bool refused;
  } flight[KAFKA_RECORDS];
  size_t in_flight;
  bool failed; /* as the real one, it must be made anew then */
  int wake;
};

enum status publisher_open(const struct kafka_config *config, struct log *log,
                           publisher_report_fn report, void *ctx, struct publisher **out,
                           struct error *err) {
  (void)config, (void)log, (void)err;
  *out = calloc(1, sizeof **out);
  assert_non_null(*out);
  **out = (struct publisher){.report = report, .ctx = ctx, .wake = -1};
  return ST_OK;
}
void publisher_close(struct publisher *p) {
  free(p);
}
void publisher_abandon(struct publisher *p) {
  (void)p;
}
enum status publisher_topic(struct publisher *p, const char *name, unsigned *topic,
                            struct error *err) {
  (void)err;
  assert_true(p->topic_count < KAFKA_TOPICS);
  snprintf(p->topics[p->topic_count], sizeof p->topics[0], "%s", name);
  *topic = (unsigned)p->topic_count++;
  return ST_OK;
}

static void kafka_copy(char *out, size_t size, struct span text) {
  assert_true(text.len < size);
  snprintf(out, size, "%.*s", SPAN_ARGS(text));
}

enum kafka_fault publisher_send(struct publisher *p, const struct record *record,
                                struct delivery *delivery) {
  (void)delivery;
  struct kafka_held *h = &p->next;
  bool refused = kafka.refuses && span_is(record->key, KAFKA_REFUSED);
  assert_true(h->count < KAFKA_RECORDS && p->in_flight < KAFKA_RECORDS);
  struct kafka_record *r = &h->records[h->count];
  h->count += !refused;
  kafka_copy(r->key, sizeof r->key, record->key);
  memcpy(r->topic, p->topics[record->topic], sizeof r->topic);
  for (size_t i = 0; i < record->header_count; i++)
    if (!strcmp(record->headers[i].name, "ce_id"))
      kafka_copy(r->id, sizeof r->id, record->headers[i].value);
  p->flight[p->in_flight].opaque = record->opaque;
  p->flight[p->in_flight++].refused = refused;
  p->failed |= refused;
  return KAFKA_OK;
}
static size_t kafka_report(struct publisher *p, bool purged) {
  size_t n = p->in_flight;
  p->in_flight = 0;
  for (size_t i = 0; i < n; i++) {
    struct delivery d = {.text = "", .partition = 0, .offset = 1};
    if (p->flight[i].refused)
      d = (struct delivery){KAFKA_RECORD_REFUSED, 87, "Broker: Broker failed", 0, -1};
    if (purged) d = (struct delivery){KAFKA_PURGED, 0, "purged", 0, -1};
    p->report(p->ctx, p->flight[i].opaque, &d);
  }
  return n;
}
size_t publisher_poll(struct publisher *p, int timeout_ms) {
  size_t n = kafka_report(p, false);
  if (!n && timeout_ms > 0) usleep(200);
  return n;
}
void publisher_wake_on(struct publisher *p, int event_fd) {
  p->wake = event_fd;
}
int64_t publisher_batch_bytes(const struct publisher *p) {
  (void)p;
  return 1000000;
}
size_t publisher_in_flight(const struct publisher *p) {
  return p->in_flight;
}
enum status publisher_flush(struct publisher *p, int timeout_ms) {
  publisher_poll(p, timeout_ms);
  return ST_OK;
}
enum publisher_link publisher_link(const struct publisher *p, struct error *text) {
  (void)p, (void)text;
  return LINK_UP;
}
bool publisher_fatal(const struct publisher *p, struct error *text) {
  (void)p, (void)text;
  return false;
}
enum txn_next publisher_init(struct publisher *p, int timeout_ms, struct error *err) {
  (void)p, (void)timeout_ms, (void)err;
  return TXN_DONE;
}
enum txn_next publisher_begin(struct publisher *p, struct error *err) {
  (void)err;
  p->next = kafka.now;
  return TXN_DONE;
}
enum txn_next publisher_position(struct publisher *p, const struct position *position,
                                 struct error *err) {
  (void)err;
  size_t i = 0;
  struct kafka_held *h = &p->next;
  while (i < h->position_count && (strcmp(h->positions[i].topic, position->topic) != 0 ||
                                   strcmp(h->positions[i].group, position->group) != 0))
    i++;
  assert_true(i < KAFKA_POSITIONS);
  if (i == h->position_count) h->position_count++;
  h->positions[i].number = position->number;
  snprintf(h->positions[i].topic, sizeof h->positions[i].topic, "%s", position->topic);
  snprintf(h->positions[i].group, sizeof h->positions[i].group, "%s", position->group);
  memcpy(h->positions[i].digest, position->digest, sizeof h->positions[i].digest);
  return TXN_DONE;
}
enum txn_next publisher_commit(struct publisher *p, struct error *err) {
  (void)err;
  kafka.now = p->next;
  if (power.on) {
    assert_true(kafka.mark_count < KAFKA_MARKS - 1);
    kafka.marks[++kafka.mark_count] = kafka.now;
    power_mark(kafka.mark_count);
  }
  return TXN_DONE;
}
enum txn_next publisher_abort(struct publisher *p, struct error *err) {
  (void)err;
  kafka_report(p, true);
  return TXN_DONE;
}
bool publisher_clean(const struct publisher *p) {
  return !p->failed;
}

/* ---- the cluster: all topics are there ---- */

struct cluster {
  int nothing;
};
enum status cluster_open(const struct kafka_config *config, struct log *log, struct cluster **out,
                         struct error *err) {
  (void)config, (void)log, (void)err;
  *out = calloc(1, sizeof **out);
  return ST_OK;
}
void cluster_close(struct cluster *c) {
  free(c);
}
enum status cluster_id(struct cluster *c, int timeout_ms, char out[128], struct error *err) {
  (void)c, (void)timeout_ms, (void)err;
  snprintf(out, 128, "power");
  return ST_OK;
}
enum status cluster_reach(struct cluster *c, int timeout_ms, struct error *err) {
  (void)c, (void)timeout_ms, (void)err;
  return ST_OK;
}
enum status cluster_topic(struct cluster *c, const char *topic, int timeout_ms,
                          enum topic_state *state, int *partitions, struct error *err) {
  (void)c, (void)topic, (void)timeout_ms, (void)err;
  *state = TOPIC_THERE;
  if (partitions) *partitions = 1;
  return ST_OK;
}
enum status cluster_create_topic(struct cluster *c, const char *topic, int partitions,
                                 int replication, int timeout_ms, struct error *err) {
  (void)c, (void)topic, (void)partitions, (void)replication, (void)timeout_ms, (void)err;
  return ST_OK;
}
void cluster_create_hint(const struct kafka_config *config, const char *topic, struct buffer *out) {
  (void)config, (void)topic, (void)out;
}
void cluster_command(const struct kafka_config *config, const char *tool, struct buffer *out) {
  (void)config, (void)tool, (void)out;
}
enum status cluster_offsets(struct cluster *c, const char *topic, int partition, int timeout_ms,
                            int64_t *low, int64_t *high, struct error *err) {
  (void)c, (void)topic, (void)partition, (void)timeout_ms, (void)err;
  *low = 0;
  *high = KAFKA_RECORDS;
  return ST_OK;
}
enum status cluster_topic_setting(struct cluster *c, const char *topic, const char *key,
                                  int timeout_ms, char *out, size_t size, struct error *err) {
  (void)c, (void)topic, (void)key, (void)timeout_ms, (void)err;
  snprintf(out, size, "delete");
  return ST_OK;
}
enum status cluster_topic_limit(struct cluster *c, const char *topic, int timeout_ms,
                                int64_t *bytes, struct error *err) {
  (void)c, (void)topic, (void)timeout_ms;
  *bytes = 0;
  return error_set(err, ST_UNSUPPORTED, "it is not known");
}
enum status cluster_noted(struct cluster *c, int timeout_ms, int64_t *wall_ms, struct error *err) {
  (void)c, (void)timeout_ms, (void)wall_ms;
  return error_set(err, ST_NOT_FOUND, "it is not known");
}
enum status cluster_position(const struct kafka_config *config, struct log *log, int timeout_ms,
                             struct position *position, struct error *err) {
  (void)config, (void)log, (void)timeout_ms, (void)err;
  position->number = -1;
  position->digest[0] = '\0';
  for (size_t i = 0; i < kafka.now.position_count; i++) {
    const struct kafka_position *p = &kafka.now.positions[i];
    if (strcmp(p->topic, position->topic) != 0 || strcmp(p->group, position->group) != 0) continue;
    position->number = p->number;
    memcpy(position->digest, p->digest, sizeof position->digest);
  }
  return ST_OK;
}
enum status cluster_positions(const struct kafka_config *config, struct log *log, int timeout_ms,
                              const char *group, struct group_position **list, size_t *count,
                              struct error *err) {
  (void)config, (void)log, (void)timeout_ms, (void)err;
  *list = calloc(KAFKA_POSITIONS, sizeof **list);
  *count = 0;
  for (size_t i = 0; i < kafka.now.position_count; i++) {
    const struct kafka_position *p = &kafka.now.positions[i];
    if (strcmp(p->group, group) != 0) continue;
    struct group_position *g = &(*list)[(*count)++];
    snprintf(g->topic, sizeof g->topic, "%s", p->topic);
    g->number = p->number;
    memcpy(g->digest, p->digest, sizeof g->digest);
  }
  return ST_OK;
}

/* ---- the reader: all records of all topics, from their beginning ---- */

struct topic_reader {
  size_t at;
  struct record_header header;
};
enum status topic_reader_open(const struct kafka_config *config, struct log *log,
                              const char *const *topics, size_t count, bool from_end,
                              int timeout_ms, struct topic_reader **out, struct error *err) {
  (void)config, (void)log, (void)topics, (void)count, (void)from_end, (void)timeout_ms, (void)err;
  *out = calloc(1, sizeof **out);
  return ST_OK;
}
enum status topic_reader_seek_time(struct topic_reader *r, int64_t from_ms, int timeout_ms,
                                   struct error *err) {
  (void)r, (void)from_ms, (void)timeout_ms, (void)err;
  return ST_OK;
}
enum status topic_reader_seek_back(struct topic_reader *r, int64_t from_ms, int64_t last,
                                   int timeout_ms, uint64_t *offsets, struct error *err) {
  (void)r, (void)from_ms, (void)last, (void)timeout_ms, (void)err;
  *offsets = kafka.now.count;
  return ST_OK;
}
bool topic_reader_begins(const struct topic_reader *r, size_t i, const char **topic, int *partition,
                         int64_t *offset) {
  (void)r, (void)i, (void)topic, (void)partition, (void)offset;
  return false;
}
void topic_reader_close(struct topic_reader *r) {
  free(r);
}
enum status topic_reader_next(struct topic_reader *r, int timeout_ms, struct message *out,
                              struct error *err) {
  (void)timeout_ms, (void)err;
  if (r->at == kafka.now.count) return ST_END;
  const struct kafka_record *k = &kafka.now.records[r->at];
  r->header = (struct record_header){"ce_id", span_of(k->id)};
  *out = (struct message){.topic = k->topic,
                          .offset = (int64_t)r->at++,
                          .timestamp_ms = clock_wall_us(&clock_system) / 1000,
                          .key = span_of(k->key),
                          .headers = &r->header,
                          .header_count = 1};
  return ST_OK;
}

#endif
