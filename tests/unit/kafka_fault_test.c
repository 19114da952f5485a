/* What each error means, and which settings are refused. Nothing here connects. */
#include "bridge/kafka/faults/remedy.h"
#include "tests/unit/kafka_mock.h"

#include "bridge/kafka/client.h"

/* ---- faults ---- */

TEST(every_code_has_a_meaning_and_only_success_is_ok) {
  const struct rd_kafka_err_desc *all = NULL;
  size_t count = 0, known = 0;
  rd_kafka_get_err_descs(&all, &count);
  for (size_t i = 0; i < count; i++) {
    if (!all[i].desc) continue; /* a hole between the local and the broker's codes */
    enum kafka_fault fault = kafka_fault_of(all[i].code);
    assert_int_equal(fault == KAFKA_OK, all[i].code == RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_true(strlen(kafka_fault_word(fault)) > 1);
    known++;
  }
  assert_true(known > 100);
  assert_int_equal(kafka_fault_of(12345),
                   KAFKA_OTHER); /* a code of a later release is the world's fault */
}

TEST(words_of_faults_differ) {
  for (int a = KAFKA_OK; a <= KAFKA_OTHER; a++)
    for (int b = KAFKA_OK; b < a; b++)
      assert_string_not_equal(kafka_fault_word((enum kafka_fault)a),
                              kafka_fault_word((enum kafka_fault)b));
}

/* The rows that decide about somebody's event, one by one. */
static const struct {
  int code;
  enum kafka_fault fault;
} important[] = {
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, KAFKA_QUEUE_FULL},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_RECORD_REFUSED},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, KAFKA_RECORD_REFUSED},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, KAFKA_RECORD_REFUSED},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_RECORD_REFUSED},
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, KAFKA_CLOCK},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, KAFKA_TOPIC_UNKNOWN},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, KAFKA_TOPIC_UNKNOWN},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_TOPIC_UNKNOWN},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, KAFKA_TOPIC_UNKNOWN},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_TOPIC_DENIED},
    {RD_KAFKA_RESP_ERR__TRANSPORT, KAFKA_UNREACHABLE},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, KAFKA_UNREACHABLE},
    {RD_KAFKA_RESP_ERR__RESOLVE, KAFKA_UNREACHABLE},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KAFKA_UNREACHABLE},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, KAFKA_UNREACHABLE},
    {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, KAFKA_UNREACHABLE},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, KAFKA_TIMED_OUT},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, KAFKA_TIMED_OUT},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, KAFKA_TIMED_OUT},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, KAFKA_NOT_ENOUGH_REPLICAS},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, KAFKA_NOT_ENOUGH_REPLICAS},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, KAFKA_AUTHENTICATION},
    {RD_KAFKA_RESP_ERR__SSL, KAFKA_AUTHENTICATION},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, KAFKA_AUTHENTICATION},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, KAFKA_AUTHENTICATION},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KAFKA_AUTHENTICATION},
    {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, KAFKA_COORDINATOR},
    {RD_KAFKA_RESP_ERR_NOT_COORDINATOR, KAFKA_COORDINATOR},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, KAFKA_COORDINATOR},
    {RD_KAFKA_RESP_ERR__FENCED, KAFKA_FENCED},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, KAFKA_FENCED},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, KAFKA_FENCED},
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, KAFKA_PURGED},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, KAFKA_PURGED},
    {RD_KAFKA_RESP_ERR__FATAL, KAFKA_FATAL},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_FATAL},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, KAFKA_OTHER},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
     KAFKA_OTHER}, /* a setting's fault: no event may die of it */
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, KAFKA_OTHER},
    {RD_KAFKA_RESP_ERR_UNKNOWN, KAFKA_OTHER},
    {RD_KAFKA_RESP_ERR__STATE, KAFKA_OTHER},
};

TEST(the_important_rows_hold) {
  for (size_t i = 0; i < sizeof important / sizeof *important; i++)
    if (kafka_fault_of(important[i].code) != important[i].fault)
      fail_msg("%s is %s", rd_kafka_err2name(important[i].code),
               kafka_fault_word(kafka_fault_of(important[i].code)));
}

/* Only what surely lies in the record is charged to it: a code that joins these must be added above
 * by hand. */
TEST(no_other_code_blames_the_record) {
  const struct rd_kafka_err_desc *all = NULL;
  size_t count = 0, refused = 0;
  rd_kafka_get_err_descs(&all, &count);
  for (size_t i = 0; i < count; i++)
    refused += all[i].desc && kafka_fault_of(all[i].code) == KAFKA_RECORD_REFUSED;
  assert_int_equal(refused, 5);
}

/* ---- settings ---- */

static enum status check(const char *key, const char *value, struct error *err) {
  const struct kafka_pair pair = {key, value};
  const struct kafka_config config = {.pairs = &pair, .count = key ? 1 : 0, .at_least_once = true};
  return kafka_config_check(&config, NULL, err);
}

TEST(our_own_values_and_common_ones_are_accepted) {
  struct error err = {0};
  assert_int_equal(check(NULL, NULL, &err), ST_OK);
  assert_int_equal(check("compression.type", "zstd", &err), ST_OK);
  assert_int_equal(check("bootstrap.servers", "a:9092,b:9092", &err), ST_OK);
  assert_int_equal(check("log.connection.close", "true", &err), ST_OK);
  const struct kafka_config transactions = {.at_least_once = false};
  assert_int_equal(kafka_config_check(&transactions, NULL, &err), ST_OK);
}

TEST(keys_that_are_ours_are_refused) {
  const char *const refused[][2] = {{"transactional.id", "x"},
                                    {"group.id", "x"},
                                    {"log.connection.close", "false"},
                                    {"bootstrap.servers", ""},
                                    {"metadata.broker.list", " "}};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    struct error err = {0};
    assert_int_equal(check(refused[i][0], refused[i][1], &err), ST_INVALID);
    assert_non_null(strstr(err.text, refused[i][0]));
  }
}

TEST(an_unknown_key_is_named_with_the_nearest_one) {
  struct error err = {0};
  assert_int_equal(check("compresion.type", "zstd", &err), ST_INVALID);
  assert_non_null(strstr(err.text, "kafka.compresion.type: No such configuration property"));
  assert_non_null(strstr(err.text, "did you mean kafka.compression.type?"));
  assert_int_equal(check("sasl.passwort", "x", &err), ST_INVALID);
  assert_non_null(strstr(err.text, "did you mean kafka.sasl.password?"));
}

TEST(a_key_like_no_other_gets_no_suggestion) {
  struct error err = {0};
  assert_int_equal(check("zzzzzzzzzzzzzzzz", "x", &err), ST_INVALID);
  assert_null(strstr(err.text, "did you mean"));
  char giant[200];
  memset(giant, 'k', sizeof giant - 1);
  giant[sizeof giant - 1] = 0;
  assert_int_equal(check(giant, "x", &err), ST_INVALID);
}

TEST(a_bad_value_is_named_by_its_key) {
  struct error err = {0};
  assert_int_equal(check("message.max.bytes", "many", &err), ST_INVALID);
  assert_non_null(strstr(err.text, "kafka.message.max.bytes"));
}

TEST(a_combination_that_cannot_work_is_refused) {
  struct error err = {0};
  assert_int_equal(check("acks", "1", &err), ST_INVALID); /* idempotence needs all */
  assert_non_null(strstr(err.text, "acks"));
  const struct kafka_pair pairs[] = {{"security.protocol", "ssl"},
                                     {"ssl.ca.location", "/nonexistent/ca.pem"}};
  const struct kafka_config config = {.pairs = pairs, .count = 2, .at_least_once = true};
  assert_int_equal(kafka_config_check(&config, NULL, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "ca.location"));
}

TEST(weakened_guarantees_are_logged) {
  struct mock m;
  mock_open(&m);
  mock_set(&m, "enable.idempotence", "false");
  mock_set(&m, "acks", "1");
  mock_set(&m, "partitioner", "consistent");
  mock_set(&m, "message.timeout.ms", "5000");
  struct error err = {0};
  assert_int_equal(kafka_config_check(&m.config, m.log, &err), ST_OK);
  assert_true(mock_logged(&m, "kafka.enable.idempotence = false weakens"));
  assert_true(mock_logged(&m, "kafka.acks = 1 weakens"));
  assert_true(mock_logged(&m, "kafka.partitioner = consistent weakens"));
  assert_true(mock_logged(&m, "kafka.message.timeout.ms = 5000 weakens"));
  mock_close(&m);
}

TEST(strong_values_are_not_complained_of) {
  struct mock m;
  mock_open(&m);
  mock_set(&m, "enable.idempotence", "true");
  mock_set(&m, "acks", "-1");
  mock_set(&m, "partitioner", "murmur2");
  mock_set(&m, "delivery.timeout.ms", "20000");
  m.config.at_least_once = false;
  struct error err = {0};
  assert_int_equal(kafka_config_check(&m.config, m.log, &err), ST_OK);
  assert_false(mock_logged(&m, "weakens"));
  mock_close(&m);
}

TEST(the_library_tells_its_version) {
  assert_true(kafka_library_version()[0] >= '2');
}

/* ---- remedies ---- */

static void assert_remedy(enum kafka_cause cause, const char *subject) {
  const struct kafka_pair pair = {"bootstrap.servers", "broker:9092"};
  const struct kafka_config config = {.pairs = &pair, .count = 1};
  char unknown[1024], text[1024];
  kafka_remedy(CAUSE_UNKNOWN, &config, NULL, unknown, sizeof unknown);
  kafka_remedy(cause, &config, subject, text, sizeof text);
  if (!*text || strstr(text, "(null)") || !strcmp(text, unknown))
    fail_msg("cause %d has no remedy: '%s'", (int)cause, text);
}

TEST(each_cause_has_a_remedy_of_its_own) {
  for (int cause = CAUSE_UNKNOWN + 1; cause <= CAUSE_DESCRIPTORS; cause++) {
    assert_remedy((enum kafka_cause)cause, NULL);
    assert_remedy((enum kafka_cause)cause, "plot.events");
  }
}
