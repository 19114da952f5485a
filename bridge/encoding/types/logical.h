/* logical.h - Avro's logical types: their words, and texts to the values they stand for and back.
 * Pure. Private.
 *
 * A time is ISO 8601 as producers write it (time_parse): naive is UTC, a space may stand for the T.
 * Digits that the unit does not keep are refused unless they are zeros; nothing is rounded.
 */
#ifndef BRIDGE_ENCODING_TYPES_LOGICAL_H
#define BRIDGE_ENCODING_TYPES_LOGICAL_H

#include "bridge/base/span.h"

enum logical {
  LOGICAL_NONE,
  LOGICAL_DECIMAL,
  LOGICAL_UUID,
  LOGICAL_DATE, /* from here on: integers that have a text too */
  LOGICAL_TIME_MILLIS,
  LOGICAL_TIME_MICROS,
  LOGICAL_TIMESTAMP_MILLIS,
  LOGICAL_TIMESTAMP_MICROS,
  LOGICAL_LOCAL_MILLIS,
  LOGICAL_LOCAL_MICROS
};
const char *logical_name(enum logical l);
enum logical logical_of(struct span word); /* LOGICAL_NONE: an unknown one */

/* Texts of LOGICAL_DATE and what follows it. NULL: *out is the value; else what the text is, as in
 * "string that is not such a time". */
const char *logical_read(enum logical l, struct span text, int64_t *out);
/* Is it a time of day, where it should be one? */
bool logical_holds(enum logical l, int64_t value);
/* Appends a text that logical_read takes, without quotes; false: it has none (a year beyond 9999).
 */
bool logical_write(enum logical l, int64_t value, struct buffer *out);

#define UUID_BYTES 16
bool uuid_read(struct span text, char out[UUID_BYTES]); /* 8-4-4-4-12 hex digits */
void uuid_write(const char bytes[UUID_BYTES], struct buffer *out);

/* A decimal is an integer in two's complement, big-endian, and a scale. */
#define DECIMAL_MAX_PRECISION 1000
/* The text of a JSON number, exactly. NULL: its bytes were appended to out; else what is
 * wrong, as above. */
const char *decimal_read(struct span text, uint32_t precision, uint32_t scale, struct buffer *out);
/* Its text, with all digits of the scale; false: it has more digits than precision, or no bytes. */
bool decimal_write(struct span bytes, uint32_t precision, uint32_t scale, struct buffer *out);
/* Digits that any number of so many bytes is sure to keep. */
uint32_t decimal_digits(uint32_t bytes);

#endif
