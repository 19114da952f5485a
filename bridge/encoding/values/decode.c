/* Walks a compiled schema over Avro bytes that anybody may have written, and writes JSON; nothing
 * is believed unchecked.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/values/decode.h"

#include "bridge/base/table.h"
#include "bridge/base/text/escape.h"
#include "bridge/encoding/types/quote.h"

struct decoder {
  struct span bytes;
  size_t at;
  struct buffer *out;
  size_t start; /* of our text in out */
  struct json_doc *doc;
  unsigned depth; /* of records, arrays and maps around the value: a record may hold itself */
  struct error *err;
};

static enum status decode_use(struct decoder *d, const struct use *u);

static enum status invalid(struct decoder *d, size_t at, const char *what) {
  return error_set(d->err, ST_INVALID, "byte %zu: %s", at, what);
}

/* Every value passes here, so that nothing grows without end, whatever counts are claimed. */
static enum status room(struct decoder *d, size_t more) {
  if (d->out->failed) return error_set(d->err, ST_NO_MEMORY, "no memory for a decoded value");
  if (d->out->len - d->start + more > DECODE_MAX_OUTPUT)
    return error_set(d->err, ST_TOO_LARGE, "the decoded value is larger than %u bytes",
                     DECODE_MAX_OUTPUT);
  return ST_OK;
}

static size_t left(const struct decoder *d) {
  return d->bytes.len - d->at;
}

static enum status get_long(struct decoder *d, int64_t *out) {
  uint64_t z = 0;
  for (size_t i = 0; i < 10; i++) {
    if (i >= left(d)) return invalid(d, d->at, "the value ends in a number");
    unsigned char byte = (unsigned char)d->bytes.ptr[d->at + i];
    if (i == 9 && byte > 1) break;
    z |= (uint64_t)(byte & 0x7F) << (7 * i);
    if (byte & 0x80) continue;
    d->at += i + 1;
    *out = (int64_t)((z >> 1) ^ (z & 1 ? UINT64_MAX : 0));
    return ST_OK;
  }
  return invalid(d, d->at, "a number of more than 64 bit");
}

static enum status get_bytes(struct decoder *d, struct span *out) {
  size_t begin = d->at;
  int64_t len = 0;
  enum status st = get_long(d, &len);
  if (st != ST_OK) return st;
  if (len < 0 || (uint64_t)len > left(d))
    return invalid(d, begin, "a length beyond the end of the value");
  *out = (struct span){d->bytes.ptr + d->at, (size_t)len};
  d->at += out->len;
  return ST_OK;
}

static enum status get_string(struct decoder *d, struct span *out) {
  enum status st = get_bytes(d, out);
  if (st != ST_OK) return st;
  size_t good = span_utf8_prefix(*out);
  if (good == out->len) return ST_OK;
  d->at -= out->len;
  return invalid(d, d->at + good, "a string that is not UTF-8");
}

static enum status get_bits(struct decoder *d, size_t len, uint64_t *out) {
  if (len > left(d)) return invalid(d, d->at, "the value ends in a number");
  *out = 0;
  for (size_t i = 0; i < len; i++)
    *out |= (uint64_t)(unsigned char)d->bytes.ptr[d->at + i] << (8 * i);
  d->at += len;
  return ST_OK;
}

static enum status decode_real(struct decoder *d, enum kind kind) {
  uint64_t bits = 0;
  double value;
  enum status st = get_bits(d, kind == KIND_FLOAT ? 4 : 8, &bits);
  if (st != ST_OK) return st;
  if (kind == KIND_FLOAT) {
    uint32_t narrow_bits = (uint32_t)bits;
    float narrow;
    memcpy(&narrow, &narrow_bits, sizeof narrow);
    value = (double)narrow;
  } else {
    memcpy(&value, &bits, sizeof value);
  }
  json_write_double(d->out, value);
  return ST_OK;
}

static enum status decode_integer(struct decoder *d, const struct use *u) {
  const struct type *t = u->type;
  size_t begin = d->at;
  int64_t value = 0;
  enum status st = get_long(d, &value);
  if (st != ST_OK) return st;
  if (t->kind == KIND_INT && (value < INT32_MIN || value > INT32_MAX))
    return invalid(d, begin, "an int of more than 32 bit");
  size_t before = d->out->len;
  if (t->logical && !u->other_form) {
    buffer_add_char(d->out, '"');
    if (logical_write(t->logical, value, d->out)) {
      buffer_add_char(d->out, '"');
      return ST_OK;
    }
    d->out->len = d->out->failed ? d->out->len : before;
  }
  json_write_int(d->out, value);
  return ST_OK;
}

static enum status decode_boolean(struct decoder *d) {
  uint64_t bits = 0;
  enum status st = get_bits(d, 1, &bits);
  if (st != ST_OK) return st;
  if (bits > 1) return invalid(d, d->at - 1, "a boolean that is neither 0 nor 1");
  buffer_add_z(d->out, bits ? "true" : "false");
  return ST_OK;
}

/* A string holding JSON text becomes that JSON. */
static enum status decode_json(struct decoder *d) {
  struct span text = {0};
  enum status st = get_string(d, &text);
  if (st != ST_OK) return st;
  size_t begin = d->at - text.len;
  st = room(d, text.len);
  if (st != ST_OK) return st;
  st = json_scan(d->doc, text, NULL);
  if (st == ST_NO_MEMORY) return error_set(d->err, st, "no memory for a decoded value");
  if (st != ST_OK) return invalid(d, begin + d->doc->fault_at, "text that is not JSON");
  quote_one_line(d->out, text);
  return ST_OK;
}

static enum status decode_string(struct decoder *d) {
  struct span text = {0};
  enum status st = get_string(d, &text);
  if (st == ST_OK) st = room(d, text.len);
  if (st == ST_OK) json_write_string(d->out, text);
  return st;
}

static enum status decode_decimal(struct decoder *d, const struct use *u, struct span bytes,
                                  size_t begin) {
  if (u->other_form) buffer_add_char(d->out, '"');
  if (!decimal_write(bytes, u->type->precision, u->type->scale, d->out))
    return invalid(d, begin, "a decimal of more digits than its precision");
  if (u->other_form) buffer_add_char(d->out, '"');
  return ST_OK;
}

static enum status decode_bytes(struct decoder *d, const struct use *u) {
  const struct type *t = u->type;
  size_t begin = d->at;
  struct span bytes = {d->bytes.ptr + d->at, t->size};
  enum status st = ST_OK;
  if (t->kind == KIND_BYTES)
    st = get_bytes(d, &bytes);
  else if (t->size > left(d))
    st = invalid(d, begin, "the value ends in a fixed");
  else
    d->at += t->size;
  if (st == ST_OK) st = room(d, bytes.len * 2);
  if (st != ST_OK) return st;
  if (t->logical == LOGICAL_DECIMAL) return decode_decimal(d, u, bytes, begin);
  buffer_add_char(d->out, '"');
  if (t->logical == LOGICAL_UUID)
    uuid_write(bytes.ptr, d->out);
  else
    base64_write(d->out, bytes);
  buffer_add_char(d->out, '"');
  return ST_OK;
}

static enum status decode_symbol(struct decoder *d, const struct type *t) {
  size_t begin = d->at;
  int64_t symbol = 0;
  enum status st = get_long(d, &symbol);
  if (st != ST_OK) return st;
  if (symbol < 0 || symbol >= (int64_t)t->count)
    return invalid(d, begin, "an enum without such a symbol");
  json_write_string(d->out, t->symbols[symbol]);
  return ST_OK;
}

/* Arrays and maps: blocks of a count and that many items; a negative count is followed by the
 * block's size. */

struct block {
  uint64_t count;
  size_t end; /* SIZE_MAX: not told */
};

static enum status get_block(struct decoder *d, struct block *out) {
  size_t begin = d->at;
  int64_t count = 0, size = 0;
  *out = (struct block){.end = SIZE_MAX};
  enum status st = get_long(d, &count);
  if (st == ST_OK && count < 0) {
    st = get_long(d, &size);
    if (st == ST_OK && (size < 0 || (uint64_t)size > left(d)))
      st = invalid(d, begin, "a block beyond the end of the value");
    if (st == ST_OK) out->end = d->at + (size_t)size;
  }
  out->count = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
  return st;
}

static void put_key(struct decoder *d, bool *first, struct span key) {
  if (!*first) buffer_add_z(d->out, ", ");
  *first = false;
  json_write_string(d->out, key);
  buffer_add_z(d->out, ": ");
}

/* Where a map's entries go, and which names are taken: those of the record's fields (extra) and
 * those seen. */
struct members {
  bool *first;
  const struct type *record; /* NULL unless the map is the record's extra */
  struct table seen;
};

static enum status decode_entry(struct decoder *d, const struct use *u, void *at) {
  struct members *m = at;
  struct span key = {0};
  size_t begin = d->at;
  enum status st = get_string(d, &key);
  if (st == ST_OK) st = room(d, key.len);
  if (st != ST_OK) return st;
  if (m->record) {
    uint32_t field = type_find(m->record, key, 0);
    if (field != SCHEMA_NO_FIELD && field != m->record->extra)
      return invalid(d, begin, "extra repeats a field");
  }
  st = table_put(&m->seen, key, m);
  if (st == ST_EXISTS) return invalid(d, begin, "a map with one key twice");
  if (st != ST_OK) return error_set(d->err, st, "no memory for a decoded value");
  put_key(d, m->first, key);
  return m->record ? decode_json(d) : decode_use(d, u);
}

static enum status decode_element(struct decoder *d, const struct use *u, void *at) {
  bool *first = at;
  if (!*first) buffer_add_z(d->out, ", ");
  *first = false;
  return decode_use(d, u);
}

typedef enum status (*item_fn)(struct decoder *d, const struct use *u, void *at);

static enum status decode_blocks(struct decoder *d, const struct use *items, item_fn item,
                                 void *at) {
  struct block block;
  for (;;) {
    size_t begin = d->at;
    enum status st = get_block(d, &block);
    if (st != ST_OK || !block.count) return st;
    for (uint64_t i = 0; i < block.count; i++) {
      st = room(d, 0);
      if (st == ST_OK) st = item(d, items, at);
      if (st != ST_OK) return st;
    }
    if (block.end != SIZE_MAX && block.end != d->at)
      return invalid(d, begin, "a block of another size than it says");
  }
}

static enum status decode_entries(struct decoder *d, const struct type *map,
                                  const struct type *record, bool *first) {
  struct members m = {.first = first, .record = record};
  enum status st = decode_blocks(d, &map->items, decode_entry, &m);
  table_release(&m.seen);
  return st;
}

static enum status decode_map(struct decoder *d, const struct type *t) {
  bool first = true;
  buffer_add_char(d->out, '{');
  enum status st = decode_entries(d, t, NULL, &first);
  buffer_add_char(d->out, '}');
  return st;
}

static enum status decode_array(struct decoder *d, const struct type *t) {
  bool first = true;
  buffer_add_char(d->out, '[');
  enum status st = decode_blocks(d, &t->items, decode_element, &first);
  buffer_add_char(d->out, ']');
  return st;
}

static enum status get_index(struct decoder *d, const struct type *t, uint32_t *out) {
  size_t begin = d->at;
  int64_t branch = 0;
  enum status st = get_long(d, &branch);
  if (st != ST_OK) return st;
  if (branch < 0 || branch >= (int64_t)t->count)
    return invalid(d, begin, "a union without such a branch");
  *out = (uint32_t)branch;
  return ST_OK;
}

static enum status get_branch(struct decoder *d, const struct use *u, bool *null) {
  size_t begin = d->at;
  int64_t branch = 0;
  *null = false;
  if (!u->null) return ST_OK;
  enum status st = get_long(d, &branch);
  if (st != ST_OK) return st;
  if (branch != 0 && branch != 1) return invalid(d, begin, "a union without such a branch");
  *null = (branch == 0) == (u->null == NULL_FIRST);
  return ST_OK;
}

static enum status decode_type(struct decoder *d, const struct use *u);

static enum status decode_field(struct decoder *d, const struct type *t, uint32_t i, bool *first) {
  const struct field *f = &t->fields[i];
  bool null;
  if (i == t->extra) return decode_entries(d, f->use.type, t, first);
  enum status st = get_branch(d, &f->use, &null);
  if (st != ST_OK) return st;
  /* Absent and null are one in a field whose default is null: it is left out. */
  if (null && f->use.null == NULL_FIRST && f->has_default) return ST_OK;
  const struct use *u = &f->use;
  if (u->type->kind == KIND_UNION) {
    uint32_t branch = 0;
    st = get_index(d, u->type, &branch);
    if (st != ST_OK) return st;
    u = &u->type->branches[branch];
    if (u->type->kind == KIND_NULL && branch == 0 && f->has_default) return ST_OK;
  }
  put_key(d, first, f->name);
  if (!null) return decode_type(d, u);
  buffer_add_z(d->out, "null");
  return ST_OK;
}

static enum status decode_record(struct decoder *d, const struct type *t) {
  bool first = true;
  buffer_add_char(d->out, '{');
  for (uint32_t i = 0; i < t->count; i++) {
    enum status st = decode_field(d, t, i, &first);
    if (st != ST_OK) return st;
  }
  buffer_add_char(d->out, '}');
  return ST_OK;
}

static enum status decode_union(struct decoder *d, const struct type *t) {
  uint32_t branch = 0;
  enum status st = get_index(d, t, &branch);
  return st == ST_OK ? decode_type(d, &t->branches[branch]) : st;
}

/* What has parts: only there types lie in types. */
static enum status decode_parts(struct decoder *d, const struct type *t) {
  enum status st;
  if (d->depth == SCHEMA_MAX_DEPTH)
    return invalid(d, d->at, "a value nested deeper than 64 levels");
  d->depth++;
  if (t->kind == KIND_RECORD)
    st = decode_record(d, t);
  else
    st = t->kind == KIND_ARRAY ? decode_array(d, t) : decode_map(d, t);
  d->depth--;
  return st;
}

static enum status decode_type(struct decoder *d, const struct use *u) {
  enum status st = room(d, 0);
  if (st != ST_OK) return st;
  switch (u->type->kind) {
  case KIND_NULL: buffer_add_z(d->out, "null"); return ST_OK;
  case KIND_BOOLEAN: return decode_boolean(d);
  case KIND_INT:
  case KIND_LONG: return decode_integer(d, u);
  case KIND_FLOAT:
  case KIND_DOUBLE: return decode_real(d, u->type->kind);
  case KIND_STRING: return u->json ? decode_json(d) : decode_string(d);
  case KIND_ENUM: return decode_symbol(d, u->type);
  case KIND_BYTES:
  case KIND_FIXED: return decode_bytes(d, u);
  case KIND_UNION: return decode_union(d, u->type);
  case KIND_ARRAY:
  case KIND_MAP:
  case KIND_RECORD: return decode_parts(d, u->type);
  }
  BUG_ON(true);
  return ST_OK;
}

static enum status decode_use(struct decoder *d, const struct use *u) {
  bool null;
  enum status st = get_branch(d, u, &null);
  if (st != ST_OK) return st;
  if (!null) return decode_type(d, u);
  buffer_add_z(d->out, "null");
  return ST_OK;
}

static enum status decode_only(struct decoder *d, const struct type *t, struct span only) {
  for (uint32_t i = 0; i < t->count; i++) {
    size_t before = d->out->len;
    enum status st = decode_use(d, &t->fields[i].use);
    if (st != ST_OK) return st;
    if (!span_eq(t->fields[i].name, only)) d->out->len = before;
  }
  return ST_OK;
}

enum status decode_value(const struct use *u, struct span bytes, size_t from, struct span only,
                         struct json_doc *doc, struct buffer *out, struct error *err) {
  struct decoder d = {
      .bytes = bytes, .at = from, .out = out, .start = out->len, .doc = doc, .err = err};
  enum status st = only.len ? decode_only(&d, u->type, only) : decode_use(&d, u);
  if (st == ST_OK && left(&d)) st = invalid(&d, d.at, "bytes after the value");
  return st == ST_OK ? room(&d, 0) : st;
}
