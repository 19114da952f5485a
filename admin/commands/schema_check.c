/* busbridge schema check: a payload, or a whole folder.
 * The command's one thread; a crash leaves nothing. */
#include "admin/commands/schema_verbs.h"
#include "admin/input/payload.h"
#include "admin/output/output.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

static void note_left_out(struct admin *a, const struct json_doc *doc) {
  uint32_t unknown = answer_node(doc, 0, "unknown"), node = JSON_NONE;
  struct buffer names = {0};
  char count[COUNTED_TEXT];
  while (answer_each(doc, unknown, &node)) {
    struct buffer path = {0};
    json_unescape(doc, node, &path);
    buffer_add_z(&names, names.len ? ", " : ": ");
    text_printable(&names, buffer_span(&path));
    buffer_release(&path);
  }
  struct buffer policy = {0};
  answer_text(doc, 0, "unknown_fields", &policy);
  const char *word = buffer_z(&policy);
  note(a, "%s no place in the schema and would %s%s; add a field for each, or a map named extra",
       counted_text((uint64_t)answer_int(doc, 0, "left_out", 0), "field has", "fields have", count),
       strcmp(word, "drop") == 0    ? "not be published"
       : strcmp(word, "whole") == 0 ? "stay in the value, which is the payload whole"
                                    : "go in the header ce_extra",
       buffer_z(&names));
  buffer_release(&policy);
  buffer_release(&names);
}

static void note_rest(struct admin *a, const struct json_doc *doc) {
  struct buffer near = {0}, remedy = {0}, policy = {0};
  char count[COUNTED_TEXT];
  if (answer_bool(doc, 0, "fits") && !answer_bool(doc, 0, "own")) {
    bool known = answer_text(doc, 0, "near", &near);
    answer_text(doc, 0, "unknown_fields", &policy);
    bool whole = strcmp(buffer_z(&policy), "whole") == 0;
    note(a, "it has no schema of its own and goes %s%s%s%s", whole ? "as it is" : "in the envelope",
         known ? "; did you mean " : "", known ? buffer_z(&near) : "", known ? "?" : "");
  }
  if (answer_int(doc, 0, "left_out", 0) > 0) note_left_out(a, doc);
  if (answer_int(doc, 0, "cut_numbers", 0) > 0)
    note(a, "%s more digits than a double keeps",
         counted_text((uint64_t)answer_int(doc, 0, "cut_numbers", 0), "number has", "numbers have",
                      count));
  if (answer_text(doc, 0, "remedy", &remedy) && remedy.len > 0) note(a, "%s", buffer_z(&remedy));
  buffer_release(&policy);
  buffer_release(&near);
  buffer_release(&remedy);
}

static int print_verdict(struct admin *a, const struct json_doc *doc, bool as_json) {
  bool fits = answer_bool(doc, 0, "fits");
  if (as_json) {
    output_json(doc, 0, &a->out);
    return fits ? CODE_OK : CODE_FAILURE;
  }
  schema_add_text(a, doc, 0, "event");
  if (fits) {
    buffer_add_z(&a->out, ": fits ");
    schema_add_text(a, doc, 0, "schema");
  } else {
    buffer_add_z(&a->out, ": ");
    schema_add_text(a, doc, 0, "reason");
    buffer_add_z(&a->out, ": ");
    schema_add_text(a, doc, 0, "error");
  }
  buffer_add_char(&a->out, '\n');
  int code = admin_flush(a);
  note_rest(a, doc);
  return code != CODE_OK ? code : fits ? CODE_OK : CODE_FAILURE;
}

static enum status check_payload(struct schema_call *c, struct error *err) {
  const char *file = c->count > 1 ? c->words[1] : "-";
  struct buffer payload = {0}, json = {0};
  struct json_doc doc = {0};
  enum status st = payload_read(c->a, file, &payload, err);
  if (st == ST_NOT_FOUND) err->status = st = ST_IO;
  if (st == ST_OK)
    st = schemas_check(c->schemas, span_of(c->words[0]), buffer_span(&payload), &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) c->code = print_verdict(c->a, &doc, c->json);
  json_doc_release(&doc);
  buffer_release(&payload);
  buffer_release(&json);
  return st;
}

/* What is likely to be a mistake, after the rest was printed. */
static void note_mistakes(struct admin *a, const struct json_doc *doc, uint32_t array) {
  uint32_t schema = JSON_NONE;
  while (answer_each(doc, array, &schema)) {
    uint32_t notes = answer_node(doc, schema, "notes"), one = JSON_NONE;
    while (answer_each(doc, notes, &one)) {
      struct buffer file = {0}, text = {0};
      answer_text(doc, schema, "file", &file);
      json_unescape(doc, one, &text);
      note(a, "%s: %s", buffer_z(&file), buffer_z(&text));
      buffer_release(&file);
      buffer_release(&text);
    }
  }
}

/* Opening them was the check. */
static enum status print_sound(struct admin *a, struct schemas *schemas, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = schemas_list(schemas, &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) {
    uint32_t array = answer_node(&doc, 0, "schemas");
    text_printable(&a->out, span_of(schemas_folder(schemas)));
    char count[COUNTED_TEXT];
    uint32_t all = array == JSON_NONE ? 0 : doc.nodes[array].count;
    buffer_printf(&a->out, ": %s, %s sound\n", counted_text(all, "schema", "schemas", count),
                  all == 1 ? "it is" : "all");
    if (admin_flush(a) == CODE_OK) note_mistakes(a, &doc, array);
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

enum status schema_check(struct schema_call *c, struct error *err) {
  bool folder = c->all || !c->count || (c->count == 1 && schema_is_folder(c->words[0]));
  const char *event = folder ? NULL : c->words[0];
  if (!c->level) c->level = "BACKWARD";
  if (c->against || c->against_git || c->against_registry) return schema_compatible(c, event, err);
  return folder ? print_sound(c->a, c->schemas, err) : check_payload(c, err);
}
