/* store_typed_test.c - an outbox of files with the older typed bus's own as a second intake: the
 * moves hold there as in the outbox, and that bus may work on it at the same time. */
#include "bridge/outbox/manifest.h"
#include "tests/unit/store_faults.h"
#include "tests/unit/typed_box.h"

#include <errno.h>

static void make_left(struct box *b) {
  clear_typed(b);
  put_message(b, UNDER_WAY, "a", "processing");
  set_mtime(b, UNDER_WAY, 1700000000, 77);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
}

static void check_nothing_else(struct box *b) {
  assert_int_equal(files_in(b, "typed/.busbridge/tmp") + files_in(b, "bus/.busbridge/tmp"), 0);
  assert_int_equal(files_in(b, "bus") + files_in(b, "bus/dlq") + files_in(b, "typed"), 0);
}

static enum status move_retry(struct box *b) {
  struct failure why = box_failure(REASON_BROKER_REFUSED, 2);
  enum settled how;
  return store_retry(b->store, &b->refs[0], &why, &how, &b->err);
}

static void check_retry(struct box *b, bool said_done) {
  assert_string_equal(box_take_all(b), "a");
  assert_int_equal(b->refs[0].arrived_ns, 1700000000000000077);
  unsigned attempts = box_list(b, LIST_PENDING, 0, NULL).last.attempts;
  if (said_done) assert_int_equal(attempts, 2);
  assert_int_equal(lie(b), 1);
  check_nothing_else(b);
}

static enum status move_dead(struct box *b) {
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  enum settled how;
  return store_dead(b->store, &b->refs[0], &why, &how, &b->err);
}

static void check_dead(struct box *b, bool said_done) {
  box_take_all(b);
  bool dead = exists(b, "typed/errored/a.json");
  assert_int_equal(b->count, !dead);
  assert_int_equal(lie(b), 1);
  if (said_done) assert_true(dead);
  if (dead) {
    assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).token, "typed/errored/a.json");
    assert_int_equal(mtime_of(b, "typed/errored/a.json"), 1700000000000000077);
    assert_non_null(strstr(text_of(b, "typed/errored/a.json"), "\"status\": \"errored\""));
    assert_non_null(strstr(text_of(b, "typed/errored/a.json"), "{\"n\": 1.50}"));
    assert_null(strstr(text_of(b, "typed/errored/a.json"), "storage_key"));
  }
  check_nothing_else(b);
}

static void make_broken(struct box *b) {
  clear_typed(b);
  put(b, WAITS, "{\"message_id\": broken");
  store_rescan(b->store);
  assert_string_equal(box_take_some(b), "a.json!not_json");
}

static void check_raw(struct box *b, bool said_done) {
  bool dead = exists(b, "typed/errored/a.raw");
  assert_int_equal(dead + exists(b, WAITS), 1);
  assert_string_equal(text_of(b, dead ? "typed/errored/a.raw" : WAITS), "{\"message_id\": broken");
  if (said_done) assert_true(dead);
  if (!dead) {
    assert_string_equal(box_take_some(b), "a.json!not_json");
    box_dead(b, &b->refs[0], REASON_NOT_JSON);
  }
  assert_int_equal(lie(b), 2);
  check_nothing_else(b);
}

static void make_dead(struct box *b) {
  make_waiting(b);
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
}

static enum status move_replay(struct box *b) {
  return store_replay(b->store, SHELF_DEAD, "typed/errored/a.json", &b->err);
}

static void check_replay(struct box *b, bool said_done) {
  check_dead(b, false);
  if (said_done) assert_non_null(strstr(text_of(b, WAITS), "\"status\": \"pending\""));
}

static void make_raw(struct box *b) {
  make_broken(b);
  box_dead(b, &b->refs[0], REASON_NOT_JSON);
}

static void check_raw_replay(struct box *b, bool said_done) {
  if (said_done) assert_true(exists(b, WAITS) && !files_in(b, "typed/errored"));
  check_raw(b, false);
}

static void check_done(struct box *b, bool said_done) {
  box_take_all(b);
  if (said_done) assert_string_equal(b->ids, "");
  if (said_done) assert_true(exists(b, "typed/sent/a.json"));
  assert_int_equal(lie(b), 1);
  check_nothing_else(b);
}

CASE(retry_survives_every_fault_there) {
  try_all(*state, make_waiting, move_retry, check_retry);
}
CASE(dead_survives_every_fault_there) {
  try_all(*state, make_waiting, move_dead, check_dead);
}
CASE(dead_out_of_processing_survives_every_fault) {
  try_all(*state, make_left, move_dead, check_dead);
}
CASE(raw_dead_survives_every_fault_there) {
  try_all(*state, make_broken, move_dead, check_raw);
}
CASE(replay_survives_every_fault_there) {
  try_all(*state, make_dead, move_replay, check_replay);
}
CASE(raw_replay_survives_every_fault_there) {
  try_all(*state, make_raw, move_replay, check_raw_replay);
}
CASE(done_survives_every_fault_there) {
  struct box *b = *state;
  b->config.keep_sent = true;
  box_restart(b);
  try_all(b, make_waiting, move_published, check_done);
}

#define NEWER                                                                                      \
  "{\"id\": \"n\", \"message_type\": \"event\", \"message_name\": \"PlotSaved\", \"payload\": "    \
  "{\"s\": 1.50}, \"original_error\": \"boom\", \"attempt_count\": 4, \"first_failed_at\": "       \
  "\"2025-01-01T00:00:00+00:00\", \"last_failed_at\": null, \"metadata\": {}}"

static void make_newer(struct box *b) {
  clear_typed(b);
  put(b, "typed/errored/dlq_n.json", NEWER);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
}

static enum status move_newer(struct box *b) {
  return store_replay(b->store, SHELF_DEAD, "typed/errored/dlq_n.json", &b->err);
}

static void check_newer(struct box *b, bool said_done) {
  box_take_all(b);
  assert_int_equal(lie(b), 1);
  if (said_done) assert_string_equal(b->ids, "n");
  if (!b->count) assert_string_equal(text_of(b, "typed/errored/dlq_n.json"), NEWER);
  check_nothing_else(b);
}

CASE(the_newer_producers_letter_is_replayed_as_a_message) {
  struct box *b = *state;
  make_newer(b);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "n");
  assert_string_equal(l.name, "PlotSaved");
  assert_string_equal(l.last_error, "boom");
  OK(move_newer(b));
  assert_string_equal(
      text_of(b, "typed/pending/n.json"),
      "{\"message_id\": \"n\", \"event_type\": \"PlotSaved\", \"payload\": {\"s\": 1.50}, "
      "\"occurred_at\": \"2025-01-01T00:00:00.000000+00:00\", \"aggregate_id\": null, "
      "\"status\": \"pending\", \"attempts\": 0, \"last_error\": null, "
      "\"created_at\": \"2025-01-01T00:00:00.000000+00:00\"}");
  assert_string_equal(box_take_all(b), "n");
  try_all(b, make_newer, move_newer, check_newer);
}

/* ---- that bus works on it too ---- */

CASE(what_it_takes_up_while_we_have_it_goes_out_all_the_same) {
  struct box *b = *state;
  for (int back = 0; back < 2; back++) {
    make_waiting(b);
    struct entry_ref ref = b->refs[0];
    assert_int_equal(rename(path_of(b, WAITS), path_of(b, UNDER_WAY)), 0);
    put_message(b, UNDER_WAY, "a", "processing");
    if (back) assert_int_equal(rename(path_of(b, UNDER_WAY), path_of(b, WAITS)), 0);
    box_done(b, &ref, SETTLED_GONE);
    assert_int_equal(lie(b), 0);
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
  }
}

CASE(so_it_does_after_a_restart_there) {
  struct box *b = *state;
  enum settled how;
  make_waiting(b);
  struct entry_ref ref = b->refs[0];
  assert_int_equal(rename(path_of(b, WAITS), path_of(b, UNDER_WAY)), 0);
  box_restart(b);
  OK(box_late(b, &ref, "a", &how));
  assert_int_equal(how, SETTLED_GONE);
  assert_int_equal(lie(b), 0);
}

CASE(what_it_has_sent_itself_is_left_in_its_sent) {
  struct box *b = *state;
  make_waiting(b);
  assert_int_equal(rename(path_of(b, WAITS), path_of(b, "typed/sent/a.json")), 0);
  box_done(b, &b->refs[0], SETTLED_VANISHED);
  assert_true(exists(b, "typed/sent/a.json"));
}

CASE(another_event_of_that_name_is_kept_there) {
  struct box *b = *state;
  make_waiting(b);
  struct entry_ref ref = b->refs[0];
  unlink(path_of(b, WAITS));
  put_message(b, UNDER_WAY, "other", "processing");
  set_mtime(b, UNDER_WAY, 1700000000, 0);
  box_done(b, &ref, SETTLED_VANISHED);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "other");
  put_message(b, UNDER_WAY, "third", "processing");
  box_done(b, &b->refs[0], SETTLED_CHANGED);
  assert_non_null(strstr(text_of(b, UNDER_WAY), "third"));
}

CASE(processing_is_ours_after_the_time_out_by_its_mtime) {
  struct box *b = *state;
  struct test_clock clock;
  clock_begin(&clock);
  b->options.clock = &clock.clock;
  box_restart(b);
  put_message(b, UNDER_WAY, "a", "whatever");
  int64_t now_s = clock.wall_us / 1000000;
  set_mtime(b, UNDER_WAY, now_s - 290, 0);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).foreign, 1);
  assert_int_equal(box_counts(b).foreign_typed, 1);
  assert_int_equal(box_counts(b).pending, 0);
  assert_string_equal(box_list(b, LIST_PENDING | LIST_LOOK, 0, NULL).ids, "");
  clock_pass(&clock, 11000);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a");
  assert_int_equal(box_counts(b).foreign, 0);
  assert_int_equal(box_counts(b).pending, 1);
}

CASE(statuses_of_others_are_left_and_named_once) {
  struct box *b = *state;
  static const char *const statuses[] = {"sent", "errored", "processing", "dlq"};
  struct log *log;
  FILE *f = log_begin(b, &log);
  b->options.log = log;
  box_restart(b);
  for (size_t i = 0; i < 4; i++) {
    char path[60];
    snprintf(path, sizeof path, "typed/pending/%zu.json", i);
    put_message(b, path, "x", statuses[i]);
  }
  for (int i = 0; i < 3; i++) {
    store_rescan(b->store);
    assert_string_equal(box_take_all(b), "");
  }
  assert_int_equal(box_counts(b).foreign_typed, 4);
  assert_int_equal(logged(f, "entry_left"), 4);
  box_stop(b);
  log_close(log);
  fclose(f);
  b->options.log = NULL;
  box_start(b);
}

/* ---- two folders, one outbox ---- */

CASE(both_are_one_scan_in_order_of_arrival) {
  struct box *b = *state;
  put_entry(b, "bus/b.json", "b", "pending", "2025-01-01T00:00:00+00:00");
  put_message(b, "typed/pending/b.json", "c", "pending");
  put_message(b, UNDER_WAY, "a", "processing");
  set_mtime(b, UNDER_WAY, 1000, 0);
  set_mtime(b, "bus/b.json", 1001, 0);
  set_mtime(b, "typed/pending/b.json", 1002, 0);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a b c");
  assert_int_equal(box_counts(b).pending, 3);
  box_done_all(b);
  assert_int_equal(lie(b) + files_in(b, "bus"), 0);
}

CASE(an_entry_is_found_by_both_ids_and_by_where_it_lies) {
  struct box *b = *state;
  uint64_t total;
  put_message(b, "typed/errored/x.json", "x", "errored");
  put(b, "bus/dlq/x.json",
      "{\"id\": \"y\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"dlq\"}");
  static const char *const words[] = {"typed/errored/x.json", "typed/errored/x", "m-x"};
  for (size_t i = 0; i < 3; i++) {
    assert_string_equal(box_find(b, LIST_DEAD, words[i], &total).ids, "x");
    assert_int_equal(total, 1);
  }
  assert_string_equal(box_find(b, LIST_DEAD, "dlq/x.json", &total).ids, "y");
  assert_string_equal(box_find(b, LIST_DEAD, "x", &total).ids, "y x");
  static const char *const none[] = {"typed/errored/", "typed/errored/../x", "typed/pending/x"};
  for (size_t i = 0; i < 3; i++) {
    box_find(b, LIST_DEAD | LIST_PENDING, none[i], &total);
    assert_int_equal(total, 0);
  }
}

CASE(dead_letters_of_both_are_replayed_and_purged_together) {
  struct box *b = *state;
  put_message(b, "typed/errored/x.json", "x", "errored");
  put(b, "bus/dlq/y.json",
      "{\"id\": \"y\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"dlq\"}");
  struct letter list[] = {{.token = "y.json", .when_us = TIME_NONE},
                          {.token = "typed/errored/x.json", .when_us = TIME_NONE},
                          {.token = "typed/errored/none.json", .when_us = TIME_NONE},
                          {.token = "typed/pending/x.json", .when_us = TIME_NONE}};
  store_replay_all(b->store, list, 4, NULL, NULL);
  assert_int_equal(list[0].status, ST_OK);
  assert_int_equal(list[1].status, ST_OK);
  assert_int_equal(list[2].status, ST_NOT_FOUND);
  assert_int_equal(list[3].status, ST_INVALID);
  assert_true(exists(b, "bus/y.json") && exists(b, "typed/pending/x.json"));
  put_message(b, "typed/errored/x.json", "x", "errored");
  store_purge(b->store, &list[1], 1);
  assert_int_equal(list[1].status, ST_OK);
  assert_int_equal(files_in(b, "typed/errored"), 0);
}

CASE(what_was_under_way_there_is_not_forgotten_while_it_is_off) {
  struct box *b = *state;
  enum settled how;
  make_waiting(b);
  struct entry_ref ref = b->refs[0];
  box_stop(b);
  b->options.typed = NULL;
  box_start(b);
  assert_int_equal(box_late(b, &ref, "a", &how), ST_INVALID);
  assert_non_null(strstr(b->err.text, "outbox.typed"));
  assert_true(exists(b, WAITS));
  box_stop(b);
  b->options.typed = typed_dir;
  box_start(b);
  OK(box_late(b, &ref, "a", &how));
  assert_int_equal(how, SETTLED_GONE);
}

/* A manifest names it by its place alone: in another folder it would be taken for vanished, its
 * batch for settled, and sent again once the first one is set again. */
CASE(another_folder_waits_until_what_a_batch_names_here_is_settled) {
  struct box *b = *state;
  char other[700];
  struct manifest m = {.number = 1, .count = 1};
  struct manifest_name name = {.number = 1};
  make_waiting(b);
  struct manifest_entry entry = {.ref = b->refs[0], .id = SPAN("a"), .topic = SPAN("t")};
  m.entries = &entry;
  OK(manifest_write(b->store, &m, "nonce", &b->err));
  memcpy(name.digest, m.digest, sizeof name.digest);
  box_stop(b);
  snprintf(other, sizeof other, "%s", path_of(b, "typed2"));
  assert_int_equal(mkdir(other, 0770), 0);
  b->options.typed = other;
  box_meet(b);
  assert_int_equal(store_lock(b->store, 0, &b->err), ST_INVALID);
  assert_non_null(strstr(b->err.text, "typed2 is another folder than "));
  assert_non_null(strstr(b->err.text, "batch 1"));
  box_stop(b);
  b->options.typed = typed_dir;
  box_start(b);
  OK(manifest_settle(b->store, &name, &b->err));
  box_stop(b);
  b->options.typed = other;
  box_start(b);
}

CASE(it_must_be_apart_and_has_a_lock_of_its_own) {
  struct box *b = *state;
  struct store *second;
  char url[300], path[700];
  static const char *const wrong[][2] = {
      {"bus", " is the outbox"}, {".", " holds the outbox"}, {"bus/dlq", " lies in the outbox"}};
  struct store_options options = b->options;
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s", path_of(b, wrong[i][0]));
    options.typed = path;
    assert_int_equal(store_open(b->url, &options, &second, &b->err), ST_INVALID);
    assert_non_null(strstr(b->err.text, wrong[i][1]));
  }
  assert_int_equal(mkdir(path_of(b, "bus2"), 0770), 0);
  snprintf(url, sizeof url, "file:%s/bus2", b->dir);
  OK(store_open(url, &b->options, &second, &b->err));
  assert_int_equal(store_lock(second, 0, &b->err), ST_BUSY);
  assert_non_null(strstr(b->err.text, "outbox.typed"));
  store_close(second);
}
