/* The configuration of every librdkafka handle, its log, its errors.
 * The caller's thread and librdkafka's, as handle.h says of each; a crash leaves nothing. */
#include "bridge/kafka/handle.h"
#include "bridge/base/text/words.h"
#include "bridge/kafka/login/token.h"
#include "bridge/kafka/options/options.h"

#define PRODUCERS (HANDLE_PUBLISHER | HANDLE_TRIAL)
#define CONSUMERS (HANDLE_READER | HANDLE_POSITION)
#define ALL (PRODUCERS | HANDLE_CLUSTER | CONSUMERS | HANDLE_VERSIONS)

struct row {
  unsigned roles;
  const char *key, *value;
};

/* What the user's pairs may override. acks and its like reach topics as defaults; a configuration
 * of a topic's own is never made (acks in one makes rd_kafka_topic_new fail). */
static const struct row defaults[] = {
    {ALL, "client.id", "busbridge"},
    {ALL & ~HANDLE_TRIAL, "bootstrap.servers", "127.0.0.1:9092"},
    {PRODUCERS, "enable.idempotence", "true"},
    {PRODUCERS, "acks", "all"},
    {PRODUCERS, "partitioner",
     "murmur2_random"}, /* as the Java client: one key, one partition, whoever writes it */
    {PRODUCERS, "topic.metadata.propagation.max.ms", "2000"},
    /* A first event alone waits 1 ms for company: less latency than librdkafka's 5 ms, and a burst
       still fills its batches. */
    {PRODUCERS, "linger.ms", "1"},
    {PRODUCERS, "queue.buffering.max.messages", "100000"},
    {PRODUCERS, "queue.buffering.max.kbytes",
     "32768"}, /* half of the memory budget; librdkafka's is 1 GiB */
    {ALL, "socket.timeout.ms", "15000"},
    /* So that a name that leads nowhere is told within 10 s. */
    {ALL, "socket.connection.setup.timeout.ms", "6000"},
    {ALL, "reconnect.backoff.max.ms", "1000"},
    {ALL, "allow.auto.create.topics", "false"},
    /* librdkafka refuses records of a topic it knows to be missing until its metadata is read
     * again, after 5 minutes by default: whoever creates the topic then should not wait longer than
     * this. One small request each time. */
    {PRODUCERS, "topic.metadata.refresh.interval.ms", "10000"},
    {HANDLE_PUBLISHER, "statistics.interval.ms", "5000"},
    {HANDLE_READER, "auto.offset.reset", "earliest"},
};

static const struct row exactly_once[] = {
    {PRODUCERS, "transaction.timeout.ms", "60000"},
    {PRODUCERS, "retry.backoff.ms",
     "5"}, /* 100 would add 100 ms to each of two transactions in a row */
};

static const struct row at_least_once[] = {
    /* A record is never given up: one that timed out here may have arrived, and would be sent
       twice. */
    {PRODUCERS, "message.timeout.ms", "0"},
    /* A refusal because replicas are missing is retried at once for each partition: at 5 ms that is
       hundreds of megabytes a second. */
    {PRODUCERS, "retry.backoff.ms", "100"},
};

/* What the module's own promises rest on. A reader's group is named because librdkafka wants one:
 * nothing is ever committed to it. */
static const struct row pinned[] = {
    {HANDLE_READER, "group.id", "busbridge-tail"},
    {CONSUMERS, "enable.auto.commit", "false"},
    {CONSUMERS, "enable.auto.offset.store", "false"},
    {HANDLE_READER, "enable.partition.eof", "true"},
    {CONSUMERS, "isolation.level", "read_committed"},
    {HANDLE_VERSIONS, "debug", "feature"},
    {HANDLE_VERSIONS, "log_level", "7"},
};

/* ---- events ---- */

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
  const struct handle *h = rd_kafka_opaque(rk);
  if (!h) return;
  if (h->role == HANDLE_VERSIONS) {
    versions_overhear(h->owner, text);
    return;
  }
  enum log_level ours = level <= 3   ? LOG_ERROR
                        : level == 4 ? LOG_WARNING
                        : level <= 6 ? LOG_INFO
                                     : LOG_DEBUG;
  /* A producer's settings are given to the other roles too, which need not complain of each. */
  if (h->role != HANDLE_PUBLISHER && strcmp(facility, "CONFWARN") == 0) ours = LOG_DEBUG;
  log_write(h->log, ours, "kafka", "librdkafka", FIELDS(F_TEXT("facility", facility)), "%s", text);
}

/* 1: the text is ours now. */
static int on_statistics(rd_kafka_t *rk, char *text, size_t len, void *opaque) {
  (void)rk;
  statistics_take(((struct handle *)opaque)->statistics, text, len);
  return 1;
}

/* "All brokers are down" follows the error that says why: the reason is kept. */
static void remember_error(struct handle *h, rd_kafka_resp_err_t code, const char *text) {
  bool specific = code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
  if (atomic_load(&h->misnamed) && code != RD_KAFKA_RESP_ERR__FATAL)
    return; /* what follows from it says less */
  bool starves = handle_cause(h, code, text) == CAUSE_DESCRIPTORS;
  if (atomic_load(&h->starved) && !starves && code != RD_KAFKA_RESP_ERR__FATAL) return;
  if (starves) atomic_store(&h->starved, true);
  mutex_lock(&h->mutex);
  if (specific || !h->specific) {
    error_set(&h->words, ST_UNAVAILABLE, "%s", text);
    h->words.cause = handle_cause(h, code, text);
    h->specific = specific;
  }
  mutex_unlock(&h->mutex);
}

/* The last connection was closed by a broker, perhaps only because nobody had spoken to it for a
 * while (its connections.max.idle.ms): it is there all the same. "All brokers are down" is told
 * once only, so where that is all that is known the next attempt to connect decides: if it fails,
 * they are. */
static bool is_down(struct handle *h, int code, const char *text) {
  bool closed, down = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
  mutex_lock(&h->mutex);
  closed = strstr(h->words.text, "Disconnected (after ") && strstr(h->words.text, " in state UP");
  mutex_unlock(&h->mutex);
  if (down && closed) atomic_store(&h->doubtful, true);
  if (!down && strstr(text, "Connect to ") && atomic_exchange(&h->doubtful, false)) return true;
  return down && !closed;
}

/* What is known of names begins anew with the connections. */
static void all_down(struct handle *h) {
  atomic_store(&h->link, LINK_DOWN);
  atomic_store(&h->named_answered, false);
  atomic_store(&h->listed_answered, false);
}

static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque) {
  struct handle *h = opaque;
  char fatal[512];
  if (code == RD_KAFKA_RESP_ERR__FATAL && rd_kafka_fatal_error(rk, fatal, sizeof fatal))
    text = fatal;
  if (!reach_note(h, code, text)) remember_error(h, code, text);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    log_write(h->log, LOG_ERROR, "kafka", "kafka_fatal", NO_FIELDS,
              "The producer is lost and will be made anew: %s", text);
    return;
  }
  if (is_down(h, code, text)) all_down(h);
  log_write(h->log, LOG_DEBUG, "kafka", "kafka_error",
            FIELDS(F_TEXT("error_code", rd_kafka_err2name(code))), "%s", text);
}

static struct handle_tally *tally_of(struct handle *h, int16_t api) {
  enum { END_TXN = 26, TXN_OFFSET_COMMIT = 28 }; /* ApiKeys of Kafka's protocol */
  return api == END_TXN ? &h->ends : api == TXN_OFFSET_COMMIT ? &h->offsets : NULL;
}

/* Told once the whole request is written: what went out in part only cannot be carried out. A
 * broker's thread. */
static rd_kafka_resp_err_t on_request(rd_kafka_t *rk, int fd, const char *broker, int32_t broker_id,
                                      int16_t api, int16_t version, int32_t correlation,
                                      size_t size, void *opaque) {
  (void)rk, (void)fd, (void)broker, (void)broker_id, (void)version, (void)correlation, (void)size;
  struct handle_tally *tally = tally_of(opaque, api);
  if (tally) {
    atomic_fetch_add(&tally->sent, 1);
    atomic_store(&tally->awaited, true);
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* What is said before anything may be asked: a broker that refuses the login answers these too. */
static bool is_handshake(int16_t api) {
  enum { SASL_HANDSHAKE = 17, API_VERSIONS = 18, SASL_AUTHENTICATE = 36 };
  return api == SASL_HANDSHAKE || api == API_VERSIONS || api == SASL_AUTHENTICATE;
}

static void note_answer(struct handle *h, int32_t broker_id) {
  atomic_bool *whose = broker_id >= 0 ? &h->named_answered : &h->listed_answered;
  if (!atomic_load_explicit(whose, memory_order_relaxed)) atomic_store(whose, true);
  if (broker_id >= 0 && atomic_load_explicit(&h->misnamed, memory_order_relaxed))
    atomic_store(&h->misnamed, false);
  if (atomic_load_explicit(&h->link, memory_order_relaxed) != LINK_UP)
    atomic_store(&h->link, LINK_UP);
  if (atomic_load_explicit(&h->doubtful, memory_order_relaxed)) atomic_store(&h->doubtful, false);
}

/* Any answer of a broker shows that the link is up, also while no record is on its way.
 * librdkafka's threads. */
static rd_kafka_resp_err_t on_response(rd_kafka_t *rk, int fd, const char *broker,
                                       int32_t broker_id, int16_t api, int16_t version,
                                       int32_t correlation, size_t size, int64_t rtt,
                                       rd_kafka_resp_err_t code, void *opaque) {
  (void)rk, (void)fd, (void)broker, (void)version, (void)correlation, (void)size, (void)rtt;
  struct handle *h = opaque;
  struct handle_tally *tally = tally_of(h, api);
  /* librdkafka tells each answer twice: on the broker's thread, then on the one that handles it,
   * before that one can send again. An error here is not an answer. */
  if (tally && code == RD_KAFKA_RESP_ERR_NO_ERROR && atomic_exchange(&tally->awaited, false))
    atomic_fetch_add(&tally->answered, 1);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && is_handshake(api))
    atomic_store(&h->starved, false); /* a new connection */
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR && !is_handshake(api)) note_answer(h, broker_id);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque,
                                  char *text, size_t size) {
  (void)conf, (void)text, (void)size;
  ((struct handle *)opaque)->intercepted = true;
  rd_kafka_resp_err_t code =
      rd_kafka_interceptor_add_on_request_sent(rk, "busbridge", on_request, opaque);
  return code ? code
              : rd_kafka_interceptor_add_on_response_received(rk, "busbridge", on_response, opaque);
}

/* A thread of librdkafka's that does nothing else. */
static void on_token(rd_kafka_t *rk, const char *config, void *opaque) {
  (void)config;
  token_refresh(rk, "kafka." TOKEN_FILE, ((const struct handle *)opaque)->token_file);
}

/* ---- configuration ---- */

/* Keys that rd_kafka_conf_dump leaves out: of topics, other names of the same thing, and such as
 * have no value yet. */
static const char *const more_keys[] = {
    "acks",
    "bootstrap.servers",
    "compression.type",
    "compression.level",
    "delivery.timeout.ms",
    "linger.ms",
    "max.in.flight",
    "message.timeout.ms",
    "partitioner",
    "request.timeout.ms",
    "retries",
    "sasl.mechanism",
    TOKEN_FILE,
    "sasl.password",
    "sasl.username",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
};

static const char *nearer(const char *key, const char *candidate, const char *best) {
  return word_nearest(key, (const char *[]){best ? best : candidate, candidate}, 2);
}

/* Appends "; did you mean kafka.x?" when a key is near. */
static void suggest(rd_kafka_conf_t *conf, const char *key, struct error *err) {
  size_t count = 0;
  const char **dump = rd_kafka_conf_dump(conf, &count); /* key, value, key, value... */
  const char *best = word_nearest(key, more_keys, sizeof more_keys / sizeof *more_keys);
  for (size_t i = 0; dump && i + 1 < count; i += 2) best = nearer(key, dump[i], best);
  if (best && err) {
    struct error before = *err;
    error_set(err, ST_INVALID, "%s; did you mean kafka.%s?", before.text, best);
  }
  if (dump) rd_kafka_conf_dump_free(dump, count);
}

enum status handle_set(rd_kafka_conf_t *conf, const char *key, const char *value,
                       struct error *err) {
  char words[512] = "";
  rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, key, value, words, sizeof words);
  if (result == RD_KAFKA_CONF_OK) return ST_OK;
  error_set(err, ST_INVALID, "kafka.%s: %s", key, words);
  if (result == RD_KAFKA_CONF_UNKNOWN) suggest(conf, key, err);
  return ST_INVALID;
}

static enum status set_rows(rd_kafka_conf_t *conf, const struct row *rows, size_t count,
                            enum handle_role role, struct error *err) {
  for (size_t i = 0; i < count; i++) {
    if (!(rows[i].roles & role)) continue;
    enum status st = handle_set(conf, rows[i].key, rows[i].value, err);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

/* A trial must not reach out: it gets no servers. And what at_least_once allows, transactions may
 * not: where one only settles what exactly_once left, no event is sent, and such a setting has
 * nothing to say. */
static bool left_out(const struct kafka_config *config, enum handle_role role, const char *key) {
  if (strcmp(key, TOKEN_FILE) == 0) return true; /* librdkafka does not know it */
  const struct rule *rule = option_rule(key);
  if (config->at_least_once && config->transactional_id && rule && rule->warned <= WARN_SENDING)
    return true;
  return role == HANDLE_TRIAL &&
         (strcmp(key, "bootstrap.servers") == 0 || strcmp(key, "metadata.broker.list") == 0);
}

/* What must stay below a transaction's timeout follows it down, so that one setting is enough to
 * shorten it. */
static enum status set_derived(rd_kafka_conf_t *conf, const struct kafka_config *config,
                               struct error *err) {
  enum { OURS_MS = 60000, MESSAGE_MS = 45000, SOCKET_MS = 15000 };
  int64_t most =
      options_number(config, "transaction.timeout.ms", "transaction.timeout.ms", OURS_MS) * 3 / 4;
  char message[24], socket[24];
  snprintf(message, sizeof message, "%lld", (long long)(most < MESSAGE_MS ? most : MESSAGE_MS));
  snprintf(socket, sizeof socket, "%lld", (long long)(most < SOCKET_MS ? most : SOCKET_MS));
  enum status st = handle_set(conf, "message.timeout.ms", message, err);
  return st == ST_OK ? handle_set(conf, "socket.timeout.ms", socket, err) : st;
}

/* Idempotent at least; a transactional id brings transactions. The trial is of what exactly_once
 * will open once the outbox has an id. */
static enum status set_guarantee(rd_kafka_conf_t *conf, const struct kafka_config *config,
                                 enum handle_role role, struct error *err) {
  const char *id = config->transactional_id;
  if (!id && role == HANDLE_TRIAL && !config->at_least_once) id = "busbridge";
  if (id) {
    enum status st = handle_set(conf, "transactional.id", id, err);
    if (st != ST_OK) return st;
  }
  if (config->at_least_once && !id)
    return set_rows(conf, at_least_once, sizeof at_least_once / sizeof *at_least_once, role, err);
  enum status st =
      set_rows(conf, exactly_once, sizeof exactly_once / sizeof *exactly_once, role, err);
  return st == ST_OK ? set_derived(conf, config, err) : st;
}

static int64_t number_in(const rd_kafka_conf_t *conf, const char *key) {
  char text[32] = "";
  size_t size = sizeof text;
  return rd_kafka_conf_get(conf, key, text, &size) == RD_KAFKA_CONF_OK ? strtoll(text, NULL, 10)
                                                                       : 0;
}

int64_t handle_number(const struct handle *h, const char *key) {
  return number_in(rd_kafka_conf(h->rk), key);
}

/* A broker refuses a batch that is larger than its topic takes, however small its records are. */
static enum status bound_batches(rd_kafka_conf_t *conf, const struct kafka_config *config,
                                 enum handle_role role, struct error *err) {
  char bytes[32];
  if (role != HANDLE_PUBLISHER || !config->batch_bytes ||
      number_in(conf, "batch.size") <= config->batch_bytes)
    return ST_OK;
  snprintf(bytes, sizeof bytes, "%lld", (long long)config->batch_bytes);
  return handle_set(conf, "batch.size", bytes, err);
}

static enum status set_all(rd_kafka_conf_t *conf, const struct kafka_config *config,
                           enum handle_role role, struct error *err) {
  enum status st = set_rows(conf, defaults, sizeof defaults / sizeof *defaults, role, err);
  if (st == ST_OK && (role & PRODUCERS)) st = set_guarantee(conf, config, role, err);
  for (size_t i = 0; st == ST_OK && i < config->count; i++)
    if (!left_out(config, role, config->pairs[i].key))
      st = handle_set(conf, config->pairs[i].key, config->pairs[i].value, err);
  if (st == ST_OK) st = bound_batches(conf, config, role, err);
  return st == ST_OK ? set_rows(conf, pinned, sizeof pinned / sizeof *pinned, role, err) : st;
}

static enum status copy_places(struct handle *h, const struct kafka_config *config,
                               struct error *err) {
  const char *file = options_text(config, TOKEN_FILE, TOKEN_FILE, NULL);
  h->servers = strdup(kafka_servers(config));
  if (file && h->role != HANDLE_TRIAL) h->token_file = strdup(file);
  return h->servers && (h->token_file || !file || h->role == HANDLE_TRIAL)
             ? ST_OK
             : error_set(err, ST_NO_MEMORY, "out of memory");
}

static void set_callbacks(struct handle *h, rd_kafka_conf_t *conf, handle_report_fn report) {
  rd_kafka_conf_set_opaque(conf, h);
  rd_kafka_conf_set_log_cb(conf, on_log);
  rd_kafka_conf_set_error_cb(conf, on_error);
  if (report) rd_kafka_conf_set_dr_msg_cb(conf, report);
  if (h->role == HANDLE_PUBLISHER && h->statistics) rd_kafka_conf_set_stats_cb(conf, on_statistics);
  if (h->token_file) {
    rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, on_token);
    rd_kafka_conf_enable_sasl_queue(conf, 1);
  }
  if (h->role != HANDLE_TRIAL) rd_kafka_conf_interceptor_add_on_new(conf, "busbridge", on_new, h);
}

/* Tokens are asked for on a thread of librdkafka's own, whoever polls. */
static enum status serve_tokens(struct handle *h, struct error *err) {
  if (!h->token_file) return ST_OK;
  rd_kafka_error_t *error = rd_kafka_sasl_background_callbacks_enable(h->rk);
  if (!error) return ST_OK;
  enum status st =
      error_set(err, ST_INVALID, "kafka.%s: %s", TOKEN_FILE, rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  handle_close(h);
  return st;
}

enum status handle_open(struct handle *h, const struct kafka_config *config, enum handle_role role,
                        struct log *log, handle_report_fn report, void *owner, struct error *err) {
  *h = (struct handle){.log = log,
                       .role = role,
                       .owner = owner,
                       .link = LINK_UNKNOWN,
                       .statistics = config->statistics};
  mutex_init(&h->mutex);
  h->has_mutex = true;
  h->scram_too_old = options_scram_too_old(config);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  enum status st = copy_places(h, config, err);
  if (st == ST_OK) st = set_all(conf, config, role, err);
  if (st != ST_OK) goto out;
  set_callbacks(h, conf, report);
  char words[512] = "";
  h->rk = rd_kafka_new(role & CONSUMERS ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, words,
                       sizeof words);
  if (h->rk) return serve_tokens(h, err); /* conf is librdkafka's now */
  st = error_set(err, ST_INVALID, "kafka.*: %s", words);
out:
  /* When rd_kafka_new fails after its interceptors were called it has freed part of conf, and
   * destroying it crashes: it is left. The trial before every start meets such failures first,
   * without interceptors. */
  if (!h->intercepted) rd_kafka_conf_destroy(conf);
  handle_close(h);
  return st;
}

void handle_close(struct handle *h) {
  /* Leaving a group is not needed, and could wait for a broker that is away. */
  if (h->rk) rd_kafka_destroy_flags(h->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  h->rk = NULL;
  free(h->servers);
  free(h->token_file);
  h->servers = h->token_file = NULL;
  if (h->has_mutex) mutex_destroy(&h->mutex);
  h->has_mutex = false;
}
