/* Comparing, trimming and splitting borrowed bytes; checking UTF-8.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/span.h"

bool span_starts(struct span a, const char *prefix) {
  size_t n = strlen(prefix);
  return a.len >= n && (n == 0 || memcmp(a.ptr, prefix, n) == 0);
}

bool span_ends(struct span a, const char *suffix) {
  size_t n = strlen(suffix);
  return a.len >= n && (n == 0 || memcmp(a.ptr + a.len - n, suffix, n) == 0);
}

int span_cmp(struct span a, struct span b) {
  size_t n = a.len < b.len ? a.len : b.len;
  int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
  if (order) return order;
  return a.len < b.len ? -1 : a.len > b.len;
}

static bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span a) {
  while (a.len && is_blank(a.ptr[0])) a.ptr++, a.len--;
  while (a.len && is_blank(a.ptr[a.len - 1])) a.len--;
  return a;
}

bool span_word(struct span *rest, struct span *word) {
  while (rest->len && (is_blank(rest->ptr[0]) || rest->ptr[0] == ',')) rest->ptr++, rest->len--;
  size_t n = 0;
  while (n < rest->len && !is_blank(rest->ptr[n]) && rest->ptr[n] != ',') n++;
  *word = (struct span){rest->ptr, n};
  if (n == 0) return false;
  rest->ptr += n;
  rest->len -= n;
  return true;
}

struct span span_until(struct span *rest, char end) {
  const char *at = rest->len ? memchr(rest->ptr, end, rest->len) : NULL;
  struct span part = {rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len};
  size_t used = part.len + (at != NULL);
  *rest = (struct span){rest->ptr + used, rest->len - used};
  return part;
}

/* Bytes of the valid character at p, 0 when there is none (RFC 3629). */
static size_t utf8_char(const unsigned char *p, size_t left) {
  unsigned char c = p[0];
  if (c < 0x80) return 1;
  size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
  if (c < 0xC2 || c > 0xF4 || left < n) return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xC0) != 0x80) return 0;
  if (c == 0xE0 && p[1] < 0xA0) return 0; /* overlong */
  if (c == 0xED && p[1] > 0x9F) return 0; /* surrogate */
  if (c == 0xF0 && p[1] < 0x90) return 0; /* overlong */
  if (c == 0xF4 && p[1] > 0x8F) return 0; /* beyond U+10FFFF */
  return n;
}

size_t span_utf8_prefix(struct span a) {
  size_t i = 0;
  while (i < a.len) {
    size_t n = utf8_char((const unsigned char *)a.ptr + i, a.len - i);
    if (!n) break;
    i += n;
  }
  return i;
}
