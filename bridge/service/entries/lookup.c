/* From an id, its beginning or a stem to one entry, or to the names of all it may mean.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/entries/lookup.h"

#define SHOWN 10 /* candidates named in a message */

static struct span stem_of(struct span file) {
  size_t end = file.len;
  while (end > 0 && file.ptr[end - 1] != '.') end--;
  return (struct span){file.ptr, end > 0 ? end - 1 : file.len};
}

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
                 !keep_text(f, span_of(info->token), &c->token);
  if (f->no_memory) return false;
  size_t before = (size_t)(info->file - info->token);
  c->file = (struct span){c->token.ptr + before, c->token.len - before};
  f->count++;
  return true;
}

/* Several entries may carry one id (id.json, id__1.json): the one whose file is named exactly so is
 * meant then. Of such ones in several places the first is, the others are kept behind it. */
static void prefer_exact_file(struct lookup *f) {
  size_t exact = 0;
  for (size_t i = 0; i < f->count; i++)
    if (span_eq(stem_of(f->list[i].file), f->wanted)) f->list[exact++] = f->list[i];
  f->exact = exact > 0;
  if (f->exact) f->count = exact;
}

enum status lookup_ambiguous(const struct lookup *f, uint64_t total, struct error *err) {
  struct buffer names = {0};
  for (size_t i = 0; i < f->count && i < SHOWN; i++) {
    struct span stem = stem_of(f->list[i].token);
    buffer_printf(&names, "%s%s%.*s", i ? ", " : "", shelf_path(f->list[i].shelf, stem),
                  SPAN_ARGS(stem));
  }
  enum status st = error_set(
      err, ST_EXISTS,
      "\"%.*s\" may mean %llu entries: %s%s; give more of the id, or the file as it is named here",
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
  if (f->count > 1) prefer_exact_file(f);
  if (f->count > 1 && !f->exact) return lookup_ambiguous(f, total, err);
  f->one = f->count ? &f->list[0] : NULL;
  return f->one ? ST_OK : ST_NOT_FOUND;
}

void lookup_release(struct lookup *f) {
  arena_release(&f->arena);
}
