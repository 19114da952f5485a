/* postgres_box.h - an outbox in a real PostgreSQL server, opened as the role of the relay, under a
 * search_path that means harm and with synchronous_commit = off: what the programs about the steps
 * share. */
#ifndef TESTS_UNIT_POSTGRES_BOX_H
#define TESTS_UNIT_POSTGRES_BOX_H

#include "bridge/outbox/postgres/connection.h"
#include "bridge/outbox/postgres/steps.h"
#include "tests/support/postgres.h"

#define S (&postgres_steps)

struct fixture {
  char schema[40], address[300];
  void *p;
  struct pg_address address_of_super;
  struct pg_connection *super;
  struct db_page page;
  struct arena arena;
  struct error err;
};

#define OK(expr)                                                                                   \
  do {                                                                                             \
    enum status ok_status = (expr);                                                                \
    if (ok_status != ST_OK) fail_msg("%s: %s: %s", #expr, status_name(ok_status), f->err.text);    \
  } while (0)

static inline void *open_another(struct fixture *f) {
  const struct store_options options = {.create = true, .clock = &clock_system};
  void *p = NULL;
  OK(S->open(f->address, &options, &p, &f->err));
  return p;
}

/* As the superuser, $s is the schema; the first number of the answer. */
static inline int64_t super(struct fixture *f, const char *format) {
  struct buffer sql = {0};
  struct pg_answer a;
  for (const char *at = format; *at; at++)
    if (at[0] == '$' && at[1] == 's')
      buffer_add_z(&sql, f->schema), at++;
    else
      buffer_add_char(&sql, *at);
  OK(pg_ask(f->super, buffer_z(&sql), NULL, &a, &f->err));
  int64_t n = pg_rows(a.rows) ? pg_number(a.rows, 0, 0) : 0;
  pg_answer_release(&a);
  buffer_release(&sql);
  return n;
}

static inline int open_fixture(void **state) {
  static unsigned made;
  char more[80], address[300];
  struct fixture *f = *state = calloc(1, sizeof *f);
  const struct pg_config config = {.address = &f->address_of_super,
                                   .clock = &clock_system,
                                   .connect_ms = 300000,
                                   .answer_ms = 300000,
                                   .backoff = {1, 10, 5}};
  snprintf(f->schema, sizeof f->schema, "box_%u", ++made);
  postgres_make(f->schema);
  postgres_address(address, sizeof address, "postgres", "postgres", "");
  OK(pg_address_parse(address, &f->address_of_super, &f->err));
  OK(pg_connection_open(&config, &f->super, &f->err));
  snprintf(more, sizeof more, "?schema=%s", f->schema);
  postgres_address(f->address, sizeof f->address, "relay", "postgres", more);
  f->p = open_another(f);
  return 0;
}

static inline int close_fixture(void **state) {
  struct fixture *f = *state;
  if (f->p) S->close(f->p);
  super(f, "DROP SCHEMA $s CASCADE");
  pg_connection_close(f->super);
  pg_address_release(&f->address_of_super);
  db_page_release(&f->page);
  arena_release(&f->arena);
  free(f);
  return 0;
}

/* ---- steps ---- */

static inline int64_t put(struct fixture *f, const char *id) {
  const struct db_row row = {.id = span_of(id),
                             .name = SPAN("episode.created"),
                             .key = SPAN("k"),
                             .payload = SPAN("{\"a\":1.0, \"a\":2}"),
                             .created_at = SPAN("2025-09-22T03:04:05.123456+00:00")};
  int64_t seq = 0;
  OK(S->insert(f->p, &row, &seq, &f->err));
  return seq;
}

static inline void read_page(struct fixture *f, struct db_query q) {
  if (!q.rows) q.rows = 100;
  if (!q.bytes) q.bytes = 1 << 20;
  if (!q.body) q.body = 1 << 20;
  q.since_us = q.until_us = TIME_NONE;
  db_page_clear(&f->page);
  OK(S->read(f->p, &q, &f->page, &f->err));
}

/* "a b c" of a shelf */
static inline const char *ids(struct fixture *f, enum shelf shelf) {
  static char text[200];
  *text = '\0';
  read_page(f, (struct db_query){.shelf = shelf});
  for (size_t i = 0; i < f->page.count; i++) {
    size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, "%s%.*s", len ? " " : "",
             SPAN_ARGS(f->page.rows[i].id));
  }
  return text;
}

static inline struct db_change change(enum db_fate fate, int64_t seq, const char *id) {
  return (struct db_change){.fate = fate,
                            .seq = seq,
                            .id = span_of(id),
                            .attempted = true,
                            .attempts = 3,
                            .error = SPAN("it was wrong"),
                            .reason = SPAN("schema_mismatch"),
                            .topic = SPAN("episode.events"),
                            .error_code = 87,
                            .failed_us = 1700000001000000,
                            .now_us = 1700000002000000};
}

static inline enum db_found settle(struct fixture *f, struct db_change one) {
  bool closed;
  OK(S->settle(f->p, &one, 1, NULL, &closed, &f->err));
  return one.found;
}

#define CASE(name) TEST_WITH(name, open_fixture, close_fixture)

/* Functions, operators and types of the same names in a schema that is looked at first, each of
 * which fails. */
static const char evil[] =
    "CREATE SCHEMA IF NOT EXISTS evil; GRANT USAGE ON SCHEMA evil TO PUBLIC;"
    "CREATE OR REPLACE FUNCTION evil.bad(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS "
    "'BEGIN RAISE EXCEPTION ''evil''; END';"
    "CREATE OR REPLACE FUNCTION evil.bad(text, text) RETURNS boolean LANGUAGE plpgsql AS "
    "'BEGIN RAISE EXCEPTION ''evil''; END';"
    "CREATE OR REPLACE FUNCTION evil.bad(smallint, integer) RETURNS boolean LANGUAGE plpgsql AS "
    "'BEGIN RAISE EXCEPTION ''evil''; END';"
    "CREATE OR REPLACE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS "
    "'BEGIN RAISE EXCEPTION ''evil''; END';"
    "CREATE OR REPLACE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE "
    "plpgsql AS 'BEGIN RAISE EXCEPTION ''evil''; END';"
    "CREATE OR REPLACE FUNCTION evil.octet_length(text) RETURNS integer LANGUAGE plpgsql AS "
    "'BEGIN RAISE EXCEPTION ''evil''; END';"
    "DO $x$ BEGIN "
    "CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.bad);"
    "CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.bad);"
    "CREATE OPERATOR evil.= (LEFTARG = smallint, RIGHTARG = integer, FUNCTION = evil.bad);"
    "CREATE OPERATOR evil.> (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.bad);"
    "CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);"
    "CREATE DOMAIN evil.json AS pg_catalog.json CHECK (false);"
    "CREATE DOMAIN evil.int8 AS pg_catalog.int8 CHECK (false);"
    "CREATE DOMAIN evil.bigint AS pg_catalog.int8 CHECK (false);"
    "EXCEPTION WHEN OTHERS THEN END $x$;"
    "ALTER ROLE relay SET search_path = evil, pg_catalog;"
    "ALTER ROLE relay SET synchronous_commit = off;"
    "ALTER ROLE relay SET standard_conforming_strings = off";

/* All tests, on a server of their own. */
static inline int box_run(void) {
  int skipped = postgres_begin();
  if (skipped) return skipped;
  char psql[4000];
  const char *at = postgres_fact("psql");
  snprintf(psql, sizeof psql,
           "'%.*s' -X -q -v ON_ERROR_STOP=1 postgresql://postgres@127.0.0.1:%d/postgres",
           (int)strcspn(at, "\""), at, postgres.port);
  FILE *pipe = popen(psql, "w");
  if (!pipe) return 1;
  fputs(evil, pipe);
  if (pclose(pipe) != 0) return 1;
  int failed = tests_run();
  postgres_end();
  return failed;
}

#endif
