/* database.h - the operations of an outbox in a database, but for those that a kind of database
 * has for itself: opening (db_open with its steps) and prepare. A kind's table is
 *   const struct store_ops store_x_ops = {.scheme = "x", .traits = DATABASE_TRAITS,
 *                                         .prepare = x_prepare, .open = x_open, DATABASE_OPS};
 */
#ifndef BRIDGE_OUTBOX_DATABASE_DATABASE_H
#define BRIDGE_OUTBOX_DATABASE_DATABASE_H

#include "bridge/outbox/database/steps.h"
#include "bridge/outbox/prepare.h"
#include "bridge/outbox/store_ops.h"

/* steps->open, and what stands above it. *out is for the operations below. */
enum status db_open(const struct db_steps *steps, const char *address,
                    const struct store_options *options, void **out, struct error *err);

/* For the kinds' prepare, by was, known and fresh of p. ST_OK: the tables are made, or brought to
 * p->known, or there is nothing to do; ST_UNSUPPORTED, ST_EXISTS, ST_NOT_FOUND as prepare.h has
 * them. database: by what people know it. */
MUST_CHECK enum status db_judge_version(const char *database, const struct store_preparation *p,
                                        struct error *err);

/* clang-format off */
#define DATABASE_TRAITS {.steps = true, .goes_back = true, .rows = STORE_ROWS, .label = "row", .lasts = true, .watches = true, .order = ORDER_OF_COMING, .counts = false, .keeps_sent = false}
#define DATABASE_OPERATIONS(X) \
  X(close) X(id) X(lock) X(holder) X(owner) X(stand_by) X(standbys) X(check) X(renew_id) X(note_name) X(note_read) X(note_write) X(note_remove) \
  X(shelf_words) X(dead_words) X(whereabouts) X(hinders_one) X(remedy) X(vitals) X(left) X(space) X(writable) X(examine) \
  X(estimate) X(audit) X(draft_begin) X(draft_add) X(draft_commit) X(draft_close) X(selections) \
  X(selection_size) X(selection_read) X(selection_add) X(selection_remove) X(keys_due_open) X(keys_due_add) X(keys_due_has) \
  X(keys_due_count) X(keys_due_read) X(keys_due_drop) X(begin) X(next) X(follow) X(wait) X(wake) X(rescan) X(rescan_settled) \
  X(scanned) X(settle) X(sync) X(linger) X(release) X(aside) X(aside_sync) X(aside_tend) X(asides) X(counts) \
  X(list) X(find) X(look) X(replay) X(replay_all) X(purge) X(bytes) X(amend) X(bury) X(emit) X(survey) X(lies) X(batch_write) \
  X(batch_list) X(batch_read) X(batch_names) X(batch_settle) X(batch_remove)
#define DATABASE_OPS DATABASE_OPERATIONS(DATABASE_OP)
#define DATABASE_OP(name) .name = db_##name,
/* clang-format on */

/* The operations, of store_ops.h. */
void db_close(void *);
const char *db_id(const void *);
enum status db_lock(void *, int64_t wait_ms, struct error *);
int64_t db_holder(const void *);
bool db_owner(const void *, struct store_owner *);
void db_stand_by(void *);
size_t db_standbys(const void *, struct store_owner[STORE_STANDBYS]);
enum status db_check(void *, struct error *);
enum status db_renew_id(void *, struct error *);
const char *db_note_name(enum note);
enum status db_note_read(const void *, enum note, struct buffer *, struct error *);
enum status db_note_write(void *, enum note, struct span, struct error *);
enum status db_note_remove(void *, enum note, struct error *);
const char *db_shelf_words(enum shelf, struct span);
const char *db_dead_words(const struct entry_ref *);
void db_whereabouts(const void *, enum shelf, const char *, bool, struct buffer *);
bool db_hinders_one(const void *, const struct error *);
const char *db_remedy(int);
void db_vitals(const void *, struct store_vitals *);
uint64_t db_left(const void *, int64_t now_us);
void db_space(const void *, struct store_space *);
enum status db_writable(const void *, struct error *);
void db_examine(void *, enum examination, struct examined *);
uint64_t db_estimate(const void *, unsigned);
enum status db_audit(void *, struct span, struct error *);
enum status db_draft_begin(void *, void **, struct error *);
enum status db_draft_add(void *, void *draft, struct span, struct error *);
enum status db_draft_commit(void *, void *draft, uint64_t *, struct error *);
void db_draft_close(void *, void *draft);
enum status db_selections(void *, uint64_t[SELECTIONS_MOST], size_t *, struct error *);
enum status db_selection_size(void *, uint64_t, uint64_t *, struct error *);
enum status db_selection_read(void *, uint64_t, uint64_t, size_t, struct buffer *, struct error *);
enum status db_selection_add(void *, uint64_t, struct span, struct error *);
enum status db_selection_remove(void *, uint64_t, struct error *);
enum status db_keys_due_open(void *, size_t, struct error *);
enum status db_keys_due_add(void *, const struct key *, const bool *, size_t, uint64_t *,
                            struct error *);
bool db_keys_due_has(void *, struct span);
uint64_t db_keys_due_count(void *);
enum status db_keys_due_read(void *, struct key *, size_t, size_t *, struct error *);
enum status db_keys_due_drop(void *, struct error *);
enum status db_begin(void *, const struct store_config *, struct error *);
enum status db_next(void *, struct arena *, struct arena *, struct entry *, struct error *);
enum status db_follow(void *, struct error *);
void db_wait(void *, int64_t);
void db_wake(void *);
uint64_t db_rescan(void *);
uint64_t db_rescan_settled(void *);
bool db_scanned(void *, uint64_t);
enum status db_settle(void *, struct settling *, size_t, const struct manifest_name *,
                      enum closing *, struct error *);
enum status db_sync(void *, struct error *);
void db_linger(void *, const struct entry_ref *, bool on);
void db_release(void *, const struct entry_ref *);
enum status db_aside(void *, const struct entry_ref *, struct span, enum aside,
                     const struct failure *, const struct error *, struct error *);
enum status db_aside_sync(void *, struct error *);
void db_aside_tend(void *);
enum status db_asides(void *, size_t, store_aside_fn, void *, struct error *);
enum status db_counts(void *, bool oldest, struct store_counts *, struct error *);
enum status db_list(void *, unsigned, const struct store_range *, size_t, store_visit_fn, void *,
                    uint64_t *, struct error *);
enum status db_find(void *, unsigned, struct span, store_visit_fn, void *, uint64_t *,
                    struct error *);
enum status db_look(void *, enum shelf, const char *, store_visit_fn, void *, struct error *);
enum status db_replay(void *, enum shelf, const char *, struct error *);
void db_replay_all(void *, struct letter *, size_t, store_judge_fn, void *);
void db_purge(void *, struct letter *, size_t);
enum status db_bytes(void *, const char *, bool, uint64_t, size_t, struct buffer *, uint64_t *,
                     struct error *);
enum status db_amend(void *, const char *, int64_t, struct span, struct error *);
enum status db_bury(void *, const struct burial *, struct buffer *, struct error *);
enum status db_emit(void *, struct span, struct span, struct buffer *, struct error *);
enum status db_survey(void *, size_t, store_survey_fn, void *, uint64_t *, struct error *);
bool db_lies(void *, const struct entry_ref *, struct span);
enum status db_batch_write(void *, struct manifest *, const char *, struct error *);
enum status db_batch_list(void *, struct manifest_name **, size_t *, struct error *);
enum status db_batch_read(void *, const struct manifest_name *, struct manifest *, struct error *);
enum status db_batch_names(void *, const struct span *, size_t, bool *, struct error *);
enum status db_batch_settle(void *, const struct manifest_name *, struct error *);
enum status db_batch_remove(void *, const struct manifest_name *, struct error *);

#endif
