/* What a kind says of itself, store_traits, is so; and what a doctor is told of it. */
#include "bridge/outbox/survey.h"
#include "tests/contract/box.h"

static const char *const kinds[] = {"file", "memory"};

static int box_open(void **state) {
  *state = box_new(*state);
  return 0;
}

#define RULE(name) TEST_WITH(name, box_open, box_free)

/* Another handle, which only looks. */
static struct store *looking(struct box *b) {
  const struct store_options options = {.clock = &clock_system};
  struct store *s = NULL;
  OK(store_open(b->url, &options, &s, &b->err));
  return s;
}

static void emit_as(struct box *b, struct store *s, const char *id, const char *status) {
  char file[40], text[400];
  snprintf(file, sizeof file, "%s.json", id);
  snprintf(text, sizeof text,
           "{\"id\": \"%s\", \"name\": \"episode.created\", \"payload\": {}, \"created_at\": "
           "\"2025-01-01T00:00:00+00:00\", \"attempts\": 0, \"dispatched_at\": null, "
           "\"last_error\": null, \"failed_at\": null, \"status\": \"%s\", \"storage_key\": \"k\"}",
           id, status);
  OK(store_emit(s, file, span_of(text), &b->err));
}

/* No scan is asked for. */
RULE(who_watches_is_told_of_arrivals) {
  struct box *b = *state;
  struct store *other = looking(b);
  assert_string_equal(box_take_all(b), "");
  emit_as(b, other, "a", "pending");
  if (!store_traits(b->store)->watches) {
    store_wait(b->store, 0);
    assert_string_equal(box_take_all(b), "");
    store_rescan(b->store);
  }
  assert_string_equal(box_take_some(b), "a");
  store_close(other);
}

static bool in_order(const struct store_traits *t, const struct entry_ref *one,
                     const struct entry_ref *next) {
  if (one->arrived_ns != next->arrived_ns) return one->arrived_ns < next->arrived_ns;
  if (t->order == ORDER_OF_NAMES) return span_cmp(one->name, next->name) < 0;
  return one->name.ptr[1] < next->name.ptr[1]; /* they came as "z0 y1 x2 ..." */
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
  OK(store_look(b->store, SHELF_SENT, "a.json", seen, &shelf, &b->err));
  assert_int_equal(shelf, SHELF_SENT);
}

/* Nothing was read by anybody before. */
RULE(who_counts_knows_without_a_reader_which_are_not_ours) {
  struct box *b = *state;
  struct store_counts c;
  emit_as(b, b->store, "a", "pending");
  emit_as(b, b->store, "b", "dispatched");
  struct store *other = looking(b);
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
  assert_int_equal(told.verdict, EXAMINED_FINE);
  assert_true(told.text.len > 0);
  assert_int_equal(told.next.len, 0);
  if (which == EXAMINE_PLACE) assert_true(told.skew_us == TIME_NONE);
  if (told.skew_us != TIME_NONE) assert_in_range(told.skew_us + 60000000, 0, 120000000);
  buffer_release(&told.text);
  buffer_release(&told.next);
}

RULE(a_doctor_is_told_beside_the_owner_and_leaves_nothing) {
  struct box *b = *state;
  struct store *other = looking(b);
  uint64_t left_out;
  unsigned items = 0;
  examine(other, EXAMINE_PLACE);
  examine(other, EXAMINE_CHANGES);
  examine(b->store, EXAMINE_CHANGES);
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
  char url[300];
  snprintf(url, sizeof url, "%s-new", b->dir);
  assert_int_equal(mkdir(url, 0755), 0);
  snprintf(url, sizeof url, "%s-new", b->url);
  const struct store_options options = {.clock = &clock_system};
  struct store *s = NULL;
  OK(store_open(url, &options, &s, &b->err));
  store_examine(s, EXAMINE_CHANGES, &told);
  assert_true(told.verdict == EXAMINED_NOT || told.verdict == EXAMINED_FINE);
  assert_true(told.text.len > 0);
  buffer_release(&told.text);
  buffer_release(&told.next);
  store_close(s);
  snprintf(url, sizeof url, "%s-new", b->dir);
  store_memory_forget(url);
  assert_int_equal(rmdir(url), 0); /* nothing was made in it */
}

int main(void) {
  int failed = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) failed += tests_run_as(kinds[i]);
  return failed;
}
