/* Worlds, their rows, and lists of entries in hand. All under the world's lock; a crash of the
 * process takes all with it.
 * Any thread. */
#include "bridge/outbox/memory/memory.h"

#include "bridge/base/text/words.h"

#include <time.h>

const struct event memory_no_event = {.payload = JSON_NONE,
                                      .created_us = TIME_NONE,
                                      .failed_us = TIME_NONE,
                                      .first_failed_us = TIME_NONE};

/* ---- worlds ---- */

static struct mutex worlds_lock = MUTEX_INIT;
static struct memory_world *worlds;

static struct memory_world *make_world(const char *address) {
  struct memory_world *w = calloc(1, sizeof *w);
  char *kept = strdup(address);
  if (!w || !kept) {
    free(w);
    free(kept);
    return NULL;
  }
  cond_init(&w->changed);
  mutex_init(&w->lock);
  w->address = kept;
  w->latest_ns = INT64_MIN;
  w->next = worlds;
  return worlds = w;
}

struct memory_world *memory_world_of(const char *address) {
  mutex_lock(&worlds_lock);
  struct memory_world *w = worlds;
  while (w && strcmp(w->address, address) != 0) w = w->next;
  if (!w) w = make_world(address);
  mutex_unlock(&worlds_lock);
  return w;
}

static void row_free(struct memory_row *r) {
  json_doc_release(&r->doc);
  arena_release(&r->arena);
  free(r->key);
  free(r->text);
  free(r->last_error);
  free(r->topic);
  free(r);
}

void store_memory_unlock(const char *address) {
  struct memory_world *w = memory_world_of(address);
  if (!w) return;
  mutex_lock(&w->lock);
  w->owner = NULL;
  memory_tell(w);
  mutex_unlock(&w->lock);
}

void store_memory_forget(const char *address) {
  mutex_lock(&worlds_lock);
  struct memory_world **at = &worlds;
  while (*at && strcmp((*at)->address, address) != 0) at = &(*at)->next;
  struct memory_world *w = *at;
  if (w) *at = w->next;
  mutex_unlock(&worlds_lock);
  if (!w) return;
  for (size_t i = 0; i < w->count; i++) row_free(w->rows[i]);
  free(w->rows);
  memory_journal_release(w);
  memory_owner_release(w);
  memory_selections_release(w);
  memory_keys_due_release(w);
  cond_destroy(&w->changed);
  mutex_destroy(&w->lock);
  free(w->address);
  free(w);
}

/* ---- rows ---- */

struct memory_row *memory_find(struct memory_world *w, enum shelf shelf, struct span token) {
  for (size_t i = 0; i < w->count; i++)
    if (w->rows[i]->shelf == shelf && span_is(token, w->rows[i]->token)) return w->rows[i];
  return NULL;
}

struct memory_row *memory_of_serial(struct memory_world *w, uint64_t serial) {
  for (size_t i = 0; i < w->count; i++)
    if (w->rows[i]->serial == serial) return w->rows[i];
  return NULL;
}

struct memory_row *memory_of_key(struct memory_world *w, struct span key) {
  for (size_t i = 0; i < w->count; i++)
    if (w->rows[i]->shelf == SHELF_PENDING && span_is(key, w->rows[i]->key)) return w->rows[i];
  return NULL;
}

bool memory_pending(const struct memory_row *r) {
  if (r->shelf != SHELF_PENDING) return false;
  bool object = r->doc.count && r->doc.nodes[0].type == JSON_OBJECT;
  return !object || r->fault != REASON_NONE || r->event.status == EVENT_PENDING;
}

void memory_touch(struct memory *m, struct memory_row *r) {
  r->version = ++m->w->versions;
  r->since_ns = clock_wall_us(m->clock) * 1000;
}

void memory_tell(struct memory_world *w) {
  w->changes++;
  cond_broadcast(&w->changed);
}

static enum status parse(struct memory *m, struct memory_row *r, struct error *err) {
  size_t most = m->w->max_entry_bytes;
  r->event = memory_no_event;
  enum status st = json_scan(&r->doc, (struct span){r->text, r->len}, &r->words);
  if (st == ST_OK) r->fault = event_read(&r->doc, m->lifting, &r->arena, &r->event, &r->words);
  if (st == ST_INVALID) r->fault = event_reason_of(r->doc.fault);
  if (st == ST_NO_MEMORY || r->fault == REASON_NO_MEMORY)
    return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  r->attempts = r->event.attempts;
  r->failed_us = r->event.failed_us;
  r->first_failed_us = r->event.first_failed_us;
  if (!most || r->len <= most) return ST_OK;
  r->fault = REASON_TOO_LARGE;
  error_set(&r->words, ST_TOO_LARGE,
            "%zu bytes, more than the %zu that outbox.max_entry_bytes allows", r->len, most);
  return ST_OK;
}

/* Its own copy of text, read. */
static enum status take_text(struct memory *m, struct memory_row *r, struct span text,
                             struct error *err) {
  r->text = malloc(text.len + 1);
  r->len = text.len;
  if (!r->text) return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  memcpy(r->text, text.ptr ? text.ptr : "", text.len);
  return parse(m, r, err);
}

enum status memory_rewrite(struct memory *m, struct memory_row *r, struct span text,
                           struct error *err) {
  struct memory_row fresh = {0};
  enum status st = take_text(m, &fresh, text, err);
  if (st != ST_OK) {
    json_doc_release(&fresh.doc);
    arena_release(&fresh.arena);
    free(fresh.text);
    return st;
  }
  json_doc_release(&r->doc);
  arena_release(&r->arena);
  free(r->text);
  r->text = fresh.text;
  r->len = fresh.len;
  r->doc = fresh.doc;
  r->arena = fresh.arena;
  r->event = fresh.event;
  r->fault = fresh.fault;
  r->words = fresh.words;
  memory_touch(m, r);
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

enum status memory_add(struct memory *m, struct span key, struct span text, enum shelf shelf,
                       struct memory_row **out, struct error *err) {
  struct memory_world *w = m->w;
  struct memory_row *r = calloc(1, sizeof *r);
  if (!r || !room_for_one(w)) {
    free(r);
    return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  }
  r->shelf = shelf;
  r->key = strndup(key.ptr, key.len);
  enum status st =
      r->key ? take_text(m, r, text, err) : error_set(err, ST_NO_MEMORY, "no memory for an entry");
  if (st != ST_OK) {
    row_free(r);
    return st;
  }
  int64_t now_ns = clock_wall_us(m->clock) * 1000;
  w->latest_ns = now_ns > w->latest_ns ? now_ns : w->latest_ns;
  r->arrived_ns = w->latest_ns;
  BUG_ON_RULE(S9, shelf == SHELF_PENDING && memory_of_key(w, key));
  r->serial = ++w->serials;
  snprintf(r->token, sizeof r->token, "%llu", (unsigned long long)r->serial);
  BUG_ON_RULE(S10, w->count && w->rows[w->count - 1]->arrived_ns > r->arrived_ns);
  memory_touch(m, r);
  w->rows[w->count++] = r;
  memory_tell(w);
  if (out) *out = r;
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

/* ---- in hand ---- */

struct memory_hand **memory_hand_of(struct memory_hand **list, uint64_t serial) {
  while (*list && (*list)->serial != serial) list = &(*list)->next;
  return list;
}

struct memory_hand **memory_hand_named(struct memory_hand **list, struct span token) {
  int64_t serial = 0;
  return memory_hand_of(list, integer_parse(token, &serial) ? (uint64_t)serial : 0);
}

bool memory_in_hand(struct memory *m, const struct memory_row *r) {
  return *memory_hand_of(&m->in_hand, r->serial);
}

bool memory_hand_put(struct memory_hand **list, const struct memory_row *r) {
  struct memory_hand *hand = calloc(1, sizeof *hand);
  if (!hand) return false;
  *hand = (struct memory_hand){.serial = r->serial};
  while (*list) list = &(*list)->next;
  *list = hand;
  return true;
}

bool memory_notice(struct memory *m, const struct memory_row *r) {
  memory_tell(m->w);
  return *memory_hand_of(&m->notices, r->serial) || memory_hand_put(&m->notices, r);
}

void memory_hand_drop(struct memory_hand **list) {
  struct memory_hand *hand = *list;
  *list = hand->next;
  free(hand);
}
