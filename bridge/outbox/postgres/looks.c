/* Small looks at an outbox: who it is, whether something came, how much there is.
 * Any thread that the steps allow; a crash leaves nothing. */
#include "bridge/outbox/postgres/postgres.h"

#include "bridge/base/text/words.h"

#define HIDES "^row_security_active('#outbox')"

enum status pg_all_seen(bool hides, struct error *err) {
  if (!hides) return ST_OK;
  return error_set(err, ST_INVALID,
                   "row-level security of the table outbox would hide rows from this role; ALTER "
                   "TABLE ... DISABLE ROW LEVEL SECURITY, or ALTER ROLE ... BYPASSRLS");
}

static enum status check_migration(const struct postgres *p, struct span is, struct error *err) {
  uint64_t number;
  if (!number_parse(is, 1000000, &number))
    return error_set(err, ST_INVALID,
                     "the tables of the outbox %s are not ours: state has no "
                     "migration",
                     p->address.shown);
  if (number == PG_MIGRATION) return ST_OK;
  return error_set(
      err, ST_INVALID,
      number > PG_MIGRATION
          ? "the tables of the outbox %s were made by a newer release; install that one"
          : "the tables of the outbox %s are older than this release; run busbridge "
            "outbox migrate",
      p->address.shown);
}

enum status pg_identify(void *impl, struct db_identity *out, struct error *err) {
  struct postgres *p = impl;
  struct pg_answer a;
  struct error why;
  *out = (struct db_identity){0};
  enum status st = pg_step(p, SIDE_READING,
                           "SELECT (SELECT value FROM @state WHERE name {=} 'migration'), "
                           "(SELECT value FROM @state WHERE name {=} 'id'), " HIDES,
                           NULL, &a, &why);
  if (st != ST_OK && why.cause == PG_NOT_MIGRATED) return ST_OK; /* nothing is there */
  if (st != ST_OK && err) *err = why;
  if (st != ST_OK) return st;
  st = check_migration(p, pg_span(a.rows, 0, 0), err);
  if (st == ST_OK) st = pg_all_seen(pg_number(a.rows, 0, 2), err);
  out->there = st == ST_OK;
  if (st == ST_OK) snprintf(out->id, sizeof out->id, "%.*s", SPAN_ARGS(pg_span(a.rows, 0, 1)));
  pg_answer_release(&a);
  return st;
}

/* Whether rows are hidden comes with each row, and with none. */
enum status pg_sweep(void *impl, int64_t from, int64_t upto, int64_t *seqs, size_t most,
                     size_t *count, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  *count = 0;
  pg_add_number(&args, from);
  pg_add_number(&args, upto);
  pg_add_number(&args, (int64_t)most);
  enum status st =
      pg_step(impl, SIDE_READING,
              "SELECT " HIDES ", o.seq FROM (VALUES (1)) AS one (row) LEFT JOIN (SELECT seq FROM "
              "@outbox WHERE seq {>} $1 AND seq {<=} $2 ORDER BY seq LIMIT $3) AS o ON true "
              "ORDER BY o.seq",
              &args, &a, err);
  if (st != ST_OK) return st;
  st = pg_all_seen(pg_number(a.rows, 0, 0), err);
  for (int i = 0; st == ST_OK && i < pg_rows(a.rows); i++)
    if (!pg_is_null(a.rows, i, 1)) seqs[(*count)++] = pg_number(a.rows, i, 1);
  pg_answer_release(&a);
  return st;
}

enum status pg_arrived(void *impl, int64_t behind, bool *yes, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  pg_add_number(&args, behind);
  enum status st =
      pg_step(impl, SIDE_READING, "SELECT EXISTS (SELECT FROM @outbox WHERE seq {>} $1), " HIDES,
              &args, &a, err);
  if (st != ST_OK) return st;
  *yes = pg_number(a.rows, 0, 0);
  st = pg_all_seen(pg_number(a.rows, 0, 1), err);
  pg_answer_release(&a);
  return st;
}

enum status pg_count(void *impl, enum db_side side, unsigned what, struct db_figures *out,
                     struct error *err) {
  struct pg_args args = {0};
  struct postgres *p = impl;
  struct pg_answer a;
  pg_add_bool(&args, what & DB_COUNT_PENDING);
  pg_add_bool(&args, what & DB_COUNT_DEAD);
  pg_add_bool(&args, what & DB_OLDEST);
  enum status st =
      pg_step(impl, side,
              "SELECT CASE WHEN $1 THEN (SELECT ^count(*) FROM @outbox) END, "
              "CASE WHEN $1 THEN (SELECT ^max(seq) FROM @outbox) END, "
              "CASE WHEN $2 THEN (SELECT ^count(*) FROM @dead) END, "
              "CASE WHEN $3 THEN (SELECT arrived_at FROM @outbox ORDER BY seq LIMIT 1) END, " HIDES
              ", CASE WHEN $3 THEN (SELECT n_dead_tup FROM ^pg_stat_user_tables WHERE relid {=} "
              "'#outbox'::^regclass) END",
              &args, &a, err);
  if (st != ST_OK) return st;
  *out = (struct db_figures){.pending = (uint64_t)pg_number(a.rows, 0, 0),
                             .last = pg_number(a.rows, 0, 1),
                             .dead = (uint64_t)pg_number(a.rows, 0, 2),
                             .oldest_us = pg_time_us(a.rows, 0, 3)};
  st = pg_all_seen(pg_number(a.rows, 0, 4), err);
  if (!pg_is_null(a.rows, 0, 5)) atomic_store(&p->dead_rows, pg_number(a.rows, 0, 5));
  pg_answer_release(&a);
  return st;
}

enum status pg_writable(void *impl, struct error *err) {
  const struct postgres *p = impl;
  struct pg_answer a;
  enum status st = pg_step(impl, SIDE_READING,
                           "SELECT ^has_table_privilege('#outbox', 'SELECT') "
                           "AND ^has_table_privilege('#outbox', 'INSERT') "
                           "AND ^has_table_privilege('#outbox', 'DELETE') "
                           "AND ^has_table_privilege('#lane', 'UPDATE') "
                           "AND ^has_table_privilege('#batch', 'INSERT') "
                           "AND ^has_table_privilege('#dead', 'INSERT')",
                           NULL, &a, err);
  if (st != ST_OK) return st;
  if (!pg_number(a.rows, 0, 0))
    st = error_set(err, ST_DENIED, "the role may not change the outbox %s; %s", p->address.shown,
                   pg_fault_remedy(PG_NO_RIGHT));
  pg_answer_release(&a);
  return st;
}

void pg_vitals(void *impl, struct store_vitals *out) {
  struct postgres *p = impl;
  out->served = true;
  out->connected = pg_connected(p->sides[SIDE_READING]) && pg_connected(p->sides[SIDE_WRITING]);
  for (unsigned side = 0; side < sizeof p->sides / sizeof *p->sides; side++)
    out->connects += pg_connections(p->sides[side]);
  out->dead_rows = atomic_load(&p->dead_rows);
}

void pg_space(void *impl, struct store_space *out) {
  (void)impl;
  *out = (struct store_space){.entries = -1}; /* the server tells nobody but its superuser */
}
