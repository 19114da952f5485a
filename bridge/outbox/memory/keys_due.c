/* The memory kind: keys that Redis has yet to be told, in the order they came.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/outbox/memory/memory.h"

struct memory_keys_due {
  struct memory_keys_due *next;
  size_t id_len, place_len;
  char text[]; /* both */
};

static struct key key_of(const struct memory_keys_due *d) {
  return (struct key){{d->text, d->id_len}, {d->text + d->id_len, d->place_len}};
}

static void drop_first(struct memory_world *w) {
  struct memory_keys_due *first = w->due;
  w->due = first->next;
  w->keys_due_count--;
  free(first);
}

void memory_keys_due_release(struct memory_world *w) {
  while (w->due) drop_first(w);
}

enum status memory_keys_due_open(void *impl, size_t most, struct error *err) {
  struct memory *m = impl;
  (void)err;
  m->keys_due_most = most;
  m->keys_due_read = 0;
  return ST_OK;
}

/* Behind the others, once all have their memory: all or none. */
static enum status make_due(const struct key *list, const bool *done, size_t count,
                            struct memory_keys_due **first, size_t *made, struct error *err) {
  struct memory_keys_due **end = first;
  for (size_t i = 0; i < count; i++) {
    if (done[i]) continue;
    struct memory_keys_due *one = malloc(sizeof *one + list[i].id.len + list[i].place.len);
    if (!one) return error_set(err, ST_NO_MEMORY, "no memory for what is due");
    *one = (struct memory_keys_due){.id_len = list[i].id.len, .place_len = list[i].place.len};
    if (one->id_len) memcpy(one->text, list[i].id.ptr, one->id_len);
    if (one->place_len) memcpy(one->text + one->id_len, list[i].place.ptr, one->place_len);
    *end = one;
    end = &one->next;
    ++*made;
  }
  return ST_OK;
}

enum status memory_keys_due_add(void *impl, const struct key *list, const bool *done, size_t count,
                                uint64_t *given_up, struct error *err) {
  struct memory *m = impl;
  struct memory_world *w = m->w;
  struct memory_keys_due *added = NULL, **end = &w->due;
  size_t made = 0;
  enum status st = make_due(list, done, count, &added, &made, err);
  mutex_lock(&w->lock);
  for (; st == ST_OK && made && w->keys_due_count >= m->keys_due_most; m->keys_due_read = 0)
    for (size_t i = 0; w->due && i <= m->keys_due_most / 8; i++, ++*given_up) drop_first(w);
  while (*end) end = &(*end)->next;
  if (st == ST_OK) {
    *end = added;
    w->keys_due_count += made;
    added = NULL;
  }
  mutex_unlock(&w->lock);
  while (added) {
    struct memory_keys_due *next = added->next;
    free(added);
    added = next;
  }
  return st;
}

bool memory_keys_due_has(void *impl, struct span id) {
  struct memory_world *w = ((struct memory *)impl)->w;
  bool has = false;
  mutex_lock(&w->lock);
  for (const struct memory_keys_due *d = w->due; d && !has; d = d->next)
    has = span_eq(key_of(d).id, id);
  mutex_unlock(&w->lock);
  return has;
}

uint64_t memory_keys_due_count(void *impl) {
  struct memory_world *w = ((struct memory *)impl)->w;
  mutex_lock(&w->lock);
  uint64_t count = w->keys_due_count;
  mutex_unlock(&w->lock);
  return count;
}

/* Nobody but the reader drops them, so their bytes stay where they are. */
enum status memory_keys_due_read(void *impl, struct key *out, size_t max, size_t *count,
                                 struct error *err) {
  struct memory *m = impl;
  (void)err;
  *count = 0;
  mutex_lock(&m->w->lock);
  for (const struct memory_keys_due *d = m->w->due; d && *count < max; d = d->next)
    out[(*count)++] = key_of(d);
  m->keys_due_read = *count;
  mutex_unlock(&m->w->lock);
  return ST_OK;
}

enum status memory_keys_due_drop(void *impl, struct error *err) {
  struct memory *m = impl;
  (void)err;
  mutex_lock(&m->w->lock);
  for (; m->keys_due_read && m->w->due; m->keys_due_read--) drop_first(m->w);
  m->keys_due_read = 0;
  mutex_unlock(&m->w->lock);
  return ST_OK;
}
