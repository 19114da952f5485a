/* The memory kind: its id, who owns it, its notes. The end of a handle frees its lock, as the end
 * of a process does.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/outbox/memory/memory.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

void memory_owner_release(struct memory_world *w) {
  buffer_release(&w->audit);
  for (size_t i = 0; i < NOTES; i++) {
    if (w->notes[i]) buffer_release(w->notes[i]);
    free(w->notes[i]);
  }
}

const char *memory_id(const void *impl) {
  return ((const struct memory *)impl)->w->id;
}

enum status memory_lock(void *impl, int64_t wait_ms, struct error *err) {
  struct memory *m = impl;
  struct memory_world *w = m->w;
  int64_t until_ns = clock_mono_ns(m->clock) + wait_ms * 1000000;
  bool in_time = wait_ms > 0;
  mutex_lock(&w->lock);
  while (w->owner && in_time) in_time = cond_wait_until(&w->changed, &w->lock, until_ns);
  bool known = *w->id, ours = known && !w->owner;
  if (ours) w->owner = m;
  mutex_unlock(&w->lock);
  if (!known)
    return error_set(err, ST_NOT_FOUND, "the outbox %s was not opened to be changed yet",
                     w->address);
  return ours ? ST_OK
              : error_set(err, ST_BUSY, "the outbox %s is held by pid %ld", w->address,
                          (long)getpid());
}

int64_t memory_holder(const void *impl) {
  const struct memory *m = impl;
  mutex_lock(&m->w->lock);
  bool held = m->w->owner;
  mutex_unlock(&m->w->lock);
  return held ? getpid() : 0;
}

enum status memory_check(void *impl, struct error *err) {
  const struct memory *m = impl;
  mutex_lock(&m->w->lock);
  bool ours = m->w->owner == m;
  mutex_unlock(&m->w->lock);
  return ours ? ST_OK
              : error_set(err, ST_BUSY, "the outbox %s is not held by this worker any more",
                          m->w->address);
}

enum status memory_renew_id(void *impl, struct error *err) {
  struct memory *m = impl;
  (void)err;
  mutex_lock(&m->w->lock);
  uuid_make(m->clock, m->w->id);
  mutex_unlock(&m->w->lock);
  return ST_OK;
}

/* ---- notes ---- */

enum status memory_note_read(const void *impl, enum note note, struct buffer *out,
                             struct error *err) {
  const struct memory *m = impl;
  mutex_lock(&m->w->lock);
  const struct buffer *text = m->w->notes[note];
  if (text) buffer_add(out, buffer_span(text));
  mutex_unlock(&m->w->lock);
  return text ? buffer_status(out, err) : ST_NOT_FOUND;
}

static void replace(struct memory_world *w, enum note note, struct buffer *text) {
  mutex_lock(&w->lock);
  struct buffer *old = w->notes[note];
  w->notes[note] = text;
  mutex_unlock(&w->lock);
  if (old) buffer_release(old);
  free(old);
}

enum status memory_note_write(void *impl, enum note note, struct span text, struct error *err) {
  struct buffer *kept = calloc(1, sizeof *kept);
  if (!kept) return error_set(err, ST_NO_MEMORY, "no memory for a note");
  buffer_add(kept, text);
  enum status st = buffer_status(kept, err);
  if (st == ST_OK) {
    replace(((struct memory *)impl)->w, note, kept);
    return ST_OK;
  }
  buffer_release(kept);
  free(kept);
  return st;
}

enum status memory_note_remove(void *impl, enum note note, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  (void)err;
  mutex_lock(&w->lock);
  bool there = w->notes[note];
  mutex_unlock(&w->lock);
  replace(w, note, NULL);
  return there ? ST_OK : ST_NOT_FOUND;
}

/* ---- nothing is ever on its way, and nothing hinders ---- */

bool memory_hinders_one(const void *impl, const struct error *why) {
  (void)impl, (void)why;
  return false;
}

const char *memory_remedy(int sys) {
  (void)sys;
  return "Fix what hinders it";
}

uint64_t memory_left(const void *impl, int64_t now_us) {
  (void)impl, (void)now_us;
  return 0;
}

/* ---- the whole of it ---- */

void memory_space(const void *impl, struct store_space *out) {
  (void)impl;
  *out = (struct store_space){.entries = -1};
}

enum status memory_writable(const void *impl, struct error *err) {
  (void)impl, (void)err;
  return ST_OK;
}

uint64_t memory_estimate(const void *impl, unsigned which) {
  const struct memory *m = impl;
  uint64_t count = 0;
  mutex_lock(&m->w->lock);
  for (size_t i = 0; i < m->w->count; i++) {
    enum shelf shelf = m->w->rows[i]->shelf;
    count += (shelf == SHELF_PENDING && which & LIST_PENDING) ||
             (shelf == SHELF_DEAD && which & LIST_DEAD);
  }
  mutex_unlock(&m->w->lock);
  return count;
}

void memory_examine(void *impl, enum examination which, struct examined *out) {
  const struct memory_world *w = ((struct memory *)impl)->w;
  bool second = which == EXAMINE_SECOND || which == EXAMINE_SECOND_CHANGES;
  if (second) out->verdict = EXAMINED_NOT;
  if (which >= EXAMINE_FURTHER) return;
  out->check = which == EXAMINE_PLACE ? "outbox" : "memory";
  if (which == EXAMINE_PLACE)
    buffer_printf(&out->text, "%s, in memory", w->address);
  else
    buffer_add_z(&out->text, second ? "there is none" : "rows are changed under one lock");
}

enum status memory_audit(void *impl, struct span line, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  mutex_lock(&w->lock);
  if (w->audit.len >= STORE_AUDIT_MOST) buffer_clear(&w->audit);
  buffer_add(&w->audit, line);
  enum status st = buffer_status(&w->audit, err);
  mutex_unlock(&w->lock);
  return st;
}
