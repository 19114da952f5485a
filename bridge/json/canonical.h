/* canonical.h - the one text that all spellings of a JSON value share: members sorted by their
 * names, no white space, no escape that is not needed, a number by its value (19.90 is 199e-1).
 * For comparing and digests; not for people. Pure; one thread at a time a document.
 */
#ifndef BRIDGE_JSON_CANONICAL_H
#define BRIDGE_JSON_CANONICAL_H

#include "bridge/json/json.h"

/* Appended to out; out->failed when memory is out. */
void json_canonical_write(const struct json_doc *d, uint32_t node, struct buffer *out);

#endif
