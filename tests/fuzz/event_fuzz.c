/* event_fuzz.c - any bytes as an entry: read it, set members as settling does, and read the result
 * again. */
#include "bridge/event/event.h"

static const struct event_change changes[] = {
    {"status", {"\"dlq\"", 5}},
    {"attempts", {"3", 1}},
    {"last_error", {"\"a \\u0001\"", 10}},
    {"failed_at", {"\"2025-09-22T03:04:05.123456+00:00\"", 34}},
    {"reason", {"\"not_json\"", 10}}};

static void check_rewrite(const struct json_doc *d, const struct event *before,
                          struct arena *arena) {
  struct buffer text = {0}, twice = {0};
  struct json_doc again = {0};
  struct event after;
  event_rewrite(d, changes, sizeof changes / sizeof *changes, &text);
  BUG_ON(json_scan(&again, buffer_span(&text), NULL) != ST_OK);
  event_parse(&again, arena, &after, NULL);
  BUG_ON(after.status != EVENT_DLQ || after.attempts != 3 || !span_is(after.reason, "not_json"));
  BUG_ON(after.failed_us == TIME_NONE || after.created_us != before->created_us);
  BUG_ON(!span_eq(after.id, before->id) || !span_eq(after.name, before->name));
  BUG_ON((after.payload == JSON_NONE) != (before->payload == JSON_NONE));
  if (after.payload != JSON_NONE)
    BUG_ON(!span_eq(json_slice(&again, after.payload), json_slice(d, before->payload)));
  event_rewrite(&again, changes, sizeof changes / sizeof *changes, &twice);
  BUG_ON(!span_eq(buffer_span(&text), buffer_span(&twice)));
  json_doc_release(&again);
  buffer_release(&text);
  buffer_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena arena = {0};
  struct json_doc d = {.arena = &arena};
  struct event event;
  struct error err = {0};
  if (json_scan(&d, (struct span){(const char *)data, size}, &err) == ST_OK) {
    enum reason why = event_parse(&d, &arena, &event, &err);
    BUG_ON(why == REASON_NO_MEMORY || (why != REASON_NONE && err.text[0] == 0));
    BUG_ON(why == REASON_NONE &&
           (!event_id_valid(event.id) || event.name.len == 0 || event.payload == JSON_NONE));
    if (why != REASON_NOT_OBJECT) check_rewrite(&d, &event, &arena);
  }
  arena_release(&arena);
  return 0;
}
