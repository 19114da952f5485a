/* What a kind says of itself, store_traits, is so; and what a doctor is told of it. */
#include "bridge/outbox/survey.h"
#include "tests/contract/rule.h"

static void emit_as(struct box *b, struct store *s, const char *id, const char *status) {
  char text[400];
  snprintf(text, sizeof text,
           "{\"id\": \"%s\", \"name\": \"episode.created\", \"payload\": {}, \"created_at\": "
           "\"2025-01-01T00:00:00+00:00\", \"attempts\": 0, \"dispatched_at\": null, "
           "\"last_error\": null, \"failed_at\": null, \"status\": \"%s\", \"storage_key\": \"k\"}",
           id, status);
  OK(box_put(s, id, span_of(text), &b->err));
}

/* Whether it is told of them or looks for them itself: no scan is asked for. */
RULE(an_arrival_ends_the_wait) {
  struct box *b = *state;
  struct store *other = box_another(b, false);
  assert_string_equal(box_take_all(b), "");
  emit_as(b, other, "a", "pending");
  for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
  assert_string_equal(b->ids, "a");
  store_close(other);
}

static bool in_order(const struct store_traits *t, const struct entry_ref *one,
                     const struct entry_ref *next) {
  if (one->arrived_ns != next->arrived_ns) return one->arrived_ns < next->arrived_ns;
  if (t->order == ORDER_OF_NAMES) return span_cmp(one->label, next->label) < 0;
  return one->id.ptr[1] < next->id.ptr[1]; /* they came as "z0 y1 x2 ..." */
}

/* All have one created_at. */
RULE(entries_of_one_time_come_in_the_order_of_the_kind) {
  struct box *b = *state;
  const struct store_traits *t = store_traits(b->store);
  char id[3] = "";
  for (int i = 0; i < 9; i++) {
    id[0] = (char)('z' - i);
    id[1] = (char)('0' + i);
    emit_as(b, b->store, id, "pending");
  }
  store_rescan(b->store);
  box_take_all(b);
  assert_int_equal(b->count, 9);
  for (size_t i = 1; i < b->count; i++) assert_true(in_order(t, &b->refs[i - 1], &b->refs[i]));
}

static bool seen(void *ctx, const struct entry_info *info) {
  *(enum shelf *)ctx = info->shelf;
  return true;
}

RULE(sent_ones_are_kept_or_that_is_refused) {
  struct box *b = *state;
  enum shelf shelf = SHELF_PENDING;
  box_stop(b);
  b->config.keep_sent = true;
  box_meet(b);
  OK(store_lock(b->store, 0, &b->err));
  enum status st = store_begin(b->store, &b->config, &b->err);
  if (!store_traits(b->store)->keeps_sent) {
    assert_int_equal(st, ST_UNSUPPORTED);
    return;
  }
  assert_int_equal(st, ST_OK);
  box_emit(b, "a");
  assert_string_equal(box_take_some(b), "a");
  box_done_all(b);
  OK(store_look(b->store, SHELF_SENT, b->refs[0].token.ptr, seen, &shelf, &b->err));
  assert_int_equal(shelf, SHELF_SENT);
}

/* Nothing was read by anybody before. */
RULE(who_counts_knows_without_a_reader_which_are_not_ours) {
  struct box *b = *state;
  struct store_counts c;
  emit_as(b, b->store, "a", "pending");
  emit_as(b, b->store, "b", "dispatched");
  struct store *other = box_another(b, false);
  OK(store_counts(other, &c, &b->err));
  assert_int_equal(c.dead, 0);
  if (store_traits(other)->counts) {
    assert_true(c.exact);
    assert_int_equal(c.pending, 1);
    assert_int_equal(c.foreign, 1);
    assert_true(c.oldest_us != TIME_NONE);
  } else {
    assert_in_range(c.pending, 1, 2);
  }
  store_close(other);
}

static bool nothing(void *ctx, const struct survey_item *item) {
  ++*(unsigned *)ctx;
  (void)item;
  return true;
}

static void examine(struct store *s, enum examination which) {
  struct examined told;
  store_examine(s, which, &told);
  bool second = which == EXAMINE_SECOND || which == EXAMINE_SECOND_CHANGES;
  assert_non_null(told.check);
  assert_int_equal(told.verdict, second ? EXAMINED_NOT : EXAMINED_FINE);
  assert_true(told.text.len > 0);
  assert_int_equal(told.next.len, 0);
  if (which == EXAMINE_PLACE) assert_true(told.skew_us == TIME_NONE);
  if (told.skew_us != TIME_NONE) assert_in_range(told.skew_us + 60000000, 0, 120000000);
  buffer_release(&told.text);
  buffer_release(&told.next);
}

/* Each tells something, and there is an end of them. */
static void examine_further(struct store *s) {
  bool more = true;
  for (unsigned which = EXAMINE_FURTHER; more; which++) {
    struct examined told;
    assert_true(which < EXAMINE_FURTHER + 100);
    store_examine(s, (enum examination)which, &told);
    more = told.check;
    assert_int_equal(told.text.len > 0, more);
    assert_int_not_equal(told.verdict, EXAMINED_FAILED);
    buffer_release(&told.text);
    buffer_release(&told.next);
  }
}

RULE(a_doctor_is_told_beside_the_owner_and_leaves_nothing) {
  struct box *b = *state;
  struct store *other = box_another(b, false);
  uint64_t left_out;
  unsigned items = 0;
  examine(other, EXAMINE_PLACE);
  examine(other, EXAMINE_CHANGES);
  examine(other, EXAMINE_SECOND);
  examine(other, EXAMINE_SECOND_CHANGES);
  examine(b->store, EXAMINE_CHANGES);
  examine_further(other);
  OK(store_check(b->store, &b->err));
  OK(store_survey(other, 0, nothing, &items, &left_out, &b->err));
  assert_int_equal(items, 0);
  assert_string_equal(box_take_all(b), "");
  store_close(other);
}

/* Nothing is made by that. */
RULE(an_outbox_that_nobody_opened_to_change_is_examined_too) {
  struct box *b = *state;
  struct examined told;
  char address[200];
  struct store *s = box_bare(b, address);
  store_examine(s, EXAMINE_CHANGES, &told);
  assert_true(told.verdict == EXAMINED_NOT || told.verdict == EXAMINED_FINE);
  assert_true(told.text.len > 0);
  buffer_release(&told.text);
  buffer_release(&told.next);
  store_close(s);
  assert_true(b->kind->remove_bare(address));
}

int main(void) {
  return rules_of_each_kind();
}
