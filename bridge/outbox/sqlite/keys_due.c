/* Keys that Redis has yet to be told.
 * One thread at a time, under a side's lock; a crash leaves all of a call, or nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

static enum status count_on(struct sq *s, enum db_side side, uint64_t *count, struct error *err) {
  struct sq_use u;
  *count = 0;
  enum status st = sq_use_made(s, side, "SELECT count(*) FROM main.busbridge_due", &u, err);
  if (st != ST_OK) return st;
  if (sq_row(&u)) *count = (uint64_t)sqlite3_column_int64(u.stmt, 0);
  return sq_done(&u, "counting what is due", err);
}

static enum status add_all(struct sq *s, const struct key *list, size_t count, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(
      s, SIDE_WRITING, "INSERT INTO main.busbridge_due (id, place) VALUES (?1, ?2)", &u, err);
  if (st != ST_OK) return st;
  for (size_t i = 0; i < count && !u.rc; i++) {
    sqlite3_reset(u.stmt);
    sq_bind_blob(&u, 1, list[i].id);
    sq_bind_blob(&u, 2, list[i].place);
    sq_row(&u);
  }
  return sq_done(&u, "adding what is due", err);
}

static enum status drop(struct sq *s, const char *sql, int64_t n, int *gone, struct error *err) {
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_WRITING, sql, &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, n);
  return sq_run(&u, gone, "dropping what is due", err);
}

enum status sq_keys_due_add(void *impl, const struct key *list, size_t count, uint64_t most,
                            uint64_t *given_up, uint64_t *left, struct error *err) {
  struct sq *s = impl;
  int gone = 1;
  *given_up = 0;
  enum status st = sq_begin(s, SQ_OWNED | SQ_DURABLE, err);
  if (st != ST_OK) return st;
  st = add_all(s, list, count, err);
  if (st == ST_OK) st = count_on(s, SIDE_WRITING, left, err);
  while (st == ST_OK && *left > most && gone > 0) {
    st = drop(s,
              "DELETE FROM main.busbridge_due WHERE n IN "
              "(SELECT n FROM main.busbridge_due ORDER BY n LIMIT ?1)",
              (int64_t)(most / 8 + 1), &gone, err);
    *given_up += (uint64_t)gone;
    *left -= (uint64_t)gone;
  }
  return sq_end(s, st, err);
}

enum status sq_keys_due_drop(void *impl, int64_t upto, uint64_t *left, struct error *err) {
  struct sq *s = impl;
  enum status st = sq_begin(s, SQ_OWNED, err);
  if (st != ST_OK) return st;
  st = drop(s, "DELETE FROM main.busbridge_due WHERE n <= ?1", upto, NULL, err);
  if (st == ST_OK) st = count_on(s, SIDE_WRITING, left, err);
  return sq_end(s, st, err);
}

enum status sq_keys_due_read(void *impl, size_t max, struct arena *arena, struct key *out,
                             size_t *count, int64_t *upto, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  *count = 0;
  *upto = 0;
  enum status st = sq_use_made(
      s, SIDE_READING, "SELECT n, id, place FROM main.busbridge_due ORDER BY n LIMIT ?1", &u, err);
  if (st != ST_OK) return st;
  sq_bind_int(&u, 1, (int64_t)max);
  while (*count < max && sq_row(&u)) {
    if (!sq_keep(&u, 1, arena, &out[*count].id) || !sq_keep(&u, 2, arena, &out[*count].place))
      break;
    *upto = sqlite3_column_int64(u.stmt, 0);
    ++*count;
  }
  return sq_done(&u, "reading what is due", err);
}

enum status sq_keys_due_count(void *impl, uint64_t *count, struct error *err) {
  return count_on(impl, SIDE_READING, count, err);
}

enum status sq_keys_due_has(void *impl, struct span id, bool *has, struct error *err) {
  struct sq *s = impl;
  struct sq_use u;
  enum status st = sq_use_made(s, SIDE_READING,
                               "SELECT 1 FROM main.busbridge_due WHERE id = ?1 LIMIT 1", &u, err);
  if (st != ST_OK) return st;
  sq_bind_blob(&u, 1, id);
  *has = sq_row(&u);
  return sq_done(&u, "looking for what is due", err);
}
