/* Decimals: the digits of a text to an integer of as many bytes as it needs, and back; no double on
 * the way.
 * Any thread; a crash leaves nothing. */
#include "bridge/encoding/types/logical.h"

/* log2(10) / 8 is less than 0.42. */
#define MAX_BYTES (DECIMAL_MAX_PRECISION * 42 / 100 + 2)

struct digits { /* significant ones, a point may stand between them */
  const char *first, *last;
  int64_t count, power; /* value: the digits as an integer, times 10 to that power */
  bool minus;
};

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* JSON's own form of a number, since digits in quotes were not scanned; *mantissa and *exponent are
 * its parts. */
static bool split(struct span text, struct span *mantissa, struct span *exponent) {
  const char *at = text.ptr, *end = text.ptr + text.len;
  if (at < end && *at == '-') at++;
  const char *whole = at;
  while (at < end && is_digit(*at)) at++;
  if (at == whole || (*whole == '0' && at - whole > 1)) return false;
  if (at < end && *at == '.') {
    const char *point = at++;
    while (at < end && is_digit(*at)) at++;
    if (at - point == 1) return false;
  }
  *mantissa = (struct span){whole, (size_t)(at - whole)};
  *exponent = (struct span){at, 0};
  if (at == end) return true;
  if ((*at++ | 0x20) != 'e') return false;
  *exponent = (struct span){at, (size_t)(end - at)};
  if (at < end && (*at == '+' || *at == '-')) at++;
  if (at == end) return false;
  while (at < end && is_digit(*at)) at++;
  return at == end;
}

/* Beyond any text's length it does not matter how far. */
static int64_t read_exponent(struct span text) {
  const int64_t far = INT64_C(1) << 40;
  int64_t n = 0;
  for (size_t i = 0; i < text.len; i++)
    if (is_digit(text.ptr[i]) && n < far) n = n * 10 + (text.ptr[i] - '0');
  return text.len && text.ptr[0] == '-' ? -n : n;
}

static bool read_digits(struct span text, struct digits *out) {
  struct span mantissa, exponent;
  *out = (struct digits){.minus = text.len && text.ptr[0] == '-'};
  if (!split(text, &mantissa, &exponent)) return false;
  int64_t zeros = 0;
  bool fraction = false;
  out->power = read_exponent(exponent);
  for (const char *c = mantissa.ptr; c < mantissa.ptr + mantissa.len; c++) {
    if (*c == '.') {
      fraction = true;
      continue;
    }
    out->power -= fraction;
    if (*c == '0') { /* counted when a digit follows it */
      zeros++;
      continue;
    }
    if (out->first) out->count += zeros;
    if (!out->first) out->first = c;
    out->last = c;
    out->count++;
    zeros = 0;
  }
  out->power += zeros;
  return true;
}

/* bytes[0..len) is a number, its lowest byte first: times ten and one more digit. */
static size_t push_digit(unsigned char *bytes, size_t len, unsigned digit) {
  unsigned carry = digit;
  for (size_t i = 0; i < len; i++) {
    carry += bytes[i] * 10u;
    bytes[i] = (unsigned char)carry;
    carry >>= 8;
  }
  if (carry) bytes[len++] = (unsigned char)carry;
  return len;
}

static void subtract_one(unsigned char *bytes) {
  while (!(*bytes)--) bytes++;
}

/* Lowest byte first and no sign, to two's complement: a bit more than the number without its sign
 * has, as the reference library makes it. */
static void put_signed(unsigned char *bytes, size_t len, bool minus, struct buffer *out) {
  if (!len || bytes[len - 1] & 0x80) bytes[len++] = 0;
  if (minus) subtract_one(bytes);
  while (len) buffer_add_char(out, (char)(minus ? ~bytes[--len] : bytes[--len]));
}

const char *decimal_read(struct span text, uint32_t precision, uint32_t scale, struct buffer *out) {
  unsigned char bytes[MAX_BYTES] = {0};
  struct digits d;
  size_t len = 0;
  if (!read_digits(text, &d)) return "that is not a number";
  if (d.first) {
    int64_t zeros = d.power + (int64_t)scale;
    if (zeros < 0) return "with more digits after the point";
    if (d.count + zeros > (int64_t)precision) return "with more digits";
    for (const char *c = d.first; c <= d.last; c++)
      if (*c != '.') len = push_digit(bytes, len, (unsigned)(*c - '0'));
    for (; zeros; zeros--) len = push_digit(bytes, len, 0);
  }
  put_signed(bytes, len, d.first && d.minus, out);
  return NULL;
}

/* Divides by ten and returns the rest; highest byte first. */
static unsigned pop_digit(unsigned char *bytes, size_t len) {
  unsigned rest = 0;
  for (size_t i = 0; i < len; i++) {
    rest = rest << 8 | bytes[i];
    bytes[i] = (unsigned char)(rest / 10);
    rest %= 10;
  }
  return rest;
}

/* The magnitude of the number, highest byte first; false: too large. */
static bool take_signed(struct span from, unsigned char *bytes, size_t *len, bool *minus) {
  *minus = from.len && (unsigned char)from.ptr[0] & 0x80;
  unsigned char sign = *minus ? 0xFF : 0;
  while (from.len && (unsigned char)from.ptr[0] == sign) from.ptr++, from.len--;
  if (from.len + 1 > MAX_BYTES) return false;
  bytes[0] = 0; /* for the carry */
  for (size_t i = 0; i < from.len; i++) bytes[i + 1] = (unsigned char)from.ptr[i] ^ sign;
  *len = from.len + 1;
  for (size_t i = *len; *minus && i-- && !++bytes[i];) continue;
  return true;
}

bool decimal_write(struct span from, uint32_t precision, uint32_t scale, struct buffer *out) {
  unsigned char bytes[MAX_BYTES];
  char digits[DECIMAL_MAX_PRECISION + 1]; /* lowest first */
  size_t len, count = 0, skip = 0;
  bool minus;
  if (!from.len || !take_signed(from, bytes, &len, &minus)) return false;
  for (;;) {
    while (skip < len && !bytes[skip]) skip++;
    if (skip == len) break;
    if (count == precision) return false;
    digits[count++] = (char)('0' + pop_digit(bytes + skip, len - skip));
  }
  while (count <= scale) digits[count++] = '0';
  if (minus) buffer_add_char(out, '-');
  while (count) {
    if (count == scale) buffer_add_char(out, '.');
    buffer_add_char(out, digits[--count]);
  }
  return true;
}

uint32_t decimal_digits(uint32_t bytes) {
  if (bytes >= MAX_BYTES) return DECIMAL_MAX_PRECISION;
  /* log10(2) of each bit but the sign's */
  return bytes ? (uint32_t)((bytes * UINT64_C(8) - 1) * 30102999566 / 100000000000) : 0;
}
