/* escape.h - bytes as printable ASCII, and back: hex, percent, base64. Pure.
 *
 * What is written is the same in every release: files of the state folder and URLs are made of it.
 */
#ifndef BRIDGE_BASE_TEXT_ESCAPE_H
#define BRIDGE_BASE_TEXT_ESCAPE_H

#include "bridge/base/span.h"

/* The lower-case digit of the last four bits. Safe in a signal handler. */
static inline char hex_digit(unsigned n) {
  return "0123456789abcdef"[n & 15];
}
/* Of a digit in either case; -1 for what is none. */
static inline int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
bool hex_lower(struct span text); /* nothing but digits and a to f */
void hex_write(struct buffer *out, struct span bytes);
/* Into at, which has room for half of text; false: it is not lower-case hex of whole bytes. */
bool hex_read(struct span text, char *at);

/* Letters, digits and -._~ stand for themselves (RFC 3986's unreserved ones), all else is %XX. */
void percent_write(struct buffer *out, struct span text);
/* Back into at, which has room for text.len bytes; *len: how many they are. False: a % without two
 * hex digits. */
bool percent_read(struct span text, char *at, size_t *len);
/* The same as a C string of at most size bytes with its end; false too where it does not fit or has
 * a NUL inside. */
bool percent_read_z(struct span text, char *at, size_t size);

/* Any bytes as one word (span_word), and back: percent, and - for nothing. Back into at, which has
 * room for word->len bytes; false: it is not such a word. */
void word_escape(struct buffer *out, struct span text);
bool word_unescape(struct span *word, char *at);

/* Standard base64 with padding. */
void base64_write(struct buffer *out, struct span bytes);
/* Appends the bytes; false, and nothing was: it is not what base64_write makes of any bytes. */
bool base64_read(struct span text, struct buffer *out);

#endif
