/* The memory kind: what becomes of an entry in hand.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/event/same.h"
#include "bridge/outbox/memory/memory.h"

static void end_hand(struct memory *m, struct span token) {
  struct memory_hand **at = memory_hand_named(&m->in_hand, token), *hand = *at;
  if (!hand) return; /* recovery: it never was in hand */
  BUG_ON(!m->hand_count || (hand->lingers && !m->lingering));
  *at = hand->next;
  m->hand_count--;
  m->lingering -= hand->lingers;
  free(hand);
  memory_tell(m->w);
}

/* SETTLED_GONE: it is what the ref says. */
static enum settled compare_row(const struct memory *m, struct memory_row *r,
                                const struct entry_ref *ref) {
  const struct published was = {ref->id, ref->content};
  if (!r || r->shelf == SHELF_SENT) return SETTLED_VANISHED;
  if (r->version == ref->own[0]) return SETTLED_GONE;
  if (!ref->id.len || r->fault != REASON_NONE) return SETTLED_CHANGED;
  switch (event_same(&r->doc, &r->event, m->lifting, false, &r->arena, &was)) {
  case SAME_EVENT: return SETTLED_GONE;
  case SAME_ID: return SETTLED_REUSED;
  case ANOTHER_EVENT: break;
  }
  return SETTLED_CHANGED;
}

static void move(struct memory *m, struct memory_row *r, enum shelf to) {
  r->shelf = to;
  memory_touch(m, r);
}

static void take_out(struct memory *m, struct memory_row *r) {
  m->gone += memory_pending(r);
  if (m->c.keep_sent)
    move(m, r, SHELF_SENT);
  else
    memory_remove(m->w, r);
}

static enum status take_row(struct memory *m, const struct entry_ref *ref, enum settled *how,
                            struct error *err) {
  bool held = *memory_hand_named(&m->in_hand, ref->token);
  struct memory_row *r = memory_find(m->w, ref->shelf, ref->token);
  enum status st = ST_OK;
  *how = compare_row(m, r, ref);
  bool out = *how == SETTLED_GONE || *how == SETTLED_REUSED;
  if (out) take_out(m, r);
  BUG_ON_RULE(S2, out && memory_find(m->w, ref->shelf, ref->token));
  if (*how == SETTLED_VANISHED && held) m->vanished++;
  end_hand(m, ref->token);
  if (*how == SETTLED_CHANGED && !memory_notice(m, r))
    st = error_set(err, ST_NO_MEMORY, "no memory for a name");
  return st;
}

static void take_late(struct memory *m, const struct entry_ref *ref, struct span id,
                      enum settled *how) {
  struct memory_row *r = memory_find(m->w, ref->shelf, ref->token);
  struct entry_ref by_id = *ref;
  by_id.own[0] = 0;
  by_id.id = id;
  *how = compare_row(m, r, &by_id);
  if (*how == SETTLED_VANISHED && (r = memory_find(m->w, SHELF_DEAD, ref->token))) {
    *how = compare_row(m, r, &by_id);
    if (*how == SETTLED_CHANGED) *how = SETTLED_VANISHED;
  }
  if (*how == SETTLED_GONE || *how == SETTLED_REUSED) take_out(m, r);
}

enum status memory_sync(void *impl, struct error *err) {
  (void)impl, (void)err;
  return ST_OK;
}

bool memory_keep_text(char **at, const char *text) {
  char *copy = text ? strdup(text) : NULL;
  if (text && !copy) return false;
  free(*at);
  *at = copy;
  return true;
}

static enum status note_failure(struct memory *m, struct memory_row *r, const struct failure *why,
                                struct error *err) {
  if (!memory_keep_text(&r->last_error, why->error ? why->error : reason_word(why->reason)) ||
      !memory_keep_text(&r->topic, why->topic))
    return error_set(err, ST_NO_MEMORY, "no memory for what went wrong");
  r->attempts = why->attempts;
  r->reason = why->reason;
  r->failed_us = why->failed_us;
  if (r->first_failed_us == TIME_NONE) r->first_failed_us = why->failed_us;
  memory_touch(m, r);
  return ST_OK;
}

/* Nowhere to write its attempts. */
static bool no_object(const struct memory_row *r) {
  return !r->doc.count || r->doc.nodes[0].type != JSON_OBJECT;
}

static enum status fail(struct memory *m, const struct entry_ref *ref, const struct failure *why,
                        bool dead, enum settled *how, struct error *err) {
  struct memory_row *r = memory_find(m->w, ref->shelf, ref->token);
  enum status st = ST_OK;
  *how = compare_row(m, r, ref);
  if (*how == SETTLED_REUSED) *how = SETTLED_CHANGED;
  if (*how == SETTLED_GONE && !dead && no_object(r))
    st = error_set(err, ST_INVALID, "%s is not a JSON object", r->key);
  if (*how == SETTLED_GONE && st == ST_OK) st = note_failure(m, r, why, err);
  if (*how == SETTLED_GONE && st == ST_OK && dead) {
    move(m, r, SHELF_DEAD);
    m->gone++;
  }
  if (st == ST_OK) end_hand(m, ref->token);
  if (*how == SETTLED_CHANGED && !memory_notice(m, r))
    st = error_set(err, ST_NO_MEMORY, "no memory for a name");
  return st;
}

static void settle_row(struct memory *m, struct settling *row) {
  struct error *err = &row->error;
  if (row->fate != FATE_DONE)
    row->status = fail(m, row->ref, &row->why, row->fate == FATE_DEAD, &row->how, err);
  else if (row->late)
    take_late(m, row->ref, row->id, &row->how);
  else
    row->status = take_row(m, row->ref, &row->how, err);
}

static void not_ours(const struct memory *m, struct settling *rows, size_t count,
                     struct error *err) {
  error_set(err, ST_BUSY, "the outbox %s is not held by this worker any more", m->w->address);
  for (size_t i = 0; i < count; i++) {
    rows[i].status = ST_BUSY;
    rows[i].error = *err;
  }
}

enum status memory_settle(void *impl, struct settling *rows, size_t count,
                          const struct manifest_name *closes, enum closing *closing,
                          struct error *err) {
  struct memory *m = impl;
  enum status st = ST_OK;
  mutex_lock(&m->w->lock);
  if (m->w->owner != m) {
    not_ours(m, rows, count, err);
    st = ST_BUSY;
  }
  for (size_t i = 0; st != ST_BUSY && i < count; i++) {
    settle_row(m, &rows[i]);
    if (rows[i].status != ST_OK) st = ST_AGAIN;
  }
  if (st == ST_OK && closes) {
    st = memory_mark(m->w, closes, err);
    *closing = st == ST_OK ? CLOSING_DONE : CLOSING_DURABLE;
  }
  mutex_unlock(&m->w->lock);
  return st;
}

void memory_linger(void *impl, const struct entry_ref *ref, bool on) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  struct memory_hand *hand = *memory_hand_named(&m->in_hand, ref->token);
  if (hand && hand->lingers != on) {
    hand->lingers = on;
    m->lingering = on ? m->lingering + 1 : m->lingering - 1;
    memory_tell(m->w);
  }
  mutex_unlock(&m->w->lock);
}

void memory_release(void *impl, const struct entry_ref *ref) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  end_hand(m, ref->token);
  m->given_back++;
  mutex_unlock(&m->w->lock);
}

/* ---- nothing hinders here ---- */

enum status memory_aside(void *impl, const struct entry_ref *ref, struct span id, enum aside what,
                         const struct failure *why, const struct error *hindrance,
                         struct error *err) {
  (void)impl, (void)ref, (void)id, (void)what, (void)why, (void)hindrance;
  return error_set(err, ST_AGAIN, "an outbox in memory hinders nobody");
}

enum status memory_aside_sync(void *impl, struct error *err) {
  return memory_sync(impl, err);
}

void memory_aside_tend(void *impl) {
  (void)impl;
}

enum status memory_asides(void *impl, size_t limit, store_aside_fn visit, void *ctx,
                          struct error *err) {
  (void)limit, (void)visit, (void)ctx;
  return memory_sync(impl, err);
}
