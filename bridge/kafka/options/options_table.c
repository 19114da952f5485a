/* The table of librdkafka's settings (2.0 to 2.16): what may be passed on, what only within bounds,
 * and what not at all.
 *
 * A rule stands here where a value would bend what is promised (lost, doubled, out of order) or
 * make the relay stand still without a word. How fast, how large and how secure is the user's.
 * Any thread; a crash leaves nothing. */
#include "bridge/kafka/options/options.h"

#define COUNT(list) (sizeof list / sizeof *list)
#define MOST INT64_C(2147483647)

/* clang-format off */
static const char *const passed[] = {
    "batch.num.messages", "batch.size", "bootstrap.servers", "broker.address.family", "builtin.features",
    "check.crcs", "client.dns.lookup", "client.id", "client.rack", "client.software.name",
    "client.software.version", "compression.codec", "compression.level", "compression.type", "debug",
    "enable.metrics.push", "enable.random.seed", "enable.sasl.oauthbearer.unsecure.jwt",
    "enable.sparse.connections", "https.ca.location", "https.ca.pem", "log.thread.name", "log_level",
    "message.copy.max.bytes", "message.max.bytes", "metadata.broker.list",
    "metadata.recovery.rebootstrap.trigger.ms", "metadata.recovery.strategy", "metadata.request.timeout.ms",
    "produce.offset.report", "queue.buffering.backpressure.threshold", "reconnect.backoff.jitter.ms",
    "sasl.jaas.config", "sasl.kerberos.keytab", "sasl.kerberos.kinit.cmd", "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal", "sasl.kerberos.service.name", "sasl.mechanism", "sasl.mechanisms",
    "sasl.oauthbearer.assertion.algorithm", "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds", "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include", "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub", "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file", "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase", "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions", "sasl.oauthbearer.grant.type", "sasl.oauthbearer.metadata.authentication.type",
    "sasl.oauthbearer.method", "sasl.oauthbearer.scope", "sasl.oauthbearer.sub.claim.name",
    "sasl.oauthbearer.token.endpoint.url", TOKEN_FILE, "sasl.password", "sasl.username", "security.protocol",
    "socket.blocking.max.ms", "socket.keepalive.enable", "socket.nagle.disable", "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes", "ssl.ca.certificate.stores", "ssl.ca.location", "ssl.ca.pem",
    "ssl.certificate.location", "ssl.certificate.pem", "ssl.cipher.suites", "ssl.crl.location", "ssl.curves.list",
    "ssl.endpoint.identification.algorithm", "ssl.engine.id", "ssl.engine.location", "ssl.key.location",
    "ssl.key.password", "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password", "ssl.providers",
    "ssl.sigalgs.list", "ssl.truststore.location", "statistics.interval.ms", "sticky.partitioning.linger.ms",
    "test.mock.broker.rtt", "topic.metadata.refresh.fast.cnt", "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.sparse"};

/* Keys of one reason. */
static const char *const of_consumers[] = {
    "auto.commit.enable", "auto.commit.interval.ms", "auto.offset.reset", "consume.callback.max.messages",
    "coordinator.query.interval.ms", "enable.auto.commit", "enable.auto.offset.store", "enable.partition.eof",
    "fetch.error.backoff.ms", "fetch.max.bytes", "fetch.message.max.bytes", "fetch.min.bytes",
    "fetch.queue.backoff.ms", "fetch.wait.max.ms", "group.instance.id", "group.protocol", "group.protocol.type",
    "group.remote.assignor", "heartbeat.interval.ms", "isolation.level", "max.partition.fetch.bytes",
    "max.poll.interval.ms", "max.poll.records", "offset.store.method", "offset.store.path",
    "offset.store.sync.interval.ms", "partition.assignment.strategy", "queued.max.messages.kbytes",
    "queued.min.messages", "session.timeout.ms", "share.acknowledgement.mode"};
static const char *const of_programs[] = {
    "background_event_cb", "closesocket_cb", "connect_cb", "consume_cb", "default_topic_conf", "dr_cb", "dr_msg_cb",
    "error_cb", "log_cb", "msg_order_cmp", "oauthbearer_token_refresh_cb", "offset_commit_cb", "opaque", "open_cb",
    "partitioner_cb", "rebalance_cb", "resolve_cb", "socket_cb", "ssl.certificate.verify_cb", "ssl_ca",
    "ssl_certificate", "ssl_engine_callback_data", "ssl_key", "stats_cb", "throttle_cb"};
static const char *const of_code[] = {
    "interceptors", "plugin.library.paths"};
static const char *const of_ours[] = {
    "group.id", "transactional.id"};
static const char *const of_blacklist[] = {
    "topic.blacklist"};

static const struct refused {
  const char *const *keys;
  size_t count;
  const char *why;
} refused[] = {
    {of_consumers, COUNT(of_consumers),
     "it is a consumer's, and a relay only produces (busbridge tail and verify read with values of their own); remove "
     "the setting"},
    {of_programs, COUNT(of_programs),
     "only a program can set it (for certificates: kafka.ssl.*.location or .pem); remove the setting"},
    {of_code, COUNT(of_code), "code of others would stand between the outbox and Kafka; remove the setting"},
    {of_ours, COUNT(of_ours),
     "it is derived from the outbox's id, so that a second worker on it is fenced; remove the setting"},
    {of_blacklist, COUNT(of_blacklist),
     "topics that it matches would not exist for the relay, and their events wait for ever; routing.topic and "
     "routing.namespaces choose the topics"},
};

#define GIVEN_UP "an event that is given up here may have arrived, and is published twice"
#define ACKED "a broker that fails can lose acknowledged events"
#define TWICE "an event can be published twice or out of order when a connection breaks"
#define OUTAGE "an outage would last so much longer, or not be seen"
#define LATE "with more requests under way a repeated one comes out of order"
#define WAITS "each batch waits as long"

static const struct rule rules[] = {
    /* what the promise rests on */
    {"acks", {"all", "-1"}, 1, MOST, WARN_SENDING, ACKED},
    {"request.required.acks", {"all", "-1"}, 1, MOST, WARN_SENDING, ACKED},
    {"enable.idempotence", {"true"}, 0, MOST, WARN_SENDING, TWICE},
    {"partitioner", {"murmur2_random", "murmur2"}, 0, MOST, WARN_SENDING,
     "other clients put the same key on another partition: order per key is lost"},
    {"message.timeout.ms", {"0"}, 1000, MOST, WARN_AT_LEAST_ONCE, GIVEN_UP},
    {"delivery.timeout.ms", {"0"}, 1000, MOST, WARN_AT_LEAST_ONCE, GIVEN_UP},
    {"retries", {"2147483647"}, 1, MOST, WARN_AT_LEAST_ONCE, GIVEN_UP},
    {"message.send.max.retries", {"2147483647"}, 1, MOST, WARN_AT_LEAST_ONCE, GIVEN_UP},
    {"max.in.flight", {NULL}, 1, 5, WARN_NEVER, LATE},
    {"max.in.flight.requests.per.connection", {NULL}, 1, 5, WARN_NEVER, LATE},
    {"queuing.strategy", {"fifo"}, 0, 0, WARN_NEVER, "the newest event first is out of order"},
    {"delivery.report.only.error", {"false"}, 0, 0, WARN_NEVER,
     "nothing would tell what is published, and all of it would be published again"},
    {"enable.gapless.guarantee", {"false"}, 0, 0, WARN_NEVER,
     "one refused event would end the producer with all others; busbridge keeps the order of each key itself"},
    {"enable.ssl.certificate.verification", {"true"}, 0, MOST, WARN_ALWAYS,
     "whoever answers in the broker's place can take events away"},
    {"test.mock.num.brokers", {"0"}, 0, 0, WARN_NEVER,
     "events would go into this process's memory and be lost; deploy/quickstart has a development broker"},
    {"allow.auto.create.topics", {"false"}, 0, 0, WARN_NEVER,
     "a misspelt topic would be made with the broker's defaults; topics.create = missing creates them"},
    /* what would be seen or heard no more */
    {"enabled_events", {"0"}, 0, 0, WARN_NEVER, "librdkafka's events would go where nobody reads them"},
    {"enable_sasl_queue", {"false"}, 0, 0, WARN_NEVER, "tokens would be asked for where nobody listens"},
    {"log.queue", {"false"}, 0, 0, WARN_NEVER, "its log would fill the memory unread"},
    {"log.connection.close", {"true"}, 0, 0, WARN_NEVER, "lost connections would go unnoticed; remove the setting"},
    {"internal.termination.signal", {"0"}, 0, 0, WARN_NEVER, "the signal would end the worker; remove the setting"},
    {"api.version.request", {"true"}, 0, 0, WARN_NEVER,
     "records without headers would be all a broker is believed to take"},
    {"api.version.fallback.ms", {"0"}, 0, 0, WARN_NEVER,
     "after a lost connection a broker would be taken for an old one"},
    {"broker.version.fallback", {"0.10.0"}, 0, 0, WARN_NEVER,
     "Kafka before 0.11 knows no record headers; remove the setting"},
    {"socket.max.fails", {"1"}, 0, 0, WARN_NEVER, "answers of a broken connection would be waited for"},
    /* how long we may wait without a word, and what must fit */
    {"api.version.request.timeout.ms", {NULL}, 1000, 30000, WARN_NEVER, OUTAGE},
    {"broker.address.ttl", {NULL}, 0, 60000, WARN_NEVER,
     "a broker that moved would be looked for at its old address"},
    {"connections.max.idle.ms", {"0"}, 10000, MOST, WARN_NEVER, "connections would be closed while they are needed"},
    {"linger.ms", {NULL}, 0, 5000, WARN_NEVER, WAITS},
    {"queue.buffering.max.ms", {NULL}, 0, 5000, WARN_NEVER, WAITS},
    {"metadata.max.age.ms", {NULL}, 10000, 86400000, WARN_NEVER, "topics would be forgotten between two events"},
    {"queue.buffering.max.kbytes", {NULL}, 1024, MOST, WARN_NEVER,
     "an event larger than the queue would wait for ever"},
    {"queue.buffering.max.messages", {"0"}, 100, MOST, WARN_NEVER, "events would go one by one"},
    {"receive.message.max.bytes", {NULL}, 52429312, MOST, WARN_NEVER,
     "answers larger than this end the connection, and tail and verify could not read"},
    {"reconnect.backoff.ms", {NULL}, 0, 10000, WARN_NEVER, OUTAGE},
    {"reconnect.backoff.max.ms", {NULL}, 0, 30000, WARN_NEVER, OUTAGE},
    {"request.timeout.ms", {NULL}, 100, 60000, WARN_NEVER, "the broker waits as long for its replicas"},
    {"retry.backoff.ms", {NULL}, 1, 10000, WARN_NEVER, OUTAGE},
    {"retry.backoff.max.ms", {NULL}, 1, 30000, WARN_NEVER, OUTAGE},
    {"socket.connection.setup.timeout.ms", {NULL}, 1000, 60000, WARN_NEVER, OUTAGE},
    {"socket.timeout.ms", {NULL}, 1000, 60000, WARN_NEVER, OUTAGE},
    {"topic.metadata.propagation.max.ms", {NULL}, 0, 30000, WARN_NEVER,
     "one missing topic holds the others up as long"},
    {"topic.metadata.refresh.interval.ms", {NULL}, 1000, 300000, WARN_NEVER,
     "a topic that was made, or has a new leader, would be found so much later"},
    {"transaction.timeout.ms", {NULL}, 5000, 900000, WARN_NEVER,
     "below, transactions end before they are committed; above, consumers wait as long after a crash"},
};
/* clang-format on */

static bool listed(const char *const *keys, size_t count, const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(keys[i], key) == 0) return true;
  return false;
}

const char *option_refusal(const char *key) {
  for (size_t i = 0; i < COUNT(refused); i++)
    if (listed(refused[i].keys, refused[i].count, key)) return refused[i].why;
  return NULL;
}

const struct rule *option_rule(const char *key) {
  for (size_t i = 0; i < COUNT(rules); i++)
    if (strcmp(rules[i].key, key) == 0) return &rules[i];
  return NULL;
}

enum option_kind option_kind(const char *key) {
  if (option_refusal(key)) return OPTION_REFUSED;
  if (option_rule(key)) return OPTION_CHECKED;
  return listed(passed, COUNT(passed), key) ? OPTION_PASSED : OPTION_UNKNOWN;
}
