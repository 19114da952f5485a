/* Entries that were published before we came leave the outbox, as many in one call as it takes; the
 * last call of a batch closes its record too. Every step may be repeated. The publisher's thread. A
 * crash leaves the record as it was, and the next start settles all that it names once more. */
#include "bridge/relay/ledger/settle_late.h"

#include "bridge/relay/parts.h"

struct late *late_begin(struct relay *r, struct error *err) {
  struct late *l = calloc(1, sizeof *l);
  if (l)
    l->relay = r;
  else
    error_set(err, ST_NO_MEMORY, "out of memory");
  return l;
}

/* Before they go: a crash in between leaves entries whose ids are known. */
static void set_keys(const struct late *l) {
  struct relay *r = l->relay;
  struct key keys[STORE_ROWS];
  struct error why = {0};
  if (r->keys_off || !l->count) return;
  for (size_t i = 0; i < l->count; i++)
    keys[i] = (struct key){l->entries[i]->id, l->entries[i]->topic};
  if (keys_set(r->parts.keys, keys, l->count, &why) != ST_OK)
    log_write(r->parts.log, LOG_WARNING, "relay", "keys_not_kept",
              FIELDS(F_TEXT("error", why.text)),
              "Ids of a batch could be kept neither in Redis nor in the outbox");
}

/* It alone is hindered, and all others go on. */
static enum status set_aside(struct late *l, size_t i, struct error *err) {
  struct settling *row = &l->rows[i];
  struct error refused = {0};
  enum status st = store_aside(l->relay->parts.store, row->ref, row->id, ASIDE_DONE, NULL,
                               &row->error, &refused);
  if (st == ST_OK) return ST_OK;
  if (err) *err = row->error;
  error_prefix(err, "%s", refused.text);
  return row->status;
}

static enum status tell_rows(struct late *l, struct error *err) {
  enum status st = ST_OK;
  for (size_t i = 0; i < l->count; i++) {
    const struct settling *row = &l->rows[i];
    bool gone = row->how == SETTLED_GONE || row->how == SETTLED_REUSED;
    if (row->status != ST_OK && st == ST_OK) st = set_aside(l, i, err);
    if (row->status != ST_OK) continue;
    l->gone += gone;
    if (row->how == SETTLED_REUSED) tell_reused_late(l->relay, l->entries[i]);
  }
  return st;
}

/* closes: NULL where it is not the end. *closing: how far the record got. */
static enum status settle_rows(struct late *l, const struct manifest_name *closes,
                               enum closing *closing, struct error *err) {
  struct store *store = l->relay->parts.store;
  set_keys(l);
  enum status st = store_settle(store, l->rows, l->count, closes, closing, err);
  bool stay = st == ST_AGAIN; /* some of them */
  if (st == ST_OK || stay || *closing != CLOSING_NOT) {
    enum status rows = tell_rows(l, err);
    if (stay) st = rows;
  }
  l->count = 0;
  return st == ST_OK && stay && closes ? store_settle(store, NULL, 0, closes, closing, err) : st;
}

enum status late_add(struct late *l, const struct manifest_entry *e, struct error *err) {
  enum closing closing = CLOSING_NOT;
  size_t most = store_traits(l->relay->parts.store)->rows;
  enum status st = l->count == most ? settle_rows(l, NULL, &closing, err) : ST_OK;
  if (st != ST_OK) return st;
  l->entries[l->count] = e;
  l->rows[l->count++] =
      (struct settling){.ref = &e->ref, .id = e->id, .late = true, .fate = FATE_DONE};
  return ST_OK;
}

/* L11. What a failed fsync lost the next one does not tell: the record stays for the next start. */
static enum status unsynced(struct relay *r, const struct error *why) {
  atomic_store(&r->unsynced, true);
  disk_trouble(r, DISK_UNSYNCED, why);
  return ST_OK;
}

/* All but the mark is durable: it alone may be stuck. */
static enum status mark_settled(struct relay *r, struct manifest_name *name, struct error *err) {
  enum status st = store_check(r->parts.store, err);
  return st == ST_OK ? stuck_settle(r, name, err) : st;
}

static enum status sync_all(struct relay *r, struct error *err) {
  enum status st = store_sync(r->parts.store, err);
  return st == ST_OK ? store_aside_sync(r->parts.store, err) : st;
}

enum status late_end(struct late *l, struct manifest_name *closes, struct error *err) {
  struct relay *r = l->relay;
  enum closing closing = CLOSING_NOT;
  bool may_close = !atomic_load(&r->unsynced);
  enum status st = settle_rows(l, may_close ? closes : NULL, &closing, err);
  if (!closes) return st == ST_OK ? sync_all(r, err) : st;
  switch (closing) {
  case CLOSING_NOT:
  case CLOSING_SYNCED: return st;
  case CLOSING_UNSYNCED: return unsynced(r, err);
  case CLOSING_DURABLE: return mark_settled(r, closes, err);
  case CLOSING_DONE: break;
  }
  closes->settled = true;
  return st;
}
