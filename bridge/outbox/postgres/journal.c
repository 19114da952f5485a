/* Lists of batches, each a row.
 * Written by the thread of the writing side, read by that of the reading side. A crash leaves a
 * batch whole or not. */
#include "bridge/outbox/postgres/postgres.h"

#include <errno.h>

void pg_witness(struct postgres *p, uint64_t number, const char *digest) {
  if (number < p->witness.number) return;
  p->witness = (struct manifest_name){.number = number};
  snprintf(p->witness.digest, sizeof p->witness.digest, "%s", digest);
}

static void add_name(struct pg_args *args, uint64_t number, const char *digest) {
  pg_add_number(args, (int64_t)number);
  pg_add_text(args, span_of(digest));
}

/* The rows are looked at one by one, by their key: whatever the table's figures say, it is never
 * read as a whole. What this commit makes durable has each of them with it, since it came later. */
static const char written[] =
    "WITH " MINE_DURABLE ", lost AS MATERIALIZED (SELECT c.n FROM ROWS FROM (^unnest($7), "
    "^unnest($8)) WITH ORDINALITY AS c (seq, id, n) WHERE (SELECT true FROM @outbox o WHERE "
    "o.seq {=} c.seq AND (c.id IS NULL OR o.id {=} c.id)) IS NULL), "
    "written AS (INSERT INTO @batch (lane, n, digest, before, nonce, entries) "
    "SELECT 0, $2, $3, $4, $5, $6 FROM mine WHERE NOT EXISTS (SELECT FROM lost) "
    "ON CONFLICT (lane, n, digest) DO NOTHING RETURNING 1) "
    "SELECT " COUNT_MINE ", lost.n, EXISTS (SELECT FROM written) OR EXISTS (SELECT FROM @batch b "
    "WHERE b.lane {=} 0 AND b.n {=} $2 AND b.digest {=} $3) "
    "FROM (VALUES (1)) AS one (row) LEFT JOIN lost ON true";

static enum status tell_missing(const struct pg_result *r, const struct db_batch *b,
                                struct error *err) {
  size_t count = 0;
  for (int i = 0; i < pg_rows(r); i++) {
    if (pg_is_null(r, i, 1)) continue;
    b->rows[pg_number(r, i, 1) - 1].missing = true;
    count++;
  }
  if (!count) return ST_OK;
  return error_set(err, ST_NOT_FOUND,
                   "%zu rows that were read are not there any more: the server lost them with a "
                   "crash, or somebody deleted them",
                   count);
}

/* The rows of a batch, as arrays that the statement takes. */
struct named {
  int64_t *seqs;
  struct span *ids;
  struct buffer kept[2];
};

static enum status add_rows(struct pg_args *args, const struct db_batch *b, struct named *n,
                            struct error *err) {
  n->seqs = calloc(b->row_count + 1, sizeof *n->seqs);
  n->ids = calloc(b->row_count + 1, sizeof *n->ids);
  if (!n->seqs || !n->ids) return error_set(err, ST_NO_MEMORY, "no memory for the rows of a batch");
  for (size_t i = 0; i < b->row_count; i++) n->seqs[i] = b->rows[i].seq, n->ids[i] = b->rows[i].id;
  pg_add_numbers(args, &n->kept[0], n->seqs, b->row_count);
  pg_add_texts(args, &n->kept[1], n->ids, b->row_count);
  enum status st = buffer_status(&n->kept[0], err);
  return st == ST_OK ? buffer_status(&n->kept[1], err) : st;
}

static void release_rows(struct named *n) {
  for (size_t i = 0; i < 2; i++) buffer_release(&n->kept[i]);
  free(n->seqs);
  free(n->ids);
}

/* A trigger swallowed it: nothing may be told to Kafka. */
static enum status not_kept(const struct postgres *p, struct error *err) {
  error_set(err, ST_IO,
            "the table batch of the outbox %s does not keep what is written into it; drop the "
            "triggers on it",
            p->address.shown);
  if (err) err->sys = EIO;
  return ST_IO;
}

enum status pg_batch_write(void *impl, const struct db_batch *b, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  struct pg_answer a = {0};
  struct named named = {0};
  add_name(&args, b->number, b->digest);
  pg_add_text(&args, span_of(b->before));
  pg_add_bytes(&args, b->nonce.ptr ? b->nonce : SPAN(""));
  pg_add_bytes(&args, b->entries.ptr ? b->entries : SPAN(""));
  enum status st = add_rows(&args, b, &named, err);
  if (st == ST_OK) st = pg_owner_step(p, written, &args, true, &a, err);
  if (st == ST_OK) st = tell_missing(a.rows, b, err);
  if (st == ST_OK && !pg_number(a.rows, 0, 2)) st = not_kept(p, err);
  pg_answer_release(&a);
  release_rows(&named);
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
