/* What is too large to be read whole: by handles, which never load a value.
 * One thread at a time, under the reading side's lock; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

enum { ID_MOST = 1024 * 1024 };

static const char *table_of(enum shelf shelf) {
  return shelf == SHELF_DEAD ? "busbridge_dead" : "busbridge_outbox";
}

/* blob NULL, and ST_OK: the value is NULL. */
static enum status open_value(struct sq *s, enum shelf shelf, const char *column, int64_t rowid,
                              sqlite3_blob **blob, struct error *err) {
  sqlite3 *db = s->sides[SIDE_READING].db;
  *blob = NULL;
  int rc = sqlite3_blob_open(db, "main", table_of(shelf), column, rowid, 0, blob);
  if (rc == SQLITE_OK) return ST_OK;
  sqlite3_blob_close(*blob);
  *blob = NULL;
  return (rc & 0xff) == SQLITE_ERROR ? ST_OK : sq_error(s->path, db, rc, "reading a row", err);
}

/* At most `most` bytes of it; *size: all. */
static enum status read_value(struct sq *s, enum shelf shelf, const char *column, int64_t rowid,
                              size_t most, struct arena *arena, struct span *out, uint64_t *size,
                              struct error *err) {
  sqlite3_blob *blob;
  *out = (struct span){0};
  enum status st = open_value(s, shelf, column, rowid, &blob, err);
  if (st != ST_OK || !blob) return st;
  size_t all = (size_t)sqlite3_blob_bytes(blob), len = all < most ? all : most;
  char *bytes = arena_alloc(arena, len + 1);
  int rc = bytes ? sqlite3_blob_read(blob, bytes, (int)len, 0) : SQLITE_NOMEM;
  sqlite3_blob_close(blob);
  *size += all;
  if (rc != SQLITE_OK)
    return sq_error(s->path, s->sides[SIDE_READING].db, rc, "reading a row", err);
  bytes[len] = '\0';
  *out = (struct span){bytes, len};
  return ST_OK;
}

/* All that is of bounded size. */
static enum status read_small(struct sq *s, enum shelf shelf, int64_t rowid, struct db_row *row,
                              struct arena *arena, struct error *err) {
  struct sq_use u;
  bool dead = shelf == SHELF_DEAD;
  enum status st = sq_use_made(
      s, SIDE_READING,
      dead
          ? "SELECT seq, arrived_ms * 1000, attempts, error, first_failed_us, failed_us, since_us, "
            "reason, topic, error_code FROM main.busbridge_dead WHERE rowid = ?1"
          : "SELECT o.seq, o.arrived_ms * 1000, a.attempts, a.last_error, a.first_failed_us, "
            "a.failed_us, a.since_us FROM main.busbridge_outbox o LEFT JOIN "
            "main.busbridge_attempt a ON a.seq = o.seq AND a.id = ?2 WHERE o.seq = ?1",
      &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, rowid);
  if (!dead) sq_bind_text(&u, 2, row->id);
  bool there = sq_row(&u);
  if (there) {
    row->seq = sqlite3_column_int64(u.stmt, 0);
    row->arrived_us = sqlite3_column_int64(u.stmt, 1);
    row->attempted = sqlite3_column_type(u.stmt, 2) != SQLITE_NULL;
    row->attempts = (unsigned)sqlite3_column_int64(u.stmt, 2);
    row->first_failed_us = sq_time(&u, 4);
    row->failed_us = sq_time(&u, 5);
    row->since_us = sq_time(&u, 6);
    bool kept = sq_keep(&u, 3, arena, &row->last_error);
    if (kept && dead)
      kept = sq_keep(&u, 7, arena, &row->reason) && sq_keep(&u, 8, arena, &row->topic);
    if (kept && dead) row->error_code = sqlite3_column_int(u.stmt, 9);
  }
  st = sq_done(&u, "reading a row", err);
  return st == ST_OK && !there ? error_set(err, ST_NOT_FOUND, "a row is gone") : st;
}

enum status sq_read_cut(struct sq *s, enum shelf shelf, int64_t rowid, struct db_row *row,
                        struct arena *arena, struct error *err) {
  uint64_t size = 0, payload = 0;
  struct span none;
  row->cut = true;
  enum status st = read_value(s, shelf, "id", rowid, ID_MOST, arena, &row->id, &size, err);
  if (st == ST_OK)
    st = read_value(s, shelf, "name", rowid, DB_TEXT_MOST, arena, &row->name, &size, err);
  if (st == ST_OK)
    st = read_value(s, shelf, "key", rowid, DB_TEXT_MOST, arena, &row->key, &size, err);
  if (st == ST_OK)
    st = read_value(s, shelf, "created_at", rowid, DB_TEXT_MOST, arena, &row->created_at, &size,
                    err);
  if (st == ST_OK) st = read_value(s, shelf, "payload", rowid, 0, arena, &none, &payload, err);
  if (st == ST_OK) st = read_value(s, shelf, "headers", rowid, 0, arena, &none, &size, err);
  row->payload_size = payload;
  row->size = size + payload;
  return st == ST_OK ? read_small(s, shelf, rowid, row, arena, err) : st;
}

static enum status rowid_of(struct sq *s, enum shelf shelf, int64_t seq, struct span id,
                            int64_t *rowid, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(
      s, SIDE_READING,
      shelf == SHELF_DEAD
          ? "SELECT rowid FROM main.busbridge_dead WHERE seq = ?1 AND id = ?2"
          : "SELECT seq FROM main.busbridge_outbox WHERE seq = ?1 AND CAST(id AS TEXT) COLLATE "
            "BINARY = ?2",
      &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, seq);
  sq_bind_text(&u, 2, id);
  bool there = sq_row(&u);
  if (there) *rowid = sqlite3_column_int64(u.stmt, 0);
  st = sq_done(&u, "looking for a row", err);
  return st == ST_OK && !there ? error_set(err, ST_NOT_FOUND, "row %lld is gone", (long long)seq)
                               : st;
}

enum status sq_body(void *impl, enum shelf shelf, int64_t seq, struct span id, uint64_t from,
                    size_t most, struct buffer *out, uint64_t *size, struct error *err) {
  struct sq *s = impl;
  sqlite3_blob *blob = NULL;
  int64_t rowid = 0;
  *size = 0;
  enum status st = rowid_of(s, shelf, seq, id, &rowid, err);
  if (st == ST_OK) st = open_value(s, shelf, "payload", rowid, &blob, err);
  if (st != ST_OK || !blob) return st;
  *size = (uint64_t)sqlite3_blob_bytes(blob);
  uint64_t left = from < *size ? *size - from : 0;
  size_t len = left < most ? (size_t)left : most;
  buffer_reserve(out, len);
  int rc = SQLITE_OK;
  if (!out->failed && len) rc = sqlite3_blob_read(blob, out->ptr + out->len, (int)len, (int)from);
  if (!out->failed && rc == SQLITE_OK) out->len += len;
  sqlite3_blob_close(blob);
  if (rc != SQLITE_OK)
    return sq_error(s->path, s->sides[SIDE_READING].db, rc, "reading a row", err);
  return buffer_status(out, err);
}
