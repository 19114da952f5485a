/* A connection to a real PostgreSQL: values there and back, what its errors mean, cuts, waits,
 * several servers, the back-off. */
#include "bridge/outbox/postgres/connection.h"
#include "tests/support/postgres.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

struct fixture {
  struct pg_address address;
  struct pg_config config;
  struct pg_connection *c;
  struct pg_answer a;
  struct error err;
};

static int open_fixture(void **state) {
  *state = calloc(1, sizeof(struct fixture));
  struct fixture *f = *state;
  f->config = (struct pg_config){.address = &f->address,
                                 .clock = &clock_system,
                                 .connect_ms = 300000,
                                 .answer_ms = 300000,
                                 .backoff = {1, 10, 5}};
  return 0;
}

static int close_fixture(void **state) {
  struct fixture *f = *state;
  pg_answer_release(&f->a);
  pg_connection_close(f->c);
  pg_address_release(&f->address);
  free(f);
  return 0;
}

#define CASE(name) TEST_WITH(name, open_fixture, close_fixture)
#define OK(expr)                                                                                   \
  do {                                                                                             \
    enum status ok_status = (expr);                                                                \
    if (ok_status != ST_OK) fail_msg("%s: %s: %s", #expr, status_name(ok_status), f->err.text);    \
  } while (0)

static void open_at(struct fixture *f, const char *address) {
  OK(pg_address_parse(address, &f->address, &f->err));
  OK(pg_connection_open(&f->config, &f->c, &f->err));
}

static void open_as(struct fixture *f, const char *user, const char *database) {
  char address[300];
  postgres_address(address, sizeof address, user, database, "");
  open_at(f, address);
}

static enum status ask(struct fixture *f, const char *sql, const struct pg_args *args) {
  pg_answer_release(&f->a);
  f->err = (struct error){0};
  return pg_ask(f->c, sql, args, &f->a, &f->err);
}

static void refused(struct fixture *f, const char *sql, enum pg_fault fault) {
  enum status st = ask(f, sql, NULL);
  if (st != pg_fault_status(fault) || f->err.cause != (int)fault)
    fail_msg("%s: %s, cause %d: %s", sql, status_name(st), f->err.cause, f->err.text);
  assert_int_not_equal(f->err.sys, 0);
  if (!strstr(f->err.text, pg_fault_remedy(fault))) fail_msg("no remedy: %s", f->err.text);
}

/* Until the back-off lets it try. */
static void ask_again(struct fixture *f, const char *sql) {
  enum status st = ST_UNAVAILABLE;
  for (int i = 0; i < 30000 && st == ST_UNAVAILABLE; i++) {
    if (i) usleep(10000);
    st = ask(f, sql, NULL);
  }
  OK(st);
}

CASE(values_come_back_as_they_went) {
  struct fixture *f = *state;
  struct pg_args args = {0};
  struct buffer numbers = {0}, texts = {0}, none = {0};
  const int64_t list[] = {1, -2, INT64_MAX};
  const struct span words[] = {SPAN("a"), {NULL, 0}, SPAN("")};
  open_as(f, "postgres", "postgres");
  pg_add_number(&args, INT64_MIN);
  pg_add_bool(&args, true);
  pg_add_text(&args, SPAN("\xe9\x9b\xa8"));
  pg_add_bytes(&args, SPAN("\0\xff"));
  pg_add_text(&args, (struct span){0});
  pg_add_time(&args, 1700000000123456);
  pg_add_numbers(&args, &numbers, list, 3);
  pg_add_texts(&args, &texts, words, 3);
  pg_add_time(&args, TIME_NONE);
  pg_add_numbers(&args, &none, NULL, 0);
  OK(ask(f,
         "SELECT $1, $2, $3, $4, $5, $6, $7[3], $8[1], $8[2] IS NULL AND $8[3] = '', "
         "7::smallint, -8::integer, 'infinity'::timestamptz, $9, cardinality($10), "
         "$6 = '2023-11-14 22:13:20.123456+00', '{\"a\":1.0,\"a\":2}'::json",
         &args));
  const struct pg_result *r = f->a.rows;
  assert_int_equal(pg_rows(r), 1);
  assert_true(pg_number(r, 0, 0) == INT64_MIN && pg_number(r, 0, 1) == 1);
  assert_true(span_is(pg_span(r, 0, 2), "\xe9\x9b\xa8"));
  assert_true(span_eq(pg_span(r, 0, 3), SPAN("\0\xff")));
  assert_true(pg_is_null(r, 0, 4) && !pg_span(r, 0, 4).ptr);
  assert_true(pg_time_us(r, 0, 5) == 1700000000123456);
  assert_true(pg_number(r, 0, 6) == INT64_MAX && span_is(pg_span(r, 0, 7), "a"));
  assert_int_equal(pg_number(r, 0, 8), 1);
  assert_true(pg_number(r, 0, 9) == 7 && pg_number(r, 0, 10) == -8);
  assert_true(pg_time_us(r, 0, 11) == TIME_NONE && pg_time_us(r, 0, 12) == TIME_NONE);
  assert_true(pg_number(r, 0, 13) == 0 && pg_number(r, 0, 14) == 1);
  assert_true(span_is(pg_span(r, 0, 15), "{\"a\":1.0,\"a\":2}"));
  assert_int_equal(pg_connections(f->c), 1);
  assert_true(pg_server_version(f->c) >= 130000);
  buffer_release(&numbers);
  buffer_release(&texts);
  buffer_release(&none);
}

CASE(large_values_go_and_come_in_parts) {
  struct fixture *f = *state;
  struct pg_args args = {0};
  const size_t size = 40 << 20; /* more than any socket holds */
  char *bytes = malloc(size);
  open_as(f, "postgres", "postgres");
  memset(bytes, 'x', size);
  pg_add_bytes(&args, (struct span){bytes, size});
  OK(ask(f, "SELECT $1", &args));
  assert_true(span_eq(pg_span(f->a.rows, 0, 0), (struct span){bytes, size}));
  free(bytes);
}

CASE(an_error_says_what_it_is_and_what_to_do) {
  struct fixture *f = *state;
  open_as(f, "postgres", "postgres");
  OK(ask(f, "DO $$ BEGIN CREATE ROLE nobody_special; EXCEPTION WHEN duplicate_object THEN END $$",
         NULL));
  OK(ask(f, "CREATE TABLE IF NOT EXISTS refused (n int PRIMARY KEY, t text CHECK (t <> 'canary'))",
         NULL));
  OK(ask(f, "INSERT INTO refused VALUES (1, '') ON CONFLICT DO NOTHING", NULL));
  refused(f, "SELECT 1 FROM no_such_table", PG_NOT_MIGRATED);
  refused(f, "SELECT no_such_column FROM refused", PG_NOT_MIGRATED);
  refused(f, "SELECT '{'::json", PG_BAD_DATA);
  refused(f, "INSERT INTO refused VALUES (1, 'b')", PG_TWICE);
  refused(f, "INSERT INTO refused VALUES (2, 'canary')", PG_BAD_DATA);
  assert_null(strstr(f->err.text, "canary")); /* a row is not shown */
  refused(f, "DO $$ BEGIN RAISE EXCEPTION 'could not extend' USING ERRCODE = '53100'; END $$",
          PG_DISK_FULL);
  refused(f, "DO $$ BEGIN RAISE EXCEPTION 'invalid page' USING ERRCODE = 'XX001'; END $$",
          PG_DAMAGED);
  refused(f, "SELEC", PG_OTHER);
  assert_int_equal(pg_connections(f->c), 1);
  refused(f, "DO $$ BEGIN SET LOCAL ROLE nobody_special; INSERT INTO refused VALUES (3); END $$",
          PG_NO_RIGHT);
  OK(ask(f, "SELECT 1", NULL)); /* over the same connection */
  assert_int_equal(pg_connections(f->c), 1);
}

CASE(who_is_not_let_in_is_told_why) {
  struct fixture *f = *state;
  open_as(f, "no_such_role", "postgres");
  refused(f, "SELECT 1", PG_LOGIN);
  assert_non_null(strstr(f->err.text, "no_such_role"));
  assert_null(strstr(f->err.text, "28000")); /* a code is no word for people */
  close_fixture(state), open_fixture(state), f = *state;
  open_as(f, "postgres", "no_such_database");
  refused(f, "SELECT 1", PG_NO_DATABASE);
  close_fixture(state), open_fixture(state), f = *state;
  open_as(f, "postgres", "postgres");
  OK(ask(f, "DROP ROLE IF EXISTS crowd, replica", NULL));
  OK(ask(f, "CREATE ROLE crowd LOGIN CONNECTION LIMIT 0", NULL));
  OK(ask(f, "CREATE ROLE replica LOGIN", NULL));
  OK(ask(f, "ALTER ROLE replica SET default_transaction_read_only = on", NULL));
  close_fixture(state), open_fixture(state), f = *state;
  open_as(f, "crowd", "postgres");
  refused(f, "SELECT 1", PG_CROWDED);
  close_fixture(state), open_fixture(state), f = *state;
  open_as(f, "replica", "postgres");
  refused(f, "SELECT 1", PG_READ_ONLY);
}

CASE(a_server_that_writes_no_more_is_left) {
  struct fixture *f = *state;
  open_as(f, "postgres", "postgres");
  refused(f, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '25006'; END $$", PG_READ_ONLY);
  ask_again(f, "SELECT 1");
  assert_int_equal(pg_connections(f->c), 2);
}

CASE(a_cut_connection_comes_back) {
  struct fixture *f = *state;
  open_as(f, "postgres", "postgres");
  refused(f, "SELECT pg_terminate_backend(pg_backend_pid())", PG_ENDING);
  ask_again(f, "SELECT 1");
  assert_int_equal(pg_connections(f->c), 2);
  refused(
      f,
      "SELECT g FROM generate_series(1, 3) g WHERE g < 3 OR pg_terminate_backend(pg_backend_pid())",
      PG_ENDING);
  ask_again(f, "SELECT 1");
  assert_int_equal(pg_connections(f->c), 3);
}

CASE(what_a_conflict_undid_is_sent_again) {
  struct fixture *f = *state;
  open_as(f, "postgres", "postgres");
  OK(ask(f, "DROP SEQUENCE IF EXISTS tries", NULL));
  OK(ask(f, "CREATE SEQUENCE tries", NULL));
  OK(ask(f,
         "DO $$ BEGIN IF nextval('tries') < 4 THEN "
         "RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; END $$",
         NULL));
  OK(ask(f, "SELECT last_value FROM tries", NULL));
  assert_int_equal(pg_number(f->a.rows, 0, 0), 4);
  refused(f, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", PG_REPEAT);
  assert_int_equal(pg_connections(f->c), 1);
}

CASE(an_answer_that_does_not_come_is_not_waited_for) {
  struct fixture *f = *state;
  f->config.answer_ms = 200;
  open_as(f, "postgres", "postgres");
  ask_again(f, "SELECT 1");
  refused(f, "SELECT pg_sleep(3600)", PG_AWAY);
  assert_non_null(strstr(f->err.text, "200 ms"));
  ask_again(f, "SELECT 1");
}

CASE(a_warning_that_a_commit_may_be_lost_is_told_of_that_statement_alone) {
  struct fixture *f = *state;
  open_as(f, "postgres", "postgres");
  OK(ask(f, "DO $$ BEGIN RAISE WARNING 'canceling wait for synchronous replication'; END $$",
         NULL));
  assert_true(f->a.not_durable);
  OK(ask(f, "DO $$ BEGIN RAISE NOTICE 'nothing'; END $$", NULL));
  assert_false(f->a.not_durable);
}

static void *cancel_waiting(void *arg) {
  struct fixture *f = calloc(1, sizeof *f);
  void *state = f;
  f->config = ((const struct fixture *)arg)->config; /* all else is in use there */
  f->config.address = &f->address;
  open_as(f, "postgres", "postgres");
  do {
    usleep(10000);
    OK(ask(f, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
           NULL));
  } while (pg_rows(f->a.rows) == 0);
  close_fixture(&state);
  return NULL;
}

CASE(a_standby_that_is_away_makes_a_commit_not_durable) {
  struct fixture *f = *state;
  pthread_t other;
  open_as(f, "postgres", "postgres");
  OK(ask(f, "CREATE TABLE IF NOT EXISTS waits (n int)", NULL));
  OK(ask(f, "ALTER SYSTEM SET synchronous_standby_names = 'away'", NULL));
  OK(ask(f, "SELECT pg_reload_conf()", NULL));
  do {
    usleep(10000);
    OK(ask(f, "SELECT current_setting('synchronous_standby_names') = 'away'", NULL));
  } while (!pg_number(f->a.rows, 0, 0));
  pthread_create(&other, NULL, cancel_waiting, f);
  OK(ask(f,
         "INSERT INTO waits SELECT 1 WHERE set_config('synchronous_commit', 'on', true) "
         "IS NOT NULL",
         NULL));
  pthread_join(other, NULL);
  bool told = f->a.not_durable;
  OK(ask(f, "ALTER SYSTEM RESET synchronous_standby_names", NULL));
  OK(ask(f, "SELECT pg_reload_conf()", NULL));
  assert_true(told);
}

/* ---- servers that are away ---- */

struct door { /* a port that lets nobody in */
  int fd, port;
  unsigned visits;
  pthread_t thread;
};

static void *shut(void *arg) {
  struct door *d = arg;
  for (int fd; (fd = accept(d->fd, NULL, NULL)) >= 0; close(fd))
    __atomic_add_fetch(&d->visits, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static void open_door(struct door *d, bool answers) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  d->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(d->fd, (struct sockaddr *)&at, len), 0);
  assert_int_equal(listen(d->fd, 100), 0);
  assert_int_equal(getsockname(d->fd, (struct sockaddr *)&at, &len), 0);
  d->port = ntohs(at.sin_port);
  if (answers) assert_int_equal(pthread_create(&d->thread, NULL, shut, d), 0);
}

static void close_door(struct door *d, bool answers) {
  shutdown(d->fd, SHUT_RDWR);
  if (answers) pthread_join(d->thread, NULL);
  close(d->fd);
}

CASE(the_first_server_that_answers_and_writes_is_taken) {
  struct fixture *f = *state;
  struct door shut_door = {0}, silent = {0};
  char address[300];
  open_door(&shut_door, true);
  open_door(&silent, false);
  f->config.connect_ms = 300; /* of the silent one; what is here answers, sooner or later */
  snprintf(address, sizeof address, "//postgres@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/postgres",
           shut_door.port, silent.port, postgres.port);
  open_at(f, address);
  ask_again(f, "SELECT current_setting('port')::int");
  assert_int_equal(pg_number(f->a.rows, 0, 0), postgres.port);
  assert_true(__atomic_load_n(&shut_door.visits, __ATOMIC_SEQ_CST) > 0);
  close_door(&shut_door, true);
  close_door(&silent, false);
}

static int64_t frozen_ns = 1;
static int64_t frozen(void *ctx) {
  (void)ctx;
  return __atomic_load_n(&frozen_ns, __ATOMIC_SEQ_CST);
}
static uint64_t ones(void *ctx) {
  (void)ctx;
  return UINT64_MAX;
}

CASE(a_server_that_is_away_is_not_stormed) {
  struct fixture *f = *state;
  struct door d = {0};
  const struct clock clock = {.mono_ns = frozen, .random = ones};
  char address[300], first[sizeof f->err.text];
  open_door(&d, true);
  f->config.clock = &clock;
  f->config.backoff = (struct backoff){100, 400, 0};
  snprintf(address, sizeof address, "//postgres@127.0.0.1:%d/postgres?sslmode=disable", d.port);
  open_at(f, address);
  refused(f, "SELECT 1", PG_AWAY);
  unsigned visits = __atomic_load_n(&d.visits, __ATOMIC_SEQ_CST);
  assert_true(visits > 0);
  memcpy(first, f->err.text, sizeof first);
  for (int i = 0; i < 100; i++) refused(f, "SELECT 1", PG_AWAY);
  assert_string_equal(f->err.text, first);
  assert_int_equal(__atomic_load_n(&d.visits, __ATOMIC_SEQ_CST), visits);
  const int64_t waits_ms[] = {100, 200, 400, 400};
  for (size_t i = 0; i < 4; i++) {
    __atomic_add_fetch(&frozen_ns, waits_ms[i] * 1000000 - 1, __ATOMIC_SEQ_CST);
    refused(f, "SELECT 1", PG_AWAY);
    assert_int_equal(__atomic_load_n(&d.visits, __ATOMIC_SEQ_CST), visits);
    __atomic_add_fetch(&frozen_ns, 1, __ATOMIC_SEQ_CST);
    refused(f, "SELECT 1", PG_AWAY);
    assert_int_equal(__atomic_load_n(&d.visits, __ATOMIC_SEQ_CST), ++visits);
  }
  close_door(&d, true);
}

int main(void) {
  int skipped = postgres_begin();
  if (skipped) return skipped;
  int failed = tests_run();
  postgres_end();
  return failed;
}
