/* A dead letter that is given another payload, and one that comes back from a copy: after every
 * fault it is the one or the other, whole, and what is told to be done is durable. */
#include "tests/unit/store_faults.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

#define LETTER(payload)                                                                            \
  "{\"id\": \"a\", \"name\": \"a.b\", \"payload\": " payload ", \"created_at\": "                  \
  "\"2025-01-01T00:00:00+00:00\", \"attempts\": 5, \"last_error\": \"no\", \"failed_at\": "        \
  "\"2025-01-02T00:00:01+00:00\", \"status\": \"dlq\", \"reason\": \"bad_name\"}"
static const char before[] = LETTER("{\"n\": 1.50}"), changed[] = LETTER("{\"n\": 2}");

/* ---- another payload ---- */

static void make_one(struct box *b) {
  put(b, "dlq/a.json", before);
  set_mtime(b, "dlq/a.json", 1700000000, 77);
}

static enum status amend_one(struct box *b) {
  return store_amend(b->store, "a.json", TIME_NONE, SPAN("{\"n\": 2}"), &b->err);
}

static void check_one(struct box *b, bool said_done) {
  const char *text = text_of(b, "dlq/a.json");
  assert_true(!strcmp(text, changed) || (!said_done && !strcmp(text, before)));
  assert_int_equal(mtime_of(b, "dlq/a.json"), 1700000000000000077);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "a");
  OK(amend_one(b));
  assert_string_equal(text_of(b, "dlq/a.json"), changed);
}

CASE(another_payload_survives_every_fault) {
  try_all(*state, make_one, amend_one, check_one);
}

static void make_raw(struct box *b) {
  put(b, "r.json", "{\"id\": broken");
  store_rescan(b->store);
  for (int i = 0; i < 600 && !*box_take_all(b); i++) store_wait(b->store, 100);
  struct failure why = box_failure(REASON_NOT_JSON, 1);
  enum settled how;
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
}

static enum status amend_raw(struct box *b) {
  return store_amend(b->store, "r.json", TIME_NONE, SPAN("{\"id\": \"r\"}"), &b->err);
}

static void check_raw(struct box *b, bool said_done) {
  const char *text = text_of(b, "dlq/r.raw");
  assert_true(!strcmp(text, "{\"id\": \"r\"}") || (!said_done && !strcmp(text, "{\"id\": broken")));
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "r");
  OK(amend_raw(b));
  assert_string_equal(text_of(b, "dlq/r.raw"), "{\"id\": \"r\"}");
}

CASE(other_bytes_survive_every_fault) {
  try_all(*state, make_raw, amend_raw, check_raw);
}

/* ---- back from a copy ---- */

static void make_none(struct box *b) {
  (void)b;
}

static enum status bury_one(struct box *b) {
  const struct burial letter = {.storage_key = SPAN("a"), .text = span_of(before)};
  return store_bury(b->store, &letter, NULL, &b->err);
}

static void check_buried(struct box *b, bool said_done) {
  assert_true(exists(b, "dlq/a.json") || !said_done);
  if (exists(b, "dlq/a.json")) assert_string_equal(text_of(b, "dlq/a.json"), before);
  enum status again = bury_one(b);
  assert_true(again == ST_OK || again == ST_EXISTS);
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "a");
}

CASE(a_copy_comes_back_whole_or_not_at_all) {
  try_all(*state, make_none, bury_one, check_buried);
}

static enum status bury_raw(struct box *b) {
  const struct burial letter = {
      .storage_key = SPAN("r"),
      .text = SPAN("{\"id\": \"r\", \"name\": \"\", \"payload\": {}, \"attempts\": 1, "
                   "\"last_error\": \"byte 0\", \"failed_at\": \"2025-01-02T00:00:01+00:00\", "
                   "\"status\": \"dlq\", \"storage_key\": \"r\", \"reason\": \"not_json\", "
                   "\"error_code\": null}"),
      .raw = SPAN("{\"id\": broken")};
  return store_bury(b->store, &letter, NULL, &b->err);
}

/* Bytes without a description are never there; a description without bytes can be purged. */
static void check_buried_raw(struct box *b, bool said_done) {
  assert_true((exists(b, "dlq/r.json") && exists(b, "dlq/r.raw")) || !said_done);
  assert_true(exists(b, "dlq/r.json") || !exists(b, "dlq/r.raw"));
  if (exists(b, "dlq/r.raw")) assert_string_equal(text_of(b, "dlq/r.raw"), "{\"id\": broken");
}

CASE(bytes_come_back_behind_their_description) {
  try_all(*state, make_none, bury_raw, check_buried_raw);
}

/* ---- somebody else's hand ---- */

CASE(what_is_changed_at_the_same_moment_is_kept) {
  struct box *b = *state;
  put(b, "dlq/n.json",
      "{\"id\": \"n\", \"message_type\": \"event\", \"message_name\": \"a.b\", \"payload\": {}, "
      "\"original_error\": \"boom\", \"attempt_count\": 4, \"first_failed_at\": null, "
      "\"last_failed_at\": null, \"metadata\": {}}");
  assert_int_equal(store_amend(b->store, "n.json", TIME_NONE, SPAN("{}"), &b->err), ST_INVALID);
  assert_int_equal(store_amend(b->store, "../n.json", TIME_NONE, SPAN("{}"), &b->err), ST_INVALID);
  assert_int_equal(store_amend(b->store, "gone.json", TIME_NONE, SPAN("{}"), &b->err),
                   ST_NOT_FOUND);
}
