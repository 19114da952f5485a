/* busbridge schema export: the schemas in words that others know.
 * One thread; a crash leaves nothing. */
#include "admin/commands/schema_verbs.h"
#include "admin/output/output.h"

enum status schema_export(struct schema_call *c, struct error *err) {
  struct span event = span_of(c->count ? c->words[0] : "");
  struct buffer text = {0};
  struct json_doc doc = {0};
  bool asyncapi = strcmp(c->export, "asyncapi") == 0;
  enum status st = asyncapi ? schemas_asyncapi(c->schemas, event, &text, err)
                            : schemas_json_schema(c->schemas, event, &text, err);
  if (st == ST_NOT_FOUND) err->status = ST_IO;
  bool deep = st == ST_OK && json_scan(&doc, buffer_span(&text), NULL) != ST_OK;
  if (st == ST_OK && (c->json || deep)) /* deeper than what is laid out */
    buffer_add(&c->a->out, buffer_span(&text));
  else if (st == ST_OK)
    output_pretty(&doc, 0, &c->a->out);
  if (st == ST_OK) buffer_add_char(&c->a->out, '\n');
  json_doc_release(&doc);
  buffer_release(&text);
  return st;
}
