/* Finds the trace context that a producer left in an entry, and takes it where its form is right.
 * Any thread; a crash leaves nothing. */
#include "bridge/event/trace.h"

#include "bridge/base/text/escape.h"

#define STATE_MAX 512 /* what each party passes on; a longer one may be left out as a whole */

static bool hex_field(const char *p, size_t len, bool may_be_zero) {
  return hex_lower((struct span){p, len}) && (may_be_zero || strspn(p, "0") < len);
}

/* W3C trace context: version-trace-parent-flags in lower-case hex, no version ff, neither id all
 * zero. */
static bool is_traceparent(struct span t) {
  return t.len == 55 && t.ptr[2] == '-' && t.ptr[35] == '-' && t.ptr[52] == '-' &&
         hex_field(t.ptr, 2, true) && memcmp(t.ptr, "ff", 2) != 0 &&
         hex_field(t.ptr + 3, 32, false) && hex_field(t.ptr + 36, 16, false) &&
         hex_field(t.ptr + 53, 2, true);
}

/* key=value members between commas, of printable ASCII. */
static bool is_tracestate(struct span t) {
  for (size_t i = 0; i < t.len; i++)
    if (t.ptr[i] < 0x20 || t.ptr[i] > 0x7e) return false;
  return t.len > 0 && t.len <= STATE_MAX && memchr(t.ptr, '=', t.len);
}

static struct span text_of(const struct json_doc *doc, uint32_t node, bool (*valid)(struct span)) {
  if (node == JSON_NONE || doc->nodes[node].type != JSON_STRING ||
      doc->nodes[node].flags & JSON_ESCAPED || !valid(json_raw(doc, node)))
    return (struct span){NULL, 0};
  return json_raw(doc, node);
}

static struct trace in_object(const struct json_doc *doc, uint32_t object, uint32_t traceparent) {
  struct trace found = {.parent = text_of(doc, traceparent, is_traceparent)};
  if (found.parent.len)
    found.state = text_of(doc, json_member(doc, object, "tracestate"), is_tracestate);
  return found;
}

static uint32_t text_member(const struct json_doc *doc, uint32_t node, const char *key) {
  bool object = node != JSON_NONE && doc->nodes[node].type == JSON_OBJECT;
  return object ? json_member(doc, node, key) : JSON_NONE;
}

struct trace trace_read(const struct json_doc *doc, uint32_t payload, uint32_t traceparent,
                        uint32_t headers) {
  uint32_t metadata = text_member(doc, payload, "metadata");
  struct trace found = in_object(doc, metadata, text_member(doc, metadata, "traceparent"));
  if (!found.parent.len) found = in_object(doc, 0, traceparent);
  if (!found.parent.len) found = in_object(doc, headers, text_member(doc, headers, "traceparent"));
  return found;
}
