/* Objects of an answer as a table, as JSON or as names, for commands whose rows are members as they
 * are.
 * The command's one thread; a crash leaves nothing. */
#include "admin/output/list_output.h"

#include "bridge/base/text/words.h"

#include <unistd.h>

static char *cell(const struct json_doc *doc, uint32_t object, const char *key) {
  struct buffer text = {0};
  uint32_t node = answer_node(doc, object, key);
  enum json_type type = node == JSON_NONE ? JSON_NULL : (enum json_type)doc->nodes[node].type;
  switch (type) {
  case JSON_STRING: json_unescape(doc, node, &text); break;
  case JSON_TRUE: buffer_add_z(&text, "yes"); break;
  case JSON_FALSE: buffer_add_z(&text, "no"); break;
  case JSON_NUMBER: buffer_add(&text, json_slice(doc, node)); break;
  case JSON_NULL:
  case JSON_ARRAY:
  case JSON_OBJECT: break;
  }
  if (text.len == 0) buffer_add_char(&text, '-');
  char *copy = text.failed ? NULL : strdup(buffer_z(&text));
  buffer_release(&text);
  return copy;
}

static enum status fill_cells(const struct listing *l, bool wide, char **cells, size_t *made,
                              struct error *err) {
  for (size_t row = 0; row < l->count; row++)
    for (size_t i = 0; i < l->column_count; i++) {
      if (l->columns[i].wide && !wide) continue;
      cells[*made] = cell(l->doc, l->nodes[row], l->columns[i].key);
      if (!cells[(*made)++]) return error_set(err, ST_NO_MEMORY, "Out of memory");
    }
  return ST_OK;
}

static enum status print_table(struct admin *a, const struct listing *l, bool wide,
                               struct error *err) {
  struct column shown[16];
  size_t count = 0, made = 0;
  BUG_ON(l->column_count > sizeof shown / sizeof *shown);
  for (size_t i = 0; i < l->column_count; i++)
    if (wide || !l->columns[i].wide) shown[count++] = l->columns[i].column;
  if (l->count == 0) return ST_OK;
  char **cells = calloc(l->count * count + 1, sizeof *cells);
  enum status st = cells ? fill_cells(l, wide, cells, &made, err)
                         : error_set(err, ST_NO_MEMORY, "Out of memory");
  if (st == ST_OK)
    st = output_table(shown, count, cells, l->count, !wide && isatty(STDOUT_FILENO), &a->out, err);
  for (size_t i = 0; i < made; i++) free(cells[i]);
  free(cells);
  return st;
}

static void print_names(struct admin *a, const struct listing *l) {
  for (size_t i = 0; i < l->count; i++) {
    struct buffer name = {0};
    answer_text(l->doc, l->nodes[i], l->name, &name);
    text_printable(&a->out, buffer_span(&name));
    buffer_add_char(&a->out, '\n');
    buffer_release(&name);
  }
}

static void print_objects(struct admin *a, const struct listing *l, bool lines) {
  if (!lines) buffer_add_char(&a->out, '[');
  for (size_t i = 0; i < l->count; i++) {
    if (!lines) buffer_add_z(&a->out, i ? ",\n  " : "\n  ");
    output_json(l->doc, l->nodes[i], &a->out);
    if (!lines) a->out.len -= a->out.len > 0; /* the line break */
  }
  if (!lines) buffer_add_z(&a->out, l->count ? "\n]\n" : "]\n");
}

enum status listing_print(struct admin *a, const struct listing *l, const char *format,
                          struct error *err) {
  if (strcmp(format, "json") == 0 || strcmp(format, "jsonl") == 0) {
    print_objects(a, l, strcmp(format, "jsonl") == 0);
  } else if (strcmp(format, "name") == 0) {
    print_names(a, l);
  } else {
    return print_table(a, l, strcmp(format, "wide") == 0, err);
  }
  return buffer_status(&a->out, err);
}
