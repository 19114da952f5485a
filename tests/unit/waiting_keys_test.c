/* Keys that wait: who is held, who passes, and when a key is free again; the scans are those of a
 * real outbox. */
#include "tests/unit/files.h"

#include "bridge/relay/held_keys/waiting_keys.h"

struct world {
  struct box *box;
  struct waiting w;
  int64_t now_ms;
};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  w->box = box_new("file");
  w->now_ms = 100000;
  box_take_all(w->box); /* the first scan, generation 1 */
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  void *box = w->box;
  waiting_close(&w->w);
  test_free(w);
  return box_free(&box);
}

static void add(struct world *w, const char *key, const char *id, uint64_t generation) {
  assert_true(waiting_add(&w->w, 0, span_of(key), span_of(id), generation));
}

static bool holds(struct world *w, const char *key, const char *id, uint64_t generation) {
  return waiting_holds(&w->w, 0, span_of(key), span_of(id), generation);
}

static void release(struct world *w, const char *key, const char *id) {
  waiting_release(&w->w, 0, span_of(key), span_of(id));
}

/* A tick more than a second after the one before. */
static void tick(struct world *w, bool idle) {
  w->now_ms += 1001;
  waiting_tick(&w->w, w->box->store, w->now_ms, idle);
}

static uint64_t wanted(struct world *w) {
  return store_rescan(w->box->store);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(nobody_is_held_while_no_key_waits) {
  struct world *w = *state;
  assert_false(holds(w, "k", "a", 1));
  release(w, "k", "a");
  waiting_release_file(&w->w, SPAN("a"));
  tick(w, true);
  assert_int_equal(waiting_count(&w->w), 0);
}

CASE(others_of_its_key_are_held_and_itself_and_other_keys_pass) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  assert_true(holds(w, "k", "b", 1));
  assert_false(holds(w, "k", "a", 1));
  assert_false(holds(w, "other", "b", 1));
  assert_false(holds(w, "", "b", 1));
  assert_false(
      waiting_holds(&w->w, 1, SPAN("k"), SPAN("b"), 1)); /* the same key of another topic */
  assert_string_equal(waiting_file(&w->w, 0, SPAN("k")), "a");
  assert_null(waiting_file(&w->w, 1, SPAN("k")));
  assert_true(holds(w, "k", "b", 99)); /* no scan frees it while it waits */
}

CASE(the_first_one_that_waits_is_the_one_that_is_waited_for) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  add(w, "k", "b", 1); /* found before its due time, behind a */
  assert_false(holds(w, "k", "a", 1));
  assert_true(holds(w, "k", "b", 1));
  release(w, "k", "b"); /* not the one */
  assert_true(holds(w, "k", "b", 1));
}

CASE(a_key_that_held_nobody_is_free_at_once) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  release(w, "k", "a");
  assert_int_equal(waiting_count(&w->w), 0);
  assert_false(holds(w, "k", "b", 1));
}

CASE(after_it_is_settled_only_a_fresh_scan_brings_those_that_were_held) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  assert_true(holds(w, "k", "b", 1));
  release(w, "k", "a");
  assert_true(holds(w, "k", "c", 1)); /* its scan is not even asked for */
  assert_true(holds(w, "k", "c", 7));
  tick(w, false);
  uint64_t from = wanted(w); /* shares the one that the tick asked for */
  assert_int_equal(from, 2);
  assert_true(holds(w, "k", "c", 1)); /* prepared before it */
  assert_false(holds(w, "k", "b", 7));
}

CASE(a_key_is_forgotten_when_its_scan_comes_along) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  add(w, "l", "x", 1);
  assert_true(holds(w, "k", "b", 1));
  release(w, "k", "a");
  tick(w, false);
  assert_int_equal(waiting_count(&w->w), 2);
  assert_true(holds(w, "k", "c", 1));
  assert_false(holds(w, "unrelated", "u", 2)); /* the marker: an event of generation 2 */
  assert_int_equal(waiting_count(&w->w), 1);   /* l still waits */
  assert_false(holds(w, "k", "c", 2));
  assert_true(holds(w, "l", "y", 2));
}

CASE(the_scan_begins_only_when_nothing_is_in_hand) {
  struct world *w = *state;
  struct box *b = w->box;
  struct entry e;
  put_pending(b, "b");
  store_rescan(b->store);
  OK(box_next(b, &e)); /* generation 2, and in hand: with the publisher, which gives it back */
  put_pending(b, "c");
  add(w, "k", "a", 1);
  assert_true(holds(w, "k", "b", 2));
  release(w, "k", "a");
  tick(w, false);
  struct entry newer;
  assert_int_equal(box_next(b, &newer), ST_AGAIN); /* c may not overtake b */
  store_release(b->store, &e.ref);
  OK(box_next(b, &newer));
  assert_true(span_is(newer.event.id, "b"));
  assert_false(holds(w, "k", "b", newer.generation));
  assert_string_equal(box_take_all(b), "c");
}

CASE(one_scan_a_second_serves_all_keys_released_before_it) {
  struct world *w = *state;
  add(w, "k", "a", 1), add(w, "l", "x", 1);
  assert_true(holds(w, "k", "b", 1) && holds(w, "l", "y", 1));
  release(w, "k", "a");
  tick(w, false); /* asks for 2 */
  release(w, "l", "x");
  w->now_ms += 500;
  waiting_tick(&w->w, w->box->store, w->now_ms, false);
  box_take_all(w->box); /* 2 begins and ends */
  assert_true(store_scanned(w->box->store, 2));
  assert_false(holds(w, "k", "b", 2));
  assert_true(holds(w, "l", "y", 2)); /* was released too late for 2 */
  tick(w, false);
  assert_false(holds(w, "l", "y", 3));
  assert_int_equal(waiting_count(&w->w), 0);
}

CASE(a_released_key_may_wait_again_for_the_next_one) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  assert_true(holds(w, "k", "b", 1));
  release(w, "k", "a");
  tick(w, false);
  add(w, "k", "b", 2); /* refused in its turn */
  assert_true(holds(w, "k", "c", 2));
  assert_false(holds(w, "k", "b", 2));
  assert_true(holds(w, "k", "c", 99)); /* the scan asked for a does not free it */
  release(w, "k", "b");
  tick(w, false);
  assert_false(holds(w, "k", "c", wanted(w)));
}

CASE(a_second_refusal_of_the_same_event_keeps_its_key_waiting) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  assert_true(holds(w, "k", "b", 1));
  add(w, "k", "a", 2);
  assert_int_equal(waiting_count(&w->w), 1);
  assert_true(holds(w, "k", "b", 2));
  release(w, "k", "a");
  assert_true(
      holds(w, "k", "b", 2)); /* what was held before the second refusal still needs its scan */
}

CASE(an_event_that_was_never_routed_frees_its_key_by_its_id) {
  struct world *w = *state;
  add(w, "k", "a", 1), add(w, "l", "x", 1), add(w, "m", "a", 1);
  assert_true(holds(w, "k", "b", 1));
  waiting_release_file(&w->w, SPAN("a"));
  assert_int_equal(waiting_count(&w->w), 2); /* m held nobody */
  tick(w, false);
  assert_false(holds(w, "k", "b", 2));
  assert_true(holds(w, "l", "y", 2));
  waiting_release_file(&w->w, SPAN("unknown"));
  assert_int_equal(waiting_count(&w->w), 1);
}

CASE(an_event_that_is_gone_frees_its_key_once_a_whole_scan_missed_it) {
  struct world *w = *state;
  struct box *b = w->box;
  add(w, "k", "a", 1);
  assert_true(holds(w, "k", "b", 1));
  store_rescan(b->store);
  assert_true(holds(w, "k", "b", 2)); /* scan 2 has begun, and a was not in it so far */
  tick(w, true);                      /* but it has not ended */
  assert_true(holds(w, "k", "b", 2));
  box_take_all(b);
  tick(w, false); /* something is in hand: it may be a */
  assert_true(holds(w, "k", "b", 2));
  tick(w, true);
  assert_true(holds(w, "k", "b", 2)); /* b comes with the next scan */
  assert_false(holds(w, "k", "b", 3));
}

CASE(an_event_that_the_scan_found_still_holds_its_key) {
  struct world *w = *state;
  add(w, "k", "a", 1);
  store_rescan(w->box->store);
  box_take_all(w->box);
  add(w, "k", "a", 2); /* found, not due yet */
  assert_true(holds(w, "k", "b", 2));
  tick(w, true);
  tick(w, true);
  assert_true(holds(w, "k", "b", 3));
}

/* Names of keys: any bytes, any length. */
CASE(long_keys_and_odd_bytes_are_told_apart) {
  struct world *w = *state;
  char one[5000], two[5000];
  memset(one, 'x', sizeof one);
  memcpy(two, one, sizeof two);
  two[4999] = 'y';
  struct span a = {one, sizeof one}, b = {two, sizeof two}, zero = {"k\0a", 3}, other = {"k\0b", 3};
  for (size_t len = 1000; len < 1200; len++) { /* across the limit where digests begin */
    struct span cut = {one, len};
    assert_true(waiting_add(&w->w, 9, cut, SPAN("id"), 1));
    assert_true(waiting_holds(&w->w, 9, cut, SPAN("other"), 1));
    assert_false(waiting_holds(&w->w, 9, (struct span){one, len + 1}, SPAN("other"), 1));
    waiting_release(&w->w, 9, cut, SPAN("other"));
  }
  assert_true(waiting_add(&w->w, 3, a, SPAN("id"), 1));
  assert_true(waiting_holds(&w->w, 3, a, SPAN("other"), 1));
  assert_false(waiting_holds(&w->w, 3, b, SPAN("other"), 1));
  assert_true(waiting_add(&w->w, 3, zero, SPAN("id"), 1));
  assert_true(waiting_holds(&w->w, 3, zero, SPAN("other"), 1));
  assert_false(waiting_holds(&w->w, 3, other, SPAN("other"), 1));
  assert_true(waiting_add(&w->w, 3, (struct span){NULL, 0}, SPAN("id"), 1));
  assert_true(waiting_holds(&w->w, 3, SPAN(""), SPAN("other"), 1));
}

/* Thousands at once, freed in the middle of walks over them. */
CASE(many_keys_come_and_go) {
  struct world *w = *state;
  char key[20];
  enum { MANY = 3000 };
  for (int i = 0; i < MANY; i++) {
    snprintf(key, sizeof key, "k%d", i);
    add(w, key, key, 1);
    if (i % 3) assert_true(holds(w, key, "later", 1));
  }
  assert_int_equal(waiting_count(&w->w), MANY);
  for (int i = 0; i < MANY; i += 2) {
    snprintf(key, sizeof key, "k%d", i);
    release(w, key, key);
  }
  assert_int_equal(waiting_count(&w->w), MANY - MANY / 6);
  tick(w, false);
  assert_false(holds(w, "marker", "m", 2));
  assert_int_equal(waiting_count(&w->w), MANY / 2);
  for (int i = 0; i < MANY; i++) {
    snprintf(key, sizeof key, "k%d", i);
    assert_int_equal(holds(w, key, "later", 2), i % 2);
  }
}
