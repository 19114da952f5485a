/* librdkafka's settings: the table knows each, a value that bends the promise or stalls is refused
 * with its reason, and what is taken with a doubt is told. */
#include "bridge/kafka/options/options.h"
#include "tests/unit/kafka_mock.h"

static enum status check(const char *key, const char *value, bool at_least_once,
                         struct error *err) {
  const struct kafka_pair pair = {key, value};
  const struct kafka_config config = {.pairs = &pair, .count = 1, .at_least_once = at_least_once};
  return kafka_config_check(&config, NULL, err);
}

/* ---- the table is whole ---- */

static size_t known(const char **dump, size_t count) {
  assert_true(count > 20);
  for (size_t i = 0; i < count; i += 2)
    if (option_kind(dump[i]) == OPTION_UNKNOWN) fail_msg("the table lacks %s", dump[i]);
  return count / 2;
}

TEST(the_table_knows_all_that_this_librdkafka_dumps) {
  size_t count = 0, topic_count = 0;
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_topic_conf_t *topic = rd_kafka_topic_conf_new();
  const char **dump = rd_kafka_conf_dump(conf, &count),
             **topic_dump = rd_kafka_topic_conf_dump(topic, &topic_count);
  assert_true(known(dump, count) + known(topic_dump, topic_count) > 80);
  rd_kafka_conf_dump_free(dump, count);
  rd_kafka_conf_dump_free(topic_dump, topic_count);
  rd_kafka_conf_destroy(conf);
  rd_kafka_topic_conf_destroy(topic);
}

/* The dump leaves out what has no value, and other names of the same. */
TEST(the_table_knows_all_that_this_librdkafka_documents) {
  FILE *file = tmpfile();
  assert_non_null(file);
  rd_kafka_conf_properties_show(file);
  rewind(file);
  char line[8192], key[128];
  size_t count = 0;
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "%127[a-z0-9._]%*[ ]|", key) != 1 || !strchr(line, '|')) continue;
    if (option_kind(key) == OPTION_UNKNOWN) fail_msg("the table lacks %s", key);
    count++;
  }
  fclose(file);
  assert_true(count > 150);
}

TEST(the_table_knows_what_later_releases_brought) {
  static const char *const later[] = {"client.dns.lookup",
                                      "enable.metrics.push",
                                      "fetch.queue.backoff.ms",
                                      "group.protocol",
                                      "group.remote.assignor",
                                      "https.ca.location",
                                      "https.ca.pem",
                                      "metadata.recovery.rebootstrap.trigger.ms",
                                      "metadata.recovery.strategy",
                                      "retry.backoff.max.ms",
                                      "sasl.oauthbearer.assertion.algorithm",
                                      "sasl.oauthbearer.assertion.claim.aud",
                                      "sasl.oauthbearer.grant.type",
                                      "sasl.oauthbearer.metadata.authentication.type",
                                      "ssl.engine.location",
                                      "share.acknowledgement.mode",
                                      "max.poll.records"};
  for (size_t i = 0; i < sizeof later / sizeof *later; i++)
    if (option_kind(later[i]) == OPTION_UNKNOWN) fail_msg("the table lacks %s", later[i]);
}

/* ---- what is refused ---- */

TEST(values_that_bend_the_promise_or_stall_are_refused_with_the_reason) {
  static const char *const rows[][3] = {
      {"delivery.report.only.error", "true", "published again"},
      {"delivery.report.only.error", "1", "published again"},
      {"delivery.report.only.error", "T", "published again"},
      {"topic.blacklist", ".*", "wait for ever"},
      {"internal.termination.signal", "9", "end the worker"},
      {"enabled_events", "255", "nobody reads"},
      {"acks", "0", "lose"},
      {"request.required.acks", "0", "lose"},
      {"message.timeout.ms", "1", "twice"},
      {"retries", "0", "twice"},
      {"message.send.max.retries", "0", "twice"},
      {"max.in.flight", "1000", "out of order"},
      {"max.in.flight.requests.per.connection", "6", "out of order"},
      {"queuing.strategy", "lifo", "out of order"},
      {"enable.gapless.guarantee", "true", "one refused event"},
      {"test.mock.num.brokers", "3", "lost"},
      {"allow.auto.create.topics", "true", "topics.create"},
      {"log.queue", "true", "memory"},
      {"api.version.request", "false", "headers"},
      {"api.version.fallback.ms", "60000", "old"},
      {"broker.version.fallback", "0.9.0", "headers"},
      {"socket.max.fails", "0", "waited for"},
      {"socket.timeout.ms", "10", "outage"},
      {"socket.timeout.ms", "300000", "outage"},
      {"reconnect.backoff.max.ms", "3600000", "outage"},
      {"broker.address.ttl", "86400000", "old address"},
      {"topic.metadata.refresh.interval.ms", "-1", "leader"},
      {"linger.ms", "900000", "waits"},
      {"queue.buffering.max.ms", "900000", "waits"},
      {"queue.buffering.max.kbytes", "1", "for ever"},
      {"message.max.bytes", "1000000000", "for ever"},
      {"transaction.timeout.ms", "1000", "committed"},
      {"transaction.timeout.ms", "2147483647", "consumers wait"},
      {"auto.offset.reset", "error", "consumer's"},
      {"enable.auto.commit", "true", "consumer's"},
      {"isolation.level", "read_uncommitted", "consumer's"},
      {"fetch.max.bytes", "1024", "consumer's"},
      {"session.timeout.ms", "1", "consumer's"},
      {"group.instance.id", "x", "consumer's"},
      {"plugin.library.paths", "/tmp/x.so", "code of others"},
      {"interceptors", "x", "code of others"},
      {"error_cb", "0x1", "program"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int guarantee = 0; guarantee < 2; guarantee++) {
      struct error err = {0};
      char name[100];
      snprintf(name, sizeof name, "kafka.%s", rows[i][0]);
      if (check(rows[i][0], rows[i][1], guarantee, &err) != ST_INVALID)
        fail_msg("%s = %s was taken", rows[i][0], rows[i][1]);
      if (strncmp(err.text, name, strlen(name)) != 0 || !strstr(err.text, rows[i][2]))
        fail_msg("%s = %s: %s", rows[i][0], rows[i][1], err.text);
    }
}

TEST(values_that_keep_the_promise_are_taken) {
  static const char *const rows[][2] = {{"delivery.report.only.error", "false"},
                                        {"delivery.report.only.error", "0"},
                                        {"acks", "ALL"},
                                        {"acks", "-1"},
                                        {"enable.idempotence", "1"},
                                        {"max.in.flight", "1"},
                                        {"linger.ms", "50"},
                                        {"compression.codec", "zstd"},
                                        {"batch.size", "20000"},
                                        {"queue.buffering.max.messages", "0"},
                                        {"transaction.timeout.ms", "5000"},
                                        {"transaction.timeout.ms", "900000"},
                                        {"transaction.timeout.ms", "30000"},
                                        {"socket.timeout.ms", "3000"},
                                        {"statistics.interval.ms", "100"},
                                        {"debug", "all"},
                                        {"client.id", "x"},
                                        {"client.rack", "a"},
                                        {"socket.keepalive.enable", "true"},
                                        {"message.max.bytes", "30000000"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int guarantee = 0; guarantee < 2; guarantee++) {
      struct error err = {0};
      if (check(rows[i][0], rows[i][1], guarantee, &err) != ST_OK)
        fail_msg("%s = %s: %s", rows[i][0], rows[i][1], err.text);
    }
}

TEST(an_event_that_fits_into_a_larger_queue_is_taken) {
  const struct kafka_pair pairs[] = {{"message.max.bytes", "100000000"},
                                     {"queue.buffering.max.kbytes", "100000"}};
  const struct kafka_config config = {.pairs = pairs, .count = 2, .at_least_once = true};
  struct error err = {0};
  assert_int_equal(kafka_config_check(&config, NULL, &err), ST_OK);
}

/* ---- doubts ---- */

static size_t doubts(const char *key, const char *value, bool at_least_once,
                     struct kafka_doubt *last) {
  const struct kafka_pair pair = {key, value};
  const struct kafka_config config = {.pairs = &pair, .count = 1, .at_least_once = at_least_once};
  size_t n = 0;
  for (size_t at = 0; kafka_config_doubt(&config, &at, last);) n++;
  return n;
}

TEST(a_setting_that_the_table_does_not_know_is_passed_with_a_warning) {
  struct kafka_doubt doubt;
  assert_int_equal(doubts("brand.new.setting", "secret", false, &doubt), 1);
  assert_int_equal(doubt.kind, DOUBT_UNKNOWN);
  assert_non_null(strstr(doubt.text, "kafka.brand.new.setting"));
  assert_null(strstr(doubt.text, "secret"));
  assert_string_equal(doubt.value, "");
}

TEST(giving_an_event_up_is_doubted_where_it_may_double) {
  struct kafka_doubt doubt;
  static const char *const keys[] = {"message.timeout.ms", "delivery.timeout.ms", "retries",
                                     "message.send.max.retries"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    assert_int_equal(doubts(keys[i], "4500", true, &doubt), 1);
    assert_int_equal(doubt.kind, DOUBT_WEAKENED);
    assert_int_equal(doubts(keys[i], "4500", false, &doubt),
                     0); /* there the transaction is aborted */
  }
  assert_int_equal(doubts("message.timeout.ms", "0", true, &doubt), 0);
  assert_int_equal(doubts("acks", "1", true, &doubt), 1);
  assert_int_equal(doubts("acks", "-1", true, &doubt), 0);
}

TEST(a_login_that_this_librdkafka_cannot_do_is_said_before_it_is_tried) {
  struct kafka_doubt doubt = {.next = ""};
  size_t old = rd_kafka_version() < 0x020601ff;
  assert_int_equal(doubts("sasl.mechanism", "SCRAM-SHA-512", false, &doubt), old);
  assert_int_equal(doubts("sasl.mechanisms", "scram-sha-256", true, &doubt), old);
  if (old) {
    assert_int_equal(doubt.kind, DOUBT_SCRAM);
    assert_non_null(strstr(doubt.text, "Kafka 4"));
    assert_non_null(strstr(doubt.next, "2.6.1"));
  }
  assert_int_equal(doubts("sasl.mechanism", "PLAIN", false, &doubt), 0);
}
