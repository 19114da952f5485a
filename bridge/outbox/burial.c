/* The text of a dead letter that comes back, read: what became of it, and the entry that it was.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/burial.h"

static struct span text_of(struct burial_notes *n, const char *key, struct arena *arena) {
  struct span text = {NULL, 0};
  uint32_t node = json_member(&n->doc, 0, key);
  if (node == JSON_NONE || n->doc.nodes[node].type != JSON_STRING ||
      !json_text(&n->doc, node, arena, &text))
    return (struct span){NULL, 0};
  return text;
}

static int code_of(const struct burial_notes *n) {
  int64_t code = 0;
  uint32_t node = json_member(&n->doc, 0, "error_code");
  bool number = node != JSON_NONE && n->doc.nodes[node].type == JSON_NUMBER;
  return number && json_int(&n->doc, node, &code) && code > INT32_MIN && code < INT32_MAX
             ? (int)code
             : 0;
}

/* Its own members stay; those of the failure say nothing any more. */
static void rewrite(const struct burial_notes *n, struct buffer *out) {
  static const struct event_change changes[] = {
      {"attempts", SPAN("0")},     {"last_error", SPAN("null")},
      {"failed_at", SPAN("null")}, {"status", SPAN("\"pending\"")},
      {"reason", SPAN("null")},    {"error_code", SPAN("null")},
      {"topic", SPAN("null")},     {"first_failed_at", SPAN("null")}};
  event_rewrite(&n->doc, changes, sizeof changes / sizeof *changes, out);
}

static enum status make_pending(const struct burial *letter, struct arena *arena,
                                struct burial_notes *out, struct error *err) {
  const struct event *e = &out->event;
  struct buffer text = {0};
  if (letter->raw.ptr) {
    out->pending = letter->raw;
    return ST_OK;
  }
  if (e->others || !e->id.len || !e->name.len || e->payload == JSON_NONE ||
      e->created_us == TIME_NONE)
    rewrite(out, &text);
  else
    event_write(e->id, e->name, json_slice(&out->doc, e->payload), e->created_us,
                letter->storage_key, &text);
  out->pending = arena_span(arena, buffer_span(&text));
  enum status st = buffer_status(&text, err);
  if (st == ST_OK && !out->pending.ptr) st = error_set(err, ST_NO_MEMORY, "no memory for a letter");
  buffer_release(&text);
  return st;
}

enum status burial_read(const struct burial *letter, struct arena *arena, struct burial_notes *out,
                        struct error *err) {
  struct error why = {0};
  *out = (struct burial_notes){.doc = {.arena = arena}};
  enum status st = json_scan(&out->doc, letter->text, &why);
  if (st == ST_OK && out->doc.nodes[0].type != JSON_OBJECT) st = ST_INVALID;
  if (st == ST_NO_MEMORY) return error_set(err, st, "no memory for a letter");
  enum reason reason =
      st == ST_OK ? event_parse(&out->doc, arena, &out->event, &why) : REASON_NOT_JSON;
  if (reason == REASON_NO_MEMORY) return error_set(err, ST_NO_MEMORY, "no memory for a letter");
  if (st != ST_OK || out->event.status != EVENT_DLQ)
    return error_set(err, ST_INVALID, "what is told of it is not a dead letter's: %s",
                     st != ST_OK ? why.text : "its status is not dlq");
  out->last_error = text_of(out, "last_error", arena);
  out->reason = text_of(out, "reason", arena);
  out->topic = text_of(out, "topic", arena);
  out->error_code = code_of(out);
  return make_pending(letter, arena, out, err);
}
