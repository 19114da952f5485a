/* busbridge schema register.
 * The command's one thread; a crash leaves some schemas registered, and the next run finds them. */
#include "admin/commands/schema_verbs.h"
#include "admin/output/output.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

static const char *words_of(const char *outcome) {
  static const struct {
    const char *outcome, *words;
  } table[] = {{"refused", ": refused under "},
               {"would_register", ": would be registered under "},
               {"there", ": is there already, under "},
               {"registered", ": registered under "},
               {"not_needed", ": not registered, records carry no id of it: they are framed as "}};
  size_t i = 0;
  while (i + 1 < sizeof table / sizeof *table && strcmp(outcome, table[i].outcome) != 0) i++;
  return table[i].words;
}

static void print_one(struct admin *a, const struct json_doc *doc, uint32_t node) {
  struct buffer outcome = {0}, error = {0};
  answer_text(doc, node, "outcome", &outcome);
  const char *word = buffer_z(&outcome);
  schema_add_text(a, doc, node, "event");
  buffer_add_z(&a->out, words_of(word));
  schema_add_text(a, doc, node, strcmp(word, "not_needed") == 0 ? "framing" : "subject");
  int64_t id = answer_int(doc, node, "id", -1);
  if (id >= 0) buffer_printf(&a->out, " as %lld", (long long)id);
  if (answer_text(doc, node, "error", &error) && error.len) {
    buffer_add_z(&a->out, ": ");
    text_printable(&a->out, buffer_span(&error));
  }
  buffer_add_char(&a->out, '\n');
  buffer_release(&outcome);
  buffer_release(&error);
}

static void print_all(struct schema_call *c, const struct json_doc *doc) {
  uint32_t array = answer_node(doc, 0, "schemas"), node = JSON_NONE;
  char count[COUNTED_TEXT];
  while (answer_each(doc, array, &node)) print_one(c->a, doc, node);
  int64_t refused = answer_int(doc, 0, "refused", 0);
  if (refused > 0 && admin_flush(c->a) == CODE_OK)
    complain(c->a, "The registry refuses %s",
             counted_text((uint64_t)refused, "schema", "schemas", count));
}

enum status schema_register(struct schema_call *c, struct error *err) {
  struct buffer json = {0};
  struct json_doc doc = {0};
  struct span event = span_of(c->count ? c->words[0] : "");
  enum status st = schemas_register(c->schemas, event, c->dry_run, &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK && c->json)
    output_json(&doc, 0, &c->a->out);
  else if (st == ST_OK)
    print_all(c, &doc);
  if (st == ST_OK && answer_int(&doc, 0, "refused", 0) > 0) c->code = CODE_FAILURE;
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}
