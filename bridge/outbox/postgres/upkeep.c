/* What else a doctor is told of an outbox in PostgreSQL: which rights the role has, who sees which
 * rows, what the server is, what grows there and who keeps it from being cleaned.
 * Any thread that the steps allow; a crash leaves nothing. */
#include "bridge/outbox/postgres/postgres.h"

#include <libpq-fe.h>

enum {
  DEAD_MOST = 100000,            /* rows that vacuum has yet to take */
  SIZE_MOST = 256 * 1024 * 1024, /* bytes of a table that is nearly empty */
  LIVE_LEAST = 10000,            /* rows: a table with fewer is */
  VERSION_LEAST = 13
};

static void doubt(struct examined *out, const char *next) {
  out->verdict = EXAMINED_DOUBTFUL;
  if (out->next.len) buffer_add_z(&out->next, ". ");
  buffer_add_z(&out->next, next);
}

/* ---- rights ---- */

static const char rights_sql[] =
    "SELECT (SELECT ^string_agg(w.r {||} ' on ' {||} w.t, ', ') FROM (VALUES "
    "('outbox', 'SELECT'), ('outbox', 'DELETE'), ('outbox', 'INSERT'), ('lane', 'SELECT'), "
    "('lane', 'UPDATE'), ('batch', 'SELECT'), ('batch', 'INSERT'), ('batch', 'UPDATE'), "
    "('batch', 'DELETE'), ('attempt', 'SELECT'), ('attempt', 'INSERT'), ('attempt', 'UPDATE'), "
    "('attempt', 'DELETE'), ('dead', 'SELECT'), ('dead', 'INSERT'), ('dead', 'DELETE'), "
    "('text', 'SELECT'), ('text', 'INSERT'), ('text', 'UPDATE'), ('text', 'DELETE'), "
    "('due', 'SELECT'), ('due', 'INSERT'), ('due', 'DELETE'), ('state', 'SELECT'), "
    "('state', 'INSERT'), ('state', 'UPDATE')) AS w (t, r) "
    "WHERE NOT ^has_table_privilege('#' {||} w.t, w.r)), "
    "r.rolsuper, r.rolcreaterole, r.rolreplication, ^has_table_privilege('#outbox', 'UPDATE'), "
    "(SELECT ^count(*) FROM ^pg_class AS c WHERE c.relkind {=} 'r' AND NOT ^starts_with("
    "c.relnamespace::^regnamespace::^text, 'pg_') "
    "AND c.relnamespace {<>} (SELECT o.relnamespace FROM ^pg_class AS o WHERE o.oid {=} "
    "'#outbox'::^regclass) AND ^has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE')), "
    "r.rolname::^text FROM ^pg_roles AS r WHERE r.rolname {=} current_user";

static void judge_rights(const struct pg_result *r, struct examined *out) {
  struct span missing = pg_span(r, 0, 0);
  int64_t others = pg_number(r, 0, 5);
  bool super = pg_number(r, 0, 1);
  if (missing.len) {
    out->verdict = EXAMINED_FAILED;
    buffer_printf(&out->text, "the role %.*s lacks %.*s", SPAN_ARGS(pg_span(r, 0, 6)),
                  SPAN_ARGS(missing));
    buffer_add_z(&out->next, pg_fault_remedy(PG_NO_RIGHT));
    return;
  }
  buffer_printf(&out->text, "the role %.*s may do all that a relay does",
                SPAN_ARGS(pg_span(r, 0, 6)));
  if (super) {
    buffer_add_z(&out->text, "; it is a superuser");
  } else {
    if (pg_number(r, 0, 2)) buffer_add_z(&out->text, "; it may make roles");
    if (pg_number(r, 0, 3)) buffer_add_z(&out->text, "; it may replicate the server");
    if (pg_number(r, 0, 4)) buffer_add_z(&out->text, "; it may update rows of the application");
    if (others)
      buffer_printf(&out->text, "; it may write %lld tables of others", (long long)others);
  }
  if (super || pg_number(r, 0, 2) || pg_number(r, 0, 3) || pg_number(r, 0, 4) || others)
    doubt(out, "Give the relay a role of its own with no other rights: "
               "schemas/sql/postgres/roles.sql makes it");
}

static const char hidden_sql[] = "SELECT ^row_security_active('#outbox'), "
                                 "(SELECT relrowsecurity FROM ^pg_class WHERE oid {=} "
                                 "'#outbox'::^regclass)";

static void judge_hidden(const struct pg_result *r, struct examined *out) {
  struct error err = {0};
  if (pg_all_seen(pg_number(r, 0, 0), &err) != ST_OK) {
    out->verdict = EXAMINED_FAILED;
    buffer_add_z(&out->text, "row-level security would hide rows of the table outbox");
    buffer_add_z(&out->next, err.text);
  } else {
    buffer_add_z(&out->text, pg_number(r, 0, 1)
                                 ? "row-level security is on, and this role sees all rows"
                                 : "the table outbox has no row-level security");
  }
}

/* ---- the server ---- */

static const char server_sql[] =
    "SELECT CASE WHEN ^pg_is_in_recovery() THEN NULL ELSE "
    "^substr(^pg_walfile_name(^pg_current_wal_lsn()), 1, 8) END, "
    "^current_setting('autovacuum') {=} 'on', ^current_setting('synchronous_standby_names'), "
    "^current_setting('server_version_num')::^int4";

static void judge_server(const struct pg_result *r, struct examined *out) {
  int version = (int)pg_number(r, 0, 3) / 10000, client = PQlibVersion() / 10000;
  struct span timeline = pg_span(r, 0, 0), standbys = pg_span(r, 0, 2);
  buffer_printf(&out->text, "PostgreSQL %d, libpq %d", version, client);
  if (timeline.len) buffer_printf(&out->text, ", timeline %.*s", SPAN_ARGS(timeline));
  if (standbys.len) buffer_printf(&out->text, ", waits for the standbys %.*s", SPAN_ARGS(standbys));
  if (version < VERSION_LEAST)
    doubt(out, "Upgrade the server: PostgreSQL 13 is the oldest that has all that is used");
  else if (version != 15 && version != 17)
    doubt(out, "PostgreSQL 15 and 17 are tested, this one is not: try it before production");
  if (!pg_number(r, 0, 1)) {
    buffer_add_z(&out->text, "; autovacuum is off");
    doubt(out, "Set autovacuum to on: rows that are settled stay in the table until it has run");
  }
}

/* ---- what keeps dead rows alive ---- */

static const char holders_sql[] =
    "SELECT h.what, h.since, ^pg_has_role('pg_read_all_stats', 'USAGE') FROM (VALUES (1)) AS one "
    "(row) LEFT JOIN (SELECT 'a transaction of ' {||} a.usename::^text {||} ' (pid ' {||} "
    "a.pid::^text {||} ')' AS what, a.xact_start AS since FROM ^pg_stat_activity AS a "
    "WHERE a.backend_xmin IS NOT NULL AND a.datname {=} ^current_database() "
    "AND a.backend_type {=} 'client backend' "
    "UNION ALL SELECT 'the prepared transaction ' {||} p.gid, p.prepared FROM "
    "^pg_prepared_xacts AS p WHERE p.database {=} ^current_database() "
    "UNION ALL SELECT 'the replication slot ' {||} s.slot_name::^text, '-infinity' FROM "
    "^pg_replication_slots AS s WHERE s.xmin IS NOT NULL AND NOT s.active) AS h "
    "ON h.since {<} (^clock_timestamp() {-} '5 minutes'::^interval) ORDER BY h.since LIMIT 1";

static void judge_holders(const struct pg_result *r, struct examined *out) {
  struct span what = pg_span(r, 0, 0);
  int64_t since_us = pg_time_us(r, 0, 1);
  char since[TIME_TEXT];
  if (what.len) {
    buffer_printf(&out->text, "%.*s", SPAN_ARGS(what));
    if (since_us != TIME_NONE)
      buffer_printf(&out->text, " has been open since %.19s UTC", time_format(since_us, since));
    doubt(out, "As long as it stays no settled row is taken out of the table, and each look at it "
               "takes longer: end it (pg_terminate_backend, ROLLBACK PREPARED, "
               "pg_drop_replication_slot), and see why it stayed open");
  } else if (!pg_number(r, 0, 2)) {
    buffer_add_z(&out->text, "no prepared transaction and no slot is old; this role may not see "
                             "how old the transactions of others are");
    out->verdict = EXAMINED_NOT;
    buffer_add_z(&out->next, "GRANT pg_read_all_stats TO it, or ask as a superuser");
  } else {
    buffer_add_z(&out->text, "no transaction, prepared one or slot is older than 5 minutes");
  }
}

static const char dead_sql[] =
    "SELECT n_live_tup, n_dead_tup, ^pg_table_size(relid), GREATEST(last_vacuum, last_autovacuum) "
    "FROM ^pg_stat_user_tables "
    "WHERE relid {=} '#outbox'::^regclass";

static void judge_dead(const struct pg_result *r, struct examined *out) {
  int64_t live = pg_number(r, 0, 0), dead = pg_number(r, 0, 1), size = pg_number(r, 0, 2);
  int64_t vacuum_us = pg_time_us(r, 0, 3);
  char at[TIME_TEXT];
  buffer_printf(&out->text, "the table outbox has about %lld rows, %lld dead ones and %lld MB",
                (long long)live, (long long)dead, (long long)size / 1000000);
  if (vacuum_us == TIME_NONE)
    buffer_add_z(&out->text, "; it was never vacuumed");
  else
    buffer_printf(&out->text, "; vacuumed at %.19s UTC", time_format(vacuum_us, at));
  if (dead > DEAD_MOST && dead > live)
    doubt(out, "VACUUM it, and see what keeps autovacuum from doing so (old transactions)");
  else if (size > SIZE_MOST && live < LIVE_LEAST)
    doubt(out, "It is swollen: VACUUM FULL gives the room back, while application and worker stand "
               "still");
}

/* ---- the order ---- */

static const char sequence_sql[] = "SELECT seqcache FROM ^pg_sequence WHERE seqrelid {=} "
                                   "^pg_get_serial_sequence('#outbox', 'seq')::^regclass";

static void judge_sequence(const struct pg_result *r, struct examined *out) {
  int64_t cache = pg_number(r, 0, 0);
  if (cache <= 1) {
    buffer_add_z(&out->text, "its numbers are given one by one");
    return;
  }
  buffer_printf(&out->text,
                "each connection takes %lld numbers at once, so a later row may have a lower one "
                "and overtake",
                (long long)cache);
  out->verdict = EXAMINED_FAILED;
  buffer_add_z(&out->next, "ALTER TABLE ... ALTER COLUMN seq SET CACHE 1");
}

/* ---- */

static const struct {
  const char *check, *sql;
  void (*judge)(const struct pg_result *r, struct examined *out);
} looks[] = {{"rights", rights_sql, judge_rights}, {"row security", hidden_sql, judge_hidden},
             {"server", server_sql, judge_server}, {"old transactions", holders_sql, judge_holders},
             {"dead rows", dead_sql, judge_dead},  {"sequence", sequence_sql, judge_sequence}};

void pg_examine_further(struct postgres *p, unsigned which, struct examined *out) {
  struct pg_answer a = {0};
  struct error err = {0};
  if (which >= sizeof looks / sizeof *looks) return;
  out->check = looks[which].check;
  enum status st = pg_step(p, SIDE_READING, looks[which].sql, NULL, &a, &err);
  if (st == ST_OK && pg_rows(a.rows)) {
    looks[which].judge(a.rows, out);
  } else { /* what keeps the outbox from being used is another check's to say */
    out->verdict = EXAMINED_NOT;
    buffer_printf(&out->text, "not looked at: %s",
                  st == ST_OK ? "the server tells nothing" : err.text);
  }
  pg_answer_release(&a);
}
