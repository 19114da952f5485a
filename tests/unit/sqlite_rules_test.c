/* What an outbox in SQLite rests on, each broken by a known mistake of tests/crash/seeds: rows go
 * by number and id, the list of a batch is on the disk, a change waits for the write lock, and no
 * read outlives its step. And no descriptor of the database is ours to close: that would drop
 * SQLite's locks. */
#include "bridge/outbox/condition.h"
#include "bridge/outbox/manifest.h"
#include "tests/support/box.h"

#include <pthread.h>
#include <sys/syscall.h>

static unsigned syncs;

/* The library's own calls come here. */
int fdatasync(int fd);
int fdatasync(int fd) {
  syncs++;
  return (int)syscall(SYS_fdatasync, fd);
}

static int open_box(void **state) {
  *state = box_new("sqlite");
  return 0;
}

static sqlite3 *beside(struct box *b) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(b->dir, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 60000);
  return db;
}

static void run(sqlite3 *db, const char *sql) {
  char *why = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
}

static int number(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = NULL;
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
  int n = sqlite3_column_int(stmt, 0);
  sqlite3_finalize(stmt);
  return n;
}

#define RULE_OF(name) TEST_WITH(name, open_box, box_free)

RULE_OF(another_row_of_the_same_number_stays) {
  struct box *b = *state;
  enum settled how;
  box_emit(b, "a");
  assert_string_equal(box_take_all(b), "a");
  sqlite3 *db = beside(b);
  run(db, "UPDATE busbridge_outbox SET id = 'z'"); /* as a copy that was put back has it */
  OK(store_done(b->store, &b->refs[0], &how, &b->err));
  assert_int_equal(how, SETTLED_VANISHED);
  assert_int_equal(number(db, "SELECT count(*) FROM busbridge_outbox WHERE id = 'z'"), 1);
  sqlite3_close(db);
}

RULE_OF(the_list_of_a_batch_is_on_the_disk) {
  struct box *b = *state;
  struct manifest_entry entry = {.id = SPAN("a"), .topic = SPAN("t")};
  struct manifest m = {.number = 1, .count = 1, .entries = &entry};
  box_emit(b, "a");
  assert_string_equal(box_take_all(b), "a");
  entry.ref = b->refs[0];
  syncs = 0;
  OK(manifest_write(b->store, &m, "nonce", &b->err));
  assert_true(syncs > 0);
}

static void *hold_the_lock(void *arg) {
  sqlite3 *db = arg;
  usleep(300000);
  run(db, "COMMIT");
  return NULL;
}

RULE_OF(a_change_waits_for_the_write_lock) {
  struct box *b = *state;
  pthread_t holder;
  sqlite3 *db = beside(b);
  box_emit(b, "a");
  assert_string_equal(box_take_all(b), "a");
  run(db, "BEGIN IMMEDIATE; CREATE TABLE other (x)");
  assert_int_equal(pthread_create(&holder, NULL, hold_the_lock, db), 0);
  box_done_all(b);
  pthread_join(holder, NULL);
  assert_int_equal(number(db, "SELECT count(*) FROM busbridge_outbox"), 0);
  sqlite3_close(db);
}

RULE_OF(no_read_outlives_its_step) {
  struct box *b = *state;
  struct entry e;
  sqlite3 *db = beside(b);
  for (int i = 0; i < 3; i++) /* more than a page takes at once */
    run(db, "INSERT INTO busbridge_outbox (name, key, payload) SELECT 'a.b', '', '{\"x\": \"' || "
            "hex(zeroblob(200000)) || '\"}' FROM busbridge_state, busbridge_state b");
  OK(box_next(b, &e));
  sqlite3_busy_timeout(db, 0);
  assert_int_equal(number(db, "PRAGMA wal_checkpoint(TRUNCATE)"), 0); /* 1: a reader is there */
  sqlite3_close(db);
}

/* A list of what was taken last. */
static enum status write_one(struct box *b, struct manifest *m, uint64_t number) {
  static struct manifest_entry entry;
  entry = (struct manifest_entry){.id = SPAN("a"), .topic = SPAN("t"), .ref = b->refs[0]};
  *m = (struct manifest){.number = number, .count = 1, .entries = &entry};
  return manifest_write(b->store, m, "nonce", &b->err);
}

static void publish(struct box *b, const char *id, uint64_t number) {
  struct manifest m;
  struct manifest_name name = {.number = number};
  enum closing closing;
  box_notice(b);
  assert_string_equal(box_take_some(b), id);
  OK(write_one(b, &m, number));
  struct settling row = {.ref = &b->refs[0], .id = span_of(id), .fate = FATE_DONE};
  memcpy(name.digest, m.digest, sizeof name.digest);
  OK(store_settle(b->store, &row, 1, &name, &closing, &b->err));
  assert_int_equal(closing, CLOSING_DONE);
}

static void copy(sqlite3 *to, sqlite3 *from) {
  sqlite3_backup *all = sqlite3_backup_init(to, "main", from, "main");
  assert_non_null(all);
  assert_int_equal(sqlite3_backup_step(all, -1), SQLITE_DONE);
  assert_int_equal(sqlite3_backup_finish(all), SQLITE_OK);
}

RULE_OF(what_a_restored_database_brings_back_is_in_no_batch) {
  struct box *b = *state;
  struct manifest m;
  sqlite3 *db = beside(b), *backup = NULL;
  box_emit(b, "first");
  publish(b, "first", 1);
  box_emit(b, "a");
  assert_int_equal(sqlite3_open(":memory:", &backup), SQLITE_OK);
  copy(backup, db); /* while the worker runs: its claim is in it */
  publish(b, "a", 2);
  OK(store_check(b->store, &b->err));
  copy(db, backup);
  assert_int_equal(number(db, "SELECT count(*) FROM busbridge_outbox"), 1); /* published already */
  assert_int_equal(store_check(b->store, &b->err), ST_BUSY);
  assert_int_equal(write_one(b, &m, 3), ST_BUSY);
  assert_non_null(strstr(b->err.text, "went back: batch 2"));
  assert_int_equal(number(db, "SELECT count(*) FROM busbridge_batch WHERE n > 1"), 0);
  assert_int_equal(number(db, "SELECT count(*) FROM busbridge_outbox"), 1);
  sqlite3_close(backup);
  sqlite3_close(db);
  box_restart(b); /* what is there is looked at anew */
  OK(store_check(b->store, &b->err));
}

RULE_OF(a_database_in_whose_place_another_was_put_takes_no_batch) {
  struct box *b = *state;
  char aside[240];
  struct manifest m;
  box_emit(b, "a");
  assert_string_equal(box_take_all(b), "a");
  OK(store_check(b->store, &b->err));
  snprintf(aside, sizeof aside, "%s.aside", b->dir);
  assert_int_equal(rename(b->dir, aside), 0);
  assert_int_equal(store_check(b->store, &b->err), ST_BUSY);
  assert_int_equal(write_one(b, &m, 1), ST_BUSY);
  assert_non_null(strstr(b->err.text, "put in its place"));
  assert_int_equal(rename(aside, b->dir), 0);
  OK(store_check(b->store, &b->err));
  OK(write_one(b, &m, 1));
}

/* Locks that this process has on the file, by the kernel's list. */
static unsigned locks_on(const char *path) {
  struct stat file;
  char line[300], inode[40], pid[40];
  unsigned found = 0;
  assert_int_equal(stat(path, &file), 0);
  snprintf(inode, sizeof inode, ":%llu ", (unsigned long long)file.st_ino);
  snprintf(pid, sizeof pid, " %d ", (int)getpid());
  FILE *list = fopen("/proc/locks", "r");
  assert_non_null(list);
  while (fgets(line, sizeof line, list))
    found += strstr(line, inode) && strstr(line, pid) && strstr(line, "POSIX");
  fclose(list);
  return found;
}

RULE_OF(nothing_that_is_asked_drops_the_locks_of_the_database) {
  struct box *b = *state;
  struct store_space space;
  struct store_owner owner;
  struct store_preparation p = {.clock = &clock_system, .fresh = true};
  box_emit(b, "a");
  assert_string_equal(box_take_all(b), "a");
  unsigned before = locks_on(b->dir);
  assert_true(before > 0);
  store_space(b->store, &space);
  assert_true(store_owner(b->store, &owner));
  OK(store_writable(b->store, &b->err));
  OK(store_prepare(b->url, &p, &b->err));
  buffer_release(&p.steps);
  store_close(box_another(b, false));
  for (unsigned which = EXAMINE_PLACE; which < EXAMINE_FURTHER + 3; which++) {
    struct examined said = {0};
    store_examine(b->store, (enum examination)which, &said);
    buffer_release(&said.text);
    buffer_release(&said.next);
  }
  OK(store_check(b->store, &b->err));
  assert_int_equal(locks_on(b->dir), before);
}
