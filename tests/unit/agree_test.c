/* A wrong setting is told alike by all who meet it: the worker, doctor, config check, health and
 * the commands. */
#include "tests/unit/mock_settings.h"

#include "bridge/service/doctor/doctor.h"
#include "bridge/service/plan/configure.h"
#include "bridge/service/schemas/schemas.h"
#include "bridge/service/service.h"
#include "bridge/service/topics/tail.h"
#include "bridge/service/verify/verify.h"

#include <sys/stat.h>

enum { BY_VERIFY = 1, BY_TAIL = 2, BY_SCHEMAS = 4 }; /* the commands that use a setting */

static const struct wrong {
  const char *setting, *said;
  unsigned used;
} rows[] = {
    {"kafka.transaction.timeout.ms=1000", "only to 5000 to 900000", BY_VERIFY | BY_TAIL},
    {"kafka.lingr.ms=5", "did you mean kafka.linger.ms?", BY_VERIFY | BY_TAIL},
    {"kafka.bootstrap.servers=", "name at least one broker", BY_VERIFY | BY_TAIL},
    {"kafka.delivery.report.only.error=true", "published again", BY_VERIFY | BY_TAIL},
    {"kafka.acks=1", "`acks` must be set to `all`", BY_VERIFY | BY_TAIL},
    {"routing.namespaces=episode A", "is not a namespace", BY_VERIFY | BY_TAIL | BY_SCHEMAS},
    {"routing.topic=a b", "is not a topic name", BY_VERIFY | BY_TAIL | BY_SCHEMAS},
    {"routing.aliases=garbage", "write SEEN=CANONICAL", BY_VERIFY | BY_TAIL | BY_SCHEMAS},
    {"routing.keys=garbage", "write NAMESPACE=FIELD,FIELD", BY_VERIFY | BY_TAIL | BY_SCHEMAS},
    {"redis.url=http://x", "must begin with redis://", BY_VERIFY},
    {"encoding.schemas=/nowhere", "folder of schemas /nowhere", BY_TAIL | BY_SCHEMAS},
    {"outbox.url=http://x", "unknown kind of outbox", BY_VERIFY},
};

struct world {
  struct mock mock;
  char outbox[200];
  struct settings *settings;
  struct buffer text;
  struct error err;
  size_t faults; /* all are told, then the test fails */
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  folder_make(w->outbox, sizeof w->outbox, "agree");
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  settings_free(w->settings);
  buffer_release(&w->text);
  mock_close(&w->mock);
  int removed = folder_remove(w->outbox);
  test_free(w);
  return removed;
}

static void load(struct world *w, const char *guarantee, const char *setting) {
  settings_free(w->settings);
  w->settings = mock_settings_of(&w->mock, w->outbox, guarantee, setting);
}

/* st: of an operation that puts its answer into text; what it says is in that or in err. */
static void expect(struct world *w, const char *who, const struct wrong *row, enum status st) {
  const char *said = st == ST_OK ? buffer_z(&w->text) : w->err.text;
  if (strstr(said, row->said)) return;
  w->faults++;
  print_error("%s with %s says: %.300s\n", who, row->setting, said);
}

static enum status open_service(struct world *w, enum service_mode mode, struct service **out) {
  struct service_options options = {.mode = mode, .clock = &clock_system};
  return service_open(w->settings, w->mock.log, &options, out, &w->err);
}

static void ask_worker(struct world *w, const struct wrong *row) {
  struct service *s = NULL;
  enum status st = open_service(w, SERVICE_RELAY, &s);
  service_close(s, 0);
  assert_int_not_equal(st, ST_OK);
  expect(w, "the worker", row, st);
}

static void ask_health(struct world *w, const struct wrong *row) {
  struct service *s = NULL;
  enum status st = open_service(w, SERVICE_INSPECT, &s);
  if (st == ST_OK) st = service_health(s, false, &w->text, &w->err);
  expect(w, "health", row, st);
  service_close(s, 0);
}

static void ask_doctor(struct world *w, const struct wrong *row) {
  struct doctor_request request = {.settings = w->settings, .clock = &clock_system};
  expect(w, "doctor", row, doctor_run(&request, &w->text, &w->err));
}

static void ask_check(struct world *w, const struct wrong *row) {
  configure_check(w->settings, &w->text);
  expect(w, "config check", row, ST_OK);
  bool placed = w->text.len == 0 || span_starts(buffer_span(&w->text), "-X: ");
  assert_true(placed ||
              strstr(row->setting, "kafka.acks")); /* which only librdkafka judges, beside others */
}

static void ask_verify(struct world *w, const struct wrong *row) {
  struct verify_request request = {
      .settings = w->settings, .clock = &clock_system, .recheck_ms = 1};
  expect(w, "verify", row, verify_run(&request, &w->text, &w->err));
}

static void ask_tail(struct world *w, const struct wrong *row) {
  struct tail_request request = {.timeout_ms = 2000};
  struct tail *t = NULL;
  enum status st = tail_open(w->settings, w->mock.log, &request, &t, &w->err);
  tail_close(t);
  expect(w, "tail", row, st);
}

static void ask_schemas(struct world *w, const struct wrong *row) {
  struct schemas *s = NULL;
  enum status st = schemas_open(w->settings, NULL, &s, &w->err);
  schemas_close(s);
  expect(w, "schema", row, st);
}

static void everybody_refuses_alike(struct world *w, const char *guarantee) {
  static const struct {
    void (*ask)(struct world *w, const struct wrong *row);
    unsigned of; /* 0: everybody's */
  } who[] = {{ask_worker, 0},         {ask_health, 0},     {ask_doctor, 0},          {ask_check, 0},
             {ask_verify, BY_VERIFY}, {ask_tail, BY_TAIL}, {ask_schemas, BY_SCHEMAS}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    load(w, guarantee, rows[i].setting);
    for (size_t k = 0; k < sizeof who / sizeof *who; k++) {
      if (who[k].of && !(who[k].of & rows[i].used)) continue;
      w->err = (struct error){0};
      buffer_clear(&w->text);
      who[k].ask(w, &rows[i]);
    }
  }
  assert_int_equal(w->faults, 0);
}

#define CASE(name) TEST_WITH(name, setup, teardown)
CASE(a_wrong_setting_is_told_alike) {
  everybody_refuses_alike(*state, "delivery.guarantee=exactly_once");
}

CASE(a_wrong_setting_is_told_alike_in_at_least_once) {
  everybody_refuses_alike(*state, "delivery.guarantee=at_least_once");
}

CASE(what_is_right_is_not_refused) {
  struct world *w = *state;
  struct service *s = NULL;
  load(w, "delivery.guarantee=exactly_once", "kafka.message.timeout.ms=4500");
  configure_check(w->settings, &w->text);
  assert_string_equal(buffer_z(&w->text), "");
  assert_int_equal(open_service(w, SERVICE_INSPECT, &s), ST_OK);
  assert_int_equal(service_health(s, false, &w->text, &w->err), ST_OK);
  service_close(s, 0);
  assert_non_null(strstr(buffer_z(&w->text), "No worker runs"));
  assert_null(strstr(buffer_z(&w->text), "these settings"));
}
