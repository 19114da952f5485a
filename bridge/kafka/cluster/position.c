/* What a group has committed, asked by a consumer that is thrown away.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/handle.h"

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

/* Until an answer that stays, a stop, or timeout_ms are used up: there is no clock here, waiting is
 * what is counted. */
static rd_kafka_resp_err_t ask_group(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                     int timeout_ms, const struct stop *stop) {
  for (int left = timeout_ms;;) {
    int wait = left < ANSWER_MS ? left : ANSWER_MS;
    rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, wait);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = list->elems[0].err;
    if (!passing(code)) return code;
    left -= code == RD_KAFKA_RESP_ERR__TIMED_OUT ? wait : PAUSE_MS;
    if (left <= 0 || !sleep_ms(PAUSE_MS, stop)) return code;
  }
}

/* What is longer than a digest of ours was committed by somebody else; so was what has none. */
static void take_digest(const rd_kafka_topic_partition_t *found, char out[40]) {
  bool ours = found->metadata_size < 40;
  size_t size = ours ? found->metadata_size : 0;
  if (size) memcpy(out, found->metadata, size);
  out[size] = 0;
  if (!ours) memcpy(out, "?", 2);
}

static void fill_position(struct position *position, const rd_kafka_topic_partition_t *found) {
  position->number = -1;
  position->digest[0] = 0;
  if (found->offset < 0) return; /* RD_KAFKA_OFFSET_INVALID: nothing committed */
  position->number = found->offset;
  take_digest(found, position->digest);
}

static enum status read_position(struct handle *h, int timeout_ms, const struct stop *stop,
                                 struct position *position, struct error *err) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, position->topic, 0);
  rd_kafka_resp_err_t code = ask_group(h->rk, list, timeout_ms, stop);
  rd_kafka_topic_partition_t *found = &list->elems[0];
  if (kafka_fault_of(code) == KAFKA_TOPIC_UNKNOWN) {
    found->offset = RD_KAFKA_OFFSET_INVALID;
    code = RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  enum status st = ST_OK;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    fill_position(position, found);
  } else if (passing(code) && stop_asked(stop)) {
    st = error_set(err, ST_CANCELLED, "stopped while reading the position of group %s",
                   position->group);
  } else {
    char what[320];
    snprintf(what, sizeof what, "reading the position of group %s", position->group);
    st = handle_failed(h, handle_status(code), code, what, err);
  }
  rd_kafka_topic_partition_list_destroy(list);
  return st;
}

/* A consumer of that group, which joins nothing. */
static enum status open_in_group(struct handle *handle, const struct kafka_config *config,
                                 const char *group, struct log *log, struct error *err) {
  struct kafka_pair *pairs = calloc(config->count + 1, sizeof *pairs);
  if (!pairs) return error_set(err, ST_NO_MEMORY, "out of memory");
  if (config->count) memcpy(pairs, config->pairs, config->count * sizeof *pairs);
  pairs[config->count] = (struct kafka_pair){"group.id", group};
  const struct kafka_config with_group = {.pairs = pairs, .count = config->count + 1};
  enum status st = handle_open(handle, &with_group, HANDLE_POSITION, log, NULL, NULL, err);
  free(pairs);
  return st;
}

enum status cluster_position(const struct kafka_config *config, struct log *log, int timeout_ms,
                             struct position *position, struct error *err) {
  struct handle handle;
  enum status st = open_in_group(&handle, config, position->group, log, err);
  if (st != ST_OK) return st;
  st = read_position(&handle, timeout_ms, config->stop, position, err);
  handle_close(&handle);
  return st;
}

/* ---- of all topics ---- */

static enum status take_all(const rd_kafka_topic_partition_list_t *all,
                            struct group_position **list, size_t *count, struct error *err) {
  *list = calloc(all ? (size_t)all->cnt + 1 : 1, sizeof **list);
  if (!*list) return error_set(err, ST_NO_MEMORY, "out of memory");
  for (int i = 0; all && i < all->cnt; i++) {
    const rd_kafka_topic_partition_t *found = &all->elems[i];
    struct group_position *to = &(*list)[*count];
    if (found->partition != 0 || found->offset < 0 || found->err ||
        strlen(found->topic) >= sizeof to->topic)
      continue;
    snprintf(to->topic, sizeof to->topic, "%s", found->topic);
    to->number = found->offset;
    take_digest(found, to->digest);
    ++*count;
  }
  return ST_OK;
}

static enum status read_answer(struct handle *h, rd_kafka_event_t *event, const char *group,
                               struct group_position **list, size_t *count, struct error *err) {
  rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
  const rd_kafka_topic_partition_list_t *all = NULL;
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    size_t groups = 0;
    const rd_kafka_group_result_t **results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &groups);
    const rd_kafka_error_t *why = groups ? rd_kafka_group_result_error(results[0]) : NULL;
    if (why) code = rd_kafka_error_code(why);
    if (groups && !why) all = rd_kafka_group_result_partitions(results[0]);
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return take_all(all, list, count, err);
  char what[320];
  snprintf(what, sizeof what, "listing the positions of group %s", group);
  return handle_failed(h, handle_status(code), code, what, err);
}

/* By a consumer of that very group: on any other handle librdkafka (2.0.2 to 2.10 at least) crashes
 * when the broker says that it does not coordinate it (confluent-kafka-javascript#374). */
static enum status list_positions(struct handle *h, const char *group, int timeout_ms,
                                  struct group_position **list, size_t *count, struct error *err) {
  char words[256] = "";
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(h->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(h->rk);
  rd_kafka_ListConsumerGroupOffsets_t *wanted = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
  rd_kafka_error_t *refused = rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);
  enum status st = ST_OK;
  if (refused) {
    st = error_set(err, ST_UNSUPPORTED, "%s", rd_kafka_error_string(refused));
    rd_kafka_error_destroy(refused);
  } else if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words) !=
             0) {
    st = error_set(err, ST_INVALID, "%s", words);
  } else {
    rd_kafka_ListConsumerGroupOffsets(h->rk, &wanted, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
    st = read_answer(h, event, group, list, count, err);
    if (event) rd_kafka_event_destroy(event);
  }
  rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  return st;
}

enum status cluster_positions(const struct kafka_config *config, struct log *log, int timeout_ms,
                              const char *group, struct group_position **list, size_t *count,
                              struct error *err) {
  struct handle handle;
  *list = NULL;
  *count = 0;
  enum status st = open_in_group(&handle, config, group, log, err);
  if (st != ST_OK) return st;
  st = list_positions(&handle, group, timeout_ms, list, count, err);
  handle_close(&handle);
  return st;
}
