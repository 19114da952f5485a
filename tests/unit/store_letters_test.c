/* Many dead letters at once: each is dead or pending after every fault, whatever became of the
 * others; those that changed since they were chosen, or that the caller judges to stay, are not
 * touched. And purging them, and their bytes. */
#include "tests/unit/store_faults.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

static const char dead_form[] =
    "{\"id\": \"%s\", \"name\": \"a.b\", \"payload\": {\"n\": 1.50}, \"created_at\": "
    "\"2025-01-01T00:00:00+00:00\", \"attempts\": 5, \"last_error\": \"no\", \"failed_at\": "
    "\"2025-01-02T00:00:0%c+00:00\", \"status\": \"dlq\", \"reason\": \"bad_name\"}";

static void put_dead(struct box *b, const char *file, const char *id, char second) {
  char text[1000];
  snprintf(text, sizeof text, dead_form, id, second);
  put(b, file, text);
}

static const char newer[] =
    "{\"id\": \"n\", \"message_type\": \"event\", \"message_name\": \"a.b\", \"payload\": {\"s\": 1}, "
    "\"original_error\": \"boom\", \"attempt_count\": 4, \"first_failed_at\": null, "
    "\"last_failed_at\": null, \"metadata\": {}}";

/* ---- crashes ---- */

/* Of all three forms, the raw one in the middle. */
static void make_three(struct box *b) {
  put_dead(b, "dlq/a.json", "a", '1');
  set_mtime(b, "dlq/a.json", 1700000000, 77);
  put(b, "r.json", "{\"id\": broken");
  store_rescan(b->store);
  for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
  assert_string_equal(b->ids, "r.json!not_json");
  struct failure why = box_failure(REASON_NOT_JSON, 1);
  enum settled how;
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  put(b, "dlq/dlq_n.json", newer);
}

static enum status replay_three(struct box *b) {
  struct letter list[] = {{.token = "a.json", .when_us = TIME_NONE},
                          {.token = "r.json", .when_us = TIME_NONE},
                          {.token = "dlq_n.json", .when_us = TIME_NONE}};
  store_replay_all(b->store, list, 3, NULL, NULL);
  assert_int_equal(box_counts(b).in_hand, 0);
  for (int i = 0; i < 3; i++)
    if (list[i].status != ST_OK) return list[i].status;
  return ST_OK;
}

/* What is said to be done is pending; every one is in one place, whole; and giving the rest again
 * ends it. */
static void check_three(struct box *b, bool said_done) {
  box_take_all(b);
  assert_int_equal(exists(b, "a.json") + exists(b, "dlq/a.json"), 1);
  assert_int_equal(exists(b, "r.json") + exists(b, "dlq/r.raw"), 1);
  assert_int_equal(exists(b, "n.json") + exists(b, "dlq/dlq_n.json"), 1);
  if (said_done) assert_int_equal(files_in(b, "dlq"), 0);
  if (exists(b, "dlq/dlq_n.json")) assert_string_equal(text_of(b, "dlq/dlq_n.json"), newer);
  assert_int_equal(mtime_of(b, exists(b, "a.json") ? "a.json" : "dlq/a.json"), 1700000000000000077);
  for (size_t i = 0; i < b->count; i++) store_release(b->store, &b->refs[i]);
  enum status again = replay_three(b);
  assert_true(again == ST_OK || again == ST_NOT_FOUND);
  assert_int_equal(files_in(b, "dlq"), 0);
  assert_int_equal(files_in(b, "."), 3);
  assert_string_equal(text_of(b, "r.json"), "{\"id\": broken");
  assert_non_null(strstr(text_of(b, "a.json"), "\"payload\": {\"n\": 1.50}"));
  assert_non_null(strstr(text_of(b, "a.json"), "\"status\": \"pending\""));
  assert_non_null(strstr(text_of(b, "n.json"), "\"payload\": {\"s\": 1}"));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(many_replays_survive_every_fault) {
  try_all(*state, make_three, replay_three, check_three);
}

/* tmp and both folders once, however many. */
static int count_syncs(void *ctx, enum durable_op op, const char *name, bool after) {
  if (op == DURABLE_FSYNC && !after && !strcmp(name, "folder")) ++*(unsigned *)ctx;
  return 0;
}

CASE(the_folders_are_synced_once_for_all) {
  struct box *b = *state;
  struct letter list[20];
  char name[20][20], path[40];
  unsigned syncs = 0;
  for (int i = 0; i < 20; i++) {
    snprintf(name[i], sizeof name[i], "e%d.json", i);
    snprintf(path, sizeof path, "dlq/%s", name[i]);
    put_dead(b, path, "e", '1');
    list[i] = (struct letter){.token = name[i], .when_us = TIME_NONE};
  }
  durable_set_hook(count_syncs, &syncs);
  store_replay_all(b->store, list, 20, NULL, NULL);
  durable_set_hook(NULL, NULL);
  assert_int_equal(syncs, 3);
  assert_int_equal(files_in(b, "."), 20);
}

/* ---- who stays ---- */

static int64_t when(const char *text) {
  int64_t us = 0;
  assert_true(time_parse(span_of(text), &us));
  return us;
}

static void leave_b(void *ctx, struct letter *list, size_t count) {
  (void)ctx;
  for (size_t i = 0; i < count; i++) {
    if (list[i].status != ST_OK || !span_is(list[i].id, "b")) continue;
    list[i].status = error_set(&list[i].error, ST_EXISTS, "published");
  }
}

CASE(what_is_judged_or_died_again_or_is_gone_stays) {
  struct box *b = *state;
  put_dead(b, "dlq/a.json", "a", '1');
  put_dead(b, "dlq/b.json", "b", '1');
  put_dead(b, "dlq/c.json", "c", '2');
  put(b, "dlq/junk.json", "junk");
  put_dead(b, "dlq/taken.json", "t", '1');
  put(b, "taken.json", "{}");
  int64_t first = when("2025-01-02T00:00:01+00:00");
  struct letter list[] = {
      {.token = "a.json", .when_us = first},    {.token = "b.json", .when_us = first},
      {.token = "c.json", .when_us = first},    {.token = "gone.json", .when_us = first},
      {.token = "../a.json", .when_us = first}, {.token = "junk.json", .when_us = TIME_NONE},
      {.token = "taken.json", .when_us = first}};
  const enum status want[] = {ST_OK,      ST_EXISTS,  ST_NOT_FOUND, ST_NOT_FOUND,
                              ST_INVALID, ST_INVALID, ST_EXISTS};
  store_replay_all(b->store, list, 7, leave_b, NULL);
  for (int i = 0; i < 7; i++) assert_int_equal(list[i].status, want[i]);
  assert_true(exists(b, "a.json") && !exists(b, "dlq/a.json"));
  assert_true(exists(b, "dlq/b.json") && exists(b, "dlq/c.json") && exists(b, "dlq/taken.json"));
  assert_non_null(strstr(list[2].error.text, "died again"));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  assert_int_equal(box_counts(b).in_hand, 0);
}

/* ---- purge and bytes ---- */

CASE(purge_takes_out_what_was_chosen_and_no_other) {
  struct box *b = *state;
  make_three(b);
  put_dead(b, "dlq/b.json", "b", '2');
  put(b, "dlq/junk.json", "junk");
  int64_t first = when("2025-01-02T00:00:01+00:00");
  struct letter list[] = {
      {.token = "a.json", .when_us = first},         {.token = "r.json", .when_us = TIME_NONE},
      {.token = "dlq_n.json", .when_us = TIME_NONE}, {.token = "b.json", .when_us = first},
      {.token = "gone.json", .when_us = TIME_NONE},  {.token = "junk.json", .when_us = TIME_NONE},
      {.token = "/etc/x.json", .when_us = TIME_NONE}};
  const enum status want[] = {ST_OK, ST_OK, ST_OK, ST_NOT_FOUND, ST_NOT_FOUND, ST_OK, ST_INVALID};
  store_purge(b->store, list, 7);
  for (int i = 0; i < 7; i++) assert_int_equal(list[i].status, want[i]);
  assert_int_equal(files_in(b, "dlq"), 1);
  assert_true(exists(b, "dlq/b.json"));
}

static enum status purge_raw(struct box *b) {
  struct letter list[] = {{.token = "r.json", .when_us = TIME_NONE}};
  store_purge(b->store, list, 1);
  return list[0].status;
}

/* Its bytes never lie there without a descriptor: nobody would find them. */
static void check_purged(struct box *b, bool said_done) {
  assert_true(exists(b, "dlq/r.json") || !exists(b, "dlq/r.raw"));
  if (said_done) assert_false(exists(b, "dlq/r.json"));
  enum status again = purge_raw(b);
  assert_true(again == ST_OK || again == ST_NOT_FOUND);
  assert_false(exists(b, "dlq/r.json") || exists(b, "dlq/r.raw"));
}

CASE(a_purge_survives_every_fault) {
  try_all(*state, make_three, purge_raw, check_purged);
}

CASE(bytes_are_told_in_parts) {
  struct box *b = *state;
  struct buffer out = {0};
  uint64_t size = 0;
  put(b, "dlq/r.raw", "0123456789");
  OK(store_bytes(b->store, "r.json", true, 0, 4, &out, &size, &b->err));
  OK(store_bytes(b->store, "r.json", true, 4, 100, &out, &size, &b->err));
  OK(store_bytes(b->store, "r.json", true, 10, 100, &out, &size, &b->err));
  assert_int_equal(size, 10);
  assert_true(span_is(buffer_span(&out), "0123456789"));
  assert_int_equal(store_bytes(b->store, "gone.json", true, 0, 4, &out, &size, &b->err),
                   ST_NOT_FOUND);
  assert_int_equal(store_bytes(b->store, "../a", false, 0, 4, &out, &size, &b->err), ST_INVALID);
  assert_int_equal(symlink("/etc/passwd", path_of(b, "dlq/l.json")), 0);
  assert_int_not_equal(store_bytes(b->store, "l.json", false, 0, 4, &out, &size, &b->err), ST_OK);
  buffer_release(&out);
}

/* What is counted can be named: its bytes may be another file's, and are told to nobody. */
static bool see_unread(void *ctx, const struct entry_info *info) {
  assert_true(span_is(info->id, "twice"));
  assert_string_equal(info->label, "twice.json");
  assert_int_equal(info->text.len, 0);
  assert_null(info->doc);
  assert_int_equal(info->reason.len, 0);
  assert_true(span_starts(info->last_error,
                          "dlq/twice.json has 2 names (hard links), so it is left alone unread"));
  ++*(int *)ctx;
  return true;
}

CASE(a_letter_with_two_names_is_listed_unread_and_left_alone) {
  struct box *b = *state;
  struct letter one = {.token = "twice.json", .when_us = TIME_NONE};
  uint64_t total = 0;
  int seen = 0;
  put_dead(b, "twice", "twice", '1');
  assert_int_equal(link(path_of(b, "twice"), path_of(b, "dlq/twice.json")), 0);
  assert_int_equal(symlink("twice.json", path_of(b, "dlq/link.json")), 0);
  assert_int_equal(mkdir(path_of(b, "dlq/folder.json"), 0700), 0);
  store_rescan(b->store);
  box_take_all(b);
  OK(store_list(b->store, LIST_DEAD, 0, see_unread, &seen, &total, &b->err));
  assert_int_equal(total, box_counts(b).dead);
  assert_int_equal(total, 1);
  OK(store_find(b->store, LIST_DEAD, SPAN("twice"), see_unread, &seen, &total, &b->err));
  assert_int_equal(total, 1);
  OK(store_look(b->store, SHELF_DEAD, "twice.json", see_unread, &seen, &b->err));
  assert_int_equal(seen, 3);
  assert_int_equal(store_look(b->store, SHELF_DEAD, "link.json", see_unread, &seen, &b->err),
                   ST_NOT_FOUND);
  store_purge(b->store, &one, 1);
  assert_int_equal(one.status, ST_INVALID);
  assert_non_null(strstr(one.error.text, "2 names"));
  assert_int_equal(unlink(path_of(b, "twice")), 0);
  store_purge(b->store, &one, 1);
  assert_int_equal(one.status, ST_OK);
}

/* ---- a descriptor that an earlier try wrote ---- */

static int keep_raw(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  return op == DURABLE_RENAME && !after && !strcmp(name, "r.json") ? EIO : 0;
}

static bool cannot_be_read(const char *name) {
  errno = EIO;
  return !strcmp(name, "r.json");
}

CASE(a_descriptor_that_cannot_be_read_gets_no_second_one_beside_it) {
  struct box *b = *state;
  struct failure why = box_failure(REASON_NOT_JSON, 1);
  enum settled how;
  put(b, "r.json", "{\"id\": broken");
  store_rescan(b->store);
  for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
  durable_set_hook(keep_raw, NULL);
  assert_int_equal(store_dead(b->store, &b->refs[0], &why, &how, &b->err), ST_IO);
  durable_set_hook(NULL, NULL);
  assert_true(exists(b, "dlq/r.json") && exists(b, "r.json"));
  power.refused = cannot_be_read;
  enum status st = store_dead(b->store, &b->refs[0], &why, &how, &b->err);
  power.refused = NULL;
  assert_int_equal(st, ST_IO);
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  assert_int_equal(how, SETTLED_GONE);
  assert_int_equal(files_in(b, "dlq"), 2);
  assert_true(exists(b, "dlq/r.raw"));
}
