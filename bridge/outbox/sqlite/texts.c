/* Small texts by name, in parts that grow up to a size.
 * One thread at a time, under a side's lock; a crash leaves the old text or the new one. */
#include "bridge/outbox/sqlite/sqlite.h"

#define PART_MOST "65536"

static unsigned needs(const char *name) {
  return SQ_OWNED | (strncmp(name, "draft/", 6) == 0 ? 0 : SQ_DURABLE);
}

/* ?1 name, ?2 bytes or another name. */
static enum status run(struct sq *s, const char *sql, const char *name, const struct span *bytes,
                       const char *other, int *changes, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING, sql, &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, span_of(name));
  if (bytes) sq_bind_blob(&u, 2, *bytes);
  if (other) sq_bind_text(&u, 2, span_of(other));
  return sq_run(&u, changes, "writing a note", err);
}

static const char remove_sql[] = "DELETE FROM main.busbridge_text WHERE name = ?1";

enum status sq_text_replace(void *impl, const char *name, struct span text, struct error *err) {
  struct sq *s = impl;
  enum status st = sq_begin(s, needs(name), err);
  if (st != ST_OK) return st;
  st = run(s, remove_sql, name, NULL, NULL, NULL, err);
  if (st == ST_OK)
    st = run(s, "INSERT INTO main.busbridge_text (name, part, bytes) VALUES (?1, 0, ?2)", name,
             &text, NULL, NULL, err);
  return sq_end(s, st, err);
}

enum status sq_text_append(void *impl, const char *name, struct span text, struct error *err) {
  struct sq *s = impl;
  int grown = 0;
  enum status st = sq_begin(s, needs(name), err);
  if (st != ST_OK) return st;
  st = run(s,
           "UPDATE main.busbridge_text SET bytes = CAST(bytes || ?2 AS BLOB) WHERE name = ?1 AND "
           "part = (SELECT max(part) FROM main.busbridge_text WHERE name = ?1) AND "
           "length(bytes) < " PART_MOST,
           name, &text, NULL, &grown, err);
  if (st == ST_OK && !grown)
    st = run(s,
             "INSERT INTO main.busbridge_text (name, part, bytes) SELECT ?1, "
             "coalesce(max(part) + 1, 0), ?2 FROM main.busbridge_text WHERE name = ?1",
             name, &text, NULL, NULL, err);
  return sq_end(s, st, err);
}

enum status sq_text_move(void *impl, const char *from, const char *to, struct error *err) {
  struct sq *s = impl;
  int moved = 0;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = run(s, remove_sql, to, NULL, NULL, NULL, err);
  if (st == ST_OK)
    st = run(s, "UPDATE main.busbridge_text SET name = ?2 WHERE name = ?1", from, NULL, to, &moved,
             err);
  if (st == ST_OK && !moved) st = error_set(err, ST_NOT_FOUND, "%s is gone", from);
  return sq_end(s, st, err);
}

enum status sq_text_remove(void *impl, const char *name, bool begins, struct error *err) {
  struct sq *s = impl;
  int gone = 0;
  enum status st = sq_begin(s, needs(name), err);
  if (st != ST_OK) return st;
  st = run(s,
           begins ? "DELETE FROM main.busbridge_text WHERE substr(name, 1, length(?1)) = ?1"
                  : remove_sql,
           name, NULL, NULL, &gone, err);
  st = sq_end(s, st, err);
  return st == ST_OK && !gone && !begins ? error_set(err, ST_NOT_FOUND, "%s is not there", name)
                                         : st;
}

/* What of a part lies in [from, from + most). */
static void add_part(struct span part, uint64_t at, uint64_t from, size_t most,
                     struct buffer *out) {
  uint64_t begin = from > at ? from - at : 0;
  uint64_t end = from + most > at ? from + most - at : 0;
  if (end > part.len) end = part.len;
  if (begin < end) buffer_add(out, (struct span){part.ptr + begin, (size_t)(end - begin)});
}

enum status sq_text_read(void *impl, const char *name, uint64_t from, size_t most,
                         struct buffer *out, uint64_t *size, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  bool there = false;
  *size = 0;
  /* only parts that are asked for are loaded; of the others the length */
  enum status st = sq_use_made(s, SIDE_READING,
                               "SELECT length(bytes), part FROM main.busbridge_text "
                               "WHERE name = ?1 ORDER BY part",
                               &u, err);
  struct sq_use one;
  if (st != ST_OK) return st;
  st =
      sq_use_made(s, SIDE_READING,
                  "SELECT bytes FROM main.busbridge_text WHERE name = ?1 AND part = ?2", &one, err);
  sq_bind_text(&u, 1, span_of(name));
  while (st == ST_OK && sq_row(&u)) {
    uint64_t len = (uint64_t)sqlite3_column_int64(u.stmt, 0), at = *size;
    there = true;
    *size += len;
    if (*size <= from || at >= from + most) continue;
    sqlite3_reset(one.stmt);
    sq_bind_text(&one, 1, span_of(name));
    sq_bind_int(&one, 2, sqlite3_column_int64(u.stmt, 1));
    if (sq_row(&one)) add_part(sq_text(&one, 0), at, from, most, out);
  }
  enum status ended = sq_done(&one, "reading a note", st == ST_OK ? err : NULL);
  if (st == ST_OK) st = ended;
  ended = sq_done(&u, "reading a note", st == ST_OK ? err : NULL);
  if (st == ST_OK) st = ended;
  return st == ST_OK && !there ? error_set(err, ST_NOT_FOUND, "%s is not there", name) : st;
}

enum status sq_text_names(void *impl, const char *begin, bool (*visit)(void *, const char *),
                          void *ctx, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  bool more = true;
  enum status st = sq_use_made(s, SIDE_READING,
                               "SELECT DISTINCT name FROM main.busbridge_text "
                               "WHERE substr(name, 1, length(?1)) = ?1",
                               &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, span_of(begin));
  while (more && sq_row(&u)) more = visit(ctx, sq_text(&u, 0).ptr);
  return sq_done(&u, "reading notes", err);
}
