/* What all kinds of outbox in a database have in common, where a database refuses one row, loses
 * its answer, or shows a row late: over the steps of SQLite, some of which stand here instead. */
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/sqlite/sqlite.h"
#include "tests/support/box.h"

#include <signal.h>
#include <sys/resource.h>

static void run(const char *file, const char *sql) {
  sqlite3 *db = NULL;
  char *why = NULL;
  assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
  sqlite3_close(db);
}

static int64_t number(const char *file, const char *sql) {
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;
  assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
  int64_t n = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  return n;
}

/* ---- one row that the database refuses to change ---- */

static int open_box(void **state) {
  *state = box_new("sqlite");
  return 0;
}

static void emit_four(struct box *b) {
  static const char *const ids[] = {"a", "b", "c", "d"};
  for (size_t i = 0; i < 4; i++) box_emit(b, ids[i]);
  assert_string_equal(box_take_all(b), "a b c d");
}

static enum status settle_four(struct box *b, enum entry_fate fate, struct settling rows[4]) {
  for (size_t i = 0; i < 4; i++)
    rows[i] =
        (struct settling){.ref = &b->refs[i], .fate = fate, .why = box_failure(REASON_BAD_NAME, 1)};
  return store_settle(b->store, rows, 4, NULL, NULL, &b->err);
}

struct told {
  size_t count;
  struct aside_info last;
  char token[200];
};
static bool tell(void *ctx, const struct aside_info *info) {
  struct told *t = ctx;
  t->count++;
  t->last = *info;
  snprintf(t->token, sizeof t->token, "%s", info->token);
  return true;
}

static size_t asides(struct box *b, struct told *t) {
  *t = (struct told){0};
  OK(store_asides(b->store, 0, tell, t, &b->err));
  return t->count;
}

static void refused(struct box *b, const char *trigger, enum entry_fate fate) {
  struct settling rows[4];
  struct told told;
  run(b->dir, trigger);
  emit_four(b);
  assert_int_equal(settle_four(b, fate, rows), ST_AGAIN);
  for (size_t i = 0; i < 4; i++) assert_int_equal(rows[i].status, i == 1 ? ST_INVALID : ST_OK);
  assert_true(store_hinders_one(b->store, &rows[1].error));
  assert_int_equal(number(b->dir, "SELECT count(*) FROM busbridge_outbox"), 1);
  enum aside what = fate == FATE_DEAD ? ASIDE_DEAD : ASIDE_DONE;
  OK(store_aside(b->store, &b->refs[1], SPAN("b"), what, &rows[1].why, &rows[1].error, &b->err));
  box_restart(b); /* it is written down */
  struct store_counts counts = box_counts(b);
  assert_string_equal(box_take_all(b), "");
  counts = box_counts(b);
  assert_int_equal(counts.pending, 0);
  assert_int_equal(counts.aside, 1);
  assert_string_equal(box_list(b, LIST_PENDING, 0, NULL).ids, "");
  assert_int_equal(asides(b, &told), 1);
  assert_string_equal(told.token, "2-b");
  store_aside_tend(b->store);
  assert_int_equal(asides(b, &told), 1);
  run(b->dir, "DROP TRIGGER keep");
  store_aside_tend(b->store);
  assert_int_equal(asides(b, &told), 0);
  assert_int_equal(number(b->dir, "SELECT count(*) FROM busbridge_outbox"), 0);
  counts = box_counts(b);
  assert_int_equal(counts.aside, 0);
  assert_int_equal(counts.pending, 0);
  assert_int_equal(counts.dead, fate == FATE_DEAD ? 4 : 0);
}

#define KEEP(what)                                                                                 \
  "CREATE TRIGGER keep BEFORE DELETE ON busbridge_outbox WHEN OLD.id = 'b' BEGIN SELECT "          \
  "RAISE(" what "); END"

TEST_WITH(a_published_row_that_a_trigger_keeps_holds_up_no_other, open_box, box_free) {
  refused(*state, KEEP("ABORT, 'kept for the audit'"), FATE_DONE);
}
TEST_WITH(a_published_row_that_a_trigger_keeps_without_a_word_is_not_published_again, open_box,
          box_free) {
  refused(*state, KEEP("IGNORE"), FATE_DONE);
}
TEST_WITH(a_trigger_that_rolls_all_back_hinders_one_row, open_box, box_free) {
  refused(*state, KEEP("ROLLBACK, 'not this one'"), FATE_DONE);
}
TEST_WITH(a_dead_row_that_a_trigger_keeps_is_dead_once_it_may, open_box, box_free) {
  refused(*state, KEEP("ABORT, 'kept'"), FATE_DEAD);
}
TEST_WITH(a_dead_row_that_a_trigger_keeps_without_a_word_is_not_there_twice, open_box, box_free) {
  refused(*state, KEEP("IGNORE"), FATE_DEAD);
}

/* ---- a large one ---- */

TEST_WITH(a_large_row_dies_with_its_bytes_and_comes_back, open_box, box_free) {
  struct box *b = *state;
  struct settling row = {
      .ref = &b->refs[0], .fate = FATE_DEAD, .why = box_failure(REASON_TOO_LARGE, 1)};
  run(b->dir, "INSERT INTO busbridge_outbox (id, name, key, payload, headers) VALUES ('a', 'a.b', "
              "'k', '{\"x\": \"' || hex(randomblob(1500000)) || '\"}', '{\"h\": 1}'); "
              "CREATE TABLE before AS SELECT * FROM busbridge_outbox");
  assert_string_equal(box_take_all(b), "1-a!too_large");
  OK(store_settle(b->store, &row, 1, NULL, NULL, &b->err));
  assert_int_equal(number(b->dir, "SELECT count(*) FROM busbridge_dead d JOIN before o ON d.seq = "
                                  "o.seq AND d.id = o.id AND CAST(d.payload AS TEXT) = o.payload "
                                  "AND d.headers = o.headers AND d.reason = 'too_large'"),
                   1);
  OK(store_replay(b->store, SHELF_DEAD, "1-a", &b->err));
  assert_int_equal(number(b->dir,
                          "SELECT count(*) FROM busbridge_outbox d JOIN before o ON d.seq = "
                          "o.seq AND d.id = o.id AND d.payload = o.payload"),
                   1);
}

/* ---- a database that is made ---- */

TEST(a_database_that_cannot_be_made_leaves_nothing) {
  char folder[200], path[240], url[260];
  struct error err = {0};
  struct store_preparation p = {.clock = &clock_system, .fresh = true};
  folder_make(folder, sizeof folder, "prepare");
  snprintf(path, sizeof path, "%s/app.db", folder);
  snprintf(url, sizeof url, "sqlite:%s", path);
  const struct rlimit small = {16384, RLIM_INFINITY};
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_int_not_equal(store_prepare(url, &p, &err), ST_OK);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(access(path, F_OK), -1);
  snprintf(path, sizeof path, "%s/app.db.busbridge-new", folder);
  assert_int_equal(access(path, F_OK), -1);
  buffer_release(&p.steps);
  assert_int_equal(store_prepare(url, &p, &err), ST_OK);
  buffer_release(&p.steps);
  folder_remove(folder);
}

/* ---- steps that stand here ---- */

static bool lose_answer;
static int64_t hidden; /* a row that is not visible yet */
static size_t singles; /* so often one row was asked for alone */
static void (*in_sweep)(void *ctx);
static void *in_sweep_ctx;

static enum status settle(void *impl, struct db_change *list, size_t count,
                          const struct manifest_name *closes, bool *closed, struct error *err) {
  enum status st = sq_settle(impl, list, count, closes, closed, err);
  if (!lose_answer) return st;
  lose_answer = false;
  return error_set(err, ST_UNAVAILABLE, "the connection was cut");
}

static enum status read_rows(void *impl, const struct db_query *q, struct db_page *page,
                             struct error *err) {
  enum status st = sq_read(impl, q, page, err);
  singles += q->seq != 0;
  for (size_t i = 0; hidden && i < page->count; i++) {
    if (page->rows[i].seq != hidden) continue;
    memmove(&page->rows[i], &page->rows[i + 1], (--page->count - i) * sizeof *page->rows);
    break;
  }
  return st;
}

static enum status sweep(void *impl, int64_t from, int64_t upto, int64_t *seqs, size_t most,
                         size_t *count, struct error *err) {
  const struct db_query q = {.shelf = SHELF_PENDING,
                             .after = from,
                             .since_us = TIME_NONE,
                             .until_us = TIME_NONE,
                             .rows = most,
                             .bytes = SIZE_MAX,
                             .body = 1 << 20};
  struct db_page page = {0};
  enum status st = read_rows(impl, &q, &page, err);
  *count = 0;
  for (size_t i = 0; i < page.count && page.rows[i].seq <= upto; i++)
    seqs[(*count)++] = page.rows[i].seq;
  db_page_release(&page);
  if (in_sweep) in_sweep(in_sweep_ctx);
  return st;
}

static enum status count(void *impl, enum db_side side, unsigned what, struct db_figures *out,
                         struct error *err) {
  enum status st = sq_count(impl, side, what, out, err);
  out->pending -= hidden && out->pending;
  return st;
}

static const struct db_steps steps = {.late = true,
                                      .open = sq_open,
                                      .close = sq_close,
                                      .make_id = sq_make_id,
                                      .claim = sq_claim,
                                      .renew = sq_renew,
                                      .release = sq_release,
                                      .settle = settle,
                                      .insert = sq_insert,
                                      .sync = sq_sync,
                                      .identify = sq_identify,
                                      .read = read_rows,
                                      .sweep = sweep,
                                      .arrived = sq_arrived,
                                      .watched = sq_watched,
                                      .watched_take = sq_watched_take,
                                      .text_names = sq_text_names,
                                      .count = count};

struct own { /* a box, and over the same file the steps from here */
  struct box *box;
  struct db *d;
  struct arena keep, scratch;
  struct entry_ref refs[16];
};

static int open_own(void **state) {
  struct own *o = calloc(1, sizeof *o);
  struct error err = {0};
  void *d;
  o->box = box_new("sqlite");
  box_stop(o->box);
  if (db_open(&steps, o->box->dir, &o->box->options, &d, &err) != ST_OK ||
      db_lock(d, 0, &err) != ST_OK || db_begin(d, &o->box->config, &err) != ST_OK)
    fail_msg("%s", err.text);
  o->d = d;
  hidden = 0;
  lose_answer = false;
  in_sweep = NULL;
  *state = o;
  return 0;
}

static int free_own(void **state) {
  struct own *o = *state;
  void *box = o->box;
  db_close(o->d);
  arena_release(&o->keep);
  arena_release(&o->scratch);
  o->box->kind->remove(o->box->dir);
  free(box);
  free(o);
  return 0;
}

static size_t take(struct own *o) {
  struct entry e;
  struct error err = {0};
  size_t n = 0;
  while (db_next(o->d, &o->keep, &o->scratch, &e, &err) == ST_OK) o->refs[n++] = e.ref;
  return n;
}

static struct store_counts counts(struct own *o) {
  struct store_counts c;
  struct error err = {0};
  assert_int_equal(db_counts(o->d, false, &c, &err), ST_OK);
  return c;
}

static void insert(struct own *o, const char *ids) {
  for (; *ids; ids++) {
    char sql[300];
    snprintf(sql, sizeof sql,
             "INSERT INTO busbridge_outbox (id, name, key, payload) VALUES ('%c', 'a.b', '', '{}')",
             *ids);
    run(o->box->dir, sql);
  }
}

static enum status settle_one(struct own *o, size_t i, enum entry_fate fate, enum settled *how) {
  struct error err = {0};
  struct settling row = {.ref = &o->refs[i], .fate = fate, .why = box_failure(REASON_BAD_NAME, 1)};
  enum status st = db_settle(o->d, &row, 1, NULL, NULL, &err);
  *how = row.how;
  return st;
}

TEST_WITH(what_was_settled_when_its_answer_was_lost_has_not_vanished, open_own, free_own) {
  struct own *o = *state;
  enum settled how;
  insert(o, "abc");
  assert_int_equal(take(o), 3);
  for (size_t i = 0; i < 2; i++) {
    enum entry_fate fate = i ? FATE_DEAD : FATE_DONE;
    lose_answer = true;
    assert_int_equal(settle_one(o, i, fate, &how), ST_AGAIN);
    assert_int_equal(settle_one(o, i, fate, &how), ST_OK);
    assert_int_equal(how, SETTLED_GONE);
  }
  run(o->box->dir, "DELETE FROM busbridge_outbox");
  assert_int_equal(settle_one(o, 2, FATE_DONE, &how), ST_OK);
  assert_int_equal(how, SETTLED_VANISHED); /* somebody else did that */
  assert_int_equal(take(o), 0);
  struct store_counts c = counts(o);
  assert_int_equal(c.gone, 2);
  assert_int_equal(c.vanished, 1);
  assert_int_equal(c.pending, 0);
  assert_int_equal(c.dead, 1);
}

static void wait_for_a_sweep(void) {
  usleep(300000); /* none comes sooner behind another one */
}

TEST_WITH(rows_that_are_visible_late_count_once, open_own, free_own) {
  struct own *o = *state;
  insert(o, "abcd");
  hidden = 2;
  assert_int_equal(take(o), 3);
  assert_int_equal(counts(o).pending, 3);
  hidden = 0;
  struct error err = {0};
  assert_int_equal(db_follow(o->d, &err), ST_OK);
  insert(o, "e");
  assert_int_equal(db_follow(o->d, &err), ST_OK); /* counts all of them anew, the late one too */
  assert_int_equal(counts(o).pending, 5);
  wait_for_a_sweep();
  assert_int_equal(take(o), 2);
  assert_int_equal(counts(o).pending, 5);
}

static void settle_the_first(void *ctx) {
  enum settled how;
  assert_int_equal(settle_one(ctx, 0, FATE_DONE, &how), ST_OK);
}

/* The database's lists are as old as a round trip. */
TEST_WITH(what_is_settled_while_a_sweep_runs_is_not_taken_for_late, open_own, free_own) {
  struct own *o = *state;
  insert(o, "abc");
  in_sweep_ctx = o;
  assert_int_equal(take(o), 3);
  wait_for_a_sweep();
  in_sweep = settle_the_first;
  singles = 0;
  assert_int_equal(take(o), 0);
  in_sweep = NULL;
  assert_int_equal(counts(o).pending, 2); /* it ran */
  assert_int_equal(singles, 0);
}

TEST_WITH(rows_of_another_program_are_not_late_ones, open_own, free_own) {
  struct own *o = *state;
  run(o->box->dir, "INSERT INTO busbridge_outbox (id, name, key, payload) VALUES ('x', '*', '', "
                   "'{\"id\": \"x\", \"name\": \"a.b\", \"payload\": {}, \"status\": "
                   "\"dispatched\", \"created_at\": \"2026-11-30T10:00:00Z\"}')");
  insert(o, "a");
  assert_int_equal(take(o), 1);
  uint64_t before = counts(o).pending;
  for (int i = 0; i < 3; i++) {
    wait_for_a_sweep();
    assert_int_equal(take(o), 0);
  }
  assert_int_equal(counts(o).pending, before);
}
