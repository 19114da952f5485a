/* Idempotency keys while Redis is away: they are due, and kept. */
#include "tests/unit/redis_box.h"

CASE(ids_set_while_redis_is_away_are_due_and_set_later) {
  struct fixture *f = *state;
  start(f);
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", true, ST_OK);
  stop(f);
  assert_int_equal(set_one(f, "b"), ST_OK);
  assert_int_equal(set_one(f, "c"), ST_OK);
  assert_content(f, "keys-due", "b episode.events/3/42\nc episode.events/3/42\n");
  assert_seen(f, "b", true, ST_UNAVAILABLE);
  assert_seen(f, "x", false, ST_UNAVAILABLE);
  assert_int_equal(told(f).due, 2);
  assert_false(told(f).up);
  assert_int_equal(logged(f, "event=redis_away"), 1);
  start(f);
  keys_tend(f->keys); /* the back-off has not passed */
  assert_int_equal(told(f).due, 2);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  assert_true(told(f).up);
  assert_false(there(f, "keys-due"));
  assert_string_equal(ask(f, "GET t:b"), "episode.events/3/42");
  assert_string_equal(ask(f, "EXISTS t:b t:c"), "2");
  assert_seen(f, "c", true, ST_OK);
  assert_int_equal(logged(f, "event=redis_away"), 1);
  assert_int_equal(logged(f, "event=redis_back"), 1);
}

CASE(an_absent_redis_is_not_asked_again_before_the_back_off) {
  struct fixture *f = *state;
  open_keys(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_int_equal(told(f).errors, 1);
  assert_non_null(strstr(told(f).error, "No such file or directory"));
  start(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  f->mono_ms += 49;
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  assert_int_equal(told(f).errors, 1); /* never tried */
  f->mono_ms += 1;
  assert_seen(f, "a", false, ST_OK);
}

CASE(due_ids_survive_a_restart_of_ours) {
  struct fixture *f = *state;
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  open_keys(f);
  assert_int_equal(told(f).due, 1);
  assert_seen(f, "a", true, ST_UNAVAILABLE);
  assert_int_equal(set_one(f, "b"), ST_OK);
  open_keys(f);
  assert_int_equal(told(f).due, 2);
  start(f);
  keys_tend(f->keys);
  assert_string_equal(ask(f, "DBSIZE"), "2");
  assert_false(there(f, "keys-due"));
}

CASE(half_a_line_at_the_end_is_cut_off) {
  struct fixture *f = *state;
  put(f, "keys-due", "a p/0/1\n\nno-place\nb p/0/2\nc p/0");
  open_keys(f);
  assert_int_equal(told(f).due, 2);
  assert_content(f, "keys-due", "a p/0/1\n\nno-place\nb p/0/2\n");
  assert_seen(f, "b", true, ST_UNAVAILABLE);
  assert_seen(f, "c", false, ST_UNAVAILABLE);
  assert_int_equal(set_one(f, "d"), ST_OK);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_string_equal(ask(f, "EXISTS t:a t:b t:c t:d"), "3");
  assert_string_equal(ask(f, "GET t:b"), "p/0/2");
  assert_false(there(f, "keys-due"));
}

CASE(many_due_ids_are_set_in_one_go) {
  struct fixture *f = *state;
  static struct key list[MANY];
  static struct span ids[MANY];
  static char names[MANY][16];
  make_many(list, ids, names);
  open_keys(f);
  assert_int_equal(keys_set(f->keys, list, MANY, &f->err), ST_OK);
  assert_int_equal(told(f).due, MANY);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(told(f).due, 0);
  assert_int_equal(told(f).sets, MANY);
  assert_string_equal(ask(f, "DBSIZE"), "3000");
}

CASE(without_an_outbox_nothing_is_due) {
  struct fixture *f = *state;
  open_keys_with(f, 20000, false);
  assert_int_equal(set_one(f, "a"), ST_UNAVAILABLE);
  assert_non_null(strstr(f->err.text, "neither in Redis nor in the outbox"));
  assert_int_equal(logged(f, "event=redis_away"), 0); /* it was returned */
  assert_int_equal(told(f).due, 0);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_int_equal(set_one(f, "a"), ST_OK);
}

CASE(what_cannot_be_kept_is_an_error) {
  struct fixture *f = *state;
  open_keys(f);
  assert_int_equal(mkdirat(f->fd, "keys-due", 0700), 0);
  assert_int_not_equal(set_one(f, "a"), ST_OK);
  assert_non_null(strstr(f->err.text, "opening keys-due"));
  assert_int_not_equal(try_open_keys(f, 2000, true), ST_OK);
  assert_non_null(strstr(f->err.text, "keys-due"));
}

CASE(forgetting_needs_redis) {
  struct fixture *f = *state;
  open_keys(f);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_UNAVAILABLE);
  assert_seen(f, "a", true, ST_UNAVAILABLE);
  assert_int_equal(keys_forget(f->keys, SPAN("b"), &f->err), ST_UNAVAILABLE);
  start(f);
  /* no back-off for what somebody waits for; a due id is gone from both */
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_OK);
  assert_false(there(f, "keys-due"));
  f->mono_ms += 10000;
  assert_seen(f, "a", false, ST_OK);
}

CASE(off_means_off) {
  struct fixture *f = *state;
  snprintf(f->url, sizeof f->url, "off");
  open_keys(f);
  assert_true(told(f).off);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(set_one(f, "a"), ST_OK);
  assert_seen(f, "a", false, ST_OK);
  assert_int_equal(keys_forget(f->keys, SPAN("a"), &f->err), ST_OK);
  keys_tend(f->keys);
  keys_check_policy(f->keys);
  assert_false(there(f, "keys-due"));
}

CASE(tend_notices_that_redis_is_back_without_anything_due) {
  struct fixture *f = *state;
  open_keys(f);
  assert_seen(f, "a", false, ST_UNAVAILABLE);
  keys_tend(f->keys);
  assert_false(told(f).up);
  start(f);
  f->mono_ms += 10000;
  keys_tend(f->keys);
  assert_true(told(f).up);
  assert_int_equal(logged(f, "event=redis_back"), 1);
}

int main(void) {
  return redis_tests_run();
}
