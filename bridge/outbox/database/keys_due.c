/* Keys that Redis has yet to be told: a queue in the database, and how long it is.
 * One thread at a time, but for the questions; a crash may leave the last that were dropped. */
#include "bridge/outbox/database/parts.h"

static void set_count(struct db *d, uint64_t count) {
  __atomic_store_n(&d->keys_due_count, count, __ATOMIC_RELAXED);
}

enum status db_keys_due_open(void *impl, size_t most, struct error *err) {
  struct db *d = impl;
  uint64_t count = 0;
  d->keys_due_most = most;
  d->keys_due_upto = 0;
  enum status st =
      d->there ? DB_STEP(d, SIDE_READING, keys_due_count(d->impl, &count, err)) : ST_OK;
  set_count(d, count);
  return st;
}

enum status db_keys_due_add(void *impl, const struct key *list, const bool *done, size_t count,
                            uint64_t *given_up, struct error *err) {
  struct db *d = impl;
  struct key *due = malloc((count + 1) * sizeof *due);
  uint64_t gone = 0, left = 0;
  size_t n = 0;
  if (!due) return error_set(err, ST_NO_MEMORY, "no memory for what is due");
  for (size_t i = 0; i < count; i++)
    if (!done[i]) due[n++] = list[i];
  enum status st = ST_OK;
  if (n)
    st = DB_STEP(d, SIDE_WRITING,
                 keys_due_add(d->impl, due, n, d->keys_due_most, &gone, &left, err));
  if (n && st == ST_OK) set_count(d, left);
  *given_up += gone;
  free(due);
  return st;
}

/* Cheap while nothing is due, which is as a rule. */
bool db_keys_due_has(void *impl, struct span id) {
  struct db *d = impl;
  bool has = false;
  if (!db_keys_due_count(impl)) return false;
  enum status st = DB_STEP(d, SIDE_READING, keys_due_has(d->impl, id, &has, NULL));
  return st == ST_OK && has;
}

uint64_t db_keys_due_count(void *impl) {
  return __atomic_load_n(&((struct db *)impl)->keys_due_count, __ATOMIC_RELAXED);
}

enum status db_keys_due_read(void *impl, struct key *out, size_t max, size_t *count,
                             struct error *err) {
  struct db *d = impl;
  arena_reset(&d->keys_due_arena);
  *count = 0;
  enum status st =
      DB_STEP(d, SIDE_READING,
              keys_due_read(d->impl, max, &d->keys_due_arena, out, count, &d->keys_due_upto, err));
  BUG_ON(*count > max || (st == ST_OK && *count && !d->keys_due_upto));
  return st;
}

enum status db_keys_due_drop(void *impl, struct error *err) {
  struct db *d = impl;
  uint64_t left = 0;
  if (!d->keys_due_upto) return ST_OK;
  enum status st = DB_STEP(d, SIDE_WRITING, keys_due_drop(d->impl, d->keys_due_upto, &left, err));
  if (st != ST_OK) return st;
  d->keys_due_upto = 0;
  set_count(d, left);
  return ST_OK;
}
