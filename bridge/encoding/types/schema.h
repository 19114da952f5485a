/* schema.h - one Avro schema: read from its JSON, checked, and compiled for the encoder and the
 * reader. Private.
 *
 * Everything avro-c accepts without a word or crashes on (duplicates, redefined names, defaults of
 * another type, records that hold themselves without end) is refused with its line, and so is a
 * branch of a union that no JSON ever reaches. Unknown members (doc, order, ...) are metadata and
 * pass. The member "json": true of a field says that its strings (in arrays, maps and unions too)
 * hold JSON text; a record's field "extra" that is a map of strings takes unknown members as JSON
 * text. "key": true of one field of the outermost record says that it is the key of the event.
 */
#ifndef BRIDGE_ENCODING_TYPES_SCHEMA_H
#define BRIDGE_ENCODING_TYPES_SCHEMA_H

#include "bridge/base/table.h"
#include "bridge/encoding/types/logical.h"

enum kind {
  KIND_NULL,
  KIND_BOOLEAN,
  KIND_INT,
  KIND_LONG,
  KIND_FLOAT,
  KIND_DOUBLE,
  KIND_BYTES,
  KIND_STRING, /* the last primitive */
  KIND_FIXED,
  KIND_ENUM,
  KIND_ARRAY,
  KIND_MAP,
  KIND_RECORD,
  KIND_UNION /* any but that of null with one other, which is a flag of the other's use */
};
const char *kind_name(enum kind k); /* Avro's word */

#define SCHEMA_MAX_BYTES (1024 * 1024)
#define SCHEMA_MAX_DEPTH 64 /* of types in types, references followed */
#define SCHEMA_MAX_FIXED (1024 * 1024)
#define SCHEMA_NO_FIELD UINT32_MAX

/* A type at a place. */
struct use {
  const struct type *type;
  enum { NULL_NONE, NULL_FIRST, NULL_SECOND } null : 8; /* which branch of a union is null */
  bool json;                                            /* its strings hold JSON text */
  bool named;                                           /* defined elsewhere, named here */
  bool other_form; /* an earlier branch of the union takes its usual one: a decimal is written in
                      quotes, a time as a count */
  uint32_t line;   /* of its text, in the file of the record around it */
};

/* Another name that a reader knows it by: a full one of a type. */
struct alias {
  struct span name;
  const struct alias *next;
};

struct field {
  struct span name;
  struct use use;
  bool has_default;
  struct span fallback; /* the default's Avro bytes */
  const struct alias *aliases;
};

struct type {
  enum kind kind;
  unsigned height;  /* 1 for a leaf; 0 while it is being defined */
  struct span name; /* full name of a record, enum or fixed */
  struct use items; /* array: elements, map: values */
  struct field *fields;
  struct span *symbols;
  struct use *branches;
  uint32_t count;   /* fields, symbols or branches */
  uint32_t *sorted; /* their indexes, by name */
  uint32_t extra;   /* field for unknown members, or SCHEMA_NO_FIELD */
  uint32_t key; /* field that says "key": true, or SCHEMA_NO_FIELD; of the outermost record alone */
  uint32_t size;               /* of a fixed, in bytes */
  uint32_t fallback;           /* the default symbol of an enum, or SCHEMA_NO_FIELD */
  const struct alias *aliases; /* of a named type */
  const char *file;            /* of a named type out of .common/; NULL: the schema's own */
  uint32_t line;               /* of its definition */
  enum logical logical;
  uint32_t precision, scale; /* of a decimal */
  unsigned loose;            /* while it is read: arrays, maps and unions around its definition */
};

struct schema {
  struct arena arena;
  struct use root;
  struct span canonical; /* Parsing Canonical Form */
  uint64_t fingerprint;  /* its CRC-64-AVRO */
  struct schema_note *notes;
  struct span text; /* as it was read, without what others define */
};

/* What is likely to be a mistake and is not a fault: "line 7: ...". */
struct schema_note {
  const char *text;
  struct schema_note *next;
};

/* A named type of a file of its own, which others name. */
struct common {
  char *file; /* as messages name it */
  struct buffer text;
  struct span name; /* its full name */
};

/* ST_INVALID: "line 7: ...". *out owns memory only on success, and has a copy of the text. commons
 * (may be NULL): full name -> struct common, of types that the text may name without defining them;
 * each stands in the schema where it is named first. */
MUST_CHECK enum status schema_read(struct span text, const struct table *commons,
                                   struct schema *out, struct error *err);
/* The same of a schema that is only compared: what Avro takes and this encoder would not write
 * (branches that no JSON reaches, a decimal without a precision, which is none) passes. */
MUST_CHECK enum status schema_read_foreign(struct span text, struct schema *out, struct error *err);
void schema_release(struct schema *s);

/* The word of messages: "long", "decimal(9,2)", "timestamp-micros". */
void type_word(const struct type *t, struct buffer *out);
struct span type_item(const struct type *t, uint32_t i); /* the name of field or symbol i */
/* Index of a field or symbol by name, or SCHEMA_NO_FIELD. guess: an index to look at first. */
uint32_t type_find(const struct type *t, struct span name, uint32_t guess);

void canonical_write(const struct use *root, struct buffer *out);
/* With the logical types: of two schemas that read and write the same it is equal. Not JSON. */
void canonical_write_logical(const struct use *root, struct buffer *out);
uint64_t crc64_avro(struct span bytes);

#endif
