/* cluster.c - what the broker of kafka.c answers: cluster.h and reader.h; and what starts make of
 * it. */
#include "bridge/relay/ledger/standing.h"
#include "tests/simulate/fibers.h"
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- cluster.h ---- */

static enum status away(struct error *err) {
  error_set(err, ST_UNAVAILABLE, "nobody answers");
  return ST_UNAVAILABLE;
}

enum status cluster_open(const struct kafka_config *config, struct log *log, struct cluster **out,
                         struct error *err) {
  (void)config, (void)log, (void)err;
  static char one;
  *out = (struct cluster *)(void *)&one;
  return ST_OK;
}

void cluster_close(struct cluster *c) {
  (void)c;
}

enum status cluster_id(struct cluster *c, int timeout_ms, char out[128], struct error *err) {
  (void)c;
  if (!kafka_reachable(timeout_ms)) return away(err);
  snprintf(out, 128, "simulated");
  return ST_OK;
}

enum status cluster_reach(struct cluster *c, int timeout_ms, struct error *err) {
  (void)c;
  return kafka_reachable(timeout_ms) ? ST_OK : away(err);
}

enum status cluster_topic(struct cluster *c, const char *topic, int timeout_ms,
                          enum topic_state *state, int *partitions, struct error *err) {
  (void)c, (void)topic;
  *state = TOPIC_THERE;
  if (partitions) *partitions = PARTITIONS;
  return kafka_reachable(timeout_ms) ? ST_OK : away(err);
}

enum status cluster_create_topic(struct cluster *c, const char *topic, int partitions,
                                 int replication, int timeout_ms, struct error *err) {
  (void)c, (void)topic, (void)partitions, (void)replication;
  return kafka_reachable(timeout_ms) ? ST_OK : away(err);
}

enum status cluster_topic_limit(struct cluster *c, const char *topic, int timeout_ms,
                                int64_t *bytes, struct error *err) {
  (void)c, (void)topic, (void)timeout_ms, (void)bytes;
  return error_set(err, ST_DENIED, "not told");
}

enum status cluster_noted(struct cluster *c, int timeout_ms, int64_t *wall_ms_out,
                          struct error *err) {
  (void)c, (void)timeout_ms, (void)wall_ms_out;
  return error_set(err, ST_DENIED, "not told");
}

void cluster_create_hint(const struct kafka_config *config, const char *topic, struct buffer *out) {
  (void)config, (void)topic, (void)out;
}

void cluster_command(const struct kafka_config *config, const char *tool, struct buffer *out) {
  (void)config, (void)tool, (void)out;
}

enum status cluster_topic_setting(struct cluster *c, const char *topic, const char *key,
                                  int timeout_ms, char *out, size_t size, struct error *err) {
  (void)c, (void)topic, (void)key;
  snprintf(out, size, "delete");
  return kafka_reachable(timeout_ms) ? ST_OK : away(err);
}

static enum status offsets_of(const char *topic, int partition, int64_t *low, int64_t *high) {
  *low = *high = 0; /* nothing is ever removed */
  for (size_t i = 0; i < world.record_count; i++)
    if (world.records[i].partition == partition &&
        !strcmp(world.topics[world.records[i].topic], topic))
      *high = world.records[i].offset + 1;
  return ST_OK;
}

enum status cluster_offsets(struct cluster *c, const char *topic, int partition, int timeout_ms,
                            int64_t *low, int64_t *high, struct error *err) {
  (void)c;
  return kafka_reachable(timeout_ms) ? offsets_of(topic, partition, low, high) : away(err);
}

static bool any_pending(void) {
  for (size_t i = 0; i < world.identity_count; i++)
    if (world.identities[i].pending.number >= 0) return true;
  return false;
}

enum status cluster_position(const struct kafka_config *config, struct log *log, int timeout_ms,
                             struct position *position, struct error *err) {
  (void)config, (void)log;
  int64_t until_ns = sim_now_ns() + (int64_t)timeout_ms * 1000000;
  if (!kafka_reachable(timeout_ms)) return away(err);
  while (any_pending() && sim_now_ns() < until_ns) { /* not told while a transaction is open */
    sim_sleep_ns(50000000);
    kafka_tick();
  }
  if (any_pending() || !world.kafka_up) return away(err);
  position->number = -1;
  position->digest[0] = '\0';
  if (world.stale_left && sim_chance(world.faults.stale)) { /* a broker that has just come back */
    world.stale_left--;
    reach(REACHED_STALE);
    return ST_OK;
  }
  for (size_t i = 0; i < world.position_count; i++) {
    const struct sim_position *p = &world.positions[i];
    if (strcmp(p->topic, position->topic) != 0 || strcmp(p->group, position->group) != 0) continue;
    position->number = p->number;
    memcpy(position->digest, p->digest, sizeof position->digest);
  }
  return ST_OK;
}

enum status cluster_positions(const struct kafka_config *config, struct log *log, int timeout_ms,
                              const char *group, struct group_position **list, size_t *count,
                              struct error *err) {
  (void)config, (void)log;
  *count = 0;
  *list = calloc(POSITIONS, sizeof **list);
  if (!*list) abort();
  if (!kafka_reachable(timeout_ms)) return away(err);
  for (size_t i = 0; i < world.position_count; i++) {
    const struct sim_position *p = &world.positions[i];
    if (strcmp(p->group, group) != 0) continue;
    struct group_position *to = &(*list)[(*count)++];
    snprintf(to->topic, sizeof to->topic, "%s", p->topic);
    to->number = p->number;
    memcpy(to->digest, p->digest, sizeof to->digest);
  }
  return ST_OK;
}

/* ---- reader.h: committed records up to what is there now ---- */

struct topic_reader {
  size_t at, end;
  int64_t from_ms;
  struct record_header header;
};

enum status topic_reader_open(const struct kafka_config *config, struct log *log,
                              const char *const *topics, size_t count, bool from_end,
                              int timeout_ms, struct topic_reader **out, struct error *err) {
  (void)config, (void)log, (void)topics, (void)count, (void)from_end;
  if (!kafka_reachable(timeout_ms)) return away(err);
  struct topic_reader *r = calloc(1, sizeof *r);
  if (!r) abort();
  r->end = world.record_count;
  *out = r;
  return ST_OK;
}

enum status topic_reader_seek_time(struct topic_reader *r, int64_t from_ms, int timeout_ms,
                                   struct error *err) {
  r->from_ms = from_ms;
  return kafka_reachable(timeout_ms) ? ST_OK : away(err);
}

enum status topic_reader_seek_back(struct topic_reader *r, int64_t from_ms, int64_t last,
                                   int timeout_ms, uint64_t *offsets, struct error *err) {
  (void)last;
  *offsets = r->end;
  return topic_reader_seek_time(r, from_ms, timeout_ms, err);
}

bool topic_reader_begins(const struct topic_reader *r, size_t i, const char **topic, int *partition,
                         int64_t *offset) {
  if (i >= (size_t)world.topic_count * PARTITIONS) return false;
  *topic = world.topics[i / PARTITIONS];
  *partition = (int)(i % PARTITIONS);
  *offset = (int64_t)r->at;
  return true;
}

void topic_reader_close(struct topic_reader *r) {
  free(r);
}

enum status topic_reader_next(struct topic_reader *r, int timeout_ms, struct message *out,
                              struct error *err) {
  if (!kafka_reachable(timeout_ms)) return away(err);
  while (r->at < r->end && world.records[r->at].timestamp_ms < r->from_ms) r->at++;
  while (r->at < r->end && world.records[r->at].fate == ABORTED) r->at++;
  if (r->at == r->end) return ST_END;
  if (world.records[r->at].fate == OPEN) {
    sim_sleep_ns((int64_t)timeout_ms * 1000000);
    return ST_AGAIN;
  }
  const struct sim_record *one = &world.records[r->at++];
  r->header = (struct record_header){"ce_id", span_of(one->id)};
  *out = (struct message){.topic = world.topics[one->topic],
                          .partition = one->partition,
                          .offset = one->offset,
                          .timestamp_ms = one->timestamp_ms,
                          .headers = &r->header,
                          .header_count = 1};
  return ST_OK;
}

/* ---- what a start found: bridge/relay/PROTOCOL.md 4 ---- */

enum status __real_standing_find(const struct kafka_config *config, struct log *log,
                                 const struct store *store, const char *topic, const char *group,
                                 int timeout_ms, const struct manifest_name *list, size_t count,
                                 struct standing *out, struct error *err);
enum status __wrap_standing_find(const struct kafka_config *config, struct log *log,
                                 const struct store *store, const char *topic, const char *group,
                                 int timeout_ms, const struct manifest_name *list, size_t count,
                                 struct standing *out, struct error *err);
enum status __wrap_standing_find(const struct kafka_config *config, struct log *log,
                                 const struct store *store, const char *topic, const char *group,
                                 int timeout_ms, const struct manifest_name *list, size_t count,
                                 struct standing *out, struct error *err) {
  enum status st =
      __real_standing_find(config, log, store, topic, group, timeout_ms, list, count, out, err);
  if (st == ST_OK) reach((enum reached)(REACHED_STANDING + (int)out->kind));
  return st;
}
