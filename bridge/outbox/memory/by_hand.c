/* The memory kind: what operators do with dead letters, and with pending entries by hand.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/outbox/burial.h"
#include "bridge/outbox/memory/memory.h"

static enum status revive(struct memory *m, struct memory_row *r, struct error *err) {
  bool dead = r->shelf == SHELF_DEAD;
  if (!dead && memory_in_hand(m, r)) return error_set(err, ST_BUSY, "%s is in hand", r->key);
  if (dead && memory_of_key(m->w, span_of(r->key)))
    return error_set(err, ST_EXISTS, "an entry of the storage key %s waits", r->key);
  if (r->fault == REASON_NOT_OBJECT)
    return error_set(err, ST_INVALID, "%s is not a JSON object", r->key);
  memory_keep_text(&r->last_error, NULL);
  memory_keep_text(&r->topic, NULL);
  r->attempts = 0;
  r->reason = REASON_NONE;
  r->failed_us = r->first_failed_us = TIME_NONE;
  if (dead) {
    r->shelf = SHELF_PENDING;
    m->returned++;
  }
  memory_touch(m, r);
  return memory_notice(m, r) ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory for a name");
}

enum status memory_replay(void *impl, enum shelf shelf, const char *token, struct error *err) {
  struct memory *m = impl;
  if (shelf == SHELF_SENT) return error_set(err, ST_INVALID, "entry %s was sent", token);
  mutex_lock(&m->w->lock);
  struct memory_row *r = memory_find(m->w, shelf, span_of(token));
  enum status st = r ? revive(m, r, err) : error_set(err, ST_NOT_FOUND, "entry %s is gone", token);
  mutex_unlock(&m->w->lock);
  return st;
}

static struct memory_row *letter_row(struct memory *m, struct letter *l) {
  struct memory_row *r = memory_find(m->w, SHELF_DEAD, span_of(l->token));
  bool same = r && (l->when_us == TIME_NONE || r->failed_us == l->when_us);
  if (!same) l->status = error_set(&l->error, ST_NOT_FOUND, "dead letter %s is gone", l->token);
  if (same) l->id = r->event.id;
  if (same) l->raw = !r->doc.count || r->doc.nodes[0].type != JSON_OBJECT;
  return same ? r : NULL;
}

void memory_replay_all(void *impl, struct letter *list, size_t count, store_judge_fn judge,
                       void *ctx) {
  struct memory *m = impl;
  struct arena ids = {0}; /* rows may go meanwhile */
  mutex_lock(&m->w->lock);
  for (size_t i = 0; i < count; i++) {
    list[i].status = ST_OK;
    if (letter_row(m, &list[i])) list[i].id = arena_span(&ids, list[i].id);
  }
  mutex_unlock(&m->w->lock);
  if (judge) judge(ctx, list, count); /* it may ask the outbox */
  arena_release(&ids);
  mutex_lock(&m->w->lock);
  for (size_t i = 0; i < count; i++) {
    struct memory_row *r = list[i].status == ST_OK ? letter_row(m, &list[i]) : NULL;
    struct span name = r ? r->event.name : (struct span){0},
                reason = span_of(r ? reason_word(r->reason) : "");
    if (r) list[i].status = revive(m, r, &list[i].error);
    if (r && list[i].status == ST_OK && m->c.dead_left) m->c.dead_left(m->c.dead_ctx, name, reason);
  }
  mutex_unlock(&m->w->lock);
}

void memory_purge(void *impl, struct letter *list, size_t count) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  for (size_t i = 0; i < count; i++) {
    list[i].status = ST_OK;
    struct memory_row *r = letter_row(m, &list[i]);
    if (r && m->c.dead_left)
      m->c.dead_left(m->c.dead_ctx, r->event.name, span_of(reason_word(r->reason)));
    if (r) memory_remove(m->w, r);
  }
  mutex_unlock(&m->w->lock);
}

/* ---- another text, and one more ---- */

static enum status amend(struct memory *m, struct memory_row *r, struct span payload,
                         struct error *err) {
  const struct event_change change = {"payload", payload};
  struct buffer text = {0};
  if (!r->doc.count || r->doc.nodes[0].type != JSON_OBJECT)
    return memory_rewrite(m, r, payload, err);
  event_rewrite(&r->doc, &change, 1, &text);
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = memory_rewrite(m, r, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

enum status memory_amend(void *impl, const char *token, int64_t when_us, struct span payload,
                         struct error *err) {
  struct memory *m = impl;
  struct letter letter = {.token = token, .when_us = when_us};
  mutex_lock(&m->w->lock);
  struct memory_row *r = letter_row(m, &letter);
  enum status st = r ? amend(m, r, payload, err) : letter.status;
  if (!r && err) *err = letter.error;
  mutex_unlock(&m->w->lock);
  return st;
}

static char *copy_of(struct span text) {
  return text.len ? strndup(text.ptr, text.len) : NULL;
}

static enum status add_letter(struct memory *m, const struct burial *letter,
                              const struct burial_notes *notes, struct error *err) {
  struct memory_row *r;
  for (size_t i = 0; i < m->w->count; i++)
    if (m->w->rows[i]->shelf == SHELF_DEAD && span_is(letter->storage_key, m->w->rows[i]->key))
      return error_set(err, ST_EXISTS, "a dead letter %s is there", m->w->rows[i]->key);
  enum status st = memory_add(m, letter->storage_key, notes->pending, SHELF_DEAD, &r, err);
  if (st != ST_OK) return st;
  r->last_error = copy_of(notes->last_error);
  r->topic = copy_of(notes->topic);
  r->reason = reason_from_word(notes->reason);
  r->attempts = notes->event.attempts;
  r->failed_us = notes->event.failed_us;
  r->first_failed_us = notes->event.first_failed_us;
  return ST_OK;
}

enum status memory_bury(void *impl, const struct burial *letter, struct buffer *label,
                        struct error *err) {
  struct memory *m = impl;
  struct arena arena = {0};
  struct burial_notes notes;
  enum status st = burial_read(letter, &arena, &notes, err);
  if (st == ST_OK) {
    mutex_lock(&m->w->lock);
    st = add_letter(m, letter, &notes, err);
    mutex_unlock(&m->w->lock);
  }
  if (st == ST_OK && label) buffer_add(label, letter->storage_key);
  arena_release(&arena);
  return st;
}

enum status memory_emit(void *impl, struct span key, struct span text, struct buffer *label,
                        struct error *err) {
  struct memory *m = impl;
  if (!key.len) return error_set(err, ST_INVALID, "an entry needs a storage key");
  mutex_lock(&m->w->lock);
  enum status st = memory_of_key(m->w, key)
                       ? error_set(err, ST_EXISTS, "%.*s is there already", SPAN_ARGS(key))
                       : memory_add(m, key, text, SHELF_PENDING, NULL, err);
  mutex_unlock(&m->w->lock);
  if (st == ST_OK && label) buffer_add(label, key);
  return st;
}
