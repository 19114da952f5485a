/* Comparing, trimming and splitting borrowed bytes; checking UTF-8; the growing buffer. */
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

void buffer_release(struct buffer *b) {
  free(b->ptr);
  *b = (struct buffer){0};
}

void buffer_clear(struct buffer *b) {
  b->len = 0;
  b->failed = false;
}

void buffer_reserve(struct buffer *b, size_t more) {
  if (b->failed || more <= b->cap - b->len) return;
  if (more > SIZE_MAX / 4 - b->len) {
    b->failed = true;
    return;
  }
  size_t cap = b->cap ? b->cap * 2 : 256;
  while (cap < b->len + more) cap *= 2;
  char *grown = realloc(b->ptr, cap);
  if (!grown) {
    b->failed = true;
    return;
  }
  b->ptr = grown;
  b->cap = cap;
}

void buffer_append(struct buffer *b, const void *bytes, size_t len) {
  buffer_reserve(b, len);
  if (b->failed || !len) return;
  memcpy(b->ptr + b->len, bytes, len);
  b->len += len;
}

void buffer_add(struct buffer *b, struct span s) {
  buffer_append(b, s.ptr, s.len);
}

void buffer_add_z(struct buffer *b, const char *z) {
  buffer_append(b, z, strlen(z));
}

void buffer_add_char(struct buffer *b, char c) {
  buffer_append(b, &c, 1);
}

void buffer_printf(struct buffer *b, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, fmt, args);
  va_end(args);
  if (n < 0) b->failed = true;
  if (n > 0) {
    buffer_reserve(b, (size_t)n + 1);
    if (!b->failed) {
      vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
      b->len += (size_t)n;
    }
  }
  va_end(again);
}

enum status buffer_status(const struct buffer *b, struct error *err) {
  if (!b->failed) return ST_OK;
  return error_set(err, ST_NO_MEMORY, "out of memory (%zu bytes were held)", b->len);
}

const char *buffer_z(struct buffer *b) {
  buffer_reserve(b, 1);
  if (b->failed || !b->ptr) return "";
  b->ptr[b->len] = '\0';
  return b->ptr;
}
