/* Whose an outbox in PostgreSQL is while a step takes long, against a real server. */
#include "bridge/outbox/database/database.h"
#include "tests/unit/postgres_box.h"

#include <pthread.h>
#include <stdatomic.h>

struct at_work { /* one step on a thread of its own */
  void *p;
  struct db_change change;
  const struct manifest_name *closes;
  enum status status;
  struct error err;
  atomic_bool done;
  pthread_t thread;
};

static void *settle_it(void *ctx) {
  struct at_work *w = ctx;
  bool closed;
  w->status = S->settle(w->p, &w->change, 1, w->closes, &closed, &w->err);
  atomic_store(&w->done, true);
  return NULL;
}

static void *claim_it(void *ctx) {
  struct at_work *w = ctx;
  w->status = S->claim(w->p, &w->err);
  atomic_store(&w->done, true);
  return NULL;
}

static void *emit_it(void *ctx) {
  struct at_work *w = ctx;
  struct buffer label = {0};
  w->status = db_emit(w->p, SPAN("a"),
                      SPAN("{\"id\": \"a\", \"name\": \"episode.created\", \"payload\": {}, "
                           "\"created_at\": \"2025-09-22T03:04:05+00:00\", \"attempts\": 0, "
                           "\"status\": \"pending\"}"),
                      &label, &w->err);
  buffer_release(&label);
  atomic_store(&w->done, true);
  return NULL;
}

static void begin_work(struct at_work *w, void *(*run)(void *)) {
  assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
}

/* The limit is for hangs alone. */
static void await(struct fixture *f, const char *sql, int64_t wanted, const struct at_work * or) {
  int64_t until_ms = clock_mono_ms(&clock_system) + 120000;
  while (super(f, sql) < wanted && !(or &&atomic_load(&or->done))) {
    assert_true(clock_mono_ms(&clock_system) < until_ms);
    usleep(10000);
  }
}

/* Statements that wait for another, of those that have to do with this table. */
#define WAITING(table)                                                                             \
  "SELECT count(*) FROM pg_locks l WHERE NOT granted AND EXISTS (SELECT FROM pg_locks o "          \
  "WHERE o.pid = l.pid AND o.relation = '$s." table "'::regclass)"

static void take_over_beside(struct fixture *f, const struct manifest_name *closes) {
  struct at_work settles = {.p = f->p, .closes = closes}, claims = {.p = open_another(f)};
  settles.change = (struct db_change){.fate = DB_DONE, .seq = 1, .id = SPAN("a")};
  OK(S->claim(f->p, &f->err));
  super(f, "INSERT INTO $s.outbox (seq, id, name, key, payload) OVERRIDING SYSTEM VALUE "
           "VALUES (1, 'a', 'a.b', 'k', '{}')");
  super(f, "UPDATE $s.lane SET lease_until = now() - interval '1 s'"); /* its lease has run out */
  super(f, "BEGIN");
  super(f, "SELECT 1 FROM $s.outbox FOR UPDATE");
  begin_work(&settles, settle_it);
  await(f, WAITING("lane"), 1, &settles);
  begin_work(&claims, claim_it);
  await(f, WAITING("lane"), 2, &claims);
  bool overtaken = atomic_load(&claims.done);
  super(f, "COMMIT");
  pthread_join(settles.thread, NULL);
  pthread_join(claims.thread, NULL);
  assert_false(overtaken); /* what the owner was told it may do it did as the owner */
  assert_int_equal(settles.status, ST_OK);
  assert_int_equal(settles.change.found, DB_WAS_PENDING);
  assert_int_equal(claims.status, ST_OK);
  assert_int_equal(S->renew(f->p, &f->err), ST_BUSY);
  S->close(claims.p);
}

CASE(nobody_takes_it_over_while_its_owner_settles) {
  struct fixture *f = *state;
  struct manifest_name name = {.number = 1, .digest = "11111111111111111111111111111111"};
  take_over_beside(f, NULL);
  take_over_beside(f, &name);
}

CASE(a_lease_is_renewed_beside_a_step_that_waits) {
  struct fixture *f = *state;
  const struct store_options options = {.create = true, .clock = &clock_system};
  struct at_work emits = {0};
  void *other = open_another(f);
  OK(db_open(S, f->address, &options, &emits.p, &f->err));
  OK(db_lock(emits.p, 0, &f->err));
  super(f, "CREATE TABLE $s.was AS SELECT lease_until FROM $s.lane");
  super(f, "BEGIN");
  super(f, "LOCK TABLE $s.outbox IN SHARE ROW EXCLUSIVE MODE"); /* as an index is made */
  begin_work(&emits, emit_it);
  await(f, WAITING("outbox"), 1, &emits);
  while (!super(f, "SELECT count(*) FROM $s.lane, $s.was WHERE lane.lease_until > was.lease_until"))
    assert_int_equal(S->claim(other, &f->err), ST_BUSY);
  assert_false(atomic_load(&emits.done));
  super(f, "COMMIT");
  pthread_join(emits.thread, NULL);
  assert_int_equal(emits.status, ST_OK);
  OK(db_check(emits.p, &f->err));
  db_close(emits.p);
  OK(S->claim(other, &f->err)); /* given back: at once */
  S->close(other);
}

CASE(who_waits_is_told_until_it_waits_no_more) {
  struct fixture *f = *state;
  void *other = open_another(f);
  struct store_owner list[STORE_STANDBYS];
  OK(S->claim(f->p, &f->err));
  assert_int_equal(S->standbys(f->p, list), 0);
  OK(S->stand_by(other, &f->err));
  OK(S->stand_by(other, &f->err));
  assert_int_equal(S->standbys(f->p, list), 1);
  assert_true(list[0].pid == getpid() && list[0].here && list[0].since_us > 1700000000000000);
  super(f, "UPDATE $s.worker SET seen = seen - interval '11 s'"); /* it has not said so since */
  assert_int_equal(S->standbys(f->p, list), 0);
  OK(S->stand_by(other, &f->err));
  assert_int_equal(S->standbys(f->p, list), 1);
  S->release(f->p);
  OK(S->claim(other, &f->err));
  assert_int_equal(S->standbys(f->p, list), 0);
  S->release(other);
  OK(S->stand_by(other, &f->err));
  S->close(other);
  assert_int_equal(super(f, "SELECT count(*) FROM $s.worker"), 0);
}

int main(void) {
  return box_run();
}
