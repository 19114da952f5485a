/* encode_parts.h - what the files of the encoder share. Private. */
#ifndef BRIDGE_ENCODING_VALUES_ENCODE_PARTS_H
#define BRIDGE_ENCODING_VALUES_ENCODE_PARTS_H

#include "bridge/encoding/values/encode.h"

/* Any kind up to the enum: without parts. */
enum reason encode_scalar(struct encoder *e, const struct use *u, uint32_t node);
/* The bytes of a string: in the document when it has no escapes, else in e->text until the next
 * call. */
struct span encode_string(struct encoder *e, uint32_t node);

/* Faults, said in e->err unless a branch of a union is only tried. why (may be NULL) follows the
 * kind of the value: "that is not such a time". */
enum reason encode_mismatch(struct encoder *e, const struct use *u, uint32_t node, const char *why);
enum reason encode_out_of_range(struct encoder *e, const struct use *u, uint32_t node,
                                enum reason reason);
enum reason encode_missing(struct encoder *e, const struct field *f, uint32_t object);
enum reason encode_no_place(struct encoder *e, uint32_t key);

#endif
