/* box.h - an outbox of any kind, its own and gone with the test, for the tests of the store. */
#ifndef TESTS_SUPPORT_BOX_H
#define TESTS_SUPPORT_BOX_H

#include "bridge/base/disk/durable.h"
#include "bridge/outbox/postgres/connection.h"
#include "bridge/outbox/store.h"
#include "tests/support/folder.h"
#include "tests/support/postgres.h"
#include "tests/support/test.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the tests need of a kind beside the contract; a new kind adds its row ---- */

struct box_kind {
  const char *scheme;
  void (*make)(char *address, size_t size); /* a place for an outbox: nothing was made there yet */
  void (*remove)(const char *address);      /* all of it */
  bool (*remove_bare)(const char *address); /* false: something was made there */
  void (*unlock)(const char *address);      /* its lock is free for the next, whoever holds it */
  void (*tick)(const char *address);        /* what arrives from now on has a later time */
};

static inline void box_make_folder(char *address, size_t size) {
  folder_make(address, size, "store");
}
static inline void box_remove_folder(const char *address) {
  folder_remove(address);
}
static inline bool box_remove_bare_folder(const char *address) {
  return rmdir(address) == 0;
}
static inline void box_remove_lock_file(const char *address) {
  char lock[240];
  snprintf(lock, sizeof lock, "%s/.busbridge/lock", address);
  assert_int_equal(unlink(lock), 0);
}

static inline void box_make_name(char *address, size_t size) {
  static unsigned made;
  snprintf(address, size, "box-%u", ++made);
}
static inline bool box_forget_bare(const char *address) {
  store_memory_forget(address);
  return true;
}
static inline void box_wait_a_little(const char *address) {
  (void)address;
  usleep(1); /* times are in microseconds */
}

/* As an application makes one. */
static inline void box_make_database(char *address, size_t size) {
  sqlite3 *db = NULL;
  folder_make(address, size, "store");
  snprintf(address + strlen(address), size - strlen(address), "/app.db");
  assert_int_equal(sqlite3_open(address, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}
static inline void box_remove_database(const char *address) {
  char folder[220];
  snprintf(folder, sizeof folder, "%.*s", (int)(strlen(address) - strlen("/app.db")), address);
  folder_remove(folder);
}
static inline bool box_remove_bare_database(const char *address) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(address, &db), SQLITE_OK);
  bool made = sqlite3_exec(db, "SELECT 1 FROM busbridge_state", NULL, NULL, NULL) == SQLITE_OK;
  sqlite3_close(db);
  char lock[240];
  snprintf(lock, sizeof lock, "%s.busbridge-lock", address);
  made |= access(lock, F_OK) == 0;
  box_remove_database(address);
  return !made;
}
static inline void box_remove_lock_beside(const char *address) {
  char lock[240];
  snprintf(lock, sizeof lock, "%s.busbridge-lock", address);
  assert_int_equal(unlink(lock), 0);
}
static inline void box_wait_a_tick(const char *address) {
  (void)address;
  usleep(2000); /* times are in milliseconds */
}

/* As the superuser of the server, which is started when it is needed first and ends with this
 * program; %s is the schema of that
 * address. The first number of the answer. */
static inline int64_t box_in_server(const char *address, const char *sql) {
  struct pg_address super;
  struct pg_connection *c;
  struct pg_answer a;
  struct error err;
  char super_address[200], text[400];
  if (!postgres.port && postgres_begin()) fail_msg("no PostgreSQL server could be started");
  postgres_address(super_address, sizeof super_address, "postgres", "postgres", "");
  assert_int_equal(pg_address_parse(super_address, &super, &err), ST_OK);
  const struct pg_config config = {&super, &clock_system, 300000, 300000, {1, 10, 5}};
  assert_int_equal(pg_connection_open(&config, &c, &err), ST_OK);
  snprintf(text, sizeof text, sql, address ? strstr(address, "schema=") + strlen("schema=") : "");
  if (pg_ask(c, text, NULL, &a, &err) != ST_OK) fail_msg("%s: %s", text, err.text);
  int64_t n = pg_rows(a.rows) ? pg_number(a.rows, 0, 0) : 0;
  pg_answer_release(&a);
  pg_connection_close(c);
  pg_address_release(&super);
  return n;
}
static inline void box_make_schema(char *address, size_t size) {
  static unsigned made;
  char more[80];
  if (!made) {
    box_in_server(NULL, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles "
                        "WHERE rolname = 'busbridge') THEN CREATE ROLE busbridge LOGIN; "
                        "GRANT CREATE ON DATABASE postgres TO busbridge; END IF; END $$");
    box_in_server(NULL, "ALTER SYSTEM SET fsync = on"); /* a doctor looks at them */
    box_in_server(NULL, "ALTER SYSTEM SET full_page_writes = on");
    box_in_server(NULL, "SELECT pg_catalog.pg_reload_conf()::int");
  }
  snprintf(more, sizeof more, "?schema=box_%ld_%u", (long)getpid(), ++made);
  postgres_address(address, size, "busbridge", "postgres", more);
}
static inline void box_remove_schema(const char *address) {
  box_in_server(address, "DROP SCHEMA IF EXISTS %s CASCADE");
}
static inline bool box_remove_bare_schema(const char *address) {
  bool made = box_in_server(address, "SELECT pg_catalog.count(*) FROM pg_catalog.pg_namespace "
                                     "WHERE nspname = '%s'");
  box_remove_schema(address);
  return !made;
}
static inline void box_end_lease(const char *address) {
  box_in_server(address, "UPDATE %s.lane SET token = NULL, lease_until = '-infinity'");
}

static const struct box_kind box_kinds[] = {
    {"file", box_make_folder, box_remove_folder, box_remove_bare_folder, box_remove_lock_file,
     folder_tick},
    {"memory", box_make_name, store_memory_forget, box_forget_bare, store_memory_unlock,
     box_wait_a_little},
    /* the same without a word of arrivals */
    {"polled", box_make_name, store_memory_forget, box_forget_bare, store_memory_unlock,
     box_wait_a_little},
    {"sqlite", box_make_database, box_remove_database, box_remove_bare_database,
     box_remove_lock_beside, box_wait_a_tick},
    {"postgresql", box_make_schema, box_remove_schema, box_remove_bare_schema, box_end_lease,
     box_wait_a_little}};
#define BOX_KINDS (sizeof box_kinds / sizeof *box_kinds)

static inline const struct box_kind *box_kind_of(const char *scheme) {
  for (size_t i = 0; i < BOX_KINDS; i++)
    if (!strcmp(scheme, box_kinds[i].scheme)) return &box_kinds[i];
  fail_msg("no kind %s", scheme);
  return NULL;
}

/* ---- one of them ---- */

struct box {
  char dir[200], url[220]; /* dir: the address in the url */
  const struct box_kind *kind;
  struct store_config config;   /* may be changed between box_stop and box_start */
  struct store_options options; /* likewise */
  struct store *store;
  struct arena keep, scratch;
  struct error err;
  struct entry_ref refs[64]; /* of the last take_all */
  size_t count;
  char ids[2048];
};

#define OK(expr)                                                                                   \
  do {                                                                                             \
    enum status ok_status = (expr);                                                                \
    if (ok_status != ST_OK) fail_msg("%s: %s: %s", #expr, status_name(ok_status), b->err.text);    \
  } while (0)

/* Opened to be changed, no more. */
static inline void box_meet(struct box *b) {
  OK(store_open(b->url, &b->options, &b->store, &b->err));
}

static inline void box_start(struct box *b) {
  box_meet(b);
  OK(store_lock(b->store, 0, &b->err));
  OK(store_begin(b->store, &b->config, &b->err));
}

static inline void box_stop(struct box *b) {
  store_close(b->store);
  b->store = NULL;
}

static inline void box_restart(struct box *b) {
  box_stop(b);
  box_start(b);
}

/* Ready to be opened, as busbridge outbox init makes it. */
static inline void box_prepare(struct box *b) {
  struct store_preparation p = {.clock = &clock_system, .fresh = true};
  OK(store_prepare(b->url, &p, &b->err));
  buffer_release(&p.steps);
}

static inline struct box *box_new(const char *scheme) {
  struct box *b = calloc(1, sizeof *b);
  b->kind = box_kind_of(scheme);
  b->kind->make(b->dir, sizeof b->dir);
  snprintf(b->url, sizeof b->url, "%s:%s", scheme, b->dir);
  b->options = (struct store_options){.create = true, .clock = &clock_system};
  b->config = (struct store_config){.settle_ms = 30, .max_entry_bytes = 1 << 20, .window = 1000};
  box_prepare(b);
  box_start(b);
  return b;
}

static inline int box_free(void **state) {
  struct box *b = *state;
  box_stop(b);
  arena_release(&b->keep);
  arena_release(&b->scratch);
  b->kind->remove(b->dir);
  free(b);
  return 0;
}

/* Another handle of the same outbox. */
static inline struct store *box_another(struct box *b, bool create) {
  const struct store_options options = {.create = create, .clock = &clock_system};
  struct store *s = NULL;
  OK(store_open(b->url, &options, &s, &b->err));
  return s;
}

/* One that nobody opened to change yet, to look at; its address, for the kind's remove_bare. */
static inline struct store *box_bare(struct box *b, char address[200]) {
  const struct store_options options = {.clock = &clock_system};
  struct store *s = NULL;
  char url[220];
  b->kind->make(address, 200);
  snprintf(url, sizeof url, "%s:%s", b->kind->scheme, address);
  OK(store_open(url, &options, &s, &b->err));
  return s;
}

static inline enum status box_put(struct store *s, const char *id, struct span text,
                                  struct error *err) {
  return store_emit(s, span_of(id), text, NULL, err);
}

/* What its text is, whatever that may be. */
static inline void box_emit_text(struct box *b, const char *id, struct span text) {
  OK(box_put(b->store, id, text, &b->err));
}

static inline void box_emit(struct box *b, const char *id) {
  struct buffer text = {0};
  event_write(span_of(id), SPAN("episode.created"), SPAN("{\"episode_id\": \"e1\"}"),
              1700000000000000, span_of(id), &text);
  box_emit_text(b, id, buffer_span(&text));
  buffer_release(&text);
}

/* What is emitted from now on arrives at a later time. */
static inline void box_tick(struct box *b) {
  b->kind->tick(b->dir);
}

/* What arrived after the first scan is handed out: a kind that does not watch is asked to scan. */
static inline void box_notice(struct box *b) {
  if (!store_traits(b->store)->watches) store_rescan(b->store);
}

static inline enum status box_next(struct box *b, struct entry *e) {
  return store_next(b->store, &b->keep, &b->scratch, e, &b->err);
}

/* Everything that is handed out now, as "a b c"; its refs in b->refs. */
static inline const char *box_take_all(struct box *b) {
  struct entry e;
  enum status st;
  b->ids[0] = '\0';
  b->count = 0;
  while ((st = box_next(b, &e)) == ST_OK) {
    assert_true(b->count < 64);
    b->refs[b->count++] = e.ref;
    size_t len = strlen(b->ids);
    struct span shown = e.event.id.len ? e.event.id : e.ref.label;
    snprintf(b->ids + len, sizeof b->ids - len, "%s%.*s%s%s", len ? " " : "", SPAN_ARGS(shown),
             e.reason != REASON_NONE ? "!" : "",
             e.reason != REASON_NONE ? reason_word(e.reason) : "");
  }
  if (st != ST_AGAIN) fail_msg("store_next: %s: %s", status_name(st), b->err.text);
  return b->ids;
}

/* The same, waiting until something comes (a second at most, a minute in a slow run). */
static inline const char *box_take_some(struct box *b) {
  for (int i = 0; i < 600 && !*box_take_all(b); i++) {
    box_notice(b);
    store_wait(b->store, 100);
  }
  return b->ids;
}

/* One that comes, likewise. */
static inline void box_wait_next(struct box *b, struct entry *e) {
  enum status st = box_next(b, e);
  for (int i = 0; i < 600 && st == ST_AGAIN; i++, st = box_next(b, e)) {
    box_notice(b);
    store_wait(b->store, 100);
  }
  OK(st);
}

static inline void box_done(struct box *b, const struct entry_ref *ref, enum settled want) {
  enum settled how;
  OK(store_done(b->store, ref, &how, &b->err));
  assert_int_equal(how, want);
}

/* As recovery does: long after the ref was made, by the id. */
static inline enum status box_late(struct box *b, const struct entry_ref *ref, const char *id,
                                   enum settled *how) {
  struct settling row = {.ref = ref, .id = span_of(id), .late = true, .fate = FATE_DONE};
  enum status st = store_settle(b->store, &row, 1, NULL, NULL, &b->err);
  *how = row.how;
  if (st == ST_AGAIN) b->err = row.error;
  return st == ST_AGAIN ? row.status : st;
}

static inline void box_done_all(struct box *b) {
  for (size_t i = 0; i < b->count; i++) box_done(b, &b->refs[i], SETTLED_GONE);
  OK(store_sync(b->store, &b->err));
}

/* Its lock is free for the next one, whoever holds it. */
static inline void box_unlock(struct box *b) {
  b->kind->unlock(b->dir);
}

static inline void settle_all(struct store *s, struct settling *rows, size_t count) {
  enum status st = store_settle(s, rows, count, NULL, NULL, NULL);
  (void)st; /* each row says what became of it */
}

static inline void box_release_all(struct box *b) {
  for (size_t i = 0; i < b->count; i++) store_release(b->store, &b->refs[i]);
}

static inline struct store_counts box_counts(struct box *b) {
  struct store_counts c;
  OK(store_counts(b->store, &c, &b->err));
  return c;
}

static inline struct failure box_failure(enum reason reason, unsigned attempts) {
  return (struct failure){.reason = reason,
                          .error = "field \"x\" is wrong",
                          .error_code = 87,
                          .topic = "episode.events",
                          .attempts = attempts,
                          .failed_us = 1700000001000000};
}

static inline void box_dead(struct box *b, const struct entry_ref *ref, enum reason reason) {
  struct failure why = box_failure(reason, 1);
  enum settled how;
  OK(store_dead(b->store, ref, &why, &how, &b->err));
  assert_int_equal(how, SETTLED_GONE);
}

struct box_listed {
  char ids[2048];
  struct entry_info last; /* its spans are gone; numbers and flags stay */
  char last_error[200], reason[64], topic[64], name[64], token[300];
  size_t count, stop_after;
};

static inline void box_text(char *out, size_t size, struct span s) {
  snprintf(out, size, "%.*s", SPAN_ARGS(s));
}

static inline bool box_visit(void *ctx, const struct entry_info *info) {
  struct box_listed *l = ctx;
  size_t len = strlen(l->ids);
  snprintf(l->ids + len, sizeof l->ids - len, "%s%.*s", len ? " " : "", SPAN_ARGS(info->id));
  l->last = *info;
  box_text(l->last_error, sizeof l->last_error, info->last_error);
  box_text(l->reason, sizeof l->reason, info->reason);
  box_text(l->topic, sizeof l->topic, info->topic);
  box_text(l->name, sizeof l->name, info->name);
  snprintf(l->token, sizeof l->token, "%s", info->token);
  return !l->stop_after || ++l->count < l->stop_after;
}

static inline struct box_listed box_list(struct box *b, unsigned which, size_t limit,
                                         uint64_t *total) {
  struct box_listed l = {0};
  uint64_t n;
  OK(store_list(b->store, which, limit, box_visit, &l, &n, &b->err));
  if (total) *total = n;
  return l;
}

static inline struct box_listed box_find(struct box *b, unsigned which, const char *key,
                                         uint64_t *total) {
  struct box_listed l = {0};
  uint64_t n;
  OK(store_find(b->store, which, span_of(key), box_visit, &l, &n, &b->err));
  if (total) *total = n;
  return l;
}

/* The token of the one entry that is found by that. */
static inline void box_token(struct box *b, unsigned which, const char *key, char token[300]) {
  uint64_t total;
  struct box_listed l = box_find(b, which, key, &total);
  assert_int_equal(total, 1);
  snprintf(token, 300, "%s", l.token);
}

#endif
