/* json_fuzz.c - any bytes through the scanner; what it accepts must be walkable by every accessor,
 * and its strings and doubles must survive being written and read again. */
#include "bridge/json/json.h"

#include <math.h>

static void check_string(const struct json_doc *d, uint32_t node) {
  struct buffer plain = {0}, text = {0};
  struct arena arena = {0};
  struct span made;
  struct json_doc again = {0};
  json_unescape(d, node, &plain);
  BUG_ON(plain.failed || span_utf8_prefix(buffer_span(&plain)) != plain.len);
  BUG_ON(!json_string_is(d, node, buffer_span(&plain)));
  BUG_ON(!json_text(d, node, &arena, &made) || !span_eq(made, buffer_span(&plain)));
  json_write_string(&text, buffer_span(&plain));
  BUG_ON(json_scan(&again, buffer_span(&text), NULL) != ST_OK);
  BUG_ON(!json_string_is(&again, 0, buffer_span(&plain)));
  json_doc_release(&again);
  arena_release(&arena);
  buffer_release(&plain);
  buffer_release(&text);
}

static void check_number(const struct json_doc *d, uint32_t node) {
  int64_t n;
  double x, y;
  unsigned digits;
  struct buffer text = {0};
  struct json_doc again = {0};
  bool whole = json_int(d, node, &n), finite = json_double(d, node, &x, &digits);
  BUG_ON(whole && !(finite && (double)n == x));
  if (finite) {
    json_write_double(&text, x);
    BUG_ON(json_scan(&again, buffer_span(&text), NULL) != ST_OK);
    BUG_ON(!json_double(&again, 0, &y, NULL) || x != y || signbit(x) != signbit(y));
  }
  json_doc_release(&again);
  buffer_release(&text);
}

static void check_object(const struct json_doc *d, uint32_t object) {
  uint32_t count = 0;
  for (uint32_t key = object + 1; key < d->nodes[object].next;
       key = d->nodes[key + 1].next, count++) {
    struct buffer name = {0};
    BUG_ON(d->nodes[key].type != JSON_STRING);
    json_unescape(d, key, &name);
    /* quadratic, so only for the first few; a name with a NUL byte is longer than C sees */
    if (count < 8 && (name.len == 0 || !memchr(name.ptr, 0, name.len)))
      BUG_ON(json_member(d, object, buffer_z(&name)) != key + 1);
    buffer_release(&name);
  }
  BUG_ON(count != d->nodes[object].count);
}

static void check_node(const struct json_doc *d, uint32_t node) {
  const struct json_node *n = &d->nodes[node];
  BUG_ON(n->len == 0 || (uint64_t)n->at + n->len > d->text.len || n->next <= node ||
         n->next > d->count);
  json_type_name((enum json_type)n->type);
  if (n->type == JSON_STRING) check_string(d, node);
  if (n->type == JSON_NUMBER) check_number(d, node);
  if (n->type == JSON_OBJECT) check_object(d, node);
  if (node > 64) return; /* paths are found from the root: quadratic */
  struct buffer path = {0};
  json_path(d, node, &path);
  BUG_ON(path.failed);
  buffer_release(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct arena arena = {0};
  struct json_doc d = {0}, in_arena = {.arena = &arena};
  struct error err = {0};
  struct span text = {(const char *)data, size};
  enum status st = json_scan(&d, text, &err);
  BUG_ON(json_scan(&in_arena, text, NULL) != st || in_arena.fault != d.fault ||
         in_arena.fault_at != d.fault_at);
  BUG_ON((st == ST_OK) != (d.fault == JSON_OK) || d.fault_at > size);
  BUG_ON(st != ST_OK && strncmp(err.text, "byte ", 5) != 0);
  if (st == ST_OK) {
    BUG_ON(d.nodes[0].next != d.count || in_arena.count != d.count);
    for (uint32_t i = 0; i < d.count; i++) check_node(&d, i);
  }
  json_doc_release(&d);
  arena_release(&arena);
  return 0;
}
