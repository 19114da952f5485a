/* busbridge schema check --against, --against-git, --against-registry: by a compatibility level.
 * The command's one thread; a crash leaves what git unpacked. */
#include "admin/commands/schema_against.h"
#include "admin/output/output.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

/* "schemas/order/placed.avsc:7: backward: payload.price: ... [TYPE_MISMATCH] (old/...:9)" */
static void print_one(struct admin *a, const struct json_doc *doc, uint32_t node) {
  schema_add_text(a, doc, node, "file");
  buffer_printf(&a->out, ":%lld: ", (long long)answer_int(doc, node, "line", 0));
  schema_add_text(a, doc, node, "direction");
  buffer_add_z(&a->out, ": ");
  schema_add_text(a, doc, node, "path");
  buffer_add_z(&a->out, ": ");
  schema_add_text(a, doc, node, "message");
  buffer_add_z(&a->out, " [");
  schema_add_text(a, doc, node, "what");
  buffer_add_z(&a->out, "] (");
  schema_add_text(a, doc, node, "against_file");
  buffer_printf(&a->out, ":%lld)\n", (long long)answer_int(doc, node, "against_line", 0));
}

static void note_gone(const struct admin *a, const struct json_doc *doc) {
  uint32_t node = JSON_NONE;
  while (answer_each(doc, answer_node(doc, 0, "gone"), &node)) {
    struct buffer name = {0};
    json_unescape(doc, node, &name);
    note(a, "%s has no schema any more", buffer_z(&name));
    buffer_release(&name);
  }
}

static void print_findings(struct schema_call *c, const struct json_doc *doc) {
  struct admin *a = c->a;
  char count[COUNTED_TEXT];
  uint32_t node = JSON_NONE;
  bool fine = answer_bool(doc, 0, "compatible");
  c->code = fine ? CODE_OK : CODE_FAILURE;
  if (c->json) {
    output_json(doc, 0, &a->out);
    return;
  }
  while (answer_each(doc, answer_node(doc, 0, "incompatible"), &node)) print_one(a, doc, node);
  buffer_printf(&a->out, "%s: %s with ", schemas_folder(c->schemas),
                fine ? "compatible" : "not compatible");
  schema_add_text(a, doc, 0, "against");
  buffer_printf(
      &a->out, " (%s, %s compared)\n", c->level,
      counted_text((uint64_t)answer_int(doc, 0, "checked", 0), "schema", "schemas", count));
  if (admin_flush(a) == CODE_OK) note_gone(a, doc);
}

enum status schema_compatible(struct schema_call *c, const char *event, struct error *err) {
  struct schema_past past;
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schema_past_open(&past, c, schemas_folder(c->schemas), err);
  if (st == ST_OK)
    st = schemas_compatible(c->schemas, past.schemas, c->level, span_of(event), &json, err);
  if (st == ST_OK) schema_past_names(&past, true, &json);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) print_findings(c, &doc);
  if (st == ST_INVALID) err->status = st = ST_IO; /* a schema is wrong, not the command line */
  json_doc_release(&doc);
  buffer_release(&json);
  schema_past_close(&past);
  return st;
}
