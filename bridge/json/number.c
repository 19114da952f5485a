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
  return json_fail(s, JSON_SYNTAX, s->p, "a digit must follow %s, found %s", after, json_byte_text(*s->p, shown));
}

static bool minus_infinity(const struct json_scanner *s) {
  return s->end - s->p >= 8 && memcmp(s->p, "Infinity", 8) == 0;
}

bool json_scan_number(struct json_scanner *s, bool *integer) {
  const unsigned char *start = s->p;
  *integer = true;
  if (*s->p == '-') s->p++;
  if (minus_infinity(s)) return json_fail(s, JSON_NOT_A_NUMBER, start, "-Infinity is not JSON; write a number or null");
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
    if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, minus ? -digit : digit, &n)) return false;
  }
  *out = n;
  return true;
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

/* strtod of the "C" locale, whatever the program's is. text must be followed by a byte that ends a number. */
static double to_double(const char *text) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static in the C library: costs nothing, cannot fail */
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
  char *copy = malloc(text.len + 1); /* the whole document is one number: it may end where memory does */
  if (!copy) return false;
  memcpy(copy, text.ptr, text.len);
  copy[text.len] = 0;
  *out = to_double(copy);
  free(copy);
  return isfinite(*out);
}
