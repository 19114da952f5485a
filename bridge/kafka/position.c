/* position.c - what a group has committed, asked by a consumer that is thrown away. */
#include "bridge/kafka/cluster.h"
#include "bridge/kafka/handle.h"

#include <time.h>

enum {
  ANSWER_MS = 10000, /* one question */
  PAUSE_MS = 50
};

static bool passing(int code) {
  switch (kafka_fault_of(code)) {
  case KAFKA_UNREACHABLE:
  case KAFKA_TIMED_OUT:
  case KAFKA_NOT_ENOUGH_REPLICAS:
  case KAFKA_COORDINATOR: return true;
  case KAFKA_OK:
  case KAFKA_QUEUE_FULL:
  case KAFKA_RECORD_TOO_LARGE:
  case KAFKA_RECORD_REFUSED:
  case KAFKA_CLOCK:
  case KAFKA_TOPIC_UNKNOWN:
  case KAFKA_TOPIC_DENIED:
  case KAFKA_AUTHENTICATION:
  case KAFKA_FENCED:
  case KAFKA_PURGED:
  case KAFKA_FATAL:
  case KAFKA_OTHER: break;
  }
  return false;
}

/* Until an answer that stays, or timeout_ms are used up: there is no clock here, waiting is what is counted. */
static rd_kafka_resp_err_t ask(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int timeout_ms) {
  for (int left = timeout_ms;;) {
    int wait = left < ANSWER_MS ? left : ANSWER_MS;
    rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, wait);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[0].err;
    if (!passing(code)) return code;
    left -= code == RD_KAFKA_RESP_ERR__TIMED_OUT ? wait : PAUSE_MS;
    if (left <= 0) return code;
    nanosleep(&(struct timespec){0, PAUSE_MS * 1000000L}, NULL);
  }
}

static enum status fill(struct position *position, const rd_kafka_topic_partition_t *found, struct error *err) {
  position->number = -1;
  position->digest[0] = 0;
  if (found->offset < 0) return ST_OK; /* RD_KAFKA_OFFSET_INVALID: nothing committed */
  if (found->metadata_size >= sizeof position->digest)
    return error_set(err, ST_INVALID,
                     "position %lld of group %s was committed by somebody else: its metadata is %zu bytes",
                     (long long)found->offset, position->group, found->metadata_size);
  position->number = found->offset;
  if (found->metadata_size) memcpy(position->digest, found->metadata, found->metadata_size);
  position->digest[found->metadata_size] = 0;
  return ST_OK;
}

static enum status read_position(struct handle *h, int timeout_ms, struct position *position, struct error *err) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, position->topic, 0);
  rd_kafka_resp_err_t code = ask(h->rk, list, timeout_ms);
  rd_kafka_topic_partition_t *found = &list->elems[0];
  if (kafka_fault_of(code) == KAFKA_TOPIC_UNKNOWN) {
    found->offset = RD_KAFKA_OFFSET_INVALID;
    code = RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  enum status st;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    st = fill(position, found, err);
  } else {
    char what[320];
    snprintf(what, sizeof what, "reading the position of group %s", position->group);
    st = handle_failed(h, handle_status(code), code, what, err);
  }
  rd_kafka_topic_partition_list_destroy(list);
  return st;
}

enum status cluster_position(const struct kafka_config *config, struct log *log, int timeout_ms,
                             struct position *position, struct error *err) {
  struct kafka_pair *pairs = calloc(config->count + 1, sizeof *pairs);
  if (!pairs) return error_set(err, ST_NO_MEMORY, "out of memory");
  if (config->count) memcpy(pairs, config->pairs, config->count * sizeof *pairs);
  pairs[config->count] = (struct kafka_pair){"group.id", position->group};
  const struct kafka_config with_group = {.pairs = pairs, .count = config->count + 1};
  struct handle handle;
  enum status st = handle_open(&handle, &with_group, HANDLE_POSITION, log, NULL, NULL, err);
  free(pairs);
  if (st != ST_OK) return st;
  st = read_position(&handle, timeout_ms, position, err);
  handle_close(&handle);
  return st;
}
