#include "bridge/base/span.h"

enum { CHUNK = 64 * 1024, KEEP = 8 * 1024 * 1024 };

struct arena_chunk {
  struct arena_chunk *next; /* the one filled before */
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

void *arena_alloc(struct arena *a, size_t len) {
  if (len > SIZE_MAX / 2) return NULL;
  len = (len + 7) & ~(size_t)7;
  struct arena_chunk *c = a->chunks;
  while (c && c->cap - c->used < len && c->next && c->next->used == 0) {
    /* After a reset the empty chunks stand behind the first: bring the next one to the front. */
    struct arena_chunk *fresh = c->next, *last = c;
    if (fresh->cap < len) break;
    last->next = fresh->next;
    fresh->next = a->chunks;
    a->chunks = c = fresh;
  }
  if (!c || c->cap - c->used < len) {
    c = chunk_new(len);
    if (!c) return NULL;
    c->next = a->chunks;
    a->chunks = c;
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

void arena_reset(struct arena *a) {
  size_t kept = 0;
  struct arena_chunk *list = NULL, *c = a->chunks;
  while (c) {
    struct arena_chunk *next = c->next;
    if (kept + c->cap <= KEEP) {
      kept += c->cap;
      c->used = 0;
      c->next = list;
      list = c;
    } else {
      free(c);
    }
    c = next;
  }
  a->chunks = list;
  a->used = 0;
}

void arena_release(struct arena *a) {
  while (a->chunks) {
    struct arena_chunk *next = a->chunks->next;
    free(a->chunks);
    a->chunks = next;
  }
  a->used = 0;
}
