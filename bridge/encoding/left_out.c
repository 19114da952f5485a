/* Members without a place, by path. */
#include "bridge/encoding/left_out.h"

/* "[12]" becomes "[]": the index of an array. A name that is not plain stands in quotes. */
static void put_shape(struct span path, struct buffer *out) {
  bool quoted = false;
  for (size_t i = 0; i < path.len; i++) {
    char ch = path.ptr[i];
    buffer_add_char(out, ch);
    if (ch == '"') quoted = !quoted;
    if (quoted && ch == '\\' && i + 1 < path.len) buffer_add_char(out, path.ptr[++i]);
    if (quoted || ch != '[') continue;
    while (i + 1 < path.len && path.ptr[i + 1] >= '0' && path.ptr[i + 1] <= '9') i++;
  }
}

static struct left_path *add(struct left_out *l, struct entry *e, struct span name) {
  struct left_path *p = arena_zalloc(&l->arena, sizeof *p);
  struct span kept = p ? arena_span(&l->arena, name) : (struct span){0};
  if (!kept.ptr || table_put(&l->by_path, kept, p) != ST_OK) return NULL;
  size_t before = strlen(e->event_name) + 1;
  p->path = (struct span){kept.ptr + before, kept.len - before};
  struct left_path **last = &e->first_left;
  while (*last) last = &(*last)->next;
  *last = p;
  e->left_paths++;
  return p;
}

bool left_out_met(struct left_out *l, struct entry *e, const struct json_doc *doc, uint32_t node) {
  buffer_clear(&l->path);
  buffer_clear(&l->name);
  json_path(doc, node + 1, &l->path); /* of the value */
  buffer_printf(&l->name, "%s ", e->event_name);
  put_shape(buffer_span(&l->path), &l->name);
  if (l->path.failed || l->name.failed) {
    l->path.failed = l->name.failed = false;
    return false;
  }
  struct left_path *p = table_get(&l->by_path, buffer_span(&l->name));
  bool fresh = !p && e->left_paths < LEFT_OF_TYPE && l->by_path.count < LEFT_MAX;
  if (fresh) p = add(l, e, buffer_span(&l->name));
  if (!p) return false;
  p->count++;
  buffer_clear(&l->path);
  buffer_add(&l->path, p->path);
  return fresh;
}

void left_out_release(struct left_out *l) {
  table_release(&l->by_path);
  arena_release(&l->arena);
  buffer_release(&l->path);
  buffer_release(&l->name);
}
