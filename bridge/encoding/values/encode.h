/* encode.h - JSON nodes to Avro bytes, by a compiled schema. Private.
 *
 * Every field of a record is written: from its member, else from its default; a member that is
 * required and missing is a mismatch. Nothing is truncated: strings keep NULs, longs and decimals
 * are exact, a double is the nearest. Bytes are base64; what a logical type takes stands in
 * logical.h. Of a union's branches the first that fits is written.
 */
#ifndef BRIDGE_ENCODING_VALUES_ENCODE_H
#define BRIDGE_ENCODING_VALUES_ENCODE_H

#include "bridge/encoding/types/schema.h"
#include "bridge/event/event.h"

/* Which branch of a union took a node; SCHEMA_NO_FIELD: none. */
struct choice {
  const struct type *type; /* NULL: an empty place */
  uint32_t node, branch;
};

struct encoder {
  const struct json_doc *doc;
  struct buffer *out; /* its failure is the caller's to look at */
  struct error *err;  /* may be NULL */
  const char *file;   /* of the schema, for messages; may be NULL */
  bool alone;         /* doc is the payload, not the entry that it lies in */
  bool strict;        /* a member without a place is a mismatch */
  bool defaults; /* encoding a schema's default: texts have no path, "json" and `extra` mean nothing
                    special */

  /* Since the caller cleared them: */
  uint64_t cut;       /* numbers that lost digits */
  uint32_t cut_node;  /* the first, when there are some */
  uint32_t *left_out; /* keys of the members without a place, in the order they were met */
  size_t left_count, left_cap;

  uint32_t *stack; /* nodes of the members found, for each open record */
  size_t used, cap;
  struct buffer text;  /* an unescaped string */
  struct buffer bytes; /* of a value of bytes */

  unsigned trying; /* branches of unions that may not fit, around this value: nothing is said */
  struct choice *choices;
  size_t choice_count, choice_cap; /* the latter a power of two */
};

enum reason encode_use(struct encoder *e, const struct use *u, uint32_t node);
void encoder_release(struct encoder *e); /* stack, left_out and text */

void avro_put_long(struct buffer *out, int64_t n);
void avro_put_string(struct buffer *out, struct span s);

#endif
