/* Dead letters that are given another payload, and those that come back from a copy: rules that
 * every kind of outbox keeps. */
#include "tests/contract/rule.h"

static void one_dead(struct box *b, char token[300]) {
  box_emit(b, "a");
  box_notice(b);
  assert_string_equal(box_take_some(b), "a");
  box_dead(b, &b->refs[0], REASON_SCHEMA_MISMATCH);
  box_token(b, LIST_DEAD, "a", token);
}

struct seen {
  char payload[200];
  unsigned attempts;
};

static bool see(void *ctx, const struct entry_info *info) {
  struct seen *seen = ctx;
  struct span payload =
      info->payload == JSON_NONE ? (struct span){0} : json_slice(info->doc, info->payload);
  snprintf(seen->payload, sizeof seen->payload, "%.*s", SPAN_ARGS(payload));
  seen->attempts = info->attempts;
  return true;
}

static const char *payload_of(struct box *b, enum shelf shelf, const char *token) {
  static struct seen seen;
  OK(store_look(b->store, shelf, token, see, &seen, &b->err));
  return seen.payload;
}

RULE(a_dead_letter_is_given_another_payload_and_keeps_its_notes) {
  struct box *b = *state;
  char token[300];
  one_dead(b, token);
  OK(store_amend(b->store, token, TIME_NONE, SPAN("{\"episode_id\": \"e2\", \"n\": 1.50}"),
                 &b->err));
  assert_string_equal(payload_of(b, SHELF_DEAD, token), "{\"episode_id\": \"e2\", \"n\": 1.50}");
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "a");
  assert_string_equal(l.reason, "schema_mismatch");
  assert_string_equal(l.last_error, "field \"x\" is wrong");
  assert_int_equal(l.last.attempts, 1);
  assert_int_equal(l.last.failed_us, 1700000001000000);
  box_restart(b);
  assert_string_equal(payload_of(b, SHELF_DEAD, token), "{\"episode_id\": \"e2\", \"n\": 1.50}");
  OK(store_replay(b->store, SHELF_DEAD, token, &b->err));
  struct entry e;
  box_wait_next(b, &e);
  assert_true(span_is(e.event.id, "a") && e.event.attempts == 0);
  assert_int_equal(box_counts(b).dead, 0);
}

RULE(only_the_dead_letter_that_was_meant_is_changed) {
  struct box *b = *state;
  char token[300];
  one_dead(b, token);
  assert_int_equal(store_amend(b->store, token, 1, SPAN("{}"), &b->err), ST_NOT_FOUND);
  OK(store_amend(b->store, token, 1700000001000000, SPAN("{\"y\": 2}"), &b->err));
  assert_string_equal(payload_of(b, SHELF_DEAD, token), "{\"y\": 2}");
  struct letter gone = {.token = token, .when_us = TIME_NONE};
  store_purge(b->store, &gone, 1);
  assert_int_equal(store_amend(b->store, token, TIME_NONE, SPAN("{}"), &b->err), ST_NOT_FOUND);
  assert_string_equal(box_list(b, LIST_DEAD | LIST_PENDING, 0, NULL).ids, "");
}

RULE(the_bytes_of_one_that_is_no_json_are_exchanged_whole) {
  struct box *b = *state;
  struct entry e;
  struct buffer text = {0};
  box_emit_text(b, "x", SPAN("no json at all"));
  box_wait_next(b, &e);
  box_dead(b, &e.ref, e.reason);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_true(l.last.raw);
  event_write(SPAN("x"), SPAN("episode.created"), SPAN("{\"mended\": true}"), 1700000000000000,
              SPAN("x"), &text);
  OK(store_amend(b->store, l.token, TIME_NONE, buffer_span(&text), &b->err));
  buffer_release(&text);
  l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "x");
  OK(store_replay(b->store, SHELF_DEAD, l.token, &b->err));
  box_wait_next(b, &e);
  assert_int_equal(e.reason, REASON_NONE);
  assert_true(span_is(e.event.name, "episode.created"));
}

/* ---- back from a copy ---- */

#define COPY(id)                                                                                   \
  "{\"id\": \"" id "\", \"name\": \"episode.created\", \"payload\": {\"episode_id\": \"e1\"}, "    \
  "\"created_at\": \"2025-09-22T03:04:05.123456+00:00\", \"attempts\": 3, \"dispatched_at\": "     \
  "null, \"last_error\": \"it was wrong\", \"failed_at\": \"2025-09-23T03:04:05.000000+00:00\", "  \
  "\"status\": \"dlq\", \"storage_key\": \"" id "\", \"reason\": \"schema_mismatch\", "            \
  "\"error_code\": null, \"topic\": \"episode.events\", \"first_failed_at\": "                     \
  "\"2025-09-22T04:04:05.000000+00:00\"}"

RULE(a_copy_of_a_dead_letter_becomes_one_again_with_its_notes) {
  struct box *b = *state;
  struct buffer label = {0};
  struct burial letter = {.storage_key = SPAN("a"), .text = SPAN(COPY("a"))};
  uint64_t dead = box_counts(b).dead;
  OK(store_bury(b->store, &letter, &label, &b->err));
  assert_true(label.len > 0);
  buffer_release(&label);
  assert_int_equal(box_counts(b).dead, dead + 1);
  assert_int_equal(store_bury(b->store, &letter, NULL, &b->err), ST_EXISTS);
  box_restart(b);
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "a");
  assert_string_equal(l.name, "episode.created");
  assert_string_equal(l.reason, "schema_mismatch");
  assert_string_equal(l.last_error, "it was wrong");
  assert_string_equal(l.topic, "episode.events");
  assert_int_equal(l.last.attempts, 3);
  int64_t failed_us;
  assert_true(time_parse(SPAN("2025-09-23T03:04:05Z"), &failed_us));
  assert_int_equal(l.last.failed_us, failed_us);
  assert_string_equal(payload_of(b, SHELF_DEAD, l.token), "{\"episode_id\": \"e1\"}");
  OK(store_replay(b->store, SHELF_DEAD, l.token, &b->err));
  assert_string_equal(box_take_some(b), "a");
  box_emit(b, "c");
  box_notice(b);
  assert_string_equal(box_take_some(b), "c");
}

RULE(what_is_no_copy_of_a_dead_letter_does_not_become_one) {
  struct box *b = *state;
  struct burial letter = {.storage_key = SPAN("a"), .text = SPAN("[1]")};
  assert_int_equal(store_bury(b->store, &letter, NULL, &b->err), ST_INVALID);
  letter.text =
      SPAN("{\"id\": \"a\", \"name\": \"a.b\", \"payload\": {}, \"status\": \"pending\"}");
  assert_int_equal(store_bury(b->store, &letter, NULL, &b->err), ST_INVALID);
  assert_string_equal(box_list(b, LIST_DEAD | LIST_PENDING, 0, NULL).ids, "");
}

RULE(bytes_that_are_no_json_come_back_as_they_were) {
  struct box *b = *state;
  struct burial letter = {
      .storage_key = SPAN("x"),
      .text = SPAN("{\"id\": \"x\", \"name\": \"\", \"payload\": {}, \"created_at\": "
                   "\"2025-09-22T03:04:05.123456+00:00\", \"attempts\": 1, \"dispatched_at\": "
                   "null, \"last_error\": \"byte 0\", \"failed_at\": "
                   "\"2025-09-23T03:04:05.000000+00:00\", \"status\": \"dlq\", \"storage_key\": "
                   "\"x\", \"reason\": \"not_json\", \"error_code\": null}"),
      .raw = SPAN("no json at all")};
  struct buffer bytes = {0};
  uint64_t size;
  OK(store_bury(b->store, &letter, NULL, &b->err));
  struct box_listed l = box_list(b, LIST_DEAD, 0, NULL);
  assert_string_equal(l.ids, "x");
  assert_true(l.last.raw);
  assert_string_equal(l.reason, "not_json");
  OK(store_bytes(b->store, l.token, true, 0, 100, &bytes, &size, &b->err));
  assert_true(span_is(buffer_span(&bytes), "no json at all"));
  buffer_release(&bytes);
}

static void ask_the_outbox(void *ctx, struct letter *list, size_t count) {
  struct box *b = ctx;
  assert_int_equal(count, 1);
  assert_true(span_is(list[0].id, "a"));
  assert_string_equal(box_list(b, LIST_DEAD, 0, NULL).ids, "a");
  assert_int_equal(box_counts(b).dead, 1);
}

RULE(who_judges_a_replay_may_ask_the_outbox) {
  struct box *b = *state;
  char token[300];
  one_dead(b, token);
  struct letter letter = {.token = token, .when_us = TIME_NONE};
  store_replay_all(b->store, &letter, 1, ask_the_outbox, b);
  assert_int_equal(letter.status, ST_OK);
  assert_string_equal(box_take_some(b), "a");
}

int main(void) {
  return rules_of_each_kind();
}
