/* The memory kind: its world, its rows, and how they are handed out. A crash of the process takes all with it; the end
 * of a handle, as that of a worker, only what it had in hand. */
#include "bridge/outbox/memory/memory.h"

#include <errno.h>
#include <time.h>

static const struct event no_event = {
    .payload = JSON_NONE, .created_us = TIME_NONE, .failed_us = TIME_NONE, .first_failed_us = TIME_NONE};

/* ---- worlds ---- */

static pthread_mutex_t worlds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct memory_world *worlds;

static struct memory_world *make_world(const char *address) {
  struct memory_world *w = calloc(1, sizeof *w);
  char *kept = strdup(address);
  if (!w || !kept) {
    free(w);
    free(kept);
    return NULL;
  }
  pthread_condattr_t steady;
  pthread_condattr_init(&steady);
  pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
  pthread_cond_init(&w->changed, &steady);
  pthread_condattr_destroy(&steady);
  pthread_mutex_init(&w->lock, NULL);
  w->address = kept;
  w->latest_ns = INT64_MIN;
  w->next = worlds;
  return worlds = w;
}

static struct memory_world *world_of(const char *address) {
  pthread_mutex_lock(&worlds_lock);
  struct memory_world *w = worlds;
  while (w && strcmp(w->address, address) != 0) w = w->next;
  if (!w) w = make_world(address);
  pthread_mutex_unlock(&worlds_lock);
  return w;
}

static void row_free(struct memory_row *r) {
  json_doc_release(&r->doc);
  arena_release(&r->arena);
  free(r->name);
  free(r->text);
  free(r->last_error);
  free(r->topic);
  free(r);
}

void store_memory_unlock(const char *address) {
  struct memory_world *w = world_of(address);
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->owner = NULL;
  memory_tell(w);
  pthread_mutex_unlock(&w->lock);
}

void store_memory_forget(const char *address) {
  pthread_mutex_lock(&worlds_lock);
  struct memory_world **at = &worlds;
  while (*at && strcmp((*at)->address, address) != 0) at = &(*at)->next;
  struct memory_world *w = *at;
  if (w) *at = w->next;
  pthread_mutex_unlock(&worlds_lock);
  if (!w) return;
  for (size_t i = 0; i < w->count; i++) row_free(w->rows[i]);
  free(w->rows);
  memory_journal_release(w);
  memory_owner_release(w);
  memory_selections_release(w);
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->lock);
  free(w->address);
  free(w);
}

/* ---- rows ---- */

struct memory_row *memory_find(struct memory_world *w, enum place place, struct span name) {
  for (size_t i = 0; i < w->count; i++)
    if (w->rows[i]->place == place && span_is(name, w->rows[i]->name)) return w->rows[i];
  return NULL;
}

bool memory_pending(const struct memory_row *r) {
  if (r->place != PLACE_FLAT && r->place != PLACE_PENDING) return false;
  bool object = r->doc.count && r->doc.nodes[0].type == JSON_OBJECT;
  bool absent = r->event.status == EVENT_ABSENT && r->place == PLACE_PENDING;
  return !object || r->fault != REASON_NONE || r->event.status == EVENT_PENDING || absent;
}

void memory_touch(struct memory *m, struct memory_row *r) {
  r->version = ++m->w->versions;
  r->since_ns = clock_wall_us(m->clock) * 1000;
}

void memory_tell(struct memory_world *w) {
  w->changes++;
  pthread_cond_broadcast(&w->changed);
}

static enum status parse(struct memory_row *r, size_t most, struct error *err) {
  r->event = no_event;
  enum status st = json_scan(&r->doc, (struct span){r->text, r->len}, &r->words);
  if (st == ST_OK) r->fault = event_parse(&r->doc, &r->arena, &r->event, &r->words);
  if (st == ST_INVALID) r->fault = event_reason_of(r->doc.fault);
  if (st == ST_NO_MEMORY || r->fault == REASON_NO_MEMORY) return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  r->attempts = r->event.attempts;
  r->failed_us = r->event.failed_us;
  r->first_failed_us = r->event.first_failed_us;
  if (r->len <= most) return ST_OK;
  r->fault = REASON_TOO_LARGE;
  error_set(&r->words, ST_TOO_LARGE, "%zu bytes, more than the %zu that outbox.max_entry_bytes allows", r->len, most);
  return ST_OK;
}

static bool room_for_one(struct memory_world *w) {
  if (w->count < w->cap) return true;
  size_t cap = w->cap ? w->cap * 2 : 16;
  struct memory_row **grown = realloc(w->rows, cap * sizeof *grown);
  if (!grown) return false;
  w->rows = grown;
  w->cap = cap;
  return true;
}

enum status memory_add(struct memory *m, enum place place, struct span name, struct span text, struct error *err) {
  struct memory_world *w = m->w;
  struct memory_row *r = calloc(1, sizeof *r);
  if (!r || !room_for_one(w)) {
    free(r);
    return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  }
  r->place = place;
  r->name = strndup(name.ptr, name.len);
  r->text = malloc(text.len + 1);
  r->len = text.len;
  if (r->text) memcpy(r->text, text.ptr ? text.ptr : "", text.len);
  enum status st =
      r->name && r->text ? parse(r, m->c.max_entry_bytes, err) : error_set(err, ST_NO_MEMORY, "no memory for an entry");
  if (st != ST_OK) {
    row_free(r);
    return st;
  }
  int64_t now_ns = clock_wall_us(m->clock) * 1000;
  w->latest_ns = now_ns > w->latest_ns ? now_ns : w->latest_ns;
  r->arrived_ns = w->latest_ns;
  r->serial = ++w->serials;
  BUG_ON_RULE(S9, memory_find(w, place, name));
  BUG_ON_RULE(S10, w->count && w->rows[w->count - 1]->arrived_ns > r->arrived_ns);
  memory_touch(m, r);
  w->rows[w->count++] = r;
  memory_tell(w);
  return ST_OK;
}

void memory_remove(struct memory_world *w, struct memory_row *r) {
  for (size_t i = 0; i < w->count; i++) {
    if (w->rows[i] != r) continue;
    memmove(&w->rows[i], &w->rows[i + 1], (w->count - i - 1) * sizeof *w->rows);
    w->count--;
    row_free(r);
    return;
  }
  BUG_ON(true); /* it is of another outbox */
}

enum status memory_move(struct memory *m, struct memory_row *r, enum place to, struct error *err) {
  struct buffer name = {0};
  buffer_add_z(&name, r->name);
  for (unsigned n = 1; memory_find(m->w, to, buffer_span(&name)); n++) {
    buffer_clear(&name);
    buffer_printf(&name, "%.*s__%u.json", (int)(strlen(r->name) - 5), r->name, n);
  }
  char *kept = strdup(buffer_z(&name));
  buffer_release(&name);
  if (!kept) return error_set(err, ST_NO_MEMORY, "no memory for a name");
  free(r->name);
  r->name = kept;
  r->place = to;
  memory_touch(m, r);
  return ST_OK;
}

/* ---- in hand ---- */

struct memory_hand **memory_hand_of(struct memory_hand **list, enum place place, struct span name) {
  while (*list && ((*list)->place != place || !span_is(name, (*list)->name))) list = &(*list)->next;
  return list;
}

bool memory_in_hand(struct memory *m, const struct memory_row *r) {
  return *memory_hand_of(&m->hands, r->place, span_of(r->name));
}

static bool put_hand(struct memory_hand **list, const struct memory_row *r) {
  struct memory_hand *hand = calloc(1, sizeof *hand);
  char *name = strdup(r->name);
  if (!hand || !name) {
    free(hand);
    free(name);
    return false;
  }
  *hand = (struct memory_hand){.place = r->place, .name = name};
  while (*list) list = &(*list)->next;
  *list = hand;
  return true;
}

bool memory_notice(struct memory *m, const struct memory_row *r) {
  memory_tell(m->w);
  return *memory_hand_of(&m->notices, r->place, span_of(r->name)) || put_hand(&m->notices, r);
}

static void drop_first(struct memory_hand **list) {
  struct memory_hand *hand = *list;
  *list = hand->next;
  free(hand->name);
  free(hand);
}

/* ---- the scan ---- */

static bool due(const struct memory *m) {
  if (m->wanted == m->begun) return false;
  return !m->wanted_settled || m->hand_count == m->lingering || clock_mono_ns(m->clock) >= m->settled_by_ns;
}

static void begin_scan(struct memory *m) {
  BUG_ON_RULE(S11, m->lingering > m->hand_count);
  if (!due(m)) return;
  while (m->notices) drop_first(&m->notices); /* the scan finds them */
  m->begun = m->wanted;
  m->wanted_settled = false;
  m->at_ns = INT64_MIN;
  m->at_serial = m->given_back = 0;
  if (m->listed) return;
  m->listed = true;
  for (size_t i = 0; i < m->w->count; i++) m->first += memory_pending(m->w->rows[i]);
}

static bool is_behind(const struct memory *m, const struct memory_row *r) {
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
    struct memory_row *r = memory_find(m->w, m->notices->place, span_of(m->notices->name));
    bool good = r && memory_pending(r) && !memory_in_hand(m, r);
    drop_first(&m->notices);
    if (good) return r;
  }
  return NULL;
}

static struct entry_ref ref_of(const struct memory_row *r, struct arena *keep) {
  bool event = r->fault == REASON_NONE;
  return (struct entry_ref){.name = arena_span(keep, span_of(r->name)),
                            .stamp = {r->version, (int64_t)r->len, r->since_ns, r->arrived_ns},
                            .place = r->place,
                            .id = event ? arena_span(keep, r->event.id) : (struct span){0},
                            .content = event ? event_content(&r->doc, &r->event) : 0};
}

/* Parsed anew where the caller keeps it: the row may go while it is in hand. */
static enum status copy_out(struct memory *m, struct memory_row *r, struct arena *scratch, struct entry *out,
                            struct error *err) {
  struct buffer said = {0};
  out->event = no_event;
  out->reason = r->fault;
  out->error = r->fault != REASON_NONE ? arena_copy(scratch, span_of(r->words.text)) : NULL;
  if (r->fault == REASON_TOO_LARGE) return ST_OK;
  out->text = arena_span(scratch, (struct span){r->text, r->len});
  if (!out->text.ptr && r->len) return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  if (m->c.may_parse && !m->c.may_parse(m->c.parse_ctx, r->place, r->name)) {
    out->reason = REASON_CRASHES_WORKER;
    return ST_OK;
  }
  out->doc.arena = scratch;
  enum status st = json_scan(&out->doc, out->text, &(struct error){0});
  if (st == ST_OK && event_parse(&out->doc, scratch, &out->event, &(struct error){0}) == REASON_NO_MEMORY)
    st = ST_NO_MEMORY;
  out->event.attempts = r->attempts;
  out->event.failed_us = r->failed_us;
  out->event.first_failed_us = r->first_failed_us;
  if (r->last_error) json_write_string(&said, span_of(r->last_error));
  out->event.last_error = arena_span(scratch, r->last_error ? buffer_span(&said) : SPAN("null"));
  buffer_release(&said);
  return st == ST_NO_MEMORY ? error_set(err, st, "no memory for an entry") : ST_OK;
}

static enum status memory_next(void *impl, struct arena *keep, struct arena *scratch, struct entry *out,
                               struct error *err) {
  struct memory *m = impl;
  *out = (struct entry){0};
  pthread_mutex_lock(&m->w->lock);
  begin_scan(m);
  m->seen = m->w->changes;
  bool waits = m->wanted != m->begun && m->wanted_settled; /* nothing newer overtakes what is given back meanwhile */
  struct memory_row *r = waits ? NULL : next_row(m);
  enum status st = r ? copy_out(m, r, scratch, out, err) : ST_AGAIN;
  BUG_ON_RULE(S1, r && memory_in_hand(m, r));
  if (r && st == ST_OK) {
    out->ref = ref_of(r, keep);
    out->generation = m->begun;
    if (!out->ref.name.ptr || !put_hand(&m->hands, r)) st = error_set(err, ST_NO_MEMORY, "no memory for an entry");
    m->hand_count += st == ST_OK;
  }
  if (r && st != ST_OK) m->at_serial--; /* it comes again */
  pthread_mutex_unlock(&m->w->lock);
  return st;
}

static enum status memory_follow(void *impl, struct error *err) {
  struct memory *m = impl;
  (void)err;
  pthread_mutex_lock(&m->w->lock);
  begin_scan(m);
  pthread_mutex_unlock(&m->w->lock);
  return ST_OK;
}

static void memory_wait(void *impl, int64_t timeout_ms) {
  struct memory *m = impl;
  int64_t until_ns = clock_mono_ns(m->clock) + timeout_ms * 1000000;
  struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
  pthread_mutex_lock(&m->w->lock);
  int rc = 0;
  while (!m->woken && m->seen == m->w->changes && !due(m) && rc != ETIMEDOUT)
    rc = timeout_ms < 0 ? pthread_cond_wait(&m->w->changed, &m->w->lock)
                        : pthread_cond_timedwait(&m->w->changed, &m->w->lock, &until);
  m->woken = false;
  pthread_mutex_unlock(&m->w->lock);
}

static void memory_wake(void *impl) {
  struct memory *m = impl;
  pthread_mutex_lock(&m->w->lock);
  m->woken = true;
  pthread_cond_broadcast(&m->w->changed);
  pthread_mutex_unlock(&m->w->lock);
}

static uint64_t ask(struct memory *m, bool settled) {
  int64_t wait_ms = m->c.settled_wait_ms;
  pthread_mutex_lock(&m->w->lock);
  if (m->wanted == m->begun) m->wanted++;
  if (settled && !m->wanted_settled)
    m->settled_by_ns = wait_ms ? clock_mono_ns(m->clock) + wait_ms * 1000000 : INT64_MAX;
  m->wanted_settled |= settled;
  uint64_t generation = m->wanted;
  m->woken = true;
  pthread_cond_broadcast(&m->w->changed);
  pthread_mutex_unlock(&m->w->lock);
  return generation;
}

static uint64_t memory_rescan(void *impl) {
  return ask(impl, false);
}

static uint64_t memory_rescan_settled(void *impl) {
  return ask(impl, true);
}

static bool memory_scanned(void *impl, uint64_t generation) {
  struct memory *m = impl;
  pthread_mutex_lock(&m->w->lock);
  BUG_ON(m->scanned > m->begun || m->begun > m->wanted);
  bool reached = m->scanned >= generation;
  pthread_mutex_unlock(&m->w->lock);
  return reached;
}

/* ---- opening ---- */

static enum status memory_open(const char *address, const struct store_options *options, void **out,
                               struct error *err) {
  struct memory *m = calloc(1, sizeof *m);
  if (m) m->w = world_of(address);
  if (!m || !m->w) {
    free(m);
    return error_set(err, ST_NO_MEMORY, "no memory for the outbox");
  }
  m->create = options->create;
  m->clock = options->clock;
  m->wanted = 1;
  m->seen = UINT64_MAX;
  pthread_mutex_lock(&m->w->lock);
  if (m->create && !*m->w->id) uuid_make(m->clock, m->w->id);
  pthread_mutex_unlock(&m->w->lock);
  *out = m;
  return ST_OK;
}

static enum status memory_begin(void *impl, const struct store_config *config, struct error *err) {
  (void)err;
  ((struct memory *)impl)->c = *config;
  return ST_OK;
}

static void memory_close(void *impl) {
  struct memory *m = impl;
  pthread_mutex_lock(&m->w->lock);
  if (m->w->owner == m) m->w->owner = NULL;
  memory_tell(m->w);
  pthread_mutex_unlock(&m->w->lock);
  while (m->hands) drop_first(&m->hands);
  while (m->notices) drop_first(&m->notices);
  free(m);
}

const struct store_ops store_memory_ops = {
    .scheme = "memory",
    .open = memory_open,
    .close = memory_close,
    .id = memory_id,
    .lock = memory_lock,
    .holder = memory_holder,
    .check = memory_check,
    .renew_id = memory_renew_id,
    .note_name = memory_note_name,
    .note_read = memory_note_read,
    .note_write = memory_note_write,
    .note_remove = memory_note_remove,
    .hinders_one = memory_hinders_one,
    .left = memory_left,
    .space = memory_space,
    .writable = memory_writable,
    .names = memory_names,
    .audit = memory_audit,
    .draft_begin = memory_draft_begin,
    .draft_add = memory_draft_add,
    .draft_commit = memory_draft_commit,
    .draft_close = memory_draft_close,
    .selections = memory_selections,
    .selection_size = memory_selection_size,
    .selection_read = memory_selection_read,
    .selection_add = memory_selection_add,
    .selection_remove = memory_selection_remove,
    .begin = memory_begin,
    .next = memory_next,
    .follow = memory_follow,
    .wait = memory_wait,
    .wake = memory_wake,
    .rescan = memory_rescan,
    .rescan_settled = memory_rescan_settled,
    .scanned = memory_scanned,
    .done = memory_done,
    .done_id = memory_done_id,
    .sync = memory_sync,
    .fail_all = memory_fail_all,
    .linger = memory_linger,
    .release = memory_release,
    .aside = memory_aside,
    .aside_sync = memory_aside_sync,
    .aside_tend = memory_aside_tend,
    .asides = memory_asides,
    .counts = memory_counts,
    .list = memory_list,
    .find = memory_search,
    .look = memory_look,
    .replay = memory_replay,
    .replay_all = memory_replay_all,
    .purge = memory_purge,
    .bytes = memory_bytes,
    .emit = memory_emit,
    .survey = memory_survey,
    .lies = memory_lies,
    .batch_write = memory_batch_write,
    .batch_list = memory_batch_list,
    .batch_read = memory_batch_read,
    .batch_names = memory_batch_names,
    .batch_settle = memory_batch_settle,
    .batch_remove = memory_batch_remove,
};
