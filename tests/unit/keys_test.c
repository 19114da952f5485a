/* Idempotency keys while Redis is there. */
#include "tests/unit/redis_box.h"

#include <pthread.h>

CASE(an_id_is_seen_once_it_was_set) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_false(told(f).up);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", true, ST_OK);
  assert_seen(f, "b", false, ST_OK);
  assert_string_equal(ask(f, "GET t:a"), "episode.events/3/42");
  long ttl = strtol(ask(f, "TTL t:a"), NULL, 10);
  assert_true(ttl > 3000 && ttl <= 3600);
  assert_true(told(f).up);
  assert_int_equal(told(f).checks, 3);
  assert_int_equal(told(f).sets, 1);
  assert_int_equal(told(f).errors, 0);
  assert_false(there(f, "keys-due"));
  assert_int_equal(logged(f, "event="), 0);
}

CASE(check_tells_where_the_twin_lies) {
  struct fixture *f = *state;
  struct arena arena = {0};
  struct span ids[3] = {SPAN("x"), SPAN("a"), SPAN("y")}, place[3];
  bool yes[3];
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(keys_check(f->keys, ids, 3, yes, place, &arena), ST_OK);
  assert_true(!yes[0] && yes[1] && !yes[2]);
  assert_true(span_is(place[1], "episode.events/3/42"));
  assert_int_equal(place[0].len, 0);
  arena_release(&arena);
}

CASE(a_large_batch_is_set_and_seen) {
  struct fixture *f = *state;
  static struct key list[MANY];
  static struct span ids[MANY];
  static char names[MANY][16];
  static bool yes[MANY];
  make_many(list, ids, names);
  start(f);
  open_keys(f);
  assert_int_equal(keys_set(f->keys, list, MANY, &f->err), ST_OK);
  assert_string_equal(ask(f, "DBSIZE"), "3000");
  assert_int_equal(keys_check(f->keys, ids, MANY, yes, NULL, NULL), ST_OK);
  for (int i = 0; i < MANY; i++) assert_true(yes[i]);
  assert_int_equal(keys_check(f->keys, ids, 0, yes, NULL, NULL), ST_OK);
  assert_int_equal(keys_set(f->keys, list, 0, &f->err), ST_OK);
}

CASE(an_id_can_be_forgotten) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_OK);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("never"), &f->err), ST_OK);
}

CASE(a_database_can_be_chosen) {
  struct fixture *f = *state;
  start(f);
  snprintf(f->url, sizeof f->url, "unix:%s?db=3", f->socket);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_string_equal(ask(f, "DBSIZE"), "0");
  assert_seen(f, "a", true, ST_OK);
  snprintf(f->url, sizeof f->url, "unix:%s?db=99", f->socket);
  open_keys(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_non_null(strstr(told(f).error, "out of range"));
}

CASE(redis_that_was_restarted_between_calls_is_not_away) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", true, ST_OK);
  stop(f);
  start(f);
  assert_seen(f, "a", false, ST_OK); /* it has no disk in this test */
  assert_int_equal(set_one(f, "b"), ST_OK);
  assert_string_equal(ask(f, "EXISTS t:b"), "1");
  assert_int_equal(told(f).errors, 0);
  assert_int_equal(logged(f, "event="), 0);
}

CASE(an_evicting_policy_is_warned_about) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  keys_check_policy(f->keys);
  assert_int_equal(logged(f, "redis_may_evict"), 0);
  ask(f, "CONFIG SET maxmemory-policy allkeys-lru");
  keys_check_policy(f->keys);
  assert_int_equal(logged(f, "redis_may_evict"), 0); /* no limit, no eviction */
  ask(f, "CONFIG SET maxmemory 100mb");
  keys_check_policy(f->keys);
  assert_int_equal(logged(f, "event=redis_may_evict"), 1);
}

CASE(redis_tells_its_memory_and_its_clock) {
  struct fixture *f = *state;
  struct keys_policy p;
  start(f);
  open_keys(f);
  assert_int_equal(keys_policy(f->keys, &p, &f->err), ST_OK);
  assert_string_equal(p.policy, "noeviction");
  assert_true(p.used > 0 && p.limit == 0);
  assert_false(keys_policy_evicts(&p));
  assert_true(p.skew_us != TIME_NONE);
  ask(f, "CONFIG SET maxmemory-policy allkeys-lru");
  ask(f, "CONFIG SET maxmemory 100mb");
  ask(f, "ACL SETUSER default -time");
  assert_int_equal(keys_policy(f->keys, &p, &f->err), ST_OK);
  assert_true(keys_policy_evicts(&p));
  assert_int_equal(p.limit, 100 * 1024 * 1024);
  assert_true(p.skew_us == TIME_NONE);
}

CASE(who_may_not_ask_for_the_policy_can_keep_keys) {
  struct fixture *f = *state;
  start(f);
  ask(f, "ACL SETUSER default -info");
  open_keys(f);
  keys_check_policy(f->keys);
  assert_int_equal(told(f).errors, 0);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_true(told(f).up);
}

/* ---- threads ---- */

static void *check_often(void *arg) {
  struct fixture *f = arg;
  for (int i = 0; i < 200; i++) {
    struct span ids[2] = {SPAN("a"), SPAN("b")};
    bool yes[2];
    struct keys_state s;
    enum status st = keys_check(f->keys, ids, 2, yes, NULL, NULL);
    keys_state(f->keys, &s);
    if (st == ST_OK && !yes[0]) return arg; /* a was set before: never unseen */
  }
  return NULL;
}

CASE(an_id_on_its_way_from_due_to_redis_is_never_unseen) {
  struct fixture *f = *state;
  pthread_t thread;
  void *result;
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  start(f);
  f->mono_ms += 10000;
  assert_int_equal(pthread_create(&thread, NULL, check_often, f), 0);
  for (int i = 0; i < 50; i++) {
    keys_tend(f->keys);
    assert_int_equal(set_one(f, "b"), ST_OK);
  }
  pthread_join(thread, &result);
  assert_null(result);
}

int main(void) {
  return redis_tests_run();
}
