#include "bridge/encoding/quote.h"

/* Bytes of the character at s (which is not empty); a byte that begins none counts as one. */
static size_t character(struct span s) {
  unsigned char c = (unsigned char)s.ptr[0];
  size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  return n < s.len ? n : s.len;
}

void quote_text(struct buffer *out, struct span text, size_t characters) {
  while (text.len) {
    if (!characters--) {
      buffer_add_z(out, "...");
      return;
    }
    size_t n = character(text);
    unsigned char c = (unsigned char)text.ptr[0];
    if (n == 1 && (c < 0x20 || c == 0x7F))
      buffer_printf(out, "\\u%04x", c);
    else if (n == 2 && c == 0xC2 && (unsigned char)text.ptr[1] < 0xA0) /* C1 controls */
      buffer_printf(out, "\\u%04x", (unsigned char)text.ptr[1]);
    else
      buffer_append(out, text.ptr, n);
    text.ptr += n;
    text.len -= n;
  }
}

void quote_value(struct buffer *out, const struct json_doc *doc, uint32_t node) {
  enum json_type type = (enum json_type)doc->nodes[node].type;
  buffer_add_z(out, json_type_name(type));
  if (type == JSON_NULL) return;
  buffer_add_char(out, ' ');
  quote_text(out, json_slice(doc, node), QUOTE_CHARACTERS);
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
