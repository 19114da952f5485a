/* compatibility.h - can one schema read what another one wrote? Avro's schema resolution, to the
 * letter of its specification (1.12), and what differs between two schemas.
 *
 * Both schemas are whole, and may be recursive. Named types match by their unqualified names, or by
 * an alias of the reader's; a writer's union needs every branch read, a reader's one that reads;
 * decimals match where precision and scale do. Other logical types do not decide. Pure; any thread,
 * as long as both schemas live.
 */
#ifndef BRIDGE_ENCODING_COMPARING_COMPATIBILITY_H
#define BRIDGE_ENCODING_COMPARING_COMPATIBILITY_H

#include "bridge/base/span.h"

struct schema; /* of a catalog (struct catalog_schema), or read by compatibility_read */

/* A schema of anybody's, as Avro takes it: also what this encoder would refuse to write (a branch
 * that no JSON reaches). ST_INVALID: "line 7: ...". The text is not kept. */
MUST_CHECK enum status compatibility_read(struct span text, struct schema **out, struct error *err);
void compatibility_free(struct schema *s); /* NULL is fine */

/* The words of Avro's own checkers, and one for decimals, which only the specification has. */
#define INCOMPATIBILITY_TABLE(X)                                                                   \
  X(NAME_MISMATCH)                                                                                 \
  X(TYPE_MISMATCH)                                                                                 \
  X(FIXED_SIZE_MISMATCH)                                                                           \
  X(MISSING_ENUM_SYMBOLS)                                                                          \
  X(MISSING_UNION_BRANCH)                                                                          \
  X(READER_FIELD_MISSING_DEFAULT_VALUE)                                                            \
  X(DECIMAL_MISMATCH)
enum incompatibility {
#define X(word) word,
  INCOMPATIBILITY_TABLE(X)
#undef X
};
const char *incompatibility_name(enum incompatibility i); /* "NAME_MISMATCH" */

/* Where something stands. file: NULL is the schema's own text; else that of a shared type. */
struct schema_place {
  const char *file;
  unsigned line;
};

struct incompatible {
  enum incompatibility what;
  struct span path;  /* "payload.lines[].price"; {} for the values of a map */
  const char *words; /* "the reader has long, the writer has string" */
  struct schema_place reader, writer;
};
typedef void (*incompatible_fn)(void *ctx, const struct incompatible *i);

/* *compatible: everything that writer wrote can be read with reader. Where not, fn (may be NULL) is
 * told each reason, in the reader's order; what it is given lives for the call. ST_NO_MEMORY;
 * ST_TOO_LARGE: both schemas are so entangled that it would not end in bounds. */
MUST_CHECK enum status compatibility_check(const struct schema *reader, const struct schema *writer,
                                           incompatible_fn fn, void *ctx, bool *compatible,
                                           struct error *err);

#endif
