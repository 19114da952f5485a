/* busbridge schema diff: what changed, and what it means for readers.
 * The command's one thread; a crash leaves what git unpacked. */
#include "admin/commands/schema_against.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

static const char *meaning(bool backward, bool forward) {
  if (backward && forward) return "old and new readers read both";
  if (backward) return "new readers read old records, old readers cannot read new ones";
  if (forward) return "old readers read new records, new readers cannot read old ones";
  return "neither reads what the other wrote";
}

/* "order.placed: payload.price: int is long now [TYPE_CHANGED]; new readers ... (FILE:7)" */
static void print_one(struct admin *a, const struct json_doc *doc, uint32_t node) {
  struct buffer path = {0};
  bool field = answer_text(doc, node, "path", &path);
  buffer_release(&path);
  schema_add_text(a, doc, node, "event");
  if (field) {
    buffer_add_z(&a->out, ": ");
    schema_add_text(a, doc, node, "path");
    buffer_add_z(&a->out, ": ");
    schema_add_text(a, doc, node, "message");
  }
  buffer_add_z(&a->out, field ? " [" : ": [");
  schema_add_text(a, doc, node, "what");
  buffer_add_char(&a->out, ']');
  if (field)
    buffer_printf(
        &a->out, "; %s",
        meaning(answer_bool(doc, node, "new_reads_old"), answer_bool(doc, node, "old_reads_new")));
  buffer_add_z(&a->out, " (");
  schema_add_text(a, doc, node, "file");
  if (field) buffer_printf(&a->out, ":%lld", (long long)answer_int(doc, node, "line", 0));
  buffer_add_z(&a->out, ")\n");
}

static enum status with_others(struct schema_call *c, struct span event, struct buffer *json,
                               struct error *err) {
  struct schema_past past;
  enum status st = schema_past_open(&past, c, schemas_folder(c->schemas), err);
  if (st == ST_OK) st = schemas_diff(c->schemas, past.schemas, event, json, err);
  if (st == ST_OK) schema_past_names(&past, true, json);
  schema_past_close(&past);
  return st;
}

enum status schema_diff(struct schema_call *c, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  uint32_t node = JSON_NONE;
  struct span event = span_of(c->count && !schema_is_folder(c->words[0]) ? c->words[0] : NULL);
  enum status st;
  if (c->count == 2) {
    st = schemas_diff_files(c->words[0], c->words[1], &json, err);
    if (st == ST_INVALID || st == ST_NOT_FOUND) err->status = st = ST_IO;
  } else if (c->against || c->against_git || c->against_registry) {
    st = with_others(c, event, &json, err);
  } else {
    st = schemas_diff_frozen(c->schemas, event, &json, err);
  }
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK && c->json) output_json(&doc, 0, &c->a->out);
  while (st == ST_OK && !c->json && answer_each(&doc, answer_node(&doc, 0, "differences"), &node))
    print_one(c->a, &doc, node);
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}
