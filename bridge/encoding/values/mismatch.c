/* What is said of a payload that does not fit: the place, the type and the kind of the value, never
 * the value.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/values/encode_parts.h"

#include "bridge/base/text/words.h"
#include "bridge/encoding/types/quote.h"

static void put_path(const struct encoder *e, uint32_t node, struct buffer *text) {
  if (e->defaults) return;
  struct buffer path = {0};
  if (e->alone) buffer_add_z(&path, "payload");
  if (e->alone && node && e->doc->nodes[0].type == JSON_OBJECT) buffer_add_char(&path, '.');
  json_path(e->doc, node, &path);
  text_quoted(text, buffer_span(&path), 4 * QUOTE_CHARACTERS);
  buffer_release(&path);
}

static enum reason say_mismatch(struct encoder *e, enum reason reason, struct buffer *text,
                                bool name_file) {
  if (e->file && name_file) buffer_printf(text, " (%s)", e->file);
  error_set(e->err, ST_INVALID, "%s", buffer_z(text));
  buffer_release(text);
  return reason;
}

static void put_symbols(const struct type *t, struct buffer *text) {
  buffer_add_z(text, "one of ");
  for (uint32_t i = 0; i < t->count && i < 10; i++) {
    if (i) buffer_add_z(text, ", ");
    text_quoted(text, t->symbols[i], QUOTE_CHARACTERS);
  }
  if (t->count > 10) buffer_add_z(text, ", ...");
}

static void put_type(const struct use *u, struct buffer *text) {
  const struct type *t = u->type;
  if (u->json) buffer_add_z(text, "JSON text in a "); /* only a default can fail there */
  if (t->kind == KIND_RECORD || t->kind == KIND_MAP)
    buffer_add_z(text, "object");
  else if (t->kind == KIND_FIXED && !t->logical)
    buffer_printf(text, "%u bytes in base64", t->size);
  else
    type_word(t, text);
}

static void put_branches(const struct type *t, struct buffer *text) {
  for (uint32_t i = 0; i < t->count; i++) {
    if (i) buffer_add_z(text, i + 1 == t->count ? " or " : ", ");
    if (t->branches[i].type->kind == KIND_RECORD || t->branches[i].type->kind == KIND_ENUM)
      text_quoted(text, t->branches[i].type->name, QUOTE_CHARACTERS);
    else
      put_type(&t->branches[i], text);
  }
}

static void put_expected(const struct use *u, struct buffer *text) {
  if (u->type->kind == KIND_UNION)
    put_branches(u->type, text);
  else if (u->type->kind == KIND_ENUM)
    put_symbols(u->type, text);
  else
    put_type(u, text);
  if (u->null) buffer_add_z(text, " or null");
}

/* A payload's values are nobody's business: these words come to logs and lists. */
static void put_found(const struct encoder *e, const struct use *u, uint32_t node, const char *why,
                      struct buffer *text) {
  const struct json_node *n = &e->doc->nodes[node];
  int64_t value;
  bool part = n->type == JSON_NUMBER && json_whole(e->doc, node, &value) == JSON_FRACTION;
  buffer_add_z(text, json_type_name((enum json_type)n->type));
  if (part && (u->type->kind == KIND_INT || u->type->kind == KIND_LONG)) why = "that is not whole";
  if (why) buffer_printf(text, " %s", why);
}

enum reason encode_mismatch(struct encoder *e, const struct use *u, uint32_t node,
                            const char *why) {
  if (e->trying) return REASON_SCHEMA_MISMATCH;
  struct buffer text = {0};
  put_path(e, node, &text);
  buffer_add_z(&text, e->defaults ? "expected " : ": expected ");
  put_expected(u, &text);
  buffer_add_z(&text, ", found ");
  if (e->defaults)
    quote_value(&text, e->doc, node);
  else
    put_found(e, u, node, why, &text);
  return say_mismatch(e, REASON_SCHEMA_MISMATCH, &text, true);
}

enum reason encode_out_of_range(struct encoder *e, const struct use *u, uint32_t node,
                                enum reason reason) {
  if (e->trying) return reason;
  struct buffer text = {0};
  put_path(e, node, &text);
  if (e->defaults)
    text_quoted(&text, json_slice(e->doc, node), QUOTE_CHARACTERS);
  else
    buffer_add_z(&text, ": the number");
  buffer_add_z(&text, " is beyond the range of ");
  type_word(u->type, &text);
  return say_mismatch(e, reason, &text, true);
}

enum reason encode_missing(struct encoder *e, const struct field *f, uint32_t object) {
  if (e->trying) return REASON_SCHEMA_MISMATCH;
  struct buffer text = {0};
  put_path(e, object, &text);
  if (!e->defaults) buffer_add_char(&text, '.');
  text_quoted(&text, f->name, QUOTE_CHARACTERS);
  buffer_printf(&text, ": required by %s and missing", e->file ? e->file : "its type");
  return say_mismatch(e, REASON_SCHEMA_MISMATCH, &text, false);
}

enum reason encode_no_place(struct encoder *e, uint32_t key) {
  if (e->trying) return REASON_SCHEMA_MISMATCH;
  struct buffer text = {0};
  put_path(e, key + 1, &text);
  buffer_add_z(&text, e->defaults ? "no such field: " : ": no such field");
  if (e->defaults) text_quoted(&text, json_raw(e->doc, key), QUOTE_CHARACTERS);
  return say_mismatch(e, REASON_SCHEMA_MISMATCH, &text, true);
}
