/* A librdkafka consumer whose partitions are assigned by hand.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/kafka/topic_reader.h"
#include "bridge/kafka/handle.h"

struct topic_reader {
  struct handle handle;
  rd_kafka_topic_partition_list_t *assigned;
  bool *at_end;  /* by place in assigned */
  int64_t *stop; /* likewise: the end that counts; NULL: the one it has when it is reached */
  size_t ends;   /* how many of them are */
  bool begun, end_said;
  bool once; /* a partition that was at its end counts as read, whatever comes meanwhile */
  rd_kafka_message_t *message; /* lent to the caller until the next call */
  struct record_header *headers;
  size_t header_cap;
};

static enum status add_partition(struct topic_reader *r, const char *topic, int partition,
                                 bool from_end, int timeout_ms, struct error *err) {
  int64_t low = 0, high = 0;
  if (from_end) { /* asked now: librdkafka would ask later, and what comes in between would be
                     missed */
    rd_kafka_resp_err_t code =
        rd_kafka_query_watermark_offsets(r->handle.rk, topic, partition, &low, &high, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return handle_failed(&r->handle, handle_status(code), code, topic, err);
  }
  rd_kafka_topic_partition_list_add(r->assigned, topic, partition)->offset =
      from_end ? high : RD_KAFKA_OFFSET_BEGINNING;
  return ST_OK;
}

static enum status add_topic(struct topic_reader *r, const char *topic, bool from_end,
                             int timeout_ms, struct error *err) {
  rd_kafka_topic_t *handle = rd_kafka_topic_new(r->handle.rk, topic, NULL);
  if (!handle)
    return error_set(err, ST_INVALID, "topic %s: %s", topic,
                     rd_kafka_err2str(rd_kafka_last_error()));
  const struct rd_kafka_metadata *found = NULL;
  rd_kafka_resp_err_t code = rd_kafka_metadata(r->handle.rk, 0, handle, &found, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = found->topics[0].err;
  enum status st = ST_OK;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    char what[320];
    snprintf(what, sizeof what, "topic %s", topic);
    st = handle_failed(&r->handle, handle_status(code), code, what, err);
  }
  for (int i = 0; st == ST_OK && i < found->topics[0].partition_cnt; i++)
    st = add_partition(r, topic, found->topics[0].partitions[i].id, from_end, timeout_ms, err);
  if (found) rd_kafka_metadata_destroy(found);
  rd_kafka_topic_destroy(handle);
  return st;
}

/* Only once it is known from where: a fetch that waits for records at the end keeps other questions
 * waiting with it. */
static enum status assign(struct topic_reader *r, struct error *err) {
  rd_kafka_resp_err_t code = rd_kafka_assign(r->handle.rk, r->assigned);
  r->begun = code == RD_KAFKA_RESP_ERR_NO_ERROR;
  return r->begun
             ? ST_OK
             : handle_failed(&r->handle, handle_status(code), code, "assigning partitions", err);
}

enum status topic_reader_open(const struct kafka_config *config, struct log *log,
                              const char *const *topics, size_t count, bool from_end,
                              int timeout_ms, struct topic_reader **out, struct error *err) {
  struct topic_reader *r = calloc(1, sizeof *r);
  if (!r) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = handle_open(&r->handle, config, HANDLE_READER, log, NULL, r, err);
  if (st != ST_OK) goto out;
  rd_kafka_poll_set_consumer(r->handle.rk);
  r->assigned = rd_kafka_topic_partition_list_new((int)count);
  for (size_t i = 0; st == ST_OK && i < count; i++)
    st = add_topic(r, topics[i], from_end, timeout_ms, err);
  if (st == ST_OK && !(r->at_end = calloc((size_t)r->assigned->cnt + 1, sizeof *r->at_end)))
    st = error_set(err, ST_NO_MEMORY, "out of memory");
out:
  if (st != ST_OK) {
    topic_reader_close(r);
    return st;
  }
  *out = r;
  return ST_OK;
}

enum status topic_reader_seek_time(struct topic_reader *r, int64_t from_ms, int timeout_ms,
                                   struct error *err) {
  for (int i = 0; i < r->assigned->cnt; i++) r->assigned->elems[i].offset = from_ms;
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(r->handle.rk, r->assigned, timeout_ms);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return assign(r, err);
  return handle_failed(&r->handle, handle_status(code), code, "looking for offsets by time", err);
}

/* r->assigned: by time when from_ms is one. */
static rd_kafka_resp_err_t by_time(struct topic_reader *r, int64_t from_ms, int timeout_ms) {
  for (int i = 0; i < r->assigned->cnt; i++) r->assigned->elems[i].offset = from_ms;
  if (from_ms == INT64_MAX) return RD_KAFKA_RESP_ERR_NO_ERROR;
  return rd_kafka_offsets_for_times(r->handle.rk, r->assigned, timeout_ms);
}

/* The broker is asked once it is read: whoever asks it now, and cannot reach it, waits in
 * librdkafka without an end. */
void topic_reader_last(struct topic_reader *r, int64_t last) {
  BUG_ON(r->begun);
  for (int i = 0; i < r->assigned->cnt; i++)
    r->assigned->elems[i].offset =
        last < INT32_MAX ? RD_KAFKA_OFFSET_TAIL(last) : RD_KAFKA_OFFSET_BEGINNING;
  r->once = true;
}

struct seek {
  int64_t last;
  bool before; /* up to the offset that the time gave, else from there on */
  int timeout_ms;
  uint64_t offsets;
};

static enum status seek_one(struct topic_reader *r, int i, struct seek *seek, struct error *err) {
  rd_kafka_topic_partition_t *p = &r->assigned->elems[i];
  int64_t low = 0, high = 0, from;
  rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(r->handle.rk, p->topic, p->partition,
                                                              &low, &high, seek->timeout_ms);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle_failed(&r->handle, handle_status(code), code, p->topic, err);
  if (seek->before && p->offset >= low && p->offset < high) high = p->offset;
  from = seek->last < high - low ? high - seek->last : low;
  if (!seek->before && p->offset >= 0 && p->offset < from) from = p->offset > low ? p->offset : low;
  p->offset = from;
  r->stop[i] = high;
  r->at_end[i] = from >= high;
  r->ends += r->at_end[i];
  seek->offsets += (uint64_t)(high - from);
  return ST_OK;
}

static enum status seek_all(struct topic_reader *r, int64_t time_ms, struct seek *seek,
                            struct error *err) {
  if (!r->stop) r->stop = calloc((size_t)r->assigned->cnt + 1, sizeof *r->stop);
  if (!r->stop) return error_set(err, ST_NO_MEMORY, "out of memory");
  rd_kafka_resp_err_t code = by_time(r, time_ms, seek->timeout_ms);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle_failed(&r->handle, handle_status(code), code, "looking for offsets by time", err);
  r->ends = 0;
  r->end_said = false;
  enum status st = ST_OK;
  for (int i = 0; st == ST_OK && i < r->assigned->cnt; i++) st = seek_one(r, i, seek, err);
  return st == ST_OK ? assign(r, err) : st;
}

enum status topic_reader_seek_back(struct topic_reader *r, int64_t from_ms, int64_t last,
                                   int timeout_ms, uint64_t *offsets, struct error *err) {
  struct seek seek = {last, false, timeout_ms, 0};
  enum status st = seek_all(r, from_ms, &seek, err);
  *offsets = seek.offsets;
  return st;
}

enum status topic_reader_seek_before(struct topic_reader *r, int64_t before_ms, int64_t last,
                                     int timeout_ms, struct error *err) {
  struct seek seek = {last, true, timeout_ms, 0};
  return seek_all(r, before_ms, &seek, err);
}

enum status topic_reader_only(struct topic_reader *r, int partition, int64_t offset,
                              struct error *err) {
  for (int i = r->assigned->cnt - 1; i >= 0; i--) {
    rd_kafka_topic_partition_t *p = &r->assigned->elems[i];
    if (p->partition == partition && offset >= 0) p->offset = offset;
    if (p->partition != partition) rd_kafka_topic_partition_list_del_by_idx(r->assigned, i);
  }
  return r->assigned->cnt ? ST_OK
                          : error_set(err, ST_NOT_FOUND, "There is no partition %d", partition);
}

bool topic_reader_begins(const struct topic_reader *r, size_t i, const char **topic, int *partition,
                         int64_t *offset) {
  if (i >= (size_t)r->assigned->cnt) return false;
  *topic = r->assigned->elems[i].topic;
  *partition = r->assigned->elems[i].partition;
  *offset = r->assigned->elems[i].offset;
  return true;
}

static void give_back(struct topic_reader *r) {
  if (r->message) rd_kafka_message_destroy(r->message);
  r->message = NULL;
}

void topic_reader_close(struct topic_reader *r) {
  if (!r) return;
  give_back(r);
  if (r->assigned) rd_kafka_topic_partition_list_destroy(r->assigned);
  handle_close(&r->handle);
  free(r->at_end);
  free(r->stop);
  free(r->headers);
  free(r);
}

/* Notes whether the partition of this message is at its end. */
static void mark_partition(struct topic_reader *r, bool at_end) {
  const char *topic = rd_kafka_topic_name(r->message->rkt);
  for (int i = 0; i < r->assigned->cnt; i++) {
    const rd_kafka_topic_partition_t *p = &r->assigned->elems[i];
    if (p->partition != r->message->partition || strcmp(p->topic, topic) != 0) continue;
    if (r->once) at_end = r->at_end[i] || at_end;
    if (r->stop) at_end = r->at_end[i] || at_end || r->message->offset + 1 >= r->stop[i];
    if (r->at_end[i] != at_end) r->ends += at_end ? 1 : (size_t)-1;
    r->at_end[i] = at_end;
    return;
  }
}

static enum status fill_headers(struct topic_reader *r, struct message *out, struct error *err) {
  rd_kafka_headers_t *list = NULL;
  out->headers = r->headers;
  out->header_count = 0;
  if (rd_kafka_message_headers(r->message, &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return ST_OK;
  size_t count = rd_kafka_header_cnt(list);
  if (count > r->header_cap) {
    struct record_header *grown = realloc(r->headers, count * sizeof *grown);
    if (!grown) return error_set(err, ST_NO_MEMORY, "out of memory");
    r->headers = grown;
    r->header_cap = count;
  }
  for (size_t i = 0; i < count; i++) {
    const void *value = NULL;
    rd_kafka_header_get_all(list, i, &r->headers[i].name, &value, &r->headers[i].value.len);
    r->headers[i].value.ptr = value;
  }
  out->headers = r->headers;
  out->header_count = count;
  return ST_OK;
}

static enum status fill_message(struct topic_reader *r, struct message *out, struct error *err) {
  const rd_kafka_message_t *m = r->message;
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  int64_t timestamp_ms = rd_kafka_message_timestamp(m, &type);
  *out = (struct message){.topic = rd_kafka_topic_name(m->rkt),
                          .partition = m->partition,
                          .offset = m->offset,
                          .timestamp_ms = timestamp_ms,
                          .broker_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME,
                          .key = {m->key, m->key_len},
                          .value = {m->payload, m->len}};
  return fill_headers(r, out, err);
}

enum status topic_reader_next(struct topic_reader *r, int timeout_ms, struct message *out,
                              struct error *err) {
  enum status st = r->begun ? ST_OK : assign(r, err);
  if (st != ST_OK) return st;
  for (;;) {
    if (!r->end_said && r->ends == (size_t)r->assigned->cnt) {
      r->end_said = true;
      return ST_END;
    }
    give_back(r);
    r->message = rd_kafka_consumer_poll(r->handle.rk, timeout_ms);
    if (!r->message && atomic_load(&r->handle.misnamed))
      return handle_failed(&r->handle, ST_UNAVAILABLE, RD_KAFKA_RESP_ERR__TIMED_OUT, "", err);
    if (!r->message) return ST_AGAIN;
    rd_kafka_resp_err_t code = r->message->err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      mark_partition(r, false);
      if (!r->stop && !r->once) r->end_said = false;
      return fill_message(r, out, err);
    }
    if (code != RD_KAFKA_RESP_ERR__PARTITION_EOF)
      return error_set(err, handle_status(code), "reading: %s",
                       rd_kafka_message_errstr(r->message));
    mark_partition(r, true);
  }
}
