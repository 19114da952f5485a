/* inline.h - a schema's text with the named types of other files in it. Private. */
#ifndef BRIDGE_ENCODING_JSON_SCHEMA_INLINE_H
#define BRIDGE_ENCODING_JSON_SCHEMA_INLINE_H

#include "bridge/base/table.h"

/* text is a schema that schema_read takes with these commons; all but names of them is copied. */
MUST_CHECK enum status inline_write(struct span text, const struct table *commons,
                                    struct buffer *out, struct error *err);

#endif
