/* The contract, for callers: each function hands on to the kind that outbox.url names.
 * store.h says which thread calls what, the kind what a crash leaves. */
#include "bridge/base/text/words.h"
#include "bridge/outbox/kinds.h"
#include "bridge/outbox/manifest.h"
#include "bridge/outbox/rules.h"
#include "bridge/outbox/store_ops.h"

#include <errno.h>
#include <stddef.h>

/* The url as it may be shown. A path may look like a URL, and holds no secret. NULL: no memory. */
static char *shown_of(const struct store_ops *ops, const char *address) {
  struct buffer shown = {0};
  buffer_printf(&shown, "%s:", ops->scheme);
  if (ops->traits.at_path)
    buffer_add_z(&shown, address);
  else
    url_show(&shown, span_of(address));
  char *text = shown.failed ? NULL : strdup(buffer_z(&shown));
  buffer_release(&shown);
  return text;
}

enum status store_open(const char *url, const struct store_options *options, struct store **out,
                       struct error *err) {
  const struct store_ops *ops = NULL;
  const char *address = NULL;
  *out = NULL;
  enum status st = store_kind(url, &ops, &address, err);
  if (st != ST_OK) return st;
  struct store *s = calloc(1, sizeof *s);
  char *kept = strdup(url), *shown = shown_of(ops, address);
  st = s && kept && shown ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  if (st == ST_OK) {
    *s = (struct store){.ops = ops, .create = options->create, .url = kept, .shown = shown};
    st = ops->open(kept + (address - url), options, &s->impl, err);
  }
  if (st != ST_OK) {
    free(kept);
    free(shown);
    free(s);
    return st;
  }
  *out = s;
  return ST_OK;
}

void store_close(struct store *s) {
  if (!s) return;
  s->ops->close(s->impl);
  free(s->url);
  free(s->shown);
  free(s);
}

/* ---- who it is, and whose ---- */

const struct store_traits *store_traits(const struct store *s) {
  return &s->ops->traits;
}

const char *store_name(const struct store *s) {
  return s->shown + strlen(s->ops->scheme) + 1;
}

const char *store_url(const struct store *s) {
  return s->shown;
}

const char *store_id(const struct store *s) {
  return s->ops->id(s->impl);
}

enum status store_lock(struct store *s, int64_t wait_ms, struct error *err) {
  BUG_ON(s->locked);
  enum status st = s->ops->lock(s->impl, wait_ms, err);
  s->locked = st == ST_OK;
  return st;
}

bool store_owner(const struct store *s, struct store_owner *out) {
  *out = (struct store_owner){.pid = -1, .here = true, .since_us = TIME_NONE};
  if (s->ops->owner) return s->ops->owner(s->impl, out);
  out->pid = s->ops->holder(s->impl);
  return out->pid != 0;
}

void store_stand_by(struct store *s) {
  if (s->ops->stand_by) s->ops->stand_by(s->impl);
}

const char *store_standby_words(const struct store *s, char out[STORE_STANDBY_TEXT]) {
  struct store_owner list[STORE_STANDBYS];
  size_t count = s->ops->standbys ? s->ops->standbys(s->impl, list) : 0;
  int n = 0;
  *out = '\0';
  for (size_t i = 0; i < count && n < STORE_STANDBY_TEXT; i++)
    n += i ? snprintf(out + n, (size_t)(STORE_STANDBY_TEXT - n), ", pid %lld on %s",
                      (long long)list[i].pid, list[i].host)
           : snprintf(out, STORE_STANDBY_TEXT, "%zu %s: pid %lld on %s", count,
                      count == 1 ? "standby waits" : "standbys wait", (long long)list[i].pid,
                      list[i].host);
  return out;
}

int64_t store_holder(const struct store *s) {
  return s->ops->holder(s->impl);
}

const char *store_owner_where(const struct store_owner *owner, char out[STORE_OWNER_TEXT]) {
  char since[TIME_TEXT];
  int n = snprintf(out, STORE_OWNER_TEXT, "%s%s", *owner->host ? " on " : "", owner->host);
  if (owner->since_us != TIME_NONE)
    snprintf(out + n, STORE_OWNER_TEXT - (size_t)n, " since %.19s UTC",
             time_format(owner->since_us, since));
  return out;
}

const char *store_owner_words(const struct store_owner *owner, char out[STORE_OWNER_TEXT]) {
  char where[STORE_OWNER_TEXT];
  if (owner->pid <= 0)
    snprintf(out, STORE_OWNER_TEXT, "another process");
  else
    snprintf(out, STORE_OWNER_TEXT, "pid %lld%s", (long long)owner->pid,
             store_owner_where(owner, where));
  return out;
}

enum status store_check(struct store *s, struct error *err) {
  return s->ops->check(s->impl, err);
}

enum status store_renew_id(struct store *s, struct error *err) {
  BUG_ON(!s->create || !s->locked);
  return s->ops->renew_id(s->impl, err);
}

const char *store_note_name(const struct store *s, enum note note) {
  return s->ops->note_name(note);
}

enum status store_note_read(const struct store *s, enum note note, struct buffer *out,
                            struct error *err) {
  return s->ops->note_read(s->impl, note, out, err);
}

enum status store_note_write(struct store *s, enum note note, struct span text, struct error *err) {
  BUG_ON(!s->create || !s->locked);
  return s->ops->note_write(s->impl, note, text, err);
}

enum status store_note_remove(struct store *s, enum note note, struct error *err) {
  BUG_ON(!s->create || !s->locked);
  return s->ops->note_remove(s->impl, note, err);
}

const char *store_shelf_words(const struct store *s, enum shelf shelf, struct span token) {
  return s->ops->shelf_words(shelf, token);
}

void store_whereabouts(const struct store *s, enum shelf shelf, const char *token, bool raw,
                       struct buffer *out) {
  s->ops->whereabouts(s->impl, shelf, token, raw, out);
}

const char *store_remedy(const struct store *s, int sys) {
  return s->ops->remedy(sys);
}

bool store_hinders_one(const struct store *s, const struct error *why) {
  return s->ops->hinders_one(s->impl, why);
}

uint64_t store_left(const struct store *s, int64_t now_us) {
  return s->ops->left(s->impl, now_us);
}

const char *store_dead_words(const struct store *s, const struct entry_ref *ref) {
  return s->ops->dead_words(ref);
}

void store_space(const struct store *s, struct store_space *out) {
  s->ops->space(s->impl, out);
}

enum status store_writable(const struct store *s, struct error *err) {
  return s->ops->writable(s->impl, err);
}

void store_examine(struct store *s, enum examination which, struct examined *out) {
  *out = (struct examined){.skew_us = TIME_NONE};
  s->ops->examine(s->impl, which, out);
}

uint64_t store_estimate(const struct store *s, unsigned which) {
  return s->ops->estimate(s->impl, which);
}

enum status store_audit(struct store *s, struct span line, struct error *err) {
  BUG_ON(!s->create || !s->locked);
  return s->ops->audit(s->impl, line, err);
}

enum status store_begin(struct store *s, const struct store_config *config, struct error *err) {
  BUG_ON(s->begun || (s->create && !s->locked));
  if (config->keep_sent && !s->ops->traits.keeps_sent)
    return error_set(err, ST_UNSUPPORTED, "outbox.sent: this kind of outbox keeps none");
  s->begun = true;
  return s->ops->begin(s->impl, config, err);
}

/* ---- what Redis has yet to be told ---- */

enum status store_keys_due_open(struct store *s, size_t most, struct error *err) {
  enum status st = s->ops->keys_due_open(s->impl, most, err);
  s->due = st == ST_OK;
  return st;
}

enum status store_keys_due_add(struct store *s, const struct key *list, const bool *done,
                               size_t count, uint64_t *given_up, struct error *err) {
  BUG_ON(!s->due || !s->create || !s->locked);
  return s->ops->keys_due_add(s->impl, list, done, count, given_up, err);
}

bool store_keys_due_has(struct store *s, struct span id) {
  return s->due && s->ops->keys_due_has(s->impl, id);
}

uint64_t store_keys_due_count(struct store *s) {
  return s->due ? s->ops->keys_due_count(s->impl) : 0;
}

enum status store_keys_due_read(struct store *s, struct key *out, size_t max, size_t *count,
                                struct error *err) {
  BUG_ON(!s->due || !s->create);
  return s->ops->keys_due_read(s->impl, out, max, count, err);
}

enum status store_keys_due_drop(struct store *s, struct error *err) {
  BUG_ON(!s->due || !s->create || !s->locked);
  return s->ops->keys_due_drop(s->impl, err);
}

/* ---- entries ---- */

enum status store_next(struct store *s, struct arena *keep, struct arena *scratch,
                       struct entry *out, struct error *err) {
  BUG_ON(!s->begun);
  return s->ops->next(s->impl, keep, scratch, out, err);
}

enum status store_follow(struct store *s, struct error *err) {
  return s->ops->follow(s->impl, err);
}

void store_wait(struct store *s, int64_t timeout_ms) {
  s->ops->wait(s->impl, timeout_ms);
}

void store_wake(struct store *s) {
  s->ops->wake(s->impl);
}

uint64_t store_rescan(struct store *s) {
  return s->ops->rescan(s->impl);
}

uint64_t store_rescan_settled(struct store *s) {
  return s->ops->rescan_settled(s->impl);
}

bool store_scanned(const struct store *s, uint64_t generation) {
  return s->ops->scanned(s->impl, generation);
}

enum status store_settle(struct store *s, struct settling *rows, size_t count,
                         const struct manifest_name *closes, enum closing *closing,
                         struct error *err) {
  enum closing none;
  struct error local = {0};
  BUG_ON(count > s->ops->traits.rows);
  if (!closing) closing = &none;
  if (!err) err = &local;
  *closing = CLOSING_NOT;
  return s->ops->settle(s->impl, rows, count, closes, closing, err);
}

static enum status settle_one(struct store *s, struct settling one, enum settled *how,
                              struct error *err) {
  enum status st = store_settle(s, &one, 1, NULL, NULL, err);
  *how = one.how;
  if (err && st == ST_AGAIN) *err = one.error;
  return st == ST_AGAIN ? one.status : st;
}

enum status store_done(struct store *s, const struct entry_ref *ref, enum settled *how,
                       struct error *err) {
  return settle_one(s, (struct settling){.ref = ref, .fate = FATE_DONE}, how, err);
}

enum status store_retry(struct store *s, const struct entry_ref *ref, const struct failure *why,
                        enum settled *how, struct error *err) {
  return settle_one(s, (struct settling){.ref = ref, .fate = FATE_RETRY, .why = *why}, how, err);
}

enum status store_dead(struct store *s, const struct entry_ref *ref, const struct failure *why,
                       enum settled *how, struct error *err) {
  return settle_one(s, (struct settling){.ref = ref, .fate = FATE_DEAD, .why = *why}, how, err);
}

enum status store_sync(struct store *s, struct error *err) {
  return s->ops->sync(s->impl, err);
}

void store_linger(struct store *s, const struct entry_ref *ref, bool on) {
  s->ops->linger(s->impl, ref, on);
}

void store_release(struct store *s, const struct entry_ref *ref) {
  s->ops->release(s->impl, ref);
}

enum status store_aside(struct store *s, const struct entry_ref *ref, struct span id,
                        enum aside what, const struct failure *why, const struct error *hindrance,
                        struct error *err) {
  return s->ops->aside(s->impl, ref, id, what, why, hindrance, err);
}

enum status store_aside_sync(struct store *s, struct error *err) {
  return s->ops->aside_sync(s->impl, err);
}

void store_aside_tend(struct store *s) {
  s->ops->aside_tend(s->impl);
}

enum status store_asides(struct store *s, size_t limit, store_aside_fn visit, void *ctx,
                         struct error *err) {
  return s->ops->asides(s->impl, limit, visit, ctx, err);
}

enum status store_counts(struct store *s, struct store_counts *out, struct error *err) {
  return s->ops->counts(s->impl, true, out, err);
}

enum status store_amounts(struct store *s, struct store_counts *out, struct error *err) {
  return s->ops->counts(s->impl, false, out, err);
}

enum status store_list(struct store *s, unsigned which, size_t limit, store_visit_fn visit,
                       void *ctx, uint64_t *total, struct error *err) {
  return s->ops->list(s->impl, which, NULL, limit, visit, ctx, total, err);
}

enum status store_list_range(struct store *s, unsigned which, const struct store_range *range,
                             size_t limit, store_visit_fn visit, void *ctx, uint64_t *total,
                             struct error *err) {
  return s->ops->list(s->impl, which, range, limit, visit, ctx, total, err);
}

enum status store_find(struct store *s, unsigned which, struct span id_or_prefix,
                       store_visit_fn visit, void *ctx, uint64_t *total, struct error *err) {
  return s->ops->find(s->impl, which, id_or_prefix, visit, ctx, total, err);
}

enum status store_look(struct store *s, enum shelf shelf, const char *token, store_visit_fn visit,
                       void *ctx, struct error *err) {
  return s->ops->look(s->impl, shelf, token, visit, ctx, err);
}

enum status store_replay(struct store *s, enum shelf shelf, const char *token, struct error *err) {
  return s->ops->replay(s->impl, shelf, token, err);
}

void store_replay_all(struct store *s, struct letter *list, size_t count, store_judge_fn judge,
                      void *ctx) {
  BUG_ON(count > STORE_LETTERS);
  s->ops->replay_all(s->impl, list, count, judge, ctx);
}

void store_purge(struct store *s, struct letter *list, size_t count) {
  BUG_ON(count > STORE_LETTERS);
  s->ops->purge(s->impl, list, count);
}

enum status store_bytes(struct store *s, const char *token, bool raw, uint64_t from, size_t most,
                        struct buffer *out, uint64_t *size, struct error *err) {
  return s->ops->bytes(s->impl, token, raw, from, most, out, size, err);
}

enum status store_amend(struct store *s, const char *token, int64_t when_us, struct span payload,
                        struct error *err) {
  return s->ops->amend(s->impl, token, when_us, payload, err);
}

enum status store_bury(struct store *s, const struct burial *letter, struct buffer *label,
                       struct error *err) {
  return s->ops->bury(s->impl, letter, label, err);
}

enum status store_emit(struct store *s, struct span storage_key, struct span text,
                       struct buffer *label, struct error *err) {
  return s->ops->emit(s->impl, storage_key, text, label, err);
}

enum status store_survey(struct store *s, size_t limit, store_survey_fn visit, void *ctx,
                         uint64_t *left_out, struct error *err) {
  return s->ops->survey(s->impl, limit, visit, ctx, left_out, err);
}

bool store_lies(struct store *s, const struct entry_ref *ref, struct span id) {
  return s->ops->lies(s->impl, ref, id);
}

/* ---- the journal ---- */

enum status manifest_write(struct store *s, struct manifest *m, const char *nonce,
                           struct error *err) {
  return s->ops->batch_write(s->impl, m, nonce, err);
}

enum status manifest_list(struct store *s, struct manifest_name **list, size_t *count,
                          struct error *err) {
  return s->ops->batch_list(s->impl, list, count, err);
}

enum status manifest_read(struct store *s, const struct manifest_name *name, struct manifest *out,
                          struct error *err) {
  return s->ops->batch_read(s->impl, name, out, err);
}

enum status manifest_names(struct store *s, const struct span *ids, size_t count, bool *named,
                           struct error *err) {
  return s->ops->batch_names(s->impl, ids, count, named, err);
}

enum status manifest_settle(struct store *s, const struct manifest_name *name, struct error *err) {
  return s->ops->batch_settle(s->impl, name, err);
}

enum status manifest_remove(struct store *s, const struct manifest_name *name, struct error *err) {
  return s->ops->batch_remove(s->impl, name, err);
}

/* ---- selections ---- */

enum status store_draft_begin(struct store *s, struct store_draft *d, struct error *err) {
  BUG_ON(!s->create || !s->locked);
  *d = (struct store_draft){.store = s};
  enum status st = s->ops->draft_begin(s->impl, &d->impl, err);
  if (st != ST_OK) d->store = NULL;
  return st;
}

enum status store_draft_add(struct store_draft *d, struct span text, struct error *err) {
  return d->store->ops->draft_add(d->store->impl, d->impl, text, err);
}

enum status store_draft_commit(struct store_draft *d, uint64_t *number, struct error *err) {
  return d->store->ops->draft_commit(d->store->impl, d->impl, number, err);
}

void store_draft_close(struct store_draft *d) {
  if (d->store) d->store->ops->draft_close(d->store->impl, d->impl);
  d->store = NULL;
}

enum status store_selections(struct store *s, uint64_t numbers[SELECTIONS_MOST], size_t *count,
                             struct error *err) {
  return s->ops->selections(s->impl, numbers, count, err);
}

enum status store_selection_size(struct store *s, uint64_t number, uint64_t *size,
                                 struct error *err) {
  return s->ops->selection_size(s->impl, number, size, err);
}

enum status store_selection_read(struct store *s, uint64_t number, uint64_t at, size_t most,
                                 struct buffer *out, struct error *err) {
  return s->ops->selection_read(s->impl, number, at, most, out, err);
}

enum status store_selection_add(struct store *s, uint64_t number, struct span text,
                                struct error *err) {
  return s->ops->selection_add(s->impl, number, text, err);
}

enum status store_selection_remove(struct store *s, uint64_t number, struct error *err) {
  return s->ops->selection_remove(s->impl, number, err);
}
