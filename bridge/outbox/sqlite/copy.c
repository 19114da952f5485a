/* A large payload is copied from one row to another within the database, never whole in memory.
 * One thread at a time, under the writing side's lock; a crash leaves nothing: it is part of a
 * transaction. */
#include "bridge/outbox/sqlite/sqlite.h"

enum { PART = 64 * 1024 };

static enum status open_payload(struct sq *s, const char *table, int64_t row, bool write,
                                sqlite3_blob **blob, struct error *err) {
  sqlite3 *db = s->sides[SIDE_WRITING].db;
  int rc = sqlite3_blob_open(db, "main", table, "payload", row, write, blob);
  return rc == SQLITE_OK ? ST_OK : sq_error(s->path, db, rc, "moving a large row", err);
}

enum status sq_payload_size(struct sq *s, int64_t seq, int64_t *size, struct error *err) {
  sqlite3_blob *blob = NULL;
  enum status st = open_payload(s, "busbridge_outbox", seq, false, &blob, err);
  if (st == ST_OK) *size = sqlite3_blob_bytes(blob);
  sqlite3_blob_close(blob);
  return st;
}

static int copy_parts(sqlite3_blob *from, sqlite3_blob *to) {
  char part[PART];
  int size = sqlite3_blob_bytes(from), rc = SQLITE_OK;
  for (int at = 0; at < size && rc == SQLITE_OK; at += PART) {
    int n = size - at < PART ? size - at : PART;
    rc = sqlite3_blob_read(from, part, n, at);
    if (rc == SQLITE_OK) rc = sqlite3_blob_write(to, part, n, at);
  }
  return rc;
}

enum status sq_copy_payload(struct sq *s, int64_t seq, int64_t dead, struct error *err) {
  sqlite3_blob *from = NULL, *to = NULL;
  enum status st = open_payload(s, "busbridge_outbox", seq, false, &from, err);
  if (st == ST_OK) st = open_payload(s, "busbridge_dead", dead, true, &to, err);
  int rc = st == ST_OK ? copy_parts(from, to) : SQLITE_OK;
  if (rc != SQLITE_OK)
    st = sq_error(s->path, s->sides[SIDE_WRITING].db, rc, "moving a large row", err);
  sqlite3_blob_close(from);
  sqlite3_blob_close(to);
  return st;
}
