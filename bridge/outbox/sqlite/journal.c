/* The journal's rows.
 * One thread at a time, under a side's lock; a crash leaves each whole, or none. */
#include "bridge/outbox/sqlite/sqlite.h"

void sq_witness(struct sq *s, uint64_t number, const char *digest) {
  if (number < s->witness.number) return;
  s->witness = (struct manifest_name){.number = number};
  snprintf(s->witness.digest, sizeof s->witness.digest, "%s", digest);
}

enum status sq_batch_write(void *impl, const struct db_batch *b, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = sq_use_made(s, SIDE_WRITING,
                   "INSERT INTO main.busbridge_batch (n, digest, before, nonce, made_us, entries) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                   &u, err);
  if (st == ST_OK) {
    sq_bind_int(&u, 1, (int64_t)b->number);
    sq_bind_text(&u, 2, span_of(b->digest));
    sq_bind_text(&u, 3, span_of(b->before));
    sq_bind_text(&u, 4, b->nonce);
    sq_bind_int(&u, 5, clock_wall_us(s->clock));
    sq_bind_blob(&u, 6, b->entries);
    st = sq_run(&u, NULL, "writing a batch", err);
  }
  return sq_end(s, st, err);
}

static enum status run_named(struct sq *s, const char *sql, uint64_t number, const char *digest,
                             int *changes, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING, sql, &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, (int64_t)number);
  sq_bind_text(&u, 2, span_of(digest));
  return sq_run(&u, changes, "ending a batch", err);
}

enum status sq_mark_settled(struct sq *s, uint64_t number, const char *digest, bool *closed,
                            struct error *err) {
  int changes = 0;
  enum status st =
      run_named(s, "UPDATE main.busbridge_batch SET settled = 1 WHERE n = ?1 AND digest = ?2",
                number, digest, &changes, err);
  *closed = changes > 0;
  return st;
}

enum status sq_batch_settle(void *impl, uint64_t number, const char *digest, struct error *err) {
  struct sq *s = impl;
  bool closed = false;
  enum status st = sq_begin(s, SQ_OWNED, err);
  if (st != ST_OK) return st;
  st = sq_end(s, sq_mark_settled(s, number, digest, &closed, err), err);
  if (st == ST_OK && closed) sq_witness(s, number, digest);
  if (st != ST_OK || closed) return st;
  return error_set(err, ST_NOT_FOUND, "batch %llu is gone", (unsigned long long)number);
}

enum status sq_batch_remove(void *impl, uint64_t number, const char *digest, struct error *err) {
  struct sq *s = impl;
  enum status st = sq_begin(s, SQ_OWNED, err);
  if (st != ST_OK) return st;
  st = run_named(s, "DELETE FROM main.busbridge_batch WHERE n = ?1 AND digest = ?2", number, digest,
                 NULL, err);
  st = sq_end(s, st, err);
  bool witness = s->witness.number == number && !strcmp(s->witness.digest, digest);
  if (st == ST_OK && witness) s->witness = (struct manifest_name){0};
  return st;
}

static void take_text(struct sq_use *u, int column, char out[MANIFEST_DIGEST]) {
  snprintf(out, MANIFEST_DIGEST, "%.*s", SPAN_ARGS(sq_text(u, column)));
}

/* What stands where a digest must is told as damage by whoever asks for it. */
static void take_name(struct sq_use *u, struct db_batch *b) {
  b->number = (uint64_t)sqlite3_column_int64(u->stmt, 0);
  take_text(u, 1, b->digest);
  take_text(u, 2, b->before);
  b->settled = sqlite3_column_int(u->stmt, 3);
  b->made_us = sqlite3_column_int64(u->stmt, 4);
}

enum status sq_batch_list(void *impl, bool (*visit)(void *, const struct db_batch *), void *ctx,
                          struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  struct db_batch b = {0};
  bool more = true;
  enum status st =
      sq_use_made(s, SIDE_READING,
                  "SELECT n, digest, before, settled, made_us FROM main.busbridge_batch", &u, err);
  if (st != ST_OK) return st;
  while (more && sq_row(&u)) {
    take_name(&u, &b);
    more = visit(ctx, &b);
  }
  return sq_done(&u, "reading the journal", err);
}

enum status sq_batch_read(void *impl, uint64_t number, const char *digest, struct arena *arena,
                          struct db_batch *out, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_READING,
                               "SELECT n, digest, before, settled, made_us, nonce, entries "
                               "FROM main.busbridge_batch WHERE n = ?1 AND digest = ?2",
                               &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, (int64_t)number);
  sq_bind_text(&u, 2, span_of(digest));
  bool there = sq_row(&u);
  if (there) take_name(&u, out);
  if (there && sq_keep(&u, 5, arena, &out->nonce) && !sq_keep(&u, 6, arena, &out->entries))
    u.rc = SQLITE_NOMEM;
  st = sq_done(&u, "reading the journal", err);
  if (st != ST_OK || there) return st;
  return error_set(err, ST_NOT_FOUND, "batch %llu is gone", (unsigned long long)number);
}
