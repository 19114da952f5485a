/* What is asked of a cluster when it is examined, against librdkafka's mock cluster and lines of
 * its log. */
#include "tests/unit/kafka_mock.h"

#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/handle.h"

static int setup(void **state) {
  struct mock *m = test_calloc(1, sizeof *m);
  mock_open(m);
  *state = m;
  return 0;
}

static int teardown(void **state) {
  mock_close(*state);
  test_free(*state);
  return 0;
}

static int newest(const char *text, int key) {
  struct versions v = {0};
  versions_overhear(&v, text);
  return atomic_load(&v.newest[key]) - 1;
}

TEST(only_lines_of_a_brokers_requests_are_taken) {
  const char *line =
      "[thrd:h:1/bootstrap]: h:1/bootstrap:   ApiKey InitProducerId (22) Versions 0..5";
  assert_int_equal(newest(line, 22), 5);
  assert_int_equal(newest("x:   ApiKey Unknown-76? (76) Versions 1..1", 76), 1);
  static const char *const others[] = {"",
                                       "ApiKey",
                                       "ApiKey X (22)",
                                       "Feature MsgVer2 (22) Versions 0..5",
                                       "ApiKey X (22) Versions 0..-7",
                                       "ApiKey X (22) Versions 0..99999"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    assert_int_equal(newest(others[i], 22), -1);
  struct versions v = {0};
  versions_overhear(&v, "ApiKey X (-1) Versions 0..5");
  versions_overhear(&v, "ApiKey X (128) Versions 0..5");
  for (size_t i = 0; i < sizeof v.newest / sizeof *v.newest; i++)
    assert_int_equal(atomic_load(&v.newest[i]), 0);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_broker_tells_what_it_speaks) {
  struct mock *m = *state;
  struct kafka_version version = {0};
  struct error err = {0};
  if (cluster_version(&m->config, PATIENCE_MS, &version, &err) != ST_OK) fail_msg("%s", err.text);
  assert_true(version.release[0] >= '0' && version.release[0] <= '9');
  assert_true(version.transactions); /* it lists them, whatever it makes of them */
}

CASE(without_a_broker_there_is_no_version) {
  struct mock *m = *state;
  struct kafka_version version = {.release = "?"};
  struct error err = {0};
  m->config.count = 0;
  mock_set(m, "bootstrap.servers", NOBODY);
  assert_int_equal(cluster_version(&m->config, 300, &version, &err), ST_UNAVAILABLE);
  assert_string_equal(version.release, "");
  assert_false(version.transactions);
  mock_set(m, "no.such.key", "1");
  assert_int_equal(cluster_version(&m->config, 300, &version, &err), ST_INVALID);
}

CASE(our_own_limit_is_the_one_in_force) {
  struct mock *m = *state;
  struct cluster *c = NULL;
  struct error err = {0};
  assert_int_equal(cluster_open(&m->config, m->log, &c, &err), ST_OK);
  assert_int_equal(cluster_own_limit(c), 1000000);
  cluster_close(c);
  mock_set(m, "message.max.bytes", "2000");
  assert_int_equal(cluster_open(&m->config, m->log, &c, &err), ST_OK);
  assert_int_equal(cluster_own_limit(c), 2000);
  cluster_close(c);
}

CASE(a_limit_that_is_not_told_is_a_status) {
  struct mock *m = *state;
  struct cluster *c = NULL;
  struct error err = {0};
  int64_t bytes = -1;
  assert_int_equal(cluster_open(&m->config, m->log, &c, &err), ST_OK);
  assert_int_equal(cluster_topic_limit(c, "", 300, &bytes, &err), ST_INVALID);
  assert_int_equal(cluster_topic_limit(c, "t", -5, &bytes, &err), ST_INVALID);
  assert_true(cluster_topic_limit(c, "t", 300, &bytes, &err) !=
              ST_OK); /* the mock does not know the question */
  assert_non_null(strstr(err.text, "limits of topic t"));
  assert_true(cluster_may_create_topic(c, "t", 1, 1, 300, &err) != ST_OK);
  assert_int_equal(bytes, -1);
  cluster_close(c);
}

CASE(a_command_names_the_servers) {
  struct mock *m = *state;
  struct buffer out = {0};
  m->config.count = 0;
  mock_set(m, "bootstrap.servers", "a:1,b:2");
  cluster_command(&m->config, "kafka-acls.sh", &out);
  assert_string_equal(buffer_z(&out), "kafka-acls.sh --bootstrap-server 'a:1,b:2'");
  buffer_release(&out);
}
