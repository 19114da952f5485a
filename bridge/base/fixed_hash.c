/* XXH64 (Yann Collet), seed 0.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/table.h"

#include <endian.h>

#define P1 0x9e3779b185ebca87u
#define P2 0xc2b2ae3d27d4eb4fu
#define P3 0x165667b19e3779f9u
#define P4 0x85ebca77c2b2ae63u
#define P5 0x27d4eb2f165667c5u
#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static uint64_t read_64(const char *p) {
  uint64_t n;
  memcpy(&n, p, sizeof n);
  return le64toh(n);
}

static uint64_t read_32(const char *p) {
  uint32_t n;
  memcpy(&n, p, sizeof n);
  return le32toh(n);
}

static uint64_t mix(uint64_t lane, uint64_t input) {
  lane += input * P2;
  return ROTL(lane, 31) * P1;
}

static uint64_t merge(uint64_t hash, uint64_t lane) {
  return (hash ^ mix(0, lane)) * P1 + P4;
}

/* 32 bytes a step, in four lanes. */
static uint64_t long_part(const char **at, const char *end) {
  uint64_t a = P1 + P2, b = P2, c = 0, d = -P1;
  const char *p = *at;
  for (; end - p >= 32; p += 32) {
    a = mix(a, read_64(p));
    b = mix(b, read_64(p + 8));
    c = mix(c, read_64(p + 16));
    d = mix(d, read_64(p + 24));
  }
  *at = p;
  uint64_t hash = ROTL(a, 1) + ROTL(b, 7) + ROTL(c, 12) + ROTL(d, 18);
  return merge(merge(merge(merge(hash, a), b), c), d);
}

static uint64_t rest(uint64_t hash, const char *p, const char *end) {
  for (; end - p >= 8; p += 8) {
    hash ^= mix(0, read_64(p));
    hash = ROTL(hash, 27) * P1 + P4;
  }
  for (; end - p >= 4; p += 4) {
    hash ^= read_32(p) * P1;
    hash = ROTL(hash, 23) * P2 + P3;
  }
  for (; p < end; p++) {
    hash ^= (unsigned char)*p * P5;
    hash = ROTL(hash, 11) * P1;
  }
  return hash;
}

uint64_t fixed_hash(struct span s) {
  const char *p = s.len ? s.ptr : "", *end = p + s.len;
  uint64_t hash = s.len >= 32 ? long_part(&p, end) : P5;
  hash = rest(hash + s.len, p, end);
  hash = (hash ^ hash >> 33) * P2;
  hash = (hash ^ hash >> 29) * P3;
  return hash ^ hash >> 32;
}
