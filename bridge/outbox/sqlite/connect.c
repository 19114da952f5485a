/* Connections: opened, looked at, closed; and what their errors mean.
 * A side's lock, or one thread; a crash rolls back what was not committed. */
#include "bridge/outbox/sqlite/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BUSY_MS = 5000 };

/* ---- errors ---- */

/* Each error has a number, by which it is known for one of the outbox. */
static enum status with_sys(enum status st, int sys, struct error *err) {
  if (err) err->sys = sys;
  return st;
}

static enum status damaged(const char *path, const char *why, const char *doing,
                           struct error *err) {
  return with_sys(
      error_set(err, ST_IO,
                "%s: the database %s is damaged (%s). Look: sqlite3 '%s' 'PRAGMA quick_check'; "
                "restore it, or rescue what is in it with .recover",
                doing, path, why, path),
      EIO, err);
}

static enum status of_system(const char *path, sqlite3 *db, const char *doing, struct error *err) {
  int sys = db ? sqlite3_system_errno(db) : 0;
  enum status st = error_sys(err, sys ? sys : EIO, "%s: the database %s", doing, path);
  return st == ST_NOT_FOUND || st == ST_EXISTS ? ST_IO : st;
}

static enum status not_ours(const char *path, const char *why, const char *doing,
                            struct error *err) {
  return with_sys(
      error_set(err, ST_INVALID,
                "%s: the tables in %s are not as this program made them (%s); see busbridge "
                "outbox migrate --dry-run",
                doing, path, why),
      EIO, err);
}

enum status sq_error(const char *path, sqlite3 *db, int rc, const char *doing, struct error *err) {
  const char *why = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
  switch (rc & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return with_sys(error_set(err, ST_UNAVAILABLE,
                              "%s: the database %s was locked by another program for %d s; look "
                              "for a transaction that stays open",
                              doing, path, BUSY_MS / 1000),
                    EBUSY, err);
  case SQLITE_FULL:
    return with_sys(error_set(err, ST_NO_SPACE,
                              "%s: no room for the database %s: its disk is full, or its "
                              "max_page_count is reached",
                              doing, path),
                    ENOSPC, err);
  case SQLITE_NOMEM:
    return with_sys(error_set(err, ST_NO_MEMORY, "%s: no memory", doing), ENOMEM, err);
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_AUTH:
    return with_sys(error_set(err, ST_DENIED,
                              "%s: the database %s may not be written (%s); give this user the "
                              "right to write it and the folder that it lies in",
                              doing, path, why),
                    EACCES, err);
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB: return damaged(path, why, doing, err);
  case SQLITE_CANTOPEN:
    return with_sys(error_set(err, ST_DENIED,
                              "%s: the database %s cannot be opened (%s); this user needs the "
                              "right to write it and the folder that it lies in, also to look",
                              doing, path, why),
                    EACCES, err);
  case SQLITE_ERROR: return not_ours(path, why, doing, err);
  case SQLITE_CONSTRAINT:
    return with_sys(
        error_set(err, ST_INVALID, "%s: the database %s refuses it (%s)", doing, path, why), EPERM,
        err);
  default: return of_system(path, db, doing, err);
  }
}

enum status sq_exec(sqlite3 *db, const char *path, const char *sql, const char *doing,
                    struct error *err) {
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? ST_OK : sq_error(path, db, rc, doing, err);
}

/* ---- opening one ---- */

/* A name that SQLite would take for a URI is one of this folder. */
enum status sq_open_file(const char *path, int flags, sqlite3 **out, struct error *err) {
  struct buffer name = {0};
  if (strncmp(path, "file:", 5) == 0) buffer_add_z(&name, "./");
  buffer_add_z(&name, path);
  *out = NULL;
  int rc = sqlite3_open_v2(buffer_z(&name), out, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                           NULL);
  enum status st = buffer_status(&name, err);
  if (st == ST_OK && rc != SQLITE_OK) st = sq_error(path, *out, rc, "opening", err);
  buffer_release(&name);
  if (st == ST_OK) {
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, BUSY_MS);
    st = sq_exec(*out, path, "PRAGMA secure_delete=OFF; PRAGMA synchronous=NORMAL", "opening", err);
  }
  if (st != ST_OK) {
    sqlite3_close(*out);
    *out = NULL;
  }
  return st;
}

/* The first column of the first row, as text. */
static enum status ask_first(sqlite3 *db, const char *path, const char *sql, char *out, size_t size,
                             struct error *err) {
  sqlite3_stmt *stmt = NULL;
  *out = '\0';
  int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW)
    snprintf(out, size, "%s",
             sqlite3_column_text(stmt, 0) ? (const char *)sqlite3_column_text(stmt, 0) : "");
  enum status st =
      rc == SQLITE_ROW || rc == SQLITE_DONE ? ST_OK : sq_error(path, db, rc, "looking", err);
  sqlite3_finalize(stmt);
  return st;
}

enum status sq_check_mode(sqlite3 *db, const char *path, struct error *err) {
  char mode[20], encoding[20];
  enum status st = ask_first(db, path, "PRAGMA journal_mode", mode, sizeof mode, err);
  if (st == ST_OK) st = ask_first(db, path, "PRAGMA encoding", encoding, sizeof encoding, err);
  if (st != ST_OK) return st;
  if (strcmp(mode, "wal") != 0)
    return error_set(err, ST_INVALID,
                     "the database %s has journal_mode %s; an outbox needs WAL. Set it, once: "
                     "sqlite3 '%s' 'PRAGMA journal_mode=WAL'",
                     path, mode, path);
  if (strcmp(encoding, "UTF-8") != 0)
    return error_set(err, ST_INVALID,
                     "the database %s has the encoding %s; an outbox needs UTF-8, which is set "
                     "when a database is made",
                     path, encoding);
  return ST_OK;
}

enum status sq_version(sqlite3 *db, const char *path, unsigned *version, struct error *err) {
  char there[20], number[20];
  *version = 0;
  enum status st = ask_first(db, path, "SELECT 1 FROM sqlite_master WHERE name = 'busbridge_state'",
                             there, sizeof there, err);
  if (st != ST_OK || !*there) return st;
  st = ask_first(db, path, "SELECT value FROM main.busbridge_state WHERE name = 'migration'",
                 number, sizeof number, err);
  if (st == ST_OK) *version = (unsigned)strtoul(number, NULL, 10);
  if (st == ST_OK && !*version)
    return not_ours(path, "busbridge_state names no migration", "looking", err);
  return st;
}

enum status sq_side(struct sq *s, enum db_side side, struct error *err) {
  struct sq_side *on = &s->sides[side];
  if (on->db) return ST_OK;
  bool write = side == SIDE_WRITING || s->create;
  return sq_open_file(s->path, write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, &on->db, err);
}
