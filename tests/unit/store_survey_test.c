/* What a survey of the folders tells: everything that lies there, and what does not belong. */
#include "bridge/outbox/survey.h"
#include "tests/unit/files.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

struct told {
  char text[4000]; /* "path id oddity; ..." in no order */
  unsigned count, stop_after;
};

static bool tell(void *ctx, const struct survey_item *item) {
  struct told *t = ctx;
  size_t len = strlen(t->text);
  snprintf(t->text + len, sizeof t->text - len, "%s %.*s %d; ", item->shown, SPAN_ARGS(item->id),
           item->oddity);
  return ++t->count != t->stop_after;
}

static const char *survey(struct box *b, struct told *t, size_t limit, uint64_t *left_out) {
  *t = (struct told){.stop_after = t->stop_after};
  OK(store_survey(b->store, limit, tell, t, left_out, &b->err));
  return t->text;
}

static bool says(struct box *b, const char *path, const char *id, enum oddity oddity) {
  struct told t = {0};
  char want[400];
  uint64_t left_out;
  snprintf(want, sizeof want, "%s %s %d; ", path, id, oddity);
  return strstr(survey(b, &t, 0, &left_out), want) != NULL;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(every_entry_is_told_with_its_id) {
  struct box *b = *state;
  struct told t = {0};
  uint64_t left_out;
  put_pending(b, "a");
  put_entry(b, "dlq/d.json", "d", "dlq", "2025-01-01T00:00:00+00:00");
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  box_restart(b);
  put(b, "pending/p.json", "{\"id\": \"p\", \"name\": \"x.y\", \"payload\": {}}");
  put_entry(b, "sent.json", "s", "dispatched", "2025-01-01T00:00:00+00:00");
  put(b, "torn.json", "{\"id\": ");
  assert_true(says(b, "a.json", "a", ODDITY_NONE) && says(b, "dlq/d.json", "d", ODDITY_NONE) &&
              says(b, "pending/p.json", "p", ODDITY_NONE) && says(b, "torn.json", "", ODDITY_NONE));
  survey(b, &t, 0, &left_out);
  assert_int_equal(t.count, 4); /* what its producer dispatched itself is not ours */
  assert_int_equal(left_out, 0);
}

CASE(a_limit_counts_what_is_left_out) {
  struct box *b = *state;
  struct told t = {0};
  uint64_t left_out = 0;
  for (char id[] = "a"; *id <= 'e'; ++*id) put_pending(b, id);
  survey(b, &t, 3, &left_out);
  assert_int_equal(t.count, 3);
  assert_int_equal(left_out, 2);
  t.stop_after = 2;
  survey(b, &t, 0, &left_out);
  assert_int_equal(t.count, 2);
}

CASE(what_lies_on_the_wrong_side_is_told) {
  struct box *b = *state;
  put(b, "dead.json",
      "{\"id\": \"x\", \"name\": \"x.y\", \"payload\": {}, \"status\": \"dlq\", \"reason\": \"bad_name\"}");
  put(b, "newer.json",
      "{\"message_name\": \"x.y\", \"original_error\": \"e\", \"attempt_count\": 3}");
  put_entry(b, "dlq/alive.json", "alive", "pending", "2025-01-01T00:00:00+00:00");
  assert_true(says(b, "dead.json", "x", ODDITY_WRONG_SIDE) &&
              says(b, "newer.json", "", ODDITY_WRONG_SIDE) &&
              says(b, "dlq/alive.json", "alive", ODDITY_WRONG_SIDE));
}

CASE(bytes_and_their_descriptor_are_told_apart) {
  struct box *b = *state;
  struct stat st;
  char text[100];
  put(b, "torn.json", "{");
  assert_int_equal(lstat(path_of(b, "torn.json"), &st), 0);
  snprintf(text, sizeof text, "{\"id\": \"t\", \"inode\": %llu, \"payload\": {}}",
           (unsigned long long)st.st_ino);
  put(b, "dlq/torn.json", text), put(b, "dlq/torn__2.json", text);
  put(b, "dlq/whole.json", text), put(b, "dlq/whole.raw", "{");
  put(b, "dlq/gone.json", "{\"id\": \"g\", \"inode\": 1, \"payload\": {}}");
  put(b, "dlq/alone.raw", "{");
  put(b, "dlq/event.raw", "{");
  put_entry(b, "dlq/event.json", "e", "dlq", "2025-01-01T00:00:00+00:00");
  assert_true(says(b, "dlq/event.raw", "", ODDITY_NOT_DESCRIBED) &&
              says(b, "dlq/event.json", "e", ODDITY_NONE));
  assert_true(says(b, "dlq/torn.json", "t", ODDITY_ON_ITS_WAY) &&
              says(b, "dlq/torn__2.json", "t", ODDITY_ON_ITS_WAY) &&
              says(b, "dlq/whole.json", "t", ODDITY_NONE));
  assert_true(says(b, "dlq/gone.json", "g", ODDITY_BYTES_GONE) &&
              says(b, "dlq/alone.raw", "", ODDITY_NOT_DESCRIBED));
}

CASE(a_temporary_file_is_told_only_when_it_is_old) {
  struct box *b = *state;
  struct test_clock clock;
  clock_begin(&clock);
  b->options.clock = &clock.clock;
  box_restart(b);
  put(b, ".busbridge/tmp/1.2.tmp", "{"), put(b, ".busbridge-1.tmp", "{");
  assert_false(says(b, ".busbridge/tmp/1.2.tmp", "", ODDITY_LEFT) ||
               says(b, ".busbridge-1.tmp", "", ODDITY_LEFT));
  clock_pass(&clock, 61000);
  assert_true(says(b, ".busbridge/tmp/1.2.tmp", "", ODDITY_LEFT) &&
              says(b, ".busbridge-1.tmp", "", ODDITY_LEFT));
  b->options.clock = &clock_system;
}

CASE(a_file_that_nothing_accounts_for_is_told_wherever_it_lies) {
  struct box *b = *state;
  struct told t = {0};
  uint64_t left_out;
  b->config.keep_sent = true;
  assert_int_equal(mkdir(path_of(b, "pending"), 0755), 0);
  box_restart(b);
  b->config.keep_sent = false;
  put(b, "sent/a.json", "{}"), put(b, ".busbridge/keys-due-3", "x"),
      put(b, ".busbridge/batch-1-2", "x");
  assert_string_equal(survey(b, &t, 0, &left_out), "");
  static const char *const places[] = {"",      "pending/",    "dlq/",
                                       "sent/", ".busbridge/", ".busbridge/tmp/"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char path[60], hidden[60];
    snprintf(path, sizeof path, "%snotes.txt", places[i]);
    snprintf(hidden, sizeof hidden, "%s.x.json", places[i]);
    put(b, path, "x"), put(b, hidden, "[]");
    assert_true(says(b, path, "", ODDITY_STRAY) && says(b, hidden, "", ODDITY_STRAY));
  }
  assert_int_equal(mkdir(path_of(b, "folder.json"), 0755), 0);
  assert_true(says(b, "folder.json", "", ODDITY_NO_ENTRY));
}

CASE(an_event_under_a_name_that_nobody_looks_at_is_told_with_its_id) {
  struct box *b = *state;
  struct test_clock clock;
  clock_begin(&clock);
  b->options.clock = &clock.clock;
  box_restart(b);
  put_entry(b, ".x.json", ".x", "pending", "2025-01-01T00:00:00+00:00");
  put_entry(b, "y.json.tmp", "y", "pending", "2025-01-01T00:00:00+00:00");
  assert_true(says(b, ".x.json", ".x", ODDITY_HIDDEN));
  assert_true(says(b, "y.json.tmp", "", ODDITY_STRAY)); /* its producer may be about to rename it */
  clock_pass(&clock, 61000);
  assert_true(says(b, "y.json.tmp", "y", ODDITY_HIDDEN));
  b->options.clock = &clock_system;
}

CASE(an_entry_lies_in_its_place_by_id_whatever_its_bytes) {
  struct box *b = *state;
  put_pending(b, "a");
  box_take_some(b);
  struct entry_ref ref = b->refs[0];
  assert_true(store_lies(b->store, &ref, SPAN("a")));
  put_entry(b, "a.json", "a", "pending", "2026-01-01T00:00:00+00:00");
  assert_true(store_lies(b->store, &ref, SPAN("a")));
  put_entry(b, "a.json", "b", "pending", "2026-01-01T00:00:00+00:00");
  assert_false(store_lies(b->store, &ref, SPAN("a")));
  assert_int_equal(unlink(path_of(b, "a.json")), 0);
  assert_false(store_lies(b->store, &ref, SPAN("a")));
}
