/* From an id, its beginning or a storage key to one entry, or to the names of all it may mean.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/entries/lookup.h"

#define SHOWN 10 /* candidates named in a message */

static bool keep_text(struct lookup *f, struct span text, struct span *out) {
  const char *copy = arena_copy(&f->arena, text);
  *out = (struct span){copy, text.len};
  return copy != NULL;
}

static bool collect(void *ctx, const struct entry_info *info) {
  struct lookup *f = ctx;
  if (f->count == LOOKUP_MOST) return false;
  struct found *c = &f->list[f->count];
  *c = (struct found){.shelf = info->shelf, .raw = info->raw};
  f->no_memory = !keep_text(f, info->id, &c->id) || !keep_text(f, info->name, &c->name) ||
                 !keep_text(f, span_of(info->token), &c->token) ||
                 !keep_text(f, span_of(info->label), &c->label) ||
                 !keep_text(f, info->storage_key, &c->storage_key);
  if (f->no_memory) return false;
  f->count++;
  return true;
}

/* Several entries may carry one id (ID, ID__1): the one that is called exactly so is meant then. Of
 * such ones in several places the first is, the others are kept behind it. */
static void prefer_exact_key(struct lookup *f) {
  size_t exact = 0;
  for (size_t i = 0; i < f->count; i++)
    if (span_eq(f->list[i].storage_key, f->wanted)) f->list[exact++] = f->list[i];
  f->exact = exact > 0;
  if (f->exact) f->count = exact;
}

enum status lookup_ambiguous(const struct lookup *f, const struct store *store, uint64_t total,
                             struct error *err) {
  struct buffer names = {0};
  for (size_t i = 0; i < f->count && i < SHOWN; i++) {
    const struct found *one = &f->list[i];
    buffer_printf(&names, "%s%s%.*s", i ? ", " : "",
                  store_shelf_words(store, one->shelf, one->token), SPAN_ARGS(one->storage_key));
  }
  enum status st = error_set(
      err, ST_EXISTS, "\"%.*s\" may mean %llu entries: %s%s; give more of the id, or one of these",
      SPAN_ARGS(f->wanted), (unsigned long long)total, buffer_z(&names),
      total > SHOWN ? ", ..." : "");
  buffer_release(&names);
  return st;
}

enum status lookup_one(struct lookup *f, struct store *store, unsigned which, struct span id,
                       struct error *err) {
  uint64_t total = 0;
  f->wanted = id;
  enum status st = store_find(store, which, id, collect, f, &total, err);
  if (st != ST_OK) return st;
  if (f->no_memory) return error_set(err, ST_NO_MEMORY, "Out of memory");
  if (f->count > 1) prefer_exact_key(f);
  if (f->count > 1 && !f->exact) return lookup_ambiguous(f, store, total, err);
  f->one = f->count ? &f->list[0] : NULL;
  return f->one ? ST_OK : ST_NOT_FOUND;
}

void lookup_release(struct lookup *f) {
  arena_release(&f->arena);
}
