/* schema_reader.h - what the files that read a schema share. Private. */
#ifndef BRIDGE_ENCODING_READING_SCHEMA_READER_H
#define BRIDGE_ENCODING_READING_SCHEMA_READER_H

#include "bridge/base/table.h"
#include "bridge/encoding/types/schema.h"
#include "bridge/json/json.h"

struct schema_reader {
  struct json_doc doc;
  struct arena *arena;
  struct table names; /* full name -> struct type *, also one that is being defined */
  struct buffer tmp;
  const struct table *commons; /* full name -> struct common, of other files; may be NULL */
  unsigned inlined;            /* of those this place lies in, one in the other */
  const char *common_file;     /* the innermost; NULL: none */
  struct schema_note **last_note;
  size_t line_at; /* a place of the text, and its line */
  unsigned line;
  bool foreign;     /* it is only compared */
  unsigned records; /* that are being read: 1 in the outermost */
  unsigned loose; /* arrays, maps and unions of several around this place, whose values may be empty
                     or others */
  bool told;      /* the file of a common type stands in the fault */
  bool recursive; /* some record holds itself */
  struct error *err;
};

/* ST_INVALID with "line N: " before the words, N of node. */
enum status schema_reader_fault(struct schema_reader *r, uint32_t node, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same for what is not a fault; ST_OK, or ST_NO_MEMORY. */
MUST_CHECK enum status schema_reader_note(struct schema_reader *r, uint32_t node, const char *fmt,
                                          ...) PRINTF_LIKE(3, 4);
unsigned schema_reader_line(struct span text, size_t at); /* from 1 */
/* That of a node, cheap for places near the last one. */
unsigned schema_reader_line_of(struct schema_reader *r, uint32_t node);
enum status schema_reader_no_memory(struct schema_reader *r);
/* The bytes of a string node, unescaped, in the arena; *out.ptr is never NULL on success. */
MUST_CHECK enum status schema_reader_string(struct schema_reader *r, uint32_t node,
                                            struct span *out);
/* As much of a text as a message should hold, printable; valid until the next call. */
const char *schema_reader_quote(struct schema_reader *r, struct span text);
/* A type at node inside namespace ns. */
MUST_CHECK enum status schema_reader_use(struct schema_reader *r, uint32_t node, struct span ns,
                                         bool json, struct use *out);

MUST_CHECK enum status schema_reader_record(struct schema_reader *r, uint32_t node, struct span ns,
                                            struct type **out);
MUST_CHECK enum status schema_reader_enum(struct schema_reader *r, uint32_t node, struct span ns,
                                          struct type **out);
MUST_CHECK enum status schema_reader_fixed(struct schema_reader *r, uint32_t node, struct span ns,
                                           struct type **out);
/* "logicalType" of a type whose kind (and size) is known. One that does not fit it is noted and
 * means nothing, as Avro has it; a decimal is refused: money must not become bytes by a slip. */
MUST_CHECK enum status schema_reader_logical(struct schema_reader *r, uint32_t node,
                                             struct type *type);
/* A non-negative integer of a member; false: it is none, or beyond max. */
bool schema_reader_count(struct schema_reader *r, uint32_t member, int64_t max, uint32_t *out);
/* name as it is meant inside ns: itself when it has a dot or ns is empty, else ns.name. */
MUST_CHECK enum status schema_reader_full_name(struct schema_reader *r, struct span name,
                                               struct span ns, struct span *out);
bool name_valid(struct span name,
                bool dots); /* [A-Za-z_][A-Za-z0-9_]*, with dots between when allowed */
bool primitive_of(struct span word, const struct type **out);

#endif
