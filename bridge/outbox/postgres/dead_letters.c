/* Dead letters go back or away, rows are inserted by ourselves; all of it durable.
 * The writing side's thread. A crash leaves each done or not. */
#include "bridge/outbox/postgres/postgres.h"

struct columns {
  int64_t seqs[STORE_LETTERS], failed[STORE_LETTERS];
  struct span ids[STORE_LETTERS];
  struct buffer kept[3];
};

/* $1 token, $2 seqs, $3 ids, $4 failed, $5 now. A number is taken by a row that waits, or by a
 * letter before it in the list. */
#define FOUND                                                                                      \
  ", c AS MATERIALIZED (SELECT * FROM ROWS FROM (^unnest($2), ^unnest($3), ^unnest($4)) "          \
  "WITH ORDINALITY AS t (seq, id, failed, n)), "                                                   \
  "found AS MATERIALIZED (SELECT c.n, c.seq, c.id, (EXISTS (SELECT FROM @outbox o "                \
  "WHERE o.seq {=} c.seq) OR ^row_number() OVER (PARTITION BY c.seq ORDER BY c.n) {>} 1) "         \
  "AS taken FROM c JOIN @dead d ON d.seq {=} c.seq AND d.id {=} c.id "                             \
  "WHERE c.failed IS NULL OR d.failed_us {=} c.failed), "
#define TOLD                                                                                       \
  " SELECT " COUNT_MINE ", f.n, f.taken FROM (VALUES (1)) AS one (row) "                           \
  "LEFT JOIN found f ON true"

static const char replay[] =
    "WITH " MINE_DURABLE FOUND
    "gone AS (DELETE FROM @dead d USING found f WHERE d.seq {=} f.seq AND d.id {=} f.id "
    "AND NOT f.taken AND " HELD " RETURNING d.*), "
    "back AS (INSERT INTO @outbox (seq, id, name, key, payload, headers, created_at, arrived_at) "
    "OVERRIDING SYSTEM VALUE SELECT seq, id, name, key, payload, headers, created_at, arrived_at "
    "FROM gone), noted AS (INSERT INTO @attempt (seq, id, attempts, since_us) "
    "SELECT seq, id, 0, $5 FROM gone ON CONFLICT (seq, id) DO UPDATE SET attempts = 0, "
    "last_error = NULL, first_failed_us = NULL, failed_us = NULL, since_us = "
    "EXCLUDED.since_us)" TOLD;
static const char purge[] =
    "WITH " MINE_DURABLE FOUND
    "gone AS (DELETE FROM @dead d USING found f WHERE d.seq {=} f.seq AND d.id {=} f.id "
    "AND " HELD ")" TOLD;

static enum status each(struct postgres *p, const char *sql, struct db_letter *list, size_t count,
                        int64_t now_us, struct error *err) {
  struct columns *c = calloc(1, sizeof *c);
  struct pg_answer a = {0};
  BUG_ON(count > STORE_LETTERS);
  if (!c) return error_set(err, ST_NO_MEMORY, "no memory for a list");
  for (size_t i = 0; i < count; i++)
    c->seqs[i] = list[i].seq, c->ids[i] = list[i].id, c->failed[i] = list[i].failed_us;
  struct pg_args args = pg_owner_args(p);
  pg_add_numbers(&args, &c->kept[0], c->seqs, count);
  pg_add_texts(&args, &c->kept[1], c->ids, count);
  pg_add_numbers(&args, &c->kept[2], c->failed, count);
  if (sql == replay) pg_add_number(&args, now_us);
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < 3; i++) st = buffer_status(&c->kept[i], err);
  if (st == ST_OK) st = pg_owner_step(p, sql, &args, true, &a, err);
  for (size_t i = 0; st == ST_OK && i < count; i++) list[i].status = ST_NOT_FOUND;
  for (int row = 0; st == ST_OK && row < pg_rows(a.rows); row++) {
    if (pg_is_null(a.rows, row, 1)) continue;
    bool taken = sql == replay && pg_number(a.rows, row, 2);
    list[pg_number(a.rows, row, 1) - 1].status = taken ? ST_EXISTS : ST_OK;
  }
  pg_answer_release(&a);
  for (size_t i = 0; i < 3; i++) buffer_release(&c->kept[i]);
  free(c);
  return st;
}

enum status pg_replay(void *impl, struct db_letter *list, size_t count, int64_t now_us,
                      struct error *err) {
  return each(impl, replay, list, count, now_us, err);
}

enum status pg_purge(void *impl, struct db_letter *list, size_t count, struct error *err) {
  return each(impl, purge, list, count, 0, err);
}

enum status pg_amend(void *impl, struct db_letter *letter, struct span payload, struct error *err) {
  struct postgres *p = impl;
  struct pg_answer a = {0};
  struct pg_args args = pg_owner_args(p);
  pg_add_number(&args, letter->seq);
  pg_add_text(&args, letter->id);
  pg_add_number_or_null(&args, letter->failed_us);
  pg_add_text(&args, payload);
  enum status st = pg_owner_step(
      p,
      "WITH " MINE_DURABLE
      ", done AS (UPDATE @dead d SET payload = $5::^json WHERE d.seq {=} $2 AND d.id {=} $3 "
      "AND ($4 IS NULL OR d.failed_us {=} $4) AND " HELD " RETURNING 1) "
      "SELECT " COUNT_MINE ", (SELECT ^count(*) FROM done)",
      &args, true, &a, err);
  letter->status = st == ST_OK && pg_number(a.rows, 0, 1) ? ST_OK : ST_NOT_FOUND;
  pg_answer_release(&a);
  return st;
}

/* Its number is one of the table's own, that no row has or will have. */
static const char bury[] =
    "WITH " MINE_DURABLE
    ", done AS (INSERT INTO @dead (seq, id, name, key, payload, headers, created_at, arrived_at, "
    "slot, reason, error, error_code, topic, attempts, first_failed_us, failed_us, since_us) "
    "SELECT ^nextval(^pg_get_serial_sequence('#outbox', 'seq')::^regclass), $2, $3, $4, $5::^json, "
    "$6::^json, COALESCE($7, ^clock_timestamp()), ^clock_timestamp(), "
    "(^hashtextextended($4, 0) {&} 255)::^int2, $8, $9, $10, $11, $12, $13, $14, $15 "
    "WHERE " HELD " AND NOT EXISTS (SELECT FROM @dead WHERE id {=} $2) RETURNING seq) "
    "SELECT " COUNT_MINE ", (SELECT seq FROM done)";

enum status pg_bury(void *impl, const struct db_row *row, int64_t now_us, int64_t *seq,
                    struct error *err) {
  struct postgres *p = impl;
  struct pg_answer a = {0};
  int64_t created_us = TIME_NONE;
  struct pg_args args = pg_owner_args(p);
  if (row->created_at.len && !time_parse(row->created_at, &created_us))
    return error_set(err, ST_INVALID, "created_at is not a time");
  const struct span texts[] = {row->id, row->name, row->key, row->payload, row->headers};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) pg_add_text(&args, texts[i]);
  pg_add_time(&args, created_us);
  pg_add_text(&args, row->reason);
  pg_add_text(&args, row->last_error);
  pg_add_number(&args, row->error_code);
  pg_add_text(&args, row->topic);
  pg_add_number(&args, row->attempts);
  pg_add_number_or_null(&args, row->first_failed_us);
  pg_add_number_or_null(&args, row->failed_us);
  pg_add_number(&args, now_us);
  enum status st = pg_owner_step(p, bury, &args, true, &a, err);
  if (st == ST_OK && pg_is_null(a.rows, 0, 1))
    st = error_set(err, ST_EXISTS, "a dead letter %.*s is there", SPAN_ARGS(row->id));
  else if (st == ST_OK)
    *seq = pg_number(a.rows, 0, 1);
  pg_answer_release(&a);
  return st;
}

enum status pg_insert(void *impl, const struct db_row *row, int64_t *seq, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  int64_t created_us = TIME_NONE;
  if (row->created_at.len && !time_parse(row->created_at, &created_us))
    return error_set(err, ST_INVALID, "created_at is not a time");
  pg_add_text(&args, row->id);
  pg_add_text(&args, row->name);
  pg_add_text(&args, row->key);
  pg_add_text(&args, row->payload);
  pg_add_text(&args, row->headers);
  pg_add_time(&args, created_us);
  enum status st =
      pg_step(impl, SIDE_WRITING,
              "INSERT INTO @outbox (id, name, key, payload, headers, created_at) "
              "SELECT $1, $2, $3, $4::^json, $5::^json, COALESCE($6, ^clock_timestamp()) "
              "WHERE NOT EXISTS (SELECT FROM @outbox WHERE id {=} $1) RETURNING seq, " ON_DISK,
              &args, &a, err);
  if (st != ST_OK) return st;
  if (!pg_rows(a.rows))
    st = error_set(err, ST_EXISTS, "an entry of the id %.*s waits", SPAN_ARGS(row->id));
  else if ((st = pg_durable(&a, err)) == ST_OK)
    *seq = pg_number(a.rows, 0, 0);
  pg_answer_release(&a);
  return st;
}

enum status pg_sync(void *impl, struct error *err) {
  struct pg_answer a;
  enum status st = pg_step(impl, SIDE_WRITING,
                           "UPDATE @lane SET changes = changes {+} 1 WHERE lane {=} 0 "
                           "RETURNING " ON_DISK,
                           NULL, &a, err);
  if (st != ST_OK) return st;
  st = pg_durable(&a, err);
  pg_answer_release(&a);
  return st;
}
