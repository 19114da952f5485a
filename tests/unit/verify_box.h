/* verify_box.h - an outbox, a redis-server and librdkafka's mock cluster for each test, what a
 * worker would have left there, and what verify says of it. */
#ifndef TESTS_UNIT_VERIFY_BOX_H
#define TESTS_UNIT_VERIFY_BOX_H

#include "tests/unit/mock_settings.h"

#include "bridge/json/json.h"
#include "bridge/keys/keys.h"
#include "bridge/metrics/metrics.h"
#include "bridge/outbox/file/records/journal.h"
#include "bridge/outbox/file/site/state.h"
#include "bridge/service/verify/verify.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

struct world {
  struct mock mock;
  char outbox[200], socket[220], redis_url[240];
  pid_t redis;
  struct state *state;
  struct publisher *publisher;
  struct reports reports;
  struct settings *settings;
  struct verify_request request;
  struct buffer json;
  struct json_doc doc;
  struct error err;
};

#define OK(expr)                                                                                   \
  do {                                                                                             \
    if ((expr) != ST_OK) fail_msg("%s: %s", #expr, w->err.text);                                   \
  } while (0)

/* ---- the world ---- */

static inline bool redis_listens(const struct world *w) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", w->socket);
  bool listens = connect(s, (struct sockaddr *)&address, sizeof address) == 0;
  close(s);
  return listens;
}

static inline void start_redis(struct world *w) {
  const char *words[] = {"redis-server", "--port",  "0",     "--save",  "",  "--appendonly", "no",
                         "--unixsocket", w->socket, "--dir", w->outbox, NULL};
  w->redis = fork();
  assert_true(w->redis >= 0);
  if (w->redis == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
  }
  for (int i = 0; !redis_listens(w); i++) {
    assert_true(i < 12000);
    assert_int_equal(waitpid(w->redis, NULL, WNOHANG), 0);
    usleep(10000);
  }
}

static inline void stop_redis(struct world *w) {
  if (w->redis <= 0) return;
  kill(w->redis, SIGKILL);
  waitpid(w->redis, NULL, 0);
  w->redis = 0;
}

static inline void load(struct world *w, const char *redis, const char *extra) {
  char url[300];
  snprintf(url, sizeof url, "redis.url=%s", redis);
  settings_free(w->settings);
  w->settings = mock_settings_of(&w->mock, w->outbox, url, "routing.namespaces=plot",
                                 "redis.timeout=30s", extra);
  w->request.settings = w->settings;
}

static inline int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  signal(SIGPIPE, SIG_IGN);
  mock_open(&w->mock);
  mock_topic(&w->mock, "plot.events", 1);
  mock_topic(&w->mock, "busbridge.ledger", 1);
  folder_make(w->outbox, sizeof w->outbox, "verify");
  snprintf(w->socket, sizeof w->socket, "%s/.redis.sock", w->outbox);
  snprintf(w->redis_url, sizeof w->redis_url, "unix:%s", w->socket);
  OK(state_open(w->outbox, true, &clock_system, &w->state, &w->err)); /* of the file kind */
  w->request = (struct verify_request){
      .log = w->mock.log, .clock = &clock_system, .sample = 1000, .recheck_ms = 1};
  load(w, "off", NULL);
  *state = w;
  return 0;
}

static inline int teardown(void **state) {
  struct world *w = *state;
  stop_redis(w);
  publisher_close(w->publisher);
  state_close(w->state);
  settings_free(w->settings);
  buffer_release(&w->json);
  json_doc_release(&w->doc);
  mock_close(&w->mock);
  int removed = folder_remove(w->outbox);
  test_free(w);
  return removed;
}

/* ---- what a worker would have left ---- */

static inline void put(struct world *w, const char *name, const char *text) {
  char path[500];
  snprintf(path, sizeof path, "%s/%s", w->outbox, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static inline void put_entry(struct world *w, const char *name, const char *id,
                             const char *status) {
  char text[300];
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"plot.updated\", \"payload\": {}, \"status\": \"%s\", \"reason\": \"bad_name\"}",
      id, status);
  put(w, name, text);
}

static inline void commit(struct world *w, int64_t number, const char *digest) {
  char group[80];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  snprintf(group, sizeof group, "busbridge-%s", state_id(w->state));
  rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(w->mock.cluster),
                    NULL, 0);
  rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
  assert_non_null(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_add(list, "busbridge.ledger", 0);
  p->offset = number;
  p->metadata = strdup(digest);
  p->metadata_size = strlen(digest);
  assert_int_equal(rd_kafka_commit(rk, list, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(rk);
}

/* A batch of these ids (words); its files would be ID.json. */
static inline struct manifest_name write_batch(struct world *w, uint64_t number, const char *before,
                                               const char *ids, bool settled) {
  struct manifest_entry entries[8] = {0};
  char files[8][64];
  struct manifest m = {.number = number, .entries = entries};
  struct manifest_name name = {.number = number};
  struct span rest = span_of(ids), id;
  snprintf(m.before, sizeof m.before, "%s", before);
  while (span_word(&rest, &id)) {
    int len = snprintf(files[m.count], sizeof files[0], "%.*s.json", SPAN_ARGS(id));
    entries[m.count] = (struct manifest_entry){.ref = {.token = {files[m.count], (size_t)len}},
                                               .id = id,
                                               .topic = SPAN("plot.events"),
                                               .key = SPAN("k")};
    m.count++;
  }
  OK(journal_write(state_folder(w->state), state_tmp(w->state), &m, "nonce", &w->err));
  memcpy(name.digest, m.digest, sizeof m.digest);
  if (settled) OK(journal_settle(state_folder(w->state), &name, &w->err));
  name.settled = settled;
  return name;
}

static inline void produce(struct world *w, const char *id, const char *source) {
  unsigned topic = 0;
  char own[80];
  snprintf(own, sizeof own, "/busbridge/%s", state_id(w->state));
  const struct record_header headers[] = {{"ce_id", span_of(id)},
                                          {"ce_source", span_of(source ? source : own)}};
  if (!w->publisher) {
    OK(publisher_open(&w->mock.config, w->mock.log, reports_add, &w->reports, &w->publisher,
                      &w->err));
    OK(publisher_topic(w->publisher, "plot.events", &topic, &w->err));
  }
  struct record record = record_of(0, "k", "v", 0);
  record.headers = headers;
  record.header_count = 2;
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
}

static inline void set_keys(struct world *w, const char *ids, bool forget) {
  char prefix[80];
  struct keys *keys = NULL;
  struct span rest = span_of(ids), id;
  snprintf(prefix, sizeof prefix, "busbridge:%s:", state_id(w->state));
  struct keys_config config = {.url = w->redis_url,
                               .prefix = prefix,
                               .ttl_ms = 3600000,
                               .timeout_ms = 30000,
                               .clock = &clock_system};
  OK(keys_open(&config, NULL, &keys, &w->err));
  while (span_word(&rest, &id)) {
    struct key key = {id, SPAN("plot.events/0/7")};
    OK(forget ? keys_forget(keys, id, &w->err) : keys_set(keys, &key, 1, &w->err));
  }
  keys_close(keys);
}

/* Batch 1 with a and b, published, settled; in Redis too. */
static inline struct manifest_name relayed(struct world *w, bool redis) {
  struct manifest_name name = write_batch(w, 1, "", "a b", true);
  commit(w, 1, name.digest);
  produce(w, "a", NULL);
  produce(w, "b", NULL);
  if (!redis) return name;
  start_redis(w);
  set_keys(w, "a b", false);
  load(w, w->redis_url, NULL);
  return name;
}

/* ---- asking ---- */

static inline void examine(struct world *w) {
  buffer_clear(&w->json);
  OK(verify_run(&w->request, &w->json, &w->err));
  OK(json_scan(&w->doc, buffer_span(&w->json), &w->err));
}

/* Does one finding of that name begin with "verdict" and hold these words? */
static inline bool says(struct world *w, const char *check, const char *verdict,
                        const char *words) {
  uint32_t checks = json_member(&w->doc, 0, "checks");
  for (uint32_t at = checks + 1; at < w->doc.nodes[checks].next; at = w->doc.nodes[at].next) {
    struct span found = json_raw(&w->doc, json_member(&w->doc, at, "found"));
    if (json_string_is(&w->doc, json_member(&w->doc, at, "check"), span_of(check)) &&
        json_string_is(&w->doc, json_member(&w->doc, at, "verdict"), span_of(verdict)) &&
        memmem(found.ptr, found.len, words, strlen(words)))
      return true;
  }
  return false;
}

#define assert_says(check, verdict, words)                                                         \
  do {                                                                                             \
    if (!says(w, check, verdict, words))                                                           \
      fail_msg("%s does not say %s %s:\n%s", check, verdict, words, buffer_z(&w->json));           \
  } while (0)
#define assert_verdict(word)                                                                       \
  do {                                                                                             \
    if (!json_string_is(&w->doc, json_member(&w->doc, 0, "verdict"), span_of(word)))               \
      fail_msg("it is not %s:\n%s", word, buffer_z(&w->json));                                     \
  } while (0)

#define CASE(name) TEST_WITH(name, setup, teardown)

#endif
