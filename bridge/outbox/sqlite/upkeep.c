/* What else a doctor is told of a database: what grows in it, and who holds it back.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

#include <linux/limits.h>
#include <sys/stat.h>

enum {
  TESTED_LEAST = 3040000, /* SQLITE_VERSION_NUMBER of the oldest that the tests run on */
  LOG_MOST = 64 << 20,    /* bytes of the write-ahead log: SQLite keeps it near 4 MiB by itself */
  FREE_MOST = 100 << 20   /* bytes that nothing lies in */
};

static void say(struct examined *out, enum examined_verdict verdict, const char *next) {
  out->verdict = verdict;
  buffer_add_z(&out->next, next);
}

static void examine_library(struct examined *out) {
  int number = sqlite3_libversion_number();
  buffer_printf(&out->text, "%s", sqlite3_libversion());
  if (number >= TESTED_LEAST) return;
  buffer_add_z(&out->text, ", which is older than any that was tested");
  say(out, EXAMINED_DOUBTFUL, "Install SQLite 3.40 or newer");
}

/* It is begun anew when no reader needs what is in it. */
static void examine_log(const struct sq *s, struct examined *out) {
  char path[PATH_MAX];
  struct stat file = {0};
  snprintf(path, sizeof path, "%s-wal", s->path);
  bool large = stat(path, &file) == 0 && file.st_size > LOG_MOST;
  buffer_printf(&out->text, "%lld KB", (long long)(file.st_size / 1000));
  if (!large) return;
  buffer_add_z(&out->text, ": a reader has stayed open for long, so it cannot begin anew");
  say(out, EXAMINED_DOUBTFUL,
      "Find the program that leaves a transaction or a statement open on the database, and end it "
      "there; when all are closed: PRAGMA wal_checkpoint(TRUNCATE)");
}

static enum status ask_number(sqlite3 *db, const struct sq *s, const char *sql, int64_t *out,
                              struct error *err) {
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW) *out = sqlite3_column_int64(stmt, 0);
  enum status st = rc == SQLITE_ROW ? ST_OK : sq_error(s->path, db, rc, "looking", err);
  sqlite3_finalize(stmt);
  return st;
}

static void examine_pages(const struct sq *s, struct examined *out) {
  sqlite3 *db = NULL;
  struct error err = {0};
  int64_t size = 0, pages = 0, unused = 0;
  enum status st = sq_open_file(s->path, SQLITE_OPEN_READWRITE, &db, &err);
  if (st == ST_OK) st = ask_number(db, s, "PRAGMA page_size", &size, &err);
  if (st == ST_OK) st = ask_number(db, s, "PRAGMA page_count", &pages, &err);
  if (st == ST_OK) st = ask_number(db, s, "PRAGMA freelist_count", &unused, &err);
  sqlite3_close(db);
  if (st != ST_OK) {
    buffer_add_z(&out->text, err.text);
    say(out, EXAMINED_NOT, "");
    return;
  }
  buffer_printf(&out->text, "%lld MB, of which %lld MB are unused",
                (long long)(pages * size / 1000000), (long long)(unused * size / 1000000));
  if (unused * size > FREE_MOST && unused > pages / 2)
    say(out, EXAMINED_DOUBTFUL,
        "What was deleted is used again, but not given back: VACUUM does that, while application "
        "and worker stand still");
}

void sq_examine_further(const struct sq *s, unsigned which, struct examined *out) {
  static const char *const checks[] = {"sqlite", "write-ahead log", "database size"};
  if (which >= sizeof checks / sizeof *checks) return;
  out->check = checks[which];
  if (which == 0)
    examine_library(out);
  else if (which == 1)
    examine_log(s, out);
  else
    examine_pages(s, out);
}
