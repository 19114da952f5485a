/* Entries, from their arrival to their end: rules that every kind of outbox keeps. */
#include "tests/contract/rule.h"

#include <pthread.h>

static void emit_apart(struct box *b, const char *const *ids) {
  for (; *ids; ids++) {
    box_emit(b, *ids);
    box_tick(b);
  }
}
#define EMIT(...) emit_apart(b, (const char *const[]){__VA_ARGS__, NULL})

RULE(entries_come_in_order_of_arrival_and_done_takes_them_out) {
  struct box *b = *state;
  EMIT("c", "a", "b");
  assert_string_equal(box_take_all(b), "c a b");
  assert_int_equal(box_counts(b).pending, 3);
  assert_int_equal(box_counts(b).in_hand, 3);
  box_done_all(b);
  assert_int_equal(box_counts(b).pending, 0);
  assert_int_equal(box_counts(b).in_hand, 0);
  box_restart(b);
  assert_string_equal(box_take_all(b), "");
}

RULE(an_entry_holds_what_was_written) {
  struct box *b = *state;
  struct entry e;
  box_emit(b, "a");
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "a"));
  assert_true(span_is(e.event.name, "episode.created"));
  assert_true(span_is(json_slice(&e.doc, e.event.payload), "{\"episode_id\": \"e1\"}"));
  assert_int_equal(e.event.created_us, 1700000000000000);
  assert_int_equal(e.event.status, EVENT_PENDING);
  assert_int_equal(e.reason, REASON_NONE);
  assert_null(e.error);
  assert_true(span_starts(e.text, "{\"id\": \"a\""));
  assert_true(e.ref.label.len > 0);
}

RULE(what_is_in_hand_is_not_handed_out_again) {
  struct box *b = *state;
  EMIT("a", "b");
  assert_string_equal(box_take_all(b), "a b");
  uint64_t generation = store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  assert_true(store_scanned(b->store, generation));
}

/* Else what was given back after its turn would come behind what is newer. */
RULE(a_settled_scan_begins_when_nothing_is_in_hand_and_has_what_was_given_back) {
  struct box *b = *state;
  struct entry e;
  EMIT("a", "b");
  OK(box_next(b, &e));
  struct entry_ref first = e.ref;
  OK(box_next(b, &e));
  struct entry_ref second = e.ref;
  EMIT("c");
  uint64_t generation = store_rescan_settled(b->store);
  assert_int_equal(generation, 2);
  assert_int_equal(box_next(b, &e), ST_AGAIN); /* neither the scan nor what is new */
  store_wait(b->store, 0);
  assert_int_equal(store_rescan(b->store), 2); /* shares it, and does not make it come sooner */
  assert_int_equal(box_next(b, &e), ST_AGAIN);
  store_release(b->store, &second);
  assert_int_equal(box_next(b, &e), ST_AGAIN);
  assert_false(store_scanned(b->store, 2));
  store_release(b->store, &first);
  store_wait(b->store, 60000); /* woken by the last one's end */
  OK(box_next(b, &e));
  assert_int_equal(e.generation, 2);
  assert_true(span_is(e.event.id, "a"));
  assert_string_equal(box_take_all(b), "b c");
  assert_true(store_scanned(b->store, 2));
  assert_int_equal(store_rescan(b->store),
                   3); /* an ordinary one passes over what is in hand, at once */
  EMIT("d");
  assert_string_equal(box_take_all(b), "d");
}

/* Else the scan would begin while it is in hand, pass it over, and hand out what is newer. */
RULE(a_settled_scan_waits_for_what_lingers_only_once_it_is_to_be_given_back) {
  struct box *b = *state;
  struct entry e;
  EMIT("a", "b");
  assert_string_equal(box_take_all(b), "a b");
  box_done(b, &b->refs[1], SETTLED_GONE);
  store_linger(b->store, &b->refs[0], true);
  assert_int_equal(store_rescan_settled(b->store), 2);
  assert_int_equal(box_next(b, &e), ST_AGAIN); /* it has begun, and passed it over */
  assert_true(store_scanned(b->store, 2));
  store_linger(b->store, &b->refs[0], false);
  EMIT("c");
  assert_int_equal(store_rescan_settled(b->store), 3);
  assert_int_equal(box_next(b, &e), ST_AGAIN);
  assert_false(store_scanned(b->store, 3));
  store_release(b->store, &b->refs[0]);
  assert_string_equal(box_take_some(b), "a c");
}

RULE(what_is_released_comes_back_with_the_next_scan_in_order) {
  struct box *b = *state;
  struct entry e;
  EMIT("a", "b", "c");
  OK(box_next(b, &e));
  assert_int_equal(e.generation, 1);
  store_release(b->store, &e.ref);
  assert_string_equal(box_take_all(b), "b c");
  box_release_all(b);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).pending, 3);
  assert_int_equal(store_rescan(b->store), 2);
  assert_int_equal(store_rescan(b->store), 2);
  assert_false(store_scanned(b->store, 2));
  OK(box_next(b, &e));
  assert_int_equal(e.generation, 2);
  assert_true(span_is(e.event.id, "a"));
  assert_string_equal(box_take_all(b), "b c");
  assert_true(store_scanned(b->store, 2));
  assert_false(store_scanned(b->store, 3));
}

RULE(a_retry_stays_pending_in_its_place_and_counts) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_BROKER_REFUSED, 2);
  enum settled how;
  struct entry e;
  EMIT("a", "b");
  box_take_all(b);
  OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_GONE);
  store_release(b->store, &b->refs[1]);
  assert_string_equal(box_take_all(b), ""); /* its own rewriting is not an arrival */
  assert_int_equal(box_counts(b).pending, 2);
  store_rescan(b->store);
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "a"));
  assert_int_equal(e.event.attempts, 2);
  assert_true(span_is(e.event.last_error, "\"field \\\"x\\\" is wrong\""));
  assert_int_equal(e.event.failed_us, 1700000001000000);
  assert_int_equal(e.event.first_failed_us, 1700000001000000);
  assert_true(span_is(json_slice(&e.doc, e.event.payload), "{\"episode_id\": \"e1\"}"));
  why.attempts = 3;
  why.failed_us += 5000000;
  OK(store_retry(b->store, &e.ref, &why, &how, &b->err));
  box_restart(b);
  OK(box_next(b, &e));
  assert_int_equal(e.event.attempts, 3);
  assert_int_equal(e.event.failed_us, 1700000006000000);
  assert_int_equal(e.event.first_failed_us, 1700000001000000);
}

RULE(a_dead_entry_is_listed_with_its_reason_and_not_handed_out) {
  struct box *b = *state;
  uint64_t total;
  EMIT("a", "b");
  box_take_all(b);
  box_dead(b, &b->refs[0], REASON_SCHEMA_MISMATCH);
  store_release(b->store, &b->refs[1]);
  struct box_listed l = box_list(b, LIST_DEAD, 0, &total);
  assert_string_equal(l.ids, "a");
  assert_int_equal(total, 1);
  assert_string_equal(l.reason, "schema_mismatch");
  assert_string_equal(l.last_error, "field \"x\" is wrong");
  assert_string_equal(l.topic, "episode.events");
  assert_string_equal(l.name, "episode.created");
  assert_int_equal(l.last.attempts, 1);
  assert_int_equal(l.last.failed_us, 1700000001000000);
  assert_int_equal(l.last.created_us, 1700000000000000);
  assert_int_equal(l.last.payload_size, strlen("{\"episode_id\": \"e1\"}"));
  assert_int_equal(l.last.shelf, SHELF_DEAD);
  assert_false(l.last.raw);
  assert_int_equal(box_counts(b).dead, 1);
  assert_int_equal(box_counts(b).pending, 1);
  box_restart(b);
  assert_string_equal(box_take_all(b), "b");
  assert_int_equal(box_counts(b).dead, 1);
}

RULE(a_replayed_dead_letter_is_pending_anew_and_comes_by_itself) {
  struct box *b = *state;
  struct entry e;
  EMIT("a", "b");
  box_take_all(b);
  box_dead(b, &b->refs[0], REASON_SCHEMA_MISMATCH);
  box_done(b, &b->refs[1], SETTLED_GONE);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  OK(store_replay(b->store, SHELF_DEAD, l.token, &b->err));
  assert_int_equal(box_counts(b).dead, 0);
  assert_int_equal(store_replay(b->store, SHELF_DEAD, l.token, &b->err), ST_NOT_FOUND);
  box_wait_next(b, &e);
  assert_true(span_is(e.event.id, "a"));
  assert_int_equal(e.event.attempts, 0);
  assert_true(span_is(e.event.last_error, "null"));
  assert_int_equal(e.event.failed_us, TIME_NONE);
  assert_int_equal(e.event.first_failed_us, TIME_NONE);
  assert_int_equal(e.event.reason.len, 0);
  assert_int_equal(e.event.status, EVENT_PENDING);
  assert_int_equal(box_counts(b).pending, 1);
  box_done(b, &e.ref, SETTLED_GONE);
  assert_string_equal(box_list(b, LIST_PENDING | LIST_DEAD, 0, NULL).ids, "");
}

RULE(a_pending_entry_is_replayed_with_attempts_zero_unless_in_hand) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_NONE, 4);
  enum settled how;
  box_emit(b, "a");
  struct box_listed l = box_list(b, LIST_PENDING, 0, NULL);
  box_take_all(b);
  assert_int_equal(store_replay(b->store, l.last.shelf, l.token, &b->err), ST_BUSY);
  OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
  OK(store_replay(b->store, l.last.shelf, l.token, &b->err));
  l = box_list(b, LIST_PENDING, 0, NULL);
  assert_int_equal(l.last.attempts, 0);
  assert_string_equal(l.last_error, "");
  assert_string_equal(box_take_some(b), "a");
}

RULE(what_waits_is_emitted_once_and_what_was_sent_is_not_replayed) {
  struct box *b = *state;
  char token[300];
  box_emit(b, "a");
  assert_int_equal(box_put(b->store, "a", SPAN("{}"), &b->err), ST_EXISTS);
  box_token(b, LIST_PENDING, "a", token);
  assert_int_equal(store_replay(b->store, SHELF_SENT, token, &b->err), ST_INVALID);
  assert_string_equal(box_take_all(b), "a");
}

RULE(what_arrives_later_is_told_in_its_order) {
  struct box *b = *state;
  assert_string_equal(box_take_all(b), "");
  const struct store_traits *t = store_traits(b->store);
  box_emit(b, "z"), box_emit(b, "m"), box_emit(b, "a"); /* maybe at one time, by some clocks */
  const char *ids = box_take_some(b);
  if (t->watches || t->order == ORDER_OF_COMING)
    assert_string_equal(ids, "z m a");
  else
    assert_int_equal(b->count, 3);
  assert_int_equal(box_counts(b).pending, 3);
}

static void *wake_soon(void *arg) {
  struct box *b = arg;
  usleep(20000);
  store_wake(b->store);
  return NULL;
}

RULE(a_wait_ends_by_wake_or_time) {
  struct box *b = *state;
  pthread_t thread;
  box_take_all(b);
  store_wait(b->store, 1);
  pthread_create(&thread, NULL, wake_soon, b);
  store_wait(b->store, -1); /* for ever, but for the wake */
  pthread_join(thread, NULL);
}

RULE(list_is_by_arrival_and_limited) {
  struct box *b = *state;
  uint64_t total;
  EMIT("d", "c", "b", "a");
  box_take_all(b);
  box_dead(b, &b->refs[1], REASON_BAD_NAME);
  assert_string_equal(box_list(b, LIST_PENDING | LIST_DEAD, 0, &total).ids, "d c b a");
  assert_int_equal(total, 4);
  assert_string_equal(box_list(b, LIST_PENDING, 2, &total).ids, "d b");
  assert_int_equal(total, 3);
  struct box_listed l = {.stop_after = 1};
  OK(store_list(b->store, LIST_PENDING, 0, box_visit, &l, &total, &b->err));
  assert_string_equal(l.ids, "d");
}

RULE(find_prefers_exact_and_shows_candidates_of_a_prefix) {
  struct box *b = *state;
  uint64_t total;
  EMIT("ab", "abc", "abd", "x");
  assert_string_equal(box_find(b, LIST_PENDING, "ab", &total).ids, "ab");
  assert_int_equal(total, 1);
  box_find(b, LIST_PENDING, "a", &total);
  assert_int_equal(total, 3);
  box_find(b, LIST_DEAD, "ab", &total);
  assert_int_equal(total, 0);
  struct box_listed one = {0};
  char token[300];
  box_token(b, LIST_PENDING, "ab", token);
  OK(store_look(b->store, SHELF_PENDING, token, box_visit, &one, &b->err));
  assert_string_equal(one.ids, "ab");
  assert_true(one.last.doc && one.last.payload != JSON_NONE && one.last.text.len == one.last.size);
  assert_int_equal(store_look(b->store, SHELF_DEAD, token, box_visit, &one, &b->err), ST_NOT_FOUND);
  assert_int_equal(store_look(b->store, SHELF_PENDING, "../?", box_visit, &one, &b->err),
                   ST_NOT_FOUND);
  box_find(b, LIST_PENDING | LIST_DEAD, "nobody", &total);
  assert_int_equal(total, 0);
  box_find(b, LIST_PENDING, "", &total);
  assert_int_equal(total, 0);
}

RULE(what_can_never_be_published_comes_with_its_reason) {
  struct box *b = *state;
  struct entry e;
  box_emit_text(b, "x", SPAN("{\"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\"}"));
  box_wait_next(b, &e);
  assert_int_equal(e.reason, REASON_MISSING_ID);
  assert_non_null(e.error);
  assert_non_null(strstr(e.error, "id"));
  box_dead(b, &e.ref, e.reason);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.reason, "missing_id");
  assert_string_equal(l.ids, "x");
}

RULE(counts_are_exact_after_the_first_scan_and_tell_the_oldest) {
  struct box *b = *state;
  EMIT("a", "b");
  box_restart(b);
  assert_true(store_traits(b->store)->counts || !box_counts(b).exact);
  box_take_all(b);
  struct store_counts c = box_counts(b);
  assert_true(c.exact);
  int64_t first = b->refs[0].arrived_ns / 1000, second = b->refs[1].arrived_ns / 1000;
  assert_true(first < second);
  assert_int_equal(c.oldest_us, first);
  box_done(b, &b->refs[0], SETTLED_GONE);
  assert_int_equal(box_counts(b).oldest_us, second);
  store_release(b->store, &b->refs[1]);
  assert_int_equal(box_counts(b).oldest_us, second);
  store_rescan(b->store);
  box_take_all(b);
  box_done_all(b);
  assert_int_equal(box_counts(b).oldest_us, TIME_NONE);
}

/* A kind counts as often as it can afford: on a slow machine one look is not enough. */
static void follow_until(struct box *b, uint64_t pending) {
  box_notice(b);
  OK(store_follow(b->store, &b->err));
  for (int i = 0; i < 600; i++) {
    struct store_counts c = box_counts(b);
    if (c.pending == pending && c.oldest_us != TIME_NONE) break;
    store_wait(b->store, 100);
    OK(store_follow(b->store, &b->err));
  }
  assert_int_equal(box_counts(b).pending, pending);
}

RULE(following_counts_what_is_there_and_hands_out_nothing) {
  struct box *b = *state;
  EMIT("a", "b");
  box_restart(b);
  follow_until(b, 2);
  struct store_counts c = box_counts(b);
  assert_int_equal(c.in_hand, 0);
  assert_true(c.oldest_us != TIME_NONE);
  box_emit(b, "c");
  follow_until(b, 3);
  box_take_all(b);
  assert_int_equal(box_counts(b).in_hand, 3);
  box_done_all(b);
  box_emit(b, "d"); /* nothing listed is in front of it: its age is known by the next look */
  follow_until(b, 1);
  assert_true(box_counts(b).oldest_us != TIME_NONE);
}

RULE(amounts_are_the_counts_without_the_oldest) {
  struct box *b = *state;
  struct store_counts c;
  EMIT("a", "b", "c");
  box_take_all(b);
  box_done(b, &b->refs[0], SETTLED_GONE);
  OK(store_amounts(b->store, &c, &b->err));
  assert_int_equal(c.pending, 2);
  assert_int_equal(c.in_hand, 2);
  assert_true(c.exact && c.oldest_us == TIME_NONE);
}

/* Recovery settles while the entries are listed already: what it takes out is not handed out any
 * more. */
RULE(what_was_listed_ahead_comes_once_and_only_if_it_is_still_there) {
  struct box *b = *state;
  enum settled how;
  EMIT("a", "b", "c");
  box_take_all(b);
  struct entry_ref second = b->refs[1];
  box_restart(b);
  OK(store_follow(b->store, &b->err));
  OK(box_late(b, &second, "b", &how));
  assert_int_equal(how, SETTLED_GONE);
  box_emit(b, "d");
  bool watches = store_traits(b->store)->watches;
  assert_string_equal(box_take_all(b), watches ? "a c d" : "a c");
  assert_true(store_scanned(b->store, 1));
  box_done_all(b);
  if (!watches) {
    assert_string_equal(box_take_some(b), "d");
    box_done_all(b);
  }
  assert_int_equal(box_counts(b).pending, 0);
  assert_string_equal(box_take_all(b), "");
}

RULE(what_ends_before_a_scan_comes_by_it_does_not_come_again) {
  struct box *b = *state;
  struct entry first;
  EMIT("a", "b", "c");
  box_take_all(b);
  store_release(b->store, &b->refs[0]);
  store_rescan(b->store);
  OK(box_next(b, &first)); /* what lies behind it may have been read by now */
  assert_true(span_is(first.event.id, "a"));
  box_done(b, &b->refs[1], SETTLED_GONE);
  box_done(b, &b->refs[2], SETTLED_GONE);
  assert_string_equal(box_take_all(b), "");
  box_done(b, &first.ref, SETTLED_GONE);
}

RULE(done_twice_finds_it_vanished) {
  struct box *b = *state;
  box_emit(b, "a");
  box_take_all(b);
  box_done(b, &b->refs[0], SETTLED_GONE);
  box_done(b, &b->refs[0], SETTLED_VANISHED);
  struct failure why = box_failure(REASON_NONE, 1);
  enum settled how;
  OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_VANISHED);
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_VANISHED);
}

RULE(recovery_takes_out_by_id_what_changed_or_was_set_aside) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_NONE, 1);
  enum settled how;
  EMIT("a", "b", "c");
  box_take_all(b);
  OK(store_retry(b->store, &b->refs[0], &why, &how, &b->err)); /* other bytes, same id */
  box_dead(b, &b->refs[1], REASON_BAD_NAME);
  box_release_all(b);
  OK(box_late(b, &b->refs[0], "other", &how));
  assert_int_equal(how, SETTLED_CHANGED);
  OK(box_late(b, &b->refs[0], "a", &how));
  assert_int_equal(how, SETTLED_GONE);
  OK(box_late(b, &b->refs[1], "other", &how));
  assert_int_equal(how, SETTLED_VANISHED);
  OK(box_late(b, &b->refs[1], "b", &how));
  assert_int_equal(how, SETTLED_GONE);
  OK(box_late(b, &b->refs[2], "c", &how));
  assert_int_equal(how, SETTLED_GONE);
  OK(store_sync(b->store, &b->err));
  assert_string_equal(box_list(b, LIST_PENDING | LIST_DEAD, 0, NULL).ids, "");
  assert_int_equal(box_counts(b).dead, 0);
}

int main(void) {
  return rules_of_each_kind();
}
