/* An outbox in a database is opened and closed.
 * One thread; a crash leaves nothing. */
#include "bridge/outbox/sqlite/sqlite.h"

#include <unistd.h>

static enum status check_version(struct sq *s, struct error *err) {
  unsigned version;
  enum status st = sq_version(s->sides[SIDE_READING].db, s->path, &version, err);
  if (st != ST_OK) return st;
  s->there = version > 0;
  if (version > SQLITE_KNOWN)
    return error_set(err, ST_INVALID,
                     "the outbox in %s is of version %u, made by a newer program; this one knows "
                     "%d. Use the newer one",
                     s->path, version, SQLITE_KNOWN);
  if (version && version < SQLITE_KNOWN)
    return error_set(
        err, ST_INVALID,
        "the outbox in %s is of version %u, this program's is %d; bring it there with: "
        "busbridge outbox migrate",
        s->path, version, SQLITE_KNOWN);
  if (!version && s->create)
    return error_set(err, ST_NOT_FOUND,
                     "there is no outbox in the database %s; make its tables with: busbridge "
                     "outbox init",
                     s->path);
  return ST_OK;
}

/* What no table of ours can be without. */
static enum status check_tables(struct sq *s, struct error *err) {
  struct sq_use u;
  if (!s->there) return ST_OK;
  enum status st = sq_use_kept(s, SIDE_READING, SQ_SCAN, &u, err);
  return st == ST_OK ? sq_done(&u, "looking", err) : st;
}

enum status sq_open(const char *address, const struct store_options *options, void **out,
                    struct error *err) {
  enum status st = sq_check_place(address, err);
  if (st != ST_OK) return st;
  struct sq *s = calloc(1, sizeof *s);
  if (!s) return error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  *s = (struct sq){.path = strdup(address),
                   .create = options->create,
                   .clock = options->clock,
                   .lock = -1,
                   .watch = -1,
                   .version = -1};
  st = s->path ? sq_side(s, SIDE_READING, err) : error_set(err, ST_NO_MEMORY, "no memory");
  if (st == ST_OK && s->create) st = sq_check_mode(s->sides[SIDE_READING].db, s->path, err);
  if (st == ST_OK) st = check_version(s, err);
  if (st == ST_OK) st = check_tables(s, err);
  if (st == ST_OK && s->create) sq_watch_open(s);
  if (st != ST_OK) {
    sq_close(s);
    return st;
  }
  *out = s;
  return ST_OK;
}

void sq_close(void *impl) {
  struct sq *s = impl;
  for (unsigned side = 0; side < 2; side++) {
    for (unsigned k = 0; k < SQ_KEPT; k++) sqlite3_finalize(s->sides[side].kept[k]);
    sqlite3_close(s->sides[side].db);
  }
  if (s->watch >= 0) close(s->watch);
  sq_unlock(s); /* last: whoever owns it next finds no transaction of ours */
  free(s->path);
  free(s);
}
