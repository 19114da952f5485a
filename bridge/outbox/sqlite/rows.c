/* Rows are read, counted and waited for. No read outlives its step: a reader that stays would keep
 * the log from being taken over, which then grows for ever.
 * One thread at a time, under a side's lock; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

enum { ROOM = 4096 }; /* beside the body */

static const char pending_columns[] =
    "o.seq, o.id, o.name, o.key, o.created_at, o.payload, o.headers, o.arrived_ms * 1000, "
    "a.attempts, a.last_error, a.first_failed_us, a.failed_us, a.since_us";
static const char pending_from[] =
    " FROM main.busbridge_outbox o LEFT JOIN main.busbridge_attempt a "
    "ON a.seq = o.seq AND a.id = CAST(o.id AS TEXT)";
static const char dead_columns[] =
    "o.seq, o.id, o.name, o.key, o.created_at, o.payload, o.headers, o.arrived_ms * 1000, "
    "o.attempts, o.error, o.first_failed_us, o.failed_us, o.since_us, o.reason, o.topic, "
    "o.error_code";
static const char dead_from[] = " FROM main.busbridge_dead o";

/* ---- one row ---- */

static uint64_t size_of(struct sq_use *u, struct db_row *row) {
  static const int texts[] = {1, 2, 3, 4, 5, 6};
  uint64_t size = 0;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) size += sq_text(u, texts[i]).len;
  row->payload_size = sq_text(u, 5).len;
  return size;
}

static bool keep_most(struct sq_use *u, int column, size_t most, struct arena *arena,
                      struct span *out) {
  struct span text = sq_text(u, column);
  if (text.len > most) text.len = most;
  *out = (struct span){arena_copy(arena, text), text.len};
  return out->ptr;
}

static bool take_notes(struct sq_use *u, bool dead, struct arena *arena, struct db_row *row) {
  row->arrived_us = sqlite3_column_int64(u->stmt, 7);
  row->attempted = sqlite3_column_type(u->stmt, 8) != SQLITE_NULL;
  row->attempts = (unsigned)sqlite3_column_int64(u->stmt, 8);
  row->first_failed_us = sq_time(u, 10);
  row->failed_us = sq_time(u, 11);
  row->since_us = sq_time(u, 12);
  bool kept = sq_keep(u, 9, arena, &row->last_error);
  if (!dead) return kept;
  row->error_code = sqlite3_column_int(u->stmt, 15);
  return kept && sq_keep(u, 13, arena, &row->reason) && sq_keep(u, 14, arena, &row->topic);
}

static enum status take_row(struct sq_use *u, const struct db_query *q, struct db_page *page) {
  struct db_row *row = db_page_add(page);
  struct arena *a = &page->arena;
  if (!row) return ST_NO_MEMORY;
  row->seq = sqlite3_column_int64(u->stmt, 0);
  row->size = size_of(u, row);
  row->cut = row->size > q->body;
  size_t most = row->cut ? DB_TEXT_MOST : SIZE_MAX;
  bool kept = sq_keep(u, 1, a, &row->id) && keep_most(u, 2, most, a, &row->name) &&
              keep_most(u, 3, most, a, &row->key) && keep_most(u, 4, most, a, &row->created_at) &&
              take_notes(u, q->shelf == SHELF_DEAD, a, row);
  if (kept && !row->cut) kept = sq_keep(u, 5, a, &row->payload) && sq_keep(u, 6, a, &row->headers);
  return kept && !u->rc ? ST_OK : ST_NO_MEMORY;
}

/* ---- a query ---- */

static bool is_scan(const struct db_query *q) {
  return q->shelf == SHELF_PENDING && !q->seq && !q->id.ptr && q->since_us == TIME_NONE &&
         q->until_us == TIME_NONE;
}

/* What it asks for, and what it is bound to: ?1 after, ?2 rows, ?3 after_id, ?4 seq, ?5 id, ?6 and
 * ?7 the times. */
static void write_sql(const struct db_query *q, const char *columns, struct buffer *sql) {
  bool dead = q->shelf == SHELF_DEAD;
  buffer_printf(sql, "SELECT %s%s", columns, dead ? dead_from : pending_from);
  if (dead)
    buffer_add_z(sql, " WHERE (o.seq > ?1 OR (o.seq = ?1 AND o.id COLLATE BINARY > ?3))");
  else
    buffer_add_z(sql, " WHERE o.seq > ?1");
  if (q->seq) buffer_add_z(sql, " AND o.seq = ?4");
  if (q->id.ptr && q->begins)
    buffer_add_z(sql, " AND substr(CAST(o.id AS BLOB), 1, length(CAST(?5 AS BLOB))) = "
                      "CAST(?5 AS BLOB)");
  if (q->id.ptr && !q->begins)
    buffer_add_z(sql, dead ? " AND o.id = ?5" : " AND CAST(o.id AS TEXT) COLLATE BINARY = ?5");
  if (q->since_us != TIME_NONE) buffer_add_z(sql, " AND o.arrived_ms * 1000 >= ?6");
  if (q->until_us != TIME_NONE) buffer_add_z(sql, " AND o.arrived_ms * 1000 <= ?7");
  buffer_add_z(sql, dead ? " ORDER BY o.seq, o.id LIMIT ?2" : " ORDER BY o.seq LIMIT ?2");
}

static enum status begin_query(struct sq *s, const struct db_query *q, const char *columns,
                               struct sq_use *u, struct error *err) {
  struct buffer sql = {0};
  if (!columns && is_scan(q)) {
    enum status st = sq_use_kept(s, SIDE_READING, SQ_SCAN, u, err);
    if (st == ST_OK) sq_bind_int(u, 1, q->after);
    if (st == ST_OK) sq_bind_int(u, 2, (int64_t)q->rows);
    return st;
  }
  if (!columns) columns = q->shelf == SHELF_DEAD ? dead_columns : pending_columns;
  write_sql(q, columns, &sql);
  enum status st = buffer_status(&sql, err);
  if (st == ST_OK) st = sq_use_made(s, SIDE_READING, buffer_z(&sql), u, err);
  buffer_release(&sql);
  if (st != ST_OK) return st;
  sq_bind_int(u, 1, q->after);
  sq_bind_int(u, 2, (int64_t)q->rows);
  if (q->shelf == SHELF_DEAD) sq_bind_text(u, 3, q->after_id.ptr ? q->after_id : SPAN(""));
  if (q->seq) sq_bind_int(u, 4, q->seq);
  if (q->id.ptr) sq_bind_text(u, 5, q->id);
  if (q->since_us != TIME_NONE) sq_bind_int(u, 6, q->since_us);
  if (q->until_us != TIME_NONE) sq_bind_int(u, 7, q->until_us);
  return ST_OK;
}

/* As many as the page takes. *large: the next one is larger than the limit, and was not read. */
static enum status take_rows(struct sq *s, const struct db_query *q, size_t *bytes,
                             struct db_page *page, bool *large, struct error *err) {
  struct sq_use u;
  bool more = true;
  enum status st = begin_query(s, q, NULL, &u, err);
  *large = false;
  if (st != ST_OK) return st;
  int limit = sqlite3_limit(u.on->db, SQLITE_LIMIT_LENGTH,
                            q->body < INT32_MAX - ROOM ? (int)q->body + ROOM : INT32_MAX);
  while (st == ST_OK && *bytes < q->bytes && (more = sq_row(&u))) {
    st = take_row(&u, q, page);
    if (st == ST_OK) *bytes += page->rows[page->count - 1].size;
  }
  sqlite3_limit(u.on->db, SQLITE_LIMIT_LENGTH, limit);
  *large = u.rc == SQLITE_TOOBIG;
  if (*large) u.rc = 0;
  page->end = !more && !u.rc && !*large && page->count < q->rows;
  enum status ended = sq_done(&u, "reading rows", err);
  return st == ST_OK ? ended : error_set(err, st, "no memory for rows");
}

/* Which row it is, without a look at what makes it large. */
static enum status take_large(struct sq *s, struct db_query q, size_t *bytes, struct db_page *page,
                              struct error *err) {
  struct sq_use u;
  q.rows = 1;
  enum status st = begin_query(s, &q, "o.rowid", &u, err);
  if (st != ST_OK) return st;
  bool there = sq_row(&u);
  int64_t rowid = there ? sqlite3_column_int64(u.stmt, 0) : 0;
  st = sq_done(&u, "reading rows", err);
  if (st != ST_OK || !there) return st;
  struct db_row *row = db_page_add(page);
  if (!row) return error_set(err, ST_NO_MEMORY, "no memory for rows");
  st = sq_read_cut(s, q.shelf, rowid, row, &page->arena, err);
  if (st != ST_OK) page->count--;
  if (st == ST_NOT_FOUND) return ST_OK; /* taken out meanwhile */
  if (st == ST_OK) *bytes += row->id.len + ROOM;
  return st;
}

enum status sq_read(void *impl, const struct db_query *query, struct db_page *page,
                    struct error *err) {
  struct sq *s = impl;
  struct db_query q = *query;
  size_t bytes = 0;
  bool large = true;
  enum status st = ST_OK;
  if (!s->there) page->end = true;
  while (s->there && large && st == ST_OK && page->count < query->rows && bytes < q.bytes) {
    if (page->count) q.after = page->rows[page->count - 1].seq;
    if (page->count) q.after_id = page->rows[page->count - 1].id;
    q.rows = query->rows - page->count;
    st = take_rows(s, &q, &bytes, page, &large, err);
    if (st != ST_OK || !large) break;
    if (page->count) q.after = page->rows[page->count - 1].seq;
    if (page->count) q.after_id = page->rows[page->count - 1].id;
    st = take_large(s, q, &bytes, page, err);
  }
  return st;
}

/* ---- how many, and whether there are new ones ---- */

enum status sq_count(void *impl, enum db_side side, unsigned what, struct db_figures *out,
                     struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  char sql[500];
  *out = (struct db_figures){.oldest_us = TIME_NONE};
  if (!s->there) return ST_OK;
  bool pending = what & DB_COUNT_PENDING;
  snprintf(sql, sizeof sql, "SELECT %s, %s, %s, %s",
           pending ? "(SELECT count(*) FROM main.busbridge_outbox)" : "0",
           pending ? "(SELECT max(seq) FROM main.busbridge_outbox)" : "0",
           what & DB_COUNT_DEAD ? "(SELECT count(*) FROM main.busbridge_dead)" : "0",
           what & DB_OLDEST
               ? "(SELECT arrived_ms * 1000 FROM main.busbridge_outbox ORDER BY seq LIMIT 1)"
               : "NULL");
  enum status st = sq_use_made(s, side, sql, &u, err);
  if (st != ST_OK) return st;
  if (sq_row(&u)) {
    out->pending = (uint64_t)sqlite3_column_int64(u.stmt, 0);
    out->last = sqlite3_column_int64(u.stmt, 1);
    out->dead = (uint64_t)sqlite3_column_int64(u.stmt, 2);
    out->oldest_us = sq_time(&u, 3);
  }
  return sq_done(&u, "counting", err);
}

enum status sq_sweep(void *impl, int64_t from, int64_t upto, int64_t *seqs, size_t most,
                     size_t *count, struct error *err) {
  (void)impl, (void)from, (void)upto, (void)seqs, (void)most, (void)err;
  *count = 0; /* none is late */
  return ST_OK;
}

/* As long as nobody committed anything the answer stays. */
enum status sq_arrived(void *impl, int64_t behind, bool *yes, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  *yes = false;
  enum status st = sq_use_kept(s, SIDE_READING, SQ_VERSION, &u, err);
  if (st != ST_OK) return st;
  int64_t version = sq_row(&u) ? sqlite3_column_int64(u.stmt, 0) : -1;
  st = sq_done(&u, "looking for rows", err);
  if (st != ST_OK || (version == s->version && behind >= s->quiet)) return st;
  st = sq_use_kept(s, SIDE_READING, SQ_ARRIVED, &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, behind);
  *yes = sq_row(&u);
  st = sq_done(&u, "looking for rows", err);
  s->version = st == ST_OK && !*yes ? version : -1;
  s->quiet = behind;
  return st;
}
