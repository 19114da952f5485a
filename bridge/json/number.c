/* Scans numbers, and reads them exactly: as an integer, as a whole number however it is written
 * (1e2, 3.0), or as a double in any locale.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/json/scanner.h"

#include <locale.h>
#include <math.h>

static bool is_digit(unsigned char c) {
  return c >= '0' && c <= '9';
}

/* At least one digit. */
static bool digits(struct json_scanner *s, const char *after) {
  const unsigned char *start = s->p;
  char shown[16];
  while (s->p < s->end && is_digit(*s->p)) s->p++;
  if (s->p > start) return true;
  if (s->p == s->end) return json_fail_cut(s, "a number");
  return json_fail(s, JSON_SYNTAX, s->p, "a digit must follow %s, found %s", after,
                   json_byte_text(*s->p, shown));
}

static bool minus_infinity(const struct json_scanner *s) {
  return s->end - s->p >= 8 && memcmp(s->p, "Infinity", 8) == 0;
}

bool json_scan_number(struct json_scanner *s, bool *integer) {
  const unsigned char *start = s->p;
  *integer = true;
  if (*s->p == '-') s->p++;
  if (minus_infinity(s))
    return json_fail(s, JSON_NOT_A_NUMBER, start, "-Infinity is not JSON; write a number or null");
  bool zero = s->p < s->end && *s->p == '0';
  const unsigned char *first = s->p;
  if (!digits(s, "the minus sign")) return false;
  if (zero && s->p - first > 1)
    return json_fail(s, JSON_SYNTAX, start, "a number must not begin with 0; leave the zero out");
  if (s->p < s->end && *s->p == '.') {
    *integer = false;
    s->p++;
    if (!digits(s, "the point")) return false;
  }
  if (s->p < s->end && (*s->p | 0x20) == 'e') {
    *integer = false;
    s->p++;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
    if (!digits(s, "the exponent's e")) return false;
  }
  return true;
}

bool json_int(const struct json_doc *d, uint32_t node, int64_t *out) {
  if (d->nodes[node].type != JSON_NUMBER || !(d->nodes[node].flags & JSON_INTEGER)) return false;
  struct span text = json_slice(d, node);
  bool minus = text.ptr[0] == '-';
  int64_t n = 0;
  for (size_t i = minus; i < text.len; i++) {
    int digit = text.ptr[i] - '0';
    if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, minus ? -digit : digit, &n))
      return false;
  }
  *out = n;
  return true;
}

/* A number's digits as they stand, and what they mean. */
struct decimal {
  const char *first, *last; /* that are not 0; NULL: none is */
  int64_t digits;           /* from first to last */
  int64_t power;            /* of ten, of last */
};

/* Saturated far beyond what any text has room for. */
static int64_t exponent_of(struct span text) {
  int64_t n = 0;
  bool minus = text.len && text.ptr[0] == '-';
  for (size_t i = text.len && !is_digit((unsigned char)text.ptr[0]); i < text.len; i++)
    if (n < INT64_C(1) << 50) n = n * 10 + (text.ptr[i] - '0');
  return minus ? -n : n;
}

static struct decimal decimal_of(struct span text) {
  struct decimal x = {0};
  size_t end = 0, point;
  while (end < text.len && (text.ptr[end] | 0x20) != 'e') end++;
  for (point = 0; point < end && text.ptr[point] != '.';) point++;
  for (size_t i = 0; i < end; i++) {
    if (text.ptr[i] < '1' || text.ptr[i] > '9') continue;
    if (!x.first) x.first = text.ptr + i;
    x.last = text.ptr + i;
  }
  if (!x.first) return x;
  size_t first = (size_t)(x.first - text.ptr), last = (size_t)(x.last - text.ptr);
  x.digits = (int64_t)(last - first + 1 - (first < point && last > point));
  x.power = last < point ? (int64_t)(point - last - 1) : -(int64_t)(last - point);
  if (end < text.len) x.power += exponent_of((struct span){text.ptr + end + 1, text.len - end - 1});
  return x;
}

enum json_whole json_whole(const struct json_doc *d, uint32_t node, int64_t *out) {
  struct span text = json_slice(d, node);
  struct decimal x = decimal_of(text);
  bool minus = text.ptr[0] == '-';
  int64_t n = 0;
  *out = 0;
  if (!x.first) return JSON_WHOLE;
  if (x.power < 0) return JSON_FRACTION;
  if (x.digits + x.power > 19) return JSON_BEYOND; /* no more than 19 rounds below */
  for (const char *c = x.first; c <= x.last; c++) {
    int digit = *c - '0';
    if (*c == '.') continue;
    if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, minus ? -digit : digit, &n))
      return JSON_BEYOND;
  }
  for (; x.power; x.power--)
    if (__builtin_mul_overflow(n, 10, &n)) return JSON_BEYOND;
  *out = n;
  return JSON_WHOLE;
}

void json_number_write(const struct json_doc *d, uint32_t node, struct buffer *out) {
  struct span text = json_slice(d, node);
  struct decimal x = decimal_of(text);
  if (x.first && text.ptr[0] == '-') buffer_add_char(out, '-');
  for (const char *c = x.first; c && c <= x.last; c++)
    if (*c != '.') buffer_add_char(out, *c);
  if (x.first)
    buffer_printf(out, "e%lld", (long long)x.power);
  else
    buffer_add_char(out, '0');
}

static unsigned significant(struct span text) {
  unsigned count = 0, zeros = 0; /* zeros: of the fraction, not known yet whether they matter */
  bool fraction = false;
  for (size_t i = 0; i < text.len && (text.ptr[i] | 0x20) != 'e'; i++) {
    char c = text.ptr[i];
    if (c == '.') fraction = true;
    if (c < '0' || c > '9') continue;
    if (c == '0' && count == 0) continue;
    if (c == '0' && fraction) {
      zeros++;
    } else {
      count += zeros + 1;
      zeros = 0;
    }
  }
  return count;
}

/* strtod of the "C" locale, whatever the program's is. text must be followed by a byte that ends a
 * number. */
static double to_double(const char *text) {
  locale_t c = newlocale(LC_ALL_MASK, "C",
                         (locale_t)0); /* static in the C library: costs nothing, cannot fail */
  double x = strtod_l(text, NULL, c);
  freelocale(c);
  return x;
}

bool json_double(const struct json_doc *d, uint32_t node, double *out, unsigned *count) {
  if (d->nodes[node].type != JSON_NUMBER) return false;
  struct span text = json_slice(d, node);
  if (count) *count = significant(text);
  if (d->nodes[node].at + text.len < d->text.len) {
    *out = to_double(text.ptr); /* a comma, bracket or blank follows */
    return isfinite(*out);
  }
  char *copy =
      malloc(text.len + 1); /* the whole document is one number: it may end where memory does */
  if (!copy) return false;
  memcpy(copy, text.ptr, text.len);
  copy[text.len] = 0;
  *out = to_double(copy);
  free(copy);
  return isfinite(*out);
}
