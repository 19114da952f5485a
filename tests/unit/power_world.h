/* power_world.h - an outbox, a worker on it and a Kafka beside it, whose power goes at each call of
 * the disk and at each commit: every state that the disk may show then (power.h), beside the Kafka
 * that had seen exactly that much (power_kafka.h), is opened by a new worker and drained: nothing
 * is lost, nothing comes twice, the order of each key is kept, and no start is refused.
 *
 * The short form tries some of the states of the longer runs, at random; BUSBRIDGE_FULL=1: each.
 * BUSBRIDGE_SEED_NUMBER repeats a run, BUSBRIDGE_POWER_SHOW=1 shows what led to a failure. */
#ifndef TESTS_UNIT_POWER_WORLD_H
#define TESTS_UNIT_POWER_WORLD_H

#include "tests/unit/power_kafka.h"

#include "bridge/base/disk/durable.h"
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
  bool keep_sent,
      relayed; /* relayed: the last worker settled a batch, and so looked after the reserve */
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

#define FAIL(w, ...)                                                                               \
  do {                                                                                             \
    complain(w);                                                                                   \
    fail_msg(__VA_ARGS__);                                                                         \
  } while (0)
static inline void complain(struct world *w) {
  static char text[20000];
  power_show(&w->walk);
  ssize_t n = pread(fileno(w->log_file), text, sizeof text - 1, 0);
  printf("%.*s", (int)(n > 0 ? n : 0), text);
  for (size_t i = 0; i < kafka.now.count; i++)
    printf("  committed %s (%s)\n", kafka.now.records[i].id, kafka.now.records[i].key);
  fflush(stdout);
}

/* ---- a worker ---- */

static inline void load_settings(struct world *w) {
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

static inline void start(struct world *w, enum service_mode mode) {
  struct service_options options = {.mode = mode, .background = false, .clock = &clock_system};
  load_settings(w);
  if (service_open(w->settings, w->log, &options, &w->service, &w->err) != ST_OK)
    FAIL(w, "it does not start: %s", w->err.text);
}

static inline void stop(struct world *w) {
  service_close(w->service, PATIENCE_MS);
  settings_free(w->settings);
  w->service = NULL;
  w->settings = NULL;
}

static inline bool is_true(struct world *w, const char *key) {
  struct json_doc doc = {0};
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  uint32_t node = json_member(&doc, 0, key);
  bool yes = node != JSON_NONE && doc.nodes[node].type == JSON_TRUE;
  json_doc_release(&doc);
  return yes;
}

static inline uint64_t number_in(struct world *w, const char *key) {
  struct json_doc doc = {0};
  int64_t n = 0;
  assert_int_equal(json_scan(&doc, buffer_span(&w->json), NULL), ST_OK);
  assert_true(json_int(&doc, json_member(&doc, 0, key), &n));
  json_doc_release(&doc);
  return (uint64_t)n;
}

#define ASK(w, call)                                                                               \
  do {                                                                                             \
    buffer_clear(&(w)->json);                                                                      \
    if ((call) != ST_OK) FAIL(w, "%s: %s", #call, (w)->err.text);                                  \
  } while (0)

/* A worker's life: busbridge-worker --once. */
static inline void drain(struct world *w) {
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

static inline void write_file(struct world *w, const char *name, const char *text,
                              int64_t mtime_s) {
  char path[300];
  struct timespec times[2] = {{mtime_s, 1}, {mtime_s, 1}};
  snprintf(path, sizeof path, "%s/%s", w->outbox, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
  assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

#define BROKEN "{\"id\": broken"
static inline void put(struct world *w, enum kind kind, const char *id, const char *key) {
  char text[500], name[60];
  bool twin = false;
  for (size_t i = 0; i < w->event_count; i++) twin = twin || !strcmp(w->events[i].id, id);
  assert_true(w->event_count < EVENTS);
  snprintf(name, sizeof name, "%s%s.json", id, twin ? "-twin" : "");
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"episode.published\", \"payload\": {\"episode_id\": \"%s\"%s}, \"created_at\": "
      "\"2025-01-01T00:00:00+00:00\", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": null, "
      "\"failed_at\": null, \"status\": \"pending\", \"storage_key\": \"%s\"}",
      id, key, kind == MISMATCH ? ", \"include_metadata\": 7" : "", id);
  write_file(w, name, kind == GARBAGE ? BROKEN : text, 1700000000 + (int64_t)w->event_count);
  if (!twin) w->events[w->event_count++] = (struct written){kind, id, key, AS_ITS_KIND};
}

/* ---- what became of it ---- */

static inline unsigned files_with(struct world *w, const char *folder, const char *begin,
                                  const char *end) {
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

static inline const char *text_in(struct world *w, const char *folder, const char *name) {
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

static inline unsigned committed(const char *id) {
  unsigned n = 0;
  for (size_t i = 0; i < kafka.now.count; i++) n += !strcmp(kafka.now.records[i].id, id);
  return n;
}

static inline void judge_dead(struct world *w, const struct written *e, unsigned dead) {
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

static inline void judge_event(struct world *w, const struct written *e) {
  char stem[60];
  snprintf(stem, sizeof stem, "%s.", e->id);
  unsigned sent = committed(e->id), kept = files_with(w, "sent", stem, ".json");
  unsigned want = e->kind == GOOD && e->fate != WAITS, dead = e->kind != GOOD;
  if (e->fate == EITHER && !w->walk.whole) want = sent > 0;
  if (e->fate == EITHER) want |= w->walk.whole, dead = !want;
  if (e->fate == GONE_OR_DEAD) dead = files_with(w, "dlq", stem, ".json");
  if (e->fate == GONE_OR_DEAD && dead && w->walk.whole)
    FAIL(w, "%s was not purged for good", e->id);
  if (sent != want) FAIL(w, "%s was committed %u times, not %u", e->id, sent, want);
  judge_dead(w, e, dead);
  if (w->keep_sent && kept != want) FAIL(w, "%s lies %u times in sent/", e->id, kept);
  if (files_with(w, ".", stem, ".json") != (e->fate == WAITS))
    FAIL(w, "%s is pending, or it is not", e->id);
}

static inline void judge_order(struct world *w) {
  const struct kafka_held *h = &kafka.now;
  for (size_t i = 0; i < h->count; i++)
    for (size_t later = i + 1; later < h->count; later++)
      if (!strcmp(h->records[i].key, h->records[later].key) &&
          strcmp(h->records[i].id, h->records[later].id) > 0)
        FAIL(w, "%s overtook %s", h->records[i].id, h->records[later].id);
}

static inline void judge_left(struct world *w) {
  static const struct {
    const char *folder, *begin, *end;
  } none[] = {{"pending", "", ""}, {".busbridge/tmp", "", ""}, {".busbridge", "batch-", ""}};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    if (files_with(w, none[i].folder, none[i].begin, none[i].end))
      FAIL(w, "something is left: %s/%s*%s", none[i].folder, none[i].begin, none[i].end);
  if (files_with(w, ".busbridge", "settled-", "") != 1)
    FAIL(w, "there is not one settled manifest");
  char path[300];
  struct stat st;
  snprintf(path, sizeof path, "%s/.busbridge/reserve", w->outbox);
  if (w->relayed && lstat(path, &st) == 0 && st.st_size != 2 * 1024 * 1024)
    FAIL(w, "the reserve has %lld bytes", (long long)st.st_size);
}

static inline void judge(struct world *w) {
  for (size_t i = 0; i < w->event_count; i++) judge_event(w, &w->events[i]);
  judge_order(w);
  judge_left(w);
}

/* ---- one run, and all that may be found after it ---- */

static inline void option(struct world *w, const char *setting) {
  assert_true(w->option_count < OPTIONS);
  w->options[w->option_count++] = setting;
}

static inline void record(struct world *w) {
  power_on(w->root);
  kafka.marks[0] = kafka.now;
}

static inline void forget_log(struct world *w) {
  assert_int_equal(ftruncate(fileno(w->log_file), 0), 0);
  lseek(fileno(w->log_file), 0, SEEK_SET);
}

static inline bool full(void) {
  const char *value = getenv("BUSBRIDGE_FULL");
  return value && *value == '1';
}

/* As in all suites that draw by chance: in CI the same one each time. */
static inline uint64_t seed(struct world *w) {
  const char *value = getenv("BUSBRIDGE_SEED_NUMBER"), *ci = getenv("CI");
  if (!value && ci && !strcmp(ci, "true") && !full()) value = "1";
  if (!w->seed)
    w->seed =
        value ? strtoull(value, NULL, 10) : (uint64_t)clock_wall_us(&clock_system) % 1000000 + 1;
  return w->seed;
}

static inline void find_from(struct world *w, size_t sample, size_t from,
                             void (*after)(struct world *)) {
  power_off();
  w->walk = (struct power_walk){.sample = sample, .from = from, .seed = seed(w)};
  while (power_next(&w->walk)) {
    kafka.now = kafka.marks[w->walk.mark];
    forget_log(w);
    after(w);
  }
  printf("%zu calls, %zu states tried, %zu left out, seed %llu\n", w->walk.at - from,
         w->walk.states, w->walk.left_out, (unsigned long long)w->walk.seed);
}

/* sample: one of so many states in the short form. */
static inline void find_all(struct world *w, size_t sample, void (*after)(struct world *)) {
  find_from(w, full() ? 1 : sample, 0, after);
  assert_true(w->walk.at > 3 && w->walk.states > 0 && w->walk.states + w->walk.left_out > 3);
}

static inline void drain_and_judge(struct world *w) {
  drain(w);
  judge(w);
}

static inline int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  memset(&kafka, 0, sizeof kafka);
  folder_make(w->root, sizeof w->root, "power");
  snprintf(w->outbox, sizeof w->outbox, "%s/outbox", w->root);
  assert_int_equal(mkdir(w->outbox, 0770), 0);
  snprintf(w->url, sizeof w->url, "outbox.url=file:%s", w->outbox);
  w->log_file = tmpfile();
  assert_non_null(w->log_file);
  assert_int_equal(log_open(fileno(w->log_file), LOG_LOGFMT, LOG_INFO, &clock_system, &w->log),
                   ST_OK);
  option(w, "redis.url=off");
  *state = w;
  return 0;
}

static inline int teardown(void **state) {
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

static inline void used(struct world *w) {
  put(w, GOOD, "e0", "z");
  drain(w);
}

#endif
