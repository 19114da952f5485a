/* The journal's list, and what ends a batch.
 * One thread changes, any reads; a crash leaves each as it was, or changed. */
#include "bridge/outbox/database/parts.h"

struct listing {
  struct manifest_name *list;
  size_t count, cap;
  bool no_memory;
};

static bool add(void *ctx, const struct db_batch *b) {
  struct listing *l = ctx;
  if (l->count == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 16;
    struct manifest_name *grown = realloc(l->list, cap * sizeof *grown);
    l->no_memory = !grown;
    if (!grown) return false;
    l->list = grown;
    l->cap = cap;
  }
  struct manifest_name *name = &l->list[l->count++];
  *name = (struct manifest_name){
      .number = b->number, .settled = b->settled, .written_ms = b->made_us / 1000};
  memcpy(name->digest, b->digest, sizeof name->digest);
  return true;
}

static int in_order(const void *a, const void *b) {
  const struct manifest_name *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  if (x->settled != y->settled) return x->settled ? -1 : 1;
  return strcmp(x->digest, y->digest);
}

enum status db_batch_list(void *impl, struct manifest_name **list, size_t *count,
                          struct error *err) {
  struct db *d = impl;
  struct listing l = {.list = malloc(sizeof *l.list), .cap = 1};
  enum status st = l.list ? ST_OK : ST_NO_MEMORY;
  if (st == ST_OK && d->there) st = DB_STEP(d, SIDE_READING, batch_list(d->impl, add, &l, err));
  if (l.no_memory) st = ST_NO_MEMORY;
  if (st == ST_NO_MEMORY) error_set(err, st, "no memory for a list");
  if (st != ST_OK) {
    free(l.list);
    return st;
  }
  qsort(l.list, l.count, sizeof *l.list, in_order);
  *list = l.list;
  *count = l.count;
  return ST_OK;
}

static enum status name_in(struct db *d, const struct manifest_name *name, struct table *wanted,
                           struct error *err) {
  struct manifest m;
  enum status st = db_batch_read(d, name, &m, err);
  if (st != ST_OK) return st == ST_NOT_FOUND ? ST_OK : st;
  for (size_t i = 0; i < m.count; i++) {
    bool *named = m.entries[i].id.len ? table_get(wanted, m.entries[i].id) : NULL;
    if (named) *named = true;
  }
  manifest_release(&m);
  return ST_OK;
}

enum status db_batch_names(void *impl, const struct span *ids, size_t count, bool *named,
                           struct error *err) {
  struct manifest_name *list = NULL;
  struct table wanted = {0};
  size_t batches = 0;
  memset(named, 0, count * sizeof *named);
  enum status st = ST_OK;
  for (size_t i = 0; i < count && st == ST_OK; i++)
    if (ids[i].len && table_put(&wanted, ids[i], &named[i]) == ST_NO_MEMORY)
      st = error_set(err, ST_NO_MEMORY, "no memory for a list of ids");
  if (st == ST_OK) st = db_batch_list(impl, &list, &batches, err);
  for (size_t i = 0; i < batches && st == ST_OK; i++)
    if (!list[i].settled) st = name_in(impl, &list[i], &wanted, err);
  for (size_t i = 0; i < count && st == ST_OK; i++) /* an id may be asked for twice */
    if (ids[i].len) named[i] = *(bool *)table_get(&wanted, ids[i]);
  table_release(&wanted);
  free(list);
  return st;
}

enum status db_batch_settle(void *impl, const struct manifest_name *name, struct error *err) {
  struct db *d = impl;
  return DB_STEP(d, SIDE_WRITING, batch_settle(d->impl, name->number, name->digest, err));
}

enum status db_batch_remove(void *impl, const struct manifest_name *name, struct error *err) {
  struct db *d = impl;
  return DB_STEP(d, SIDE_WRITING, batch_remove(d->impl, name->number, name->digest, err));
}
