/* The memory kind: its operations, and how rows are handed out. The end of a handle, as that of a
 * worker, takes with it what it had in hand.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/outbox/memory/memory.h"
#include "bridge/outbox/store_ops.h"

#include <errno.h>
#include <time.h>

#define POLL_NS (5 * INT64_C(1000000))
#define POLL_MOST_NS (50 * POLL_NS) /* the longer nothing comes, the more seldom it is looked */

/* ---- the scan ---- */

static bool due(const struct memory *m) {
  if (m->wanted == m->begun) return false;
  return !m->wanted_settled || m->hand_count == m->lingering ||
         clock_mono_ns(m->clock) >= m->settled_by_ns;
}

static void begin_scan(struct memory *m) {
  BUG_ON_RULE(S11, m->lingering > m->hand_count);
  if (!due(m)) return;
  while (m->notices) memory_hand_drop(&m->notices); /* the scan finds them */
  m->begun = m->wanted;
  m->wanted_settled = false;
  m->at_ns = INT64_MIN;
  m->at_serial = m->given_back = 0;
  m->upto = m->polls ? m->w->serials : UINT64_MAX;
  m->seen = m->w->changes;
  if (m->listed) return;
  m->listed = true;
  for (size_t i = 0; i < m->w->count; i++) m->first += memory_pending(m->w->rows[i]);
}

/* Where nobody tells of arrivals, what came after the scan began is the next one's. */
static bool is_behind(const struct memory *m, const struct memory_row *r) {
  if (r->serial > m->upto) return false;
  return r->arrived_ns > m->at_ns || (r->arrived_ns == m->at_ns && r->serial > m->at_serial);
}

/* The oldest behind the scan's place; at its end, what is to be looked at again. */
static struct memory_row *next_row(struct memory *m) {
  for (size_t i = 0; i < m->w->count; i++) {
    struct memory_row *r = m->w->rows[i];
    if (!is_behind(m, r)) continue;
    m->at_ns = r->arrived_ns;
    m->at_serial = r->serial;
    if (memory_pending(r) && !memory_in_hand(m, r)) return r;
  }
  m->scanned = m->begun;
  while (m->notices) {
    struct memory_row *r = memory_of_serial(m->w, m->notices->serial);
    bool good = r && memory_pending(r) && !memory_in_hand(m, r);
    memory_hand_drop(&m->notices);
    if (good) return r;
  }
  return NULL;
}

static struct entry_ref ref_of(const struct memory_row *r, const struct entry *read,
                               struct arena *keep) {
  bool event = r->fault == REASON_NONE;
  return (struct entry_ref){.shelf = r->shelf,
                            .token = arena_span(keep, span_of(r->token)),
                            .label = arena_span(keep, span_of(r->key)),
                            .arrived_ns = r->arrived_ns,
                            .since_ms = r->since_ns / 1000000,
                            .own = {r->version},
                            .id = event ? arena_span(keep, read->event.id) : (struct span){0},
                            .content = event ? event_content(&read->doc, &read->event) : 0};
}

/* Parsed anew where the caller keeps it: the row may go while it is in hand. */
static enum status copy_out(struct memory *m, struct memory_row *r, struct arena *scratch,
                            struct entry *out, struct error *err) {
  struct buffer said = {0};
  out->event = memory_no_event;
  out->reason = r->fault;
  out->error = r->fault != REASON_NONE ? arena_copy(scratch, span_of(r->words.text)) : NULL;
  if (r->fault == REASON_TOO_LARGE) return ST_OK;
  out->text = arena_span(scratch, (struct span){r->text, r->len});
  if (!out->text.ptr && r->len) return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  if (m->c.may_parse && !m->c.may_parse(m->c.parse_ctx, r->token)) {
    out->reason = REASON_CRASHES_WORKER;
    return ST_OK;
  }
  out->doc.arena = scratch;
  enum status st = json_scan(&out->doc, out->text, &(struct error){0});
  if (st == ST_OK && event_read(&out->doc, m->lifting, scratch, &out->event, &(struct error){0}) ==
                         REASON_NO_MEMORY)
    st = ST_NO_MEMORY;
  out->event.attempts = r->attempts;
  out->event.failed_us = r->failed_us;
  out->event.first_failed_us = r->first_failed_us;
  if (r->last_error) json_write_string(&said, span_of(r->last_error));
  out->event.last_error = arena_span(scratch, r->last_error ? buffer_span(&said) : SPAN("null"));
  buffer_release(&said);
  return st == ST_NO_MEMORY ? error_set(err, st, "no memory for an entry") : ST_OK;
}

static enum status memory_next(void *impl, struct arena *keep, struct arena *scratch,
                               struct entry *out, struct error *err) {
  struct memory *m = impl;
  *out = (struct entry){0};
  mutex_lock(&m->w->lock);
  begin_scan(m);
  if (!m->polls) m->seen = m->w->changes;
  bool waits = m->wanted != m->begun &&
               m->wanted_settled; /* nothing newer overtakes what is given back meanwhile */
  struct memory_row *r = waits ? NULL : next_row(m);
  enum status st = r ? copy_out(m, r, scratch, out, err) : ST_AGAIN;
  BUG_ON_RULE(S1, r && memory_in_hand(m, r));
  if (r && st == ST_OK) {
    out->ref = ref_of(r, out, keep);
    out->generation = m->begun;
    if (!out->ref.token.ptr || !out->ref.label.ptr || !memory_hand_put(&m->in_hand, r))
      st = error_set(err, ST_NO_MEMORY, "no memory for an entry");
    m->hand_count += st == ST_OK;
  }
  if (r && st != ST_OK) m->at_serial--; /* it comes again */
  mutex_unlock(&m->w->lock);
  return st;
}

static enum status memory_follow(void *impl, struct error *err) {
  struct memory *m = impl;
  (void)err;
  mutex_lock(&m->w->lock);
  begin_scan(m);
  mutex_unlock(&m->w->lock);
  return ST_OK;
}

/* One poll. What it sees is handed out by a scan. */
static bool look(struct memory *m) {
  bool changed = m->seen != m->w->changes;
  m->seen = m->w->changes;
  m->poll_ns = changed || !m->poll_ns          ? POLL_NS
               : m->poll_ns * 2 < POLL_MOST_NS ? m->poll_ns * 2
                                               : POLL_MOST_NS;
  if (changed && m->wanted == m->begun) m->wanted++;
  return changed;
}

/* Until the next poll, whatever is told meanwhile but a wake. False: the time is over. */
static bool pass_a_while(struct memory *m, int64_t until_ns) {
  int64_t next_ns = clock_mono_ns(m->clock) + m->poll_ns;
  bool last = next_ns >= until_ns, more = true;
  while (more && !m->woken && !due(m))
    more = cond_wait_until(&m->w->changed, &m->w->lock, last ? until_ns : next_ns);
  return !last || more;
}

static void memory_wait(void *impl, int64_t timeout_ms) {
  struct memory *m = impl;
  int64_t until_ns = clock_mono_ns(m->clock) + timeout_ms * 1000000;
  mutex_lock(&m->w->lock);
  bool in_time = true;
  while (in_time && !m->woken && (m->polls ? !look(m) : m->seen == m->w->changes) && !due(m))
    if (m->polls)
      in_time = pass_a_while(m, timeout_ms < 0 ? INT64_MAX : until_ns);
    else if (timeout_ms < 0)
      cond_wait(&m->w->changed, &m->w->lock);
    else
      in_time = cond_wait_until(&m->w->changed, &m->w->lock, until_ns);
  m->woken = false;
  mutex_unlock(&m->w->lock);
}

static void memory_wake(void *impl) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  m->woken = true;
  cond_broadcast(&m->w->changed);
  mutex_unlock(&m->w->lock);
}

static uint64_t ask_for_scan(struct memory *m, bool settled) {
  int64_t wait_ms = m->c.settled_wait_ms;
  mutex_lock(&m->w->lock);
  if (m->wanted == m->begun) m->wanted++;
  if (settled && !m->wanted_settled)
    m->settled_by_ns = wait_ms ? clock_mono_ns(m->clock) + wait_ms * 1000000 : INT64_MAX;
  m->wanted_settled |= settled;
  uint64_t generation = m->wanted;
  m->woken = true;
  cond_broadcast(&m->w->changed);
  mutex_unlock(&m->w->lock);
  return generation;
}

static uint64_t memory_rescan(void *impl) {
  return ask_for_scan(impl, false);
}

static uint64_t memory_rescan_settled(void *impl) {
  return ask_for_scan(impl, true);
}

static bool memory_scanned(void *impl, uint64_t generation) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  BUG_ON(m->scanned > m->begun || m->begun > m->wanted);
  bool reached = m->scanned >= generation;
  mutex_unlock(&m->w->lock);
  return reached;
}

/* ---- opening ---- */

static enum status memory_prepare(const char *address, struct store_preparation *p,
                                  struct error *err) {
  (void)address, (void)p, (void)err;
  return ST_OK;
}

static enum status memory_open(const char *address, const struct store_options *options, void **out,
                               struct error *err) {
  if (options->typed)
    return error_set(err, ST_UNSUPPORTED, "outbox.typed: an outbox in memory has no second intake");
  struct memory *m = calloc(1, sizeof *m);
  if (m) m->w = memory_world_of(address);
  if (!m || !m->w) {
    free(m);
    return error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  }
  m->create = options->create;
  m->clock = options->clock;
  m->lifting = options->lifting;
  m->wanted = 1;
  m->seen = UINT64_MAX;
  mutex_lock(&m->w->lock);
  if (m->create && !*m->w->id) uuid_make(m->clock, m->w->id);
  mutex_unlock(&m->w->lock);
  *out = m;
  return ST_OK;
}

static enum status polled_open(const char *address, const struct store_options *options, void **out,
                               struct error *err) {
  enum status st = memory_open(address, options, out, err);
  if (st == ST_OK) ((struct memory *)*out)->polls = true;
  return st;
}

static enum status memory_begin(void *impl, const struct store_config *config, struct error *err) {
  struct memory *m = impl;
  (void)err;
  m->c = *config;
  mutex_lock(&m->w->lock);
  if (m->create) m->w->max_entry_bytes = config->max_entry_bytes;
  mutex_unlock(&m->w->lock);
  return ST_OK;
}

static void memory_close(void *impl) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  if (m->w->owner == m) m->w->owner = NULL;
  memory_tell(m->w);
  mutex_unlock(&m->w->lock);
  while (m->in_hand) memory_hand_drop(&m->in_hand);
  while (m->notices) memory_hand_drop(&m->notices);
  free(m);
}

/* What both have. */
#define MEMORY_OPERATIONS                                                                          \
  .prepare = memory_prepare, .close = memory_close, .id = memory_id, .lock = memory_lock,          \
  .holder = memory_holder, .check = memory_check, .renew_id = memory_renew_id,                     \
  .note_name = note_word, .note_read = memory_note_read, .note_write = memory_note_write,          \
  .note_remove = memory_note_remove, .shelf_words = memory_shelf_words,                            \
  .whereabouts = memory_whereabouts, .hinders_one = memory_hinders_one, .remedy = memory_remedy,   \
  .left = memory_left, .space = memory_space, .writable = memory_writable,                         \
  .examine = memory_examine, .estimate = memory_estimate, .audit = memory_audit,                   \
  .draft_begin = memory_draft_begin, .draft_add = memory_draft_add,                                \
  .draft_commit = memory_draft_commit, .draft_close = memory_draft_close,                          \
  .selections = memory_selections, .selection_size = memory_selection_size,                        \
  .selection_read = memory_selection_read, .selection_add = memory_selection_add,                  \
  .selection_remove = memory_selection_remove, .keys_due_open = memory_keys_due_open,              \
  .keys_due_add = memory_keys_due_add, .keys_due_has = memory_keys_due_has,                        \
  .keys_due_count = memory_keys_due_count, .keys_due_read = memory_keys_due_read,                  \
  .keys_due_drop = memory_keys_due_drop, .begin = memory_begin, .next = memory_next,               \
  .follow = memory_follow, .wait = memory_wait, .wake = memory_wake, .rescan = memory_rescan,      \
  .rescan_settled = memory_rescan_settled, .scanned = memory_scanned, .settle = memory_settle,     \
  .sync = memory_sync, .linger = memory_linger, .release = memory_release, .aside = memory_aside,  \
  .aside_sync = memory_aside_sync, .aside_tend = memory_aside_tend, .asides = memory_asides,       \
  .counts = memory_counts, .list = memory_list, .find = memory_search,                             \
  .dead_words = memory_dead_words, .look = memory_look, .replay = memory_replay,                   \
  .replay_all = memory_replay_all, .purge = memory_purge, .amend = memory_amend,                   \
  .bury = memory_bury, .bytes = memory_bytes, .emit = memory_emit, .survey = memory_survey,        \
  .lies = memory_lies, .batch_write = memory_batch_write, .batch_list = memory_batch_list,         \
  .batch_read = memory_batch_read, .batch_names = memory_batch_names,                              \
  .batch_settle = memory_batch_settle, .batch_remove = memory_batch_remove,

const struct store_ops store_memory_ops = {.scheme = "memory",
                                           .traits = {.watches = true,
                                                      .order = ORDER_OF_COMING,
                                                      .counts = true,
                                                      .keeps_sent = true,
                                                      .rows = 200,
                                                      .label = "row"},
                                           .open = memory_open,
                                           MEMORY_OPERATIONS};

/* The same rows for one that nobody tells of arrivals, as a table in a database is read. */
const struct store_ops store_polled_ops = {.scheme = "polled",
                                           .traits = {.order = ORDER_OF_COMING,
                                                      .counts = true,
                                                      .keeps_sent = true,
                                                      .rows = 200,
                                                      .label = "row"},
                                           .open = polled_open,
                                           MEMORY_OPERATIONS};
