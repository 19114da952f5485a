/* Keys that Redis has yet to be told: a queue.
 * Added and dropped by the thread of the writing side, read by that of the reading side. A crash
 * leaves keys that were told already, which does no harm. */
#include "bridge/outbox/postgres/postgres.h"

/* Of those there are and those that come, so many go, the oldest first, an eighth of $4 at a time.
 * ord: of one that comes. */
static const char add[] =
    "WITH " MINE_DURABLE ", c AS MATERIALIZED (SELECT * FROM ROWS FROM (^unnest($2), ^unnest($3)) "
    "WITH ORDINALITY AS t (id, place, ord)), "
    "k AS MATERIALIZED (SELECT h.have, CASE WHEN h.have {+} h.new {>} $4 THEN "
    "(h.have {+} h.new {-} $4 {+} $5 {-} 1) {/} $5 {*} $5 ELSE 0 END AS go, h.new FROM "
    "(SELECT (SELECT ^count(*) FROM @due) AS have, (SELECT ^count(*) FROM c) AS new) AS h), "
    "gone AS (DELETE FROM @due WHERE " HELD " AND n {=} ANY (SELECT n FROM @due ORDER BY n "
    "LIMIT (SELECT go FROM k))), "
    "added AS (INSERT INTO @due (id, place) SELECT c.id, c.place FROM c, k "
    "WHERE c.ord {>} (k.go {-} k.have) AND " HELD " ORDER BY c.ord) "
    "SELECT " COUNT_MINE ", go, GREATEST(have {+} new {-} go, 0) FROM k";

enum status pg_keys_due_add(void *impl, const struct key *list, size_t count, uint64_t most,
                            uint64_t *given_up, uint64_t *left, struct error *err) {
  struct postgres *p = impl;
  struct span *spans = calloc(2 * count + 1, sizeof *spans);
  struct buffer ids = {0}, places = {0};
  struct pg_answer a;
  if (!spans) return error_set(err, ST_NO_MEMORY, "no memory for what is due");
  for (size_t i = 0; i < count; i++) {
    spans[i] = list[i].id.ptr ? list[i].id : SPAN("");
    spans[count + i] = list[i].place.ptr ? list[i].place : SPAN("");
  }
  struct pg_args args = pg_owner_args(p);
  pg_add_blobs(&args, &ids, spans, count);
  pg_add_blobs(&args, &places, spans + count, count);
  pg_add_number(&args, (int64_t)most);
  pg_add_number(&args, most / 8 ? (int64_t)(most / 8) : 1);
  enum status st = buffer_status(&ids, err);
  if (st == ST_OK) st = buffer_status(&places, err);
  if (st == ST_OK) st = pg_owner_step(p, add, &args, true, &a, err);
  if (st == ST_OK) {
    *given_up = (uint64_t)pg_number(a.rows, 0, 1);
    *left = (uint64_t)pg_number(a.rows, 0, 2);
    pg_answer_release(&a);
  }
  buffer_release(&ids);
  buffer_release(&places);
  free(spans);
  return st;
}

enum status pg_keys_due_drop(void *impl, int64_t upto, uint64_t *left, struct error *err) {
  struct postgres *p = impl;
  struct pg_args args = pg_owner_args(p);
  struct pg_answer a;
  pg_add_number(&args, upto);
  enum status st = pg_owner_step(p,
                                 "WITH " MINE ", gone AS (DELETE FROM @due WHERE n {<=} $2 "
                                 "AND " HELD ") SELECT " COUNT_MINE
                                 ", (SELECT ^count(*) FROM @due WHERE n {>} $2)",
                                 &args, false, &a, err);
  if (st != ST_OK) return st;
  *left = (uint64_t)pg_number(a.rows, 0, 1);
  pg_answer_release(&a);
  return ST_OK;
}

enum status pg_keys_due_read(void *impl, size_t max, struct arena *arena, struct key *out,
                             size_t *count, int64_t *upto, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  *count = 0;
  pg_add_number(&args, (int64_t)max);
  enum status st = pg_step(impl, SIDE_READING, "SELECT n, id, place FROM @due ORDER BY n LIMIT $1",
                           &args, &a, err);
  if (st != ST_OK) return st;
  for (int i = 0; st == ST_OK && i < pg_rows(a.rows); i++) {
    struct key *one = &out[*count];
    const char *id = arena_copy(arena, pg_span(a.rows, i, 1));
    const char *place = arena_copy(arena, pg_span(a.rows, i, 2));
    if (!id || !place) {
      st = error_set(err, ST_NO_MEMORY, "no memory for what is due");
      break;
    }
    one->id = (struct span){id, pg_span(a.rows, i, 1).len};
    one->place = (struct span){place, pg_span(a.rows, i, 2).len};
    *upto = pg_number(a.rows, i, 0);
    ++*count;
  }
  pg_answer_release(&a);
  return st;
}

enum status pg_keys_due_count(void *impl, uint64_t *count, struct error *err) {
  struct pg_answer a;
  enum status st = pg_step(impl, SIDE_READING, "SELECT ^count(*) FROM @due", NULL, &a, err);
  if (st != ST_OK) return st;
  *count = (uint64_t)pg_number(a.rows, 0, 0);
  pg_answer_release(&a);
  return ST_OK;
}

enum status pg_keys_due_has(void *impl, struct span id, bool *has, struct error *err) {
  struct pg_args args = {0};
  struct pg_answer a;
  pg_add_bytes(&args, id);
  enum status st = pg_step(impl, SIDE_READING, "SELECT EXISTS (SELECT FROM @due WHERE id {=} $1)",
                           &args, &a, err);
  if (st != ST_OK) return st;
  *has = pg_number(a.rows, 0, 0);
  pg_answer_release(&a);
  return ST_OK;
}
