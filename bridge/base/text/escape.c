/* Hex, percent encoding (the unreserved characters of RFC 3986 stay), the words of a line in a
 * state file, base64.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/escape.h"

bool hex_lower(struct span text) {
  for (size_t i = 0; i < text.len; i++)
    if (hex_value(text.ptr[i]) < 0 || (text.ptr[i] >= 'A' && text.ptr[i] <= 'F')) return false;
  return true;
}

void hex_write(struct buffer *out, struct span bytes) {
  for (size_t i = 0; i < bytes.len; i++) {
    unsigned char byte = (unsigned char)bytes.ptr[i];
    buffer_append(out, (char[]){hex_digit(byte >> 4), hex_digit(byte)}, 2);
  }
}

bool hex_read(struct span text, char *at) {
  if (text.len % 2 || !hex_lower(text)) return false;
  for (size_t i = 0; i < text.len; i += 2)
    *at++ = (char)(hex_value(text.ptr[i]) << 4 | hex_value(text.ptr[i + 1]));
  return true;
}

static bool unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

void percent_write(struct buffer *out, struct span text) {
  for (size_t i = 0; i < text.len; i++) {
    if (unreserved(text.ptr[i]))
      buffer_add_char(out, text.ptr[i]);
    else
      buffer_printf(out, "%%%02X", (unsigned char)text.ptr[i]);
  }
}

/* The byte at *i, which moves behind it; -1: a % without two hex digits. */
static int percent_byte(struct span text, size_t *i) {
  char c = text.ptr[(*i)++];
  if (c != '%') return (unsigned char)c;
  int high = *i + 1 < text.len ? hex_value(text.ptr[*i]) : -1;
  int low = high < 0 ? -1 : hex_value(text.ptr[*i + 1]);
  *i += 2;
  return low < 0 ? -1 : high << 4 | low;
}

bool percent_read(struct span text, char *at, size_t *len) {
  *len = 0;
  for (size_t i = 0; i < text.len;) {
    int byte = percent_byte(text, &i);
    if (byte < 0) return false;
    at[(*len)++] = (char)byte;
  }
  return true;
}

bool percent_read_z(struct span text, char *at, size_t size) {
  size_t len = 0;
  for (size_t i = 0; i < text.len;) {
    int byte = percent_byte(text, &i);
    if (byte <= 0 || len + 1 >= size) return false;
    at[len++] = (char)byte;
  }
  at[len] = '\0';
  return true;
}

void word_escape(struct buffer *out, struct span text) {
  if (!text.len)
    buffer_add_char(out, '-');
  else if (span_is(text, "-"))
    buffer_add_z(out, "%2D");
  else
    percent_write(out, text);
}

bool word_unescape(struct span *word, char *at) {
  struct span text = span_is(*word, "-") ? SPAN("") : *word;
  word->ptr = at;
  return percent_read(text, at, &word->len);
}

void base64_write(struct buffer *out, struct span bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < bytes.len; i += 3) {
    size_t left = bytes.len - i;
    uint32_t group = (uint32_t)(unsigned char)bytes.ptr[i] << 16;
    if (left > 1) group |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
    if (left > 2) group |= (unsigned char)bytes.ptr[i + 2];
    char four[4] = {digits[group >> 18], digits[group >> 12 & 63],
                    left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '='};
    buffer_append(out, four, 4);
  }
}

static int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, the last ones may be missing; unused bits must be zero, so that one text alone
 * stands for some bytes. */
static bool base64_group(const char *four, size_t digits, struct buffer *out) {
  uint32_t group = 0;
  for (size_t i = 0; i < 4; i++) {
    int value = i < digits ? base64_value(four[i]) : 0;
    if (value < 0) return false;
    group = group << 6 | (uint32_t)value;
  }
  char bytes[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
  size_t count = digits - 1;
  if ((count < 3 && bytes[2]) || (count < 2 && bytes[1])) return false;
  buffer_append(out, bytes, count);
  return true;
}

bool base64_read(struct span text, struct buffer *out) {
  size_t start = out->len, digits = text.len;
  if (text.len % 4) return false;
  while (digits && text.len - digits < 2 && text.ptr[digits - 1] == '=') digits--;
  for (size_t i = 0; i < text.len; i += 4) {
    size_t left = digits - i;
    if (base64_group(text.ptr + i, left < 4 ? left : 4, out)) continue;
    out->len = start;
    return false;
  }
  return true;
}
