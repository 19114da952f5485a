/* What Redis has yet to be told (keys_due.h): rules that every kind of outbox keeps. A crash is a
 * handle that ends between two calls; one within a call is a matter of the kind
 * (unit.store_keys_due_crash). */
#include "bridge/outbox/keys_due.h"
#include "tests/contract/rule.h"

#define MOST 16
#define TEXT 600

static uint64_t add(struct box *b, int from, int to) {
  struct key keys[64];
  char ids[64][16];
  bool done[64] = {false};
  uint64_t given_up = 0;
  for (int i = from; i < to; i++) {
    snprintf(ids[i - from], sizeof ids[0], "id-%d", i);
    keys[i - from] = (struct key){span_of(ids[i - from]), SPAN("plot.events/0/7")};
  }
  OK(store_keys_due_add(b->store, keys, done, (size_t)(to - from), &given_up, &b->err));
  return given_up;
}

static bool has(struct box *b, int number) {
  char id[16];
  snprintf(id, sizeof id, "id-%d", number);
  return store_keys_due_has(b->store, span_of(id));
}

/* "3 4 5": the next ones, at most max, perhaps fewer. */
static size_t read_some(struct box *b, size_t max, char text[TEXT]) {
  struct key keys[64];
  size_t count;
  OK(store_keys_due_read(b->store, keys, max, &count, &b->err));
  assert_true(count <= max);
  for (size_t i = 0; i < count; i++) {
    assert_true(span_is(keys[i].place, "plot.events/0/7"));
    assert_true(keys[i].id.len > 3 && !memcmp(keys[i].id.ptr, "id-", 3));
    size_t len = strlen(text);
    snprintf(text + len, TEXT - len, "%s%.*s", len ? " " : "", (int)keys[i].id.len - 3,
             keys[i].id.ptr + 3);
  }
  return count;
}

static void drop(struct box *b) {
  OK(store_keys_due_drop(b->store, &b->err));
}

/* All of them, in order. */
static const char *take_all(struct box *b) {
  static char text[TEXT];
  text[0] = '\0';
  while (read_some(b, 64, text)) drop(b);
  assert_int_equal(store_keys_due_count(b->store), 0);
  return text;
}

static void due(struct box *b) {
  OK(store_keys_due_open(b->store, MOST, &b->err));
}

/* The process ends here, and the next one looks. */
static void crash(struct box *b) {
  box_restart(b);
  due(b);
}

RULE(keys_come_out_in_the_order_they_went_in) {
  struct box *b = *state;
  due(b);
  assert_string_equal(take_all(b), "");
  assert_int_equal(add(b, 0, 5), 0);
  assert_int_equal(add(b, 5, 7), 0);
  assert_int_equal(store_keys_due_count(b->store), 7);
  assert_true(has(b, 0) && has(b, 6) && !has(b, 7));
  char once[TEXT] = "", again[TEXT] = "";
  size_t some = read_some(b, 3, once);
  assert_true(some >= 1);
  assert_int_equal(read_some(b, 3, again), some); /* not told yet */
  assert_string_equal(again, once);
  drop(b);
  assert_int_equal(store_keys_due_count(b->store), 7 - some);
  assert_string_equal(take_all(b), &"0 1 2 3 4 5 6"[2 * some]);
  assert_false(has(b, 0) || has(b, 6));
  assert_int_equal(add(b, 7, 8), 0);
  assert_string_equal(take_all(b), "7");
}

RULE(what_is_done_already_is_not_due) {
  struct box *b = *state;
  const struct key keys[3] = {
      {SPAN("id-1"), SPAN("p")}, {SPAN("id-2"), SPAN("p")}, {SPAN("id-3"), SPAN("p")}};
  const bool some[3] = {true, false, true}, all[3] = {true, true, true};
  uint64_t given_up = 0;
  due(b);
  OK(store_keys_due_add(b->store, keys, all, 3, &given_up, &b->err));
  assert_int_equal(store_keys_due_count(b->store), 0);
  OK(store_keys_due_add(b->store, keys, some, 3, &given_up, &b->err));
  assert_int_equal(store_keys_due_count(b->store), 1);
  assert_true(has(b, 2) && !has(b, 1) && !has(b, 3));
}

RULE(an_end_after_any_call_loses_none_and_doubles_none) {
  struct box *b = *state;
  due(b);
  for (int i = 0; i < 9; i++) {
    add(b, i, i + 1);
    crash(b);
    assert_int_equal(store_keys_due_count(b->store), i + 1);
  }
  char told[TEXT] = "";
  assert_true(read_some(b, 64, told) >= 1);
  crash(b);
  assert_string_equal(take_all(b), "0 1 2 3 4 5 6 7 8");
  crash(b);
  assert_string_equal(take_all(b), "");
  assert_int_equal(store_keys_due_count(b->store), 0);
}

/* Those that were dropped may come again, but each once, and in their order. */
RULE(an_end_after_some_were_dropped_loses_none_of_the_others) {
  struct box *b = *state;
  due(b);
  add(b, 0, 9);
  char told[TEXT] = "";
  for (size_t n = 0; n < 4; drop(b)) n += read_some(b, 4 - n, told);
  assert_string_equal(told, "0 1 2 3");
  crash(b);
  const char *left = take_all(b);
  assert_true(strlen(left) >= strlen("4 5 6 7 8"));
  assert_non_null(strstr("0 1 2 3 4 5 6 7 8", left));
  assert_string_equal(left + strlen(left) - 9, "4 5 6 7 8");
}

RULE(the_oldest_are_given_up_when_there_are_too_many) {
  struct box *b = *state;
  uint64_t given_up = 0;
  due(b);
  for (int i = 0; i < 60; i++) {
    given_up += add(b, i, i + 1);
    assert_true(store_keys_due_count(b->store) <= MOST + MOST / 8);
    assert_int_equal(store_keys_due_count(b->store) + given_up, i + 1);
    assert_true(has(b, i));
  }
  assert_true(given_up >= 60 - (MOST + MOST / 8));
  assert_false(has(b, (int)given_up - 1));
  assert_true(has(b, (int)given_up));
  crash(b);
  assert_int_equal(store_keys_due_count(b->store) + given_up, 60);
  char first[16];
  snprintf(first, sizeof first, "%d ", (int)given_up);
  assert_int_equal(strncmp(take_all(b), first, strlen(first)), 0);
}

RULE(who_inspects_knows_all_and_changes_nothing) {
  struct box *b = *state;
  struct box other = *b;
  due(b);
  add(b, 0, 5);
  other.store = box_another(b, false);
  due(&other);
  assert_int_equal(store_keys_due_count(other.store), 5);
  assert_true(has(&other, 4) && !has(&other, 5));
  add(b, 5, 6);
  due(&other); /* anew */
  assert_true(has(&other, 5));
  store_close(other.store);
  assert_string_equal(take_all(b), "0 1 2 3 4 5");
}

int main(void) {
  return rules_of_each_kind();
}
