/* quote.h - pieces of foreign text for messages. Private. */
#ifndef BRIDGE_ENCODING_TYPES_QUOTE_H
#define BRIDGE_ENCODING_TYPES_QUOTE_H

#include "bridge/json/json.h"

#define QUOTE_CHARACTERS 40

/* "string \"A\"", "number 1.5", "null": what stands at a node, cut to QUOTE_CHARACTERS. */
void quote_value(struct buffer *out, const struct json_doc *doc, uint32_t node);
/* JSON text on one line: white space between tokens may hold line ends, strings cannot. */
void quote_one_line(struct buffer *out, struct span json);

#endif
