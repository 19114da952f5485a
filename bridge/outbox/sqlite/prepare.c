/* The tables are made, or brought to this program's version: numbered scripts, each once.
 * One thread; a crash leaves all of it, or nothing. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/sqlite/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
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
static enum status hold(struct sq *s, const char *path, const struct store_preparation *p,
                        struct error *err) {
  *s = (struct sq){.path = (char *)(uintptr_t)path, .clock = p->clock, .lock = -1, .watch = -1};
  return sq_lock(s, err);
}

static enum status run_steps(sqlite3 *db, const char *path, struct store_preparation *p,
                             struct error *err) {
  enum status st = sq_exec(db, path, "PRAGMA synchronous = FULL", "making the tables", err);
  if (st == ST_OK) st = sq_exec(db, path, buffer_z(&p->steps), "making the tables", err);
  if (st != ST_OK && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return st;
}

static enum status prepare_in(sqlite3 *db, const char *path, struct store_preparation *p,
                              struct error *err) {
  enum status st = db ? sq_version(db, path, &p->was, err) : ST_OK;
  if (st == ST_OK) st = db_judge_version(path, p, err);
  if (st != ST_OK) return st;
  p->is = SQLITE_KNOWN;
  write_steps(p, !db);
  return buffer_status(&p->steps, err);
}

static enum status prepare_there(const char *path, struct store_preparation *p, struct error *err) {
  sqlite3 *db = NULL;
  enum status st =
      sq_open_file(path, p->dry_run ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, &db, err);
  if (st == ST_OK) st = sq_check_mode(db, path, err);
  if (st == ST_OK) st = prepare_in(db, path, p, err);
  struct sq s = {.lock = -1};
  bool some = !p->dry_run && p->steps.len;
  if (st == ST_OK && some) st = hold(&s, path, p, err);
  if (st == ST_OK && some) st = run_steps(db, path, p, err);
  sq_unlock(&s);
  sqlite3_close(db);
  return st;
}

/* ---- one that is not there yet: made whole beside its place, then it is moved there ---- */

static void remove_new(int folder, const char *name) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  char file[PATH_MAX];
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    snprintf(file, sizeof file, "%s%s", name, ends[i]);
    enum status st = durable_unlink(folder, file, NULL);
    (void)st; /* as a rule there is none */
  }
}

static enum status make_whole(int folder, const char *path, const char *made, const char *name,
                              struct store_preparation *p, struct error *err) {
  sqlite3 *db = NULL;
  const char *made_name = strrchr(made, '/') ? strrchr(made, '/') + 1 : made;
  remove_new(folder, made_name); /* of one that was killed */
  enum status st = sq_open_file(made, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &db, err);
  if (st == ST_OK) st = run_steps(db, path, p, err);
  sqlite3_close(db);
  if (st == ST_OK) st = durable_move(folder, made_name, folder, name, err);
  if (st == ST_OK) st = durable_sync_folder(folder, err);
  if (st != ST_OK) remove_new(folder, made_name);
  return st;
}

static enum status make_file(const char *path, struct store_preparation *p, struct error *err) {
  char made[PATH_MAX], folder[PATH_MAX];
  const char *slash = strrchr(path, '/');
  snprintf(made, sizeof made, "%s.busbridge-new", path);
  snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_sys(err, errno, "opening %s, where the database is to lie", folder);
  struct sq s;
  enum status st = hold(&s, path, p, err);
  if (st == ST_OK) st = make_whole(fd, path, made, slash ? slash + 1 : path, p, err);
  sq_unlock(&s);
  close(fd);
  return st;
}

/* One that is not there yet is ours to make, and to set to WAL. */
enum status sq_prepare(const char *address, struct store_preparation *p, struct error *err) {
  struct error why = {0};
  p->known = SQLITE_KNOWN;
  enum status st = sq_check_place(address, &why);
  if (st == ST_OK) return prepare_there(address, p, err);
  if (st != ST_NOT_FOUND || !p->fresh) {
    if (err) *err = why;
    return st;
  }
  st = prepare_in(NULL, address, p, err);
  return st == ST_OK && !p->dry_run ? make_file(address, p, err) : st;
}
