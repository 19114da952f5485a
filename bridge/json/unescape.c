/* Strings with their escapes resolved: copied, compared, or byte by byte. Only what the scanner has
 * accepted comes here: escapes are whole and surrogates paired.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/base/text/escape.h"
#include "bridge/json/scanner.h"

/* Everything here reads strings that the scanner has accepted: escapes are whole and surrogates
 * paired. */

static uint32_t hex4(const unsigned char *p) {
  uint32_t unit = 0;
  for (int i = 0; i < 4; i++) unit = unit << 4 | (uint32_t)hex_value((char)p[i]);
  return unit;
}

static unsigned put_utf8(uint32_t c, unsigned char out[4]) {
  unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const unsigned char head[] = {0, 0xc0, 0xe0, 0xf0};
  for (unsigned i = more; i > 0; i--, c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3f));
  out[0] = (unsigned char)(head[more] | c);
  return more + 1;
}

/* Reads the escape at *p, moves behind it, and gives the bytes it stands for. */
static unsigned decode(const unsigned char **p, unsigned char out[4]) {
  unsigned char kind = (*p)[1];
  if (kind == 'u') {
    uint32_t c = hex4(*p + 2);
    *p += 6;
    if (c >= 0xd800 && c <= 0xdbff) {
      c = 0x10000 + ((c - 0xd800) << 10) + (hex4(*p + 2) - 0xdc00);
      *p += 6;
    }
    return put_utf8(c, out);
  }
  *p += 2;
  switch (kind) {
  case 'b': out[0] = '\b'; break;
  case 'f': out[0] = '\f'; break;
  case 'n': out[0] = '\n'; break;
  case 'r': out[0] = '\r'; break;
  case 't': out[0] = '\t'; break;
  default: out[0] = kind;
  }
  return 1;
}

struct json_stream json_stream_of(struct span raw) {
  const unsigned char *p = (const unsigned char *)raw.ptr;
  return (struct json_stream){.p = p, .end = p + raw.len};
}

int json_stream_next(struct json_stream *s) {
  if (s->given < s->have) return s->held[s->given++];
  if (s->p == s->end) return -1;
  if (*s->p != '\\') return *s->p++;
  s->have = decode(&s->p, s->held);
  s->given = 1;
  return s->held[0];
}

/* Into room for at least raw.len bytes: an escape is never shorter than what it stands for. */
static size_t unescape(struct span raw, char *out) {
  const unsigned char *p = (const unsigned char *)raw.ptr, *end = p + raw.len;
  size_t len = 0;
  while (p < end) {
    unsigned char bytes[4];
    unsigned count = 1;
    if (*p == '\\')
      count = decode(&p, bytes);
    else
      bytes[0] = *p++;
    memcpy(out + len, bytes, count);
    len += count;
  }
  return len;
}

void json_unescape(const struct json_doc *d, uint32_t node, struct buffer *out) {
  struct span raw = json_raw(d, node);
  if (!(d->nodes[node].flags & JSON_ESCAPED)) {
    buffer_add(out, raw);
    return;
  }
  buffer_reserve(out, raw.len);
  if (!out->failed) out->len += unescape(raw, out->ptr + out->len);
}

bool json_text(const struct json_doc *d, uint32_t node, struct arena *arena, struct span *out) {
  *out = json_raw(d, node);
  if (!(d->nodes[node].flags & JSON_ESCAPED)) return true;
  char *copy = arena_alloc(arena, out->len);
  if (!copy) return false;
  *out = (struct span){copy, unescape(*out, copy)};
  return true;
}

bool json_string_is(const struct json_doc *d, uint32_t node, struct span text) {
  struct span raw = json_raw(d, node);
  if (!(d->nodes[node].flags & JSON_ESCAPED)) return span_eq(raw, text);
  struct json_stream s = json_stream_of(raw);
  for (size_t i = 0; i < text.len; i++)
    if (json_stream_next(&s) != (unsigned char)text.ptr[i]) return false;
  return json_stream_next(&s) < 0;
}

int json_string_cmp(const struct json_doc *d, uint32_t a, uint32_t b) {
  struct span x = json_raw(d, a), y = json_raw(d, b);
  if (!((d->nodes[a].flags | d->nodes[b].flags) & JSON_ESCAPED)) return span_cmp(x, y);
  struct json_stream s = json_stream_of(x), t = json_stream_of(y);
  for (;;) {
    int c = json_stream_next(&s), e = json_stream_next(&t);
    if (c != e || c < 0) return c - e;
  }
}
