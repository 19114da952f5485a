/* busbridge schema list, show.
 * The command's one thread; a crash leaves nothing. */
#include "admin/commands/schema_verbs.h"
#include "admin/output/list_output.h"

static const struct listing_column columns[] = {
    {{"EVENT", false, 0, false}, "event", false},
    {{"FIELDS", true, 0, false}, "fields", false},
    {{"FILE", false, 0, true}, "file", false},
    {{"FINGERPRINT", false, 0, false}, "fingerprint", false},
};

static enum status print_list(struct admin *a, const struct json_doc *doc, const char *format,
                              struct error *err) {
  uint32_t array = answer_node(doc, 0, "schemas"), node = JSON_NONE;
  struct listing listing = {.doc = doc,
                            .columns = columns,
                            .column_count = sizeof columns / sizeof *columns,
                            .name = "event"};
  uint32_t *nodes = array == JSON_NONE ? NULL : calloc(doc->nodes[array].count + 1, sizeof *nodes);
  if (!nodes) return error_set(err, ST_NO_MEMORY, "Out of memory");
  while (answer_each(doc, array, &node)) nodes[listing.count++] = node;
  listing.nodes = nodes;
  enum status st = listing_print(a, &listing, format, err);
  free(nodes);
  return st;
}

enum status schema_list(struct schema_call *c, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schemas_list(c->schemas, &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) st = print_list(c->a, &doc, c->format, err);
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

enum status schema_show(struct schema_call *c, struct error *err) {
  struct admin *a = c->a;
  struct buffer text = {0};
  struct json_doc doc = {0};
  enum status st = schemas_text(c->schemas, span_of(c->words[0]), &text, err);
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&text), err);
  if (st == ST_OK && c->json)
    buffer_add(&a->out, json_slice(&doc, 0));
  else if (st == ST_OK)
    output_pretty(&doc, 0, &a->out);
  if (st == ST_OK) buffer_add_char(&a->out, '\n');
  json_doc_release(&doc);
  buffer_release(&text);
  return st;
}
