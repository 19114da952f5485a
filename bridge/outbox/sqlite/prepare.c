/* The tables are made, or brought to this program's version: numbered scripts, each once.
 * One thread; a crash leaves all of it, or nothing. */
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/sqlite/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* C17 has no #embed. */
#define SCRIPT(number, name)                                                                       \
  __asm__(".section .rodata\n"                                                                     \
          "sqlite_script_" number ": .incbin \"" SOURCE_ROOT "/schemas/sql/sqlite/" name "\"\n"    \
          ".byte 0\n"                                                                              \
          ".previous\n")
SCRIPT("1", "001_outbox.sql");
extern const char sqlite_script_1[];
static const char *const scripts[] = {NULL, sqlite_script_1}; /* by the version that they lead to */
_Static_assert(sizeof scripts / sizeof *scripts == SQLITE_KNOWN + 1, "a script for each version");

#define NEW_FILE "PRAGMA journal_mode = WAL;\n"

static void write_steps(struct store_preparation *p, bool missing) {
  if (missing) buffer_add_z(&p->steps, NEW_FILE);
  if (p->was < SQLITE_KNOWN) buffer_add_z(&p->steps, "BEGIN IMMEDIATE;\n");
  for (unsigned v = p->was + 1; v <= SQLITE_KNOWN; v++) {
    buffer_add_z(&p->steps, scripts[v]);
    buffer_printf(
        &p->steps,
        "INSERT OR REPLACE INTO busbridge_state (name, value) VALUES ('migration', '%u');\n", v);
  }
  if (p->was < SQLITE_KNOWN) buffer_add_z(&p->steps, "COMMIT;\n");
}

/* Nobody makes them at the same moment, and nobody is at work on older ones. */
static enum status carry_out(sqlite3 *db, const char *path, struct store_preparation *p,
                             struct error *err) {
  struct sq s = {.path = (char *)(uintptr_t)path, .clock = p->clock, .lock = -1, .watch = -1};
  enum status st = sq_lock(&s, err);
  if (st != ST_OK) return st;
  st = sq_exec(db, path, "PRAGMA synchronous = FULL", "making the tables", err);
  if (st == ST_OK) st = sq_exec(db, path, buffer_z(&p->steps), "making the tables", err);
  if (st != ST_OK && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  sq_unlock(&s);
  return st;
}

static enum status prepare_in(sqlite3 *db, const char *path, bool missing,
                              struct store_preparation *p, struct error *err) {
  enum status st = db ? sq_version(db, path, &p->was, err) : ST_OK;
  if (st == ST_OK) st = db_judge_version(path, p, err);
  if (st != ST_OK) return st;
  p->is = p->known = SQLITE_KNOWN;
  write_steps(p, missing);
  st = buffer_status(&p->steps, err);
  if (st != ST_OK || p->dry_run || !p->steps.len) return st;
  return carry_out(db, path, p, err);
}

/* One that is not there yet is ours to make, and to set to WAL. */
enum status sq_prepare(const char *address, struct store_preparation *p, struct error *err) {
  sqlite3 *db = NULL;
  struct error why = {0};
  enum status st = sq_check_place(address, &why);
  bool missing = st == ST_NOT_FOUND;
  p->known = SQLITE_KNOWN;
  if (missing && p->fresh) st = ST_OK;
  if (st != ST_OK) {
    if (err) *err = why;
    return st;
  }
  if (!missing || !p->dry_run)
    st = sq_open_file(address,
                      p->dry_run ? SQLITE_OPEN_READONLY
                                 : SQLITE_OPEN_READWRITE | (missing ? SQLITE_OPEN_CREATE : 0),
                      &db, err);
  if (st == ST_OK && db && !missing) st = sq_check_mode(db, address, err);
  if (st == ST_OK) st = prepare_in(db, address, missing, p, err);
  sqlite3_close(db);
  return st;
}
