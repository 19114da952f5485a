/* bridge/kafka against a real broker: what librdkafka's mock cannot show (creating topics,
 * transactions, missing topics).
 *
 * The broker's address is in the file that BUSBRIDGE_BROKER names; without it the program is
 * skipped (77).
 */
#include "tests/integration/broker.h"

#include "bridge/kafka/topic_reader.h"

struct world {
  char bootstrap[64];
  struct kafka_pair pair;
  struct kafka_config config;
  struct cluster *cluster;
  struct publisher *publisher;
  struct topic_reader *reader;
  struct reports reports;
  char topic[64]; /* a name of this test's own */
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  struct error err = {0};
  char id[37];
  if (!broker_find(w->bootstrap)) return -1;
  w->pair = (struct kafka_pair){"bootstrap.servers", w->bootstrap};
  w->config = (struct kafka_config){.pairs = &w->pair, .count = 1, .at_least_once = true};
  uuid_make(&clock_system, id);
  snprintf(w->topic, sizeof w->topic, "c.%s", id);
  if (cluster_open(&w->config, NULL, &w->cluster, &err) != ST_OK) return -1;
  if (publisher_open(&w->config, NULL, reports_add, &w->reports, &w->publisher, &err) != ST_OK)
    return -1;
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  topic_reader_close(w->reader);
  publisher_close(w->publisher);
  cluster_close(w->cluster);
  test_free(w);
  return 0;
}

static void create(struct world *w, int partitions) {
  broker_topic(w->cluster, w->topic, partitions);
}

static unsigned number_of(struct world *w) {
  unsigned number = 99;
  struct error err = {0};
  if (publisher_topic(w->publisher, w->topic, &number, &err) != ST_OK) fail_msg("%s", err.text);
  return number;
}

static void expect_topic(struct world *w, enum topic_state state, int partitions) {
  enum topic_state found = TOPIC_UNCLEAR;
  int count = -1;
  struct error err = {0};
  if (cluster_topic(w->cluster, w->topic, PATIENCE_MS, &found, &count, &err) != ST_OK)
    fail_msg("%s", err.text);
  assert_int_equal(found, state);
  assert_int_equal(count, partitions);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_topic_is_created_once_and_asking_does_not_create_it) {
  struct world *w = *state;
  expect_topic(w, TOPIC_MISSING, 0);
  expect_topic(w, TOPIC_MISSING, 0);
  create(w, 5);
  create(w, 7); /* it is there: fine, and unchanged */
  expect_topic(w, TOPIC_THERE, 5);
}

CASE(a_topic_gets_the_brokers_partitions_unless_told) {
  struct world *w = *state;
  create(w, -1);
  int64_t low = -1, high = -1;
  struct error err = {0};
  enum status st;
  do st = cluster_offsets(w->cluster, w->topic, 2, PATIENCE_MS, &low, &high, &err);
  while (st == ST_UNAVAILABLE); /* a new partition has no leader yet */
  assert_int_equal(st, ST_OK);
  assert_int_equal(high, 0);
  assert_int_equal(cluster_offsets(w->cluster, w->topic, 3, PATIENCE_MS, &low, &high, &err),
                   ST_NOT_FOUND);
}

CASE(what_the_broker_refuses_to_create_is_told_in_its_words) {
  struct world *w = *state;
  struct error err = {0};
  assert_int_equal(cluster_create_topic(w->cluster, "no/topic", 1, 1, PATIENCE_MS, &err),
                   ST_INVALID);
  assert_non_null(strstr(err.text, "no/topic"));
  assert_int_equal(cluster_create_topic(w->cluster, w->topic, 1, 3, PATIENCE_MS, &err), ST_INVALID);
  assert_non_null(strstr(err.text, "replication factor"));
  assert_int_equal(cluster_create_topic(w->cluster, w->topic, -2, 1, PATIENCE_MS, &err),
                   ST_INVALID);
  assert_int_equal(cluster_create_topic(w->cluster, w->topic, 1, 1, -5, &err), ST_INVALID);
  expect_topic(w, TOPIC_MISSING, 0);
}

CASE(a_missing_topic_is_told_and_takes_records_once_it_is_made) {
  struct world *w = *state;
  const struct record record = record_of(number_of(w), "k", "v", 1);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK); /* not known yet */
  POLL_UNTIL(w->publisher, w->reports.count == 1);
  assert_int_equal(w->reports.delivery[0].fault, KAFKA_TOPIC_UNKNOWN);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_TOPIC_UNKNOWN);
  create(w, 1);
  POLL_UNTIL(w->publisher, publisher_send(w->publisher, &record, NULL) == KAFKA_OK);
  POLL_UNTIL(w->publisher, w->reports.count == 2);
  assert_int_equal(w->reports.delivery[1].fault, KAFKA_OK);
}

CASE(golden_keys_land_on_the_partitions_of_murmur2) {
  struct world *w = *state;
  const char *const keys[] = {"kafka", "giberish123456789", "1234", "ep-000001"};
  const int partitions[] = {4, 8, 0, 4};
  create(w, 12);
  unsigned number = number_of(w);
  for (uintptr_t i = 0; i < 4; i++) {
    const struct record record = record_of(number, keys[i], "v", i);
    assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  }
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
  for (size_t i = 0; i < 4; i++)
    assert_int_equal(w->reports.delivery[i].partition, partitions[w->reports.opaque[i]]);
}

/* Two transactions of another producer: one committed, one aborted. */
static void write_transactions(struct world *w) {
  char words[512] = "";
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", w->bootstrap, words, sizeof words),
                   RD_KAFKA_CONF_OK);
  assert_int_equal(rd_kafka_conf_set(conf, "transactional.id", w->topic, words, sizeof words),
                   RD_KAFKA_CONF_OK);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
  assert_non_null(rk);
  assert_null(rd_kafka_init_transactions(rk, PATIENCE_MS));
  for (int commit = 1; commit >= 0; commit--) {
    assert_null(rd_kafka_begin_transaction(rk));
    for (int i = 0; i < 3; i++)
      assert_int_equal(
          rd_kafka_producev(
              rk, RD_KAFKA_V_TOPIC(w->topic),
              RD_KAFKA_V_VALUE((void *)(commit ? "committed" : "aborted"), commit ? 9 : 7),
              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
          RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_flush(rk, PATIENCE_MS); /* else an abort would drop them unsent */
    assert_null(commit ? rd_kafka_commit_transaction(rk, -1) : rd_kafka_abort_transaction(rk, -1));
  }
  rd_kafka_destroy(rk);
}

CASE(only_committed_records_are_read_and_the_end_comes_behind_aborted_ones) {
  struct world *w = *state;
  create(w, 2);
  write_transactions(w);
  const char *const topics[] = {w->topic};
  struct error err = {0};
  assert_int_equal(
      topic_reader_open(&w->config, NULL, topics, 1, false, PATIENCE_MS, &w->reader, &err), ST_OK);
  struct message message;
  enum status st;
  size_t found = 0;
  while ((st = topic_reader_next(w->reader, PATIENCE_MS, &message, &err)) == ST_OK) {
    assert_true(span_is(message.value, "committed"));
    found++;
  }
  assert_int_equal(st, ST_END);
  assert_int_equal(found, 3);
}

int main(void) {
  char bootstrap[64];
  if (!broker_find(bootstrap)) {
    puts(BROKER_SKIPPED);
    return 77;
  }
  return tests_run();
}
