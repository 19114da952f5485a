/* span.h - borrowed bytes, growing bytes, and bytes that go all at once.
 *
 * span: pointer and length, owns nothing, not terminated, may hold any byte.
 * buffer: owned, grows; failing to grow is sticky: appends do nothing afterwards and
 * buffer_status() tells, so a writer checks once at the end. arena: bump allocator; everything
 * lives until arena_reset or arena_release. Returns NULL when memory is out. No threads: one owner
 * at a time.
 */
#ifndef BRIDGE_BASE_SPAN_H
#define BRIDGE_BASE_SPAN_H

#include "bridge/base/status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
  const char *ptr;
  size_t len;
};

#define SPAN(lit) ((struct span){("" lit), sizeof(lit) - 1})
#define SPAN_ARGS(s) (int)(s).len, (s).ptr /* for "%.*s" */

static inline struct span span_of(const char *z) {
  return (struct span){z, z ? strlen(z) : 0};
}
static inline bool span_eq(struct span a, struct span b) {
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool span_is(struct span a, const char *z) {
  return span_eq(a, span_of(z));
}
bool span_starts(struct span a, const char *prefix);
bool span_ends(struct span a, const char *suffix);
int span_cmp(struct span a, struct span b); /* like memcmp, then by length */
struct span span_trim(struct span a);       /* without blanks, tabs, CR, LF at both ends */
/* The next word of *rest (words are divided by blanks, tabs or commas); false when there is none.
 */
bool span_word(struct span *rest, struct span *word);
/* *rest up to that byte, or all of it; what is behind the byte stays in *rest. */
struct span span_until(struct span *rest, char end);
/* Length of the valid UTF-8 prefix of a: equals a.len when all of it is valid (no surrogates, no
 * overlong forms). */
size_t span_utf8_prefix(struct span a);

struct buffer {
  char *ptr;
  size_t len, cap;
  bool failed;
};

void buffer_release(struct buffer *b); /* frees; the buffer is empty and usable again */
void buffer_clear(struct buffer *b);   /* forgets content and failure, keeps the memory */
void buffer_reserve(struct buffer *b, size_t more);
void buffer_append(struct buffer *b, const void *bytes, size_t len);
void buffer_add(struct buffer *b, struct span s);
void buffer_add_z(struct buffer *b, const char *z);
void buffer_add_char(struct buffer *b, char c);
void buffer_printf(struct buffer *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
MUST_CHECK enum status buffer_status(const struct buffer *b, struct error *err);
static inline struct span buffer_span(const struct buffer *b) {
  return (struct span){b->ptr, b->len};
}
const char *buffer_z(
    struct buffer *b); /* terminated view ("" when empty or failed), valid until the next append */

struct arena_chunk;
struct arena {
  struct arena_chunk *chunks; /* in use, the one being filled first */
  struct arena_chunk *spare;  /* empty ones, kept by a reset */
  size_t used;                /* bytes handed out since the last reset */
};
void *arena_alloc(struct arena *a,
                  size_t len); /* 8-byte aligned, not zeroed; NULL when out of memory */
void *arena_zalloc(struct arena *a, size_t len);
char *arena_copy(struct arena *a, struct span s); /* terminated copy */
struct span arena_span(struct arena *a,
                       struct span s); /* {NULL, 0} when out of memory and s is not empty */
void arena_reset(struct arena *a);     /* keeps up to 8 MiB of chunks for the next round */
void arena_release(struct arena *a);   /* frees all */

#endif
