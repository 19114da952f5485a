/* What commands print alike: tables, JSON, ages, colours, counts and samples of dry runs.
 * The command's one thread; a crash leaves nothing. */
#include "admin/output/output.h"

#include "bridge/base/clock.h"
#include "bridge/base/text/words.h"

#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <wchar.h>

/* ---- tables ---- */

static struct libscols_table *new_table(const struct column *columns, size_t count, bool terminal) {
  struct libscols_table *table = scols_new_table();
  if (!table) return NULL;
  scols_table_set_termforce(table, terminal ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
  for (size_t i = 0; i < count; i++) {
    int flags = (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].cut ? SCOLS_FL_TRUNC : 0);
    if (scols_table_new_column(table, columns[i].title, columns[i].share, flags)) continue;
    scols_unref_table(table);
    return NULL;
  }
  return table;
}

static bool fill_table(struct libscols_table *table, size_t count, char *const *cells,
                       size_t rows) {
  for (size_t r = 0; r < rows; r++) {
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (!line) return false;
    for (size_t c = 0; c < count; c++)
      if (scols_line_set_data(line, c, cells[r * count + c]) != 0) return false;
  }
  return true;
}

enum status output_table(const struct column *columns, size_t count, char *const *cells,
                         size_t rows, bool terminal, struct buffer *out, struct error *err) {
  struct libscols_table *table = new_table(columns, count, terminal);
  char *text = NULL;
  bool ok = table && fill_table(table, count, cells, rows) &&
            scols_print_table_to_string(table, &text) == 0;
  if (ok && text) {
    buffer_add_z(out, text);
    if (out->len > 0 && out->ptr[out->len - 1] != '\n') buffer_add_char(out, '\n');
  }
  free(text);
  if (table) scols_unref_table(table);
  return ok ? buffer_status(out, err) : error_set(err, ST_NO_MEMORY, "Out of memory");
}

/* ---- JSON ---- */

void output_array(const struct json_doc *doc, uint32_t array, bool lines, struct buffer *out) {
  uint32_t node = JSON_NONE;
  bool first = true;
  if (!lines) buffer_add_char(out, '[');
  while (answer_each(doc, array, &node)) {
    if (!lines) buffer_add_z(out, first ? "\n  " : ",\n  ");
    buffer_add(out, json_slice(doc, node));
    if (lines) buffer_add_char(out, '\n');
    first = false;
  }
  if (!lines) buffer_add_z(out, first ? "]\n" : "\n]\n");
}

void output_json(const struct json_doc *doc, uint32_t node, struct buffer *out) {
  buffer_add(out, json_slice(doc, node));
  buffer_add_char(out, '\n');
}

static void pretty(const struct json_doc *doc, uint32_t node, unsigned depth, struct buffer *out) {
  const struct json_node *n = &doc->nodes[node];
  bool object = n->type == JSON_OBJECT;
  if ((!object && n->type != JSON_ARRAY) || n->count == 0) {
    text_printable(out, json_slice(doc, node));
    return;
  }
  buffer_add_char(out, object ? '{' : '[');
  for (uint32_t child = node + 1, i = 0; child < n->next;
       child = doc->nodes[child + object].next, i++) {
    buffer_printf(out, "%s\n%*s", i ? "," : "", 2 * (int)depth + 2, "");
    if (object) {
      text_printable(out, json_slice(doc, child));
      buffer_add_z(out, ": ");
    }
    pretty(doc, child + object, depth + 1, out);
  }
  buffer_printf(out, "\n%*s%c", 2 * (int)depth, "", object ? '}' : ']');
}

void output_pretty(const struct json_doc *doc, uint32_t node, struct buffer *out) {
  pretty(doc, node, 0, out);
}

/* ---- small things ---- */

void output_age(const struct json_doc *doc, uint32_t object, const char *key, int64_t now_us,
                struct buffer *out) {
  struct buffer text = {0};
  char age[DURATION_TEXT];
  int64_t then;
  bool known = answer_text(doc, object, key, &text) && time_parse(buffer_span(&text), &then);
  buffer_add_z(out, known ? duration_text((now_us - then) / 1000, age) : "-");
  buffer_release(&text);
}

/* In UTF-8 whatever the locale is: so is the text. */
size_t output_width(struct span text) {
  locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
  mbstate_t state = {0};
  size_t width = 0;
  for (size_t at = 0; at < text.len;) {
    wchar_t c;
    size_t n = mbrtowc(&c, text.ptr + at, text.len - at, &state);
    bool known = n > 0 && n <= text.len - at;
    int columns = known ? wcwidth(c) : 1;
    if (!known) state = (mbstate_t){0};
    width += columns < 0 ? 1 : (size_t)columns;
    at += known ? n : 1;
  }
  if (utf8) {
    uselocale(before);
    freelocale(utf8);
  }
  return width;
}

void output_paint(struct buffer *out, bool on, enum paint paint, const char *text) {
  static const char *const codes[] = {"31", "32", "33", "1"};
  if (on) buffer_printf(out, "\x1b[%sm", codes[paint]);
  buffer_add_z(out, text);
  if (on) buffer_add_z(out, "\x1b[0m");
}

/* ---- dry runs ---- */

static void add_text(const struct json_doc *doc, uint32_t node, struct buffer *out) {
  struct buffer text = {0};
  json_unescape(doc, node, &text);
  text_printable(out, buffer_span(&text));
  buffer_add_char(out, '\n');
  buffer_release(&text);
}

void output_counts(const struct json_doc *doc, const char *key, const char *title,
                   struct buffer *out) {
  uint32_t object = answer_node(doc, 0, key), member, node = JSON_NONE;
  if (object == JSON_NONE || doc->nodes[object].count == 0) return;
  buffer_printf(out, "%s:\n", title);
  while (answer_each_member(doc, object, &member, &node)) {
    int64_t n = 0;
    if (!json_int(doc, node, &n)) n = 0;
    buffer_printf(out, "  %7" PRId64 "  ", n);
    add_text(doc, member, out);
  }
}

void output_samples(const struct json_doc *doc, struct buffer *out) {
  uint32_t samples = answer_node(doc, 0, "samples"), node = JSON_NONE;
  if (samples == JSON_NONE || doc->nodes[samples].count == 0) return;
  buffer_add_z(out, "Samples:\n");
  while (answer_each(doc, samples, &node)) {
    buffer_add_z(out, "  ");
    add_text(doc, node, out);
  }
}
