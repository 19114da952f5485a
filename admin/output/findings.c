/* The checks of doctor and verify, as a table or as JSON, and the exit code that follows from them.
 * The command's one thread; a crash leaves nothing. */
#include "admin/output/findings.h"

#include "admin/output/output.h"
#include "bridge/base/text/words.h"

static void add_text(struct buffer *out, const struct json_doc *doc, uint32_t object,
                     const char *key) {
  struct buffer text = {0};
  answer_text(doc, object, key, &text);
  text_printable(out, buffer_span(&text));
  buffer_release(&text);
}

static void pad(struct buffer *out, size_t from, size_t width) {
  while (out->len < from + width && !out->failed) buffer_add_char(out, ' ');
}

static size_t widest(const struct json_doc *doc, uint32_t checks) {
  size_t width = strlen("CHECK");
  uint32_t node = JSON_NONE;
  while (answer_each(doc, checks, &node)) {
    struct span name = json_raw(doc, answer_node(doc, node, "check"));
    if (name.len > width) width = name.len;
  }
  return width;
}

/* What to do stands in a line of its own, whole: there are commands in it, to be copied. */
static void print_row(struct admin *a, const struct json_doc *doc, uint32_t node, size_t width) {
  struct buffer *out = &a->out, verdict = {0}, next = {0};
  answer_text(doc, node, "verdict", &verdict);
  bool failed = span_is(buffer_span(&verdict), "failed"),
       warning = span_is(buffer_span(&verdict), "warning");
  size_t from = out->len;
  add_text(out, doc, node, "check");
  pad(out, from, width + 1);
  bool ok = span_is(buffer_span(&verdict), "ok");
  output_paint(out, a->color_out && (failed || warning || ok),
               failed    ? PAINT_RED
               : warning ? PAINT_YELLOW
                         : PAINT_GREEN,
               buffer_z(&verdict));
  for (size_t i = verdict.len; i < strlen("verdict") + 1; i++) buffer_add_char(out, ' ');
  add_text(out, doc, node, "found");
  buffer_add_char(out, '\n');
  if (answer_text(doc, node, "next", &next) && next.len > 0) {
    for (size_t i = 0; i < width + 1; i++) buffer_add_char(out, ' ');
    buffer_add_z(out, "what to do: ");
    text_printable(out, buffer_span(&next));
    buffer_add_char(out, '\n');
  }
  buffer_release(&verdict);
  buffer_release(&next);
}

static void print_table(struct admin *a, const struct json_doc *doc) {
  uint32_t checks = answer_node(doc, 0, "checks"), node = JSON_NONE;
  size_t width = widest(doc, checks), from = a->out.len;
  buffer_add_z(&a->out, "CHECK");
  pad(&a->out, from, width + 1);
  buffer_add_z(&a->out, "VERDICT FOUND\n");
  while (answer_each(doc, checks, &node)) print_row(a, doc, node, width);
}

int findings_print(struct admin *a, const struct json_doc *doc, bool as_json) {
  struct buffer verdict = {0};
  answer_text(doc, 0, "verdict", &verdict);
  bool failed = span_is(buffer_span(&verdict), "failed");
  buffer_release(&verdict);
  if (as_json) {
    output_json(doc, 0, &a->out);
  } else {
    print_table(a, doc);
  }
  return !failed ? CODE_OK : answer_bool(doc, 0, "unreachable") ? CODE_BUSY : CODE_FAILURE;
}
