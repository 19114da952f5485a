/* schema.h - one Avro schema: read from its JSON, checked, and compiled for the encoder and the
 * reader. Private.
 *
 * Kept are the kinds an event needs: null boolean int long float double string enum array map
 * record, and the union of null with one other type. Everything else, and everything avro-c accepts
 * without a word or crashes on (duplicates, recursion, redefined names, defaults of another type),
 * is refused with its line. Unknown members (doc, aliases, order, logicalType, ...) are metadata
 * and pass. The member "json": true of a field says that its strings (in arrays and maps too) hold
 * JSON text; a record's field "extra" that is a map of strings takes unknown members as JSON text.
 * "key": true of one field of the outermost record says that it is the key of the event.
 */
#ifndef BRIDGE_ENCODING_SCHEMA_H
#define BRIDGE_ENCODING_SCHEMA_H

#include "bridge/base/span.h"

enum kind {
  KIND_NULL,
  KIND_BOOLEAN,
  KIND_INT,
  KIND_LONG,
  KIND_FLOAT,
  KIND_DOUBLE,
  KIND_STRING, /* the last primitive */
  KIND_ENUM,
  KIND_ARRAY,
  KIND_MAP,
  KIND_RECORD
};
const char *kind_name(enum kind k); /* Avro's word */

#define SCHEMA_MAX_BYTES (1024 * 1024)
#define SCHEMA_MAX_DEPTH 64 /* of types in types, references followed */
#define SCHEMA_NO_FIELD UINT32_MAX

/* A type at a place. */
struct use {
  const struct type *type;
  enum { NULL_NONE, NULL_FIRST, NULL_SECOND } null; /* which branch of a union is null */
  bool json;                                        /* its strings hold JSON text */
  bool named;                                       /* defined elsewhere, named here */
};

struct field {
  struct span name;
  struct use use;
  bool has_default;
  struct span fallback; /* the default's Avro bytes */
};

struct type {
  enum kind kind;
  unsigned height;  /* 1 for a leaf; 0 while it is being defined */
  struct span name; /* full name of a record or enum */
  struct use items; /* array: elements, map: values */
  struct field *fields;
  struct span *symbols;
  uint32_t count;   /* fields or symbols */
  uint32_t *sorted; /* their indexes, by name */
  uint32_t extra;   /* field for unknown members, or SCHEMA_NO_FIELD */
  uint32_t key; /* field that says "key": true, or SCHEMA_NO_FIELD; of the outermost record alone */
};

struct schema {
  struct arena arena;
  struct use root;
  struct span canonical; /* Parsing Canonical Form */
  uint64_t fingerprint;  /* its CRC-64-AVRO */
};

/* ST_INVALID: "line 7: ...". *out owns memory only on success. The text is not kept. */
MUST_CHECK enum status schema_read(struct span text, struct schema *out, struct error *err);
void schema_release(struct schema *s);

struct span type_item(const struct type *t, uint32_t i); /* the name of field or symbol i */
/* Index of a field or symbol by name, or SCHEMA_NO_FIELD. guess: an index to look at first. */
uint32_t type_find(const struct type *t, struct span name, uint32_t guess);

void canonical_write(const struct use *root, struct buffer *out);
uint64_t crc64_avro(struct span bytes);

#endif
