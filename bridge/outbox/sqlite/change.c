/* What becomes of rows: each call one transaction.
 * One thread at a time, under the writing side's lock; a crash leaves all of a call, or nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

#include <errno.h>

enum { MOVE_MOST = 1024 * 1024 }; /* what is larger is moved in parts */

#define MOVE_AS(payload)                                                                           \
  "INSERT OR REPLACE INTO main.busbridge_dead (seq, id, name, key, headers, created_at, "          \
  "arrived_ms, reason, error, error_code, topic, attempts, first_failed_us, failed_us, since_us, " \
  "payload) SELECT o.seq, CAST(o.id AS TEXT), CAST(o.name AS TEXT), CAST(o.key AS TEXT), "         \
  "CAST(o.headers AS TEXT), CAST(o.created_at AS TEXT), o.arrived_ms, ?3, ?4, ?5, ?6, ?7, "        \
  "coalesce(a.first_failed_us, ?8), ?8, ?9, " payload " FROM main.busbridge_outbox o "             \
  "LEFT JOIN main.busbridge_attempt a ON a.seq = o.seq AND a.id = ?2 "                             \
  "WHERE o.seq = ?1 AND CAST(o.id AS TEXT) COLLATE BINARY = ?2"

/* Statements that a call makes when it needs them first. */
enum made { MOVE, MOVE_LARGE, MAKE_ROOM, TAKE_DEAD, NOTE, AFRESH, THERE, MADE };
static const char *const made_sql[MADE] = {
    [MOVE] = MOVE_AS("CAST(o.payload AS TEXT)"),
    [MOVE_LARGE] = MOVE_AS("''"),
    [MAKE_ROOM] = "UPDATE main.busbridge_dead SET payload = zeroblob(?9) " /* never in memory so */
                  "WHERE seq = ?1 AND id = ?2",
    [TAKE_DEAD] = "DELETE FROM main.busbridge_dead WHERE seq = ?1 AND id = ?2",
    [NOTE] = "INSERT INTO main.busbridge_attempt (seq, id, attempts, last_error, first_failed_us, "
             "failed_us, since_us) SELECT o.seq, ?2, ?7, ?4, ?8, ?8, ?9 "
             "FROM main.busbridge_outbox o "
             "WHERE o.seq = ?1 AND CAST(o.id AS TEXT) COLLATE BINARY = ?2 "
             "ON CONFLICT (seq, id) DO UPDATE SET attempts = excluded.attempts, "
             "last_error = excluded.last_error, failed_us = excluded.failed_us, "
             "first_failed_us = coalesce(busbridge_attempt.first_failed_us, "
             "excluded.first_failed_us), since_us = excluded.since_us",
    [AFRESH] = "INSERT OR REPLACE INTO main.busbridge_attempt (seq, id, attempts, since_us) "
               "SELECT o.seq, ?2, 0, ?9 FROM main.busbridge_outbox o "
               "WHERE o.seq = ?1 AND CAST(o.id AS TEXT) COLLATE BINARY = ?2",
    [THERE] = "SELECT 1 FROM main.busbridge_outbox "
              "WHERE seq = ?1 AND CAST(id AS TEXT) COLLATE BINARY = ?2",
};

struct changing {
  struct sq *s;
  sqlite3_stmt *made[MADE];
  int64_t large; /* bytes of a payload that is copied in parts */
  struct error *err;
};

static enum status run(struct sq_use *u, int *changes, struct error *err) {
  return sq_run(u, changes, "settling", err);
}

static enum status run_kept(struct changing *c, enum sq_kept which, const struct db_change *change,
                            int *changes) {
  struct sq_use u;
  enum status st = sq_use_kept(c->s, SIDE_WRITING, which, &u, c->err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, change->seq);
  sq_bind_text(&u, 2, change->id);
  return run(&u, changes, c->err);
}

static enum status use(struct changing *c, enum made which, struct sq_use *u) {
  enum status st = ST_OK;
  if (c->made[which])
    *u = (struct sq_use){.s = c->s, .on = &c->s->sides[SIDE_WRITING], .stmt = c->made[which]};
  else
    st = sq_use_made(c->s, SIDE_WRITING, made_sql[which], u, c->err);
  c->made[which] = u->stmt;
  u->kept = true; /* until the call ends */
  return st;
}

static bool has(sqlite3_stmt *stmt, int at) {
  return sqlite3_bind_parameter_count(stmt) >= at;
}

static enum status run_made(struct changing *c, enum made which, const struct db_change *change,
                            int *changes) {
  struct sq_use u = {0};
  enum status st = use(c, which, &u);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, change->seq);
  sq_bind_text(&u, 2, change->id);
  bool moves = which == MOVE || which == MOVE_LARGE;
  if (moves) sq_bind_text(&u, 3, change->reason);
  if (moves) sq_bind_int(&u, 5, change->error_code);
  if (moves) sq_bind_text(&u, 6, change->topic);
  if (moves || which == NOTE) {
    sq_bind_text(&u, 4, change->error);
    sq_bind_int(&u, 7, change->attempts);
    sq_bind_time(&u, 8, change->failed_us);
  }
  if (has(u.stmt, 9)) sq_bind_int(&u, 9, which == MAKE_ROOM ? c->large : change->now_us);
  return run(&u, changes, c->err);
}

static enum status kept_back(struct changing *c, const struct db_change *change) {
  error_set(
      c->err, ST_INVALID,
      "settling: the database %s keeps row %lld: a trigger of the application's ignores that it "
      "is deleted",
      c->s->path, (long long)change->seq);
  if (c->err) c->err->sys = EPERM;
  return ST_INVALID;
}

/* Nothing was deleted: is it there all the same? Then it would be published again. */
static enum status see_it_gone(struct changing *c, const struct db_change *change) {
  struct sq_use u = {0};
  enum status st = use(c, THERE, &u);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, change->seq);
  sq_bind_text(&u, 2, change->id);
  bool there = sq_row(&u);
  st = sq_done(&u, "settling", c->err);
  return st == ST_OK && there ? kept_back(c, change) : st;
}

static enum status forget_note(struct changing *c, const struct db_change *change) {
  return change->attempted ? run_kept(c, SQ_FORGET, change, NULL) : ST_OK;
}

static enum status take_out(struct changing *c, struct db_change *change) {
  int pending = 0, dead = 0;
  enum status st = run_kept(c, SQ_DELETE, change, &pending);
  if (st == ST_OK && !pending) st = see_it_gone(c, change);
  if (st == ST_OK) st = forget_note(c, change);
  if (st == ST_OK && !pending && change->fate == DB_LATE)
    st = run_made(c, TAKE_DEAD, change, &dead);
  change->found = pending ? DB_WAS_PENDING : dead ? DB_WAS_DEAD : DB_NOWHERE;
  return st;
}

/* One that is too large to be in memory goes from blob to blob. */
static enum status move_large(struct changing *c, const struct db_change *change, int *moved) {
  sqlite3 *db = c->s->sides[SIDE_WRITING].db;
  enum status st = sq_payload_size(c->s, change->seq, &c->large, c->err);
  if (st == ST_OK) st = run_made(c, MOVE_LARGE, change, moved);
  if (st != ST_OK || !*moved) return st;
  int64_t row = sqlite3_last_insert_rowid(db);
  st = run_made(c, MAKE_ROOM, change, NULL);
  return st == ST_OK ? sq_copy_payload(c->s, change->seq, row, c->err) : st;
}

static enum status move(struct changing *c, const struct db_change *change, int *moved) {
  sqlite3 *db = c->s->sides[SIDE_WRITING].db;
  int limit = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, MOVE_MOST);
  enum status st = run_made(c, MOVE, change, moved);
  bool large = st != ST_OK && (sqlite3_errcode(db) & 0xff) == SQLITE_TOOBIG;
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, limit);
  return large ? move_large(c, change, moved) : st;
}

/* What a server that went back left as a dead letter of that name gives way. */
static enum status set_dead(struct changing *c, struct db_change *change) {
  int moved = 0, gone = 0;
  enum status st = move(c, change, &moved);
  change->found = moved ? DB_WAS_PENDING : DB_NOWHERE;
  if (st == ST_OK && moved) st = run_kept(c, SQ_DELETE, change, &gone);
  if (st == ST_OK && moved && !gone) st = kept_back(c, change);
  if (st == ST_OK && moved) st = forget_note(c, change);
  return st;
}

static enum status carry_out(struct changing *c, struct db_change *change) {
  int changes = 0;
  enum status st;
  switch (change->fate) {
  case DB_DONE:
  case DB_LATE: return take_out(c, change);
  case DB_DEAD: return set_dead(c, change);
  case DB_RETRY: st = run_made(c, NOTE, change, &changes); break;
  case DB_AFRESH:
  default: st = run_made(c, AFRESH, change, &changes); break;
  }
  change->found = changes ? DB_WAS_PENDING : DB_NOWHERE;
  return st;
}

static bool must_last(const struct db_change *list, size_t count) {
  bool so = false;
  for (size_t i = 0; i < count; i++) so |= list[i].fate != DB_DONE && list[i].fate != DB_LATE;
  return so;
}

enum status sq_settle(void *impl, struct db_change *list, size_t count,
                      const struct manifest_name *closes, bool *closed, struct error *err) {
  struct changing c = {.s = impl, .err = err};
  *closed = false;
  enum status st = sq_begin(c.s, SQ_OWNED | (must_last(list, count) ? SQ_DURABLE : 0), err);
  if (st != ST_OK) return st;
  for (size_t i = 0; i < count && st == ST_OK; i++) st = carry_out(&c, &list[i]);
  if (st == ST_OK && closes) st = sq_mark_settled(c.s, closes->number, closes->digest, closed, err);
  for (unsigned m = 0; m < MADE; m++) sqlite3_finalize(c.made[m]);
  st = sq_end(c.s, st, err);
  if (st == ST_OK && *closed) sq_witness(c.s, closes->number, closes->digest);
  return st;
}

/* ---- dead letters ---- */

static enum status run_letter(struct sq *s, const char *sql, const struct db_letter *letter,
                              int64_t now_us, int *changes, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING, sql, &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, letter->seq);
  sq_bind_text(&u, 2, letter->id);
  if (has(u.stmt, 3)) sq_bind_int(&u, 3, now_us);
  return sq_run(&u, changes, "moving a dead letter", err);
}

/* Is it the one that was meant, and is its place free? */
static enum status judge(struct sq *s, struct db_letter *letter, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(
      s, SIDE_WRITING,
      "SELECT failed_us, EXISTS (SELECT 1 FROM main.busbridge_outbox o WHERE o.seq = ?1) "
      "FROM main.busbridge_dead WHERE seq = ?1 AND id = ?2",
      &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, letter->seq);
  sq_bind_text(&u, 2, letter->id);
  letter->status = ST_NOT_FOUND;
  if (sq_row(&u) && (letter->failed_us == TIME_NONE || sq_time(&u, 0) == letter->failed_us))
    letter->status = sqlite3_column_int(u.stmt, 1) ? ST_EXISTS : ST_OK;
  return sq_done(&u, "looking for a dead letter", err);
}

static enum status put_back(struct sq *s, struct db_letter *letter, int64_t now_us,
                            struct error *err) {
  static const char *const steps[] = {
      "INSERT INTO main.busbridge_outbox (seq, id, name, key, payload, headers, created_at, "
      "arrived_ms) SELECT seq, id, name, key, CAST(payload AS TEXT), headers, created_at, "
      "arrived_ms FROM main.busbridge_dead WHERE seq = ?1 AND id = ?2",
      "INSERT OR REPLACE INTO main.busbridge_attempt (seq, id, attempts, since_us) "
      "VALUES (?1, ?2, 0, ?3)",
      "DELETE FROM main.busbridge_dead WHERE seq = ?1 AND id = ?2"};
  enum status st = ST_OK;
  for (size_t i = 0; i < sizeof steps / sizeof *steps && st == ST_OK; i++)
    st = run_letter(s, steps[i], letter, now_us, NULL, err);
  return st;
}

/* One that the table refuses, whose payload is not JSON, goes nowhere, and the others do. */
static enum status put_back_alone(struct sq *s, struct db_letter *letter, int64_t now_us,
                                  struct error *err) {
  sqlite3 *db = s->sides[SIDE_WRITING].db;
  struct error why = {0};
  enum status st = sq_exec(db, s->path, "SAVEPOINT letter", "moving a dead letter", err);
  if (st != ST_OK) return st;
  st = put_back(s, letter, now_us, &why);
  if (st != ST_OK && st != ST_INVALID) {
    if (err) *err = why;
    return st;
  }
  letter->status = st;
  return sq_exec(db, s->path, st == ST_OK ? "RELEASE letter" : "ROLLBACK TO letter; RELEASE letter",
                 "moving a dead letter", err);
}

enum status sq_replay(void *impl, struct db_letter *list, size_t count, int64_t now_us,
                      struct error *err) {
  struct sq *s = impl;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  for (size_t i = 0; i < count && st == ST_OK; i++) {
    st = judge(s, &list[i], err);
    if (st == ST_OK && list[i].status == ST_OK) st = put_back_alone(s, &list[i], now_us, err);
  }
  return sq_end(s, st, err);
}

enum status sq_purge(void *impl, struct db_letter *list, size_t count, struct error *err) {
  struct sq *s = impl;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  for (size_t i = 0; i < count && st == ST_OK; i++) {
    st = judge(s, &list[i], err);
    if (st == ST_OK && list[i].status == ST_EXISTS) list[i].status = ST_OK;
    if (st == ST_OK && list[i].status == ST_OK)
      st = run_letter(s, "DELETE FROM main.busbridge_dead WHERE seq = ?1 AND id = ?2", &list[i], 0,
                      NULL, err);
  }
  return sq_end(s, st, err);
}

enum status sq_amend(void *impl, struct db_letter *letter, struct span payload, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = judge(s, letter, err);
  if (letter->status == ST_EXISTS) letter->status = ST_OK; /* its place matters to a replay alone */
  if (st == ST_OK && letter->status == ST_OK) {
    st = sq_use_made(s, SIDE_WRITING,
                     "UPDATE main.busbridge_dead SET payload = ?3 WHERE seq = ?1 AND id = ?2", &u,
                     err);
    if (st == ST_OK) {
      sq_bind_int(&u, 1, letter->seq);
      sq_bind_text(&u, 2, letter->id);
      sq_bind_text(&u, 3, payload);
      st = sq_run(&u, NULL, "changing a dead letter", err);
    }
  }
  return sq_end(s, st, err);
}

/* ---- one more ---- */

static enum status is_waiting(struct sq *s, struct span id, bool *waits, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING,
                               "SELECT 1 FROM main.busbridge_outbox WHERE CAST(id AS TEXT) COLLATE "
                               "BINARY = ?1 LIMIT 1",
                               &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, id);
  *waits = sq_row(&u);
  return sq_done(&u, "looking for its id", err);
}

static enum status put(struct sq *s, const struct db_row *row, struct error *err) {
  struct sq_use u;
  bool dated = row->created_at.ptr;
  enum status st = sq_use_made(
      s, SIDE_WRITING,
      dated ? "INSERT INTO main.busbridge_outbox (id, name, key, payload, headers, created_at) "
              "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
            : "INSERT INTO main.busbridge_outbox (id, name, key, payload, headers) "
              "VALUES (?1, ?2, ?3, ?4, ?5)",
      &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, row->id);
  sq_bind_text(&u, 2, row->name);
  sq_bind_text(&u, 3, row->key);
  sq_bind_text(&u, 4, row->payload);
  sq_bind_text(&u, 5, row->headers);
  if (dated) sq_bind_text(&u, 6, row->created_at);
  return sq_run(&u, NULL, "inserting", err);
}

enum status sq_insert(void *impl, const struct db_row *row, int64_t *seq, struct error *err) {
  struct sq *s = impl;
  bool waits = false;
  enum status st = sq_begin(s, SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = is_waiting(s, row->id, &waits, err);
  if (st == ST_OK && waits)
    st = error_set(err, ST_EXISTS, "%.*s is there already", SPAN_ARGS(row->id));
  if (st == ST_OK) st = put(s, row, err);
  if (st == ST_OK) *seq = sqlite3_last_insert_rowid(s->sides[SIDE_WRITING].db);
  return sq_end(s, st, err);
}

/* A number that was never given: one is taken from those of the table, and given back as a gap. */
static enum status take_seq(struct sq *s, int64_t *seq, struct error *err) {
  sqlite3 *db = s->sides[SIDE_WRITING].db;
  struct sq_use u;
  enum status st = sq_exec(db, s->path,
                           "INSERT INTO main.busbridge_outbox (name, key, payload) "
                           "VALUES ('', '', '{}')",
                           "taking a number", err);
  if (st != ST_OK) return st;
  *seq = sqlite3_last_insert_rowid(db);
  st = sq_use_made(s, SIDE_WRITING, "DELETE FROM main.busbridge_outbox WHERE seq = ?1", &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, *seq);
  return sq_run(&u, NULL, "taking a number", err);
}

static enum status is_dead(struct sq *s, struct span id, bool *dead, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING,
                               "SELECT 1 FROM main.busbridge_dead WHERE id = ?1 LIMIT 1", &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, id);
  *dead = sq_row(&u);
  return sq_done(&u, "looking for its id", err);
}

static enum status put_dead(struct sq *s, const struct db_row *row, int64_t seq, int64_t now_us,
                            struct error *err) {
  const struct span texts[] = {row->id,      row->name,       row->key,
                               row->payload, row->headers,    row->created_at,
                               row->reason,  row->last_error, row->topic};
  char created[TIME_TEXT];
  struct sq_use u;
  enum status st = sq_use_made(
      s, SIDE_WRITING,
      "INSERT INTO main.busbridge_dead (seq, id, name, key, payload, headers, created_at, reason, "
      "error, topic, arrived_ms, error_code, attempts, first_failed_us, failed_us, since_us) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
      &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, seq);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) sq_bind_text(&u, (int)i + 2, texts[i]);
  if (!row->created_at.ptr) sq_bind_text(&u, 7, span_of(time_format(now_us, created)));
  sq_bind_int(&u, 11, now_us / 1000);
  sq_bind_int(&u, 12, row->error_code);
  sq_bind_int(&u, 13, row->attempts);
  sq_bind_time(&u, 14, row->first_failed_us);
  sq_bind_time(&u, 15, row->failed_us);
  sq_bind_int(&u, 16, now_us);
  return sq_run(&u, NULL, "inserting a dead letter", err);
}

enum status sq_bury(void *impl, const struct db_row *row, int64_t now_us, int64_t *seq,
                    struct error *err) {
  struct sq *s = impl;
  bool dead = false;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = is_dead(s, row->id, &dead, err);
  if (st == ST_OK && dead)
    st = error_set(err, ST_EXISTS, "a dead letter %.*s is there", SPAN_ARGS(row->id));
  if (st == ST_OK) st = take_seq(s, seq, err);
  if (st == ST_OK) st = put_dead(s, row, *seq, now_us, err);
  return sq_end(s, st, err);
}
