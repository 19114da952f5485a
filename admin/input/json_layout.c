/* The same values with other blanks between them.
 * The command's one thread; a crash leaves nothing. */
#include "admin/input/json_layout.h"

static void begin_line(struct buffer *out, bool lines, unsigned depth) {
  if (lines) buffer_printf(out, "\n%*s", (int)depth * 2, "");
}

/* As deep as json_scan takes a text. */
static void lay_out(const struct json_doc *doc, uint32_t node, bool lines, unsigned depth,
                    struct buffer *out) {
  const struct json_node *n = &doc->nodes[node];
  bool object = n->type == JSON_OBJECT;
  if ((!object && n->type != JSON_ARRAY) || !n->count) {
    buffer_add(out, json_slice(doc, node));
    return;
  }
  buffer_add_char(out, object ? '{' : '[');
  for (uint32_t child = node + 1, i = 0; child < n->next;
       child = doc->nodes[child + object].next, i++) {
    if (i) buffer_add_z(out, lines ? "," : ", ");
    begin_line(out, lines, depth + 1);
    if (object) buffer_add(out, json_slice(doc, child));
    if (object) buffer_add_z(out, ": ");
    lay_out(doc, child + object, lines, depth + 1, out);
  }
  begin_line(out, lines, depth);
  buffer_add_char(out, object ? '}' : ']');
}

void json_lay_out(const struct json_doc *doc, uint32_t node, bool lines, struct buffer *out) {
  lay_out(doc, node, lines, 0, out);
}
