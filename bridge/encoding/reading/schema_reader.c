/* What reading a schema needs at every place: its words, faults and notes, each with its line.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/reading/schema_reader.h"
#include "bridge/base/text/words.h"
#include "bridge/encoding/types/quote.h"

bool primitive_of(struct span word, const struct type **out) {
  static const struct type primitives[] = {
      {.kind = KIND_NULL, .height = 1},  {.kind = KIND_BOOLEAN, .height = 1},
      {.kind = KIND_INT, .height = 1},   {.kind = KIND_LONG, .height = 1},
      {.kind = KIND_FLOAT, .height = 1}, {.kind = KIND_DOUBLE, .height = 1},
      {.kind = KIND_BYTES, .height = 1}, {.kind = KIND_STRING, .height = 1}};
  for (int k = KIND_NULL; k <= KIND_STRING; k++) {
    if (!span_is(word, kind_name((enum kind)k))) continue;
    *out = &primitives[k];
    return true;
  }
  return false;
}

unsigned schema_reader_line(struct span text, size_t at) {
  unsigned line = 1;
  for (size_t i = 0; i < at && i < text.len; i++) line += text.ptr[i] == '\n';
  return line;
}

unsigned schema_reader_line_of(struct schema_reader *r, uint32_t node) {
  const char *text = r->doc.text.ptr;
  size_t at = r->doc.nodes[node].at;
  if (!r->line) r->line = 1, r->line_at = 0;
  for (; r->line_at < at; r->line_at++) r->line += text[r->line_at] == '\n';
  for (; r->line_at > at; r->line_at--) r->line -= text[r->line_at - 1] == '\n';
  return r->line;
}

enum status schema_reader_fault(struct schema_reader *r, uint32_t node, const char *fmt, ...) {
  char words[sizeof r->err->text];
  va_list args;
  va_start(args, fmt);
  vsnprintf(words, sizeof words, fmt, args);
  va_end(args);
  return error_set(r->err, ST_INVALID, "line %u: %s",
                   schema_reader_line(r->doc.text, r->doc.nodes[node].at), words);
}

enum status schema_reader_no_memory(struct schema_reader *r) {
  return error_set(r->err, ST_NO_MEMORY, "no memory for a schema");
}

enum status schema_reader_string(struct schema_reader *r, uint32_t node, struct span *out) {
  buffer_clear(&r->tmp);
  json_unescape(&r->doc, node, &r->tmp);
  if (r->tmp.failed) return schema_reader_no_memory(r);
  char *copy = arena_copy(r->arena, buffer_span(&r->tmp));
  if (!copy) return schema_reader_no_memory(r);
  *out = (struct span){copy, r->tmp.len};
  return ST_OK;
}

const char *schema_reader_quote(struct schema_reader *r, struct span text) {
  buffer_clear(&r->tmp);
  text_quoted(&r->tmp, text, QUOTE_CHARACTERS);
  return buffer_z(&r->tmp);
}

enum status schema_reader_note(struct schema_reader *r, uint32_t node, const char *fmt, ...) {
  char words[sizeof r->err->text];
  va_list args;
  va_start(args, fmt);
  vsnprintf(words, sizeof words, fmt, args);
  va_end(args);
  struct buffer text = {0};
  if (r->common_file) buffer_printf(&text, "%s: ", r->common_file);
  buffer_printf(&text, "line %u: %s", schema_reader_line(r->doc.text, r->doc.nodes[node].at),
                words);
  struct schema_note *n = arena_zalloc(r->arena, sizeof *n);
  if (n && !text.failed) n->text = arena_copy(r->arena, buffer_span(&text));
  buffer_release(&text);
  if (!n || !n->text) return schema_reader_no_memory(r);
  *r->last_note = n;
  r->last_note = &n->next;
  return ST_OK;
}
