/* Does a broker answer under the name it gives itself?
 *
 * Whoever answers at kafka.bootstrap.servers names the brokers to talk to (advertised.listeners).
 * Behind a port-forward or in a container that name may lead nowhere from here, and then every
 * question about topics is answered while no record can be sent.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/handle.h"

#include <strings.h>

/* ---- seen by every handle, as it happens ---- */

/* "sasl_ssl://host:9092/1: Failed to..." -> host:9092. False: it is not of a broker that was named
 * by another. */
static bool named_broker(const char *text, struct span *name) {
  const char *scheme = strstr(text, "://"), *space = strchr(text, ' ');
  const char *begin = scheme && (!space || scheme < space) ? scheme + 3 : text;
  const char *slash = strchr(begin, '/');
  if (!slash || (space && slash > space) || slash[1] < '0' || slash[1] > '9') return false;
  *name = (struct span){begin, (size_t)(slash - begin)};
  return memchr(begin, ':', name->len) != NULL;
}

/* One that we were told ourselves is no surprise: it is only away. */
static bool is_listed(const struct handle *h, struct span name) {
  struct span rest = span_of(h->servers);
  while (rest.len) {
    const char *comma = memchr(rest.ptr, ',', rest.len);
    size_t n = comma ? (size_t)(comma - rest.ptr) : rest.len;
    struct span one = span_trim((struct span){rest.ptr, n});
    const char *scheme = one.len ? memmem(one.ptr, one.len, "://", 3) : NULL;
    if (scheme) one = (struct span){scheme + 3, one.len - (size_t)(scheme + 3 - one.ptr)};
    bool port = memchr(one.ptr, ':', one.len) != NULL;
    if (one.len && one.len <= name.len && strncasecmp(one.ptr, name.ptr, one.len) == 0 &&
        (one.len == name.len ||
         (!port && span_is((struct span){name.ptr + one.len, name.len - one.len}, ":9092"))))
      return true;
    rest.ptr += n + (comma != NULL);
    rest.len -= n + (comma != NULL);
  }
  return false;
}

enum status reach_failed(struct error *err, struct span name, struct span why) {
  error_set(err, ST_UNAVAILABLE,
            "the broker names itself %.*s, which cannot be reached from here: "
            "advertised.listeners%s%.*s%s",
            SPAN_ARGS(name), why.len ? " (" : "", SPAN_ARGS(why), why.len ? ")" : "");
  if (err) err->cause = CAUSE_MISNAMED;
  return ST_UNAVAILABLE;
}

/* librdkafka's words without the name in front and the state behind. */
static struct span short_words(const char *text) {
  const char *begin = strstr(text, ": ");
  begin = begin ? begin + 2 : text;
  const char *end = strstr(begin, " (after ");
  return (struct span){begin, end ? (size_t)(end - begin) : strlen(begin)};
}

bool reach_note(struct handle *h, int code, const char *text) {
  struct span name;
  bool link = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE ||
              code == RD_KAFKA_RESP_ERR__TIMED_OUT;
  if (!link || atomic_load(&h->named_answered) || !atomic_load(&h->listed_answered)) return false;
  if (!named_broker(text, &name) || is_listed(h, name)) return false;
  mutex_lock(&h->mutex);
  reach_failed(&h->words, name, short_words(text));
  mutex_unlock(&h->mutex);
  atomic_store(&h->misnamed, true);
  return true;
}

/* ---- asked for ---- */

/* A request that goes to this broker and nowhere else; what it answers does not matter. */
static void ask_broker(struct cluster *c, int id, int timeout_ms, rd_kafka_queue_t *queue) {
  char name[16], words[256];
  snprintf(name, sizeof name, "%d", id);
  rd_kafka_ConfigResource_t *broker = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, name);
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(c->handle.rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  if (rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words) == 0)
    rd_kafka_DescribeConfigs(c->handle.rk, &broker, 1, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy(broker);
}

/* An error of the connection is not an answer; every other is one. */
static bool is_answer(rd_kafka_event_t *event) {
  enum kafka_fault fault = kafka_fault_of(rd_kafka_event_error(event));
  return fault != KAFKA_UNREACHABLE && fault != KAFKA_TIMED_OUT && fault != KAFKA_PURGED;
}

/* ST_OK: one has answered. Else none did in time, or the only one said why before. */
static enum status await_answer(struct cluster *c, int brokers, int timeout_ms,
                                rd_kafka_queue_t *queue) {
  enum { STEP_MS = 50 };
  int answers = 0;
  for (int left = timeout_ms; left > 0 && answers < brokers; left -= STEP_MS) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, STEP_MS);
    bool answered = event && is_answer(event);
    answers += event != NULL;
    if (event) rd_kafka_event_destroy(event);
    if (answered) return ST_OK;
    rd_kafka_poll(c->handle.rk, 0);
    if (brokers == 1 && atomic_load(&c->handle.misnamed)) break;
  }
  return ST_UNAVAILABLE;
}

static enum status unreached(struct cluster *c, const struct rd_kafka_metadata *found,
                             struct error *err) {
  char name[320];
  if (atomic_load(&c->handle.misnamed))
    return handle_failed(&c->handle, ST_UNAVAILABLE, RD_KAFKA_RESP_ERR__TIMED_OUT, "", err);
  snprintf(name, sizeof name, "%s:%d", found->brokers[0].host, found->brokers[0].port);
  if (is_listed(&c->handle, span_of(name)))
    return handle_failed(&c->handle, ST_UNAVAILABLE, RD_KAFKA_RESP_ERR__TIMED_OUT, name, err);
  return reach_failed(err, span_of(name), SPAN("no answer in time"));
}

enum status cluster_reach(struct cluster *c, int timeout_ms, struct error *err) {
  const struct rd_kafka_metadata *found = NULL;
  rd_kafka_resp_err_t code = rd_kafka_metadata(c->handle.rk, 0, NULL, &found, timeout_ms);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle_failed(&c->handle, handle_status(code), code, "Kafka does not answer", err);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(c->handle.rk);
  for (int i = 0; i < found->broker_cnt; i++)
    ask_broker(c, found->brokers[i].id, timeout_ms, queue);
  enum status st =
      found->broker_cnt ? await_answer(c, found->broker_cnt, timeout_ms, queue) : ST_OK;
  if (st != ST_OK) st = unreached(c, found, err);
  rd_kafka_queue_destroy(queue);
  rd_kafka_metadata_destroy(found);
  return st;
}
