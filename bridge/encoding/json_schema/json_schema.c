/* Walks a compiled schema and writes what JSON its places take.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/json_schema/json_schema.h"

#include "bridge/json/json.h"

static void put_use(const struct use *u, const struct use *root, const struct json_form *f,
                    struct buffer *out);

/* Names of types are letters, digits, dots and underscores. */
static void put_reference(const struct type *t, const struct use *root, const struct json_form *f,
                          struct buffer *out) {
  buffer_add_z(out, "{\"$ref\": \"");
  if (t == root->type)
    buffer_add_z(out, f->root);
  else
    buffer_printf(out, "%s%s%.*s", f->place, f->before, SPAN_ARGS(t->name));
  buffer_add_z(out, "\"}");
}

static void put_branches(const struct use *u, const struct use *root, const struct json_form *f,
                         struct buffer *out) {
  buffer_add_z(out, "{\"anyOf\": [");
  for (uint32_t i = 0; i < u->type->count; i++) {
    if (i) buffer_add_z(out, ", ");
    put_use(&u->type->branches[i], root, f, out);
  }
  buffer_add_z(out, "]}");
}

static void put_elements(const struct use *u, const char *head, const struct use *root,
                         const struct json_form *f, struct buffer *out) {
  buffer_add_z(out, head);
  put_use(&u->type->items, root, f, out);
  buffer_add_char(out, '}');
}

static void put_type(const struct use *u, const struct use *root, const struct json_form *f,
                     struct buffer *out) {
  switch (u->type->kind) {
  case KIND_RECORD: put_reference(u->type, root, f, out); return;
  case KIND_UNION: put_branches(u, root, f, out); return;
  case KIND_ARRAY: put_elements(u, "{\"type\": \"array\", \"items\": ", root, f, out); return;
  case KIND_MAP:
    put_elements(u, "{\"type\": \"object\", \"additionalProperties\": ", root, f, out);
    return;
  case KIND_NULL:
  case KIND_BOOLEAN:
  case KIND_INT:
  case KIND_LONG:
  case KIND_FLOAT:
  case KIND_DOUBLE:
  case KIND_BYTES:
  case KIND_STRING:
  case KIND_FIXED:
  case KIND_ENUM: break;
  }
  json_schema_scalar(u->type, out);
}

static void put_use(const struct use *u, const struct use *root, const struct json_form *f,
                    struct buffer *out) {
  if (u->json && u->type->kind == KIND_STRING) { /* whatever it is, as it was written */
    buffer_add_z(out, "{}");
    return;
  }
  if (u->null) buffer_add_z(out, "{\"anyOf\": [{\"type\": \"null\"}, ");
  put_type(u, root, f, out);
  if (u->null) buffer_add_z(out, "]}");
}

static void put_required(const struct type *t, struct buffer *out) {
  bool some = false;
  for (uint32_t i = 0; i < t->count; i++) {
    if (i == t->extra || t->fields[i].has_default) continue;
    buffer_add_z(out, some ? ", " : ", \"required\": [");
    json_write_string(out, t->fields[i].name);
    some = true;
  }
  if (some) buffer_add_char(out, ']');
}

/* A member that is called extra goes into the map of that name with all that have no field. */
static void put_record(const struct type *t, const struct use *root, const struct json_form *f,
                       struct buffer *out) {
  bool first = true;
  buffer_add_z(out, "{\"title\": ");
  json_write_string(out, t->name);
  buffer_add_z(out, ", \"type\": \"object\", \"properties\": {");
  for (uint32_t i = 0; i < t->count; i++) {
    if (i == t->extra) continue;
    if (!first) buffer_add_z(out, ", ");
    first = false;
    json_write_string(out, t->fields[i].name);
    buffer_add_z(out, ": ");
    put_use(&t->fields[i].use, root, f, out);
  }
  buffer_add_char(out, '}');
  put_required(t, out);
  if (f->refuse && t->extra == SCHEMA_NO_FIELD)
    buffer_add_z(out, ", \"additionalProperties\": false");
  buffer_add_char(out, '}');
}

void json_schema_write(const struct use *root, const struct json_form *form, struct buffer *out) {
  put_record(root->type, root, form, out);
}

/* ---- the records in it ---- */

struct named {
  const struct use *root;
  const struct json_form *form;
  struct table seen;
  struct buffer *out;
};

static bool name_use(struct named *n, const struct use *u);

static bool name_parts(struct named *n, const struct type *t) {
  bool ok = true;
  for (uint32_t i = 0; ok && t->kind == KIND_RECORD && i < t->count; i++)
    ok = name_use(n, &t->fields[i].use);
  for (uint32_t i = 0; ok && t->kind == KIND_UNION && i < t->count; i++)
    ok = name_use(n, &t->branches[i]);
  return ok && (t->kind == KIND_ARRAY || t->kind == KIND_MAP ? name_use(n, &t->items) : true);
}

static bool name_use(struct named *n, const struct use *u) {
  const struct type *t = u->type;
  if (t->kind < KIND_ARRAY) return true;
  if (t->kind != KIND_RECORD) return name_parts(n, t);
  if (t == n->root->type || table_get(&n->seen, t->name)) return true;
  if (table_put(&n->seen, t->name, (void *)(uintptr_t)t) != ST_OK) return false;
  buffer_printf(n->out, "%s\"%s%.*s\": ", n->out->len ? ", " : "", n->form->before,
                SPAN_ARGS(t->name));
  put_record(t, n->root, n->form, n->out);
  return name_parts(n, t);
}

bool json_schema_named(const struct use *root, const struct json_form *form, struct buffer *out) {
  struct named n = {.root = root, .form = form, .out = out};
  bool ok = name_parts(&n, root->type);
  table_release(&n.seen);
  return ok;
}
