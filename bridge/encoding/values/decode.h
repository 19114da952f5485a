/* decode.h - Avro bytes of anyone to JSON, by a compiled schema. Private.
 *
 * avro-c's reader trusts what it reads; this one does not: every length is held against what is
 * left, every index against its table, strings must be UTF-8, counts cost output or bytes, output
 * ends at DECODE_MAX_OUTPUT.
 */
#ifndef BRIDGE_ENCODING_VALUES_DECODE_H
#define BRIDGE_ENCODING_VALUES_DECODE_H

#include "bridge/encoding/types/schema.h"
#include "bridge/json/json.h"

#define DECODE_MAX_OUTPUT (16u * 1024 * 1024)

/* bytes from offset `from` on are one value of u and nothing after it; offsets in messages count
 * from 0. When only is not empty, u is a record and just that field's value is written. doc is
 * memory for JSON texts, kept between calls. On failure out holds part of a text: the caller cuts
 * it back. */
MUST_CHECK enum status decode_value(const struct use *u, struct span bytes, size_t from,
                                    struct span only, struct json_doc *doc, struct buffer *out,
                                    struct error *err);

#endif
