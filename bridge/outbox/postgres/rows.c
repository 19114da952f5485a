/* Rows of the application and dead letters, a page at a time: lengths are looked at by the server,
 * so that no more comes than was asked for.
 * The reading side's thread. A crash leaves nothing. */
#include "bridge/outbox/postgres/postgres.h"

/* $1 after, $2 seq, $3 id, $4 begins, $5 since, $6 until, $7 rows and one, $8 bytes, $9 body,
 * $10 after_id, $11 gaps. */
#define CHOSEN                                                                                     \
  " AND ($2 {=} 0 OR r.seq {=} $2) AND ($3 IS NULL OR CASE WHEN $4 THEN ^starts_with(r.id, $3) "   \
  "ELSE r.id {=} $3 END) AND ($5 IS NULL OR r.arrived_at {>=} $5) "                                \
  "AND ($6 IS NULL OR r.arrived_at {<=} $6) "
/* What is stored is looked at first, which may be smaller than what it stands for, and costs
 * nothing; then how long the texts are; then come the texts. */
/* The end of a snapshot is behind the last transaction that has ended, not behind the last one that
 * runs: that one is found by the lock that each holds on itself. Its number has 32 bits. */
#define XID "l.transactionid::^text::^int8"
#define LOW "(x.last {&} 4294967295)"
#define WHOLE_XID                                                                                  \
  "(x.last {-} " LOW ") {+} " XID " {+} (CASE WHEN (" XID " {+} 2147483648) {<} " LOW              \
  " THEN 4294967296 WHEN " XID " {>} (" LOW " {+} 2147483648) THEN -4294967296 ELSE 0 END)"
#define PAGE                                                                                       \
  ", stored AS (SELECT c.*, ^sum(^pg_column_size(payload) {+} ^pg_column_size(name)) OVER "        \
  "(ORDER BY seq, id COLLATE ^\"C\" ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) {-} "        \
  "^pg_column_size(payload) {-} ^pg_column_size(name) AS ahead, ^count(*) OVER () AS total "       \
  "FROM c), "                                                                                      \
  "sized AS (SELECT s.*, ^octet_length(payload::^text)::^int8 AS body, "                           \
  "(^octet_length(id) {+} ^octet_length(name) {+} ^octet_length(key) {+} 32 {+} "                  \
  "^octet_length(payload::^text) {+} COALESCE(^octet_length(headers::^text), 0))::^int8 AS size "  \
  "FROM stored s WHERE s.ahead {<} $8), "                                                          \
  "page AS (SELECT z.*, ^sum(z.size) OVER (ORDER BY seq, id COLLATE ^\"C\" ROWS BETWEEN "          \
  "UNBOUNDED PRECEDING AND CURRENT ROW) {-} z.size AS before FROM sized z) "                       \
  "SELECT seq, id, CASE WHEN size {<=} $9 THEN name ELSE ^substr(name, 1, 256) END, "              \
  "CASE WHEN size {<=} $9 THEN key ELSE ^substr(key, 1, 256) END, created_at, arrived_at, "        \
  "CASE WHEN size {<=} $9 THEN payload::^text END, "                                               \
  "CASE WHEN size {<=} $9 THEN headers::^text END, size, body, size {>} $9, total, noted, "        \
  "attempts, error, first_failed_us, failed_us, since_us, reason, topic, code, "                   \
  "(SELECT ^pg_snapshot_xmin(^pg_current_snapshot())::^text::^int8), "                             \
  "(SELECT GREATEST(x.last, (SELECT ^max(" WHOLE_XID ") {+} 1 FROM ^pg_locks l WHERE "             \
  "l.locktype {=} 'transactionid' AND l.mode {=} 'ExclusiveLock')) FROM (SELECT "                  \
  "^pg_snapshot_xmax(^pg_current_snapshot())::^text::^int8 AS last) AS x) FROM page "              \
  "WHERE before {<} $8 ORDER BY seq, id COLLATE ^\"C\""

static const char pending[] =
    "WITH c AS MATERIALIZED (SELECT o.seq, o.id, o.name, o.key, o.payload, o.headers, "
    "o.created_at, o.arrived_at, a.seq IS NOT NULL AS noted, a.attempts, a.last_error AS error, "
    "a.first_failed_us, a.failed_us, a.since_us, NULL::^text AS reason, NULL::^text AS topic, "
    "0::^int4 AS code FROM (SELECT * FROM @outbox WHERE seq {=} ANY ($11) UNION ALL "
    "(SELECT * FROM @outbox r WHERE r.seq {>} $1 AND ($10 IS NULL OR true) " CHOSEN
    "ORDER BY r.seq LIMIT $7)) AS o LEFT JOIN @attempt a "
    "ON a.seq {=} o.seq AND a.id {=} o.id)" PAGE;
static const char dead[] =
    "WITH c AS MATERIALIZED (SELECT r.seq, r.id, r.name, r.key, r.payload, r.headers, "
    "r.created_at, r.arrived_at, true AS noted, r.attempts, r.error, r.first_failed_us, "
    "r.failed_us, r.since_us, r.reason, r.topic, r.error_code AS code FROM @dead r "
    "WHERE r.seq {>=} $1 AND (r.seq {>} $1 OR r.id COLLATE ^\"C\" {>} $10) " CHOSEN
    "ORDER BY r.seq, r.id COLLATE ^\"C\" LIMIT $7)" PAGE;

struct reading {
  struct db_page *page;
  size_t most;
  enum shelf shelf;
  bool failed, more;
};

static struct span copy(struct reading *g, const struct pg_result *r, int column) {
  struct span s = pg_span(r, 0, column);
  if (!s.ptr) return s;
  const char *kept = arena_copy(&g->page->arena, s);
  g->failed |= !kept;
  return (struct span){kept, kept ? s.len : 0};
}

static struct span time_text(struct reading *g, int64_t us) {
  char text[TIME_TEXT];
  if (us == TIME_NONE) return SPAN("");
  const char *kept = arena_copy(&g->page->arena, span_of(time_format(us, text)));
  g->failed |= !kept;
  return span_of(kept);
}

static void read_note(struct reading *g, const struct pg_result *r, struct db_row *row) {
  row->attempted = pg_number(r, 0, 12);
  row->attempts = (unsigned)pg_number(r, 0, 13);
  row->last_error = copy(g, r, 14);
  row->first_failed_us = pg_number_or(r, 0, 15, TIME_NONE);
  row->failed_us = pg_number_or(r, 0, 16, TIME_NONE);
  row->since_us = pg_number_or(r, 0, 17, TIME_NONE);
  row->reason = copy(g, r, 18);
  row->topic = copy(g, r, 19);
  row->error_code = (int)pg_number(r, 0, 20);
  g->page->ended = pg_number(r, 0, 21);
  g->page->begun = pg_number(r, 0, 22);
}

static bool add_row(void *ctx, const struct pg_result *r) {
  struct reading *g = ctx;
  g->more = (size_t)pg_number(r, 0, 11) > g->page->count + 1 || g->page->count == g->most;
  if (g->page->count == g->most) return false;
  struct db_row *row = db_page_add(g->page);
  g->failed |= !row;
  if (!row) return false;
  row->seq = pg_number(r, 0, 0);
  row->id = copy(g, r, 1);
  row->name = copy(g, r, 2);
  row->key = copy(g, r, 3);
  row->created_at = time_text(g, pg_time_us(r, 0, 4));
  row->arrived_us = pg_time_us(r, 0, 5);
  row->payload = copy(g, r, 6);
  row->headers = copy(g, r, 7);
  row->size = (uint64_t)pg_number(r, 0, 8);
  row->payload_size = (uint64_t)pg_number(r, 0, 9);
  row->cut = pg_number(r, 0, 10);
  read_note(g, r, row);
  return !g->failed;
}

enum status pg_read(void *impl, const struct db_query *q, struct db_page *page, struct error *err) {
  struct reading g = {.page = page, .most = q->rows, .shelf = q->shelf};
  struct pg_args args = {0};
  struct buffer gaps = {0};
  pg_add_number(&args, q->after);
  pg_add_number(&args, q->seq);
  pg_add_text(&args, q->id.len ? q->id : (struct span){0});
  pg_add_bool(&args, q->begins);
  pg_add_time(&args, q->since_us);
  pg_add_time(&args, q->until_us);
  pg_add_number(&args, (int64_t)q->rows + 1);
  pg_add_number(&args, q->bytes && q->bytes < INT64_MAX ? (int64_t)q->bytes : INT64_MAX);
  pg_add_number(&args, q->body < INT64_MAX ? (int64_t)q->body : INT64_MAX);
  pg_add_text(&args, q->after_id.ptr ? q->after_id : SPAN(""));
  pg_add_numbers(&args, &gaps, q->gaps, q->gap_count);
  enum status st = buffer_status(&gaps, err);
  if (st == ST_OK)
    st = pg_step_each(impl, SIDE_READING, q->shelf == SHELF_DEAD ? dead : pending, &args, add_row,
                      &g, err);
  buffer_release(&gaps);
  if (st == ST_OK && g.failed) st = error_set(err, ST_NO_MEMORY, "no memory for a page of rows");
  page->end = !g.more;
  return st;
}

static const char pending_body[] =
    "SELECT ^octet_length(b), ^substr(b, $3::^int4, $4::^int4) FROM (SELECT "
    "^convert_to(payload::^text, 'UTF8') AS b FROM @outbox WHERE seq {=} $1 AND id {=} $2) AS r";
static const char dead_body[] =
    "SELECT ^octet_length(b), ^substr(b, $3::^int4, $4::^int4) FROM (SELECT "
    "^convert_to(payload::^text, 'UTF8') AS b FROM @dead WHERE seq {=} $1 AND id {=} $2) AS r";

enum status pg_body(void *impl, enum shelf shelf, int64_t seq, struct span id, uint64_t from,
                    size_t most, struct buffer *out, uint64_t *size, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  pg_add_number(&args, seq);
  pg_add_text(&args, id);
  pg_add_number(&args, from < INT32_MAX ? (int64_t)from + 1 : INT32_MAX);
  pg_add_number(&args, most < INT32_MAX ? (int64_t)most : INT32_MAX);
  enum status st =
      pg_step(impl, SIDE_READING, shelf == SHELF_DEAD ? dead_body : pending_body, &args, &a, err);
  if (st != ST_OK) return st;
  if (!pg_rows(a.rows)) {
    st = error_set(err, ST_NOT_FOUND, "row %lld is gone", (long long)seq);
  } else {
    *size = (uint64_t)pg_number(a.rows, 0, 0);
    buffer_add(out, pg_span(a.rows, 0, 1));
    st = buffer_status(out, err);
  }
  pg_answer_release(&a);
  return st;
}
