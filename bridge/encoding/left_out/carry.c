/* Walks down to the members without a place, and writes them as a header.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/left_out/carry.h"

#include <stdio.h>

void carry_release(struct carry_walk *w) {
  buffer_release(&w->pointer);
  buffer_release(&w->shape);
  buffer_release(&w->token);
}

/* ---- where each stands ---- */

/* A name as one step of a pointer, ~ and / escaped, inside of a JSON string. */
static void push_name(struct carry_walk *w, uint32_t key) {
  struct buffer *p = &w->pointer;
  buffer_clear(&w->token);
  json_unescape(w->doc, key, &w->token);
  size_t plain = w->token.len;
  for (size_t i = 0; i < plain && !w->token.failed; i++) {
    char ch = w->token.ptr[i];
    if (ch == '~' || ch == '/')
      buffer_add_z(&w->token, ch == '~' ? "~0" : "~1");
    else
      buffer_add_char(&w->token, ch);
  }
  buffer_add_char(p, '/');
  size_t quote = p->len;
  if (!w->token.failed)
    json_write_string(p, (struct span){w->token.ptr + plain, w->token.len - plain});
  else
    p->failed = true;
  json_path_key(json_slice(w->doc, key), &w->shape);
  if (p->failed) return;
  memmove(p->ptr + quote, p->ptr + quote + 1, p->len - quote - 2);
  p->len -= 2;
}

static void push_index(struct carry_walk *w, uint32_t index) {
  buffer_printf(&w->pointer, "/%u", index);
  buffer_add_z(&w->shape, "[]");
}

/* Only where there is one below: the others are passed over. */
static bool walk_node(struct carry_walk *w, uint32_t node) {
  const struct json_node *nodes = w->doc->nodes;
  bool object = nodes[node].type == JSON_OBJECT, go_on = true;
  size_t pointer = w->pointer.len, shape = w->shape.len;
  uint32_t child = node + 1;
  for (uint32_t i = 0; go_on && i < nodes[node].count; i++) {
    uint32_t value = child + object, end = nodes[value].next;
    if (w->at == w->count || w->keys[w->at] >= nodes[node].next) break;
    if (w->keys[w->at] < end) {
      object ? push_name(w, child) : push_index(w, i);
      go_on = !w->pointer.failed && !w->shape.failed;
      if (go_on && object && w->keys[w->at] == child)
        go_on = w->visit(w, w->keys[w->at++]);
      else if (go_on)
        go_on = walk_node(w, value);
      w->pointer.len = pointer;
      w->shape.len = shape;
    }
    child = end;
  }
  return go_on;
}

bool carry_each(struct carry_walk *w, uint32_t root) {
  buffer_clear(&w->pointer);
  buffer_clear(&w->shape);
  buffer_add_z(&w->shape, "payload");
  w->at = 0;
  return walk_node(w, root);
}

/* ---- the header ---- */

/* JSON text on one line. What is below 0x20 is white space between tokens; DEL stands in strings
 * only. */
static void put_text(struct buffer *out, struct span json) {
  size_t from = 0;
  for (size_t i = 0; i < json.len; i++) {
    unsigned char ch = (unsigned char)json.ptr[i];
    if (ch >= 0x20 && ch != 0x7f) continue;
    buffer_append(out, json.ptr + from, i - from);
    buffer_add_z(out, ch == 0x7f ? "\\u007f" : " ");
    from = i + 1;
  }
  buffer_append(out, json.ptr + from, json.len - from);
}

struct header {
  struct buffer *out;
  size_t start, max;
};

static bool put_member(struct carry_walk *w, uint32_t key) {
  struct header *h = w->ctx;
  struct span value = json_slice(w->doc, key + 1);
  if (value.len > h->max) return false;
  buffer_add_z(h->out, h->out->len > h->start + 1 ? ", \"" : "\"");
  put_text(h->out, buffer_span(&w->pointer));
  buffer_add_z(h->out, "\": ");
  put_text(h->out, value);
  return h->out->len - h->start < h->max; /* and the closing brace */
}

bool carry_write(struct carry_walk *w, uint32_t root, size_t max, struct buffer *out) {
  struct header h = {out, out->len, max};
  w->visit = put_member;
  w->ctx = &h;
  buffer_add_char(out, '{');
  bool fits = carry_each(w, root);
  if (w->pointer.failed || w->shape.failed) out->failed = true;
  buffer_add_char(out, '}');
  if (!fits) out->len = h.start;
  return fits || out->failed;
}
