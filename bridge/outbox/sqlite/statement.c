/* Statements: bound, stepped, ended.
 * One thread at a time, under a side's lock; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

static const char *const kept_sql[SQ_KEPT] = {
    [SQ_BEGIN] = "BEGIN IMMEDIATE",
    [SQ_COMMIT] = "COMMIT",
    [SQ_ROLLBACK] = "ROLLBACK",
    [SQ_OWNER] = "SELECT 1 FROM main.busbridge_state WHERE name = 'owner' AND value = ?1",
    [SQ_WITNESS] = "SELECT 1 FROM main.busbridge_batch WHERE n = ?1 AND digest = ?2 AND settled",
    [SQ_VERSION] = "PRAGMA data_version",
    [SQ_ARRIVED] = "SELECT 1 FROM main.busbridge_outbox WHERE seq > ?1 LIMIT 1",
    [SQ_SCAN] =
        "SELECT o.seq, o.id, o.name, o.key, o.created_at, o.payload, o.headers, "
        "o.arrived_ms * 1000, a.attempts, a.last_error, a.first_failed_us, a.failed_us, a.since_us "
        "FROM main.busbridge_outbox o LEFT JOIN main.busbridge_attempt a "
        "ON a.seq = o.seq AND a.id = CAST(o.id AS TEXT) WHERE o.seq > ?1 ORDER BY o.seq LIMIT ?2",
    [SQ_DELETE] = "DELETE FROM main.busbridge_outbox "
                  "WHERE seq = ?1 AND CAST(id AS TEXT) COLLATE BINARY = ?2",
    [SQ_FORGET] = "DELETE FROM main.busbridge_attempt WHERE seq = ?1 AND id = ?2",
};

static enum status make(struct sq *s, enum db_side side, const char *sql, unsigned flags,
                        sqlite3_stmt **out, struct error *err) {
  enum status st = sq_side(s, side, err);
  if (st != ST_OK) return st;
  sqlite3 *db = s->sides[side].db;
  int rc = sqlite3_prepare_v3(db, sql, -1, flags, out, NULL);
  return rc == SQLITE_OK ? ST_OK : sq_error(s->path, db, rc, "preparing", err);
}

enum status sq_use_kept(struct sq *s, enum db_side side, enum sq_kept which, struct sq_use *u,
                        struct error *err) {
  struct sq_side *on = &s->sides[side];
  enum status st = on->kept[which] ? ST_OK
                                   : make(s, side, kept_sql[which], SQLITE_PREPARE_PERSISTENT,
                                          &on->kept[which], err);
  *u = (struct sq_use){.s = s, .on = on, .stmt = on->kept[which], .kept = true};
  return st;
}

enum status sq_use_made(struct sq *s, enum db_side side, const char *sql, struct sq_use *u,
                        struct error *err) {
  *u = (struct sq_use){.s = s, .on = &s->sides[side]};
  return make(s, side, sql, 0, &u->stmt, err);
}

static void bound(struct sq_use *u, int rc) {
  BUG_ON(rc == SQLITE_RANGE || rc == SQLITE_MISUSE); /* the statement has no such place */
  if (rc != SQLITE_OK && !u->rc) u->rc = rc;
}

void sq_bind_text(struct sq_use *u, int at, struct span text) {
  bound(u, sqlite3_bind_text64(u->stmt, at, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8));
}

void sq_bind_blob(struct sq_use *u, int at, struct span bytes) {
  bound(u, sqlite3_bind_blob64(u->stmt, at, bytes.ptr ? bytes.ptr : "", bytes.len, SQLITE_STATIC));
}

void sq_bind_int(struct sq_use *u, int at, int64_t n) {
  bound(u, sqlite3_bind_int64(u->stmt, at, n));
}

void sq_bind_time(struct sq_use *u, int at, int64_t us) {
  bound(u, us == TIME_NONE ? sqlite3_bind_null(u->stmt, at) : sqlite3_bind_int64(u->stmt, at, us));
}

bool sq_row(struct sq_use *u) {
  if (u->rc) return false;
  BUG_ON(!u->stmt);
  int rc = sqlite3_step(u->stmt);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) u->rc = rc;
  return rc == SQLITE_ROW;
}

enum status sq_done(struct sq_use *u, const char *doing, struct error *err) {
  enum status st = u->rc ? sq_error(u->s->path, u->on->db, u->rc, doing, err) : ST_OK;
  if (u->kept) {
    sqlite3_reset(u->stmt);
    sqlite3_clear_bindings(u->stmt);
  } else {
    sqlite3_finalize(u->stmt);
  }
  u->stmt = NULL;
  return st;
}

struct span sq_text(struct sq_use *u, int column) {
  BUG_ON(column >= sqlite3_column_count(u->stmt));
  int type = sqlite3_column_type(u->stmt, column);
  if (type == SQLITE_NULL) return (struct span){0};
  const char *ptr = type == SQLITE_BLOB ? sqlite3_column_blob(u->stmt, column)
                                        : (const char *)sqlite3_column_text(u->stmt, column);
  size_t len = (size_t)sqlite3_column_bytes(u->stmt, column);
  if (!ptr && len) u->rc = SQLITE_NOMEM;
  return (struct span){ptr ? ptr : "", ptr ? len : 0};
}

int64_t sq_time(struct sq_use *u, int column) {
  return sqlite3_column_type(u->stmt, column) == SQLITE_NULL
             ? TIME_NONE
             : sqlite3_column_int64(u->stmt, column);
}

bool sq_keep(struct sq_use *u, int column, struct arena *arena, struct span *out) {
  struct span text = sq_text(u, column);
  *out = text.ptr ? (struct span){arena_copy(arena, text), text.len} : text;
  if (text.ptr && !out->ptr) u->rc = SQLITE_NOMEM;
  return !u->rc;
}
