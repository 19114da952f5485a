/* The doctor's findings against librdkafka's mock cluster, disks that fail and clocks that are
 * wrong. What a real broker is needed for stands in tests/integration/doctor_test.py. */
#include "tests/unit/mock_settings.h"
#include "tests/unit/schema_folder.h"

#include "bridge/base/disk/durable.h"
#include "bridge/json/json.h"
#include "bridge/outbox/store.h"
#include "bridge/service/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct world {
  struct mock mock;
  char outbox[200];
  struct settings *settings;
  struct clock clock;
  struct doctor_request request;
  struct buffer json;
  struct json_doc doc;
  struct error err;
};

/* A clock that goes wrong by a fixed time. */
static int64_t lag_us;
static int64_t wrong_wall(void *ctx) {
  (void)ctx;
  return clock_wall_us(&clock_system) - lag_us;
}

static struct store *outbox_opened(struct world *w) {
  const struct store_options options = {.create = true, .clock = &clock_system};
  struct store *s = NULL;
  char url[300];
  snprintf(url, sizeof url, "file:%s", w->outbox);
  assert_int_equal(store_open(url, &options, &s, &w->err), ST_OK);
  return s;
}

static void make_outbox(struct world *w) {
  store_close(outbox_opened(w));
}

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  folder_make(w->outbox, sizeof w->outbox, "doctor");
  lag_us = 0;
  w->clock = clock_system;
  w->clock.wall_us = wrong_wall;
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  durable_set_hook(NULL, NULL);
  settings_free(w->settings);
  buffer_release(&w->json);
  json_doc_release(&w->doc);
  mock_close(&w->mock);
  int removed = folder_remove(w->outbox);
  test_free(w);
  return removed;
}

/* extra: one more setting, or NULL. */
static void load(struct world *w, const char *guarantee, const char *extra) {
  settings_free(w->settings);
  w->settings = mock_settings_of(&w->mock, w->outbox, guarantee, extra);
  w->request =
      (struct doctor_request){.settings = w->settings, .source = "its.conf", .clock = &w->clock};
}

static void examine(struct world *w) {
  buffer_clear(&w->json);
  assert_int_equal(doctor_run(&w->request, &w->json, &w->err), ST_OK);
  assert_int_equal(json_scan(&w->doc, buffer_span(&w->json), &w->err), ST_OK);
}

/* "verdict: found" of the first check of that name, or "". */
static const char *finding(struct world *w, const char *name) {
  static char text[2][2000];
  static int turn;
  char *out = text[turn++ % 2];
  uint32_t checks = json_member(&w->doc, 0, "checks");
  *out = 0;
  for (uint32_t at = checks + 1; at < w->doc.nodes[checks].next; at = w->doc.nodes[at].next) {
    if (!json_string_is(&w->doc, json_member(&w->doc, at, "check"), span_of(name))) continue;
    struct span verdict = json_raw(&w->doc, json_member(&w->doc, at, "verdict"));
    struct span found = json_raw(&w->doc, json_member(&w->doc, at, "found"));
    snprintf(out, sizeof text[0], "%.*s: %.*s", SPAN_ARGS(verdict), SPAN_ARGS(found));
    break;
  }
  return out;
}

#define assert_finding(w, name, begin)                                                             \
  do {                                                                                             \
    if (strncmp(finding((w), (name)), (begin), strlen(begin)) != 0)                                \
      fail_msg("%s is '%s', not '%s'", (name), finding((w), (name)), (begin));                     \
  } while (0)
#define assert_has(text, part)                                                                     \
  do {                                                                                             \
    if (!strstr((text), (part))) fail_msg("no '%s' in %s", (part), (text));                        \
  } while (0)
#define assert_verdict(w, word)                                                                    \
  assert_true(json_string_is(&(w)->doc, json_member(&(w)->doc, 0, "verdict"), span_of(word)))

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_development_broker_will_do_for_at_least_once) {
  struct world *w = *state;
  make_outbox(w);
  mock_topic(&w->mock, "episode.events", 2);
  load(w, "delivery.guarantee=at_least_once", "routing.namespaces=episode");
  examine(w);
  assert_finding(w, "settings", "ok: from its.conf");
  assert_finding(w, "routing", "ok: 1 topic for");
  assert_finding(w, "schemas", "ok: ");
  assert_finding(w, "kafka settings", "ok: librdkafka");
  assert_finding(w, "outbox", "ok: ");
  assert_finding(w, "file system", "ok: ");
  assert_finding(w, "worker", "ok: none runs");
  assert_finding(w, "redis", "skipped: redis.url is off");
  assert_finding(w, "clock", "ok: the clock of the file system agrees with ours");
  assert_finding(w, "broker", "ok: ");
  assert_finding(w, "broker version", "ok: ");
  assert_finding(w, "cluster", "ok: the outbox belongs to none yet");
  assert_finding(w, "transactions", "skipped: ");
  assert_finding(w, "topic", "ok: episode.events is there, 2 partitions");
  assert_verdict(w, "ok");
}

static void write_noted(struct world *w, const char *id, const char *payload) {
  char text[400];
  struct store *store = outbox_opened(w);
  snprintf(
      text, sizeof text,
      "{\"id\": \"%s\", \"name\": \"episode.noted\", \"status\": \"pending\", \"payload\": %s}", id,
      payload);
  assert_int_equal(store_emit(store, span_of(id), span_of(text), NULL, &w->err), ST_OK);
  store_close(store);
}

CASE(fields_that_are_about_to_appear_are_listed) {
  struct world *w = *state;
  char schemas[400];
  schema_folder_make(w->outbox, schemas);
  write_noted(w, "n-1", "{\"lines\": []}");
  load(w, "delivery.guarantee=at_least_once", schemas);
  examine(w);
  assert_finding(w, "unknown fields", "ok: none in 1 pending entry");
  write_noted(w, "n-2", NOTED);
  examine(w);
  assert_finding(
      w, "unknown fields",
      "warning: 2 fields of 2 pending entries have no place in the schema and appear in the "
      "header ce_extra: episode.noted: " NOTED_UNPLACED);
  load(w, "encoding.unknown_fields=drop", schemas);
  examine(w);
  assert_finding(w, "unknown fields",
                 "warning: 2 fields of 2 pending entries have no place in the schema and are not "
                 "published: episode.noted: " NOTED_UNPLACED);
  load(w, "encoding.unknown_fields=refuse", schemas);
  examine(w);
  assert_finding(
      w, "unknown fields",
      "warning: 2 fields of 2 pending entries have no place in the schema and make their "
      "events dead letters: episode.noted: " NOTED_UNPLACED);
}

/* The schemas of the last start are a note of the outbox. */
CASE(a_schema_that_lost_its_predecessor_is_told) {
  struct world *w = *state;
  char schemas[400], text[600];
  schema_folder_make(w->outbox, schemas);
  load(w, "delivery.guarantee=at_least_once", schemas);
  examine(w);
  assert_finding(w, "schema history", "ok: no schema changed");
  struct store *store = outbox_opened(w);
  snprintf(text, sizeof text, "episode.noted\t0123456789abcdef\t%s\n",
           RECORD("Noted", TEXT_FIELD("x")));
  assert_int_equal(store_lock(store, 0, &w->err), ST_OK);
  assert_int_equal(store_note_write(store, NOTE_SCHEMAS, span_of(text), &w->err), ST_OK);
  store_close(store);
  examine(w);
  assert_finding(w, "schema history", "warning: episode.noted: payload.lines: ");
  assert_has(buffer_z(&w->json), "its last schema is not in .history/");
}

/* What holds is what the route of the event says. */
CASE(fields_of_an_event_whose_route_drops_them_are_told_as_that) {
  struct world *w = *state;
  char schemas[400];
  schema_folder_make(w->outbox, schemas);
  write_noted(w, "n-2", NOTED);
  load(w, "routing.episode.noted.unknown_fields=drop", schemas);
  examine(w);
  assert_finding(w, "unknown fields",
                 "warning: 2 fields of 1 pending entry have no place in the schema and are not "
                 "published: episode.noted: " NOTED_UNPLACED);
  assert_has(buffer_z(&w->json), "or set routing.episode.noted.unknown_fields = carry");
}

CASE(what_two_settings_say_together_is_found_too) {
  struct world *w = *state;
  load(w, "encoding.strict=true", "encoding.unknown_fields=drop");
  examine(w);
  assert_finding(w, "settings", "ok: ");
  assert_has(buffer_z(&w->json), "encoding.strict and encoding.unknown_fields are both set");
  assert_verdict(w, "failed");
}

CASE(a_development_broker_will_not_do_for_exactly_once) {
  struct world *w = *state;
  make_outbox(w);
  load(w, "delivery.guarantee=exactly_once", NULL);
  examine(w);
  assert_finding(w, "cluster", "failed: this is a development broker");
  assert_finding(w, "transactions", "");
  assert_verdict(w, "failed");
}

CASE(states_of_topics_are_told_apart) {
  static const struct {
    rd_kafka_resp_err_t code;
    const char *finding;
  } cases[] = {
      {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "failed: episode.events is missing"},
      {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "failed: episode.events is forbidden"},
      {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "warning: episode.events has no leader"}};
  struct world *w = *state;
  mock_topic(&w->mock, "episode.events", 1);
  load(w, "delivery.guarantee=at_least_once", "routing.namespaces=episode");
  for (size_t i = 0; i < (mock_errors_are_deadly() ? 1 : sizeof cases / sizeof *cases); i++) {
    rd_kafka_mock_topic_set_error(w->mock.cluster, "episode.events", cases[i].code);
    examine(w);
    assert_finding(w, "topic", cases[i].finding);
  }
}

CASE(wrong_settings_are_findings) {
  struct world *w = *state;
  w->request =
      (struct doctor_request){.why = "flush.intervall: no such setting", .clock = &w->clock};
  examine(w);
  assert_finding(w, "settings", "failed: flush.intervall");
  assert_finding(w, "routing", "");
  assert_verdict(w, "failed");
  load(w, "delivery.guarantee=at_least_once", "routing.topic=a b");
  examine(w);
  assert_finding(w, "routing", "failed: ");
  load(w, "delivery.guarantee=at_least_once", "kafka.no.such=1");
  examine(w);
  assert_finding(w, "kafka settings", "failed: ");
  assert_finding(w, "broker", "skipped: ");
  load(w, "delivery.guarantee=at_least_once", "encoding.schemas=/nowhere");
  examine(w);
  assert_finding(w, "schemas", "failed: ");
  load(w, "delivery.guarantee=at_least_once", "redis.url=http://x");
  examine(w);
  assert_finding(w, "redis", "failed: ");
  load(w, "delivery.guarantee=at_least_once", "redis.url=unix:/nowhere/redis");
  examine(w);
  assert_finding(w, "redis", "warning: ");
  load(w, "delivery.guarantee=at_least_once", "outbox.url=file:/nowhere/at/all");
  examine(w);
  assert_finding(w, "outbox", "failed: the outbox folder /nowhere/at/all is missing");
  assert_finding(w, "worker", "");
}

CASE(a_clock_more_than_five_seconds_off_is_a_warning) {
  struct world *w = *state;
  make_outbox(w);
  load(w, "delivery.guarantee=at_least_once", "routing.namespaces=episode");
  lag_us = 65 * INT64_C(1000000);
  examine(w);
  assert_finding(w, "clock", "warning: the clock of the file system is 1m");
  lag_us = -lag_us;
  examine(w);
  if (!strstr(finding(w, "clock"), "behind")) fail_msg("%s", finding(w, "clock"));
}

CASE(little_disk_is_a_warning) {
  struct world *w = *state;
  make_outbox(w);
  load(w, "delivery.guarantee=at_least_once", "health.disk_warning=8000000GB");
  examine(w);
  assert_finding(w, "disk space", "warning: ");
}

struct failing {
  enum durable_op op;
  const char *name; /* begin of */
  int errnum;
};
static int fail_there(void *ctx, enum durable_op op, const char *name, bool after) {
  const struct failing *f = ctx;
  return !after && op == f->op && strncmp(name, f->name, strlen(f->name)) == 0 ? f->errnum : 0;
}

static unsigned files_in(const char *outbox, const char *sub) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", outbox, sub);
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  unsigned n = 0;
  int fd = open(path, O_RDONLY | O_DIRECTORY);
  assert_true(fd >= 0);
  for (char a = 'a'; a <= 'b'; a++) {
    char name[60];
    snprintf(name, sizeof name, "doctor-%c.%ld.tmp", a, (long)getpid());
    n += fstatat(fd, name, &st, 0) == 0;
  }
  close(fd);
  return n;
}

CASE(a_file_system_is_judged_by_what_it_does) {
  static const struct {
    struct failing failing;
    const char *finding;
  } cases[] = {{{DURABLE_RENAME, "doctor", EINVAL}, "warning: it cannot exchange"},
               {{DURABLE_RENAME, "doctor", ENOENT}, "skipped: "},
               {{DURABLE_RENAME, "doctor", EIO}, "failed: "},
               {{DURABLE_FSYNC, "doctor-b", EIO}, "failed: "},
               {{DURABLE_OPEN, "doctor-a", ENOSPC}, "failed: "}};
  struct world *w = *state;
  make_outbox(w);
  load(w, "delivery.guarantee=at_least_once", "routing.namespaces=episode");
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    durable_set_hook(fail_there, (void *)&cases[i].failing);
    examine(w);
    durable_set_hook(NULL, NULL);
    assert_finding(w, "file system", cases[i].finding);
    assert_int_equal(files_in(w->outbox, ".busbridge/tmp"), 0);
  }
}

CASE(whoever_holds_the_outbox_is_named) {
  struct world *w = *state;
  char begin[60];
  struct store *holder = outbox_opened(w);
  assert_int_equal(store_lock(holder, 0, &w->err), ST_OK);
  load(w, "delivery.guarantee=at_least_once", "routing.namespaces=episode");
  examine(w);
  snprintf(begin, sizeof begin, "ok: pid %ld holds", (long)getpid());
  assert_finding(w, "worker", begin);
  buffer_clear(&w->json);
  assert_int_equal(doctor_new_id(&w->request, &(struct new_id){0}, &w->json, &w->err), ST_BUSY);
  assert_int_equal(doctor_accept_cluster(&w->request, &w->json, &w->err), ST_BUSY);
  assert_int_equal(w->json.len, 0);
  store_close(holder);
}

static void put_cluster(struct world *w, const char *text) {
  char path[300];
  snprintf(path, sizeof path, "%s/.busbridge/cluster", w->outbox);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

CASE(another_cluster_is_told) {
  struct world *w = *state;
  char path[300];
  make_outbox(w);
  put_cluster(w, "elsewhere\n");
  load(w, "delivery.guarantee=at_least_once", "routing.namespaces=episode");
  examine(w);
  assert_finding(w, "cluster", "warning: the outbox belongs to cluster elsewhere");
  snprintf(path, sizeof path, "%s/.busbridge/cluster", w->outbox);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0755), 0);
  examine(w);
  assert_finding(w, "cluster", "failed: ");
}

CASE(a_development_broker_is_never_accepted) {
  struct world *w = *state;
  load(w, "delivery.guarantee=exactly_once", NULL);
  assert_int_equal(doctor_accept_cluster(&w->request, &w->json, &w->err), ST_NOT_FOUND);
  make_outbox(w);
  assert_int_equal(doctor_accept_cluster(&w->request, &w->json, &w->err), ST_UNSUPPORTED);
  load(w, "delivery.guarantee=exactly_once", "kafka.no.such=1");
  assert_int_equal(doctor_accept_cluster(&w->request, &w->json, &w->err), ST_INVALID);
  assert_int_equal(w->json.len, 0);
}

CASE(a_new_id_is_another_and_a_failing_disk_keeps_the_old) {
  struct world *w = *state;
  struct failing failing = {DURABLE_RENAME, "id", EIO};
  load(w, "delivery.guarantee=exactly_once", NULL);
  assert_int_equal(doctor_new_id(&w->request, &(struct new_id){0}, &w->json, &w->err),
                   ST_NOT_FOUND);
  make_outbox(w);
  durable_set_hook(fail_there, &failing);
  assert_int_equal(doctor_new_id(&w->request, &(struct new_id){0}, &w->json, &w->err), ST_IO);
  durable_set_hook(NULL, NULL);
  assert_int_equal(w->json.len, 0);
  assert_int_equal(doctor_new_id(&w->request, &(struct new_id){0}, &w->json, &w->err), ST_OK);
  assert_int_equal(json_scan(&w->doc, buffer_span(&w->json), &w->err), ST_OK);
  struct span id = json_raw(&w->doc, json_member(&w->doc, 0, "id"));
  struct span was = json_raw(&w->doc, json_member(&w->doc, 0, "was"));
  assert_int_equal(id.len, 36);
  assert_int_equal(was.len, 36);
  assert_false(span_eq(id, was));
}
