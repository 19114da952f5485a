/* busbridge schema freeze.
 * The command's one thread; a crash leaves the frozen copy whole, or not there. */
#include "admin/commands/schema_verbs.h"
#include "admin/output/output.h"

enum status schema_freeze(struct schema_call *c, struct error *err) {
  struct admin *a = c->a;
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schemas_freeze(c->schemas, span_of(c->words[0]), &json, err);
  if (st == ST_INVALID) err->status = ST_IO;
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK && c->json) {
    output_json(&doc, 0, &a->out);
  } else if (st == ST_OK) {
    schema_add_text(a, &doc, 0, "event");
    buffer_add_z(&a->out, answer_bool(&doc, 0, "frozen") ? ": frozen as " : ": is ");
    schema_add_text(a, &doc, 0, "file");
    buffer_add_z(&a->out, answer_bool(&doc, 0, "frozen") ? "\n" : " already\n");
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}
