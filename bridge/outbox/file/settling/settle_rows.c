/* A chain of rows is settled: what failed, all at once, then what is done, row by row, then the
 * folders, what was set aside, and the batch's record, each durable before the next. The finisher's
 * thread. A crash leaves each row in its place or out of it, and the record as it was unless all
 * are out. */
#include "bridge/outbox/file/moves/entry_moves.h"
#include "bridge/outbox/file/records/journal.h"
#include "bridge/outbox/file/settling/finish.h"

/* ---- rows ---- */

static void fail_row(struct settling *row, const struct error *why) {
  row->status = why->status;
  row->error = *why;
}

static void copy_back(struct settling *row, const struct fs_failed *failed) {
  row->how = failed->how;
  row->status = failed->status;
  if (row->status != ST_OK) row->error = failed->error;
}

/* It moved, in this call or in one before that failed, and no sync has made that durable (S8). */
static void owe_sync(struct fs_site *s, const struct fs_failed *f) {
  const enum place places[] = {f->ref.place, place_dead(f->ref.place)};
  if (f->status == ST_OK && f->how != SETTLED_VANISHED) return;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (fs_folder(s, places[i]) >= 0) atomic_store(&s->dirty[places[i]], true);
}

enum status fs_fail(struct fs_finisher *s, struct fs_failed *list, size_t count,
                    struct error *err) {
  enum status st = fs_sync_first(s, err);
  if (st != ST_OK) return st;
  fs_fail_refs(s->shared, list, count);
  for (size_t i = 0; i < count; i++) owe_sync(s->site, &list[i]);
  return ST_OK;
}

static enum status fail_together(struct fs_finisher *s, struct settling *rows, size_t count,
                                 struct fs_failed *list, struct error *err) {
  size_t n = 0;
  for (const struct settling *row = rows; row < rows + count; row++)
    if (row->fate != FATE_DONE)
      list[n++] = (struct fs_failed){
          .ref = fs_ref_of(row->ref), .why = row->why, .dead = row->fate == FATE_DEAD};
  enum status st = fs_fail(s, list, n, err);
  n = 0;
  for (struct settling *row = rows; st == ST_OK && row < rows + count; row++)
    if (row->fate != FATE_DONE) copy_back(row, &list[n++]);
  return st;
}

/* Before those that are done: their folders are synced here, and what was taken out of these may
 * not have reached sent/ for good. */
static void fail_rows(struct fs_finisher *s, struct settling *rows, size_t count, size_t failing) {
  struct error err = {0};
  struct fs_failed *list = calloc(failing, sizeof *list);
  enum status st = list ? fail_together(s, rows, count, list, &err)
                        : error_set(&err, ST_NO_MEMORY, "out of memory");
  for (struct settling *row = rows; st != ST_OK && row < rows + count; row++)
    if (row->fate != FATE_DONE) fail_row(row, &err);
  free(list);
}

/* Those that are done. */
static void fail_done(struct settling *rows, size_t count, const struct error *why) {
  for (struct settling *row = rows; row < rows + count; row++)
    if (row->fate == FATE_DONE) fail_row(row, why);
}

static enum status settle_rows(struct fs_finisher *s, struct settling *rows, size_t count,
                               struct error *err) {
  size_t failing = 0;
  bool all = true;
  enum status st = ST_OK;
  for (const struct settling *row = rows; row < rows + count; row++)
    failing += row->fate != FATE_DONE;
  if (failing) fail_rows(s, rows, count, failing);
  if (failing) st = fs_check(s->site, err); /* that took a while */
  if (st != ST_OK) fail_done(rows, count, err);
  for (struct settling *row = rows; row < rows + count; row++) {
    if (row->fate == FATE_DONE && st == ST_OK) fs_done(s, row);
    all &= row->status == ST_OK;
  }
  return st != ST_OK ? st : all ? ST_OK : ST_AGAIN;
}

/* ---- the batch that they end ---- */

enum status fs_batch_settle(struct fs_site *s, const struct manifest_name *name,
                            struct error *err) {
  enum status st = journal_settle(state_folder(s->state), name, err);
  if (st == ST_OK) reserve_keep(state_folder(s->state), s->log);
  return st;
}

static enum status close_batch(struct fs_finisher *s, const struct manifest_name *name,
                               enum closing *closing, struct error *err) {
  *closing = CLOSING_UNSYNCED;
  enum status st = fs_sync(s, err);
  if (st != ST_OK) return st;
  *closing = CLOSING_SYNCED;
  st = fs_aside_sync(s, err);
  if (st != ST_OK) return st;
  *closing = CLOSING_DURABLE;
  st = fs_check(s->site, err);
  if (st == ST_OK) st = fs_batch_settle(s->site, name, err);
  if (st == ST_OK) *closing = CLOSING_DONE;
  return st;
}

enum status fs_settle(struct fs_finisher *s, struct settling *rows, size_t count,
                      const struct manifest_name *closes, enum closing *closing,
                      struct error *err) {
  enum status st = fs_check(s->site, err);
  for (size_t i = 0; st != ST_OK && i < count; i++) fail_row(&rows[i], err);
  if (st == ST_OK) st = settle_rows(s, rows, count, err);
  return st == ST_OK && closes ? close_batch(s, closes, closing, err) : st;
}
