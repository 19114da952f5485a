/* What the header ce_extra carries, put back into the value it was taken out of. Both may be
 * anybody's bytes: what leads nowhere is left out, whatever it is.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/base/table.h"
#include "bridge/encoding/catalog.h"
#include "bridge/encoding/left_out/carry.h"
#include "bridge/encoding/types/quote.h"

struct addition { /* to an object, in the header's order */
  struct addition *next;
  struct span name, json;
  bool there; /* the object has such a member */
};

struct target { /* an object of the value */
  struct addition *first, **last;
};

struct put_back {
  const struct json_doc *value;
  struct arena arena;
  struct table targets;  /* pointer of an object -> struct target */
  struct table by_place; /* whole pointer -> struct addition */
  struct buffer path;    /* pointer of the node that is looked at */
  struct buffer *out;
  size_t copied; /* bytes of the value that are in out */
  size_t done;
};

/* ---- the header ---- */

/* "a~1b" to "a/b". False: no step of a pointer. */
static bool read_step(struct arena *arena, struct span step, struct span *name, bool *memory) {
  char *to = arena_alloc(arena, step.len + 1);
  size_t len = 0;
  if (!to) return *memory = false;
  for (size_t i = 0; i < step.len; i++) {
    char ch = step.ptr[i];
    if (ch == '~') {
      if (++i == step.len || (step.ptr[i] != '0' && step.ptr[i] != '1')) return false;
      ch = step.ptr[i] == '0' ? '~' : '/';
    }
    to[len++] = ch;
  }
  *name = (struct span){to, len};
  return true;
}

/* False: memory is out. */
static bool add_one(struct put_back *p, struct span pointer, struct span json) {
  const char *slash = pointer.len ? memrchr(pointer.ptr, '/', pointer.len) : NULL;
  struct span parent = {pointer.ptr, slash ? (size_t)(slash - pointer.ptr) : 0}, name;
  bool memory = true;
  if (!slash || pointer.ptr[0] != '/') return true;
  if (!read_step(&p->arena, (struct span){slash + 1, pointer.len - parent.len - 1}, &name, &memory))
    return memory;
  struct addition *a = arena_zalloc(&p->arena, sizeof *a);
  struct target *t = table_get(&p->targets, parent);
  if (a && !t && (t = arena_zalloc(&p->arena, sizeof *t))) {
    t->last = &t->first;
    if (table_put(&p->targets, parent, t) != ST_OK) return false;
  }
  if (!a || !t || table_put(&p->by_place, pointer, a) != ST_OK) return false;
  *a = (struct addition){.name = name, .json = json};
  *t->last = a;
  t->last = &a->next;
  return true;
}

static enum status read_header(struct put_back *p, const struct json_doc *extra,
                               struct error *err) {
  if (extra->nodes[0].type != JSON_OBJECT)
    return error_set(err, ST_INVALID, "expected an object, found %s",
                     json_type_name((enum json_type)extra->nodes[0].type));
  for (uint32_t key = 1; key < extra->nodes[0].next; key = extra->nodes[key + 1].next) {
    struct span pointer;
    if (!json_text(extra, key, &p->arena, &pointer) ||
        !add_one(p, pointer, json_slice(extra, key + 1)))
      return error_set(err, ST_NO_MEMORY, "Out of memory");
  }
  return ST_OK;
}

/* ---- the value ---- */

/* As carry.c writes it, but no JSON text: "/lines/0/a~1b". */
static void push_name(struct put_back *p, uint32_t key) {
  struct span raw = json_raw(p->value, key);
  struct buffer text = {0};
  if (p->value->nodes[key].flags & JSON_ESCAPED) {
    json_unescape(p->value, key, &text);
    if (text.failed) p->path.failed = true;
    raw = buffer_span(&text);
  }
  buffer_add_char(&p->path, '/');
  for (size_t i = 0; i < raw.len; i++) {
    if (raw.ptr[i] == '~' || raw.ptr[i] == '/')
      buffer_add_z(&p->path, raw.ptr[i] == '~' ? "~0" : "~1");
    else
      buffer_add_char(&p->path, raw.ptr[i]);
  }
  buffer_release(&text);
}

/* In front of the brace that closes it. */
static void close_object(struct put_back *p, uint32_t node) {
  const struct json_node *n = &p->value->nodes[node];
  const struct target *t = table_get(&p->targets, buffer_span(&p->path));
  bool first = n->count == 0;
  size_t brace = n->at + n->len - 1;
  for (const struct addition *a = t ? t->first : NULL; a; a = a->next) {
    if (a->there) continue;
    buffer_append(p->out, p->value->text.ptr + p->copied, brace - p->copied);
    p->copied = brace;
    if (!first) buffer_add_z(p->out, ", ");
    json_write_string(p->out, a->name);
    buffer_add_z(p->out, ": ");
    quote_one_line(p->out, a->json);
    first = false;
    p->done++;
  }
}

static void walk_node(struct put_back *p, uint32_t node) {
  const struct json_node *nodes = p->value->nodes;
  bool object = nodes[node].type == JSON_OBJECT;
  size_t before = p->path.len;
  if (!object && nodes[node].type != JSON_ARRAY) return;
  uint32_t child = node + 1;
  for (uint32_t i = 0; i < nodes[node].count && !p->path.failed; i++) {
    object ? push_name(p, child) : buffer_printf(&p->path, "/%u", i);
    struct addition *a = object ? table_get(&p->by_place, buffer_span(&p->path)) : NULL;
    if (a) a->there = true;
    walk_node(p, child + object);
    if (!p->path.failed) p->path.len = before;
    child = nodes[child + object].next;
  }
  if (object && !p->path.failed) close_object(p, node);
}

static enum status both(struct put_back *p, struct json_doc *value, struct json_doc *extra,
                        struct span text, struct span header, size_t *left, struct error *err) {
  enum status st = json_scan(extra, header, err);
  if (st == ST_OK) st = json_scan(value, text, err);
  if (st == ST_OK) st = read_header(p, extra, err);
  if (st != ST_OK) return st;
  walk_node(p, 0);
  if (p->path.failed) return error_set(err, ST_NO_MEMORY, "Out of memory");
  buffer_append(p->out, text.ptr + p->copied, text.len - p->copied);
  *left = extra->nodes[0].count - p->done;
  return buffer_status(p->out, err);
}

enum status catalog_put_back(struct span json, struct span extra, struct buffer *out, size_t *left,
                             struct error *err) {
  struct json_doc value = {0}, header = {0};
  struct put_back p = {.value = &value, .out = out};
  size_t start = out->len;
  *left = 0;
  enum status st = both(&p, &value, &header, json, extra, left, err);
  if (st != ST_OK) out->len = start;
  table_release(&p.targets);
  table_release(&p.by_place);
  arena_release(&p.arena);
  buffer_release(&p.path);
  json_doc_release(&value);
  json_doc_release(&header);
  return st;
}
