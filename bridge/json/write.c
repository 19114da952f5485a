/* Strings, integers and doubles as JSON. Invalid UTF-8 becomes U+FFFD; a double gets the fewest
 * digits that read back as the same value.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/json/json.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>

static void write_escape(struct buffer *out, unsigned char c) {
  static const char shorts[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
  if (c < sizeof shorts && shorts[c]) {
    buffer_add_char(out, '\\');
    buffer_add_char(out, shorts[c]);
  } else {
    buffer_printf(out, "\\u%04x", c);
  }
}

/* Valid UTF-8. */
static void write_text(struct buffer *out, struct span text) {
  size_t from = 0;
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.ptr[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    buffer_append(out, text.ptr + from, i - from);
    write_escape(out, c);
    from = i + 1;
  }
  if (from < text.len) buffer_append(out, text.ptr + from, text.len - from);
}

void json_write_string(struct buffer *out, struct span text) {
  buffer_add_char(out, '"');
  while (text.len) {
    size_t valid = span_utf8_prefix(text);
    write_text(out, (struct span){text.ptr, valid});
    if (valid == text.len) break;
    buffer_add(out, SPAN("\xef\xbf\xbd"));
    text = (struct span){text.ptr + valid + 1, text.len - valid - 1};
  }
  buffer_add_char(out, '"');
}

void json_write_int(struct buffer *out, int64_t n) {
  buffer_printf(out, "%" PRId64, n);
}

/* The shortest decimal digits of |x| that read back the same, and the exponent of the first.
 * Locales only touch the point, which is skipped. */
static size_t shortest(double x, char digits[20], int *exponent) {
  locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* static in the C library */
  size_t len = 0;
  /* 15 digits always survive a double; subnormal ones hold fewer */
  for (int more = x < DBL_MIN ? 0 : 14; more <= 16; more++) {
    char text[40], plain[40];
    snprintf(text, sizeof text, "%.*e", more, x);
    const char *e = strchr(text, 'e');
    len = 0;
    for (const char *p = text; p < e; p++)
      if (*p >= '0' && *p <= '9') digits[len++] = *p;
    *exponent = (int)strtol(e + 1, NULL, 10);
    snprintf(plain, sizeof plain, "%.*se%d", (int)len, digits, *exponent - (int)len + 1);
    if (strtod_l(plain, NULL, c) == x) break;
  }
  freelocale(c);
  while (len > 1 && digits[len - 1] == '0') len--;
  return len;
}

/* 123.0, 0.00123: exponent from -4 to 15, as Python draws the line. */
static void write_fixed(struct buffer *out, const char *digits, size_t len, int exponent) {
  int point = exponent + 1, count = (int)len;
  if (point <= 0) buffer_add_z(out, "0.");
  for (int i = point; i < 0; i++) buffer_add_char(out, '0');
  for (int i = 0; i < count || i < point; i++) {
    if (i == point && i > 0) buffer_add_char(out, '.');
    buffer_add_char(out, i < count ? digits[i] : '0');
  }
  if (point >= count) buffer_add_z(out, ".0");
}

void json_write_double(struct buffer *out, double x) {
  char digits[20];
  int exponent;
  if (!isfinite(x)) {
    buffer_add_z(out, "null");
    return;
  }
  if (signbit(x)) buffer_add_char(out, '-');
  size_t len = shortest(fabs(x), digits, &exponent);
  if (exponent >= -4 && exponent < 16) {
    write_fixed(out, digits, len, exponent);
    return;
  }
  buffer_add_char(out, digits[0]);
  if (len > 1) buffer_add_char(out, '.');
  buffer_append(out, digits + 1, len - 1);
  buffer_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

void json_write_key(struct buffer *out, bool *first, const char *key) {
  if (!*first) buffer_add_z(out, ", ");
  *first = false;
  json_write_string(out, span_of(key));
  buffer_add_z(out, ": ");
}
