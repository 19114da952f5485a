/* The memory kind: frozen selections, by number. The owner's thread; a crash takes all with it. */
#include "bridge/outbox/memory/memory.h"

void memory_selections_release(struct memory_world *w) {
  for (size_t i = 0; i < w->selection_count; i++) buffer_release(&w->selections[i].text);
  free(w->selections);
}

enum status memory_draft_begin(void *impl, void **out, struct error *err) {
  (void)impl;
  *out = calloc(1, sizeof(struct buffer));
  return *out ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory for a selection");
}

enum status memory_draft_add(void *impl, void *draft, struct span text, struct error *err) {
  (void)impl;
  buffer_add(draft, text);
  return buffer_status(draft, err);
}

enum status memory_draft_commit(void *impl, void *draft, uint64_t *number, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  struct buffer *text = draft;
  mutex_lock(&w->lock);
  struct memory_selection *grown = realloc(w->selections, (w->selection_count + 1) * sizeof *grown);
  if (grown) {
    w->selections = grown;
    *number = ++w->last_selection;
    grown[w->selection_count++] = (struct memory_selection){.number = *number, .text = *text};
    *text = (struct buffer){0};
  }
  mutex_unlock(&w->lock);
  return grown ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory for a selection");
}

void memory_draft_close(void *impl, void *draft) {
  (void)impl;
  buffer_release(draft);
  free(draft);
}

enum status memory_selections(void *impl, uint64_t numbers[SELECTIONS_MOST], size_t *count,
                              struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  (void)err;
  mutex_lock(&w->lock);
  *count = w->selection_count < SELECTIONS_MOST ? w->selection_count : SELECTIONS_MOST;
  for (size_t i = 0; i < *count; i++) numbers[i] = w->selections[i].number;
  mutex_unlock(&w->lock);
  return ST_OK;
}

/* Under the lock. */
static struct memory_selection *find_selection(struct memory_world *w, uint64_t number,
                                               enum status *st, struct error *err) {
  for (size_t i = 0; i < w->selection_count; i++)
    if (w->selections[i].number == number) return &w->selections[i];
  *st = error_set(err, ST_NOT_FOUND, "There is no unfinished selection %llu",
                  (unsigned long long)number);
  return NULL;
}

enum status memory_selection_size(void *impl, uint64_t number, uint64_t *size, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  enum status st = ST_OK;
  mutex_lock(&w->lock);
  const struct memory_selection *one = find_selection(w, number, &st, err);
  if (one) *size = one->text.len;
  mutex_unlock(&w->lock);
  return st;
}

enum status memory_selection_read(void *impl, uint64_t number, uint64_t at, size_t most,
                                  struct buffer *out, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  enum status st = ST_OK;
  mutex_lock(&w->lock);
  const struct memory_selection *one = find_selection(w, number, &st, err);
  size_t left = one && at < one->text.len ? one->text.len - (size_t)at : 0;
  if (left) buffer_add(out, (struct span){one->text.ptr + at, left < most ? left : most});
  mutex_unlock(&w->lock);
  return st == ST_OK ? buffer_status(out, err) : st;
}

enum status memory_selection_add(void *impl, uint64_t number, struct span text, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  enum status st = ST_OK;
  mutex_lock(&w->lock);
  struct memory_selection *one = find_selection(w, number, &st, err);
  if (one && one->text.len && one->text.ptr[one->text.len - 1] != '\n')
    buffer_add_char(&one->text, '\n');
  if (one) buffer_add(&one->text, text);
  if (one) st = buffer_status(&one->text, err);
  mutex_unlock(&w->lock);
  return st;
}

enum status memory_selection_remove(void *impl, uint64_t number, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  enum status st = ST_OK;
  mutex_lock(&w->lock);
  struct memory_selection *one = find_selection(w, number, &st, err);
  if (one) {
    buffer_release(&one->text);
    size_t behind = (size_t)(w->selections + w->selection_count - one) - 1;
    memmove(one, one + 1, behind * sizeof *one);
    w->selection_count--;
  }
  mutex_unlock(&w->lock);
  return st;
}
