/* Files that are still being written. */
#include "tests/unit/clock_box.h"

#define CASE(name) TEST_WITH(name, box_open, reset_clock)

CASE(half_a_file_waits_until_it_is_whole) {
  struct box *b = *state;
  use_clock(b);
  box_take_all(b);
  int fd = open(path_of(b, "a.json"), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), ""); /* empty */
  assert_int_equal(box_counts(b).growing, 1);
  assert_int_equal(box_counts(b).pending, 1);
  const char *text = "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\"}";
  assert_int_equal(write(fd, text, 20), 20);
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).growing, 1);
  assert_int_equal(write(fd, text + 20, strlen(text) - 20), strlen(text) - 20);
  close(fd);
  assert_string_equal(box_take_all(b), "a");
  assert_int_equal(box_counts(b).growing, 0);
  assert_int_equal(box_counts(b).pending, 1);
}

CASE(what_does_not_parse_is_handed_out_once_settled) {
  struct box *b = *state;
  struct entry e;
  use_clock(b);
  put(b, "bad.json", "{\"id\": \"a\", ");
  put(b, "empty.json", "");
  put(b, "nan.json", "{\"x\": NaN}");
  put(b, "list.json", "[1]");
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 900);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(box_counts(b).growing, 4);
  clock_pass(&clock_now, 200);
  unsigned seen = 0;
  while (box_next(b, &e) == ST_OK) {
    assert_non_null(e.error);
    if (span_is(e.ref.label, "bad.json")) assert_int_equal(e.reason, REASON_NOT_JSON), seen |= 1;
    if (span_is(e.ref.label, "empty.json"))
      assert_int_equal(e.reason, REASON_EMPTY_FILE), seen |= 2;
    if (span_is(e.ref.label, "nan.json"))
      assert_int_equal(e.reason, REASON_NOT_A_NUMBER), seen |= 4;
    if (span_is(e.ref.label, "list.json")) assert_int_equal(e.reason, REASON_NOT_OBJECT), seen |= 8;
  }
  assert_int_equal(seen, 15);
  assert_int_equal(box_counts(b).growing, 0);
  assert_int_equal(box_counts(b).in_hand, 4);
  assert_int_equal(box_counts(b).pending, 4);
}

CASE(a_change_begins_the_waiting_anew) {
  struct box *b = *state;
  use_clock(b);
  put(b, "a.json", "{");
  box_take_all(b);
  clock_pass(&clock_now, 900);
  folder_tick(b->dir); /* another ctime */
  put(b, "a.json", "{{");
  box_take_all(b);
  clock_pass(&clock_now, 900);
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 200);
  assert_string_equal(box_take_all(b), "a.json!not_json");
}

CASE(old_broken_files_need_no_waiting_unless_the_clock_stepped) {
  struct box *b = *state;
  put(b, "a.json", "{");
  use_clock(b);
  clock_pass(&clock_now, 5000);
  assert_string_equal(box_take_all(b), "a.json!not_json");
  box_release_all(b);
  clock_now.wall_us += 86400ll * 1000000; /* a day, at once */
  put(b, "b.json", "{");
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 999);
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 2);
  box_take_all(b);
  assert_int_equal(b->count, 2);
  box_release_all(b);
  clock_now.wall_us -= 5 * 86400ll * 1000000; /* back: files from the future */
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 1001);
  box_take_all(b);
  assert_int_equal(b->count, 2);
}

CASE(too_large_is_handed_out_unread) {
  struct box *b = *state;
  struct entry e;
  box_stop(b);
  b->config.max_entry_bytes = 100;
  box_start(b);
  put_pending(b, "a");
  enum status st = ST_AGAIN;
  for (int i = 0; i < 600 && (st = box_next(b, &e)) == ST_AGAIN; i++) store_wait(b->store, 100);
  OK(st);
  assert_int_equal(e.reason, REASON_TOO_LARGE);
  assert_int_equal(e.text.len, 0);
  assert_non_null(strstr(e.error, "max_entry_bytes"));
  box_dead(b, &e.ref, e.reason);
  assert_true(exists(b, "dlq/a.raw"));
}

CASE(a_growing_file_that_goes_or_becomes_foreign_is_forgotten) {
  struct box *b = *state;
  use_clock(b);
  put(b, "a.json", "{"), put(b, "b.json", "{"), put(b, "c.json", "{");
  box_take_all(b);
  assert_int_equal(box_counts(b).growing, 3);
  assert_int_equal(unlink(path_of(b, "a.json")), 0);
  put(b, "b.json", "{\"other\": 1}");
  assert_string_equal(box_take_all(b), "");
  clock_pass(&clock_now, 1001);
  assert_string_equal(box_take_all(b), "c.json!not_json");
  struct store_counts c = box_counts(b);
  assert_int_equal(c.growing, 0);
  assert_int_equal(c.foreign, 1);
  assert_int_equal(c.pending, 1);
}

CASE(a_wait_ends_when_a_growing_file_is_due) {
  struct box *b = *state;
  put(b, "a.json", "{");
  box_take_all(b);
  store_wait(b->store, -1); /* for ever, but for that file */
  while (!*box_take_all(b)) store_wait(b->store, -1);
  assert_string_equal(b->ids, "a.json!not_json");
}

/* It was growing when an earlier scan saw it; it is due just when a later scan's group has read it.
 */
CASE(a_growing_file_that_is_listed_too_comes_once) {
  struct box *b = *state;
  struct entry e;
  use_clock(b);
  put(b, "c.json", "{");
  assert_string_equal(box_take_all(b), "");
  const char *ids[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; i++) {
    char name[20];
    snprintf(name, sizeof name, "%s.json", ids[i]);
    put_pending(b, ids[i]);
    set_mtime(b, name, 1700000000, 0);
  }
  store_rescan(b->store);
  OK(box_next(b, &e)); /* the group is read */
  assert_true(span_is(e.event.id, "a"));
  clock_pass(&clock_now, 1001);
  OK(box_next(b, &e));
  assert_true(span_is(e.event.id, "c"));
  box_done(b, &e.ref, SETTLED_GONE);
  assert_string_equal(box_take_all(b), "b d");
}

CASE(what_is_no_text_is_not_being_written_because_the_clock_was_set_back) {
  struct box *b = *state;
  struct failure why = {.reason = REASON_NOT_JSON, .attempts = 1};
  enum settled how = SETTLED_VANISHED;
  use_clock(b);
  put(b, "a.json", "{");
  box_take_all(b);
  clock_pass(&clock_now, 1100);
  box_take_all(b);
  assert_int_equal(b->count, 1);
  folder_tick(b->dir); /* another ctime */
  assert_int_equal(chmod(path_of(b, "a.json"), 0600), 0);
  clock_now.wall_us -= INT64_C(86400) * 1000000;
  enum status st = store_dead(b->store, &b->refs[0], &why, &how, &b->err);
  if (st != ST_OK) fail_msg("%s", b->err.text);
  assert_int_equal(how,
                   SETTLED_CHANGED); /* without an id it cannot be known again: it is read anew */
}
