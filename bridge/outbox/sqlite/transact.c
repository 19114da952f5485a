/* Transactions of the writing connection: begun with the write lock, so that none is refused half
 * way; durable where that is asked for.
 * One thread at a time, under its lock; a crash rolls back what was not committed. */
#include "bridge/outbox/sqlite/sqlite.h"

static enum status set_full(struct sq *s, bool full, struct error *err) {
  struct sq_side *on = &s->sides[SIDE_WRITING];
  if (on->full == full) return ST_OK;
  enum status st =
      sq_exec(on->db, s->path, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
              "beginning", err);
  if (st == ST_OK) on->full = full;
  return st;
}

static enum status run_kept(struct sq *s, enum sq_kept which, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_kept(s, SIDE_WRITING, which, &u, err);
  if (st != ST_OK) return st;
  sq_row(&u);
  return sq_done(&u, which == SQ_COMMIT ? "committing" : "beginning", err);
}

static enum status check_owner(struct sq *s, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_kept(s, SIDE_WRITING, SQ_OWNER, &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, span_of(s->token));
  bool ours = *s->token && sq_row(&u);
  st = sq_done(&u, "looking whose it is", err);
  if (st != ST_OK || ours) return st;
  return error_set(err, ST_BUSY, "the outbox in %s is not owned by this worker any more", s->path);
}

/* Whoever restores a backup by renaming leaves us the file that lay there before. */
static enum status see_it_there(struct sq *s, struct error *err) {
  int moved = 0;
  sqlite3_file_control(s->sides[SIDE_WRITING].db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (!moved) return ST_OK;
  return error_set(err, ST_BUSY,
                   "the database %s was moved away or another was put in its place while this "
                   "worker had it open; nothing more is published from the one that lay there. "
                   "Stop the worker before a database is restored, and start it afterwards",
                   s->path);
}

enum status sq_same(struct sq *s, struct error *err) {
  struct sq_use u;
  enum status st = see_it_there(s, err);
  if (st != ST_OK || !*s->witness.digest) return st;
  st = sq_use_kept(s, SIDE_WRITING, SQ_WITNESS, &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, (int64_t)s->witness.number);
  sq_bind_text(&u, 2, span_of(s->witness.digest));
  bool there = sq_row(&u);
  st = sq_done(&u, "looking whether it went back", err);
  if (st != ST_OK || there) return st;
  return error_set(err, ST_BUSY,
                   "the database %s went back: batch %llu, which was settled, is not (a backup was "
                   "restored into it); nothing is published before what it lost is known. Stop the "
                   "worker before a database is restored, and start it afterwards",
                   s->path, (unsigned long long)s->witness.number);
}

enum status sq_begin(struct sq *s, unsigned needs, struct error *err) {
  enum status st = sq_side(s, SIDE_WRITING, err);
  if (st == ST_OK) st = set_full(s, needs & SQ_DURABLE, err);
  if (st == ST_OK) st = run_kept(s, SQ_BEGIN, err);
  if (st != ST_OK || !(needs & SQ_OWNED)) return st;
  st = check_owner(s, err);
  if (st == ST_OK) st = sq_same(s, err);
  return st == ST_OK ? st : sq_end(s, st, err);
}

static void roll_back(struct sq *s) {
  if (sqlite3_get_autocommit(s->sides[SIDE_WRITING].db)) return; /* SQLite did */
  enum status st = run_kept(s, SQ_ROLLBACK, NULL);
  (void)st;
}

enum status sq_end(struct sq *s, enum status st, struct error *err) {
  if (st == ST_OK) {
    st = run_kept(s, SQ_COMMIT, err);
    if (st == ST_OK) s->unsynced = !s->sides[SIDE_WRITING].full;
  }
  if (st != ST_OK) roll_back(s);
  return st;
}

enum status sq_run(struct sq_use *u, int *changes, const char *doing, struct error *err) {
  sqlite3 *db = u->on->db;
  sq_row(u);
  enum status st = sq_done(u, doing, err);
  if (changes) *changes = st == ST_OK ? sqlite3_changes(db) : 0;
  return st;
}

/* An empty transaction would write nothing, and sync nothing. */
enum status sq_sync(void *impl, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  if (!s->unsynced) return ST_OK;
  enum status st = sq_begin(s, SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = sq_use_made(s, SIDE_WRITING,
                   "INSERT INTO main.busbridge_state (name, value) VALUES ('synced', '1') ON "
                   "CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
                   &u, err);
  if (st == ST_OK) st = sq_run(&u, NULL, "syncing", err);
  return sq_end(s, st, err);
}
