/* Who an outbox is, whose, and its notes: rules that every kind of outbox keeps. */
#include "tests/contract/rule.h"

#include <errno.h>
#include <pthread.h>

static const char *note(struct box *b, struct store *s, enum note which) {
  static char text[200];
  struct buffer read = {0};
  enum status st = store_note_read(s, which, &read, &b->err);
  snprintf(text, sizeof text, "%s", st == ST_OK ? buffer_z(&read) : status_name(st));
  buffer_release(&read);
  return text;
}

RULE(its_name_opens_it_again) {
  struct box *b = *state;
  assert_string_equal(store_url(b->store), b->url);
  assert_string_equal(store_name(b->store), b->dir);
}

RULE(the_id_is_made_once_and_outlives_its_owner) {
  struct box *b = *state;
  char id[40];
  snprintf(id, sizeof id, "%s", store_id(b->store));
  assert_int_equal(strlen(id), 36);
  box_restart(b);
  assert_string_equal(store_id(b->store), id);
  struct store *other = box_another(b, false);
  assert_string_equal(store_id(other), id);
  store_close(other);
}

RULE(what_nobody_opened_to_change_has_no_id_and_no_owner) {
  struct box *b = *state;
  char address[200];
  struct store *s = box_bare(b, address);
  assert_string_equal(store_id(s), "");
  assert_int_equal(store_holder(s), 0);
  assert_int_equal(store_lock(s, 0, &b->err), ST_NOT_FOUND);
  assert_string_equal(note(b, s, NOTE_CLUSTER), status_name(ST_NOT_FOUND));
  OK(store_begin(s, &b->config, &b->err));
  struct store_counts counts;
  OK(store_counts(s, &counts, &b->err));
  assert_int_equal(counts.pending, 0);
  store_close(s);
  assert_true(b->kind->remove_bare(address));
}

RULE(one_owner_at_a_time_and_who_it_is_can_be_asked) {
  struct box *b = *state;
  struct store *other = box_another(b, true);
  OK(store_check(b->store, &b->err));
  struct store_owner owner;
  char words[STORE_OWNER_TEXT];
  assert_true(store_owner(other, &owner));
  assert_true(owner.pid == getpid() || owner.pid == -1); /* it may not be known */
  assert_true(owner.here);
  assert_int_equal(store_holder(other), owner.pid);
  assert_true(strstr(store_owner_words(&owner, words), owner.pid > 0 ? "pid " : "another process"));
  assert_int_equal(store_check(other, &b->err), ST_BUSY);
  assert_int_equal(store_lock(other, 20, &b->err), ST_BUSY);
  assert_true(*b->err.text);
  box_stop(b);
  assert_int_equal(store_holder(other), 0);
  assert_false(store_owner(other, &owner));
  OK(store_lock(other, 0, &b->err));
  OK(store_check(other, &b->err));
  store_close(other);
  box_start(b);
}

RULE(who_was_refused_the_lock_may_ask_again_and_again) {
  struct box *b = *state;
  struct store *other = box_another(b, true);
  for (int i = 0; i < 3; i++) assert_int_equal(store_lock(other, 0, &b->err), ST_BUSY);
  box_stop(b);
  OK(store_lock(other, 0, &b->err));
  store_close(other);
  box_start(b);
}

static void *close_soon(void *ctx) {
  usleep(30000);
  store_close(ctx);
  return NULL;
}

RULE(who_waits_for_the_lock_gets_it_when_its_owner_ends) {
  struct box *b = *state;
  struct store *other = box_another(b, true);
  pthread_t closer;
  assert_int_equal(pthread_create(&closer, NULL, close_soon, b->store), 0);
  b->store = NULL;
  OK(store_lock(other, 60000, &b->err));
  assert_int_equal(pthread_join(closer, NULL), 0);
  OK(store_check(other, &b->err));
  store_close(other);
  box_start(b);
}

RULE(a_renewed_id_is_another_and_whoever_owns_it_next_has_it) {
  struct box *b = *state;
  char was[40];
  struct store *waiting = box_another(b, true);
  snprintf(was, sizeof was, "%s", store_id(b->store));
  OK(store_renew_id(b->store, &b->err));
  assert_int_equal(strlen(store_id(b->store)), 36);
  assert_string_not_equal(store_id(b->store), was);
  snprintf(was, sizeof was, "%s", store_id(b->store));
  box_stop(b);
  OK(store_lock(waiting, 0, &b->err));
  assert_string_equal(store_id(waiting), was);
  store_close(waiting);
  box_start(b);
}

RULE(notes_are_replaced_whole_and_read_by_anybody) {
  struct box *b = *state;
  struct store *other = box_another(b, false);
  for (unsigned n = 0; n < NOTES; n++) {
    assert_true(*store_note_name(other, (enum note)n));
    assert_string_equal(note(b, other, (enum note)n), status_name(ST_NOT_FOUND));
    OK(store_note_write(b->store, (enum note)n, SPAN("first and long"), &b->err));
    OK(store_note_write(b->store, (enum note)n, SPAN("second"), &b->err));
    assert_string_equal(note(b, other, (enum note)n), "second");
  }
  box_restart(b);
  assert_string_equal(note(b, b->store, NOTE_HOLDS), "second");
  OK(store_note_remove(b->store, NOTE_HOLDS, &b->err));
  assert_int_equal(store_note_remove(b->store, NOTE_HOLDS, &b->err), ST_NOT_FOUND);
  assert_string_equal(note(b, other, NOTE_HOLDS), status_name(ST_NOT_FOUND));
  assert_string_equal(note(b, other, NOTE_CLUSTER), "second");
  store_close(other);
}

RULE(a_pause_is_told_as_it_was_written_and_one_that_cannot_be_read_is_one) {
  struct box *b = *state;
  struct store_pause pause = {.on = true,
                              .since_us = 1700000000000000,
                              .by = "ann",
                              .reason = "\"quoted\" 星"},
                     read;
  store_pause_read(b->store, &read);
  assert_false(read.on);
  OK(store_pause_write(b->store, &pause, &b->err));
  store_pause_read(b->store, &read);
  assert_true(read.on && read.since_us == pause.since_us);
  assert_string_equal(read.by, pause.by);
  assert_string_equal(read.reason, pause.reason);
  OK(store_note_write(b->store, NOTE_PAUSE, SPAN("[1]"), &b->err));
  store_pause_read(b->store, &read);
  assert_true(read.on);
  assert_non_null(strstr(read.reason, store_note_name(b->store, NOTE_PAUSE)));
  OK(store_pause_remove(b->store, &b->err));
  assert_int_equal(store_pause_remove(b->store, &b->err), ST_NOT_FOUND);
  store_pause_read(b->store, &read);
  assert_false(read.on);
}

RULE(the_ledger_is_remembered_and_a_damaged_one_is_named) {
  struct box *b = *state;
  struct store_ledger ledger = {.topic = "busbridge.ledger", .group = "busbridge-x"}, read;
  assert_int_equal(store_ledger_read(b->store, &read, &b->err), ST_NOT_FOUND);
  OK(store_ledger_write(b->store, &ledger, &b->err));
  OK(store_ledger_read(b->store, &read, &b->err));
  assert_string_equal(read.topic, ledger.topic);
  assert_string_equal(read.group, ledger.group);
  OK(store_note_write(b->store, NOTE_LEDGER, SPAN("one-word"), &b->err));
  assert_int_equal(store_ledger_read(b->store, &read, &b->err), ST_INVALID);
  assert_non_null(strstr(b->err.text, store_note_name(b->store, NOTE_LEDGER)));
}

RULE(nothing_is_on_its_way_and_want_of_space_hinders_more_than_one) {
  struct box *b = *state;
  const struct error full = {.status = ST_NO_SPACE, .sys = ENOSPC};
  assert_int_equal(store_left(b->store, clock_wall_us(&clock_system)), 0);
  assert_false(store_hinders_one(b->store, &full));
}

RULE(entries_are_counted_without_being_read) {
  struct box *b = *state;
  struct store *other = box_another(b, false);
  assert_int_equal(store_estimate(other, LIST_PENDING | LIST_DEAD), 0);
  box_emit(b, "a");
  box_emit(b, "b");
  box_emit(b, "c");
  assert_string_equal(box_take_all(b), "a b c");
  box_dead(b, &b->refs[0], REASON_SCHEMA_MISMATCH);
  assert_int_equal(store_estimate(other, LIST_PENDING), 2);
  assert_int_equal(store_estimate(other, LIST_DEAD), 1);
  assert_int_equal(store_estimate(other, LIST_PENDING | LIST_DEAD), 3);
  store_close(other);
}

RULE(it_is_writable_and_has_room_and_takes_lines_of_the_audit) {
  struct box *b = *state;
  struct store_space space;
  store_space(b->store, &space);
  assert_true(!space.known || (space.bytes > 0 && space.entries != 0));
  OK(store_writable(b->store, &b->err));
  OK(store_audit(b->store, SPAN("{\"what\": 1}\n"), &b->err));
  OK(store_audit(b->store, SPAN("{\"what\": 2}\n"), &b->err));
}

static const char *selection(struct box *b, uint64_t number, uint64_t at, size_t most) {
  static char text[200];
  struct buffer read = {0};
  OK(store_selection_read(b->store, number, at, most, &read, &b->err));
  snprintf(text, sizeof text, "%s", buffer_z(&read));
  buffer_release(&read);
  return text;
}

static uint64_t freeze(struct box *b, bool commit) {
  struct store_draft d = {0};
  uint64_t number = 0;
  OK(store_draft_begin(b->store, &d, &b->err));
  OK(store_draft_add(&d, SPAN("one\n"), &b->err));
  OK(store_draft_add(&d, SPAN("two\n"), &b->err));
  if (commit) OK(store_draft_commit(&d, &number, &b->err));
  store_draft_close(&d);
  return number;
}

RULE(a_selection_is_there_whole_or_not_at_all_and_then_grows_by_lines) {
  struct box *b = *state;
  uint64_t numbers[SELECTIONS_MOST], size = 0;
  size_t count = 1;
  freeze(b, false);
  OK(store_selections(b->store, numbers, &count, &b->err));
  assert_int_equal(count, 0);
  uint64_t first = freeze(b, true), second = freeze(b, true);
  assert_true(first < second);
  OK(store_selection_add(b->store, first, SPAN("half"), &b->err));
  OK(store_selection_add(b->store, first, SPAN("whole\n"), &b->err));
  box_restart(b);
  OK(store_selections(b->store, numbers, &count, &b->err));
  assert_true(count == 2 && numbers[0] == first && numbers[1] == second);
  assert_string_equal(selection(b, first, 0, 100), "one\ntwo\nhalf\nwhole\n");
  assert_string_equal(selection(b, first, 4, 3), "two");
  OK(store_selection_size(b->store, second, &size, &b->err));
  assert_int_equal(size, 8);
  OK(store_selection_remove(b->store, second, &b->err));
  assert_int_equal(store_selection_remove(b->store, second, &b->err), ST_NOT_FOUND);
  assert_int_equal(store_selection_size(b->store, second, &size, &b->err), ST_NOT_FOUND);
  assert_int_equal(store_selection_add(b->store, second, SPAN("x\n"), &b->err), ST_NOT_FOUND);
  assert_true(freeze(b, true) > second); /* no number is used twice */
}

int main(void) {
  return rules_of_each_kind();
}
