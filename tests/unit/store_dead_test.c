/* Dead letters of the file store: their forms, their names, and the way back. */
#include "tests/unit/files.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static void kill_entry(struct box *b, enum reason reason) {
  box_take_some(b);
  assert_int_equal(b->count, 1);
  box_dead(b, &b->refs[0], reason);
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(the_dead_form_keeps_every_byte_and_adds_after_the_ten_keys) {
  struct box *b = *state;
  put(b, "a.json",
      "{\"id\": \"a\",\"name\":\"x.y\",  \"payload\": {\"n\": 1.50, \"status\": \"pending\"}, \"created_at\": "
      "\"2025-01-01T00:00:00\", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": null, \"failed_at\": null, "
      "\"status\": \"pending\", \"storage_key\": \"a\", \"mine\": [1 , 2]}");
  set_mtime(b, "a.json", 1700000000, 123456789);
  store_rescan(b->store);
  kill_entry(b, REASON_SCHEMA_MISMATCH);
  assert_false(exists(b, "a.json"));
  assert_string_equal(
      text_of(b, "dlq/a.json"),
      "{\"id\": \"a\",\"name\":\"x.y\",  \"payload\": {\"n\": 1.50, \"status\": \"pending\"}, \"created_at\": "
      "\"2025-01-01T00:00:00\", \"attempts\": 1, \"dispatched_at\": null, \"last_error\": \"field \\\"x\\\" is wrong\", "
      "\"failed_at\": \"2023-11-14T22:13:21.000000+00:00\", \"status\": \"dlq\", \"storage_key\": \"a\", \"mine\": [1 , 2], "
      "\"reason\": \"schema_mismatch\", \"error_code\": 87, \"topic\": \"episode.events\", \"first_failed_at\": "
      "\"2023-11-14T22:13:21.000000+00:00\"}");
  assert_int_equal(mtime_of(b, "dlq/a.json"), 1700000000123456789);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

CASE(missing_keys_of_the_contract_are_added) {
  struct box *b = *state;
  struct failure why = {.reason = REASON_BAD_NAME, .attempts = 2, .failed_us = 0};
  enum settled how;
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  put(b, "pending/k.json", "{\"id\": \"a\", \"name\": \"x.y\", \"payload\": {}}");
  set_mtime(b, "pending/k.json", 1700000000, 0);
  store_rescan(b->store);
  box_take_all(b);
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_string_equal(
      text_of(b, "dlq/k.json"),
      "{\"id\": \"a\", \"name\": \"x.y\", \"payload\": {}, \"created_at\": "
      "\"2023-11-14T22:13:20.000000+00:00\", \"attempts\": 2, \"dispatched_at\": null, \"last_error\": "
      "\"bad_name\", \"failed_at\": \"1970-01-01T00:00:00.000000+00:00\", \"status\": \"dlq\", "
      "\"storage_key\": \"k\", \"reason\": \"bad_name\", \"error_code\": null, \"topic\": null, "
      "\"first_failed_at\": \"1970-01-01T00:00:00.000000+00:00\"}");
}

CASE(a_taken_name_gets_a_number) {
  struct box *b = *state;
  for (int i = 0; i < 3; i++) {
    put_pending(b, "a");
    kill_entry(b, REASON_BAD_NAME);
  }
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/a__1.json") && exists(b, "dlq/a__2.json"));
  uint64_t total;
  box_find(b, LIST_DEAD, "a", &total);
  assert_int_equal(total, 3);
  struct box_listed l = box_find(b, LIST_DEAD, "a__1", &total);
  assert_int_equal(total, 1);
  assert_string_equal(l.token, "a__1.json");
  OK(store_replay(b->store, SHELF_DEAD, "a__1.json", &b->err));
  assert_true(exists(b, "a__1.json"));
  assert_int_equal(box_counts(b).dead, 2);
}

/* ---- raw ---- */

CASE(what_is_no_json_goes_unread_beside_a_descriptor) {
  struct box *b = *state;
  put(b, "a.json", "{\"id\": \"a\", \xff");
  set_mtime(b, "a.json", 1700000000, 5);
  kill_entry(b, REASON_INVALID_UTF8);
  assert_string_equal(text_of(b, "dlq/a.raw"), "{\"id\": \"a\", \xff");
  assert_int_equal(mtime_of(b, "dlq/a.raw"), 1700000000000000005);
  assert_false(exists(b, "a.json"));
  const char *text = text_of(b, "dlq/a.json");
  assert_ptr_equal(
      strstr(text,
             "{\"id\": \"a\", \"name\": \"\", \"payload\": {}, \"created_at\": "
             "\"2023-11-14T22:13:20.000000+00:00\", \"attempts\": 1, \"dispatched_at\": null, "
             "\"last_error\": \"field \\\"x\\\" is wrong\", \"failed_at\": "
             "\"2023-11-14T22:13:21.000000+00:00\", \"status\": \"dlq\", \"storage_key\": \"a\", "
             "\"reason\": \"invalid_utf8\", \"error_code\": 87, \"inode\": "),
      text);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "a");
  assert_true(l.last.raw);
  assert_int_equal(l.last.size, 13);
  assert_int_equal(box_counts(b).dead, 1);
}

CASE(a_raw_one_mended_by_hand_is_replayed_as_it_is_now) {
  struct box *b = *state;
  put(b, "a.json", "{\"id\": \"a\", ");
  kill_entry(b, REASON_NOT_JSON);
  put(b, "dlq/a.raw",
      "{\"id\": \"a\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"pending\"}");
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
  assert_int_equal(files_in(b, "dlq"), 0);
  assert_string_equal(box_take_some(b), "a");
  assert_int_equal(box_counts(b).dead, 0);
}

CASE(raw_names_are_free_as_a_pair) {
  struct box *b = *state;
  put(b, "dlq/a.raw", "somebody's"),
      put(b, "dlq/a__1.json", "{\"id\": \"a\", \"inode\": 1, \"payload\": {}}");
  put(b, "dlq/a__2.json", "[]"),
      put(b, "dlq/a__3.json", "{\"inode\": 12, \"payload\": {\"x\": 1}}");
  put(b, "a.json", "{");
  struct failure why = {.reason = REASON_NOT_JSON, .attempts = 1, .failed_us = 0};
  enum settled how;
  box_take_some(b);
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_string_equal(text_of(b, "dlq/a__4.raw"), "{");
  assert_non_null(strstr(text_of(b, "dlq/a__4.json"), "{\"id\": \"a__4\""));
  assert_non_null(strstr(text_of(b, "dlq/a__4.json"), "\"error_code\": null"));
  assert_string_equal(text_of(b, "dlq/a.raw"), "somebody's");
}

CASE(a_descriptor_without_bytes_cannot_be_replayed) {
  struct box *b = *state;
  put(b, "a.json", "{");
  kill_entry(b, REASON_NOT_JSON);
  put(b, "a.json", "{}"); /* its name is taken */
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "a.json", &b->err), ST_EXISTS);
  assert_int_equal(unlink(path_of(b, "a.json")), 0);
  assert_int_equal(unlink(path_of(b, "dlq/a.raw")), 0);
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "a.json", &b->err), ST_INVALID);
  assert_non_null(strstr(b->err.text, "description"));
  assert_int_equal(box_list(b, LIST_DEAD, 0, NULL).last.raw, true);
}

/* As it dies, alone and with somebody's .raw of its name beside it. */
static void dies_and_comes_back(struct box *b, const char *text, enum reason reason, bool beside) {
  put(b, "a.json", text);
  if (beside) put(b, "dlq/a.raw", "somebody's");
  kill_entry(b, reason);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "a");
  assert_false(l.last.raw);
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
  assert_false(exists(b, "dlq/a.json"));
  assert_int_equal(exists(b, "dlq/a.raw"), beside);
  assert_non_null(strstr(text_of(b, "a.json"), "\"inode\": 5"));
  kill_entry(b, reason);
  struct letter letter = {.token = "a.json", .when_us = TIME_NONE};
  store_purge(b->store, &letter, 1);
  assert_int_equal(letter.status, ST_OK);
  assert_int_equal(files_in(b, "dlq"), beside);
  if (beside) assert_int_equal(unlink(path_of(b, "dlq/a.raw")), 0);
}

CASE(an_event_with_a_member_inode_and_no_payload_is_no_descriptor) {
  struct box *b = *state;
  const char *named =
      "{\"id\": \"a\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"pending\", \"inode\": 5, "
      "\"reason\": \"not_json\"}";
  const char *nameless =
      "{\"id\": \"a\", \"name\": \"\", \"payload\": {}, \"status\": \"pending\", \"inode\": 5, "
      "\"raw\": \"a.raw\", \"reason\": \"not_json\"}";
  for (int beside = 0; beside < 2; beside++) {
    dies_and_comes_back(b, named, REASON_SCHEMA_MISMATCH, beside);
    dies_and_comes_back(b, nameless, REASON_MISSING_NAME, beside);
  }
}

CASE(a_raw_one_is_known_whatever_it_died_of) {
  struct box *b = *state;
  for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
    put(b, "a.json", "{");
    kill_entry(b, reason);
    assert_true(box_list(b, LIST_DEAD, 0, NULL).last.raw);
    OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
    assert_string_equal(text_of(b, "a.json"), "{");
    assert_int_equal(files_in(b, "dlq"), 0);
  }
}

CASE(an_inode_has_64_bits) {
  struct box *b = *state;
  put(b, "dlq/a.json",
      "{\"name\": \"\", \"payload\": {}, \"inode\": 18446744073709551615, \"reason\": \"not_json\"}");
  put(b, "dlq/a.raw", "{");
  assert_true(box_list(b, LIST_DEAD, 0, NULL).last.raw);
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
}

/* ---- the newer producer's dead letters ---- */

#define NEWER                                                                                                       \
  "{\"id\": \"n-1\", \"message_type\": \"event\", \"message_name\": \"quality.checked\", \"payload\": {\"s\": 1}, " \
  "\"original_error\": \"b\\u006fom\", \"attempt_count\": 4, \"first_failed_at\": \"2025-01-01T00:00:00+00:00\", "  \
  "\"last_failed_at\": \"2025-01-02T00:00:00+00:00\", \"metadata\": {}}"

CASE(the_newer_form_is_listed_and_found) {
  struct box *b = *state;
  put(b, "dlq/dlq_n-1.json", NEWER);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "n-1");
  assert_true(l.last.foreign_form);
  assert_string_equal(l.name, "quality.checked");
  assert_string_equal(l.last_error, "boom");
  assert_string_equal(l.reason, "");
  assert_int_equal(l.last.attempts, 4);
  assert_int_equal(l.last.created_us, 1735689600000000);
  assert_int_equal(l.last.failed_us, 1735776000000000);
  assert_int_equal(l.last.payload_size, 8);
  uint64_t total;
  assert_string_equal(box_find(b, LIST_DEAD, "n-1", &total).ids, "n-1");
  assert_int_equal(total, 1);
  assert_string_equal(box_find(b, LIST_DEAD, "n-", &total).ids, "n-1");
}

CASE(the_newer_form_is_replayed_as_a_flat_entry) {
  struct box *b = *state;
  put(b, "dlq/dlq_n-1.json", NEWER);
  OK(store_replay(b->store, SHELF_DEAD, "dlq_n-1.json", &b->err));
  assert_false(exists(b, "dlq/dlq_n-1.json"));
  assert_string_equal(
      text_of(b, "n-1.json"),
      "{\"id\": \"n-1\", \"name\": \"quality.checked\", \"payload\": {\"s\": 1}, \"created_at\": "
      "\"2025-01-01T00:00:00.000000+00:00\", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": null, "
      "\"failed_at\": null, \"status\": \"pending\", \"storage_key\": \"n-1\"}");
  assert_string_equal(box_take_some(b), "n-1");
}

CASE(the_newer_form_without_a_usable_id_is_refused) {
  struct box *b = *state;
  put(b, "dlq/dlq_x.json",
      "{\"id\": \"../x\", \"message_name\": \"a.b\", \"payload\": {}, \"original_error\": \"\", "
      "\"attempt_count\": 1}");
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "dlq_x.json", &b->err), ST_INVALID);
  put(b, "dlq/dlq_y.json",
      "{\"id\": \"y\", \"message_name\": \"a.b\", \"payload\": [], \"original_error\": \"\", "
      "\"attempt_count\": \"many\"}");
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "dlq_y.json", &b->err), ST_INVALID);
  assert_true(exists(b, "dlq/dlq_x.json") && exists(b, "dlq/dlq_y.json"));
  assert_int_equal(box_list(b, LIST_DEAD, 0, NULL).last.attempts, 0);
}

static void put_newer(struct box *b, const char *path, const char *id) {
  char text[400];
  snprintf(text, sizeof text,
           "{\"id\": \"%s\", \"message_name\": \"a.b\", \"payload\": {}, \"original_error\": \"\", "
           "\"attempt_count\": 1}",
           id);
  put(b, path, text);
}

CASE(a_file_named_after_an_id_never_begins_with_a_dot) {
  struct box *b = *state;
  char longest[EVENT_ID_MAX + 1], name[EVENT_ID_MAX + 10];
  memset(longest, '.', EVENT_ID_MAX);
  longest[EVENT_ID_MAX] = '\0';
  const char *const ids[] = {".hidden", "..", ".", ".json", ".a.json", "-", longest};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    put_newer(b, "dlq/dlq_x.json", ids[i]);
    OK(store_replay(b->store, SHELF_DEAD, "dlq_x.json", &b->err));
    snprintf(name, sizeof name, "%s%s.json", ids[i][0] == '.' ? "_" : "", ids[i]);
    assert_true(exists(b, name) && !exists(b, "dlq/dlq_x.json"));
    assert_string_equal(box_take_some(b), ids[i]);
    box_done_all(b);
  }
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

CASE(what_an_earlier_release_hid_is_a_dead_letter_again) {
  struct box *b = *state;
  uint64_t total;
  put_newer(b, ".hidden.json", ".hidden");
  put_newer(b, ".other.json", "x"); /* not under its id: not ours */
  put_entry(b, ".theirs.json", ".theirs", "pending", "2025-01-01T00:00:00+00:00");
  put(b, ".junk.json", "{"), put(b, ".json", "{}");
  assert_string_equal(box_take_all(b), "");
  assert_true(exists(b, "dlq/dlq_.hidden.json") && !exists(b, ".hidden.json"));
  assert_true(exists(b, ".other.json") && exists(b, ".theirs.json") && exists(b, ".junk.json") &&
              exists(b, ".json"));
  assert_int_equal(box_counts(b).dead, 1);
  assert_string_equal(box_find(b, LIST_DEAD, ".hidden", &total).ids, ".hidden");
  OK(store_replay(b->store, SHELF_DEAD, "dlq_.hidden.json", &b->err));
  assert_string_equal(box_take_some(b), ".hidden");
}

/* ---- replay of others ---- */

CASE(a_replay_never_takes_a_name) {
  struct box *b = *state;
  put_pending(b, "a");
  kill_entry(b, REASON_BAD_NAME);
  put_entry(b, "a.json", "a", "dispatched", "2025-01-01T00:00:00");
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "a.json", &b->err), ST_EXISTS);
  assert_true(exists(b, "dlq/a.json"));
  assert_int_equal(store_replay(b->store, SHELF_PENDING, "a.json", &b->err),
                   ST_INVALID); /* not pending */
  assert_int_equal(store_replay(b->store, SHELF_PENDING, "pending/a.json", &b->err), ST_NOT_FOUND);
  assert_int_equal(store_replay(b->store, SHELF_PENDING, "b.json", &b->err), ST_NOT_FOUND);
  put(b, "dlq/c.json", "{");
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "c.json", &b->err), ST_INVALID);
  assert_int_equal(symlink("/etc/passwd", path_of(b, "dlq/l.json")), 0);
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "l.json", &b->err), ST_INVALID);
}

CASE(a_name_in_hand_is_busy_for_a_replay_onto_it) {
  struct box *b = *state;
  put_pending(b, "a");
  kill_entry(b, REASON_BAD_NAME);
  put_pending(b, "a");
  assert_string_equal(box_take_some(b), "a");
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "a.json", &b->err), ST_BUSY);
  put(b, "dlq/r.json", "{\"inode\": 1, \"payload\": {}}"), put(b, "dlq/r.raw", "x");
  put_pending(b, "r");
  box_take_some(b);
  assert_int_equal(store_replay(b->store, SHELF_DEAD, "r.json", &b->err), ST_BUSY);
}

/* ---- moves that a crash left half done ---- */

CASE(a_dead_form_outside_dlq_is_moved_on_when_it_is_read) {
  struct box *b = *state;
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  put(b, "a.json",
      "{\"id\": \"a\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"dlq\", \"reason\": \"bad_name\"}");
  put(b, "pending/b.json",
      "{\"id\": \"b\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"dlq\", \"reason\": \"bad_name\"}");
  put(b, "theirs.json", "{\"id\": \"c\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"dlq\"}");
  put(b, "n-1.json", NEWER); /* its replay was cut short */
  assert_string_equal(box_list(b, LIST_PENDING, 0, NULL).ids, "");
  box_restart(b);
  assert_string_equal(box_take_all(b), "");
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/b.json") && exists(b, "theirs.json"));
  assert_string_equal(text_of(b, "dlq/dlq_n-1.json"), NEWER);
  assert_int_equal(box_counts(b).dead, 3);
  assert_int_equal(box_counts(b).pending, 0);
  box_restart(b);
  box_take_all(b);
  assert_int_equal(box_counts(b).dead, 3);
}

CASE(a_half_done_raw_move_uses_its_descriptor) {
  struct box *b = *state;
  put(b, "a.json", "{");
  kill_entry(b, REASON_NOT_JSON);
  assert_int_equal(rename(path_of(b, "dlq/a.raw"), path_of(b, "a.json")),
                   0); /* as before the second step */
  box_restart(b);
  kill_entry(b, REASON_NOT_JSON);
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/a.raw"));
  assert_int_equal(files_in(b, "dlq"), 2);
}

/* ---- sent/, inspect, find by id ---- */

CASE(done_keeps_in_sent_and_sweeps_it_after_its_time) {
  struct box *b = *state;
  struct test_clock clock;
  box_stop(b);
  clock_begin(&clock);
  b->options.clock = &clock.clock;
  b->config.keep_sent = true;
  b->config.sent_retention_ms = 60000;
  box_start(b);
  for (int i = 0; i < 2; i++) {
    put_pending(b, "a");
    assert_string_equal(box_take_some(b), "a");
    box_done_all(b);
  }
  assert_true(exists(b, "sent/a.json") && exists(b, "sent/a__1.json"));
  clock_pass(&clock, 30000);
  store_rescan(b->store), box_take_all(b);
  assert_int_equal(files_in(b, "sent"), 2);
  clock_pass(&clock, 60000);
  store_rescan(b->store), box_take_all(b);
  assert_int_equal(files_in(b, "sent"), 0);
  box_stop(b);
  b->options.clock = &clock_system;
  box_start(b);
}

CASE(inspecting_changes_nothing_and_counts_the_folders) {
  struct box *b = *state;
  struct store *inspect = NULL;
  char dir[300], url[320];
  const struct store_options options = {.clock = &clock_system};
  snprintf(dir, sizeof dir, "%s/sub", b->dir);
  assert_int_equal(mkdir(dir, 0755), 0);
  put_entry(b, "sub/a.json", "a", "pending", "2025-01-01T00:00:00");
  put_entry(b, "sub/b.json", "b", "dispatched", "2025-01-01T00:00:00");
  put_entry(b, "sub/c.json", "c", "pending", "2025-01-01T00:00:00");
  set_mtime(b, "sub/c.json", 1700000000, 0);
  assert_int_equal(symlink("x", path_of(b, "sub/l.json")), 0);
  snprintf(url, sizeof url, "file:%s", dir);
  OK(store_open(url, &options, &inspect, &b->err));
  OK(store_begin(inspect, &b->config, &b->err));
  struct store_counts c;
  OK(store_counts(inspect, &c, &b->err));
  assert_int_equal(c.pending, 3); /* by name: nothing was read yet */
  assert_int_equal(c.odd, 1);
  struct box_listed l = {0};
  uint64_t total;
  OK(store_list(inspect, LIST_PENDING | LIST_DEAD, 0, box_visit, &l, &total, &b->err));
  assert_string_equal(l.ids, "c a");
  assert_int_equal(total, 2);
  OK(store_counts(inspect, &c, &b->err));
  assert_int_equal(c.pending, 2);
  assert_int_equal(c.foreign, 1);
  assert_int_equal(c.oldest_us, 1700000000000000);
  assert_true(c.exact);
  assert_int_equal(store_replay(inspect, SHELF_PENDING, "a.json", &b->err),
                   ST_NOT_FOUND); /* no .busbridge */
  assert_non_null(strstr(b->err.text, "busbridge-worker"));
  assert_int_equal(store_replay(inspect, SHELF_DEAD, "a.json", &b->err), ST_NOT_FOUND);
  OK(box_put(inspect, "n", SPAN("{}"), &b->err));
  assert_false(exists(b, "sub/.busbridge") || exists(b, "sub/dlq"));
  store_wake(inspect);
  store_close(inspect);
}

CASE(ids_are_searched_only_when_no_name_matches) {
  struct box *b = *state;
  uint64_t total;
  put_entry(b, "file.json", "inside", "pending", "2025-01-01T00:00:00");
  put_entry(b, "other.json", "insider", "pending", "2025-01-01T00:00:00");
  put_entry(b, "done.json", "insane", "dispatched", "2025-01-01T00:00:00");
  put(b, "broken.json", "{");
  assert_string_equal(box_find(b, LIST_PENDING, "inside", &total).ids, "inside");
  box_find(b, LIST_PENDING, "inside ", &total); /* no id: the files are not opened */
  assert_int_equal(total, 0);
  box_find(b, LIST_PENDING, "ins", &total);
  assert_int_equal(total, 2);
  assert_string_equal(box_find(b, LIST_PENDING, "oth", &total).ids, "insider");
  box_find(b, LIST_PENDING, "done", &total); /* a name, but not an entry */
  assert_int_equal(total, 0);
  struct box_listed l = box_find(b, LIST_PENDING, "broken", &total);
  assert_string_equal(l.ids, "broken");
  assert_string_equal(l.reason, "not_json");
  for (int i = 0; i < 25; i++) {
    char id[20];
    snprintf(id, sizeof id, "many%d", i);
    put_pending(b, id);
  }
  l = (struct box_listed){.stop_after = 100};
  OK(store_find(b->store, LIST_PENDING, SPAN("many"), box_visit, &l, &total, &b->err));
  assert_int_equal(total, 25);
  assert_int_equal(l.count, 20);
  l = (struct box_listed){.stop_after = 1};
  OK(store_find(b->store, LIST_PENDING, SPAN("many"), box_visit, &l, &total, &b->err));
  assert_int_equal(l.count, 1);
}

CASE(settling_a_path_is_refused) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_NONE, 1);
  enum settled how;
  struct entry_ref ref = {.token = SPAN("../x.json")};
  assert_int_equal(store_done(b->store, &ref, &how, &b->err), ST_INVALID);
  assert_int_equal(box_late(b, &ref, "x", &how), ST_INVALID);
  assert_int_equal(store_retry(b->store, &ref, &why, &how, NULL), ST_INVALID);
  assert_int_equal(store_dead(b->store, &ref, &why, &how, NULL), ST_INVALID);
  store_release(b->store, &ref);
}
