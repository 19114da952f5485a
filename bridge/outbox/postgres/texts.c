/* Small texts by name, each in parts: the first as it was made, one more with each append.
 * Written by the thread of the writing side, read by that of the reading side. A crash leaves each
 * change done or not. */
#include "bridge/outbox/postgres/postgres.h"

/* Drafts need not be durable; nobody but their maker needs to know them. */
static bool lasts(const char *name) {
  return !span_starts(span_of(name), "draft/");
}

static enum status change(struct postgres *p, const char *durable_sql, const char *sql,
                          const struct pg_args *args, bool durable, int64_t *told,
                          struct error *err) {
  struct pg_answer a;
  enum status st = pg_owner_step(p, durable ? durable_sql : sql, args, durable, &a, err);
  if (st != ST_OK) return st;
  if (told) *told = pg_number(a.rows, 0, 1);
  pg_answer_release(&a);
  return ST_OK;
}

#define EITHER(rest) "WITH " MINE_DURABLE rest, "WITH " MINE rest

#define REPLACE                                                                                    \
  ", gone AS (DELETE FROM @text WHERE name {=} $2 AND part {>} 0 AND " HELD "), "                  \
  "put AS (INSERT INTO @text (name, part, bytes) SELECT $2, 0, $3 FROM mine "                      \
  "ON CONFLICT (name, part) DO UPDATE SET bytes = EXCLUDED.bytes, mark = NULL) "                   \
  "SELECT " COUNT_MINE

enum status pg_text_replace(void *impl, const char *name, struct span text, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  pg_add_text(&args, span_of(name));
  pg_add_bytes(&args, text.ptr ? text : SPAN(""));
  return change(p, EITHER(REPLACE), &args, lasts(name), NULL, err);
}

/* A text that was made empty has a part of no bytes, whose place the first one takes. */
#define APPEND                                                                                     \
  ", put AS (INSERT INTO @text AS t (name, part, mark, bytes) SELECT $2, COALESCE((SELECT "        \
  "^max(part {+} ^octet_length(bytes)) FROM @text WHERE name {=} $2), 0), $4, $3 FROM mine "       \
  "WHERE ^octet_length($3) {>} 0 AND NOT EXISTS (SELECT FROM @text WHERE name {=} $2 "             \
  "AND mark {=} $4) "                                                                              \
  "ON CONFLICT (name, part) DO UPDATE SET bytes = EXCLUDED.bytes, mark = EXCLUDED.mark "           \
  "WHERE ^octet_length(t.bytes) {=} 0) SELECT " COUNT_MINE

enum status pg_text_append(void *impl, const char *name, struct span text, struct error *err) {
  struct postgres *p = impl;
  bool again =
      *p->appended && !strcmp(p->appended, name) && span_eq(buffer_span(&p->appended_text), text);
  if (!again) uuid_make(p->clock, p->mark);
  struct pg_args args = pg_owner_args(p);
  pg_add_text(&args, span_of(name));
  pg_add_bytes(&args, text.ptr ? text : SPAN(""));
  pg_add_text(&args, span_of(p->mark));
  enum status st = change(p, EITHER(APPEND), &args, lasts(name), NULL, err);
  buffer_clear(&p->appended_text);
  if (st == ST_UNAVAILABLE) buffer_add(&p->appended_text, text);
  bool unknown = st == ST_UNAVAILABLE && !p->appended_text.failed;
  snprintf(p->appended, sizeof p->appended, "%s", unknown ? name : "");
  return st;
}

/* What stood there is gone first: its count is asked for. */
#define MOVE                                                                                       \
  ", there AS MATERIALIZED (SELECT 1 FROM @text WHERE name {=} $2 LIMIT 1), "                      \
  "gone AS (DELETE FROM @text WHERE name {=} $3 AND EXISTS (SELECT FROM there) AND " HELD          \
  " RETURNING 1), moved AS (UPDATE @text SET name = $3 WHERE name {=} $2 AND " HELD                \
  " AND (SELECT ^count(*) FROM gone) {>=} 0 RETURNING 1) "                                         \
  "SELECT " COUNT_MINE ", (SELECT ^count(*) FROM moved)"

enum status pg_text_move(void *impl, const char *from, const char *to, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  int64_t moved = 0;
  pg_add_text(&args, span_of(from));
  pg_add_text(&args, span_of(to));
  enum status st = change(p, EITHER(MOVE), &args, lasts(to), &moved, err);
  if (st == ST_OK && !moved) st = error_set(err, ST_NOT_FOUND, "there is no text %s", from);
  return st;
}

#define REMOVE                                                                                     \
  ", gone AS (DELETE FROM @text WHERE (name {=} $2 OR ($3 AND ^starts_with(name, $2))) AND " HELD  \
  " RETURNING 1) SELECT " COUNT_MINE ", (SELECT ^count(*) FROM gone)"

enum status pg_text_remove(void *impl, const char *name, bool begins, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  int64_t gone = 0;
  pg_add_text(&args, span_of(name));
  pg_add_bool(&args, begins);
  enum status st = change(p, EITHER(REMOVE), &args, lasts(name), &gone, err);
  if (st == ST_OK && !gone && !begins)
    st = error_set(err, ST_NOT_FOUND, "there is no text %s", name);
  return st;
}

enum status pg_text_read(void *impl, const char *name, uint64_t from, size_t most,
                         struct buffer *out, uint64_t *size, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  int64_t end = most > INT32_MAX ? INT32_MAX : (int64_t)most;
  pg_add_text(&args, span_of(name));
  pg_add_number(&args, (int64_t)from);
  pg_add_number(&args, (int64_t)from + end);
  enum status st = pg_step(
      impl, SIDE_READING,
      "SELECT w.size, t.part, CASE WHEN t.part IS NOT NULL THEN ^substr(t.bytes, "
      "(GREATEST($2 {-} t.part, 0) {+} 1)::^int4, (LEAST($3 {-} t.part, "
      "^octet_length(t.bytes)::^int8) {-} GREATEST($2 {-} t.part, 0))::^int4) END FROM "
      "(SELECT ^max(part {+} ^octet_length(bytes)) AS size FROM @text WHERE name {=} $1) AS w "
      "LEFT JOIN @text t ON t.name {=} $1 AND t.part {<} $3 "
      "AND t.part {+} ^octet_length(t.bytes) {>} $2 ORDER BY t.part",
      &args, &a, err);
  if (st != ST_OK) return st;
  if (pg_is_null(a.rows, 0, 0)) {
    st = error_set(err, ST_NOT_FOUND, "there is no text %s", name);
  } else {
    *size = (uint64_t)pg_number(a.rows, 0, 0);
    for (int i = 0; i < pg_rows(a.rows); i++) buffer_add(out, pg_span(a.rows, i, 2));
    st = buffer_status(out, err);
  }
  pg_answer_release(&a);
  return st;
}

enum status pg_text_names(void *impl, const char *begin, bool (*visit)(void *ctx, const char *name),
                          void *ctx, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  pg_add_text(&args, span_of(begin));
  enum status st =
      pg_step(impl, SIDE_READING, "SELECT DISTINCT name FROM @text WHERE ^starts_with(name, $1)",
              &args, &a, err);
  if (st != ST_OK) return st;
  bool more = true;
  for (int i = 0; more && i < pg_rows(a.rows); i++) {
    char name[128];
    snprintf(name, sizeof name, "%.*s", SPAN_ARGS(pg_span(a.rows, i, 0)));
    more = visit(ctx, name);
  }
  pg_answer_release(&a);
  return ST_OK;
}
