/* Numbers in the order of the network, times since 2000, arrays with their dimension before them.
 * Any thread, each with its own; a crash leaves nothing. */
#include "bridge/outbox/postgres/values.h"

#include <endian.h>
#include <libpq-fe.h>

enum {
  BOOL = 16,
  BYTEA = 17,
  INT8 = 20,
  TEXT = 25,
  BLOBS = 1001,
  INT8S = 1016,
  TEXTS = 1009,
  TIME = 1184
};
#define EPOCH_US (INT64_C(946684800) * 1000000) /* 2000-01-01 */

static void add(struct pg_args *a, unsigned type, const char *value, size_t len) {
  BUG_ON(a->count == PG_ARGS_MOST || len > INT32_MAX);
  a->types[a->count] = type;
  a->values[a->count] = value;
  a->lengths[a->count++] = (int)len;
}

static void add_fixed(struct pg_args *a, unsigned type, int64_t n) {
  BUG_ON(a->count == PG_ARGS_MOST);
  uint64_t big = htobe64((uint64_t)n);
  memcpy(a->numbers[a->count], &big, sizeof big);
  add(a, type, a->numbers[a->count], sizeof big);
}

void pg_add_number(struct pg_args *a, int64_t n) {
  add_fixed(a, INT8, n);
}

void pg_add_number_or_null(struct pg_args *a, int64_t n) {
  if (n == TIME_NONE)
    add(a, INT8, NULL, 0);
  else
    add_fixed(a, INT8, n);
}

void pg_add_bool(struct pg_args *a, bool b) {
  BUG_ON(a->count == PG_ARGS_MOST);
  a->numbers[a->count][0] = (char)b;
  add(a, BOOL, a->numbers[a->count], 1);
}

void pg_add_text(struct pg_args *a, struct span s) {
  add(a, TEXT, s.ptr, s.len);
}

void pg_add_bytes(struct pg_args *a, struct span s) {
  add(a, BYTEA, s.ptr, s.len);
}

void pg_add_time(struct pg_args *a, int64_t wall_us) {
  if (wall_us == TIME_NONE)
    add(a, TIME, NULL, 0);
  else
    add_fixed(a, TIME, wall_us - EPOCH_US);
}

static void put32(struct buffer *out, size_t n) {
  uint32_t big = htobe32((uint32_t)n);
  buffer_append(out, &big, sizeof big);
}

static void begin_list(struct buffer *keep, unsigned element, bool nulls, size_t count) {
  BUG_ON(count > INT32_MAX);
  buffer_clear(keep);
  put32(keep, count ? 1 : 0);
  put32(keep, nulls);
  put32(keep, element);
  if (!count) return;
  put32(keep, count);
  put32(keep, 1);
}

static void end_list(struct pg_args *a, unsigned type, const struct buffer *keep) {
  add(a, type, keep->failed ? NULL : keep->ptr, keep->failed ? 0 : keep->len);
}

void pg_add_numbers(struct pg_args *a, struct buffer *keep, const int64_t *list, size_t count) {
  bool nulls = false;
  for (size_t i = 0; i < count; i++) nulls |= list[i] == TIME_NONE;
  begin_list(keep, INT8, nulls, count);
  for (size_t i = 0; i < count; i++) {
    uint64_t big = htobe64((uint64_t)list[i]);
    put32(keep, list[i] == TIME_NONE ? UINT32_MAX : sizeof big);
    if (list[i] != TIME_NONE) buffer_append(keep, &big, sizeof big);
  }
  end_list(a, INT8S, keep);
}

static void add_spans(struct pg_args *a, unsigned type, unsigned element, struct buffer *keep,
                      const struct span *list, size_t count) {
  bool nulls = false;
  for (size_t i = 0; i < count; i++) nulls |= !list[i].ptr;
  begin_list(keep, element, nulls, count);
  for (size_t i = 0; i < count; i++) {
    put32(keep, list[i].ptr ? list[i].len : UINT32_MAX);
    if (list[i].ptr) buffer_add(keep, list[i]);
  }
  end_list(a, type, keep);
}

void pg_add_texts(struct pg_args *a, struct buffer *keep, const struct span *list, size_t count) {
  add_spans(a, TEXTS, TEXT, keep, list, count);
}

void pg_add_blobs(struct pg_args *a, struct buffer *keep, const struct span *list, size_t count) {
  add_spans(a, BLOBS, BYTEA, keep, list, count);
}

/* ---- out of an answer ---- */

int pg_rows(const struct pg_result *r) {
  return PQntuples(r);
}

bool pg_is_null(const struct pg_result *r, int row, int column) {
  return PQgetisnull(r, row, column);
}

struct span pg_span(const struct pg_result *r, int row, int column) {
  if (PQgetisnull(r, row, column)) return (struct span){0};
  return (struct span){PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column)};
}

int64_t pg_number(const struct pg_result *r, int row, int column) {
  struct span s = pg_span(r, row, column);
  if (!s.ptr) return 0;
  BUG_ON(s.len != 1 && s.len != 2 && s.len != 4 && s.len != 8);
  int64_t n = (signed char)s.ptr[0];
  for (size_t i = 1; i < s.len; i++) n = n * 256 + (unsigned char)s.ptr[i];
  return n;
}

int64_t pg_number_or(const struct pg_result *r, int row, int column, int64_t null) {
  return PQgetisnull(r, row, column) ? null : pg_number(r, row, column);
}

int64_t pg_time_us(const struct pg_result *r, int row, int column) {
  if (PQgetisnull(r, row, column)) return TIME_NONE;
  int64_t us = pg_number(r, row, column);
  return us == INT64_MIN || us > INT64_MAX - EPOCH_US ? TIME_NONE : us + EPOCH_US;
}
