/* What is set aside on the typed side, while that bus takes it up or gives it back. */
#include "tests/unit/typed_box.h"

/* Published, set aside because it cannot be removed, and then taken up there: it must not come
 * again from processing/ once its time is over. */
static int refuse_it(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  bool it = !after && (op == DURABLE_UNLINK || op == DURABLE_RENAME) && strstr(name, "a.json");
  return it ? EPERM : 0;
}

CASE(what_is_set_aside_is_known_again_where_that_bus_moved_it) {
  struct box *b = *state;
  struct error hindrance = {0};
  enum settled how;
  make_waiting(b);
  durable_set_hook(refuse_it, NULL);
  assert_int_not_equal(store_done(b->store, &b->refs[0], &how, &hindrance), ST_OK);
  OK(store_aside(b->store, &b->refs[0], SPAN("a"), ASIDE_DONE, NULL, &hindrance, &b->err));
  OK(store_sync(b->store, &b->err));
  OK(store_aside_sync(b->store, &b->err));
  assert_int_equal(rename(path_of(b, WAITS), path_of(b, UNDER_WAY)), 0);
  for (int restart = 0; restart < 2; restart++) {
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
    store_aside_tend(b->store); /* hindered there, too */
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
    box_restart(b);
  }
  durable_set_hook(NULL, NULL);
  store_aside_tend(b->store);
  assert_int_equal(lie(b), 0);
}

/* Refused or dead, set aside because that could not be written, and taken up there meanwhile: what
 * is known of it stays until it comes back. */
static void set_aside(struct box *b, enum aside what) {
  struct failure why = box_failure(REASON_BROKER_REFUSED, 2);
  struct error hindrance = {0};
  enum settled how;
  make_waiting(b);
  durable_set_hook(refuse_it, NULL);
  enum status st = what == ASIDE_RETRY ? store_retry(b->store, &b->refs[0], &why, &how, &hindrance)
                                       : store_dead(b->store, &b->refs[0], &why, &how, &hindrance);
  assert_int_not_equal(st, ST_OK);
  OK(store_aside(b->store, &b->refs[0], SPAN("a"), what, &why, &hindrance, &b->err));
  durable_set_hook(NULL, NULL);
  OK(store_sync(b->store, &b->err));
  OK(store_aside_sync(b->store, &b->err));
  assert_int_equal(rename(path_of(b, WAITS), path_of(b, UNDER_WAY)), 0);
  store_aside_tend(b->store);
  OK(store_aside_sync(b->store, &b->err));
  assert_int_equal(box_counts(b).aside, 1);
  assert_int_equal(rename(path_of(b, UNDER_WAY), path_of(b, WAITS)), 0);
}

CASE(attempts_that_are_set_aside_stay_where_that_bus_moved_it) {
  struct box *b = *state;
  struct entry e;
  set_aside(b, ASIDE_RETRY);
  store_rescan(b->store);
  OK(box_next(b, &e));
  assert_int_equal(e.event.attempts, 2);
}

CASE(so_does_what_is_dead) {
  struct box *b = *state;
  set_aside(b, ASIDE_DEAD);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  store_aside_tend(b->store);
  OK(store_aside_sync(b->store, &b->err));
  assert_int_equal(box_counts(b).aside, 0);
  assert_true(exists(b, "typed/errored/a.json") && !exists(b, WAITS));
}
