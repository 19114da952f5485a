/* What only somebody who examines a cluster asks: the release of a broker, limits of a topic.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/handle.h"

enum status cluster_version(const struct kafka_config *config, int timeout_ms,
                            struct kafka_version *out, struct error *err) {
  struct versions versions = {0};
  struct cluster c;
  char id[128];
  enum status st = handle_open(&c.handle, config, HANDLE_VERSIONS, NULL, NULL, &versions, err);
  if (st != ST_OK) return st;
  st = cluster_id(&c, timeout_ms, id, err); /* any answer: a broker tells its versions before it */
  handle_close(&c.handle);
  versions_read(&versions, out);
  return st;
}

/* ---- limits ---- */

int64_t cluster_own_limit(const struct cluster *c) {
  return handle_number(&c->handle, "message.max.bytes");
}

static enum status value_of(const rd_kafka_ConfigResource_t *resource, const char *key, char *out,
                            size_t size, struct error *err) {
  size_t count = 0;
  rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return error_set(err, handle_status(code), "%s", rd_kafka_err2str(code));
  const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
  for (size_t i = 0; i < count; i++) {
    const char *value = rd_kafka_ConfigEntry_value(entries[i]);
    if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), key) != 0 || !value) continue;
    snprintf(out, size, "%s", value);
    return ST_OK;
  }
  return error_set(err, ST_UNSUPPORTED, "the broker names no %s", key);
}

static enum status read_value(rd_kafka_event_t *event, const char *key, char *out, size_t size,
                              struct error *err) {
  size_t count = 0;
  rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return error_set(err, handle_status(code), "%s", rd_kafka_err2str(code));
  const rd_kafka_ConfigResource_t **all = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event), &count);
  return count == 1 ? value_of(all[0], key, out, size, err)
                    : error_set(err, ST_UNSUPPORTED, "the broker tells nothing of it");
}

enum status cluster_topic_setting(struct cluster *c, const char *topic, const char *key,
                                  int timeout_ms, char *out, size_t size, struct error *err) {
  char words[256] = "";
  rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
  if (!resource) return error_set(err, ST_INVALID, "topic %s: the name is empty", topic);
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(c->handle.rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(c->handle.rk);
  enum status st = ST_OK;
  if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words) != 0)
    st = error_set(err, ST_INVALID, "%s", words);
  if (st == ST_OK) {
    rd_kafka_DescribeConfigs(c->handle.rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    st = read_value(event, key, out, size, err);
    if (event) rd_kafka_event_destroy(event);
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy(resource);
  return st == ST_OK || !err ? st : error_prefix(err, "limits of topic %s", topic);
}

enum status cluster_topic_number(struct cluster *c, const char *topic, const char *key,
                                 int timeout_ms, int64_t *number, struct error *err) {
  char text[32];
  enum status st = cluster_topic_setting(c, topic, key, timeout_ms, text, sizeof text, err);
  if (st == ST_OK) *number = strtoll(text, NULL, 10);
  return st;
}

enum status cluster_topic_limit(struct cluster *c, const char *topic, int timeout_ms,
                                int64_t *bytes, struct error *err) {
  return cluster_topic_number(c, topic, "max.message.bytes", timeout_ms, bytes, err);
}

/* ---- its clock ---- */

#define NOTES "__transaction_state"

/* Has it a record of that time or later? */
static enum status has_later(struct cluster *c, int partitions, int64_t ms, int timeout_ms,
                             bool *later, struct error *err) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  for (int i = 0; i < partitions; i++)
    rd_kafka_topic_partition_list_add(list, NOTES, i)->offset = ms;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(c->handle.rk, list, timeout_ms);
  *later = false;
  for (int i = 0; i < partitions; i++) *later |= !list->elems[i].err && list->elems[i].offset >= 0;
  rd_kafka_topic_partition_list_destroy(list);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return ST_OK;
  return handle_failed(&c->handle, handle_status(code), code, "asking for the times of " NOTES,
                       err);
}

/* The broker tells the first record from a time on, so the time of the last is found by halving. */
enum status cluster_noted(struct cluster *c, int timeout_ms, int64_t *wall_ms, struct error *err) {
  enum topic_state state = TOPIC_UNCLEAR;
  int partitions = 0;
  enum status st = cluster_topic(c, NOTES, timeout_ms, &state, &partitions, err);
  if (st != ST_OK) return st;
  if (state == TOPIC_FORBIDDEN)
    return error_set(err, ST_DENIED, "not authorised for the topic " NOTES);
  if (state != TOPIC_THERE) return error_set(err, ST_NOT_FOUND, "there is no topic " NOTES " yet");
  int64_t from = 0,
          to = INT64_C(1)
               << 43; /* it has one at or after `from`, none at or after `to`: the year 2248 */
  while (st == ST_OK && to - from > 1) {
    int64_t middle = from + (to - from) / 2;
    bool later;
    st = has_later(c, partitions, middle, timeout_ms, &later, err);
    if (st != ST_OK) break;
    if (later)
      from = middle;
    else
      to = middle;
  }
  if (st == ST_OK && from == 0) return error_set(err, ST_NOT_FOUND, "no transaction was noted yet");
  *wall_ms = from;
  return st;
}

int cluster_partition(struct span key, int partitions) {
  return (int)rd_kafka_msg_partitioner_murmur2(NULL, key.ptr, key.len, partitions, NULL, NULL);
}
