/* Two JSON texts side by side: what went, what came, what is another value.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/entries/payload_diff.h"

#include "bridge/base/text/words.h"
#include "bridge/json/json.h"

#define SHOWN 80 /* characters of a value */

struct sides {
  const struct json_doc *before, *after;
  struct buffer *out;
};

static void add_value(struct buffer *out, const struct json_doc *doc, uint32_t node) {
  struct span value = json_slice(doc, node), shown = text_cut_characters(value, SHOWN);
  text_printable(out, shown);
  if (shown.len < value.len) buffer_add_z(out, "...");
}

/* Where it is, in the side that has it. */
static void begin_part(struct sides *s, const struct json_doc *doc, uint32_t node) {
  struct buffer path = {0};
  if (s->out->len) buffer_add_z(s->out, "; ");
  json_path(doc, node, &path);
  buffer_add_z(s->out, "payload");
  if (path.len && *path.ptr != '[') buffer_add_char(s->out, '.');
  text_printable(s->out, buffer_span(&path));
  buffer_add_z(s->out, ": ");
  buffer_release(&path);
}

static void tell_gone(struct sides *s, uint32_t node) {
  begin_part(s, s->before, node);
  buffer_add_z(s->out, "gone");
}

static void tell_new(struct sides *s, uint32_t node) {
  begin_part(s, s->after, node);
  add_value(s->out, s->after, node);
}

static void tell_changed(struct sides *s, uint32_t a, uint32_t b) {
  begin_part(s, s->after, b);
  add_value(s->out, s->before, a);
  buffer_add_z(s->out, " -> ");
  add_value(s->out, s->after, b);
}

static uint32_t member_of(const struct json_doc *doc, uint32_t object, const struct json_doc *from,
                          uint32_t key) {
  for (uint32_t k = object + 1; k < doc->nodes[object].next; k = doc->nodes[k + 1].next)
    if (span_eq(json_slice(doc, k), json_slice(from, key))) return k + 1;
  return JSON_NONE;
}

static void compare(struct sides *s, uint32_t a, uint32_t b);

static void compare_objects(struct sides *s, uint32_t a, uint32_t b) {
  const struct json_node *x = s->before->nodes, *y = s->after->nodes;
  for (uint32_t key = a + 1; key < x[a].next; key = x[key + 1].next) {
    uint32_t other = member_of(s->after, b, s->before, key);
    if (other == JSON_NONE)
      tell_gone(s, key + 1);
    else
      compare(s, key + 1, other);
  }
  for (uint32_t key = b + 1; key < y[b].next; key = y[key + 1].next)
    if (member_of(s->before, a, s->after, key) == JSON_NONE) tell_new(s, key + 1);
}

static void compare_arrays(struct sides *s, uint32_t a, uint32_t b) {
  const struct json_node *x = s->before->nodes, *y = s->after->nodes;
  uint32_t i = a + 1, j = b + 1;
  for (; i < x[a].next && j < y[b].next; i = x[i].next, j = y[j].next) compare(s, i, j);
  for (; i < x[a].next; i = x[i].next) tell_gone(s, i);
  for (; j < y[b].next; j = y[j].next) tell_new(s, j);
}

/* Its depth is that of json_scan at most. */
static void compare(struct sides *s, uint32_t a, uint32_t b) {
  enum json_type type = (enum json_type)s->before->nodes[a].type;
  bool alike = type == (enum json_type)s->after->nodes[b].type;
  if (span_eq(json_slice(s->before, a), json_slice(s->after, b))) return;
  if (alike && type == JSON_OBJECT)
    compare_objects(s, a, b);
  else if (alike && type == JSON_ARRAY)
    compare_arrays(s, a, b);
  else
    tell_changed(s, a, b);
}

void payload_diff(struct span before, struct span after, struct buffer *out) {
  struct json_doc x = {0}, y = {0};
  struct buffer parts = {0};
  struct sides s = {&x, &y, &parts};
  if (json_scan(&x, before, NULL) == ST_OK && json_scan(&y, after, NULL) == ST_OK)
    compare(&s, 0, 0);
  else
    buffer_printf(&parts, "%zu bytes -> %zu bytes", before.len, after.len);
  buffer_add(out, buffer_span(&parts));
  out->failed = out->failed || parts.failed;
  buffer_release(&parts);
  json_doc_release(&x);
  json_doc_release(&y);
}
