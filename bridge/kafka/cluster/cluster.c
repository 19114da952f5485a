/* Metadata, watermarks and topic creation, over a producer handle that never sends a record.
 * One thread at a time; a crash leaves at most a topic that was just made. */
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/handle.h"

enum status cluster_open(const struct kafka_config *config, struct log *log, struct cluster **out,
                         struct error *err) {
  struct cluster *c = calloc(1, sizeof *c);
  if (!c) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = handle_open(&c->handle, config, HANDLE_CLUSTER, log, NULL, c, err);
  if (st != ST_OK) {
    cluster_close(c);
    return st;
  }
  *out = c;
  return ST_OK;
}

void cluster_close(struct cluster *c) {
  if (!c) return;
  handle_close(&c->handle);
  free(c);
}

/* It does not pass by itself: no need to wait for the answer. */
static bool is_hopeless(struct cluster *c) {
  rd_kafka_poll(c->handle.rk, 0);
  mutex_lock(&c->handle.mutex);
  enum kafka_cause cause = (enum kafka_cause)c->handle.words.cause;
  mutex_unlock(&c->handle.mutex);
  return !kafka_cause_passes(cause) && atomic_load(&c->handle.link) != LINK_UP;
}

enum status cluster_id(struct cluster *c, int timeout_ms, char out[128], struct error *err) {
  enum { STEP_MS = 250 };
  char *id = rd_kafka_clusterid(c->handle.rk, 0); /* it is known already, as a rule */
  for (int left = timeout_ms; !id && left > 0 && !is_hopeless(c); left -= STEP_MS)
    id = rd_kafka_clusterid(c->handle.rk, left < STEP_MS ? left : STEP_MS);
  if (!id)
    return handle_failed(&c->handle, ST_UNAVAILABLE, RD_KAFKA_RESP_ERR__TIMED_OUT,
                         "Kafka does not tell its id", err);
  snprintf(out, 128, "%s", id);
  rd_kafka_mem_free(c->handle.rk, id);
  return ST_OK;
}

static enum topic_state topic_state(rd_kafka_resp_err_t code) {
  switch (kafka_fault_of(code)) {
  case KAFKA_OK: return TOPIC_THERE;
  case KAFKA_TOPIC_UNKNOWN: return TOPIC_MISSING;
  case KAFKA_TOPIC_DENIED: return TOPIC_FORBIDDEN;
  default: return TOPIC_UNCLEAR; /* e.g. its leader is being elected */
  }
}

enum status cluster_topic(struct cluster *c, const char *topic, int timeout_ms,
                          enum topic_state *state, int *partitions, struct error *err) {
  rd_kafka_topic_t *handle = rd_kafka_topic_new(c->handle.rk, topic, NULL);
  if (!handle)
    return error_set(err, ST_INVALID, "topic %s: %s", topic,
                     rd_kafka_err2str(rd_kafka_last_error()));
  const struct rd_kafka_metadata *found = NULL;
  rd_kafka_resp_err_t code = rd_kafka_metadata(c->handle.rk, 0, handle, &found, timeout_ms);
  enum status st = ST_OK;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    st = handle_failed(&c->handle, handle_status(code), code, "Kafka does not answer", err);
  } else {
    const struct rd_kafka_metadata_topic *t = found->topic_cnt == 1 ? &found->topics[0] : NULL;
    *state = t ? topic_state(t->err) : TOPIC_UNCLEAR;
    if (partitions) *partitions = t && *state == TOPIC_THERE ? t->partition_cnt : 0;
    rd_kafka_metadata_destroy(found);
  }
  rd_kafka_topic_destroy(handle);
  return st;
}

static enum status created(struct cluster *c, const char *topic, rd_kafka_event_t *event,
                           struct error *err) {
  rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  const char *words = event ? rd_kafka_event_error_string(event) : NULL;
  if (event && code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    size_t count = 0;
    const rd_kafka_topic_result_t **all =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    if (count != 1)
      return error_set(err, ST_UNAVAILABLE,
                       "creating topic %s: the broker's answer names %zu topics", topic, count);
    code = rd_kafka_topic_result_error(all[0]);
    words = rd_kafka_topic_result_error_string(all[0]);
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    return ST_OK;
  enum status st = handle_status(code);
  char what[320];
  snprintf(what, sizeof what, "creating topic %s", topic);
  bool away = kafka_fault_of(code) == KAFKA_UNREACHABLE || kafka_fault_of(code) == KAFKA_TIMED_OUT;
  if (away) return handle_failed(&c->handle, st, code, what, err);
  if (st == ST_UNAVAILABLE || st == ST_NOT_FOUND)
    st = ST_INVALID; /* the broker understood and refused */
  return error_set(err, st, "%s: %s", what, words ? words : rd_kafka_err2str(code));
}

/* The mock names a controller that does not exist, so that a request for it would wait for its
 * timeout. */
static enum status can_create(struct cluster *c, const char *topic, int timeout_ms,
                              struct error *err) {
  char id[128];
  enum status st = cluster_id(c, timeout_ms, id, err);
  if (st == ST_OK && span_starts(span_of(id), "mockCluster"))
    st = error_set(err, ST_UNSUPPORTED, "the development broker cannot create topics on request");
  if (st == ST_OK) return st;
  return err ? error_prefix(err, "creating topic %s", topic) : st;
}

static enum status create(struct cluster *c, const char *topic, int partitions, int replication,
                          bool only_check, int timeout_ms, struct error *err) {
  char words[256] = "";
  enum status st = can_create(c, topic, timeout_ms, err);
  if (st != ST_OK) return st;
  rd_kafka_NewTopic_t *wanted =
      rd_kafka_NewTopic_new(topic, partitions, replication, words, sizeof words);
  if (!wanted) return error_set(err, ST_INVALID, "creating topic %s: %s", topic, words);
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(c->handle.rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(c->handle.rk);
  if (rd_kafka_AdminOptions_set_validate_only(options, only_check, words, sizeof words) != 0 ||
      rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words) != 0 ||
      rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, words, sizeof words) != 0) {
    st = error_set(err, ST_INVALID, "creating topic %s: %s", topic, words);
    goto out;
  }
  rd_kafka_CreateTopics(c->handle.rk, &wanted, 1, options, queue);
  /* The request's own timeout ends it; the second on top is for the answer's way here. */
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
  st = created(c, topic, event, err);
  if (event) rd_kafka_event_destroy(event);
out:
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(wanted);
  return st;
}

enum status cluster_create_topic(struct cluster *c, const char *topic, int partitions,
                                 int replication, int timeout_ms, struct error *err) {
  return create(c, topic, partitions, replication, false, timeout_ms, err);
}

enum status cluster_may_create_topic(struct cluster *c, const char *topic, int partitions,
                                     int replication, int timeout_ms, struct error *err) {
  return create(c, topic, partitions, replication, true, timeout_ms, err);
}

enum status cluster_offsets(struct cluster *c, const char *topic, int partition, int timeout_ms,
                            int64_t *low, int64_t *high, struct error *err) {
  rd_kafka_resp_err_t code =
      rd_kafka_query_watermark_offsets(c->handle.rk, topic, partition, low, high, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return ST_OK;
  char what[320];
  snprintf(what, sizeof what, "offsets of %s [%d]", topic, partition);
  return handle_failed(&c->handle, handle_status(code), code, what, err);
}
