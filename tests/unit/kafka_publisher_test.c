/* The publisher against librdkafka's mock cluster: what arrives where, and what each kind of
 * trouble reports. */
#include "tests/unit/kafka_mock.h"

#include "bridge/kafka/topic_reader.h"

#include <poll.h>
#include <sys/eventfd.h>

struct world {
  struct mock mock;
  struct publisher *publisher;
  struct reports reports;
};

static void world_open(struct world *w) {
  w->publisher = NULL;
  w->reports = (struct reports){0};
  struct error err = {0};
  if (publisher_open(&w->mock.config, w->mock.log, reports_add, &w->reports, &w->publisher, &err) !=
      ST_OK)
    fail_msg("%s", err.text);
}

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  publisher_close(w->publisher);
  mock_close(&w->mock);
  test_free(w);
  return 0;
}

static unsigned topic(struct world *w, const char *name) {
  unsigned number = 99;
  struct error err = {0};
  if (publisher_topic(w->publisher, name, &number, &err) != ST_OK) fail_msg("%s", err.text);
  return number;
}

static void send_one(struct world *w, unsigned number, const char *key, uintptr_t opaque) {
  const struct record record = record_of(number, key, "value", opaque);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
}

static void flush(struct world *w) {
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(golden_keys_land_on_the_partitions_of_murmur2) {
  struct world *w = *state;
  mock_topic(&w->mock, "gold", 12);
  world_open(w);
  unsigned number = topic(w, "gold");
  const struct {
    const char *key;
    int partition;
  } golden[] = {{"kafka", 4}, {"giberish123456789", 8}, {"1234", 0}, {"ep-000001", 4}};
  for (size_t i = 0; i < 4; i++) send_one(w, number, golden[i].key, i);
  flush(w);
  assert_int_equal(w->reports.count, 4);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(w->reports.delivery[i].fault, KAFKA_OK);
    assert_int_equal(w->reports.delivery[i].partition, golden[w->reports.opaque[i]].partition);
  }
}

static void expect_message(struct topic_reader *reader, struct message *message) {
  struct error err = {0};
  enum status st;
  do st = topic_reader_next(reader, PATIENCE_MS, message, &err);
  while (st == ST_END);
  if (st != ST_OK) fail_msg("%s %s", status_name(st), err.text);
}

CASE(key_value_and_headers_arrive_as_given_and_an_empty_key_is_none) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  const struct record_header headers[] = {
      {"ce_id", SPAN("id-1")}, {"binary", {"a\0b", 3}}, {"empty", SPAN("")}};
  struct record record = record_of(topic(w, "t"), "k1", NULL, 0);
  record.value = (struct span){"\0\xff,", 3};
  record.headers = headers;
  record.header_count = 3;
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  record.key = SPAN("");
  record.header_count = 0;
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  flush(w);

  const char *const topics[] = {"t"};
  struct topic_reader *reader = NULL;
  struct error err = {0};
  assert_int_equal(
      topic_reader_open(&w->mock.config, w->mock.log, topics, 1, false, PATIENCE_MS, &reader, &err),
      ST_OK);
  struct message got;
  expect_message(reader, &got);
  assert_true(span_is(got.key, "k1"));
  assert_true(span_eq(got.value, record.value));
  assert_string_equal(got.topic, "t");
  assert_int_equal(got.offset, 0);
  assert_true(got.timestamp_ms > 0);
  assert_int_equal(got.header_count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_string_equal(got.headers[i].name, headers[i].name);
    assert_true(span_eq(got.headers[i].value, headers[i].value));
  }
  expect_message(reader, &got);
  assert_null(got.key.ptr);
  assert_int_equal(got.header_count, 0);
  topic_reader_close(reader);
}

CASE(reports_bring_opaque_and_offset_back_and_flush_ends_with_the_last) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  assert_int_not_equal(publisher_link(w->publisher, NULL), LINK_DOWN);
  unsigned number = topic(w, "t");
  for (uintptr_t i = 0; i < 20; i++) send_one(w, number, "k", i);
  assert_int_equal(publisher_in_flight(w->publisher), 20);
  while (publisher_flush(w->publisher, 1000) != ST_OK) continue;
  assert_int_equal(w->reports.count, 20);
  for (size_t i = 0; i < 20; i++) {
    assert_int_equal(w->reports.opaque[i], i);
    assert_int_equal(w->reports.delivery[i].offset, i);
  }
  assert_int_equal(publisher_link(w->publisher, NULL), LINK_UP);
  struct error none = {0};
  assert_false(publisher_fatal(w->publisher, &none));
  assert_int_equal(none.text[0], 0);
}

CASE(poll_counts_the_reports_it_called) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  unsigned number = topic(w, "t");
  send_one(w, number, "k", 0);
  send_one(w, number, "k", 1);
  size_t called = 0;
  POLL_UNTIL(w->publisher, (called += publisher_poll(w->publisher, 10)) == 2 ||
                               publisher_in_flight(w->publisher) == 0);
  assert_int_equal(publisher_poll(w->publisher, 0), 0);
}

CASE(topics_are_numbered_in_order) {
  struct world *w = *state;
  world_open(w);
  for (unsigned i = 0; i < 20; i++) {
    char name[20];
    snprintf(name, sizeof name, "topic-%u", i);
    assert_int_equal(topic(w, name), i);
  }
  unsigned number = 0;
  struct error err = {0};
  assert_int_equal(publisher_topic(w->publisher, mock_bad_name(), &number, &err), ST_INVALID);
}

/* ---- refusals ---- */

CASE(errors_of_the_broker_become_faults) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  const struct {
    rd_kafka_resp_err_t code;
    enum kafka_fault fault;
  } cases[] = {{RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_RECORD_REFUSED},
               {RD_KAFKA_RESP_ERR_INVALID_RECORD, KAFKA_RECORD_REFUSED},
               {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_TOPIC_DENIED}};
  mock_set(&w->mock, "topic.metadata.refresh.interval.ms", "100");
  world_open(w);
  unsigned number = topic(w, "t");
  send_one(w, number, "k", 0);
  flush(w);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    rd_kafka_mock_push_request_errors(w->mock.cluster, API_PRODUCE, 1, cases[i].code);
    send_one(w, number, "k", i);
    flush(w);
    const struct delivery *last = &w->reports.delivery[w->reports.count - 1];
    assert_int_equal(last->code, cases[i].code);
    assert_int_equal(last->fault, cases[i].fault);
  }
  /* A denied topic refuses at once until its metadata is read again; then all goes on. */
  const struct record record = record_of(number, "k", "v", 9);
  POLL_UNTIL(w->publisher, publisher_send(w->publisher, &record, NULL) == KAFKA_OK);
  flush(w);
  assert_int_equal(w->reports.delivery[w->reports.count - 1].fault, KAFKA_OK);
}

CASE(a_passing_error_is_retried_unseen) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  rd_kafka_mock_push_request_errors(
      w->mock.cluster, API_PRODUCE, 3, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
  send_one(w, topic(w, "t"), "k", 7);
  flush(w);
  assert_int_equal(w->reports.count, 1);
  assert_int_equal(w->reports.delivery[0].fault, KAFKA_OK);
}

CASE(a_record_over_our_own_limit_is_refused_at_once) {
  struct world *w = *state;
  mock_set(&w->mock, "message.max.bytes", "1000");
  world_open(w);
  char large[2000];
  memset(large, 'x', sizeof large);
  const struct record_header header = {"h", SPAN("v")};
  struct record record = record_of(topic(w, "t"), "k", NULL, 1);
  record.value = (struct span){large, sizeof large};
  record.headers = &header;
  record.header_count = 1;
  struct delivery why = {0};
  assert_int_equal(publisher_send(w->publisher, &record, &why), KAFKA_RECORD_TOO_LARGE);
  assert_int_equal(why.fault, KAFKA_RECORD_TOO_LARGE);
  assert_int_equal(why.code, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
  assert_non_null(why.text);
  assert_int_equal(publisher_in_flight(w->publisher), 0);
}

CASE(a_full_queue_takes_the_same_record_later) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  mock_set(&w->mock, "queue.buffering.max.messages", "2");
  world_open(w);
  unsigned number = topic(w, "t");
  enum kafka_fault fault = KAFKA_OK;
  uintptr_t sent = 0;
  while (fault == KAFKA_OK) { /* no report is served meanwhile: the third one finds it full */
    const struct record record = record_of(number, "k", "v", sent);
    fault = publisher_send(w->publisher, &record, NULL);
    sent += fault == KAFKA_OK;
  }
  assert_int_equal(fault, KAFKA_QUEUE_FULL);
  assert_int_equal(sent, 2);
  const struct record again = record_of(number, "k", "v", sent);
  POLL_UNTIL(w->publisher, publisher_send(w->publisher, &again, NULL) == KAFKA_OK);
  flush(w);
  assert_int_equal(w->reports.count, 3);
  for (size_t i = 0; i < 3; i++) assert_int_equal(w->reports.opaque[i], i);
}

CASE(a_missing_topic_is_told_by_report_then_at_once_until_it_is_there) {
  struct world *w = *state;
  mock_set(&w->mock, "topic.metadata.propagation.max.ms", "100");
  mock_set(&w->mock, "topic.metadata.refresh.interval.ms", "100");
  rd_kafka_mock_topic_set_error(w->mock.cluster, "gone", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  world_open(w);
  const struct record_header header = {"h", SPAN("v")};
  struct record record = record_of(topic(w, "gone"), "k", "v", 1);
  record.headers = &header;
  record.header_count = 1;
  struct delivery why = {0};
  enum kafka_fault fault = KAFKA_OK;
  while (fault == KAFKA_OK) { /* each is reported, until it is known to be missing */
    fault = publisher_send(w->publisher, &record, &why);
    flush(w);
    assert_true(w->reports.count < 40);
  }
  assert_int_equal(fault, KAFKA_TOPIC_UNKNOWN);
  assert_int_equal(why.fault, KAFKA_TOPIC_UNKNOWN);
  for (size_t i = 0; i < w->reports.count; i++)
    assert_int_equal(w->reports.delivery[i].fault, KAFKA_TOPIC_UNKNOWN);
  rd_kafka_mock_topic_set_error(w->mock.cluster, "gone", RD_KAFKA_RESP_ERR_NO_ERROR);
  POLL_UNTIL(w->publisher, publisher_send(w->publisher, &record, NULL) == KAFKA_OK);
  flush(w);
  assert_int_equal(w->reports.delivery[w->reports.count - 1].fault, KAFKA_OK);
}

/* ---- the link, the end ---- */

CASE(an_outage_shows_as_link_down_loses_nothing_and_ends) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  mock_set(&w->mock, "reconnect.backoff.max.ms", "100");
  world_open(w);
  unsigned number = topic(w, "t");
  send_one(w, number, "k", 0);
  flush(w);
  rd_kafka_mock_broker_set_down(w->mock.cluster, 1);
  send_one(w, number, "k", 1);
  struct error words = {0};
  POLL_UNTIL(w->publisher, publisher_link(w->publisher, &words) == LINK_DOWN);
  assert_true(words.text[0] != 0);
  assert_int_equal(w->reports.count, 1);
  assert_int_equal(publisher_flush(w->publisher, 10), ST_AGAIN);
  rd_kafka_mock_broker_set_up(w->mock.cluster, 1);
  flush(w);
  assert_int_equal(w->reports.count, 2);
  assert_int_equal(w->reports.delivery[1].fault, KAFKA_OK);
  assert_int_equal(publisher_link(w->publisher, NULL), LINK_UP);
  assert_true(mock_logged(&w->mock, "\"component\":\"kafka\""));
}

CASE(the_link_is_down_where_nobody_listens_and_says_why) {
  struct world *w = *state;
  w->mock.pairs[0].value = NOBODY;
  world_open(w);
  struct error words = {0};
  POLL_UNTIL(w->publisher, publisher_link(w->publisher, &words) == LINK_DOWN);
  assert_non_null(strstr(words.text, "refused"));
}

CASE(the_eventfd_wakes_a_loop_for_reports) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  assert_true(fd >= 0);
  publisher_wake_on(w->publisher, fd);
  send_one(w, topic(w, "t"), "k", 0);
  while (publisher_in_flight(w->publisher) > 0) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
    uint64_t count = 0;
    assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    publisher_poll(w->publisher, 0);
  }
  publisher_close(w->publisher);
  w->publisher = NULL;
  close(fd);
}

CASE(closing_with_records_in_flight_returns_without_reports) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  unsigned number = topic(w, "t");
  send_one(w, number, "k", 0);
  flush(w);
  rd_kafka_mock_broker_set_rtt(w->mock.cluster, 1, 3600 * 1000);
  for (uintptr_t i = 1; i < 10; i++) send_one(w, number, "k", i);
  publisher_poll(w->publisher, 50); /* some are on their way, some wait */
  publisher_close(w->publisher);    /* must not wait for the answer, an hour away */
  w->publisher = NULL;
  assert_int_equal(w->reports.count, 1);
}

CASE(closing_while_nobody_listens_returns) {
  struct world *w = *state;
  w->mock.pairs[0].value = NOBODY;
  world_open(w);
  send_one(w, topic(w, "t"), "k", 0);
  publisher_poll(w->publisher, 50);
  publisher_close(w->publisher);
  w->publisher = NULL;
  assert_int_equal(w->reports.count, 0);
  publisher_close(NULL);
}

CASE(a_lost_producer_says_so) {
  struct world *w = *state;
  mock_topic(&w->mock, "t", 1);
  world_open(w);
  unsigned number = topic(w, "t");
  send_one(w, number, "k", 0);
  flush(w);
  rd_kafka_mock_push_request_errors(w->mock.cluster, API_PRODUCE, 1,
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  send_one(w, number, "k", 1);
  struct error words = {0};
  POLL_UNTIL(w->publisher, publisher_fatal(w->publisher, &words));
  assert_true(words.text[0] != 0);
  flush(w);
  const struct record record = record_of(number, "k", "v", 2);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_FATAL);
  POLL_UNTIL(w->publisher, mock_logged(&w->mock, "kafka_fatal"));
}

CASE(a_bad_configuration_opens_nothing) {
  struct world *w = *state;
  mock_set(&w->mock, "acks", "1");
  struct error err = {0};
  assert_int_equal(
      publisher_open(&w->mock.config, NULL, reports_add, &w->reports, &w->publisher, &err),
      ST_INVALID);
  assert_non_null(strstr(err.text, "acks"));
  w->mock.pairs[1].key = "no.such.key";
  assert_int_equal(
      publisher_open(&w->mock.config, NULL, reports_add, &w->reports, &w->publisher, &err),
      ST_INVALID);
  assert_null(w->publisher);
}
