/* Power loss under the whole relay: the power goes at each call of the disk and at each commit, and every state that
 * the disk may show then (power.h), beside the Kafka that had seen exactly that much (power_kafka.h), is opened by a
 * new worker and drained: nothing is lost, nothing comes twice, the order of each key is kept, and no start is refused.
 *
 * The short form tries some of the states of the longer runs, at random; BUSBRIDGE_FULL=1: each. BUSBRIDGE_SEED_NUMBER
 * repeats a run, BUSBRIDGE_POWER_SHOW=1 shows what led to a failure. */
#include "tests/unit/power_kafka.h"

#include "bridge/base/durable.h"
#include "bridge/json/json.h"
#include "bridge/service/bulk/bulk.h"
#include "bridge/service/doctor/doctor.h"
#include "bridge/service/operations.h"
#include "bridge/service/parts.h"

#include <poll.h>

/* The publisher's thread looks for work more often than it need. */
int __real_poll(struct pollfd *list, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *list, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *list, nfds_t count, int timeout) {
  return __real_poll(list, count, timeout > 1 ? 1 : timeout);
}

enum kind { GOOD, MISMATCH, GARBAGE, REFUSED };
enum fate { AS_ITS_KIND, WAITS, EITHER, GONE_OR_DEAD }; /* EITHER: dead, or published */
struct written {
  enum kind kind;
  const char *id, *key; /* ids of one key rise */
  enum fate fate;
};
enum { EVENTS = 16, OPTIONS = 20, PATIENCE_MS = 60000 };

struct world {
  char root[200], outbox[220];
  struct written events[EVENTS];
  size_t event_count;
  const char *options[OPTIONS];
  size_t option_count;
  char url[300];
  bool keep_sent, relayed; /* relayed: the last worker settled a batch, and so looked after the reserve */
  uint64_t seed;
  FILE *log_file;
  struct log *log;
  struct settings *settings;
  struct service *service;
  struct buffer json;
  struct error err;
  struct power_walk walk;
};

/* ---- a failure tells the state ---- */

#define FAIL(w, ...)                                                                                                   \
  do {                                                                                                                 \
    complain(w);                                                                                                       \
    fail_msg(__VA_ARGS__);                                                                                             \
  } while (0)
static void complain(struct world *w) {
  static char text[20000];
  power_show(&w->walk);
  ssize_t n = pread(fileno(w->log_file), text, sizeof text - 1, 0);
  printf("%.*s", (int)(n > 0 ? n : 0), text);
  for (size_t i = 0; i < kafka.now.count; i++)
    printf("  committed %s (%s)\n", kafka.now.records[i].id, kafka.now.records[i].key);
  fflush(stdout);
}

/* ---- a worker ---- */

static void load_settings(struct world *w) {
  const char *overrides[OPTIONS + 8] = {w->url,
                                        "kafka.bootstrap.servers=127.0.0.1:1",
                                        "encoding.schemas=" SOURCE_ROOT "/schemas",
                                        "flush.background=false",
                                        "flush.interval=100ms",
                                        "outbox.settle=0s",
                                        "retry.jitter=0ms",
                                        "redis.timeout=100ms"};
  memcpy(overrides + 8, w->options, sizeof w->options);
  struct settings_sources sources = {.overrides = overrides, .override_count = 8 + w->option_count};
  if (settings_load(&sources, &w->settings, NULL, &w->err) != ST_OK) fail_msg("%s", w->err.text);
}

static void start(struct world *w, enum service_mode mode) {
  struct service_options options = {.mode = mode, .background = false, .clock = &clock_system};
  load_settings(w);
  if (service_open(w->settings, w->log, &options, &w->service, &w->err) != ST_OK)
    FAIL(w, "it does not start: %s", w->err.text);
}

static void stop(struct world *w) {
  service_close(w->service, PATIENCE_MS);
  settings_free(w->settings);
  w->service = NULL;
  w->settings = NULL;
}

static bool is_true(struct world *w, const char *key) {
  struct json_doc doc = {0};
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  uint32_t node = json_member(&doc, 0, key);
  bool yes = node != JSON_NONE && doc.nodes[node].type == JSON_TRUE;
  json_doc_release(&doc);
  return yes;
}

static uint64_t number_in(struct world *w, const char *key) {
  struct json_doc doc = {0};
  int64_t n = 0;
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  assert_true(json_int(&doc, json_member(&doc, 0, key), &n));
  json_doc_release(&doc);
  return (uint64_t)n;
}

#define ASK(w, call)                                                                                                   \
  do {                                                                                                                 \
    buffer_clear(&(w)->json);                                                                                          \
    if ((call) != ST_OK) FAIL(w, "%s: %s", #call, (w)->err.text);                                                      \
  } while (0)

/* A worker's life: busbridge-worker --once. */
static void drain(struct world *w) {
  int64_t until = clock_mono_ms(&clock_system) + PATIENCE_MS;
  size_t before = kafka.now.count;
  start(w, SERVICE_RELAY);
  ASK(w, service_flush(w->service, &(struct flush_request){.patient = true}, &w->json, &w->err));
  uint64_t flush = number_in(w, "flush");
  do {
    usleep(300);
    if (service_failure(w->service, &w->err) != ST_OK) FAIL(w, "it cannot go on: %s", w->err.text);
    if (clock_mono_ms(&clock_system) > until) FAIL(w, "it does not come to its end");
    ASK(w, service_flush_progress(w->service, flush, &w->json, &w->err));
  } while (!is_true(w, "finished"));
  stop(w);
  w->relayed = kafka.now.count > before;
}

/* ---- what the application wrote ---- */

static void write_file(struct world *w, const char *name, const char *text, int64_t mtime_s) {
  char path[300];
  struct timespec times[2] = {{mtime_s, 1}, {mtime_s, 1}};
  snprintf(path, sizeof path, "%s/%s", w->outbox, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

#define BROKEN "{\"id\": broken"
static void put(struct world *w, enum kind kind, const char *id, const char *key) {
  char text[500], name[60];
  bool twin = false;
  for (size_t i = 0; i < w->event_count; i++) twin = twin || !strcmp(w->events[i].id, id);
  assert_true(w->event_count < EVENTS);
  snprintf(name, sizeof name, "%s%s.json", id, twin ? "-twin" : "");
  snprintf(text, sizeof text,
           "{\"id\": \"%s\", \"name\": \"episode.published\", \"payload\": {\"episode_id\": \"%s\"%s}, \"created_at\": "
           "\"2025-01-01T00:00:00+00:00\", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": null, "
           "\"failed_at\": null, \"status\": \"pending\", \"storage_key\": \"%s\"}",
           id, key, kind == MISMATCH ? ", \"include_metadata\": 7" : "", id);
  write_file(w, name, kind == GARBAGE ? BROKEN : text, 1700000000 + (int64_t)w->event_count);
  if (!twin) w->events[w->event_count++] = (struct written){kind, id, key, AS_ITS_KIND};
}

/* ---- what became of it ---- */

static unsigned files_with(struct world *w, const char *folder, const char *begin, const char *end) {
  char path[300];
  unsigned n = 0;
  snprintf(path, sizeof path, "%s/%s", w->outbox, folder);
  DIR *d = opendir(path);
  if (!d) return 0;
  for (struct dirent *e; (e = readdir(d));) {
    size_t len = strlen(e->d_name), tail = strlen(end);
    n += e->d_type == DT_REG && !strncmp(e->d_name, begin, strlen(begin)) && len >= tail &&
         !strcmp(e->d_name + len - tail, end);
  }
  closedir(d);
  return n;
}

static const char *text_in(struct world *w, const char *folder, const char *name) {
  static char text[4000];
  char path[400];
  snprintf(path, sizeof path, "%s/%s/%s", w->outbox, folder, name);
  FILE *f = fopen(path, "r");
  if (!f) return NULL;
  size_t n = fread(text, 1, sizeof text - 1, f);
  text[n] = '\0';
  fclose(f);
  return text;
}

static unsigned committed(const char *id) {
  unsigned n = 0;
  for (size_t i = 0; i < kafka.now.count; i++) n += !strcmp(kafka.now.records[i].id, id);
  return n;
}

static void judge_dead(struct world *w, const struct written *e, unsigned dead) {
  char name[80], stem[60];
  snprintf(stem, sizeof stem, "%s.", e->id);
  unsigned raw = files_with(w, "dlq", stem, ".raw");
  if (files_with(w, "dlq", stem, ".json") != dead || raw != (e->kind == GARBAGE ? dead : 0))
    FAIL(w, "%s: %u dead letters are wanted, there are %u, %u of them raw", e->id, dead,
         files_with(w, "dlq", stem, ".json"), raw);
  snprintf(name, sizeof name, "%s.%s", e->id, e->kind == GARBAGE ? "raw" : "json");
  const char *text = dead ? text_in(w, "dlq", name) : NULL;
  if (dead && (!text || !strstr(text, e->kind == GARBAGE ? BROKEN : e->key)))
    FAIL(w, "dlq/%s is not whole: %s", name, text ? text : "(missing)");
}

static void judge_event(struct world *w, const struct written *e) {
  char stem[60];
  snprintf(stem, sizeof stem, "%s.", e->id);
  unsigned sent = committed(e->id), kept = files_with(w, "sent", stem, ".json");
  unsigned want = e->kind == GOOD && e->fate != WAITS, dead = e->kind != GOOD;
  if (e->fate == EITHER && !w->walk.whole) want = sent > 0;
  if (e->fate == EITHER) want |= w->walk.whole, dead = !want;
  if (e->fate == GONE_OR_DEAD) dead = files_with(w, "dlq", stem, ".json");
  if (e->fate == GONE_OR_DEAD && dead && w->walk.whole) FAIL(w, "%s was not purged for good", e->id);
  if (sent != want) FAIL(w, "%s was committed %u times, not %u", e->id, sent, want);
  judge_dead(w, e, dead);
  if (w->keep_sent && kept != want) FAIL(w, "%s lies %u times in sent/", e->id, kept);
  if (files_with(w, ".", stem, ".json") != (e->fate == WAITS)) FAIL(w, "%s is pending, or it is not", e->id);
}

static void judge_order(struct world *w) {
  const struct kafka_held *h = &kafka.now;
  for (size_t i = 0; i < h->count; i++)
    for (size_t later = i + 1; later < h->count; later++)
      if (!strcmp(h->records[i].key, h->records[later].key) && strcmp(h->records[i].id, h->records[later].id) > 0)
        FAIL(w, "%s overtook %s", h->records[i].id, h->records[later].id);
}

static void judge_left(struct world *w) {
  static const struct {
    const char *folder, *begin, *end;
  } none[] = {{"pending", "", ""}, {".busbridge/tmp", "", ""}, {".busbridge", "batch-", ""}};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    if (files_with(w, none[i].folder, none[i].begin, none[i].end))
      FAIL(w, "something is left: %s/%s*%s", none[i].folder, none[i].begin, none[i].end);
  if (files_with(w, ".busbridge", "settled-", "") != 1) FAIL(w, "there is not one settled manifest");
  char path[300];
  struct stat st;
  snprintf(path, sizeof path, "%s/.busbridge/reserve", w->outbox);
  if (w->relayed && lstat(path, &st) == 0 && st.st_size != 2 * 1024 * 1024)
    FAIL(w, "the reserve has %lld bytes", (long long)st.st_size);
}

static void judge(struct world *w) {
  for (size_t i = 0; i < w->event_count; i++) judge_event(w, &w->events[i]);
  judge_order(w);
  judge_left(w);
}

/* ---- one run, and all that may be found after it ---- */

static void option(struct world *w, const char *setting) {
  assert_true(w->option_count < OPTIONS);
  w->options[w->option_count++] = setting;
}

static void record(struct world *w) {
  power_on(w->root);
  kafka.marks[0] = kafka.now;
}

static void forget_log(struct world *w) {
  assert_int_equal(ftruncate(fileno(w->log_file), 0), 0);
  lseek(fileno(w->log_file), 0, SEEK_SET);
}

static bool full(void) {
  const char *value = getenv("BUSBRIDGE_FULL");
  return value && *value == '1';
}

/* As in all suites that draw by chance: in CI the same one each time. */
static uint64_t seed(struct world *w) {
  const char *value = getenv("BUSBRIDGE_SEED_NUMBER"), *ci = getenv("CI");
  if (!value && ci && !strcmp(ci, "true") && !full()) value = "1";
  if (!w->seed) w->seed = value ? strtoull(value, NULL, 10) : (uint64_t)clock_wall_us(&clock_system) % 1000000 + 1;
  return w->seed;
}

static void find_from(struct world *w, size_t sample, size_t from, void (*after)(struct world *)) {
  power_off();
  w->walk = (struct power_walk){.sample = sample, .from = from, .seed = seed(w)};
  while (power_next(&w->walk)) {
    kafka.now = kafka.marks[w->walk.mark];
    forget_log(w);
    after(w);
  }
  printf("%zu calls, %zu states tried, %zu left out, seed %llu\n", w->walk.at - from, w->walk.states, w->walk.left_out,
         (unsigned long long)w->walk.seed);
}

/* sample: one of so many states in the short form. */
static void find_all(struct world *w, size_t sample, void (*after)(struct world *)) {
  find_from(w, full() ? 1 : sample, 0, after);
  assert_true(w->walk.at > 3 && w->walk.states > 0 && w->walk.states + w->walk.left_out > 3);
}

static void drain_and_judge(struct world *w) {
  drain(w);
  judge(w);
}

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  memset(&kafka, 0, sizeof kafka);
  folder_make(w->root, sizeof w->root, "power");
  snprintf(w->outbox, sizeof w->outbox, "%s/outbox", w->root);
  assert_int_equal(mkdir(w->outbox, 0770), 0);
  snprintf(w->url, sizeof w->url, "outbox.url=file:%s", w->outbox);
  w->log_file = tmpfile();
  assert_non_null(w->log_file);
  assert_int_equal(log_open(fileno(w->log_file), LOG_LOGFMT, LOG_INFO, &clock_system, &w->log), ST_OK);
  option(w, "redis.url=off");
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  if (w->service) stop(w);
  power_end();
  buffer_release(&w->json);
  log_close(w->log);
  fclose(w->log_file);
  int removed = folder_remove(w->root);
  test_free(w);
  return removed;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

/* Nothing was written by anybody yet. */
CASE(the_first_start_and_its_batch) {
  struct world *w = *state;
  put(w, GOOD, "e1", "a");
  put(w, GOOD, "e2", "a");
  record(w);
  drain_and_judge(w);
  find_all(w, 4, drain_and_judge);
}

/* An outbox that has been used before, with room for what a batch leaves behind. */
static void used(struct world *w) {
  put(w, GOOD, "e0", "z");
  drain(w);
}

static void put_all_kinds(struct world *w) {
  option(w, "outbox.sent=keep");
  option(w, "batch.max_events=3");
  option(w, "dlq.max_attempts=2");
  w->keep_sent = true;
  kafka.refuses = true;
  used(w);
  put(w, GOOD, "e1", "a");
  put(w, MISMATCH, "e2", "b");
  put(w, GOOD, "e3", "a");
  put(w, GARBAGE, "e4", "c");
  put(w, REFUSED, "e5", KAFKA_REFUSED);
  put(w, GOOD, "e6", "b");
}

CASE(batches_with_all_that_may_become_of_an_event) {
  struct world *w = *state;
  put_all_kinds(w);
  record(w);
  drain_and_judge(w);
  find_all(w, 16, drain_and_judge);
}

/* What is deleted instead of kept, and an id that comes twice. */
CASE(a_batch_whose_events_are_removed) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  put(w, GOOD, "e2", "a");
  put(w, GOOD, "e1", "a");
  record(w);
  drain_and_judge(w);
  find_all(w, 2, drain_and_judge);
}

/* A worker dies, its successor goes on where it stopped; then the power goes. */
CASE(a_recovery_after_a_kill) {
  struct world *w = *state;
  put_all_kinds(w);
  record(w);
  drain_and_judge(w);
  power_off();
  struct power_saved run = power_save();
  size_t step = full() ? 1 : 23, marks = kafka.mark_count;
  for (size_t at = 1 + seed(w) % step; at < run.call_count; at += step) {
    power_restore(&run);
    kafka.mark_count = marks;
    w->walk = (struct power_walk){0};
    power_kill(&w->walk, at);
    kafka.now = kafka.marks[w->walk.mark];
    drain_and_judge(w);
    find_from(w, full() ? 10 : 150, at, drain_and_judge);
  }
  free(run.calls);
}

/* ---- what a worker keeps beside ---- */

CASE(later_events_wait_for_a_dead_letter) {
  struct world *w = *state;
  option(w, "dlq.hold_key=true");
  used(w);
  put(w, MISMATCH, "e1", "a");
  put(w, GOOD, "e2", "a");
  put(w, GOOD, "e3", "b");
  w->events[2].fate = WAITS;
  record(w);
  drain_and_judge(w);
  find_all(w, 5, drain_and_judge);
}

/* Each id that is in Kafka is in Redis, or due. */
static void judge_keys(struct world *w) {
  for (size_t i = 0; i < kafka.now.count; i++) {
    const char *due = text_in(w, ".busbridge", "keys-due");
    char line[60];
    snprintf(line, sizeof line, "%s ", kafka.now.records[i].id);
    if (!due || !strstr(due, line)) FAIL(w, "the key of %s is lost", kafka.now.records[i].id);
  }
}

static void drain_and_judge_keys(struct world *w) {
  drain_and_judge(w);
  judge_keys(w);
}

CASE(keys_due_while_redis_is_away) {
  struct world *w = *state;
  option(w, "redis.url=redis://127.0.0.1:1");
  option(w, "batch.max_events=1");
  put(w, GOOD, "e1", "a");
  drain(w);
  put(w, GOOD, "e2", "a");
  put(w, GOOD, "e3", "a");
  record(w);
  drain_and_judge_keys(w);
  find_all(w, 6, drain_and_judge_keys);
}

/* Two names cannot be changed as long as this hook is there; all others can. */
static int hinder(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  bool hindered = !strcmp(name, "e2.json") || !strcmp(name, "e3.json");
  return hindered && !after && (op == DURABLE_RENAME || op == DURABLE_UNLINK) ? EPERM : 0;
}

/* What is set aside is tried again beside the flow: a run may end before that. */
static void after_aside(struct world *w) {
  drain(w);
  if (files_with(w, ".", "", ".json")) {
    start(w, SERVICE_RELAY);
    for (int i = 0; i < PATIENCE_MS && files_with(w, ".", "", ".json"); i++) usleep(1000);
    stop(w);
  }
  judge(w);
}

CASE(entries_that_were_set_aside) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  put(w, GOOD, "e2", "a");
  put(w, MISMATCH, "e3", "b");
  record(w);
  durable_set_hook(hinder, NULL);
  drain(w);
  durable_set_hook(NULL, NULL);
  if (!text_in(w, ".busbridge", "aside")) FAIL(w, "nothing was set aside");
  find_all(w, 8, after_aside);
}

static int full_disk(void *ctx, enum durable_op op, const char *name, bool after) {
  bool *was = ctx;
  bool manifest = op == DURABLE_WRITE && !strncmp(name, "batch-", 6) && !after;
  if (manifest && !*was) return *was = true, ENOSPC;
  return 0;
}

CASE(the_reserve_is_given_up_for_a_manifest) {
  struct world *w = *state;
  bool was = false;
  used(w);
  put(w, GOOD, "e1", "a");
  record(w);
  durable_set_hook(full_disk, &was);
  drain(w);
  durable_set_hook(NULL, NULL);
  assert_true(was);
  judge(w);
  find_all(w, 4, drain_and_judge);
}

CASE(the_ledger_moves_to_another_topic) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  option(w, "ledger.topic=moved");
  record(w);
  drain_and_judge(w);
  find_all(w, 4, drain_and_judge);
}

/* Kafka lost the position: the topics decide. */
CASE(a_position_that_was_lost) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  drain(w);
  kafka.now.position_count = 0;
  put(w, GOOD, "e2", "a");
  record(w);
  drain_and_judge(w);
  find_all(w, 24, drain_and_judge);
}

/* ---- what the operator does ---- */

#define OPERATOR (&(const struct caller){.uid = 0})

static void pause_it(struct world *w, bool on) {
  const struct pause_request request = {.reason = "a test", .by = OPERATOR};
  start(w, SERVICE_CHANGE);
  if (on)
    ASK(w, service_pause(w->service, &request, &w->json, &w->err));
  else
    ASK(w, service_resume(w->service, &request, &w->json, &w->err));
  stop(w);
}

static bool is_paused(struct world *w) {
  start(w, SERVICE_INSPECT);
  ASK(w, service_pause_state(w->service, &w->json, &w->err));
  bool paused = is_true(w, "paused");
  if (paused && !strstr(buffer_z(&w->json), "a test")) FAIL(w, "a pause of nobody: %s", buffer_z(&w->json));
  stop(w);
  return paused;
}

static void after_pause(struct world *w) {
  bool paused = is_paused(w);
  if (w->walk.whole && !paused) FAIL(w, "the pause is gone");
  if (paused) pause_it(w, false);
  if (is_paused(w)) FAIL(w, "it is paused still");
  drain_and_judge(w);
}

static void after_resume(struct world *w) {
  bool paused = is_paused(w);
  if (w->walk.whole && paused) FAIL(w, "the pause is back");
  if (paused) pause_it(w, false);
  drain_and_judge(w);
}

CASE(a_pause) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  record(w);
  pause_it(w, true);
  find_all(w, 2, after_pause);
}

CASE(its_end) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  pause_it(w, true);
  record(w);
  pause_it(w, false);
  find_all(w, 2, after_resume);
}

/* Three dead letters, whose cause is mended. */
static void make_dead(struct world *w, enum fate fate) {
  option(w, "dlq.max_attempts=1");
  kafka.refuses = true;
  used(w);
  put(w, REFUSED, "e1", KAFKA_REFUSED);
  put(w, REFUSED, "e2", KAFKA_REFUSED);
  put(w, GARBAGE, "e3", "-");
  drain_and_judge(w);
  kafka.refuses = false;
  w->events[1].fate = w->events[2].fate = fate;
}

static void replay_one(struct world *w, const char *id) {
  const struct replay_request request = {.id = id, .by = OPERATOR};
  start(w, SERVICE_CHANGE);
  ASK(w, service_replay(w->service, &request, &w->json, &w->err));
  stop(w);
}

CASE(a_replay) {
  struct world *w = *state;
  make_dead(w, EITHER);
  record(w);
  replay_one(w, "e1");
  replay_one(w, "e2");
  find_all(w, 8, drain_and_judge);
}

static void go_through(struct world *w, bool purge, uint64_t selection) {
  do ASK(w, service_bulk_step(w->service, purge, selection, 1, &w->json, &w->err));
  while (!is_true(w, "finished"));
}

static void bulk(struct world *w, bool purge) {
  struct bulk_request request = {.purge = purge, .all = true, .by = OPERATOR};
  selection_init(&request.selection);
  start(w, SERVICE_CHANGE);
  ASK(w, service_bulk_freeze(w->service, &request, &w->json, &w->err));
  go_through(w, purge, number_in(w, "selection"));
  stop(w);
}

/* What was begun and is still known is gone on with, as busbridge does. */
static void go_on(struct world *w, bool purge) {
  struct json_doc doc = {0};
  start(w, SERVICE_CHANGE);
  ASK(w, service_bulk_list(w->service, purge, &w->json, &w->err));
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  uint32_t list = json_member(&doc, 0, "selections");
  int64_t selection = -1;
  if (doc.nodes[list].count) assert_true(json_int(&doc, json_member(&doc, list + 1, "selection"), &selection));
  json_doc_release(&doc);
  if (selection >= 0) go_through(w, purge, (uint64_t)selection);
  stop(w);
}

static void after_replay(struct world *w) {
  go_on(w, false);
  drain_and_judge(w);
}

static void after_purge(struct world *w) {
  go_on(w, true);
  drain_and_judge(w);
}

CASE(many_replays) {
  struct world *w = *state;
  make_dead(w, EITHER);
  w->events[3].fate = AS_ITS_KIND; /* it dies again */
  record(w);
  bulk(w, false);
  find_all(w, 10, after_replay);
}

CASE(a_purge) {
  struct world *w = *state;
  make_dead(w, GONE_OR_DEAD);
  w->events[3].fate = GONE_OR_DEAD;
  record(w);
  bulk(w, true);
  find_all(w, 8, after_purge);
}

/* busbridge doctor --new-id: one entry was published already, the other is fresh. */
static void new_id(struct world *w) {
  load_settings(w);
  const struct doctor_request request = {.settings = w->settings, .clock = &clock_system};
  struct new_id how = {.send = 1}; /* the topics do not tell of the time when the fresh one was written */
  ASK(w, doctor_new_id(&request, &how, &w->json, &w->err));
  settings_free(w->settings);
  w->settings = NULL;
  if (!is_true(w, "changed")) FAIL(w, "nothing was changed: %s", buffer_z(&w->json));
}

static bool starts(struct world *w) {
  struct service_options options = {.mode = SERVICE_RELAY, .background = false, .clock = &clock_system};
  enum status st = ST_OK;
  struct relay_status s = {0};
  load_settings(w);
  if (service_open(w->settings, w->log, &options, &w->service, &w->err) != ST_OK) FAIL(w, "%s", w->err.text);
  for (int i = 0; i < 10000 && st == ST_OK && !s.reached; i++) {
    usleep(300);
    st = service_failure(w->service, &w->err);
    relay_status(w->service->relay, &s);
  }
  stop(w);
  return st == ST_OK;
}

/* Refused is what was before, and it names the command. */
static void after_new_id(struct world *w) {
  if (!starts(w)) {
    if (w->walk.whole || !strstr(w->err.text, "doctor --new-id")) FAIL(w, "no remedy: %s", w->err.text);
    new_id(w);
  }
  drain_and_judge(w);
}

CASE(a_new_id) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  drain(w);
  w->event_count--;
  put(w, GOOD, "e1", "a"); /* as a backup brought it back */
  put(w, GOOD, "e2", "a");
  kafka.now.positions[0].number += 5;
  record(w);
  new_id(w);
  find_all(w, 24, after_new_id);
}
