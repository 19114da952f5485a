/* A JSON value cut and quoted for a message; JSON text on one line.
 * Any thread; a crash leaves nothing. */
#include "bridge/encoding/types/quote.h"

#include "bridge/base/text/words.h"

void quote_value(struct buffer *out, const struct json_doc *doc, uint32_t node) {
  enum json_type type = (enum json_type)doc->nodes[node].type;
  buffer_add_z(out, json_type_name(type));
  if (type == JSON_NULL) return;
  buffer_add_char(out, ' ');
  text_quoted(out, json_slice(doc, node), QUOTE_CHARACTERS);
}

void quote_one_line(struct buffer *out, struct span json) {
  size_t from = 0;
  for (size_t i = 0; i < json.len; i++) {
    if ((unsigned char)json.ptr[i] >= 0x20) continue;
    buffer_append(out, json.ptr + from, i - from);
    buffer_add_char(out, ' ');
    from = i + 1;
  }
  buffer_append(out, json.ptr + from, json.len - from);
}
