/* Lists of batches, each a row.
 * Written by the thread of the writing side, read by that of the reading side. A crash leaves a
 * batch whole or not. */
#include "bridge/outbox/postgres/postgres.h"

void pg_witness(struct postgres *p, uint64_t number, const char *digest) {
  if (number < p->witness.number) return;
  p->witness = (struct manifest_name){.number = number};
  snprintf(p->witness.digest, sizeof p->witness.digest, "%s", digest);
}

static void add_name(struct pg_args *args, uint64_t number, const char *digest) {
  pg_add_number(args, (int64_t)number);
  pg_add_text(args, span_of(digest));
}

enum status pg_batch_write(void *impl, const struct db_batch *b, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  struct pg_answer a;
  add_name(&args, b->number, b->digest);
  pg_add_text(&args, span_of(b->before));
  pg_add_bytes(&args, b->nonce.ptr ? b->nonce : SPAN(""));
  pg_add_bytes(&args, b->entries.ptr ? b->entries : SPAN(""));
  enum status st = pg_owner_step(
      p,
      "WITH " MINE_DURABLE ", "
      "written AS (INSERT INTO @batch (lane, n, digest, before, nonce, entries) "
      "SELECT 0, $2, $3, $4, $5, $6 FROM mine ON CONFLICT (lane, n, digest) DO NOTHING) "
      "SELECT " COUNT_MINE,
      &args, true, &a, err);
  if (st == ST_OK) pg_answer_release(&a);
  return st;
}

enum status pg_batch_settle(void *impl, uint64_t number, const char *digest, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  struct pg_answer a;
  add_name(&args, number, digest);
  enum status st =
      pg_owner_step(p,
                    "WITH " MINE ", marked AS (UPDATE @batch SET settled = true WHERE lane {=} 0 "
                    "AND n {=} $2 AND digest {=} $3 AND " HELD " RETURNING 1) SELECT " COUNT_MINE
                    ", (SELECT ^count(*) FROM marked)",
                    &args, false, &a, err);
  if (st != ST_OK) return st;
  if (!pg_number(a.rows, 0, 1))
    st = error_set(err, ST_NOT_FOUND, "batch %llu is gone", (unsigned long long)number);
  else
    pg_witness(p, number, digest);
  pg_answer_release(&a);
  return st;
}

enum status pg_batch_remove(void *impl, uint64_t number, const char *digest, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  struct pg_answer a;
  bool witness = p->witness.number == number && !strcmp(p->witness.digest, digest);
  if (witness) p->witness = (struct manifest_name){0}; /* before: it may be asked for twice */
  add_name(&args, number, digest);
  enum status st = pg_owner_step(p,
                                 "WITH " MINE ", removed AS (DELETE FROM @batch WHERE lane {=} 0 "
                                 "AND n {=} $2 AND digest {=} $3 AND " HELD ") SELECT " COUNT_MINE,
                                 &args, false, &a, err);
  if (st == ST_OK) pg_answer_release(&a);
  return st;
}

/* ---- reading ---- */

static void copy_digest(char out[MANIFEST_DIGEST], struct span s) {
  snprintf(out, MANIFEST_DIGEST, "%.*s", SPAN_ARGS(s));
}

static void read_name(const struct pg_result *r, int row, struct db_batch *b) {
  *b = (struct db_batch){.number = (uint64_t)pg_number(r, row, 0),
                         .settled = pg_number(r, row, 2),
                         .made_us = pg_time_us(r, row, 3)};
  copy_digest(b->digest, pg_span(r, row, 1));
}

enum status pg_batch_list(void *impl, bool (*visit)(void *ctx, const struct db_batch *b), void *ctx,
                          struct error *err) {
  struct pg_answer a;
  enum status st = pg_step(
      impl, SIDE_READING,
      "SELECT n, digest, settled, made_at FROM @batch WHERE lane {=} 0 ORDER BY n", NULL, &a, err);
  if (st != ST_OK) return st;
  bool more = true;
  for (int i = 0; more && i < pg_rows(a.rows); i++) {
    struct db_batch b;
    read_name(a.rows, i, &b);
    more = visit(ctx, &b);
  }
  pg_answer_release(&a);
  return ST_OK;
}

enum status pg_batch_read(void *impl, uint64_t number, const char *digest, struct arena *arena,
                          struct db_batch *out, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  add_name(&args, number, digest);
  enum status st = pg_step(impl, SIDE_READING,
                           "SELECT n, digest, settled, made_at, before, nonce, entries FROM @batch "
                           "WHERE lane {=} 0 AND n {=} $1 AND digest {=} $2",
                           &args, &a, err);
  if (st != ST_OK) return st;
  if (!pg_rows(a.rows)) {
    st = error_set(err, ST_NOT_FOUND, "batch %llu is gone", (unsigned long long)number);
  } else {
    struct span nonce = pg_span(a.rows, 0, 5), entries = pg_span(a.rows, 0, 6);
    read_name(a.rows, 0, out);
    copy_digest(out->before, pg_span(a.rows, 0, 4));
    out->nonce = arena_span(arena, nonce);
    out->entries = arena_span(arena, entries);
    if ((nonce.len && !out->nonce.ptr) || (entries.len && !out->entries.ptr))
      st = error_set(err, ST_NO_MEMORY, "no memory for a batch");
  }
  pg_answer_release(&a);
  return st;
}
