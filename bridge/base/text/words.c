/* Durations, numbers and counts as text and back; the word nearest to a mistyped one; control
 * characters in foreign text; URLs for people.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"

#include <ctype.h>
#include <inttypes.h>

const char *duration_text(int64_t ms, char out[DURATION_TEXT]) {
  int64_t s = ms > 0 ? ms / 1000 : 0;
  if (s < 60) {
    snprintf(out, DURATION_TEXT, "%" PRId64 "s", s);
  } else if (s < 3600) {
    snprintf(out, DURATION_TEXT, "%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
  } else if (s < 86400) {
    snprintf(out, DURATION_TEXT, "%" PRId64 "h %" PRId64 "m", s / 3600, s % 3600 / 60);
  } else {
    snprintf(out, DURATION_TEXT, "%" PRId64 "d %" PRId64 "h", s / 86400, s % 86400 / 3600);
  }
  return out;
}

static bool unit_ms(struct span unit, int64_t *ms) {
  static const struct {
    const char *word;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (!span_is(unit, units[i].word)) continue;
    *ms = units[i].ms;
    return true;
  }
  return false;
}

bool duration_parse(struct span text, int64_t *ms) {
  size_t at = 0, dot = 0, digits = 0;
  double value = 0, scale = 1;
  for (;
       at < text.len && (isdigit((unsigned char)text.ptr[at]) || (text.ptr[at] == '.' && dot == 0));
       at++) {
    if (text.ptr[at] == '.') {
      dot = 1;
      continue;
    }
    digits++;
    value = value * 10 + (text.ptr[at] - '0');
    if (dot) scale *= 10;
  }
  int64_t unit;
  if (digits == 0 || digits > 15 || !unit_ms((struct span){text.ptr + at, text.len - at}, &unit))
    return false;
  double result = value / scale * (double)unit;
  if (result > 10000.0 * 86400000) return false;
  *ms = (int64_t)(result + 0.5);
  return true;
}

bool number_parse(struct span text, uint64_t max, uint64_t *out) {
  uint64_t n = 0;
  if (text.len == 0) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (!isdigit((unsigned char)text.ptr[i])) return false;
    uint64_t digit = (uint64_t)(text.ptr[i] - '0');
    if (digit > max || n > (max - digit) / 10) return false;
    n = n * 10 + digit;
  }
  *out = n;
  return true;
}

bool integer_parse(struct span text, int64_t *out) {
  bool minus = span_starts(text, "-");
  uint64_t n;
  struct span digits = {text.ptr + minus, text.len - minus};
  if (!number_parse(digits, minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX, &n)) return false;
  if (minus && n == 0) return false;
  *out = minus ? -(int64_t)(n - 1) - 1 : (int64_t)n;
  return true;
}

/* Two digits a division, which is what it costs. */
size_t number_digits(uint64_t n, char out[NUMBER_DIGITS]) {
  static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                              "34353637383940414243444546474849505152535455565758596061626364656667"
                              "6869707172737475767778798081828384858687888990919293949596979899";
  char digits[NUMBER_DIGITS];
  size_t at = sizeof digits;
  for (; n >= 100; n /= 100) memcpy(digits + (at -= 2), pairs + n % 100 * 2, 2);
  if (n >= 10)
    memcpy(digits + (at -= 2), pairs + n * 2, 2);
  else
    digits[--at] = (char)('0' + n);
  memcpy(out, digits + at, sizeof digits - at);
  return sizeof digits - at;
}

const char *number_text(uint64_t n, char out[NUMBER_TEXT]) {
  char plain[24];
  int len = snprintf(plain, sizeof plain, "%" PRIu64, n);
  char *to = out;
  for (int i = 0; i < len; i++) {
    if (i > 0 && (len - i) % 3 == 0) *to++ = ',';
    *to++ = plain[i];
  }
  *to = '\0';
  return out;
}

const char *counted_text(uint64_t n, const char *one, const char *many, char out[COUNTED_TEXT]) {
  char number[NUMBER_TEXT];
  snprintf(out, COUNTED_TEXT, "%s %s", number_text(n, number), n == 1 ? one : many);
  return out;
}

size_t word_distance(struct span a, struct span b) {
  size_t row[3][WORD_FAR + 1];
  if (a.len > WORD_FAR || b.len > WORD_FAR) return WORD_FAR;
  for (size_t j = 0; j <= b.len; j++) row[0][j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    size_t *now = row[i % 3], *last = row[(i - 1) % 3], *older = row[(i + 1) % 3];
    now[0] = i;
    for (size_t j = 1; j <= b.len; j++) {
      char x = a.ptr[i - 1], y = b.ptr[j - 1];
      size_t best = last[j - 1] + (x != y);
      if (last[j] + 1 < best) best = last[j] + 1;
      if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
      if (i > 1 && j > 1 && x == b.ptr[j - 2] && y == a.ptr[i - 2] && older[j - 2] + 1 < best)
        best = older[j - 2] + 1;
      now[j] = best;
    }
  }
  return row[a.len % 3][b.len];
}

const char *word_nearest(const char *word, const char *const *list, size_t count) {
  const char *best = NULL;
  size_t limit = strlen(word) / 3 + 1, closest = limit + 1;
  for (size_t i = 0; i < count; i++) {
    size_t d = word_distance(span_of(word), span_of(list[i]));
    if (d < closest && d < strlen(list[i])) {
      closest = d;
      best = list[i];
    }
  }
  return best;
}

int text_control(struct span text, size_t *bytes) {
  unsigned char c = (unsigned char)text.ptr[0];
  size_t n = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  *bytes = 1;
  if (n > text.len || span_utf8_prefix((struct span){text.ptr, n}) != n) return TEXT_FOREIGN;
  *bytes = n;
  if (c < 0x20 || c == 0x7f) return c;
  return c == 0xc2 && (unsigned char)text.ptr[1] < 0xa0 ? (unsigned char)text.ptr[1] : TEXT_PLAIN;
}

void text_printable(struct buffer *out, struct span text) {
  for (size_t bytes; text.len > 0; text = (struct span){text.ptr + bytes, text.len - bytes}) {
    bool plain = text_control(text, &bytes) == TEXT_PLAIN;
    if (plain) buffer_append(out, text.ptr, bytes);
    for (size_t i = 0; !plain && i < bytes; i++)
      buffer_printf(out, "\\x%02x", (unsigned char)text.ptr[i]);
  }
}

void text_quoted(struct buffer *out, struct span text, size_t characters) {
  for (size_t bytes; text.len > 0; text = (struct span){text.ptr + bytes, text.len - bytes}) {
    if (!characters--) {
      buffer_add_z(out, "...");
      return;
    }
    int control = text_control(text, &bytes);
    if (control >= 0)
      buffer_printf(out, "\\u%04x", (unsigned)control);
    else
      buffer_append(out, text.ptr, bytes);
  }
}

struct span text_cut(struct span text, size_t bytes) {
  if (text.len <= bytes) return text;
  while (bytes > 0 && ((unsigned char)text.ptr[bytes] & 0xc0) == 0x80) bytes--;
  return (struct span){text.ptr, bytes};
}

struct span text_cut_characters(struct span text, size_t characters) {
  if (span_utf8_prefix(text) != text.len) return text_cut(text, characters);
  size_t at = 0;
  for (; at < text.len; at++) {
    bool begins = ((unsigned char)text.ptr[at] & 0xc0) != 0x80;
    if (begins && characters-- == 0) break;
  }
  return (struct span){text.ptr, at};
}

/* ---- URLs ---- */

#define HIDDEN "***"

static const char *find(const char *from, const char *end, const char *of) {
  while (from < end && !strchr(of, *from)) from++;
  return from;
}

static bool opens_a_door(struct span name) {
  static const char *const words[] = {"password", "secret", "token"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (name.len && memmem(name.ptr, name.len, words[i], strlen(words[i]))) return true;
  return false;
}

/* "?a=b&c=d" */
static void show_query(struct buffer *out, const char *at, const char *end) {
  while (at < end) {
    const char *next = find(at + 1, end, "&"), *equals = find(at, next, "=");
    bool hide = opens_a_door((struct span){at, (size_t)(equals - at)}) && equals < next;
    buffer_append(out, at, (size_t)((hide ? equals + 1 : next) - at));
    if (hide) buffer_add_z(out, HIDDEN);
    at = next;
  }
}

/* The text without its user: where that ends, and where it is to be shown up to. A password may
 * hold any byte, even one that ought to be escaped: it ends at the last @ there is. Behind a query
 * there is none. */
static const char *behind_user(const char *begin, const char *end, const char **shown) {
  const char *at = find(begin, end, "@"), *colon = find(begin, at, ":");
  *shown = begin;
  if (at == end || find(begin, at, "?") < colon) return begin;
  *shown = colon;
  return memrchr(at, '@', (size_t)(end - at));
}

void url_show(struct buffer *out, struct span url) {
  const char *end = url.ptr + url.len;
  const char *begin = url.len > 1 ? memmem(url.ptr, url.len, "//", 2) : NULL;
  if (!begin) {
    buffer_add(out, url);
    return;
  }
  const char *shown, *host = behind_user(begin + 2, end, &shown), *query = find(host, end, "?");
  buffer_append(out, url.ptr, (size_t)(shown - url.ptr));
  if (shown < host && *shown == ':') buffer_add_z(out, ":" HIDDEN);
  buffer_append(out, host, (size_t)(query - host));
  show_query(out, query, end);
}
