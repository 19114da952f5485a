/* Transactions against a real broker (librdkafka's mock neither commits, nor aborts, nor fences): a
 * position and its records appear together or not at all.
 */
#include "tests/integration/broker.h"

#include "bridge/kafka/topic_reader.h"

enum { LARGE = 3000, TOPIC_LIMIT = 2000 };

struct world {
  char bootstrap[64];
  struct kafka_pair pairs[4];
  struct kafka_config config;
  struct cluster *cluster;
  struct publisher *publisher, *second;
  struct reports reports, second_reports;
  char id[64], topic[64], ledger[64]; /* names of this test's own */
  unsigned number;                    /* of topic, in publisher */
};

static void open_one(struct world *w, struct publisher **p, struct reports *reports) {
  struct error err = {0};
  if (publisher_open(&w->config, NULL, reports_add, reports, p, &err) != ST_OK)
    fail_msg("%s", err.text);
}

#define NEXT(call, wanted)                                                                         \
  do {                                                                                             \
    struct error why = {0};                                                                        \
    enum txn_next next = (call);                                                                   \
    if (next != (wanted)) fail_msg("%s: %d instead of %d: %s", #call, next, (wanted), why.text);   \
  } while (0)

static struct position read_position(struct world *w) {
  struct position position = {.topic = w->ledger, .group = w->id, .number = 99};
  struct error err = {0};
  if (cluster_position(&w->config, NULL, PATIENCE_MS, &position, &err) != ST_OK)
    fail_msg("%s", err.text);
  return position;
}

static void expect_position(struct world *w, int64_t number, const char *digest) {
  struct position position = read_position(w);
  assert_int_equal(position.number, number);
  assert_string_equal(position.digest, digest);
}

/* Closed as it is, as a crash would, and another one in its place. */
static void renew(struct world *w) {
  struct error err = {0};
  publisher_close(w->publisher);
  open_one(w, &w->publisher, &w->reports);
  assert_int_equal(publisher_topic(w->publisher, w->topic, &w->number, &err), ST_OK);
  NEXT(publisher_init(w->publisher, PATIENCE_MS, &why), TXN_DONE);
}

/* As a worker starts: fences, then reads where the ledger stands. */
static void start(struct world *w) {
  NEXT(publisher_init(w->publisher, PATIENCE_MS, &why), TXN_DONE);
  expect_position(w, -1, "");
}

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  struct error err = {0};
  char id[37];
  if (!broker_find(w->bootstrap)) return -1;
  w->pairs[0] = (struct kafka_pair){"bootstrap.servers", w->bootstrap};
  w->config = (struct kafka_config){.pairs = w->pairs, .count = 1, .transactional_id = w->id};
  uuid_make(&clock_system, id);
  snprintf(w->id, sizeof w->id, "busbridge-%s", id);
  snprintf(w->topic, sizeof w->topic, "t.%s", id);
  snprintf(w->ledger, sizeof w->ledger, "l.%s", id);
  if (cluster_open(&w->config, NULL, &w->cluster, &err) != ST_OK) return -1;
  broker_topic(w->cluster, w->topic, 1);
  broker_topic(w->cluster, w->ledger, 1);
  open_one(w, &w->publisher, &w->reports);
  if (publisher_topic(w->publisher, w->topic, &w->number, &err) != ST_OK) return -1;
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  publisher_close(w->publisher);
  publisher_close(w->second);
  cluster_close(w->cluster);
  test_free(w);
  return 0;
}

static void begin(struct world *w) {
  NEXT(publisher_begin(w->publisher, &why), TXN_DONE);
  assert_false(publisher_clean(w->publisher));
}

static void produce(struct world *w, const char *value) {
  const struct record record = record_of(w->number, "k", value, 0);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
}

static void flush(struct publisher *p) {
  POLL_UNTIL(p, publisher_in_flight(p) == 0);
}

static struct position position_of(struct world *w, int64_t number, const char *digest) {
  struct position position = {.topic = w->ledger, .group = w->id, .number = number};
  snprintf(position.digest, sizeof position.digest, "%s", digest);
  return position;
}

static void send_position(struct world *w, int64_t number, const char *digest) {
  const struct position position = position_of(w, number, digest);
  NEXT(publisher_position(w->publisher, &position, &why), TXN_DONE);
}

static void commit(struct world *w) {
  NEXT(publisher_commit(w->publisher, &why), TXN_DONE);
  assert_true(publisher_clean(w->publisher));
}

static void roll_back(struct world *w) {
  NEXT(publisher_abort(w->publisher, &why), TXN_DONE);
  assert_true(publisher_clean(w->publisher));
}

static void commit_batch(struct world *w, int64_t number, const char *digest, const char *value) {
  begin(w);
  if (value) produce(w, value);
  flush(w->publisher);
  send_position(w, number, digest);
  commit(w);
}

/* The values a read_committed consumer finds, each with a comma behind it. */
static void expect_values(struct world *w, const char *wanted) {
  const char *const topics[] = {w->topic};
  struct topic_reader *reader = NULL;
  struct error err = {0};
  char found[256] = "";
  struct message message;
  if (topic_reader_open(&w->config, NULL, topics, 1, false, PATIENCE_MS, &reader, &err) != ST_OK)
    fail_msg("%s", err.text);
  enum status st;
  while ((st = topic_reader_next(reader, PATIENCE_MS, &message, &err)) == ST_OK) {
    size_t used = strlen(found);
    snprintf(found + used, sizeof found - used, "%.*s,", (int)message.value.len, message.value.ptr);
  }
  topic_reader_close(reader);
  assert_int_equal(st, ST_END);
  assert_string_equal(found, wanted);
}

/* ---- ordinary ends ---- */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_position_shows_with_its_commit_and_not_before) {
  struct world *w = *state;
  assert_true(publisher_clean(w->publisher));
  start(w);
  commit_batch(w, 0, "d0", NULL);
  expect_position(w, 0, "d0");
  begin(w);
  produce(w, "one");
  flush(w->publisher);
  assert_int_equal(w->reports.delivery[0].fault, KAFKA_OK);
  send_position(w, 1, "0123456789abcdef0123456789abcdef");
  expect_values(w, "");
  struct position position = {.topic = w->ledger, .group = w->id, .number = 99};
  struct error err = {0};
  assert_int_equal(cluster_position(&w->config, NULL, 1000, &position, &err),
                   ST_UNAVAILABLE); /* it is unstable */
  assert_non_null(strstr(err.text, w->id));
  commit(w);
  expect_position(w, 1, "0123456789abcdef0123456789abcdef");
  expect_values(w, "one,");
}

CASE(an_abort_leaves_the_old_position_and_the_next_transaction_commits) {
  struct world *w = *state;
  start(w);
  commit_batch(w, 6, "six", "a");
  begin(w);
  produce(w, "never");
  flush(w->publisher);
  send_position(w, 7, "never");
  roll_back(w);
  expect_position(w, 6, "six");
  commit_batch(w, 7, "seven", "b");
  expect_position(w, 7, "seven");
  expect_values(w, "a,b,");
}

CASE(an_abort_gives_unsent_records_back_and_leaves_no_gap) {
  struct world *w = *state;
  w->pairs[w->config.count++] = (struct kafka_pair){"linger.ms", "20000"};
  renew(w);
  expect_position(w, -1, "");
  commit_batch(w, 1, "one", NULL);
  begin(w);
  for (int i = 0; i < 50; i++) produce(w, "never");
  struct error why = {0};
  enum txn_next next = publisher_abort(w->publisher, &why);
  if (next == TXN_RENEW) { /* it overtook the partition's registration on a slow machine: the broker
                              knows of no transaction */
    renew(w);
  } else {
    if (next != TXN_DONE) fail_msg("%d: %s", next, why.text);
    assert_true(publisher_clean(w->publisher));
    assert_int_equal(publisher_in_flight(w->publisher), 0);
    assert_int_equal(w->reports.count, 50);
    for (int i = 0; i < 50; i++) assert_int_equal(w->reports.delivery[i].fault, KAFKA_PURGED);
  }
  commit_batch(w, 2, "two", "x");
  expect_values(w, "x,");
}

CASE(empty_transactions_end_clean) {
  struct world *w = *state;
  start(w);
  begin(w);
  roll_back(w);
  begin(w);
  commit(w);
  commit_batch(w, 1, "one", "x");
  expect_position(w, 1, "one");
}

CASE(a_position_alone_is_a_transaction_and_may_be_large_or_repeated) {
  struct world *w = *state;
  start(w);
  commit_batch(w, 1, "d", NULL);
  commit_batch(w, 1, "d", NULL);
  expect_position(w, 1, "d");
  commit_batch(w, INT64_C(1) << 62, "", NULL);
  expect_position(w, INT64_C(1) << 62, "");
}

/* ---- refusals ---- */

/* Back when the broker goes by it. */
static void limit_topic(struct world *w) {
  char words[256] = "", value[16];
  snprintf(value, sizeof value, "%d", TOPIC_LIMIT);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", w->bootstrap, words, sizeof words),
                   RD_KAFKA_CONF_OK);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_ConfigResource_t *topic = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, w->topic);
  rd_kafka_ConfigResource_set_config(topic, "max.message.bytes", value);
  rd_kafka_AlterConfigs(rk, &topic, 1, NULL, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
  assert_non_null(event);
  assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_event_destroy(event);
  rd_kafka_ConfigResource_destroy(topic);
  rd_kafka_queue_destroy(queue);
  rd_kafka_destroy(rk);
  struct error err = {0};
  for (int64_t bytes = 0; bytes != TOPIC_LIMIT;)
    if (cluster_topic_limit(w->cluster, w->topic, PATIENCE_MS, &bytes, &err) != ST_OK)
      fail_msg("%s", err.text);
}

CASE(a_refused_record_is_reported_and_the_batch_goes_again_without_it) {
  struct world *w = *state;
  char large[LARGE];
  memset(large, 'x', sizeof large);
  limit_topic(w);
  start(w);
  commit_batch(w, 1, "one", "first");
  begin(w);
  struct record record = record_of(w->number, "k", NULL, 1);
  record.value = (struct span){large, sizeof large};
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  flush(w->publisher);
  const struct delivery *told = &w->reports.delivery[1];
  assert_int_equal(told->fault, KAFKA_RECORD_REFUSED);
  assert_int_equal(told->code, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
  const struct position position = position_of(w, 2, "never");
  NEXT(publisher_position(w->publisher, &position, &why), TXN_ABORT);
  NEXT(publisher_abort(w->publisher, &why), TXN_DONE);
  assert_false(publisher_clean(w->publisher)); /* for the gap in the numbers of that partition */
  NEXT(publisher_begin(w->publisher, &why), TXN_RENEW);
  renew(w);
  expect_position(w, 1, "one");
  commit_batch(w, 2, "two", "second");
  expect_position(w, 2, "two");
  expect_values(w, "first,second,");
}

CASE(a_commit_over_a_refused_record_never_asks_for_an_abort) {
  struct world *w = *state;
  char large[LARGE];
  memset(large, 'x', sizeof large);
  limit_topic(w);
  start(w);
  begin(w);
  struct record record = record_of(w->number, "k", NULL, 1);
  record.value = (struct span){large, sizeof large};
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  flush(w->publisher);
  NEXT(publisher_commit(w->publisher, &why), TXN_RENEW);
  assert_false(publisher_clean(w->publisher));
  NEXT(publisher_abort(w->publisher, &why), TXN_RENEW);
  NEXT(publisher_begin(w->publisher, &why), TXN_RENEW);
}

CASE(a_missing_ledger_topic_is_told_before_the_commit) {
  struct world *w = *state;
  start(w);
  begin(w);
  produce(w, "never");
  flush(w->publisher);
  const struct position position = {.topic = "no-such-ledger", .group = w->id, .number = 1};
  struct error err = {0};
  assert_int_equal(publisher_position(w->publisher, &position, &err), TXN_ABORT);
  assert_int_equal(err.status, ST_NOT_FOUND);
  assert_non_null(strstr(err.text, "no-such-ledger"));
  roll_back(w);
  commit_batch(w, 1, "one", "x");
  expect_values(w, "x,");
}

CASE(a_topic_that_is_missing_has_no_position) {
  struct world *w = *state;
  snprintf(w->ledger, sizeof w->ledger, "no-such-ledger");
  expect_position(w, -1, "");
}

CASE(metadata_that_is_no_digest_is_no_digest_of_ours) {
  struct world *w = *state;
  start(w);
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  char words[256] = "", longer[101];
  memset(longer, 'm', sizeof longer - 1);
  longer[sizeof longer - 1] = 0;
  assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", w->bootstrap, words, sizeof words),
                   RD_KAFKA_CONF_OK);
  assert_int_equal(rd_kafka_conf_set(conf, "group.id", w->id, words, sizeof words),
                   RD_KAFKA_CONF_OK);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, words, sizeof words);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_t *ledger = rd_kafka_topic_partition_list_add(list, w->ledger, 0);
  ledger->offset = 5;
  ledger->metadata = strdup(longer);
  ledger->metadata_size = strlen(longer);
  assert_int_equal(rd_kafka_commit(rk, list, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(rk);
  struct position position = {.topic = w->ledger, .group = w->id};
  struct error err = {0};
  assert_int_equal(cluster_position(&w->config, NULL, PATIENCE_MS, &position, &err), ST_OK);
  assert_int_equal(position.number, 5);
  assert_string_equal(position.digest, "?");
}

/* ---- two of them ---- */

static void take_over(struct world *w) {
  open_one(w, &w->second, &w->second_reports);
  NEXT(publisher_init(w->second, PATIENCE_MS, &why), TXN_DONE);
}

CASE(a_fenced_producer_cannot_send_and_leaves_nothing) {
  struct world *w = *state;
  start(w);
  commit_batch(w, 1, "one", "a");
  begin(w);
  take_over(w);
  produce(w, "zombie");
  flush(w->publisher);
  enum kafka_fault fault =
      w->reports.delivery[1].fault; /* it may not have come so far as to be sent */
  assert_true(fault == KAFKA_FENCED || fault == KAFKA_PURGED);
  const struct record record = record_of(w->number, "k", "zombie", 0);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_FENCED);
  const struct position position = position_of(w, 2, "zombie");
  NEXT(publisher_position(w->publisher, &position, &why), TXN_FENCED);
  NEXT(publisher_commit(w->publisher, &why), TXN_FENCED);
  assert_true(publisher_fatal(w->publisher, NULL));
  expect_position(w, 1, "one");
  expect_values(w, "a,");
}

CASE(a_producer_fenced_before_its_commit_leaves_nothing) {
  struct world *w = *state;
  start(w);
  commit_batch(w, 1, "one", "a");
  begin(w);
  produce(w, "zombie");
  flush(w->publisher);
  send_position(w, 2, "zombie");
  take_over(w);
  NEXT(publisher_commit(w->publisher, &why), TXN_FENCED);
  assert_false(publisher_clean(w->publisher));
  NEXT(publisher_abort(w->publisher, &why), TXN_RENEW);
  expect_position(w, 1, "one");
  expect_values(w, "a,");
}

CASE(a_producer_fenced_before_its_abort_is_told) {
  struct world *w = *state;
  start(w);
  begin(w);
  produce(w, "zombie");
  flush(w->publisher);
  take_over(w);
  NEXT(publisher_abort(w->publisher, &why), TXN_FENCED);
}

CASE(a_new_producer_resolves_what_an_old_one_left_open) {
  struct world *w = *state;
  start(w);
  commit_batch(w, 1, "one", "a");
  begin(w);
  produce(w, "left");
  flush(w->publisher);
  send_position(w, 2, "left");
  renew(w);
  expect_position(w, 1, "one");
  commit_batch(w, 2, "two", "b");
  expect_values(w, "a,b,");
}

int main(void) {
  char bootstrap[64];
  if (!broker_find(bootstrap)) {
    puts(BROKER_SKIPPED);
    return 77;
  }
  return tests_run();
}
