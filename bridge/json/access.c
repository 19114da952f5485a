/* Members by name, the path of a node as text ("a.b[3]"), and the node at a path.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/json/scanner.h"

uint32_t json_member(const struct json_doc *d, uint32_t object, const char *key) {
  struct span name = span_of(key);
  if (d->nodes[object].type != JSON_OBJECT) return JSON_NONE;
  for (uint32_t at = object + 1; at < d->nodes[object].next; at = d->nodes[at + 1].next)
    if ((d->nodes[at].len == name.len + 2 || d->nodes[at].flags & JSON_ESCAPED) &&
        json_string_is(d, at, name))
      return at + 1;
  return JSON_NONE;
}

/* One step down from container *at to the child that holds node. */
static void step_down(const struct json_doc *d, uint32_t *at, uint32_t node, struct buffer *out) {
  bool object = d->nodes[*at].type == JSON_OBJECT;
  uint32_t child = *at + 1;
  for (uint32_t i = 0;; i++) {
    uint32_t value = child + object;
    if (node < d->nodes[value].next) {
      if (object)
        json_path_key(json_slice(d, child), out);
      else
        buffer_printf(out, "[%u]", i);
      *at = value;
      return;
    }
    child = d->nodes[value].next;
  }
}

void json_path(const struct json_doc *d, uint32_t node, struct buffer *out) {
  struct buffer path = {0};
  for (uint32_t at = 0; at < node;) step_down(d, &at, node, &path);
  if (path.failed) out->failed = true;
  buffer_add(out, buffer_span(&path));
  buffer_release(&path);
}

/* The child of a container whose path, put behind sofar, is the whole of path or is followed by a
 * further step. */
static uint32_t child_on(const struct json_doc *d, uint32_t at, struct span path,
                         struct buffer *sofar) {
  bool object = d->nodes[at].type == JSON_OBJECT;
  size_t base = sofar->len;
  uint32_t child = at + 1;
  if (!object && d->nodes[at].type != JSON_ARRAY) return JSON_NONE;
  for (uint32_t i = 0; child < d->nodes[at].next && !sofar->failed; i++) {
    sofar->len = base;
    if (object)
      json_path_key(json_slice(d, child), sofar);
    else
      buffer_printf(sofar, "[%u]", i);
    bool on = sofar->len <= path.len && memcmp(sofar->ptr, path.ptr, sofar->len) == 0;
    if (on && (sofar->len == path.len || strchr(".[", path.ptr[sofar->len]))) return child + object;
    child = d->nodes[child + object].next;
  }
  return JSON_NONE;
}

uint32_t json_at_path(const struct json_doc *d, struct span path) {
  struct buffer sofar = {0};
  uint32_t at = 0;
  while (at != JSON_NONE && sofar.len < path.len) at = child_on(d, at, path, &sofar);
  bool failed = sofar.failed;
  buffer_release(&sofar);
  return failed ? JSON_NONE : at;
}

const char *json_type_name(enum json_type t) {
  static const char *const names[] = {
      [JSON_NULL] = "null",     [JSON_FALSE] = "boolean", [JSON_TRUE] = "boolean",
      [JSON_NUMBER] = "number", [JSON_STRING] = "string", [JSON_ARRAY] = "array",
      [JSON_OBJECT] = "object"};
  _Static_assert(sizeof names / sizeof *names == JSON_OBJECT + 1, "a name for each type");
  return names[t];
}
