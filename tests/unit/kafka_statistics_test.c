#include "bridge/kafka/statistics.h"
#include "tests/support/test.h"

struct fixture {
  struct statistics *s;
  struct metrics *m;
  struct buffer out;
};

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  assert_int_equal(metrics_open(&clock_system, &f->m), ST_OK);
  assert_int_equal(statistics_open(&f->s), ST_OK);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  statistics_close(f->s);
  metrics_close(f->m);
  buffer_release(&f->out);
  free(f);
  return 0;
}

static const char *shown(struct fixture *f, const char *text) {
  if (text) statistics_take(f->s, strdup(text), strlen(text));
  statistics_show(f->s, f->m);
  buffer_clear(&f->out);
  metrics_prometheus(f->m, &f->out);
  return buffer_z(&f->out);
}

#define HAS(text, line) assert_non_null(strstr(text, "\nbusbridge_kafka_" line "\n"))

/* As librdkafka writes it, cut to what is looked at. */
static const char told[] =
    "{ \"name\": \"busbridge#producer-1\", \"ts\": 5, \"time\": 1700000000, \"replyq\": 0, \"msg_cnt\": 7, \"msg_size\": 700,"
    " \"tx\": 11, \"tx_bytes\": 2222, \"rx\": 10, \"rx_bytes\": 333, \"brokers\": {"
    " \"b:9092/bootstrap\": {\"nodeid\": -1, \"nodename\": \"b:9092\", \"state\": \"UP\", \"txerrs\": 99},"
    " \"b:9092/1\": {\"nodeid\": 1, \"nodename\": \"b:9092\", \"state\": \"UP\", \"txerrs\": 1, \"txretries\": 2,"
    " \"req_timeouts\": 3, \"connects\": 4, \"rtt\": {\"avg\": 1500, \"p99\": 20000}, \"outbuf_latency\": {\"p99\": 40}},"
    " \"c:9092/2\": {\"nodeid\": 2, \"nodename\": \"c:9092\", \"state\": \"CONNECT\", \"rtt\": 5}, \"odd\": 1 },"
    " \"topics\": { \"episode.events\": {\"topic\": \"episode.events\", \"partitions\": {"
    " \"0\": {\"partition\": 0, \"txmsgs\": 3, \"txbytes\": 30}, \"1\": {\"partition\": 1, \"txmsgs\": 4, \"txbytes\": 44},"
    " \"-1\": {\"partition\": -1, \"txmsgs\": 0, \"txbytes\": 0}, \"2\": 7}}, \"none\": {}} }";

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(what_is_told_is_shown) {
  struct fixture *f = *state;
  assert_null(strstr(shown(f, NULL), "kafka"));
  const char *text = shown(f, told);
  HAS(text, "statistics_timestamp_seconds 1700000000");
  HAS(text, "sent_bytes_total 2222");
  HAS(text, "requests_total 11");
  HAS(text, "queue_messages 7");
  HAS(text, "broker_up{broker=\"b:9092\"} 1");
  HAS(text, "broker_up{broker=\"c:9092\"} 0");
  HAS(text, "broker_rtt_average_seconds{broker=\"b:9092\"} 0.0015");
  HAS(text, "broker_rtt_p99_seconds{broker=\"b:9092\"} 0.02");
  HAS(text, "broker_errors_total{broker=\"b:9092\"} 1");
  HAS(text, "topic_messages_total{topic=\"episode.events\"} 7");
  HAS(text, "topic_bytes_total{topic=\"episode.events\"} 74");
  assert_null(strstr(text, "rtt_average_seconds{broker=\"c"));
}

CASE(what_is_not_told_any_more_is_not_shown) {
  struct fixture *f = *state;
  shown(f, told);
  const char *text = shown(f, "{\"time\": 5, \"brokers\": [], \"topics\": 1, \"tx\": \"x\"}");
  HAS(text, "statistics_timestamp_seconds 5");
  assert_null(strstr(text, "broker"));
  assert_null(strstr(text, "topic"));
  assert_null(strstr(text, "requests"));
  assert_null(strstr(shown(f, "{\"time\": 5"), "kafka"));
  assert_null(strstr(shown(f, "[]"), "kafka"));
}
