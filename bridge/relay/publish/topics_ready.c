/* Makes sure that the topics are there before anything is sent. The publisher's thread.
 * A crash leaves at most a topic that was just made. */
#include "bridge/base/text/words.h"
#include "bridge/relay/publish/publish.h"

enum {
  ANSWER_MS = 2000,
  REACH_MS = 7000,
  LOOKS = 10,
  PAUSE_MS = 200,
  FRAME_BYTES = 256 /* of a record: its headers, about, but for those that item_bytes adds */
};
static const struct backoff again = {.base_ms = 250, .max_ms = 5000, .jitter_ms = 100};

void topic_remedy(const struct relay *r, unsigned topic, enum kafka_fault fault, char *out,
                  size_t size) {
  if (fault == KAFKA_RECORD_REFUSED) {
    snprintf(
        out, size,
        "busbridge list shows why. Those of another topic are tried one by one at this moment; "
        "then it is this one's turn");
    return;
  }
  enum kafka_cause cause = fault == KAFKA_TOPIC_DENIED ? CAUSE_TOPIC_DENIED
                           : fault == KAFKA_CLOCK      ? CAUSE_CLOCK
                                                       : CAUSE_TOPIC_MISSING;
  kafka_remedy(cause, &r->client, routing_topic_name(r->parts.routing, topic), out, size);
}

/* The transaction whose records were refused has just been aborted, which the broker noted. */
void clock_words(struct publishing *p, const char *broker_says, char *out, size_t size) {
  struct error err = {0};
  char apart[DURATION_TEXT];
  int64_t noted_ms = 0;
  if (!p->relay->exactly_once || !p->cluster ||
      cluster_noted(p->cluster, ANSWER_MS, &noted_ms, &err) != ST_OK) {
    snprintf(out, size,
             "this machine's clock and the broker's are further apart than the topic takes (%s)",
             broker_says);
    return;
  }
  int64_t ahead_ms = clock_wall_us(p->relay->parts.clock) / 1000 - noted_ms;
  snprintf(out, size, "this machine's clock is %s the broker's by %s (%s)",
           ahead_ms < 0 ? "behind" : "ahead of",
           duration_text(ahead_ms < 0 ? -ahead_ms : ahead_ms, apart), broker_says);
}

static void say_missing(struct relay *r, unsigned topic, const struct error *err) {
  char remedy[400];
  topic_remedy(r, topic, KAFKA_TOPIC_UNKNOWN, remedy, sizeof remedy);
  log_write(r->parts.log, LOG_WARNING, "relay", "topic_missing",
            FIELDS(F_TEXT("topic", routing_topic_name(r->parts.routing, topic)),
                   F_TEXT("error", err->text)),
            "The topic is missing; its events wait. %s", remedy);
}

/* ---- how large a batch may be ----
 *
 * A broker refuses a record batch that is larger than its topic takes, however small the records
 * are. What the smallest topic takes bounds the batches of all: it is asked when the topics are
 * looked up. Who may not ask learns it from what is refused. */

static bool bound_batches(struct publishing *p, unsigned topic, int64_t bytes) {
  if (p->client.batch_bytes && p->client.batch_bytes <= bytes) return false;
  p->client.batch_bytes = bytes;
  log_write(p->relay->parts.log, LOG_DEBUG, "relay", "batches_bounded",
            FIELDS(F_TEXT("topic", routing_topic_name(p->relay->parts.routing, topic)),
                   F_INT("bytes", bytes)),
            "A record batch is at most that large");
  return true;
}

static bool ask_limit(struct publishing *p, unsigned topic, int64_t *bytes) {
  struct error err = {0};
  char id[128] = "";
  if (cluster_id(p->cluster, ANSWER_MS, id, &err) != ST_OK ||
      span_starts(span_of(id), "mockCluster"))
    return false;
  const char *name = routing_topic_name(p->relay->parts.routing, topic);
  return cluster_topic_limit(p->cluster, name, ANSWER_MS, bytes, &err) == ST_OK && *bytes > 0;
}

static size_t item_bytes(const struct item *item) {
  size_t bytes = item->value.len + item->key.len + item->carried.len + item->rest.len +
                 item->subject.len + item->tracestate.len + item->dataschema.len + FRAME_BYTES;
  for (unsigned i = 0; i < item->own_count; i++)
    bytes += strlen(item->own[i].name) + item->own[i].value.len;
  return bytes;
}

bool topic_batches_refused(struct publishing *p, struct item **items, size_t count) {
  size_t refused = 0, all = 0, largest = 0;
  unsigned topic = 0;
  for (size_t i = 0; i < count; i++) {
    if (items[i]->fault != KAFKA_RECORD_REFUSED || !kafka_refused_for_size(items[i]->error_code))
      continue;
    topic = items[i]->topic;
    refused++;
    size_t bytes_of = item_bytes(items[i]);
    all += bytes_of;
    if (bytes_of > largest) largest = bytes_of;
  }
  int64_t now = publisher_batch_bytes(p->publisher), bytes = 0;
  if (refused < 2) return false;
  if (!ask_limit(p, topic, &bytes)) {
    bytes = ((int64_t)all < now ? (int64_t)all : now) / 2;
    if (bytes < (int64_t)largest) return false;
  }
  return bytes < now && bound_batches(p, topic, bytes);
}

/* ST_OK: it is there, or its own breaker will deal with it. ST_UNAVAILABLE: nobody answers. */
static enum status prepare_one(struct publishing *p, unsigned topic, struct error *err) {
  struct relay *r = p->relay;
  const char *name = routing_topic_name(r->parts.routing, topic);
  enum topic_state state = TOPIC_UNCLEAR;
  enum status st = cluster_topic(p->cluster, name, ANSWER_MS, &state, NULL, err);
  int64_t bytes = 0;
  if (st == ST_OK && state == TOPIC_THERE && ask_limit(p, topic, &bytes))
    bound_batches(p, topic, bytes);
  if (st != ST_OK || state != TOPIC_MISSING) return st;
  struct error why = {0};
  if (!r->config.create_topics)
    error_set(&why, ST_NOT_FOUND, "topics.create is never");
  else
    st = cluster_create_topic(p->cluster, name, r->config.partitions, r->config.replication,
                              ANSWER_MS * 5, &why);
  if (st == ST_UNAVAILABLE) {
    *err = why;
    return st;
  }
  if (!r->config.create_topics || st != ST_OK)
    say_missing(r, topic, &why);
  else
    log_write(r->parts.log, LOG_INFO, "relay", "topic_created", FIELDS(F_TEXT("topic", name)),
              "Topic %s was created", name);
  return ST_OK;
}

void topic_create(struct publishing *p, unsigned topic) {
  struct error err = {0};
  if (p->cluster && prepare_one(p, topic, &err) != ST_OK)
    log_write(p->relay->parts.log, LOG_DEBUG, "relay", "topic_unclear",
              FIELDS(F_TEXT("error", err.text)), "The topic could not be looked up");
}

/* Is it the cluster that this outbox belongs to (file `cluster`; written the first time)?
 * ST_INVALID: another one; ST_UNSUPPORTED: librdkafka's mock, which knows no transactions. */
static enum status check_cluster(struct relay *r, const char *id, struct error *err) {
  struct buffer text = {0};
  if (span_starts(span_of(id), "mockCluster"))
    return error_set(err, ST_UNSUPPORTED,
                     "this is librdkafka's mock cluster, which knows no transactions; set "
                     "delivery.guarantee=at_least_once or use a real Kafka");
  enum status st = store_note_read(r->parts.store, NOTE_CLUSTER, &text, err);
  struct span known = span_trim(buffer_span(&text));
  if (st == ST_NOT_FOUND)
    st = store_note_write(r->parts.store, NOTE_CLUSTER, span_of(id), err);
  else if (st == ST_OK && !span_is(known, id))
    st = error_set(
        err, ST_INVALID,
        "this outbox belongs to the Kafka cluster %.*s, but the one at kafka.bootstrap.servers is "
        "%s. Nothing was sent. If the change is meant, with the settings of this worker: "
        "busbridge doctor --accept-cluster",
        SPAN_ARGS(known), id);
  buffer_release(&text);
  return st;
}

/* Of a topic made a moment ago not every broker knows yet: before that ends a worker that may not
 * make it, look again.
 */
static enum status look_for_ledger(struct publishing *p, enum topic_state *state,
                                   struct error *err) {
  struct relay *r = p->relay;
  enum status st = cluster_topic(p->cluster, r->config.ledger_topic, ANSWER_MS, state, NULL, err);
  for (int i = 1; i < LOOKS && st == ST_OK && *state == TOPIC_MISSING && !r->config.create_topics;
       i++) {
    if (!sleep_ms(PAUSE_MS, &p->stop))
      return error_set(err, ST_CANCELLED, "stopped before the ledger's topic was seen");
    st = cluster_topic(p->cluster, r->config.ledger_topic, ANSWER_MS, state, NULL, err);
  }
  return st;
}

/* The topic that the ledger's position names must be there, else no transaction can carry it. */
static enum status prepare_ledger(struct publishing *p, struct error *err) {
  struct relay *r = p->relay;
  const char *name = r->config.ledger_topic;
  char id[128] = "";
  enum topic_state state = TOPIC_UNCLEAR;
  enum status st = cluster_id(p->cluster, ANSWER_MS, id, err);
  if (st == ST_OK) st = check_cluster(r, id, err);
  if (st == ST_OK) st = look_for_ledger(p, &state, err);
  if (st != ST_OK || state == TOPIC_THERE) return st;
  if (state == TOPIC_MISSING && !r->config.create_topics)
    st = error_set(err, ST_NOT_FOUND, "topics.create is never");
  else if (state == TOPIC_MISSING)
    st = cluster_create_topic(p->cluster, name, 1, r->config.replication, ANSWER_MS * 5, err);
  else
    st = error_set(err, ST_DENIED, "not authorised for it");
  if (st == ST_OK || st == ST_UNAVAILABLE) return st;
  struct buffer hint = {0};
  struct error why = *err;
  cluster_create_hint(r->parts.kafka, name, &hint);
  error_set(
      err, ST_INVALID,
      "exactly_once keeps its position under the topic %s, which cannot be made here (%s). Create "
      "it: %s --partitions 1; or set delivery.guarantee=at_least_once",
      name, why.text, buffer_z(&hint));
  buffer_release(&hint);
  return ST_INVALID;
}

/* The producer last: it remembers for seconds that a topic was missing. */
static enum status prepare_all(struct publishing *p, struct error *err) {
  struct relay *r = p->relay;
  enum status st = ST_OK;
  if (!p->cluster) st = cluster_open(&p->client, r->parts.log, &p->cluster, err);
  if (st == ST_OK) st = cluster_reach(p->cluster, REACH_MS, err);
  for (unsigned i = 0; st == ST_OK && i < routing_topics(r->parts.routing); i++)
    st = prepare_one(p, i, err);
  bool settles = !p->ledger.started; /* at_least_once too, where exactly_once left manifests */
  if (st == ST_OK && (r->exactly_once || settles)) st = prepare_ledger(p, err);
  if (st == ST_OK && !p->publisher && !r->exactly_once && p->ledger.started)
    st = publish_open(p, err);
  return st;
}

/* What the outbox refused on the way (it remembers its cluster) is not Kafka's doing. */
static void say_unready(struct publishing *p, const struct error *err) {
  struct relay *r = p->relay;
  bool first = p->topics_tries++ == 0 || err->cause != p->link_cause;
  p->link_cause = err->cause;
  if (err->sys) {
    disk_trouble(r, DISK_WRITING, err);
    return;
  }
  mutex_lock(&r->lock);
  away_show(r, err);
  mutex_unlock(&r->lock);
  if (first) away_tell(r, err, true);
}

void topics_prepare(struct publishing *p) {
  struct relay *r = p->relay;
  int64_t now = clock_mono_ms(r->parts.clock);
  if (p->topics_ready || now < p->topics_due_ms) return;
  struct error err = {0};
  enum status st = prepare_all(p, &err);
  if (st == ST_CANCELLED) return;
  p->topics_ready = st == ST_OK;
  if (st == ST_INVALID || st == ST_UNSUPPORTED) relay_fail(r, st, err.text);
  mutex_lock(&r->lock);
  r->status.reached =
      r->status.reached || (p->topics_ready && p->ledger.started); /* else a transaction is first */
  if (p->topics_ready) status_breaker(r, "kafka", BREAKER_CLOSED, "", "");
  mutex_unlock(&r->lock);
  if (p->topics_ready) {
    if (p->topics_tries)
      log_write(r->parts.log, LOG_INFO, "relay", "kafka_back", NO_FIELDS, "Kafka answers");
    p->topics_tries = 0;
    disk_works(r, DISK_WRITING);
    return;
  }
  say_unready(p, &err);
  p->topics_due_ms =
      clock_mono_ms(r->parts.clock) + backoff_delay_ms(&again, p->topics_tries, r->parts.clock);
}
