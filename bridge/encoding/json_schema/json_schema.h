/* json_schema.h - a compiled schema as JSON Schema: which JSON the encoder takes. Pure. Private.
 *
 * The words are those that draft-07 and 2020-12 share. A record is written where it is the
 * outermost one, all others once by name, and referred to. What cannot be said is listed in
 * schemas/README.md; there the JSON Schema takes more than the encoder, never less.
 */
#ifndef BRIDGE_ENCODING_JSON_SCHEMA_JSON_SCHEMA_H
#define BRIDGE_ENCODING_JSON_SCHEMA_JSON_SCHEMA_H

#include "bridge/encoding/types/schema.h"

struct json_form {
  const char *root;   /* how the outermost record is referred to: "#" */
  const char *place;  /* where the others are: "#/$defs/" */
  const char *before; /* there, before their names: "order.placed-" */
  bool refuse;        /* members without a field are refused */
};
/* root is a record: its schema, one object. */
void json_schema_write(const struct use *root, const struct json_form *form, struct buffer *out);
/* The other records that it names: members "shop.Line": {...} of an object, divided by commas;
 * nothing where there are none. False: memory is out. */
MUST_CHECK bool json_schema_named(const struct use *root, const struct json_form *form,
                                  struct buffer *out);

/* json_schema_scalars.c: a type without parts. */
void json_schema_scalar(const struct type *t, struct buffer *out);

#endif
