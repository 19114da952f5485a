/* words.h - small conversions between what people type or read and values. Pure. */
#ifndef BRIDGE_BASE_TEXT_WORDS_H
#define BRIDGE_BASE_TEXT_WORDS_H

#include "bridge/base/span.h"

#define DURATION_TEXT 32
/* "3s", "2m 5s", "3h 12m", "2d 3h": the two largest units; negative is "0s". Returns out. */
const char *duration_text(int64_t ms, char out[DURATION_TEXT]);
/* "250ms", "1.5s", "2m", "3h", "7d"; a number alone means seconds. False for anything else and
 * beyond 10,000 days. */
bool duration_parse(struct span text, int64_t *ms);
/* Decimal digits only, at most max. */
bool number_parse(struct span text, uint64_t max, uint64_t *out);
/* The same of any int64_t: digits, perhaps behind a minus. */
bool integer_parse(struct span text, int64_t *out);
#define NUMBER_DIGITS 20
/* Its decimal digits, not terminated; returns how many. */
size_t number_digits(uint64_t n, char out[NUMBER_DIGITS]);
#define NUMBER_TEXT 32
/* "1,204": digits in groups of three. Returns out. */
const char *number_text(uint64_t n, char out[NUMBER_TEXT]);
#define COUNTED_TEXT 96
/* "1 topic", "1,204 topics". Returns out. */
const char *counted_text(uint64_t n, const char *one, const char *many, char out[COUNTED_TEXT]);
/* Edits from a to b: insert, delete, replace, or swap of neighbours. Of more than 64 bytes it is
 * WORD_FAR. */
#define WORD_FAR 64
size_t word_distance(struct span a, struct span b);
/* The word of the list that a mistyped one is likely to mean (edit distance at most a third of its
 * length), or NULL. */
const char *word_nearest(const char *word, const char *const *list, size_t count);
/* Append text for a terminal: control bytes and invalid UTF-8 as \xNN, so that no data can move the
 * cursor. */
void text_printable(struct buffer *out, struct span text);
/* Append at most that many characters of text for a message: control characters as \u00XX, bytes
 * that are not UTF-8 as they are; "..." follows what was cut. */
void text_quoted(struct buffer *out, struct span text, size_t characters);
/* What text, which is not empty, begins with: *bytes of it are one character. Its code where that
 * is a control character (below U+0020, U+007F to U+009F, which some terminals obey too), else
 * TEXT_PLAIN, or TEXT_FOREIGN: a byte that is not UTF-8. */
enum { TEXT_PLAIN = -1, TEXT_FOREIGN = -2 };
int text_control(struct span text, size_t *bytes);
/* A URL for people: *** in the place of its user's password, and of what its query says of one
 * (names with password, secret or token in them). Too much is hidden rather than too little; a text
 * without "//" stays as it is. */
void url_show(struct buffer *out, struct span url);
/* The longest prefix of at most `bytes` bytes that does not cut a UTF-8 character. */
struct span text_cut(struct span text, size_t bytes);
/* The longest prefix of at most `characters` UTF-8 characters (of bytes, where it is not valid
 * UTF-8). */
struct span text_cut_characters(struct span text, size_t characters);

#endif
