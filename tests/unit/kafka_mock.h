/* kafka_mock.h - for tests of bridge/kafka: librdkafka's mock cluster in this process, and a log
 * one can read. */
#ifndef TESTS_UNIT_KAFKA_MOCK_H
#define TESTS_UNIT_KAFKA_MOCK_H

#include <stdio.h>
#include <unistd.h>

#include "bridge/kafka/publisher.h"
#include "tests/support/test.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

enum { PATIENCE_MS = 60000, API_PRODUCE = 0 };

struct mock {
  rd_kafka_t *rk; /* owns the cluster */
  rd_kafka_mock_cluster_t *cluster;
  struct kafka_pair pairs[8];
  struct kafka_config config; /* bootstrap.servers, and what mock_set added */
  FILE *log_file;
  struct log *log;
};

static inline void mock_set(struct mock *m, const char *key, const char *value) {
  assert_true(m->config.count < sizeof m->pairs / sizeof *m->pairs);
  m->pairs[m->config.count++] = (struct kafka_pair){key, value};
}

static inline void mock_open(struct mock *m) {
  *m = (struct mock){.config = {.pairs = m->pairs, .at_least_once = true}};
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  assert_int_equal(rd_kafka_conf_set(conf, "socket.nagle.disable", "true", NULL, 0),
                   RD_KAFKA_CONF_OK);
  assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", NULL, 0), RD_KAFKA_CONF_OK);
  m->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
  assert_non_null(m->rk);
  m->cluster = rd_kafka_mock_cluster_new(m->rk, 1);
  assert_non_null(m->cluster);
  mock_set(m, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(m->cluster));
  m->log_file = tmpfile();
  assert_non_null(m->log_file);
  assert_int_equal(log_open(fileno(m->log_file), LOG_JSON, LOG_DEBUG, &clock_system, &m->log),
                   ST_OK);
}

static inline void mock_close(struct mock *m) {
  rd_kafka_mock_cluster_destroy(m->cluster);
  rd_kafka_destroy(m->rk);
  log_close(m->log);
  fclose(m->log_file);
}

/* The mock tells partitions along with a topic's error, which no broker does and which ends
 * librdkafka 2.4 to 2.9 if it has not heard of them before (librdkafka#4907); UNKNOWN_TOPIC_OR_PART
 * comes without. Other errors are left out there, and tried on a real broker. */
static inline bool mock_errors_are_deadly(void) {
  return rd_kafka_version() >= 0x02040000 && rd_kafka_version() < 0x020a0000;
}

static inline void mock_topic(struct mock *m, const char *name, int partitions) {
  assert_int_equal(rd_kafka_mock_topic_create(m->cluster, name, partitions, 1),
                   RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* How often the log says this so far. */
static inline unsigned mock_count(struct mock *m, const char *words) {
  static char text[262144];
  ssize_t got = pread(fileno(m->log_file), text, sizeof text - 1, 0);
  unsigned count = 0;
  text[got > 0 ? got : 0] = 0;
  for (const char *at = text; (at = strstr(at, words)); at++) count++;
  return count;
}
static inline bool mock_logged(struct mock *m, const char *words) {
  return mock_count(m, words) > 0;
}

/* A name that no topic can have, 600 characters long. */
static inline const char *mock_bad_name(void) {
  static char name[601];
  memset(name, 'n', sizeof name - 1);
  return name;
}

/* An address where nobody listens: the mock's own port once it is gone would do, a reserved one
 * does too. */
#define NOBODY "127.0.0.1:1"

/* What a test remembers of the reports. opaque is a number. */
struct reports {
  size_t count;
  uintptr_t opaque[64];
  struct delivery delivery[64];
};

static inline void reports_add(void *ctx, void *opaque, const struct delivery *delivery) {
  struct reports *r = ctx;
  assert_true(r->count < 64);
  assert_non_null(delivery->text);
  r->opaque[r->count] = (uintptr_t)opaque;
  r->delivery[r->count++] = *delivery;
}

/* Poll until a condition holds; a hang fails, slowness does not. */
#define POLL_UNTIL(p, condition)                                                                   \
  do {                                                                                             \
    int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;                                    \
    while (!(condition)) {                                                                         \
      publisher_poll((p), 10);                                                                     \
      assert_true(clock_mono_ms(&clock_system) < until);                                           \
    }                                                                                              \
  } while (0)

static inline struct record record_of(unsigned topic, const char *key, const char *value,
                                      uintptr_t opaque) {
  return (struct record){
      .topic = topic, .key = span_of(key), .value = span_of(value), .opaque = (void *)opaque};
}

#endif
