/* Refuses an object that has two members of one name: each compared with each up to 16, sorted
 * beyond, so that a hostile object costs n log n.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/json/scanner.h"

#define FEW 16
#define ON_STACK 128

static bool duplicate(struct json_scanner *s, uint32_t first, uint32_t second) {
  struct json_frame *f = &s->frames[s->depth - 1];
  f->key = second;
  f->in_value = true;
  return json_fail(s, JSON_DUPLICATE_KEY, s->text + s->doc->nodes[second].at,
                   "a second member of that name; keep one of them (the first is at byte %u)",
                   s->doc->nodes[first].at);
}

/* A bit that equal unescaped names share; names with escapes share all. */
static uint64_t name_bit(const struct json_doc *d, uint32_t key) {
  struct span raw = json_raw(d, key);
  if (d->nodes[key].flags & JSON_ESCAPED) return UINT64_MAX;
  if (raw.len == 0) return 1;
  unsigned char a = (unsigned char)raw.ptr[0], b = (unsigned char)raw.ptr[raw.len - 1];
  return 1ull << ((a + 7u * b + 13u * raw.len) & 63);
}

static bool same(const struct json_doc *d, uint32_t a, uint32_t b) {
  bool plain = !((d->nodes[a].flags | d->nodes[b].flags) & JSON_ESCAPED);
  return (!plain || d->nodes[a].len == d->nodes[b].len) && json_string_cmp(d, a, b) == 0;
}

static bool unique_few(struct json_scanner *s, uint32_t object) {
  const struct json_doc *d = s->doc;
  uint32_t keys[FEW], count = d->nodes[object].count, key = object + 1;
  uint64_t seen = 0;
  for (uint32_t i = 0; i < count; i++, key = d->nodes[key + 1].next) {
    uint64_t bit = name_bit(d, key);
    keys[i] = key;
    for (uint32_t j = 0; (seen & bit) && j < i; j++)
      if (same(d, keys[j], key)) return duplicate(s, keys[j], key);
    seen |= bit;
  }
  return true;
}

/* Equal names stand in document order, so that the second one of them is the one to name. */
static int by_name(const void *a, const void *b, void *doc) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  int order = json_string_cmp(doc, x, y);
  return order ? order : x < y ? -1 : x > y;
}

/* Sorted, so that a hostile object costs n log n. */
static bool unique_many(struct json_scanner *s, uint32_t object, uint32_t *keys) {
  struct json_doc *d = s->doc;
  uint32_t count = d->nodes[object].count, key = object + 1;
  for (uint32_t i = 0; i < count; i++, key = d->nodes[key + 1].next) keys[i] = key;
  qsort_r(keys, count, sizeof *keys, by_name, d);
  for (uint32_t i = 1; i < count; i++)
    if (same(d, keys[i - 1], keys[i])) return duplicate(s, keys[i - 1], keys[i]);
  return true;
}

bool json_scan_unique(struct json_scanner *s, uint32_t object) {
  uint32_t count = s->doc->nodes[object].count, near[ON_STACK];
  if (count <= FEW) return count < 2 || unique_few(s, object);
  if (count <= ON_STACK) return unique_many(s, object, near);
  uint32_t *keys = malloc(count * sizeof *keys);
  if (!keys) return json_fail(s, JSON_NO_MEMORY, s->p, "no memory");
  bool unique = unique_many(s, object, keys);
  free(keys);
  return unique;
}
