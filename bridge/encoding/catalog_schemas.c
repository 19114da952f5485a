/* Shows the schemas: what they are, what they have not, and where in them a member is.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/encoding/catalog_parts.h"
#include "bridge/encoding/json_schema/inline.h"
#include "bridge/encoding/json_schema/json_schema.h"

bool catalog_frozen(const struct catalog *c, struct span event_name, size_t n,
                    struct catalog_schema *out) {
  const struct event_schemas *all = &set_of(c)->schemas;
  size_t from = event_name.ptr ? 0 : n;
  for (size_t i = from; i < all->frozen_count; i++) {
    const struct frozen *f = &all->frozen[i];
    if (event_name.ptr && (!span_is(event_name, f->event_name) || n--)) continue;
    *out = (struct catalog_schema){.event_name = f->event_name,
                                   .file = f->file,
                                   .number = f->number,
                                   .fields = f->schema.root.type->count,
                                   .text = f->schema.text,
                                   .canonical = f->schema.canonical,
                                   .fingerprint = f->schema.fingerprint,
                                   .schema = &f->schema};
    return true;
  }
  return false;
}

enum status catalog_whole_text(const struct catalog *c, struct span text, struct buffer *out,
                               struct error *err) {
  return inline_write(text, &set_of(c)->schemas.commons.by_name, out, err);
}

enum status catalog_json_schema(const struct catalog *c, size_t i, const struct catalog_json *form,
                                struct buffer *out, struct buffer *named, struct error *err) {
  const struct set *set = set_of(c);
  const struct event_schema *e = &set->schemas.list[i];
  const struct json_form f = {
      .root = form->root, .place = form->place, .before = form->before, .refuse = form->refuse};
  if (e == set->envelope) {
    buffer_add_z(out, "{\"type\": \"object\"}");
    return buffer_status(out, err);
  }
  json_schema_write(&e->schema.root, &f, out);
  if (!json_schema_named(&e->schema.root, &f, named))
    return error_set(err, ST_NO_MEMORY, "Out of memory");
  enum status st = buffer_status(out, err);
  return st == ST_OK ? buffer_status(named, err) : st;
}

bool catalog_note(const struct catalog *c, size_t i, size_t n, const char **text) {
  const struct set *set = set_of(c);
  const struct schema_note *note =
      i < set->schemas.count ? set->schemas.list[i].schema.notes : NULL;
  while (note && n--) note = note->next;
  if (!note) return false;
  *text = note->text;
  return true;
}

bool catalog_schema_at(const struct catalog *c, size_t i, struct catalog_schema *out) {
  const struct set *set = set_of(c); /* once: another may be taken over meanwhile */
  if (i >= set->schemas.count) return false;
  const struct event_schema *e = &set->schemas.list[i];
  const struct type *t = e->schema.root.type;
  *out = (struct catalog_schema){.event_name = e->event_name,
                                 .file = e->file,
                                 .built_in = strcmp(e->file, ENVELOPE_BUILT_IN) == 0,
                                 .text = e->schema.text,
                                 .fields = e->schema.root.type->count,
                                 .whole = e == set->envelope,
                                 .canonical = e->schema.canonical,
                                 .fingerprint = e->schema.fingerprint,
                                 .schema = &e->schema,
                                 .record = t->name,
                                 .key = t->key == SCHEMA_NO_FIELD ? (struct span){0}
                                                                  : t->fields[t->key].name,
                                 .cut_numbers = e->cut_numbers,
                                 .left_out = e->left_out};
  return true;
}

bool catalog_left_out(struct catalog *c, size_t i, size_t n, struct span *path, uint64_t *count) {
  const struct set *set = set_of(c);
  return i < set->schemas.count && left_out_at(&c->left, &set->schemas.list[i], n, path, count);
}

/* Places */

static enum catalog_place place_of(const struct use *u) {
  if (u->json && u->type->kind == KIND_STRING) return CATALOG_ANY;
  if (u->type->kind == KIND_ARRAY) return CATALOG_ARRAY;
  return u->type->kind == KIND_MAP || u->type->kind == KIND_RECORD ? CATALOG_OBJECT
                                                                   : CATALOG_SCALAR;
}

static struct span first_of(struct span path) {
  const char *dot = memchr(path.ptr, '.', path.len);
  return (struct span){path.ptr, dot ? (size_t)(dot - path.ptr) : path.len};
}

/* As far as the path leads from there: the rest of it, which the place that it ends at has not, is
 * in *rest. */
static const struct use *walk_path(const struct use *u, struct span path, struct span *rest) {
  while (path.len && u->type->kind == KIND_RECORD) {
    struct span head = first_of(path);
    uint32_t at = type_find(u->type, head, 0);
    if (at == SCHEMA_NO_FIELD) break;
    u = &u->type->fields[at].use;
    path = head.len < path.len ? (struct span){path.ptr + head.len + 1, path.len - head.len - 1}
                               : (struct span){0};
  }
  *rest = path;
  return u;
}

static const struct use *root_of(const struct catalog *c, size_t i) {
  return &set_of(c)->schemas.list[i].schema.root;
}

enum catalog_place catalog_place(const struct catalog *c, size_t i, struct span path) {
  struct span rest;
  const struct use *u = walk_path(root_of(c, i), path, &rest);
  if (!rest.len) return place_of(u);
  return place_of(u) == CATALOG_ANY || u->type->kind == KIND_MAP ? CATALOG_ANY : CATALOG_NONE;
}

struct span catalog_near_field(const struct catalog *c, size_t i, struct span path,
                               struct span *front, struct span *behind) {
  struct span best = {0}, rest, left;
  const struct type *t = walk_path(root_of(c, i), path, &rest)->type;
  struct span head = rest.len ? first_of(rest) : rest;
  struct span tail = {rest.ptr + head.len, rest.len - head.len}; /* with its dot */
  size_t least = head.len / 3 + 2;                               /* as word_nearest */
  *front = (struct span){path.ptr, path.len - rest.len};
  for (uint32_t f = 0; rest.len && t->kind == KIND_RECORD && f < t->count; f++) {
    struct span name = t->fields[f].name;
    size_t distance = word_distance(head, name);
    if (distance >= least || distance >= name.len) continue;
    least = distance, best = name, *behind = (struct span){0};
    if (!tail.len) continue;
    walk_path(&t->fields[f].use, (struct span){tail.ptr + 1, tail.len - 1}, &left);
    if (!left.len) *behind = tail;
  }
  return best;
}
