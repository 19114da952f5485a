/* The reader and the cluster's questions against librdkafka's mock cluster. */
#include "tests/unit/kafka_mock.h"

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/topic_reader.h"

struct world {
  struct mock mock;
  struct publisher *publisher;
  struct reports reports;
  struct topic_reader *reader;
  struct cluster *cluster;
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  topic_reader_close(w->reader);
  cluster_close(w->cluster);
  publisher_close(w->publisher);
  mock_close(&w->mock);
  test_free(w);
  return 0;
}

/* Put n records on a topic, keys "k", one after another. */
static void put(struct world *w, unsigned number, size_t n) {
  struct error err = {0};
  for (size_t i = 0; i < n; i++) {
    const struct record record = record_of(number, "k", "v", i);
    assert_int_equal(publisher_send(w->publisher, &record, &(struct delivery){0}), KAFKA_OK);
  }
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
  assert_int_equal(err.status, ST_OK);
}

static unsigned writer(struct world *w, const char *topic) {
  unsigned number = 0;
  struct error err = {0};
  if (!w->publisher && publisher_open(&w->mock.config, w->mock.log, reports_add, &w->reports,
                                      &w->publisher, &err) != ST_OK)
    fail_msg("%s", err.text);
  if (publisher_topic(w->publisher, topic, &number, &err) != ST_OK) fail_msg("%s", err.text);
  return number;
}

static void read_from(struct world *w, const char *const *topics, size_t count, bool from_end) {
  struct error err = {0};
  if (topic_reader_open(&w->mock.config, w->mock.log, topics, count, from_end, PATIENCE_MS,
                        &w->reader, &err) != ST_OK)
    fail_msg("%s", err.text);
}

/* Messages until the end is said. */
static size_t read_to_end(struct world *w) {
  size_t found = 0;
  for (;;) {
    struct message message;
    struct error err = {0};
    enum status st = topic_reader_next(w->reader, PATIENCE_MS, &message, &err);
    if (st == ST_END) return found;
    if (st != ST_OK) fail_msg("%s %s", status_name(st), err.text);
    assert_int_equal(message.value.len, 1);
    found++;
  }
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(all_partitions_of_all_topics_are_read_and_the_end_is_said_once) {
  struct world *w = *state;
  mock_topic(&w->mock, "a", 3);
  mock_topic(&w->mock, "b", 2);
  unsigned a = writer(w, "a"), b = writer(w, "b");
  put(w, a, 5);
  put(w, b, 7);
  const char *const topics[] = {"a", "b"};
  read_from(w, topics, 2, false);
  assert_int_equal(read_to_end(w), 12);
  struct message message;
  assert_int_equal(topic_reader_next(w->reader, 100, &message, NULL), ST_AGAIN);
  put(w, b, 1);
  assert_int_equal(read_to_end(w), 1);
  assert_int_equal(topic_reader_next(w->reader, 0, &message, NULL), ST_AGAIN);
}

CASE(from_the_end_only_what_comes_now_is_read) {
  struct world *w = *state;
  mock_topic(&w->mock, "a", 2);
  unsigned a = writer(w, "a");
  put(w, a, 5);
  const char *const topics[] = {"a"};
  read_from(w, topics, 1, true);
  put(w, a, 2); /* before the first topic_reader_next: the place was fixed when it was opened */
  size_t found = 0;
  while (found < 2)
    found += read_to_end(w); /* an end may have been reached before they were written */
  struct message message;
  assert_int_equal(found, 2);
  assert_int_equal(topic_reader_next(w->reader, 100, &message, NULL), ST_AGAIN);
}

/* How many records are read from there; *offsets: how far back that is. A reader of its own each
 * time. */
static size_t read_back(struct world *w, int64_t last, size_t put_meanwhile, uint64_t *offsets) {
  static const char *const topics[] = {"a", "empty"};
  struct error err = {0};
  topic_reader_close(w->reader);
  w->reader = NULL;
  read_from(w, topics, 2, false);
  if (topic_reader_seek_back(w->reader, INT64_MAX, last, PATIENCE_MS, offsets, &err) != ST_OK)
    fail_msg("%s", err.text);
  put(w, 0, put_meanwhile);
  return read_to_end(w);
}

CASE(the_last_records_are_read_and_what_comes_meanwhile_does_not_move_the_end) {
  struct world *w = *state;
  uint64_t offsets;
  mock_topic(&w->mock, "a", 1);
  mock_topic(&w->mock, "empty", 2);
  put(w, writer(w, "a"), 9);
  size_t found = read_back(w, 4, 3, &offsets);
  assert_true(offsets == 4 && found >= 4 && found <= 7);
  assert_true(read_back(w, 2, 0, &offsets) == 2 && offsets == 2);
  assert_true(read_back(w, INT64_MAX, 0, &offsets) == 12 && offsets == 12);
  assert_true(read_back(w, 0, 0, &offsets) == 0 && offsets == 0);
}

CASE(a_missing_topic_is_named) {
  struct world *w = *state;
  rd_kafka_mock_topic_set_error(w->mock.cluster, "gone", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  const char *const topics[] = {"gone"};
  struct error err = {0};
  assert_int_equal(
      topic_reader_open(&w->mock.config, NULL, topics, 1, false, PATIENCE_MS, &w->reader, &err),
      ST_NOT_FOUND);
  assert_non_null(strstr(err.text, "gone"));
  assert_null(w->reader);
}

CASE(a_name_no_topic_can_have_is_invalid) {
  struct world *w = *state;
  const char *const topics[] = {mock_bad_name()};
  struct error err = {0};
  assert_int_equal(
      topic_reader_open(&w->mock.config, NULL, topics, 1, false, PATIENCE_MS, &w->reader, &err),
      ST_INVALID);
}

CASE(a_reader_without_a_broker_is_unavailable) {
  struct world *w = *state;
  w->mock.pairs[0].value = NOBODY;
  const char *const topics[] = {"t"};
  struct error err = {0};
  assert_int_equal(topic_reader_open(&w->mock.config, NULL, topics, 1, true, 500, &w->reader, &err),
                   ST_UNAVAILABLE);
  assert_non_null(strstr(err.text, "topic t"));
}

CASE(a_reader_with_bad_settings_opens_nothing) {
  struct world *w = *state;
  mock_set(&w->mock, "no.such.key", "1");
  const char *const topics[] = {"t"};
  struct error err = {0};
  assert_int_equal(topic_reader_open(&w->mock.config, NULL, topics, 1, true, 500, &w->reader, &err),
                   ST_INVALID);
}

/* ---- cluster ---- */

static struct cluster *ask(struct world *w) {
  struct error err = {0};
  if (cluster_open(&w->mock.config, w->mock.log, &w->cluster, &err) != ST_OK)
    fail_msg("%s", err.text);
  return w->cluster;
}

CASE(the_cluster_tells_its_id) {
  char id[128];
  struct error err = {0};
  assert_int_equal(cluster_id(ask(*state), PATIENCE_MS, id, &err), ST_OK);
  assert_true(span_starts(span_of(id), "mockCluster"));
}

CASE(states_of_topics_are_told_apart) {
  struct world *w = *state;
  mock_topic(&w->mock, "there", 5);
  rd_kafka_mock_topic_set_error(w->mock.cluster, "gone", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  rd_kafka_mock_topic_set_error(w->mock.cluster, "denied",
                                RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  rd_kafka_mock_topic_set_error(w->mock.cluster, "electing",
                                RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
  struct cluster *c = ask(w);
  const struct {
    const char *topic;
    enum topic_state state;
    int partitions;
  } cases[] = {{"there", TOPIC_THERE, 5},
               {"gone", TOPIC_MISSING, 0},
               {"denied", TOPIC_FORBIDDEN, 0},
               {"electing", TOPIC_UNCLEAR, 0}};
  for (size_t i = 0; i < (mock_errors_are_deadly() ? 2 : sizeof cases / sizeof *cases); i++) {
    enum topic_state found = TOPIC_UNCLEAR;
    int partitions = -1;
    struct error err = {0};
    assert_int_equal(cluster_topic(c, cases[i].topic, PATIENCE_MS, &found, &partitions, &err),
                     ST_OK);
    assert_int_equal(found, cases[i].state);
    assert_int_equal(partitions, cases[i].partitions);
    assert_int_equal(cluster_topic(c, cases[i].topic, PATIENCE_MS, &found, NULL, &err), ST_OK);
  }
  struct error err = {0};
  enum topic_state found;
  assert_int_equal(cluster_topic(c, mock_bad_name(), PATIENCE_MS, &found, NULL, &err), ST_INVALID);
}

CASE(watermarks_follow_what_was_written) {
  struct world *w = *state;
  mock_topic(&w->mock, "a", 1);
  put(w, writer(w, "a"), 4);
  int64_t low = -1, high = -1;
  struct error err = {0};
  assert_int_equal(cluster_offsets(ask(w), "a", 0, PATIENCE_MS, &low, &high, &err), ST_OK);
  assert_int_equal(low, 0);
  assert_int_equal(high, 4);
  assert_int_equal(cluster_offsets(w->cluster, "a", 7, PATIENCE_MS, &low, &high, &err),
                   ST_NOT_FOUND);
}

CASE(creating_topics_is_not_supported_by_the_mock) {
  struct cluster *c = ask(*state);
  struct error err = {0};
  assert_int_equal(cluster_create_topic(c, "new", -1, -1, PATIENCE_MS, &err), ST_UNSUPPORTED);
  assert_non_null(strstr(err.text, "creating topic new"));
}

CASE(without_a_broker_every_question_is_unavailable_and_says_why) {
  struct world *w = *state;
  w->mock.pairs[0].value = NOBODY;
  struct cluster *c = ask(w);
  char id[128];
  enum topic_state found;
  int64_t low, high;
  struct error err = {0};
  for (int i = 0; i < 120 && !strstr(err.text, "refused"); i++) /* as soon as it was tried */
    assert_int_equal(cluster_id(c, 500, id, &err), ST_UNAVAILABLE);
  assert_non_null(strstr(err.text, "refused"));
  assert_int_equal(cluster_topic(c, "t", 300, &found, NULL, &err), ST_UNAVAILABLE);
  assert_int_equal(cluster_offsets(c, "t", 0, 300, &low, &high, &err), ST_UNAVAILABLE);
  assert_int_equal(cluster_create_topic(c, "t", 1, 1, 300, &err), ST_UNAVAILABLE);
  assert_non_null(strstr(err.text, "creating topic t"));
}

CASE(a_cluster_with_bad_settings_opens_nothing) {
  struct world *w = *state;
  mock_set(&w->mock, "socket.timeout.ms", "soon");
  struct error err = {0};
  assert_int_equal(cluster_open(&w->mock.config, NULL, &w->cluster, &err), ST_INVALID);
  assert_null(w->cluster);
}

TEST(the_hint_is_a_command_for_a_shell) {
  const struct kafka_pair pairs[] = {{"acks", "all"}, {"bootstrap.servers", "a:1,b'c:2"}};
  const struct kafka_config config = {.pairs = pairs, .count = 2}, plain = {0};
  struct buffer out = {0};
  cluster_create_hint(&config, "episode.events", &out);
  assert_string_equal(
      buffer_z(&out),
      "kafka-topics.sh --bootstrap-server 'a:1,b'\\''c:2' --create --topic 'episode.events'");
  buffer_clear(&out);
  cluster_create_hint(&plain, "t", &out);
  assert_string_equal(buffer_z(&out),
                      "kafka-topics.sh --bootstrap-server '127.0.0.1:9092' --create --topic 't'");
  buffer_release(&out);
}
