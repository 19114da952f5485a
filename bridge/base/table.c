/* SipHash, the hash table with open addressing, and the set of digests.
 * Any thread, one at a time a table; a crash leaves nothing. */
#include "bridge/base/table.h"

#include "bridge/base/thread.h"

#include <endian.h>
#include <sys/random.h>
#include <time.h>

/* SipHash (Aumasson, Bernstein): 2-4 with 128 bit for digests, 1-3 with 64 bit for the table, as
 * other languages' tables have it. One key is made once per process; the published one, 00 01 ..
 * 0f, is the one of the reference implementation's test vectors. */
static const uint64_t sip_published[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
static uint64_t sip_key[2];
static struct once sip_once = ONCE_INIT;

static void sip_seed(void) {
  if (getrandom(sip_key, sizeof sip_key, GRND_NONBLOCK) == (ssize_t)sizeof sip_key) return;
  sip_key[0] = (uint64_t)time(NULL); /* early boot: weaker, still correct */
  sip_key[1] = (uint64_t)(uintptr_t)&sip_key;
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

struct sip {
  uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s) {
  s->v0 += s->v1, s->v1 = ROTL(s->v1, 13) ^ s->v0, s->v0 = ROTL(s->v0, 32);
  s->v2 += s->v3, s->v3 = ROTL(s->v3, 16) ^ s->v2;
  s->v0 += s->v3, s->v3 = ROTL(s->v3, 21) ^ s->v0;
  s->v2 += s->v1, s->v1 = ROTL(s->v1, 17) ^ s->v2, s->v2 = ROTL(s->v2, 32);
}

static const uint64_t *sip_own(void) {
  thread_once(&sip_once, sip_seed);
  return sip_key;
}

static inline void sip_word(struct sip *s, uint64_t word, bool wide) {
  s->v3 ^= word;
  sip_round(s);
  if (wide) sip_round(s);
  s->v0 ^= word;
}

static inline struct sip sip_absorb(const uint64_t key[2], struct span in, bool wide) {
  uint64_t k0 = key[0], k1 = key[1];
  struct sip s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                  k1 ^ 0x7465646279746573u};
  if (wide) s.v1 ^= 0xee;
  size_t i = 0;
  for (; i + 8 <= in.len; i += 8) {
    uint64_t m;
    memcpy(&m, in.ptr + i, 8);
    sip_word(&s, le64toh(m), wide);
  }
  uint64_t last = 0;
  if (i < in.len) memcpy(&last, in.ptr + i, in.len - i);
  last = le64toh(last) | (uint64_t)in.len << 56;
  sip_word(&s, last, wide);
  s.v2 ^= wide ? 0xee : 0xff;
  for (int r = 0; r < (wide ? 4 : 3); r++) sip_round(&s);
  return s;
}

static uint64_t hash_of(struct span s) {
  struct sip x = sip_absorb(sip_own(), s, false);
  return x.v0 ^ x.v1 ^ x.v2 ^ x.v3;
}

static struct digest digest_keyed(const uint64_t key[2], struct span s) {
  struct sip x = sip_absorb(key, s, true);
  struct digest d = {.lo = x.v0 ^ x.v1 ^ x.v2 ^ x.v3};
  x.v1 ^= 0xdd;
  for (int r = 0; r < 4; r++) sip_round(&x);
  d.hi = x.v0 ^ x.v1 ^ x.v2 ^ x.v3;
  return d;
}

struct digest digest_of(struct span s) {
  return digest_keyed(sip_own(), s);
}

struct digest digest_fixed(struct span s) {
  return digest_keyed(sip_published, s);
}

struct table_slot {
  uint64_t hash;
  struct span key;
  void *value; /* NULL with key.ptr set: removed */
};
static const char removed_mark[1];

static bool slot_empty(const struct table_slot *s) {
  return !s->value && s->key.ptr != removed_mark;
}

void table_release(struct table *t) {
  free(t->slots);
  *t = (struct table){0};
}

void table_clear(struct table *t) {
  if (t->slots) memset(t->slots, 0, t->cap * sizeof *t->slots);
  t->count = t->used = 0;
}

static struct table_slot *find_slot(const struct table *t, struct span key, uint64_t hash) {
  if (!t->cap) return NULL;
  for (size_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
    struct table_slot *s = &t->slots[i];
    if (slot_empty(s)) return NULL;
    if (s->value && s->hash == hash && span_eq(s->key, key)) return s;
  }
}

void *table_get(const struct table *t, struct span key) {
  if (!t->count) return NULL;
  struct table_slot *s = find_slot(t, key, hash_of(key));
  return s ? s->value : NULL;
}

static void place_slot(struct table *t, struct table_slot put) {
  size_t i = put.hash & (t->cap - 1);
  while (t->slots[i].value) i = (i + 1) & (t->cap - 1);
  if (slot_empty(&t->slots[i])) t->used++;
  t->slots[i] = put;
  t->count++;
}

/* Also sweeps out removed slots: the same size is kept when half of it would do. */
static enum status make_room(struct table *t) {
  if (t->cap && (t->used + 1) * 4 <= t->cap * 3) return ST_OK;
  struct table old = *t;
  size_t cap = old.cap ? old.cap : 16;
  if ((old.count + 1) * 2 > cap) cap *= 2;
  t->slots = calloc(cap, sizeof *t->slots);
  if (!t->slots) {
    *t = old;
    return ST_NO_MEMORY;
  }
  t->cap = cap;
  t->count = t->used = 0;
  for (size_t i = 0; i < old.cap; i++)
    if (old.slots[i].value) place_slot(t, old.slots[i]);
  free(old.slots);
  return ST_OK;
}

enum status table_put(struct table *t, struct span key, void *value) {
  BUG_ON(!value);
  uint64_t hash = hash_of(key);
  if (find_slot(t, key, hash)) return ST_EXISTS;
  if (make_room(t) != ST_OK) return ST_NO_MEMORY;
  place_slot(t, (struct table_slot){hash, key, value});
  return ST_OK;
}

void *table_remove(struct table *t, struct span key) {
  if (!t->count) return NULL;
  struct table_slot *s = find_slot(t, key, hash_of(key));
  if (!s) return NULL;
  void *value = s->value;
  *s = (struct table_slot){.key = {removed_mark, 0}};
  t->count--;
  return value;
}

bool table_each(const struct table *t, size_t *pos, struct span *key, void **value) {
  for (; *pos < t->cap; (*pos)++) {
    const struct table_slot *s = &t->slots[*pos];
    if (!s->value) continue;
    *key = s->key;
    *value = s->value;
    (*pos)++;
    return true;
  }
  return false;
}

void digest_set_release(struct digest_set *s) {
  free(s->slots);
  *s = (struct digest_set){0};
}

/* The digest of all zeros stands for an empty slot. */
static struct digest never_zero(struct digest d) {
  if (!d.lo && !d.hi) d.lo = 1;
  return d;
}

static size_t digest_slot(const struct digest_set *s, struct digest d) {
  size_t i = d.lo & (s->cap - 1);
  while ((s->slots[i].lo || s->slots[i].hi) && (s->slots[i].lo != d.lo || s->slots[i].hi != d.hi))
    i = (i + 1) & (s->cap - 1);
  return i;
}

enum status digest_set_add(struct digest_set *s, struct digest d) {
  d = never_zero(d);
  if ((s->count + 1) * 4 > s->cap * 3) {
    struct digest_set grown = {.cap = s->cap ? s->cap * 2 : 64};
    grown.slots = calloc(grown.cap, sizeof *grown.slots);
    if (!grown.slots) return ST_NO_MEMORY;
    for (size_t i = 0; i < s->cap; i++)
      if (s->slots[i].lo || s->slots[i].hi)
        grown.slots[digest_slot(&grown, s->slots[i])] = s->slots[i];
    grown.count = s->count;
    free(s->slots);
    *s = grown;
  }
  size_t i = digest_slot(s, d);
  if (!s->slots[i].lo && !s->slots[i].hi) s->count++;
  s->slots[i] = d;
  return ST_OK;
}

bool digest_set_has(const struct digest_set *s, struct digest d) {
  if (!s->cap) return false;
  d = never_zero(d);
  size_t i = digest_slot(s, d);
  return s->slots[i].lo || s->slots[i].hi;
}
