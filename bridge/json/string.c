/* Scans a string: eight plain bytes at a time, everything else checked as UTF-8 or as an escape.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/base/text/escape.h"
#include "bridge/json/scanner.h"

#include <endian.h>

#define EACH_BYTE(x) (0x0101010101010101ull * (x))

/* The first byte that is a quote, a backslash, a control byte or not ASCII; eight bytes a step.
 * With their second bit turned the quote and the control bytes are those below 0x21. A borrow can
 * only mark a byte wrongly above one that is rightly marked, so the lowest mark is exact. */
static const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end) {
  while (end - p >= 8) {
    uint64_t x;
    memcpy(&x, p, 8);
    x = le64toh(x);
    uint64_t low = (x ^ EACH_BYTE('"' ^ 0x20)) - EACH_BYTE(0x21);
    uint64_t slash = (x ^ EACH_BYTE('\\')) - EACH_BYTE(1);
    uint64_t marks = (x | low | slash) & EACH_BYTE(0x80);
    if (marks) return p + __builtin_ctzll(marks) / 8;
    p += 8;
  }
  while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
  return p;
}

size_t json_plain_prefix(struct span text) {
  const unsigned char *at = (const unsigned char *)text.ptr;
  return text.len ? (size_t)(skip_plain(at, at + text.len) - at) : 0;
}

/* Length of a character by its first byte, 0 when none begins so; *lo and *hi bound its second
 * byte. */
static unsigned lead(unsigned char c, unsigned char *lo, unsigned char *hi) {
  *lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  *hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  return c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

static const unsigned char *bad_bytes(struct json_scanner *s, const unsigned char *p) {
  if (p[0] == 0xed && s->end - p > 1 && p[1] >= 0xa0 && p[1] <= 0xbf)
    json_fail(s, JSON_LONE_SURROGATE, p,
              "half a surrogate pair as bytes; write the whole character in UTF-8");
  else
    json_fail(s, JSON_INVALID_UTF8, p, "byte 0x%02x is not UTF-8 here; write the text in UTF-8",
              p[0]);
  return NULL;
}

/* Behind a run of characters beyond ASCII, NULL on a fault. */
static const unsigned char *skip_wide(struct json_scanner *s, const unsigned char *p) {
  while (p < s->end && *p >= 0x80) {
    unsigned char lo, hi;
    unsigned need = lead(*p, &lo, &hi), have = 1;
    if (!need) return bad_bytes(s, p);
    for (; have < need && p + have < s->end; have++, lo = 0x80, hi = 0xbf)
      if (p[have] < lo || p[have] > hi) return bad_bytes(s, p);
    if (have < need) {
      json_fail_cut(s, "a string");
      return NULL;
    }
    p += need;
  }
  return p;
}

/* Four hex digits at p. Fails when they are not there, cut short when the text ends before they can
 * be. */
static bool hex4(struct json_scanner *s, const unsigned char *p, uint32_t *out) {
  *out = 0;
  for (int i = 0; i < 4; i++) {
    if (p + i == s->end) return json_fail_cut(s, "an escape");
    int digit = hex_value((char)p[i]);
    if (digit < 0) return json_fail(s, JSON_SYNTAX, p + i, "four hex digits must follow \\u");
    *out = *out << 4 | (uint32_t)digit;
  }
  return true;
}

static bool lone(struct json_scanner *s, const unsigned char *p) {
  return json_fail(s, JSON_LONE_SURROGATE, p,
                   "%.6s is half a surrogate pair; write the whole character", (const char *)p);
}

/* p is at the backslash of \uXXXX. */
static const unsigned char *skip_unicode(struct json_scanner *s, const unsigned char *p) {
  uint32_t unit, low;
  if (!hex4(s, p + 2, &unit)) return NULL;
  if (unit < 0xd800 || unit > 0xdfff) return p + 6;
  const unsigned char *q = p + 6;
  if (unit < 0xdc00 && q < s->end && *q == '\\' && q + 1 == s->end) q = s->end;
  if (unit < 0xdc00 && q == s->end)
    json_fail_cut(s, "an escape");
  else if (unit >= 0xdc00 || q[0] != '\\' || q[1] != 'u')
    lone(s, p);
  else if (hex4(s, q + 2, &low) && (low >= 0xdc00 && low <= 0xdfff ? true : lone(s, p)))
    return q + 6;
  return NULL;
}

/* Behind the escape at p, NULL on a fault. */
static const unsigned char *skip_escape(struct json_scanner *s, const unsigned char *p) {
  char shown[16];
  if (s->end - p < 2) {
    json_fail_cut(s, "an escape");
    return NULL;
  }
  switch (p[1]) {
  case 'u': return skip_unicode(s, p);
  case '"':
  case '\\':
  case '/':
  case 'b':
  case 'f':
  case 'n':
  case 'r':
  case 't': return p + 2;
  default:
    json_fail(s, JSON_SYNTAX, p,
              "%s after a backslash is not an escape; write \\\\ for a backslash",
              json_byte_text(p[1], shown));
    return NULL;
  }
}

bool json_scan_string(struct json_scanner *s, bool *escaped) {
  const unsigned char *p = s->p + 1;
  *escaped = false;
  while (p) {
    p = skip_plain(p, s->end);
    if (p == s->end) return json_fail_cut(s, "a string");
    if (*p == '"') {
      s->p = p + 1;
      return true;
    }
    if (*p == '\\') {
      *escaped = true;
      p = skip_escape(s, p);
    } else if (*p >= 0x80) {
      p = skip_wide(s, p);
    } else {
      return json_fail(s, JSON_SYNTAX, p, "byte 0x%02x inside a string; write it as \\u%04x", *p,
                       *p);
    }
  }
  return false;
}
