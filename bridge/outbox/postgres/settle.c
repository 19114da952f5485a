/* What became of rows in hand: one statement, whose commit nobody waits for where all of it is in a
 * batch, which says it again.
 * The writing side's thread. A crash leaves all of it done or nothing. */
#include "bridge/outbox/postgres/postgres.h"

/* The columns of a list of changes, each an array. */
struct columns {
  int64_t seqs[STORE_ROWS], fates[STORE_ROWS], attempts[STORE_ROWS], codes[STORE_ROWS],
      failed[STORE_ROWS], now[STORE_ROWS];
  struct span ids[STORE_ROWS], errors[STORE_ROWS], reasons[STORE_ROWS], topics[STORE_ROWS];
  struct buffer kept[10];
};

static void fill(struct columns *c, const struct db_change *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct db_change *one = &list[i];
    c->seqs[i] = one->seq, c->ids[i] = one->id, c->fates[i] = one->fate;
    c->attempts[i] = one->attempts, c->codes[i] = one->error_code;
    c->failed[i] = one->failed_us, c->now[i] = one->now_us;
    c->errors[i] = one->error, c->reasons[i] = one->reason, c->topics[i] = one->topic;
  }
}

/* $1 token, $2 and $3 the batch, $4 and $5 seqs and ids. Only what comes with a batch goes without
 * a flush: the flush of the next batch's list is the next anybody waits for. */
#define MINE_SAYING(what)                                                                          \
  "mine AS MATERIALIZED (SELECT " what " FROM @lane WHERE lane {=} 0 AND token {=} $1~ FOR SHARE)"
#define MINE_UNHURRIED MINE_SAYING("^set_config('synchronous_commit', 'off', true)")
/* What goes without its batch's mark is on the disk before the mark is made: else a crash in
 * between brings it back, and the mark says that it is gone (L10). */
#define MINE_WAITS MINE_SAYING(ON_DISK)
#define DONE                                                                                       \
  ", gone AS (DELETE FROM @outbox o USING ROWS FROM (^unnest($4), ^unnest($5)) AS c (seq, id) "    \
  "WHERE o.seq {=} c.seq AND o.id {=} c.id AND " HELD " RETURNING o.seq, o.id), "
#define CHANGES                                                                                    \
  "c AS MATERIALIZED (SELECT * FROM ROWS FROM (^unnest($4), ^unnest($5), ^unnest($6), "            \
  "^unnest($7), ^unnest($8), ^unnest($9), ^unnest($10), ^unnest($11), ^unnest($12), "              \
  "^unnest($13)) AS t (seq, id, fate, attempts, code, failed, now, error, reason, topic)), "       \
  "gone AS (DELETE FROM @outbox o USING c WHERE c.fate {=} ANY (ARRAY[0, 1, 3]::^int8[]) "         \
  "AND o.seq {=} c.seq AND o.id {=} c.id AND " HELD " RETURNING o.*), "                            \
  "late AS (DELETE FROM @dead d USING c WHERE c.fate {=} 1 AND d.seq {=} c.seq "                   \
  "AND d.id {=} c.id AND NOT EXISTS (SELECT FROM @outbox o WHERE o.seq {=} c.seq "                 \
  "AND o.id {=} c.id) AND " HELD " RETURNING d.seq, d.id), "                                       \
  "noted AS (DELETE FROM @attempt a USING c WHERE c.fate {=} ANY (ARRAY[0, 1, 3]::^int8[]) "       \
  "AND a.seq {=} c.seq AND a.id {=} c.id AND " HELD " RETURNING a.seq, a.id, a.first_failed_us), " \
  "dead AS (INSERT INTO @dead AS d (seq, id, name, key, payload, headers, created_at, "            \
  "arrived_at, slot, reason, error, error_code, topic, attempts, first_failed_us, failed_us, "     \
  "since_us) SELECT g.seq, g.id, g.name, g.key, g.payload, g.headers, g.created_at, "              \
  "g.arrived_at, g.slot, c.reason, c.error, c.code, c.topic, c.attempts, "                         \
  "COALESCE(n.first_failed_us, c.failed), c.failed, c.now FROM gone g JOIN c "                     \
  "ON c.seq {=} g.seq AND c.id {=} g.id AND c.fate {=} 3 LEFT JOIN noted n "                       \
  "ON n.seq {=} g.seq AND n.id {=} g.id ON CONFLICT (seq, id) DO UPDATE SET "                      \
  "reason = EXCLUDED.reason, error = EXCLUDED.error, failed_us = EXCLUDED.failed_us "              \
  "RETURNING 1), "                                                                                 \
  "tried AS (INSERT INTO @attempt AS a (seq, id, attempts, last_error, first_failed_us, "          \
  "failed_us, since_us) SELECT c.seq, c.id, CASE WHEN c.fate {=} 2 THEN c.attempts ELSE 0 END, "   \
  "CASE WHEN c.fate {=} 2 THEN c.error END, CASE WHEN c.fate {=} 2 THEN c.failed END, "            \
  "CASE WHEN c.fate {=} 2 THEN c.failed END, c.now FROM c WHERE c.fate {=} ANY "                   \
  "(ARRAY[2, 4]::^int8[]) AND EXISTS (SELECT FROM @outbox o WHERE o.seq {=} c.seq "                \
  "AND o.id {=} c.id) AND " HELD " ON CONFLICT (seq, id) DO UPDATE SET "                           \
  "attempts = EXCLUDED.attempts, last_error = EXCLUDED.last_error, "                               \
  "first_failed_us = CASE WHEN EXCLUDED.failed_us IS NULL THEN NULL "                              \
  "ELSE COALESCE(a.first_failed_us, EXCLUDED.first_failed_us) END, "                               \
  "failed_us = EXCLUDED.failed_us, since_us = EXCLUDED.since_us RETURNING a.seq, a.id), "
/* A trigger, a rule or a policy may let a row stay without a word, and then it would be published
 * again; or be nowhere, if it is a dead letter: what was there, ours to take and is not gone, or
 * did not arrive, undoes the whole. Row-level security would hide it from that look. */
#define UNDO "(1 {/} ((SELECT ^count(*) FROM gone) {*} 0))"
#define KEPT(outs, which, number, lost)                                                            \
  "kept AS MATERIALIZED (SELECT CASE WHEN NOT " HELD " THEN 1 WHEN " lost " THEN " UNDO            \
  " WHEN (SELECT ^count(*) FROM gone) {<} " number                                                 \
  " AND ^row_security_active('#outbox') THEN " UNDO                                                \
  " WHEN (SELECT ^count(*) FROM gone) {<} " number                                                 \
  " THEN (SELECT 1 {/} (CASE WHEN ^count(*) {>} 0 THEN 0 ELSE 1 END) FROM @outbox o JOIN " outs    \
  " ON o.seq {=} c.seq AND o.id {=} c.id WHERE " which " NOT EXISTS (SELECT FROM gone g "          \
  "WHERE g.seq {=} c.seq AND g.id {=} c.id)) ELSE 1 END AS none), "
#define MARK                                                                                       \
  "marked AS (UPDATE @batch SET settled = true WHERE lane {=} 0 AND n {=} $2 AND digest {=} $3 "   \
  "AND " HELD " RETURNING 1) SELECT " COUNT_MINE ", (SELECT ^count(*) FROM marked), f.seq, f.id, " \
  "f.found FROM (SELECT none FROM kept) AS one LEFT JOIN ("

#define KEPT_DONE                                                                                  \
  KEPT("ROWS FROM (^unnest($4), ^unnest($5)) AS c (seq, id)", "", "^cardinality($4)", "false")
#define THESE "SELECT seq, id, 1 FROM gone) AS f (seq, id, found) ON true"
static const char done[] = "WITH " MINE_WAITS DONE KEPT_DONE MARK THESE;
static const char done_and_closed[] = "WITH " MINE_UNHURRIED DONE KEPT_DONE MARK THESE;
#define REST                                                                                       \
  "SELECT seq, id, 1 FROM gone UNION ALL SELECT seq, id, 2 FROM late "                             \
  "UNION ALL SELECT seq, id, 1 FROM tried) AS f (seq, id, found) ON true"
#define OUT "c.fate {=} ANY (ARRAY[0, 1, 3]::^int8[])"
#define NOT_ARRIVED                                                                                \
  "(SELECT ^count(*) FROM dead) {<} (SELECT ^count(*) FROM gone g JOIN c ON c.seq {=} g.seq "      \
  "AND c.id {=} g.id WHERE c.fate {=} 3)"
#define KEPT_CHANGED KEPT("c", OUT " AND", "(SELECT ^count(*) FROM c WHERE " OUT ")", NOT_ARRIVED)
static const char changed[] = "WITH " MINE_WAITS ", " CHANGES KEPT_CHANGED MARK REST;
static const char changed_for_good[] = "WITH " MINE_DURABLE ", " CHANGES KEPT_CHANGED MARK REST;

static void add_all(struct pg_args *args, struct columns *c, size_t count) {
  pg_add_numbers(args, &c->kept[2], c->fates, count);
  pg_add_numbers(args, &c->kept[3], c->attempts, count);
  pg_add_numbers(args, &c->kept[4], c->codes, count);
  pg_add_numbers(args, &c->kept[5], c->failed, count);
  pg_add_numbers(args, &c->kept[6], c->now, count);
  pg_add_texts(args, &c->kept[7], c->errors, count);
  pg_add_texts(args, &c->kept[8], c->reasons, count);
  pg_add_texts(args, &c->kept[9], c->topics, count);
}

static enum status lists_made(const struct columns *c, struct error *err) {
  for (size_t i = 0; i < sizeof c->kept / sizeof *c->kept; i++)
    if (c->kept[i].failed) return buffer_status(&c->kept[i], err);
  return ST_OK;
}

/* What the answer says of each: it mostly comes in the order of the list. */
static void read_found(const struct pg_result *r, struct db_change *list, size_t count) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) list[i].found = DB_NOWHERE;
  for (int row = 0; row < pg_rows(r); row++) {
    if (pg_is_null(r, row, 2)) continue;
    int64_t seq = pg_number(r, row, 2);
    struct span id = pg_span(r, row, 3);
    for (size_t looked = 0; looked < count; looked++, at = (at + 1) % count)
      if (list[at].seq == seq && span_eq(list[at].id, id)) break;
    if (list[at].seq == seq && span_eq(list[at].id, id))
      list[at].found = pg_number(r, row, 4) == 2 ? DB_WAS_DEAD : DB_WAS_PENDING;
  }
}

static const char *statement(const struct db_change *list, size_t count, bool closes,
                             bool *durable) {
  bool plain = true;
  *durable = false;
  for (size_t i = 0; i < count; i++) {
    plain &= list[i].fate == DB_DONE && !list[i].attempted;
    *durable |= list[i].fate == DB_RETRY || list[i].fate == DB_DEAD || list[i].fate == DB_AFRESH;
  }
  if (plain) return closes ? done_and_closed : done;
  return *durable ? changed_for_good : changed;
}

enum status pg_settle(void *impl, struct db_change *list, size_t count,
                      const struct manifest_name *closes, bool *closed, struct error *err) {
  struct postgres *p = impl;
  struct columns *c = calloc(1, sizeof *c);
  struct pg_answer a = {0};
  bool durable;
  const char *sql = statement(list, count, closes, &durable);
  BUG_ON(count > STORE_ROWS);
  if (!c) return error_set(err, ST_NO_MEMORY, "no memory to settle a batch");
  fill(c, list, count);
  struct pg_args args = pg_owner_args(p);
  pg_add_number(&args, closes ? (int64_t)closes->number : 0);
  pg_add_text(&args, span_of(closes ? closes->digest : ""));
  pg_add_numbers(&args, &c->kept[0], c->seqs, count);
  pg_add_texts(&args, &c->kept[1], c->ids, count);
  if (sql != done && sql != done_and_closed) add_all(&args, c, count);
  enum status st = lists_made(c, err);
  if (st == ST_OK) st = pg_owner_step(p, sql, &args, durable, &a, err);
  if (st == ST_OK) {
    read_found(a.rows, list, count);
    bool there = pg_number(a.rows, 0, 1);
    if (closed) *closed = there;
    if (there) pg_witness(p, closes->number, closes->digest);
  }
  pg_answer_release(&a);
  for (size_t i = 0; i < sizeof c->kept / sizeof *c->kept; i++) buffer_release(&c->kept[i]);
  free(c);
  return st;
}
