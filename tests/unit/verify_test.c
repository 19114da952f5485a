/* What verify finds, against librdkafka's mock cluster and a redis-server: each thing that should
 * agree is made not to. Beside a real worker and broker it stands in
 * tests/integration/verify_test.py. */
#include "tests/unit/mock_settings.h"

#include "bridge/json/json.h"
#include "bridge/keys/keys.h"
#include "bridge/metrics/metrics.h"
#include "bridge/outbox/file/journal.h"
#include "bridge/outbox/file/state.h"
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

static bool redis_listens(const struct world *w) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", w->socket);
  bool listens = connect(s, (struct sockaddr *)&address, sizeof address) == 0;
  close(s);
  return listens;
}

static void start_redis(struct world *w) {
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

static void stop_redis(struct world *w) {
  if (w->redis <= 0) return;
  kill(w->redis, SIGKILL);
  waitpid(w->redis, NULL, 0);
  w->redis = 0;
}

static void load(struct world *w, const char *redis, const char *extra) {
  char url[300];
  snprintf(url, sizeof url, "redis.url=%s", redis);
  settings_free(w->settings);
  w->settings = mock_settings_of(&w->mock, w->outbox, url, "routing.namespaces=plot",
                                 "redis.timeout=30s", extra);
  w->request.settings = w->settings;
}

static int setup(void **state) {
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
      .log = w->mock.log, .clock = &clock_system, .sample = 1000, .pause_ms = 1};
  load(w, "off", NULL);
  *state = w;
  return 0;
}

static int teardown(void **state) {
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

static void put(struct world *w, const char *name, const char *text) {
  char path[500];
  snprintf(path, sizeof path, "%s/%s", w->outbox, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void put_entry(struct world *w, const char *name, const char *id, const char *status) {
  char text[300];
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"plot.updated\", \"payload\": {}, \"status\": \"%s\", \"reason\": \"bad_name\"}",
      id, status);
  put(w, name, text);
}

static void commit(struct world *w, int64_t number, const char *digest) {
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
static struct manifest_name write_batch(struct world *w, uint64_t number, const char *before,
                                        const char *ids, bool settled) {
  struct manifest_entry entries[8] = {0};
  char files[8][64];
  struct manifest m = {.number = number, .entries = entries};
  struct manifest_name name = {.number = number};
  struct span rest = span_of(ids), id;
  snprintf(m.before, sizeof m.before, "%s", before);
  while (span_word(&rest, &id)) {
    int len = snprintf(files[m.count], sizeof files[0], "%.*s.json", SPAN_ARGS(id));
    entries[m.count] = (struct manifest_entry){.ref = {.name = {files[m.count], (size_t)len}},
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

static void produce(struct world *w, const char *id, const char *source) {
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

static void set_keys(struct world *w, const char *ids, bool forget) {
  char prefix[80];
  struct keys *keys = NULL;
  struct span rest = span_of(ids), id;
  snprintf(prefix, sizeof prefix, "busbridge:%s:", state_id(w->state));
  struct keys_config config = {.url = w->redis_url,
                               .prefix = prefix,
                               .ttl_ms = 3600000,
                               .timeout_ms = 30000,
                               .folder = state_folder(w->state),
                               .clock = &clock_system};
  OK(keys_open(&config, NULL, &keys, &w->err));
  while (span_word(&rest, &id)) {
    struct key key = {id, SPAN("plot.events/0/7")};
    OK(forget ? keys_forget(keys, id, &w->err) : keys_set(keys, &key, 1, &w->err));
  }
  keys_close(keys);
}

/* Batch 1 with a and b, published, settled; in Redis too. */
static struct manifest_name relayed(struct world *w, bool redis) {
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

static void examine(struct world *w) {
  buffer_clear(&w->json);
  OK(verify_run(&w->request, &w->json, &w->err));
  OK(json_scan(&w->doc, buffer_span(&w->json), &w->err));
}

/* Does one finding of that name begin with "verdict" and hold these words? */
static bool says(struct world *w, const char *check, const char *verdict, const char *words) {
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

/* ---- all well ---- */

static void count_progress(void *ctx, uint64_t done, uint64_t total) {
  uint64_t *calls = ctx;
  assert_true(done <= total);
  ++*calls;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(all_that_agrees_is_ok) {
  struct world *w = *state;
  uint64_t calls = 0;
  relayed(w, true);
  put_entry(w, "c.json", "c", "pending");
  w->request.progress = count_progress;
  w->request.progress_ctx = &calls;
  for (int full = 0; full < 2; full++) {
    w->request.full = full;
    examine(w);
    assert_verdict("ok");
    assert_says("ledger", "ok", "batch 1, whose manifest is here, settled");
    assert_says("settled", "ok", "none of the 2");
    assert_says("outbox", "ok", "1 pending and 0 dead");
    assert_says("pending ids", "ok", "none");
    assert_says("keys", "ok", "the 2 ids");
    assert_says("keys due", "ok", "");
    assert_says("last batches", "ok", "each of the 2");
    assert_says("records", "ok", "2 read (0 of others");
    assert_says("record keys", "ok", "");
    assert_says("dead letters", "ok", "");
    assert_says("pending entries", "ok", "");
    assert_says("account", "ok", "1 found");
  }
  assert_int_equal(calls, 4);
}

CASE(what_is_not_there_is_skipped) {
  struct world *w = *state;
  examine(w);
  assert_verdict("ok");
  assert_says("ledger", "skipped", "nothing was relayed yet");
  assert_says("keys", "skipped", "off");
  load(w, "off", "delivery.guarantee=at_least_once");
  examine(w);
  assert_says("ledger", "skipped", "at_least_once");
  load(w, "off", "routing.topic=other.{namespace}");
  rd_kafka_mock_topic_set_error(w->mock.cluster, "other.plot",
                                RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  examine(w);
  assert_says("records", "skipped", "none of the topics");
}

/* ---- the ledger ---- */

CASE(positions_and_manifests_that_do_not_go_together) {
  struct world *w = *state;
  struct manifest_name one = relayed(w, false), two = write_batch(w, 2, one.digest, "c", false);
  examine(w);
  assert_says("ledger", "warning", "a worker ended"); /* 2 was never committed */
  commit(w, 2, two.digest);
  examine(w);
  assert_says("ledger", "warning", "batch 2");
  assert_says("last batches", "failed", "1 of the 3"); /* c is in no topic */
  OK(journal_remove(state_folder(w->state), &one, &w->err));
  examine(w);
  assert_says("ledger", "failed", "batch 2 is not settled");
  commit(w, 7, two.digest);
  examine(w);
  assert_says("ledger", "failed", "batch 7 (topic busbridge.ledger), whose manifest is not");
  commit(w, 0, two.digest);
  examine(w);
  assert_says("ledger", "failed", "but this outbox holds batch 2");
}

CASE(a_manifest_of_no_batch_and_one_that_is_damaged) {
  struct world *w = *state;
  struct manifest_name one = relayed(w, false);
  char file[100];
  write_batch(w, 1, one.digest, "x", false);
  examine(w);
  assert_says("ledger", "warning", "1 other manifests");
  snprintf(file, sizeof file, ".busbridge/settled-1-%s", one.digest);
  put(w, file, "{}");
  examine(w);
  assert_says("ledger", "warning", "not what was written"); /* and nobody needs it any more */
  struct manifest_name two = write_batch(w, 2, one.digest, "y", false);
  commit(w, 2, two.digest);
  snprintf(file, sizeof file, ".busbridge/batch-2-%s", two.digest);
  put(w, file, "{}");
  examine(w);
  assert_says("ledger", "failed", "not what was written");
}

CASE(a_position_that_was_lost_and_another_cluster) {
  struct world *w = *state;
  write_batch(w, 1, "", "a", true);
  examine(w);
  assert_says("ledger", "failed", "1 of its manifests");
  put(w, ".busbridge/cluster", "another\n");
  examine(w);
  assert_says("broker", "failed", "cluster another");
  assert_says("records", "skipped", "");
}

/* ---- the outbox ---- */

CASE(entries_that_do_not_belong) {
  struct world *w = *state;
  char path[300];
  snprintf(path, sizeof path, "%s/dlq", w->outbox);
  assert_int_equal(mkdir(path, 0755), 0);
  put_entry(w, "dead.json", "d", "dlq");
  put_entry(w, "one.json", "x", "pending"), put_entry(w, "two.json", "x", "pending");
  put_entry(w, "dlq/x.json", "x", "dlq"), put_entry(w, "dlq/y.json", "y", "dlq"),
      put_entry(w, "dlq/z.json", "y", "dlq");
  put(w, "dlq/alone.raw", "{"),
      put(w, "dlq/gone.json", "{\"id\": \"g\", \"inode\": 1, \"payload\": {}}");
  examine(w);
  assert_verdict("failed");
  assert_says("outbox", "ok", "3 pending and 4 dead");
  assert_says("outbox", "warning", "wrong side, their move was cut short: dead.json");
  assert_says("outbox", "warning", "1 have the id of another pending entry: x (");
  assert_says("outbox", "warning", "1 are dead letters whose id is pending too: x (dlq/x.json)");
  assert_says("outbox", "warning", "1 are dead letters with the id of another one: y");
  assert_says("outbox", "failed", "tells of, so no command shows them: dlq/alone.raw");
  assert_says("outbox", "failed", "without the bytes they describe: dlq/gone.json");
}

CASE(what_nothing_accounts_for_is_named) {
  struct world *w = *state;
  put_entry(w, ".x.json", ".x", "pending");
  put(w, "notes.txt", "x"), put(w, ".busbridge/more", "x"), put(w, ".busbridge/tmp/odd", "x");
  examine(w);
  assert_verdict("failed");
  assert_says("outbox", "failed",
              "1 hold an event under a name that nobody looks at, so it is never sent: .x.json");
  assert_says("outbox", "warning", "3 belong to no event and to no part of busbridge: ");
  assert_says("outbox", "warning", "notes.txt");
  assert_says("outbox", "warning", ".busbridge/more");
  assert_says("outbox", "warning", ".busbridge/tmp/odd");
}

CASE(of_many_entries_the_rest_waits_for_full) {
  struct world *w = *state;
  for (char name[] = "a.json"; *name <= 'e'; ++*name) put_entry(w, name, name, "pending");
  w->request.entries = 3;
  examine(w);
  assert_says("outbox", "ok",
              "3 pending and 0 dead entries were read, 2 were not: --full reads all");
  w->request.full = true;
  examine(w);
  assert_says("outbox", "ok", "5 pending and 0 dead entries were read");
}

CASE(a_published_entry_that_lies_there_again) {
  struct world *w = *state;
  relayed(w, false);
  put_entry(w, "a.json", "a", "pending");
  examine(w);
  assert_says("settled", "failed", "1 of the 2");
  assert_says("pending entries", "failed", "1 are published already");
}

/* ---- Redis ---- */

CASE(ids_that_redis_lost_has_not_been_told_or_should_not_know) {
  struct world *w = *state;
  relayed(w, true);
  set_keys(w, "b", true);
  examine(w);
  assert_says("keys", "failed", "1 of the 2 ids that were published last: b");
  assert_says("record keys", "failed",
              "1 records younger than redis.ttl have no key in Redis: b (plot.events/0/1)");
  put(w, ".busbridge/keys-due", "b plot.events/0/1\n");
  examine(w);
  assert_says("keys", "ok", "");
  assert_says("keys due", "warning", "1 id waits");
  set_keys(w, "c", false);
  put_entry(w, "c.json", "c", "pending");
  examine(w);
  assert_says("pending ids", "warning", "1 wait, but Redis knows their id");
  assert_says("pending ids", "warning", "c (c.json, its twin in plot.events/0/7)");
  w->request.full = true;
  examine(w);
  assert_says("pending ids", "failed", "in no topic");
}

CASE(a_redis_that_is_away) {
  struct world *w = *state;
  relayed(w, true);
  stop_redis(w);
  examine(w);
  assert_says("keys", "failed", "");
  assert_says("pending ids", "skipped", "");
  assert_says("record keys", "skipped", "");
  assert_true(w->doc.nodes[json_member(&w->doc, 0, "unreachable")].type == JSON_TRUE);
}

/* ---- the topics ---- */

CASE(records_twice_dead_too_or_of_others) {
  struct world *w = *state;
  char path[300];
  relayed(w, false);
  produce(w, "a", "/another");
  examine(w);
  assert_says("records", "ok", "3 read (1 of others");
  produce(w, "a", NULL);
  snprintf(path, sizeof path, "%s/dlq", w->outbox);
  assert_int_equal(mkdir(path, 0755), 0);
  put_entry(w, "dlq/b.json", "b", "dlq");
  examine(w);
  assert_says("records", "failed", "a (plot.events/0/3)");
  assert_says("last batches", "failed", "more than once");
  assert_says("dead letters", "failed", "b (plot.events/0/1)");
}

/* ---- the account ---- */

CASE(an_account_that_does_not_add_up) {
  struct world *w = *state;
  struct metrics *metrics = NULL;
  struct metrics_account account = {.began_us = 1700000000000000, .clean = 0};
  struct buffer text = {0};
  assert_int_equal(metrics_open(&clock_system, &metrics), ST_OK);
  metrics_set_account(metrics, &account);
  for (int turn = 0; turn < 2; turn++) {
    series_add(metrics_series(metrics, METRIC_FOUND, NULL, NULL), 3);
    series_add(metrics_series(metrics, METRIC_EVENTS, "plot", "published"), 3 + (unsigned)turn);
    buffer_clear(&text);
    metrics_save(metrics, &text);
    put(w, ".busbridge/metrics", buffer_z(&text));
    examine(w);
    if (turn == 0)
      assert_says("account", "ok", "3 found + 0 replayed = 3 published");
    else
      assert_says("account", "failed", "1 more were accounted for");
  }
  OK(state_lock(w->state, 0, &w->err)); /* somebody is at it, and no worker that could be asked */
  examine(w);
  assert_says("account", "skipped", "does not answer");
  metrics_close(metrics);
  buffer_release(&text);
}

CASE(an_outbox_that_cannot_be_opened_is_a_status) {
  struct world *w = *state;
  load(w, "off", "outbox.url=file:/nowhere/at/all");
  assert_int_equal(verify_run(&w->request, &w->json, &w->err), ST_NOT_FOUND);
}
