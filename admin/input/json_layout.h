/* json_layout.h - a JSON value laid out for an editor, and put together again; strings and numbers
 * keep their bytes. Pure. */
#ifndef ADMIN_JSON_LAYOUT_H
#define ADMIN_JSON_LAYOUT_H

#include "bridge/json/json.h"

/* lines: over several lines, indented by two spaces a level; else in one, as producers write it. */
void json_lay_out(const struct json_doc *doc, uint32_t node, bool lines, struct buffer *out);

#endif
