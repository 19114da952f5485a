/* publisher.c - a librdkafka producer behind numbers and spans. */
#include "bridge/kafka/handle.h"

struct publisher {
  struct handle handle;
  rd_kafka_queue_t *queue; /* the main queue, once publisher_wake_on was called */
  rd_kafka_topic_t **topics;
  size_t topic_count, topic_cap;
  publisher_report_fn report;
  void *ctx;
  size_t in_flight, reported;
  bool closing;
};

/* On the thread that polls or flushes. */
static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  (void)rk;
  struct publisher *p = ((struct handle *)opaque)->owner;
  if (p->closing) return;
  p->in_flight--;
  p->reported++;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) atomic_store_explicit(&p->handle.link, LINK_UP, memory_order_relaxed);
  const struct delivery delivery = {.fault = kafka_fault_of(message->err),
                                    .code = message->err,
                                    .text = rd_kafka_err2str(message->err),
                                    .partition = message->partition,
                                    .offset = message->offset};
  p->report(p->ctx, message->_private, &delivery);
}

enum status publisher_open(const struct kafka_config *config, struct log *log, publisher_report_fn report, void *ctx,
                           struct publisher **out, struct error *err) {
  struct publisher *p = calloc(1, sizeof *p);
  if (!p) return error_set(err, ST_NO_MEMORY, "out of memory");
  p->report = report;
  p->ctx = ctx;
  enum status st = handle_open(&p->handle, config, HANDLE_PUBLISHER, log, on_report, p, err);
  if (st != ST_OK) {
    publisher_close(p);
    return st;
  }
  *out = p;
  return ST_OK;
}

void publisher_close(struct publisher *p) {
  if (!p) return;
  p->closing = true;
  /* Without the purge, destroy would wait for the answers to what is on its way. */
  if (p->handle.rk) rd_kafka_purge(p->handle.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  if (p->queue) {
    rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(p->queue);
  }
  for (size_t i = 0; i < p->topic_count; i++) rd_kafka_topic_destroy(p->topics[i]);
  free(p->topics);
  handle_close(&p->handle);
  free(p);
}

enum status publisher_topic(struct publisher *p, const char *name, unsigned *topic, struct error *err) {
  if (p->topic_count == p->topic_cap) {
    size_t cap = p->topic_cap ? 2 * p->topic_cap : 8;
    rd_kafka_topic_t **grown = realloc(p->topics, cap * sizeof *grown);
    if (!grown) return error_set(err, ST_NO_MEMORY, "out of memory");
    p->topics = grown;
    p->topic_cap = cap;
  }
  rd_kafka_topic_t *handle = rd_kafka_topic_new(p->handle.rk, name, NULL);
  if (!handle) return error_set(err, ST_INVALID, "topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
  *topic = (unsigned)p->topic_count;
  p->topics[p->topic_count++] = handle;
  return ST_OK;
}

static enum kafka_fault refused(struct delivery *delivery, rd_kafka_resp_err_t code) {
  enum kafka_fault fault = kafka_fault_of(code);
  if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) fault = KAFKA_RECORD_TOO_LARGE; /* nobody but we saw it yet */
  if (delivery)
    *delivery =
        (struct delivery){.fault = fault, .code = code, .text = rd_kafka_err2str(code), .partition = -1, .offset = -1};
  return fault;
}

enum kafka_fault publisher_send(struct publisher *p, const struct record *record, struct delivery *delivery) {
  BUG_ON(record->topic >= p->topic_count);
  rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
  for (size_t i = 0; i < record->header_count; i++) {
    const struct record_header *h = &record->headers[i];
    rd_kafka_header_add(headers, h->name, -1, h->value.ptr, (ssize_t)h->value.len);
  }
  /* An empty key is none: murmur2 of nothing would put all of them on one partition. No copy of the value: it lives
   * until the report (librdkafka copies the key and has taken the headers). */
  rd_kafka_resp_err_t code = rd_kafka_producev(
      p->handle.rk, RD_KAFKA_V_RKT(p->topics[record->topic]), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
      RD_KAFKA_V_KEY(record->key.len ? record->key.ptr : NULL, record->key.len),
      RD_KAFKA_V_VALUE((void *)record->value.ptr, record->value.len), RD_KAFKA_V_HEADERS(headers),
      RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_OPAQUE(record->opaque), RD_KAFKA_V_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    p->in_flight++;
    return KAFKA_OK;
  }
  rd_kafka_headers_destroy(headers); /* ours again after a refusal */
  return refused(delivery, code);
}

size_t publisher_poll(struct publisher *p, int timeout_ms) {
  size_t before = p->reported;
  rd_kafka_poll(p->handle.rk, timeout_ms);
  return p->reported - before;
}

void publisher_wake_on(struct publisher *p, int event_fd) {
  static const uint64_t one = 1;
  if (!p->queue) p->queue = rd_kafka_queue_get_main(p->handle.rk);
  rd_kafka_queue_io_event_enable(p->queue, event_fd, &one, sizeof one);
}

size_t publisher_in_flight(const struct publisher *p) {
  return p->in_flight;
}

enum status publisher_flush(struct publisher *p, int timeout_ms) {
  rd_kafka_flush(p->handle.rk, timeout_ms);
  return p->in_flight == 0 ? ST_OK : ST_AGAIN;
}

enum publisher_link publisher_link(const struct publisher *p, struct error *text) {
  struct handle *h = (struct handle *)&p->handle; /* its mutex is no part of what the caller sees */
  if (text) {
    pthread_mutex_lock(&h->mutex);
    *text = h->words;
    pthread_mutex_unlock(&h->mutex);
  }
  return (enum publisher_link)atomic_load(&h->link);
}

bool publisher_fatal(const struct publisher *p, struct error *text) {
  char words[512] = "";
  rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->handle.rk, words, sizeof words);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  error_set(text, ST_UNAVAILABLE, "%s: %s", rd_kafka_err2name(code), words);
  return true;
}
