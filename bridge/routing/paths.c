/* Paths into a payload: "customer.id". Behind a path and its NUL stand its steps, each with one.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/routing/plan.h"

bool routing_path_sound(struct span path) {
  for (size_t i = 0, begin = 0; i <= path.len; i++) {
    if (i < path.len && strchr("=;{}", path.ptr[i])) return false;
    if (i < path.len && path.ptr[i] != '.') continue;
    if (i == begin) return false;
    begin = i + 1;
  }
  return true;
}

const char *routing_path_copy(struct routing *r, struct span path) {
  char *copy = arena_zalloc(&r->memory, 2 * (path.len + 1));
  if (!copy) return NULL;
  memcpy(copy, path.ptr, path.len);
  for (size_t i = 0; i < path.len; i++)
    copy[path.len + 1 + i] = path.ptr[i] == '.' ? '\0' : path.ptr[i];
  return copy;
}

/* A member of that name, else the path: "customer.id" is id of customer. */
uint32_t routing_member_at(const struct json_doc *doc, uint32_t node, const char *path) {
  uint32_t whole = json_member(doc, node, path);
  if (whole != JSON_NONE || !strchr(path, '.')) return whole;
  const char *step = path + strlen(path) + 1, *end = step + strlen(path);
  while (node != JSON_NONE && step < end) {
    node = doc->nodes[node].type == JSON_OBJECT ? json_member(doc, node, step) : JSON_NONE;
    step += strlen(step) + 1;
  }
  return node;
}

void routing_path_shown(const struct json_doc *doc, const struct event *event, const char *path,
                        struct buffer *out) {
  if (event->lifted)
    json_path(doc, event->payload, out);
  else
    buffer_add_z(out, "payload");
  buffer_add_char(out, '.');
  text_quoted(out, span_of(path), 60);
}
