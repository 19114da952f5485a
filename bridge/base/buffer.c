/* The growing buffer of span.h. One thread at a time a buffer.
 * A crash leaves nothing. */
#include "bridge/base/span.h"

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
