/* Changes or appends top-level members in an entry's text, leaving all other bytes as the producer
 * wrote them; writes a new entry.
 * Any thread; a crash leaves nothing. */
#include "bridge/event/event.h"

#define NOT_CHANGED SIZE_MAX

static size_t change_of(const struct json_doc *d, uint32_t key, const struct event_change *changes,
                        size_t count) {
  for (size_t i = 0; i < count; i++)
    if (json_string_is(d, key, span_of(changes[i].key))) return i;
  return NOT_CHANGED;
}

void event_rewrite(const struct json_doc *doc, const struct event_change *changes, size_t count,
                   struct buffer *out) {
  const struct json_node *nodes = doc->nodes;
  uint64_t made = 0;
  size_t copied = 0; /* of the text */
  BUG_ON(count > 64);
  if (nodes[0].type != JSON_OBJECT) {
    buffer_add(out, doc->text);
    return;
  }
  size_t tail =
      nodes[0].at + 1; /* where members are appended: behind the last value, in front of blanks */
  for (uint32_t key = 1; key < nodes[0].next; key = nodes[key + 1].next) {
    const struct json_node *value = &nodes[key + 1];
    size_t i = change_of(doc, key, changes, count);
    tail = value->at + value->len;
    if (i == NOT_CHANGED) continue;
    buffer_append(out, doc->text.ptr + copied, value->at - copied);
    buffer_add(out, changes[i].json);
    copied = tail;
    made |= 1ull << i;
  }
  buffer_append(out, doc->text.ptr + copied, tail - copied);
  bool first = nodes[0].count == 0;
  for (size_t i = 0; i < count; i++) {
    if (made & 1ull << i) continue;
    json_write_key(out, &first, changes[i].key);
    buffer_add(out, changes[i].json);
  }
  buffer_append(out, doc->text.ptr + tail, doc->text.len - tail);
}

static void add_text(struct buffer *out, const char *before, struct span text) {
  buffer_add_z(out, before);
  json_write_string(out, text);
}

void event_write(struct span id, struct span name, struct span payload, int64_t created_us,
                 struct span storage_key, struct buffer *out) {
  char time[TIME_TEXT];
  add_text(out, "{\"id\": ", id);
  add_text(out, ", \"name\": ", name);
  buffer_add_z(out, ", \"payload\": ");
  buffer_add(out, payload);
  buffer_printf(out, ", \"created_at\": \"%s\", \"attempts\": 0, ", time_format(created_us, time));
  add_text(out,
           "\"dispatched_at\": null, \"last_error\": null, \"failed_at\": null, \"status\": "
           "\"pending\", \"storage_key\": ",
           storage_key);
  buffer_add_char(out, '}');
}

void event_write_typed(struct span id, struct span type, struct span payload, int64_t occurred_us,
                       struct buffer *out) {
  char time[TIME_TEXT];
  time_format(occurred_us, time);
  add_text(out, "{\"message_id\": ", id);
  add_text(out, ", \"event_type\": ", type);
  buffer_add_z(out, ", \"payload\": ");
  buffer_add(out, payload);
  buffer_printf(out,
                ", \"occurred_at\": \"%s\", \"aggregate_id\": null, \"status\": \"pending\", "
                "\"attempts\": 0, \"last_error\": null, \"created_at\": \"%s\"}",
                time, time);
}
