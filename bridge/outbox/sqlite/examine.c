/* What a doctor asks, on connections of its own, beside whoever owns it.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECK_MOST = 256 * 1024 * 1024 }; /* a larger one is not read whole */

static void fail_examined(struct examined *out, const struct error *err, const char *next) {
  out->verdict = EXAMINED_FAILED;
  buffer_add_z(&out->text, err->text);
  buffer_add_z(&out->next, next);
}

/* False: it is told. */
static bool check_whole(sqlite3 *db, const char *path, struct examined *out) {
  sqlite3_stmt *stmt = NULL;
  struct error err = {0};
  int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
  const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
  bool fine = said && strcmp(said, "ok") == 0;
  if (rc == SQLITE_ROW && !fine)
    error_set(&err, ST_IO, "the database %s is damaged: %s", path, said ? said : "");
  else if (!fine)
    sq_error(path, db, rc, "checking", &err);
  if (!fine) fail_examined(out, &err, "Restore it, or rescue what is in it: sqlite3 FILE .recover");
  sqlite3_finalize(stmt);
  return fine;
}

static void examine_place(struct sq *s, struct examined *out) {
  sqlite3 *db = NULL;
  struct error err = {0};
  struct stat file = {0};
  enum status st = sq_check_place(s->path, &err);
  if (st == ST_OK) st = sq_writable(s, &err);
  if (st == ST_OK) st = sq_open_file(s->path, SQLITE_OPEN_READWRITE, &db, &err);
  if (st == ST_OK) st = sq_check_mode(db, s->path, &err);
  bool small = stat(s->path, &file) == 0 && file.st_size <= CHECK_MOST;
  if (st != ST_OK)
    fail_examined(out, &err, "Do what the error says");
  else if (!small || check_whole(db, s->path, out))
    buffer_printf(&out->text, "%s, SQLite %s, WAL, %s", s->path, sqlite3_libversion(),
                  small ? "quick_check is fine"
                        : "too large to be checked here: PRAGMA quick_check does");
  sqlite3_close(db);
}

/* Rolled back: nothing is written. */
static void examine_changes(struct sq *s, struct examined *out) {
  sqlite3 *db = NULL;
  struct error err = {0};
  enum status st = sq_open_file(s->path, SQLITE_OPEN_READWRITE, &db, &err);
  if (st == ST_OK)
    st = sq_exec(
        db, s->path,
        "BEGIN IMMEDIATE; INSERT INTO busbridge_text (name, part, bytes) VALUES "
        "('examined', 0, x''); DELETE FROM busbridge_text WHERE name = 'examined'; ROLLBACK",
        "trying a change", &err);
  if (st != ST_OK)
    fail_examined(out, &err, "Do what the error says");
  else
    buffer_add_z(&out->text, "rows are changed in transactions; the write lock was to be had");
  sqlite3_close(db);
}

void sq_examine(void *impl, enum examination which, struct examined *out) {
  if (which >= EXAMINE_FURTHER) {
    sq_examine_further(impl, which - EXAMINE_FURTHER, out);
    return;
  }
  out->check = which == EXAMINE_PLACE ? "outbox" : "database";
  if (which == EXAMINE_PLACE)
    examine_place(impl, out);
  else
    examine_changes(impl, out);
}

enum status sq_writable(void *impl, struct error *err) {
  const struct sq *s = impl;
  const char *slash = strrchr(s->path, '/');
  struct buffer folder = {0};
  if (slash) buffer_append(&folder, s->path, (size_t)(slash - s->path) + 1);
  buffer_add_z(&folder, ".");
  enum status st = buffer_status(&folder, err);
  if (st == ST_OK && access(s->path, R_OK | W_OK) != 0)
    st = error_sys(err, errno, "writing the database %s", s->path);
  if (st == ST_OK && access(buffer_z(&folder), W_OK | X_OK) != 0)
    st = error_sys(err, errno, "writing the folder of the database %s", s->path);
  buffer_release(&folder);
  return st;
}
