/* The Parsing Canonical Form of a schema, and its fingerprint. Names and symbols are [A-Za-z0-9_.]
 * after the check, so nothing needs escaping.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/types/schema.h"

struct form {
  struct buffer *out;
  bool logical; /* logical types too */
};

static void write_use(const struct use *u, const struct form *f);

static void quoted(struct buffer *out, struct span s) {
  buffer_add_char(out, '"');
  buffer_add(out, s);
  buffer_add_char(out, '"');
}

static void write_fields(const struct type *t, const struct form *f) {
  struct buffer *out = f->out;
  buffer_add_z(out, ",\"type\":\"record\",\"fields\":[");
  for (uint32_t i = 0; i < t->count; i++) {
    buffer_add_z(out, i ? ",{\"name\":" : "{\"name\":");
    quoted(out, t->fields[i].name);
    buffer_add_z(out, ",\"type\":");
    write_use(&t->fields[i].use, f);
    buffer_add_char(out, '}');
  }
  buffer_add_z(out, "]}");
}

static void write_symbols(const struct type *t, struct buffer *out) {
  buffer_add_z(out, ",\"type\":\"enum\",\"symbols\":[");
  for (uint32_t i = 0; i < t->count; i++) {
    if (i) buffer_add_char(out, ',');
    quoted(out, t->symbols[i]);
  }
  buffer_add_z(out, "]}");
}

static void write_union(const struct type *t, const struct form *f) {
  struct buffer *out = f->out;
  buffer_add_char(out, '[');
  for (uint32_t i = 0; i < t->count; i++) {
    if (i) buffer_add_char(out, ',');
    write_use(&t->branches[i], f);
  }
  buffer_add_char(out, ']');
}

static void write_type(const struct type *t, bool named, const struct form *f) {
  struct buffer *out = f->out;
  if (t->kind <= KIND_STRING) {
    quoted(out, span_of(kind_name(t->kind)));
  } else if (t->kind == KIND_ARRAY || t->kind == KIND_MAP) {
    buffer_add_z(out, t->kind == KIND_ARRAY ? "{\"type\":\"array\",\"items\":"
                                            : "{\"type\":\"map\",\"values\":");
    write_use(&t->items, f);
    buffer_add_char(out, '}');
  } else if (t->kind == KIND_UNION) {
    write_union(t, f);
  } else if (named) {
    quoted(out, t->name);
  } else {
    buffer_add_z(out, "{\"name\":");
    quoted(out, t->name);
    if (t->kind == KIND_RECORD)
      write_fields(t, f);
    else if (t->kind == KIND_FIXED)
      buffer_printf(out, ",\"type\":\"fixed\",\"size\":%u}", t->size);
    else
      write_symbols(t, out);
  }
}

/* Behind its type, which is not JSON any more: it is compared alone. */
static void write_logical(const struct type *t, struct buffer *out) {
  if (t->logical == LOGICAL_NONE) return;
  buffer_printf(out, "<%s", logical_name(t->logical));
  if (t->logical == LOGICAL_DECIMAL) buffer_printf(out, "(%u,%u)", t->precision, t->scale);
  buffer_add_char(out, '>');
}

static void write_use(const struct use *u, const struct form *f) {
  struct buffer *out = f->out;
  if (u->null == NULL_FIRST) buffer_add_z(out, "[\"null\",");
  if (u->null == NULL_SECOND) buffer_add_char(out, '[');
  write_type(u->type, u->named, f);
  if (f->logical) write_logical(u->type, out);
  if (u->null == NULL_FIRST) buffer_add_char(out, ']');
  if (u->null == NULL_SECOND) buffer_add_z(out, ",\"null\"]");
}

void canonical_write(const struct use *root, struct buffer *out) {
  const struct form form = {out, false};
  write_use(root, &form);
}

void canonical_write_logical(const struct use *root, struct buffer *out) {
  const struct form form = {out, true};
  write_use(root, &form);
}

uint64_t crc64_avro(struct span bytes) {
  const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
  uint64_t crc = empty;
  for (size_t i = 0; i < bytes.len; i++) {
    crc ^= (unsigned char)bytes.ptr[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? empty : 0);
  }
  return crc;
}
