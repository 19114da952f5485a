/* Rows of the application and dead letters, a page at a time: lengths are looked at by the server,
 * so that no more comes than was asked for.
 * The reading side's thread. A crash leaves nothing. */
#include "bridge/outbox/postgres/postgres.h"

/* $1 after, $2 seq, $3 id, $4 begins, $5 since, $6 until, $7 rows and one, $8 the most of a row,
 * $9 body, $10 after_id, $11 gaps. */
#define CHOSEN                                                                                     \
  " AND ($2 {=} 0 OR r.seq {=} $2) AND ($3 IS NULL OR CASE WHEN $4 THEN ^starts_with(r.id, $3) "   \
  "ELSE r.id {=} $3 END) AND ($5 IS NULL OR r.arrived_at {>=} $5) "                                \
  "AND ($6 IS NULL OR r.arrived_at {<=} $6) "
/* The end of a snapshot is behind the last transaction that has ended, not behind the last one that
 * runs: that one is found by the lock that each holds on itself. Its number has 32 bits. */
#define XID "l.transactionid::^text::^int8"
#define LOW "(x.last {&} 4294967295)"
#define WHOLE_XID                                                                                  \
  "(x.last {-} " LOW ") {+} " XID " {+} (CASE WHEN (" XID " {+} 2147483648) {<} " LOW              \
  " THEN 4294967296 WHEN " XID " {>} (" LOW " {+} 2147483648) THEN -4294967296 ELSE 0 END)"
/* What is stored of a row is looked at first, which may be smaller than what it stands for, and
 * costs nothing; then how long its texts are; then come the texts. A row that is larger than a page
 * has room for each is not looked at further. OFFSET 0: what stands within is worked out once. */
#define PAGE                                                                                       \
  "SELECT seq, id, CASE WHEN size {<=} $9 THEN name ELSE ^substr(name, 1, 256) END, "              \
  "CASE WHEN size {<=} $9 THEN key ELSE ^substr(key, 1, 256) END, created_at, arrived_at, "        \
  "CASE WHEN size {<=} LEAST($8, $9) THEN payload::^text END, "                                    \
  "CASE WHEN size {<=} LEAST($8, $9) THEN headers::^text END, size, body, size {>} $9, stored, "   \
  "noted, attempts, error, first_failed_us, failed_us, since_us, reason, topic, code, "            \
  "(SELECT ^pg_snapshot_xmin(^pg_current_snapshot())::^text::^int8), "                             \
  "(SELECT GREATEST(x.last, (SELECT ^max(" WHOLE_XID ") {+} 1 FROM ^pg_locks l WHERE "             \
  "l.locktype {=} 'transactionid' AND l.mode {=} 'ExclusiveLock')) FROM (SELECT "                  \
  "^pg_snapshot_xmax(^pg_current_snapshot())::^text::^int8 AS last) AS x) FROM "                   \
  "(SELECT d.*, (^octet_length(id) {+} ^octet_length(name) {+} ^octet_length(key) {+} 32 {+} "     \
  "COALESCE(^octet_length(headers::^text), 0))::^int8 {+} body AS size FROM "                      \
  "(SELECT c.*, CASE WHEN stored {<=} $8 THEN ^octet_length(payload::^text)::^int8 END AS body "   \
  "FROM (SELECT o.*, (^pg_column_size(payload) {+} ^pg_column_size(name) {+} "                     \
  "^pg_column_size(key) {+} ^pg_column_size(id) {+} COALESCE(^pg_column_size(headers), "           \
  "0))::^int8 AS stored FROM (" /* rows */
#define IN_ORDER ") AS o) AS c OFFSET 0) AS d OFFSET 0) AS e ORDER BY seq, id COLLATE ^\"C\""

#define PENDING(rows)                                                                              \
  PAGE "SELECT p.seq, p.id, p.name, p.key, p.payload, p.headers, p.created_at, p.arrived_at, "     \
       "a.seq IS NOT NULL AS noted, a.attempts, a.last_error AS error, a.first_failed_us, "        \
       "a.failed_us, a.since_us, NULL::^text AS reason, NULL::^text AS topic, 0::^int4 AS code "   \
       "FROM (" rows ") AS p LEFT JOIN @attempt a ON a.seq {=} p.seq AND a.id {=} p.id" IN_ORDER
#define BEHIND                                                                                     \
  "SELECT * FROM @outbox r WHERE r.seq {>} $1 AND ($10 IS NULL OR true) AND ($11 IS NULL OR "      \
  "true)" CHOSEN "ORDER BY r.seq LIMIT $7"
static const char pending[] = PENDING(BEHIND);
static const char pending_and_gaps[] =
    PENDING("SELECT * FROM @outbox WHERE seq {=} ANY ($11) UNION ALL (" BEHIND ")");
static const char dead[] =
    PAGE "SELECT r.seq, r.id, r.name, r.key, r.payload, r.headers, r.created_at, r.arrived_at, "
         "true AS noted, r.attempts, r.error, r.first_failed_us, r.failed_us, r.since_us, "
         "r.reason, r.topic, r.error_code AS code FROM @dead r "
         "WHERE r.seq {>=} $1 AND (r.seq {>} $1 OR r.id COLLATE ^\"C\" {>} $10) "
         "AND ($11 IS NULL OR true)" CHOSEN "ORDER BY r.seq, r.id COLLATE ^\"C\" LIMIT $7" IN_ORDER;

struct reading {
  const struct db_query *query;
  struct db_page *page;
  const struct pg_result *rows;
  int at;
  size_t most;     /* so many rows */
  int64_t each;    /* of at most so many bytes: together they are no more than a page may have */
  int64_t too_big; /* a row is larger than that: the page ends before it */
  bool failed, more;
};

static struct span copy(struct reading *g, int column) {
  struct span s = pg_span(g->rows, g->at, column);
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

static void read_note(struct reading *g, struct db_row *row) {
  row->attempted = pg_number(g->rows, g->at, 12);
  row->attempts = (unsigned)pg_number(g->rows, g->at, 13);
  row->last_error = copy(g, 14);
  row->first_failed_us = pg_number_or(g->rows, g->at, 15, TIME_NONE);
  row->failed_us = pg_number_or(g->rows, g->at, 16, TIME_NONE);
  row->since_us = pg_number_or(g->rows, g->at, 17, TIME_NONE);
  row->reason = copy(g, 18);
  row->topic = copy(g, 19);
  row->error_code = (int)pg_number(g->rows, g->at, 20);
  g->page->ended = pg_number(g->rows, g->at, 21);
  g->page->begun = pg_number(g->rows, g->at, 22);
}

static void read_row(struct reading *g, struct db_row *row) {
  row->seq = pg_number(g->rows, g->at, 0);
  row->id = copy(g, 1);
  row->name = copy(g, 2);
  row->key = copy(g, 3);
  row->created_at = time_text(g, pg_time_us(g->rows, g->at, 4));
  row->arrived_us = pg_time_us(g->rows, g->at, 5);
  row->payload = copy(g, 6);
  row->headers = copy(g, 7);
  row->size = (uint64_t)pg_number(g->rows, g->at, 8);
  row->payload_size = (uint64_t)pg_number(g->rows, g->at, 9);
  row->cut = pg_number(g->rows, g->at, 10);
  read_note(g, row);
}

/* NULL: it was not worked out, what is stored is too large already. */
static int64_t size_of_row(const struct reading *g) {
  return pg_number_or(g->rows, g->at, 8, pg_number(g->rows, g->at, 11));
}

static void read_rows(struct reading *g) {
  for (g->at = 0; g->at < pg_rows(g->rows) && !g->failed; g->at++) {
    bool fits = !pg_is_null(g->rows, g->at, 8) && size_of_row(g) <= g->each;
    g->more = g->page->count == g->most || !fits;
    if (!fits) g->too_big = size_of_row(g);
    if (g->more) return;
    struct db_row *row = db_page_add(g->page);
    g->failed |= !row;
    if (row) read_row(g, row);
  }
}

static const char *statement(const struct db_query *q) {
  if (q->shelf == SHELF_DEAD) return dead;
  return q->gap_count ? pending_and_gaps : pending;
}

static enum status read_once(struct postgres *p, struct reading *g, struct error *err) {
  const struct db_query *q = g->query;
  struct pg_args args = {0};
  struct buffer gaps = {0};
  struct pg_answer a = {0};
  pg_add_number(&args, q->after);
  pg_add_number(&args, q->seq);
  pg_add_text(&args, q->id.len ? q->id : (struct span){0});
  pg_add_bool(&args, q->begins);
  pg_add_time(&args, q->since_us);
  pg_add_time(&args, q->until_us);
  pg_add_number(&args, (int64_t)g->most + 1);
  pg_add_number(&args, g->each);
  pg_add_number(&args, q->body < INT64_MAX ? (int64_t)q->body : INT64_MAX);
  pg_add_text(&args, q->after_id.ptr ? q->after_id : SPAN(""));
  pg_add_numbers(&args, &gaps, q->gaps, q->gap_count);
  enum status st = buffer_status(&gaps, err);
  if (st == ST_OK) st = pg_step(p, SIDE_READING, statement(q), &args, &a, err);
  buffer_release(&gaps);
  g->rows = a.rows;
  g->too_big = 0;
  if (st == ST_OK) read_rows(g);
  pg_answer_release(&a);
  return st == ST_OK && g->failed ? error_set(err, ST_NO_MEMORY, "no memory for a page of rows")
                                  : st;
}

/* As many rows as have room by what the last ones were like; a larger one is read anew, with fewer
 * beside it. */
enum status pg_read(void *impl, const struct db_query *q, struct db_page *page, struct error *err) {
  struct postgres *p = impl;
  struct reading g = {.query = q, .page = page};
  int64_t bytes = q->bytes && q->bytes < INT64_MAX ? (int64_t)q->bytes : INT64_MAX;
  enum status st;
  do {
    g.most = q->rows;
    if (bytes / p->row_bytes < (int64_t)g.most) g.most = (size_t)(bytes / p->row_bytes);
    if (!g.most) g.most = 1;
    g.each = g.most == 1 ? INT64_MAX : bytes / (int64_t)g.most;
    st = read_once(p, &g, err);
    if (g.too_big)
      p->row_bytes = g.too_big;
    else if (p->row_bytes / 2 >= PG_ROW_BYTES)
      p->row_bytes /= 2;
  } while (st == ST_OK && g.too_big && !page->count);
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
