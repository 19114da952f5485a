/* A librdkafka producer behind numbers and spans: records, their reports, transactions. A crash
 * leaves an open transaction, which the next producer or the broker aborts.
 * One thread; its reports come on the same. */
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
  bool transactional;
  bool open;       /* a transaction: begun, neither committed nor aborted */
  bool committing; /* commit was called in it: from here on nothing is answered by an abort */
  /* A record failed that had its sequence number already. librdkafka (2.0.2, 2.8.0) goes on
   * counting behind it, and the next transaction fails as "skipped sequence numbers". */
  bool gap;
};

/* On the thread that polls or flushes. */
static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  (void)rk;
  struct publisher *p = ((struct handle *)opaque)->owner;
  if (p->closing) return;
  p->in_flight--;
  p->reported++;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
    atomic_store_explicit(&p->handle.link, LINK_UP, memory_order_relaxed);
  enum kafka_fault fault = kafka_fault_of(message->err);
  if (fault != KAFKA_OK && fault != KAFKA_PURGED && message->partition >= 0) p->gap = true;
  const struct delivery delivery = {.fault = fault,
                                    .code = message->err,
                                    .text = rd_kafka_err2str(message->err),
                                    .partition = message->partition,
                                    .offset = message->offset};
  p->report(p->ctx, message->_private, &delivery);
}

enum status publisher_open(const struct kafka_config *config, struct log *log,
                           publisher_report_fn report, void *ctx, struct publisher **out,
                           struct error *err) {
  struct publisher *p = calloc(1, sizeof *p);
  if (!p) return error_set(err, ST_NO_MEMORY, "out of memory");
  p->report = report;
  p->ctx = ctx;
  p->transactional = config->transactional_id != NULL;
  enum status st = handle_open(&p->handle, config, HANDLE_PUBLISHER, log, on_report, p, err);
  if (st != ST_OK) {
    publisher_close(p);
    return st;
  }
  *out = p;
  return ST_OK;
}

void publisher_abandon(struct publisher *p) {
  if (!p || p->closing) return;
  p->closing = true;
  if (p->queue) rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
  /* Waits for the broker threads to let go of what they hold; it also keeps destroy from waiting
   * for their answers. */
  if (p->handle.rk)
    rd_kafka_purge(p->handle.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

/* librdkafka (to 2.16) aborts the process where it is destroyed while it tells the coordinator of a
 * new partition of an open transaction: a broker's thread then counts that request as answered
 * before the main thread has counted it as sent. Once an abort has begun it tells of none. What the
 * answer is does not matter, and where commit was called all partitions are known. */
static void leave_transaction(struct publisher *p) {
  enum { LEAVE_MS = 1000 };
  if (!p->open || p->committing) return;
  rd_kafka_error_t *e = rd_kafka_abort_transaction(p->handle.rk, LEAVE_MS);
  if (e) rd_kafka_error_destroy(e);
}

void publisher_close(struct publisher *p) {
  if (!p) return;
  publisher_abandon(p);
  leave_transaction(p);
  if (p->queue) rd_kafka_queue_destroy(p->queue);
  for (size_t i = 0; i < p->topic_count; i++) rd_kafka_topic_destroy(p->topics[i]);
  free(p->topics);
  handle_close(&p->handle);
  free(p);
}

enum status publisher_topic(struct publisher *p, const char *name, unsigned *topic,
                            struct error *err) {
  if (p->topic_count == p->topic_cap) {
    size_t cap = p->topic_cap ? 2 * p->topic_cap : 8;
    rd_kafka_topic_t **grown = realloc(p->topics, cap * sizeof *grown);
    if (!grown) return error_set(err, ST_NO_MEMORY, "out of memory");
    p->topics = grown;
    p->topic_cap = cap;
  }
  rd_kafka_topic_t *handle = rd_kafka_topic_new(p->handle.rk, name, NULL);
  if (!handle)
    return error_set(err, ST_INVALID, "topic %s: %s", name,
                     rd_kafka_err2str(rd_kafka_last_error()));
  *topic = (unsigned)p->topic_count;
  p->topics[p->topic_count++] = handle;
  return ST_OK;
}

/* Another producer has our identity, or the broker gave up on our transaction. */
static bool fenced(struct publisher *p, rd_kafka_resp_err_t code) {
  return kafka_fault_of(code) == KAFKA_FENCED ||
         kafka_fault_of(rd_kafka_fatal_error(p->handle.rk, NULL, 0)) == KAFKA_FENCED;
}

static enum kafka_fault refused(struct publisher *p, struct delivery *delivery,
                                rd_kafka_resp_err_t code) {
  enum kafka_fault fault = kafka_fault_of(code);
  if (fault == KAFKA_FATAL && fenced(p, code)) fault = KAFKA_FENCED;
  if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
    fault = KAFKA_RECORD_TOO_LARGE; /* nobody but we saw it yet */
  if (delivery)
    *delivery = (struct delivery){.fault = fault,
                                  .code = code,
                                  .text = rd_kafka_err2str(code),
                                  .partition = -1,
                                  .offset = -1};
  return fault;
}

enum kafka_fault publisher_send(struct publisher *p, const struct record *record,
                                struct delivery *delivery) {
  BUG_ON(record->topic >= p->topic_count);
  rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
  for (size_t i = 0; i < record->header_count; i++) {
    const struct record_header *h = &record->headers[i];
    rd_kafka_header_add(headers, h->name, -1, h->value.ptr, (ssize_t)h->value.len);
  }
  /* An empty key is none: murmur2 of nothing would put all of them on one partition. No copy of the
   * value: it lives until the report (librdkafka copies the key and has taken the headers). */
  rd_kafka_resp_err_t code =
      rd_kafka_producev(p->handle.rk, RD_KAFKA_V_RKT(p->topics[record->topic]),
                        RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
                        RD_KAFKA_V_KEY(record->key.len ? record->key.ptr : NULL, record->key.len),
                        RD_KAFKA_V_VALUE((void *)record->value.ptr, record->value.len),
                        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_TIMESTAMP(record->timestamp_ms),
                        RD_KAFKA_V_MSGFLAGS(0), RD_KAFKA_V_OPAQUE(record->opaque), RD_KAFKA_V_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    p->in_flight++;
    return KAFKA_OK;
  }
  rd_kafka_headers_destroy(headers); /* ours again after a refusal */
  return refused(p, delivery, code);
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

int64_t publisher_batch_bytes(const struct publisher *p) {
  return handle_number(&p->handle, "batch.size");
}

enum status publisher_flush(struct publisher *p, int timeout_ms) {
  rd_kafka_flush(p->handle.rk, timeout_ms);
  return p->in_flight == 0 ? ST_OK : ST_AGAIN;
}

enum publisher_link publisher_link(const struct publisher *p, struct error *text) {
  struct handle *h =
      (struct handle *)&p->handle; /* its mutex is not part of what the caller sees */
  if (text) {
    mutex_lock(&h->mutex);
    *text = h->words;
    mutex_unlock(&h->mutex);
  }
  bool unable = atomic_load(&h->misnamed) || atomic_load(&h->starved);
  return unable ? LINK_DOWN : (enum publisher_link)atomic_load(&h->link);
}

bool publisher_fatal(const struct publisher *p, struct error *text) {
  char words[512] = "";
  rd_kafka_resp_err_t code = rd_kafka_fatal_error(p->handle.rk, words, sizeof words);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  error_set(text, ST_UNAVAILABLE, "%s: %s", rd_kafka_err2name(code), words);
  return true;
}

/* ---- transactions ---- */

/* What the caller does next, and its words; e is freed. Every answer but TXN_RENEW needs a flag
 * that allows it. */
static enum txn_next judge_error(struct publisher *p, rd_kafka_error_t *e, bool may_abort,
                                 const char *what, struct error *err) {
  if (!e) return TXN_DONE;
  rd_kafka_resp_err_t code = rd_kafka_error_code(e);
  bool fatal = rd_kafka_error_is_fatal(e) || rd_kafka_fatal_error(p->handle.rk, NULL, 0);
  enum txn_next next = TXN_RENEW;
  if (fenced(p, code))
    next = TXN_FENCED;
  else if (fatal)
    next = TXN_RENEW;
  else if (rd_kafka_error_txn_requires_abort(e))
    next = may_abort ? TXN_ABORT : TXN_RENEW;
  else if (rd_kafka_error_is_retriable(e))
    next = TXN_AGAIN;
  handle_failed_saying(&p->handle, handle_status(code), code, rd_kafka_error_string(e), what, err);
  rd_kafka_error_destroy(e);
  return next;
}

enum txn_next publisher_init(struct publisher *p, int timeout_ms, struct error *err) {
  BUG_ON(!p->transactional);
  return judge_error(p, rd_kafka_init_transactions(p->handle.rk, timeout_ms), false,
                     "preparing transactions", err);
}

static void tally_reset(struct handle_tally *tally) {
  atomic_store(&tally->sent, 0);
  atomic_store(&tally->answered, 0);
}

enum txn_next publisher_begin(struct publisher *p, struct error *err) {
  BUG_ON(!p->transactional);
  rd_kafka_poll(p->handle.rk, 0);
  if (!publisher_clean(p)) {
    error_set(err, ST_UNAVAILABLE,
              "beginning a transaction: the end of the last one may still be under way");
    return TXN_RENEW;
  }
  enum txn_next next = judge_error(p, rd_kafka_begin_transaction(p->handle.rk), false,
                                   "beginning a transaction", err);
  if (next != TXN_DONE) return next;
  tally_reset(&p->handle.ends);
  tally_reset(&p->handle.offsets);
  p->open = true;
  p->committing = false;
  return TXN_DONE;
}

enum txn_next publisher_position(struct publisher *p, const struct position *position,
                                 struct error *err) {
  /* librdkafka passes over negative offsets without a word. */
  BUG_ON(!p->transactional || position->number < 0);
  enum { ANSWER_MS = 15000 };
  enum txn_next next = TXN_RENEW;
  rd_kafka_topic_partition_list_t *offsets = rd_kafka_topic_partition_list_new(1);
  rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(position->group);
  rd_kafka_topic_partition_t *ledger =
      rd_kafka_topic_partition_list_add(offsets, position->topic, 0);
  ledger->offset = position->number;
  ledger->metadata = strdup(position->digest); /* the list's */
  if (!ledger->metadata) {
    error_set(err, ST_NO_MEMORY, "out of memory");
    goto out;
  }
  ledger->metadata_size = strlen(position->digest);
  char what[320];
  snprintf(what, sizeof what, "sending position %lld of %s", (long long)position->number,
           position->topic);
  next =
      judge_error(p, rd_kafka_send_offsets_to_transaction(p->handle.rk, offsets, group, ANSWER_MS),
                  !p->committing, what, err);
  if (err && err->cause == CAUSE_TOPIC_MISSING) err->cause = CAUSE_LEDGER_MISSING;
out:
  rd_kafka_consumer_group_metadata_destroy(group);
  rd_kafka_topic_partition_list_destroy(offsets);
  return next;
}

enum txn_next publisher_commit(struct publisher *p, struct error *err) {
  BUG_ON(!p->transactional);
  p->committing = true;
  enum txn_next next =
      judge_error(p, rd_kafka_commit_transaction(p->handle.rk, -1), false, "committing", err);
  if (next == TXN_DONE) p->open = p->committing = false;
  return next;
}

enum txn_next publisher_abort(struct publisher *p, struct error *err) {
  BUG_ON(!p->transactional);
  if (p->committing) { /* it may have been committed: the ledger decides, never an abort */
    error_set(err, ST_UNAVAILABLE, "aborting: the transaction may have been committed");
    return TXN_RENEW;
  }
  /* Behind a failed record librdkafka (2.0.2) holds back what it was to repeat, and an abort may
   * wait for that until it times out, 45 s later. A new producer is due then anyway, and would end
   * the transaction too, only slower (0.5 s).
   */
  enum { GAP_MS = 300 };
  enum txn_next next = judge_error(
      p, rd_kafka_abort_transaction(p->handle.rk, p->gap ? GAP_MS : -1), false, "aborting", err);
  if (p->gap && next == TXN_AGAIN) next = TXN_RENEW;
  if (next == TXN_DONE) p->open = false;
  return next;
}

bool publisher_clean(const struct publisher *p) {
  const struct handle *h = &p->handle;
  unsigned ends = atomic_load(&h->ends.sent);
  return !p->open && !p->gap && ends <= 1 && ends == atomic_load(&h->ends.answered) &&
         atomic_load(&h->offsets.sent) == atomic_load(&h->offsets.answered);
}
