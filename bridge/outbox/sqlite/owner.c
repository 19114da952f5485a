/* Whose the outbox is: its id, the claim.
 * One thread at a time, under a side's lock; a crash frees the lock beside the database, and the
 * token stays until the next claim. */
#include "bridge/outbox/sqlite/sqlite.h"

static enum status get_state(struct sq *s, enum db_side side, const char *name, char *out,
                             size_t size, struct error *err) {
  struct sq_use u;
  *out = '\0';
  enum status st =
      sq_use_made(s, side, "SELECT value FROM main.busbridge_state WHERE name = ?1", &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, span_of(name));
  if (sq_row(&u)) snprintf(out, size, "%.*s", SPAN_ARGS(sq_text(&u, 0)));
  return sq_done(&u, "reading the state", err);
}

/* keep: what is there stays. */
static enum status put_state(struct sq *s, const char *name, const char *value, bool keep,
                             struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(
      s, SIDE_WRITING,
      keep ? "INSERT OR IGNORE INTO main.busbridge_state (name, value) VALUES (?1, ?2)"
           : "INSERT OR REPLACE INTO main.busbridge_state (name, value) VALUES (?1, ?2)",
      &u, err);
  if (st != ST_OK) return st;
  sq_bind_text(&u, 1, span_of(name));
  sq_bind_text(&u, 2, span_of(value));
  return sq_run(&u, NULL, "writing the state", err);
}

static enum status put_alone(struct sq *s, unsigned needs, const char *name, const char *value,
                             bool keep, struct error *err) {
  enum status st = sq_begin(s, needs, err);
  return st == ST_OK ? sq_end(s, put_state(s, name, value, keep, err), err) : st;
}

enum status sq_identify(void *impl, struct db_identity *out, struct error *err) {
  struct sq *s = impl;
  *out = (struct db_identity){.there = s->there};
  return s->there ? get_state(s, SIDE_READING, "id", out->id, sizeof out->id, err) : ST_OK;
}

enum status sq_make_id(void *impl, const char *id, struct error *err) {
  return put_alone(impl, SQ_DURABLE, "id", id, true, err);
}

enum status sq_renew_id(void *impl, const char *id, struct error *err) {
  return put_alone(impl, SQ_OWNED | SQ_DURABLE, "id", id, false, err);
}

/* Notes of rows that somebody else took out say nothing any more. */
static enum status drop_orphans(struct sq *s, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING,
                               "DELETE FROM main.busbridge_attempt WHERE NOT EXISTS (SELECT 1 FROM "
                               "main.busbridge_outbox o WHERE o.seq = busbridge_attempt.seq AND "
                               "CAST(o.id AS TEXT) COLLATE BINARY = busbridge_attempt.id)",
                               &u, err);
  return st == ST_OK ? sq_run(&u, NULL, "owning the outbox", err) : st;
}

static enum status take_over(struct sq *s, struct error *err) {
  char token[37];
  unsigned version;
  uuid_make(s->clock, token);
  enum status st = sq_begin(s, SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = sq_version(s->sides[SIDE_WRITING].db, s->path, &version, err);
  if (st == ST_OK && version != SQLITE_KNOWN)
    st = error_set(err, ST_INVALID, "the outbox in %s is of version %u by now, not %d", s->path,
                   version, SQLITE_KNOWN);
  if (st == ST_OK) st = put_state(s, "owner", token, false, err);
  if (st == ST_OK) st = drop_orphans(s, err);
  st = sq_end(s, st, err);
  if (st == ST_OK) memcpy(s->token, token, sizeof token);
  s->witness = (struct manifest_name){0};
  return st;
}

enum status sq_claim(void *impl, struct error *err) {
  struct sq *s = impl;
  enum status st = sq_lock(s, err);
  if (st != ST_OK) return st;
  st = take_over(s, err);
  if (st != ST_OK) sq_unlock(s);
  return st;
}

enum status sq_renew(void *impl, struct error *err) {
  struct sq *s = impl;
  char owner[40];
  enum status st = sq_lock_check(s, err);
  if (st == ST_OK) st = get_state(s, SIDE_WRITING, "owner", owner, sizeof owner, err);
  if (st == ST_OK && strcmp(owner, s->token) == 0) return sq_same(s, err);
  if (st != ST_OK) return st;
  return error_set(err, ST_BUSY, "the outbox in %s is not owned by this worker any more", s->path);
}

void sq_release(void *impl) {
  sq_unlock(impl);
}
