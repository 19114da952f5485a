/* The last stage: what the verdicts mean for the outbox.
 *
 * Order within a chain: keys first, then the entries, then what makes that durable. A crash before
 * a removal leaves the entry, whose id Redis (or keys-due) then knows: a duplicate at the next
 * start. While the outbox refuses, the finisher tries again with the entry still in hand, so
 * nothing is published twice meanwhile; what comes before it waits. The finisher's thread. */
#include "bridge/base/text/words.h"
#include "bridge/relay/parts.h"

enum { KEYS_AT_ONCE = 500, DISK_RETRY_MS = 500, TOPIC_MOST = 249 };
enum { PLACE_TEXT = TOPIC_MOST + 2 * (2 + NUMBER_DIGITS) };

static struct metrics *numbers(struct relay *r) {
  return r->parts.metrics;
}

/* ---- keys ---- */

static void set_keys(struct relay *r, const struct key *keys, size_t count) {
  struct error err = {0};
  enum status st = keys_set(r->parts.keys, keys, count, &err);
  series_add(metrics_series(numbers(r), METRIC_REDIS, "set", st == ST_OK ? "ok" : "error"), 1);
  if (st != ST_OK)
    log_write(
        r->parts.log, LOG_WARNING, "relay", "keys_not_kept",
        FIELDS(F_INT("events", count), F_TEXT("error", err.text)),
        "Ids could be kept neither in Redis nor in the outbox: a crash may publish these events "
        "again");
}

/* Topic, partition, offset; printf would cost more than the removal of the file. */
static struct span place_of(struct relay *r, const struct item *item, char out[PLACE_TEXT]) {
  struct span topic = span_of(routing_topic_name(r->parts.routing, item->topic));
  size_t len = topic.len < TOPIC_MOST ? topic.len : TOPIC_MOST;
  memcpy(out, topic.ptr, len);
  const int64_t numbers[] = {item->partition, item->offset};
  for (size_t i = 0; i < 2; i++) {
    out[len++] = '/';
    if (numbers[i] < 0) out[len++] = '-'; /* not known */
    len += number_digits(numbers[i] < 0 ? -(uint64_t)numbers[i] : (uint64_t)numbers[i], out + len);
  }
  return (struct span){out, len};
}

static void set_chain_keys(struct relay *r, const struct item *first) {
  struct key keys[KEYS_AT_ONCE];
  char places[KEYS_AT_ONCE][PLACE_TEXT];
  size_t n = 0;
  if (r->keys_off) return;
  for (const struct item *item = first; item; item = item->next) {
    if (item->outcome != OUTCOME_PUBLISHED) continue;
    keys[n] = (struct key){item->id, place_of(r, item, places[n])};
    if (++n < KEYS_AT_ONCE) continue;
    set_keys(r, keys, n);
    n = 0;
  }
  if (n) set_keys(r, keys, n);
}

/* ---- the outbox ---- */

static struct failure failure_of(const struct finishing *f, const struct item *item) {
  return (struct failure){
      .reason = (enum reason)item->reason,
      .error = item->error,
      .error_code = item->error_code,
      .topic = item->routed ? routing_topic_name(f->relay->parts.routing, item->topic) : NULL,
      .attempts = item->attempts,
      .failed_us = f->settling_us};
}

static bool rewrites(enum outcome fate) {
  return fate == OUTCOME_DEAD || fate == OUTCOME_RETRY;
}

static bool settles(enum outcome fate) {
  return rewrites(fate) || fate == OUTCOME_PUBLISHED || fate == OUTCOME_DUPLICATE;
}

/* Field by field: the room for an error's words is nine tenths of a row. */
static void set_row(const struct finishing *f, const struct item *item, enum outcome fate,
                    struct settling *row) {
  BUG_ON_RULE(L14, f->lost);
  BUG_ON_RULE(L18, rewrites(fate) && !item->attempts);
  row->ref = &item->ref;
  row->id = (struct span){0};
  row->late = false;
  row->fate = fate == OUTCOME_DEAD ? FATE_DEAD : rewrites(fate) ? FATE_RETRY : FATE_DONE;
  row->why = rewrites(fate) ? failure_of(f, item) : (struct failure){0};
  row->how = SETTLED_GONE;
  row->status = row->error.status = ST_OK;
  row->error.text[0] = '\0';
}

static bool wait_for_disk(struct relay *r, const struct error *err) {
  disk_trouble(r, DISK_SETTLING, err);
  mutex_lock(&r->lock);
  relay_wait_ms(r, DISK_RETRY_MS);
  mutex_unlock(&r->lock);
  relay_beat(r, &r->finisher_us);
  return !relay_must_end(r);
}

static void not_ours(struct finishing *f, const struct error *why) {
  f->lost = f->unsettled = true;
  relay_fail(f->relay, ST_BUSY, why->text);
}

/* Not where it only cannot be looked at: then that is waited for. False: it is not, or the relay
 * ends before. */
static bool still_ours(struct finishing *f) {
  struct relay *r = f->relay;
  struct error err = {0};
  bool waited = false, go_on = true;
  enum status st;
  while ((st = store_check(r->parts.store, &err)) != ST_OK && st != ST_BUSY && go_on) {
    waited = true;
    go_on = wait_for_disk(r, &err);
  }
  if (waited && st == ST_OK) disk_works(r, DISK_SETTLING);
  f->unsettled = f->unsettled || st != ST_OK;
  if (st == ST_BUSY) not_ours(f, &err);
  return st == ST_OK;
}

/* Every second: an outbox that was unmounted or replaced has nothing to tell, and nothing that is
 * done to it fails. */
void settle_watch(struct finishing *f) {
  struct error err = {0};
  if (f->lost || store_check(f->relay->parts.store, &err) != ST_BUSY) return;
  not_ours(f, &err);
}

/* It alone is hindered: what became of it is written down, and all others go on. On false err says
 * why not. */
static bool set_aside(struct finishing *f, const struct item *item, enum outcome fate,
                      enum settled *how, struct error *err) {
  const struct failure why = failure_of(f, item);
  enum aside what = fate == OUTCOME_RETRY  ? ASIDE_RETRY
                    : fate == OUTCOME_DEAD ? ASIDE_DEAD
                                           : ASIDE_DONE;
  struct error refused = {0};
  enum status st =
      store_aside(f->relay->parts.store, &item->ref, item->id, what, &why, err, &refused);
  if (st != ST_OK) error_prefix(err, "%s", refused.text);
  *how = SETTLED_GONE;
  return st == ST_OK;
}

/* By itself, twice. ST_BUSY: only that the outbox is not ours any more. */
static enum status apply(struct finishing *f, const struct item *item, enum outcome fate,
                         enum settled *how, struct error *err) {
  enum status st = ST_AGAIN;
  for (unsigned tries = 0; tries < 2 && st != ST_OK && st != ST_BUSY; tries++) {
    struct settling *row = &f->rows[0];
    set_row(f, item, fate, row);
    st = store_settle(f->relay->parts.store, row, 1, NULL, NULL, err);
    *how = row->how;
    if (st == ST_AGAIN) *err = row->error;
  }
  if (st == ST_BUSY) not_ours(f, err);
  return st;
}

/* False: the disk refused to the end, or the outbox is another's; the entry is as it was. */
static bool settle_one(struct finishing *f, const struct item *item, enum outcome fate,
                       enum settled *how) {
  struct relay *r = f->relay;
  struct error err = {0};
  *how = (enum settled)item->how;
  if (!item->settled && !settles(fate)) {
    store_release(r->parts.store, &item->ref);
    return true;
  }
  while (!item->settled) {
    if (fate == OUTCOME_DEAD && !holds_save(r, &err)) { /* before it is one */
      if (!still_ours(f) || !wait_for_disk(r, &err)) return false;
      continue;
    }
    enum status st = apply(f, item, fate, how, &err);
    if (st == ST_OK) break;
    if (st == ST_BUSY) return false;
    if (st == ST_AGAIN && set_aside(f, item, fate, how, &err)) break;
    if (!wait_for_disk(r, &err)) return false;
  }
  disk_works(r, DISK_SETTLING);
  return true;
}

/* ---- numbers and words ---- */

static const char *result_word(enum outcome fate, enum settled how) {
  if (how == SETTLED_VANISHED && fate != OUTCOME_PUBLISHED) return "vanished";
  switch (fate) {
  case OUTCOME_PUBLISHED: return "published";
  case OUTCOME_DUPLICATE: return "duplicate";
  case OUTCOME_RETRY: return "retried";
  case OUTCOME_DEAD: return "dead";
  case OUTCOME_HELD:
  case OUTCOME_WAITS:
  case OUTCOME_SEND:
  case OUTCOME_TWIN: break;
  }
  return NULL;
}

/* Of an event that has a schema, so its names are as many as these. */
static void count_unplaced(struct finishing *f, const struct item *item) {
  char name[EVENT_NAME_MAX + 1];
  snprintf(name, sizeof name, "%.*s", SPAN_ARGS(item->name));
  series_add(metrics_series(numbers(f->relay), METRIC_UNPLACED, name, NULL), item->unplaced);
}

static void count_published(struct finishing *f, const struct item *item) {
  struct numbers *n = &f->numbers;
  if (!span_is(item->ns, n->published[item->topic].ns)) {
    item_namespace(f->relay, item, n->published[item->topic].ns);
    n->published[item->topic].series =
        metrics_series(numbers(f->relay), METRIC_EVENTS, n->published[item->topic].ns, "published");
  }
  series_add(n->published[item->topic].series, 1);
  if (item->keyless)
    series_add(
        metrics_series(numbers(f->relay), METRIC_KEYLESS, n->published[item->topic].ns, NULL), 1);
  if (item->unplaced) count_unplaced(f, item);
  if (item->written) schema_id_published(item->written, item->partition, item->offset);
  int64_t whole = f->settling_us - item->created_us;
  int64_t handed = (f->settling_ns - item->handed_ns) / 1000;
  series_record(n->publish, (uint64_t)(handed > 0 ? handed : 0));
  series_record(n->latency, (uint64_t)(whole > 0 ? whole : 0));
}

static void count_item(struct finishing *f, const struct item *item, enum outcome fate,
                       enum settled how) {
  struct relay *r = f->relay;
  const char *result = result_word(fate, how);
  if (!result || (fate == OUTCOME_DEAD && how == SETTLED_CHANGED))
    return; /* other bytes: they are judged anew */
  if (fate == OUTCOME_PUBLISHED || fate == OUTCOME_DEAD)
    series_record(f->numbers.attempts, item->attempts);
  if (fate == OUTCOME_PUBLISHED) {
    count_published(f, item);
    return;
  }
  char ns[64];
  item_namespace(r, item, ns);
  series_add(metrics_series(numbers(r), METRIC_EVENTS, ns, result), 1);
  if (fate == OUTCOME_DEAD)
    series_add(metrics_series(numbers(r), METRIC_DEAD, ns, reason_word((enum reason)item->reason)),
               1);
}

/* ---- a chain ---- */

/* Out of the list of ids in hand: it gets no more twins, and those it has may be settled with it.
 * Lock held. */
static void unlist(struct relay *r, struct item *item) {
  if (item->listed) table_remove(&r->ids, item->id);
  item->listed = false;
}

static void remember_due(struct finishing *f, const struct item *item) {
  struct relay *r = f->relay;
  int64_t now = f->settling_us;
  int64_t due = verdict_due_us(item->attempts, now, now, r->config.tuning.flush_interval_ms);
  if (r->next_due_us == TIME_NONE || due < r->next_due_us) r->next_due_us = due;
}

/* What goes back may be taken again the moment the store has it: by then it is unlisted, else the
 * reader would find it in hand and take it for its own twin, which then comes behind newer events
 * of its key. */
static void unlist_first(struct relay *r, struct item *item, enum outcome fate) {
  if (fate != OUTCOME_HELD && fate != OUTCOME_WAITS && fate != OUTCOME_RETRY) return;
  mutex_lock(&r->lock);
  unlist(r, item);
  mutex_unlock(&r->lock);
}

static bool another_event(const struct item *twin, const struct item *item) {
  return twin->ref.content && item->ref.content && twin->ref.content != item->ref.content;
}

/* Lock held: nothing later waits for it any more, unless it is to go again. */
static void let_key_go(struct relay *r, const struct item *item, enum outcome fate,
                       enum settled how) {
  /* What became another event at its name is judged anew, in its old place. */
  bool still = fate == OUTCOME_HELD || fate == OUTCOME_WAITS ||
               (fate == OUTCOME_RETRY && how != SETTLED_VANISHED) ||
               (fate == OUTCOME_DEAD && how == SETTLED_CHANGED);
  if (!still && item->routed)
    waiting_release(&r->waiting, item->topic, item->key, item->ref.label);
  else if (!still)
    waiting_release_file(&r->waiting, item->ref.label);
}

static void settle_item(struct finishing *f, struct item *item, enum outcome fate) {
  struct relay *r = f->relay;
  enum settled how = SETTLED_GONE;
  BUG_ON(fate == OUTCOME_SEND || fate == OUTCOME_TWIN); /* no verdict, or its head's */
  relay_beat(r, &r->finisher_us);
  if (!item->settled && settles(fate)) f->durable = false;
  unlist_first(r, item, fate);
  if (!settle_one(f, item, fate, &how)) {
    f->unsettled = true;
    fate = OUTCOME_HELD;
  }
  if (item->suspected && fate != OUTCOME_HELD && fate != OUTCOME_WAITS)
    crash_marks_clear(r->parts.crash_marks, item->ref.token);
  if (how == SETTLED_REUSED) tell_reused(r, item, item);
  count_item(f, item, fate, how);
  tell_item(f, item, fate, how);
  mutex_lock(&r->lock);
  unlist(r, item);
  struct item *twins = item->twins;
  if (fate == OUTCOME_RETRY && how == SETTLED_GONE) remember_due(f, item);
  if (item->generation == r->counted) {
    r->status.retrying += fate == OUTCOME_RETRY && how == SETTLED_GONE;
    r->status.held += fate == OUTCOME_HELD && item->key_held;
  }
  let_key_go(r, item, fate, how);
  if (fate == OUTCOME_PUBLISHED || fate == OUTCOME_DUPLICATE) holds_settled(r, item);
  if (fate == OUTCOME_PUBLISHED) r->status.last_publish_us = f->settling_us;
  flush_settled(r, item, fate, f->settling_ns / 1000000);
  mutex_unlock(&r->lock);
  bool gone = fate == OUTCOME_PUBLISHED || fate == OUTCOME_DUPLICATE;
  while (twins) {
    struct item *twin = twins;
    twins = twin->next;
    if (gone) twin->error = item->error;
    if (gone && another_event(twin, item)) tell_reused(r, twin, item);
    settle_item(f, twin, gone || twin->settled ? OUTCOME_DUPLICATE : OUTCOME_HELD);
  }
  batch_drop(r, item->batch, 1);
}

/* ---- many at once ---- */

/* L11. A failed fsync is not asked twice: the next one would say yes of what the first one lost. No
 * manifest of this run is closed any more, so that the next start settles them again. */
static void unsynced(struct finishing *f, const struct error *why) {
  f->unsettled = true;
  disk_trouble(f->relay, DISK_UNSYNCED, why);
}

static bool sync_outbox(struct finishing *f) {
  struct error err = {0};
  if (store_sync(f->relay->parts.store, &err) == ST_OK) return f->durable = !f->unsettled;
  unsynced(f, &err);
  return false;
}

static void add_row(struct finishing *f, struct item *item, enum outcome fate) {
  unlist_first(f->relay, item, fate);
  f->items[f->count] = item;
  set_row(f, item, fate, &f->rows[f->count++]);
}

/* Its twins go out with it: those of its own batch stand in that batch's manifest. More may come
 * until it is unlisted. */
static bool add_item(struct finishing *f, struct item *item) {
  struct relay *r = f->relay;
  enum outcome fate = (enum outcome)item->outcome;
  size_t twins = 0;
  item->tried = true;
  if (!settles(fate)) return true;
  item->tried = !f->count; /* one with more twins than there is room for goes by itself */
  mutex_lock(&r->lock);
  struct item *first = rewrites(fate) ? NULL : item->twins;
  for (const struct item *twin = first; twin; twin = twin->next) twins++;
  mutex_unlock(&r->lock);
  if (f->count + 1 + twins > store_traits(r->parts.store)->rows) return false;
  item->tried = true;
  add_row(f, item, fate);
  for (; twins; twins--, first = first->next) add_row(f, first, OUTCOME_DUPLICATE);
  return true;
}

/* From this item to the end of its batch, as far as there is room. NULL: not to its end. */
static const struct manifest_name *gather_rows(struct finishing *f, struct item *item, bool *dies) {
  f->count = 0;
  *dies = false;
  for (; item; item = item->next) {
    if (!add_item(f, item)) return NULL;
    *dies |= item->outcome == OUTCOME_DEAD;
    if (item->closes) return item->closes;
  }
  return NULL;
}

/* So that they wait for the disk together. What does not work out is tried by itself when its turn
 * comes, which is when the others' is told too. */
static void settle_together(struct finishing *f, struct item *first) {
  struct relay *r = f->relay;
  struct error err = {0};
  bool dies;
  const struct manifest_name *closes = gather_rows(f, first, &dies);
  f->closing = CLOSING_NOT;
  if (dies && !holds_save(r, &err)) return; /* before they are dead letters */
  if (f->unsettled) closes = NULL;          /* the next start settles what is left of it */
  if (f->count) f->durable = false;
  if (!f->count && !closes) return;
  enum status st = store_settle(r->parts.store, f->rows, f->count, closes, &f->closing, &err);
  if (st == ST_BUSY) {
    not_ours(f, &err);
    return;
  }
  for (size_t i = 0; i < f->count; i++) {
    f->items[i]->settled = f->rows[i].status == ST_OK;
    f->items[i]->how = (uint8_t)f->rows[i].how;
  }
  if (f->closing >= CLOSING_DURABLE) f->durable = true;
  if (f->closing == CLOSING_UNSYNCED) unsynced(f, &err);
}

static void tell_chain(struct relay *r, size_t published, size_t all) {
  series_record(metrics_series(numbers(r), METRIC_BATCH, NULL, NULL), published);
  log_write(r->parts.log, LOG_INFO, "relay", "batch_settled",
            FIELDS(F_INT("published", published), F_INT("events", all)), "%zu events published",
            published);
}

/* What was set aside is on the disk, however long that takes; false: it is not. */
static bool sync_aside(struct finishing *f) {
  struct relay *r = f->relay;
  struct error err = {0};
  BUG_ON_RULE(L10,
              !f->durable); /* what is set aside is forgotten there once its removal is durable */
  f->durable = false;
  while (store_aside_sync(r->parts.store, &err) != ST_OK)
    if (!still_ours(f) || !wait_for_disk(r, &err)) return false;
  disk_works(r, DISK_SETTLING);
  return f->durable = true;
}

/* L10: the removals are durable, then the batch's manifest may go: until both worked, however long.
 */
static void close_batch(struct finishing *f, const struct manifest_name *name) {
  struct relay *r = f->relay;
  struct error err = {0};
  if (!f->durable && (!sync_outbox(f) || !sync_aside(f))) return;
  BUG_ON_RULE(L10, !f->durable);
  BUG_ON_RULE(L11, f->unsettled);
  while (ledger_settled(r, name, f->closing == CLOSING_DONE, &err) != ST_OK) {
    if (!still_ours(f) || !wait_for_disk(r, &err)) return; /* the next start settles it again */
  }
  disk_works(r, DISK_SETTLING);
}

void stage_settle(struct finishing *f, struct item *first) {
  struct relay *r = f->relay;
  size_t published = 0, all = 0;
  f->unsettled = f->unsettled || atomic_load(&r->unsynced);
  if (!still_ours(f)) return; /* touches nothing: it is the other one's now */
  f->settling_us = clock_wall_us(r->parts.clock);
  f->settling_ns = clock_mono_ns(r->parts.clock);
  set_chain_keys(r, first);
  while (first && !f->lost) {
    struct item *item = first;
    first = item->next; /* read before it is settled: its batch may be used again at once */
    all++;
    published += item->outcome == OUTCOME_PUBLISHED;
    struct manifest_name closes = {0};
    bool last = item->closes != NULL;
    if (last) closes = *item->closes;
    if (!item->tried) settle_together(f, item);
    if (f->lost) return;
    settle_item(f, item, (enum outcome)item->outcome);
    if (last && !f->unsettled)
      close_batch(f, &closes); /* else the next start settles what is left of it */
  }
  if (f->lost) return;
  if (sync_outbox(f)) sync_aside(f);
  if (published) tell_chain(r, published, all);
  flush_check(r);
  store_wake(r->parts.store);
}

void settle_aside(struct finishing *f) {
  struct relay *r = f->relay;
  struct store_counts counts;
  int64_t now = clock_mono_ms(r->parts.clock);
  mutex_lock(&r->lock);
  bool due = !r->aside_ms || now - r->aside_ms >= r->config.tuning.flush_interval_ms ||
             flush_wants_aside(r);
  due = due && r->recovered;
  bool stuck = r->stuck.count > 0;
  mutex_unlock(&r->lock);
  if (!due || store_amounts(r->parts.store, &counts, NULL) != ST_OK) return;
  f->unsettled = f->unsettled || atomic_load(&r->unsynced);
  if ((counts.aside || stuck) && !f->unsettled) {
    if (!still_ours(f)) return;
    BUG_ON_RULE(L11, f->unsettled);
    if (stuck) stuck_tend(r);
    store_aside_tend(r->parts.store);
    if (sync_outbox(f)) sync_aside(f);
  }
  mutex_lock(&r->lock);
  r->aside_ms = now;
  mutex_unlock(&r->lock);
}
