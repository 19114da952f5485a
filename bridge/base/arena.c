/* Memory handed out from 64 KiB chunks and freed all at once; a reset keeps up to 8 MiB of chunks
 * for the next round.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/base/span.h"

enum { CHUNK = 64 * 1024, KEEP = 8 * 1024 * 1024 };

struct arena_chunk {
  struct arena_chunk *next;
  size_t used, cap;
  char bytes[];
};

static struct arena_chunk *chunk_new(size_t need) {
  size_t cap = need > CHUNK ? need : CHUNK;
  struct arena_chunk *c = malloc(sizeof *c + cap);
  if (!c) return NULL;
  c->used = 0;
  c->cap = cap;
  return c;
}

/* The first empty chunk that is large enough, taken from the spare ones, else a new one. */
static struct arena_chunk *chunk_take(struct arena *a, size_t need) {
  for (struct arena_chunk **at = &a->spare; *at; at = &(*at)->next) {
    struct arena_chunk *c = *at;
    if (c->cap < need) continue;
    *at = c->next;
    return c;
  }
  return chunk_new(need);
}

void *arena_alloc(struct arena *a, size_t len) {
  if (len > SIZE_MAX / 2) return NULL;
  len = (len + 7) & ~(size_t)7;
  struct arena_chunk *c = a->chunks;
  if (!c || c->cap - c->used < len) {
    c = chunk_take(a, len);
    if (!c) return NULL;
    /* One made for a single large piece goes behind the first, whose rest is still good for small
     * ones. */
    struct arena_chunk **place = a->chunks && len > CHUNK ? &a->chunks->next : &a->chunks;
    c->next = *place;
    *place = c;
  }
  void *at = c->bytes + c->used;
  c->used += len;
  a->used += len;
  return at;
}

void *arena_zalloc(struct arena *a, size_t len) {
  void *at = arena_alloc(a, len);
  if (at) memset(at, 0, len);
  return at;
}

char *arena_copy(struct arena *a, struct span s) {
  char *at = arena_alloc(a, s.len + 1);
  if (!at) return NULL;
  if (s.len) memcpy(at, s.ptr, s.len);
  at[s.len] = '\0';
  return at;
}

struct span arena_span(struct arena *a, struct span s) {
  char *at = s.len ? arena_copy(a, s) : NULL;
  return at ? (struct span){at, s.len} : (struct span){NULL, 0};
}

/* Moves the chunks of `from` to *to until `*room` bytes are used up, and frees the others. */
static void chunks_keep(struct arena_chunk *from, struct arena_chunk **to, size_t *room) {
  while (from) {
    struct arena_chunk *next = from->next;
    if (from->cap <= *room) {
      *room -= from->cap;
      from->used = 0;
      from->next = *to;
      *to = from;
    } else {
      free(from);
    }
    from = next;
  }
}

void arena_reset(struct arena *a) {
  size_t room = KEEP;
  struct arena_chunk *kept = NULL;
  chunks_keep(a->chunks, &kept, &room);
  chunks_keep(a->spare, &kept, &room);
  *a = (struct arena){.spare = kept};
}

void arena_release(struct arena *a) {
  size_t room = 0;
  struct arena_chunk *none = NULL;
  chunks_keep(a->chunks, &none, &room);
  chunks_keep(a->spare, &none, &room);
  *a = (struct arena){0};
}
