/* lift_fuzz.c - any bytes as an entry whose payload may be an envelope: what is lifted is sound, is
 * the same after settling set its members, and what is left is one line of JSON. */
#include "bridge/routing/routing.h"

static const struct event_change changes[] = {{"attempts", {"3", 1}}, {"status", {"\"dlq\"", 5}}};

static const struct event_lifting *lifting(void) {
  static struct event_lifting l;
  struct routing_config config = {.namespaces = SPAN("episode quality plot usecase"),
                                  .topic = SPAN("{namespace}.events")};
  struct routing *routing = NULL;
  if (!l.canonical) {
    BUG_ON(routing_open(&config, &routing, NULL) != ST_OK);
    l = (struct event_lifting){.canonical = routing_class_name,
                               .ctx = routing}; /* as long as the process */
  }
  return &l;
}

static void check_rest(const struct json_doc *d, const struct event *e) {
  struct buffer rest = {0};
  struct json_doc left = {0};
  event_rest(d, e, &rest);
  BUG_ON(json_scan(&left, buffer_span(&rest), NULL) != ST_OK);
  BUG_ON(rest.len && (memchr(rest.ptr, '\n', rest.len) || memchr(rest.ptr, '\r', rest.len)));
  json_doc_release(&left);
  buffer_release(&rest);
}

static void check_again(const struct json_doc *d, const struct event *before, enum reason why,
                        struct arena *arena) {
  struct buffer text = {0};
  struct json_doc again = {0};
  struct event after;
  event_rewrite(d, changes, sizeof changes / sizeof *changes, &text);
  BUG_ON(json_scan(&again, buffer_span(&text), NULL) != ST_OK);
  BUG_ON(event_read(&again, lifting(), arena, &after, NULL) != why);
  BUG_ON(after.lifted != before->lifted || !span_eq(after.id, before->id));
  BUG_ON(!span_eq(after.other_id, before->other_id) || !span_eq(after.name, before->name));
  BUG_ON(!span_eq(after.subject, before->subject) || after.created_us != before->created_us);
  BUG_ON(event_content(&again, &after) != event_content(d, before));
  json_doc_release(&again);
  buffer_release(&text);
}

static void check(const struct json_doc *d, struct arena *arena) {
  struct event event, plain;
  struct error err = {0};
  enum reason why = event_read(d, lifting(), arena, &event, &err);
  BUG_ON(why == REASON_NO_MEMORY || (why != REASON_NONE && err.text[0] == 0));
  BUG_ON(why == REASON_NONE &&
         (!event_id_valid(event.id) || event.name.len == 0 || event.payload == JSON_NONE));
  if (d->nodes[0].type != JSON_OBJECT) return;
  BUG_ON(event_read(d, NULL, arena, &plain, &err) == REASON_NONE && plain.lifted);
  BUG_ON(!event_goes_by(&event, plain.id) && event.id.len && plain.id.len);
  if (event.lifted) check_rest(d, &event);
  check_again(d, &event, why, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena arena = {0};
  struct json_doc d = {.arena = &arena};
  if (json_scan(&d, (struct span){(const char *)data, size}, NULL) == ST_OK) check(&d, &arena);
  arena_release(&arena);
  return 0;
}
