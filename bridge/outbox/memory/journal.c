/* The memory kind: manifests, in the order they were written.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/outbox/memory/memory.h"

#include <inttypes.h>

enum { ROW_BYTES = 40 }; /* of an entry beside its texts */

void memory_journal_release(struct memory_world *w) {
  for (size_t i = 0; i < w->manifest_count; i++) manifest_release(&w->manifests[i]);
  free(w->manifests);
  free(w->settled);
  free(w->written_ms);
}

static bool room_for_one(struct memory_world *w) {
  size_t count = w->manifest_count + 1;
  struct manifest *manifests = realloc(w->manifests, count * sizeof *manifests);
  if (manifests) w->manifests = manifests;
  bool *settled = realloc(w->settled, count * sizeof *settled);
  if (settled) w->settled = settled;
  int64_t *written_ms = realloc(w->written_ms, count * sizeof *written_ms);
  if (written_ms) w->written_ms = written_ms;
  return manifests && settled && written_ms;
}

static size_t fit_of(const struct manifest *m) {
  size_t bytes = 0, fit = 0;
  for (; fit < m->count; fit++) {
    const struct manifest_entry *e = &m->entries[fit];
    bytes += ROW_BYTES + e->ref.token.len + e->ref.label.len + e->id.len + e->topic.len +
             (e->duplicate ? 0 : e->key.len);
    if (bytes > MANIFEST_MOST) break;
  }
  return fit;
}

static bool copy_entry(struct arena *a, const struct manifest_entry *from,
                       struct manifest_entry *to) {
  *to = *from;
  to->ref.token = arena_span(a, from->ref.token);
  to->ref.label = arena_span(a, from->ref.label);
  to->ref.id = to->id = arena_span(a, from->id);
  to->topic = arena_span(a, from->topic);
  to->key = from->duplicate ? (struct span){0} : arena_span(a, from->key);
  if (to->key.len > MANIFEST_KEY) to->key.len = MANIFEST_KEY;
  return to->ref.token.ptr && (to->ref.label.ptr || !from->ref.label.len) &&
         (to->id.ptr || !from->id.len) && (to->topic.ptr || !from->topic.len) &&
         (to->key.ptr || from->duplicate || !from->key.len);
}

static enum status copy(const struct manifest *from, struct manifest *to, struct error *err) {
  *to = (struct manifest){.number = from->number, .count = from->count, .fit = from->fit};
  memcpy(to->digest, from->digest, sizeof to->digest);
  memcpy(to->before, from->before, sizeof to->before);
  to->entries = arena_zalloc(&to->arena, (from->count + 1) * sizeof *to->entries);
  to->nonce = arena_span(&to->arena, from->nonce);
  bool whole = to->entries && (to->nonce.ptr || !from->nonce.len);
  for (size_t i = 0; whole && i < from->count; i++)
    whole = copy_entry(&to->arena, &from->entries[i], &to->entries[i]);
  if (whole) return ST_OK;
  manifest_release(to);
  return error_set(err, ST_NO_MEMORY, "no memory for a manifest");
}

enum status memory_batch_write(void *impl, struct manifest *m, const char *nonce,
                               struct error *err) {
  struct memory *handle = impl;
  struct memory_world *w = handle->w;
  struct buffer text = {0};
  m->fit = fit_of(m);
  if (m->fit < m->count)
    return error_set(err, ST_TOO_LARGE, "%zu of %zu entries fill a manifest of %d bytes", m->fit,
                     m->count, MANIFEST_MOST);
  buffer_printf(&text, "%" PRIu64 " %s %s %zu", m->number, m->before, nonce, m->count);
  struct digest d = digest_fixed(buffer_span(&text));
  snprintf(m->digest, sizeof m->digest, "%016" PRIx64 "%016" PRIx64, d.hi, d.lo);
  enum status st = buffer_status(&text, err);
  buffer_release(&text);
  if (st != ST_OK) return st;
  struct manifest written = *m;
  written.nonce = span_of(nonce);
  mutex_lock(&w->lock);
  st = room_for_one(w) ? copy(&written, &w->manifests[w->manifest_count], err)
                       : error_set(err, ST_NO_MEMORY, "no memory");
  if (st == ST_OK) {
    for (size_t i = 0; i < w->manifest_count; i++)
      BUG_ON(!strcmp(w->manifests[i].digest, m->digest)); /* the nonce */
    w->settled[w->manifest_count] = false;
    w->written_ms[w->manifest_count] = clock_wall_us(handle->clock) / 1000;
    w->manifest_count++;
  }
  mutex_unlock(&w->lock);
  return st;
}

static int in_order(const void *a, const void *b) {
  const struct manifest_name *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  if (x->settled != y->settled) return x->settled ? -1 : 1;
  return strcmp(x->digest, y->digest);
}

enum status memory_batch_list(void *impl, struct manifest_name **list, size_t *count,
                              struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  mutex_lock(&w->lock);
  *count = w->manifest_count;
  *list = calloc(w->manifest_count + 1, sizeof **list);
  for (size_t i = 0; *list && i < w->manifest_count; i++) {
    (*list)[i] = (struct manifest_name){
        .number = w->manifests[i].number, .settled = w->settled[i], .written_ms = w->written_ms[i]};
    memcpy((*list)[i].digest, w->manifests[i].digest, MANIFEST_DIGEST);
  }
  mutex_unlock(&w->lock);
  if (!*list) return error_set(err, ST_NO_MEMORY, "no memory for a list");
  qsort(*list, *count, sizeof **list, in_order);
  return ST_OK;
}

/* Under the lock; manifest_count: it is not there. */
static size_t at(const struct memory_world *w, const struct manifest_name *name) {
  size_t i = 0;
  while (i < w->manifest_count && (w->manifests[i].number != name->number ||
                                   strcmp(w->manifests[i].digest, name->digest) != 0))
    i++;
  return i;
}

enum status memory_batch_read(void *impl, const struct manifest_name *name, struct manifest *out,
                              struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  *out = (struct manifest){0};
  mutex_lock(&w->lock);
  size_t i = at(w, name);
  enum status st = i < w->manifest_count
                       ? copy(&w->manifests[i], out, err)
                       : error_set(err, ST_NOT_FOUND, "batch %" PRIu64 " is gone", name->number);
  mutex_unlock(&w->lock);
  return st;
}

enum status memory_batch_names(void *impl, const struct span *ids, size_t count, bool *named,
                               struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  (void)err;
  memset(named, 0, count * sizeof *named);
  mutex_lock(&w->lock);
  for (size_t i = 0; i < w->manifest_count; i++)
    for (size_t j = 0; !w->settled[i] && j < w->manifests[i].count; j++)
      for (size_t k = 0; k < count; k++)
        named[k] |= ids[k].len && span_eq(ids[k], w->manifests[i].entries[j].id);
  mutex_unlock(&w->lock);
  return ST_OK;
}

enum status memory_mark(struct memory_world *w, const struct manifest_name *name,
                        struct error *err) {
  size_t i = at(w, name);
  bool there = i < w->manifest_count;
  if (there) w->settled[i] = true;
  return there ? ST_OK : error_set(err, ST_NOT_FOUND, "batch %" PRIu64 " is gone", name->number);
}

enum status memory_batch_settle(void *impl, const struct manifest_name *name, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  mutex_lock(&w->lock);
  enum status st = memory_mark(w, name, err);
  mutex_unlock(&w->lock);
  return st;
}

enum status memory_batch_remove(void *impl, const struct manifest_name *name, struct error *err) {
  struct memory_world *w = ((struct memory *)impl)->w;
  (void)err;
  mutex_lock(&w->lock);
  size_t i = at(w, name), last = w->manifest_count - 1;
  if (i < w->manifest_count) {
    manifest_release(&w->manifests[i]);
    w->manifests[i] = w->manifests[last];
    w->settled[i] = w->settled[last];
    w->written_ms[i] = w->written_ms[last];
    w->manifest_count--;
  }
  mutex_unlock(&w->lock);
  return ST_OK;
}
