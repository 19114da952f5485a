/* The SQLite kind: its steps, and the operations that are made of them.
 * Any thread; a crash rolls back what was not committed. */
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/sqlite/sqlite.h"

static const struct db_steps steps = {
    .open = sq_open,
    .close = sq_close,
    .make_id = sq_make_id,
    .claim = sq_claim,
    .renew = sq_renew,
    .release = sq_release,
    .renew_id = sq_renew_id,
    .batch_write = sq_batch_write,
    .batch_settle = sq_batch_settle,
    .batch_remove = sq_batch_remove,
    .settle = sq_settle,
    .replay = sq_replay,
    .purge = sq_purge,
    .amend = sq_amend,
    .bury = sq_bury,
    .insert = sq_insert,
    .sync = sq_sync,
    .text_replace = sq_text_replace,
    .text_append = sq_text_append,
    .text_move = sq_text_move,
    .text_remove = sq_text_remove,
    .keys_due_add = sq_keys_due_add,
    .keys_due_drop = sq_keys_due_drop,
    .identify = sq_identify,
    .read = sq_read,
    .sweep = sq_sweep,
    .arrived = sq_arrived,
    .watched = sq_watched,
    .watched_take = sq_watched_take,
    .body = sq_body,
    .batch_list = sq_batch_list,
    .batch_read = sq_batch_read,
    .text_read = sq_text_read,
    .text_names = sq_text_names,
    .keys_due_read = sq_keys_due_read,
    .keys_due_count = sq_keys_due_count,
    .keys_due_has = sq_keys_due_has,
    .count = sq_count,
    .owner = sq_owner,
    .space = sq_space,
    .writable = sq_writable,
    .examine = sq_examine,
};

static enum status open_sqlite(const char *address, const struct store_options *options, void **out,
                               struct error *err) {
  return db_open(&steps, address, options, out, err);
}

const struct store_ops store_sqlite_ops = {.scheme = "sqlite",
                                           .traits = DATABASE_TRAITS,
                                           .prepare = sq_prepare,
                                           .open = open_sqlite,
                                           DATABASE_OPS};
