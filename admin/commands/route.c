/* busbridge route: the way of an event, and which setting says each part of it.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/settings_sheet.h"
#include "admin/input/options.h"
#include "admin/input/payload.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"
#include "bridge/service/topics/explain.h"

/* "topic      order.placed (routing.order.topic)" */
static void line(struct admin *a, const struct json_doc *doc, const char *word, const char *value,
                 const char *by) {
  struct buffer text = {0};
  if (!answer_text(doc, 0, value, &text) || !text.len) {
    buffer_release(&text);
    return;
  }
  buffer_printf(&a->out, "%-10s ", word);
  text_printable(&a->out, buffer_span(&text));
  buffer_clear(&text);
  if (by && answer_text(doc, 0, by, &text) && text.len)
    buffer_printf(&a->out, " (%s)", buffer_z(&text));
  buffer_add_char(&a->out, '\n');
  buffer_release(&text);
}

static void key_line(struct admin *a, const struct json_doc *doc) {
  struct buffer fields = {0}, by = {0};
  uint32_t array = answer_node(doc, 0, "key_fields"), node = JSON_NONE;
  while (answer_each(doc, array, &node)) {
    if (fields.len) buffer_add_z(&fields, ", else ");
    json_unescape(doc, node, &fields);
  }
  bool said = answer_text(doc, 0, "key_by", &by) && by.len > 0;
  line(a, doc, "key", "key", NULL);
  buffer_printf(&a->out, "%-10s ", answer_bool(doc, 0, "key_is_id") ? "key" : "key of");
  text_printable(&a->out, fields.len && !answer_bool(doc, 0, "key_is_id") ? buffer_span(&fields)
                                                                          : SPAN("the event's id"));
  if (said) buffer_printf(&a->out, " (%s)", buffer_z(&by));
  buffer_add_char(&a->out, '\n');
  buffer_release(&fields);
  buffer_release(&by);
}

static void header_lines(struct admin *a, const struct json_doc *doc) {
  struct buffer by = {0};
  uint32_t array = answer_node(doc, 0, "headers"), node = JSON_NONE;
  answer_text(doc, 0, "headers_by", &by);
  while (answer_each(doc, array, &node)) {
    struct buffer name = {0}, value = {0};
    answer_text(doc, node, "name", &name);
    answer_text(doc, node, "value", &value);
    buffer_printf(&a->out, "%-10s ", "header");
    text_printable(&a->out, buffer_span(&name));
    buffer_add_char(&a->out, '=');
    text_printable(&a->out, buffer_span(&value));
    buffer_printf(&a->out, " (%s)\n", by.len ? buffer_z(&by) : "");
    buffer_release(&name);
    buffer_release(&value);
  }
  buffer_release(&by);
}

static void partition_line(struct admin *a, const struct json_doc *doc) {
  int64_t count = answer_int(doc, 0, "partitions", 0), at = answer_int(doc, 0, "partition", -1);
  if (at >= 0)
    buffer_printf(&a->out, "%-10s %lld of %lld\n", "partition", (long long)at, (long long)count);
  else if (count)
    buffer_printf(&a->out, "%-10s one of %lld, by its key\n", "partition", (long long)count);
  else
    line(a, doc, "partition", "kafka", NULL);
}

static void print_way(struct admin *a, const struct json_doc *doc) {
  line(a, doc, "event", "event", NULL);
  line(a, doc, "reason", "reason", NULL);
  line(a, doc, "error", "error", NULL);
  line(a, doc, "remedy", "remedy", NULL);
  line(a, doc, "topic", "topic", "topic_by");
  if (answer_node(doc, 0, "schema") == JSON_NONE) return;
  key_line(a, doc);
  partition_line(a, doc);
  line(a, doc, "schema", "schema", NULL);
  line(a, doc, "framing", "framing", NULL);
  line(a, doc, "timestamp", "timestamp", "timestamp_by");
  header_lines(a, doc);
}

/* A worker's answer would be another one only by its settings: these are held beside ours. */
static void note_worker(struct admin *a) {
  static const char *const of[] = {"routing.", "encoding.", "registry.", "kafka.", "ledger.", NULL};
  struct settings_sheet worker = {0};
  if (settings_sheet_remote(a, &worker)) settings_sheet_compare(a, &worker, of);
  settings_sheet_release(&worker);
}

static void note_doubt(struct admin *a, const struct json_doc *doc) {
  struct buffer text = {0};
  if (answer_text(doc, 0, "key_doubt", &text) && text.len)
    note(a, "warning: %s; where it is absent the key is the event's id", buffer_z(&text));
  buffer_release(&text);
}

static int explain(struct admin *a, const char *name, const char *file, bool as_json) {
  struct buffer payload = {0}, json = {0};
  struct json_doc doc = {0};
  struct error err = {0};
  bool goes = false;
  enum status st = file ? payload_read(a, file, &payload, &err) : ST_OK;
  if (st == ST_NOT_FOUND) err.status = st = ST_IO;
  if (st == ST_OK)
    st = route_explain(a->settings, span_of(name), buffer_span(&payload), &goes, &json, &err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st == ST_OK && as_json) output_json(&doc, 0, &a->out);
  if (st == ST_OK && !as_json) print_way(a, &doc);
  if (st == ST_OK && admin_flush(a) == CODE_OK) {
    note_doubt(a, &doc);
    note_worker(a);
  }
  json_doc_release(&doc);
  buffer_release(&payload);
  buffer_release(&json);
  return st != ST_OK ? fail(a, &err) : goes ? CODE_OK : CODE_FAILURE;
}

static int run_route(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  const struct option_row rows[] = {
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 2, &words, &code))
    return code;
  if (!admin_settings(a, &err)) return fail(a, &err);
  return explain(a, argv[0], words > 1 ? argv[1] : NULL, strcmp(format, "json") == 0);
}

const struct command command_route = {
    .name = "route",
    .words = "<event> <file>",
    .arguments = "NAME [JSON|FILE|-]",
    .summary = "which topic, key, headers an event takes, and which setting says so",
    .examples =
        "  busbridge route order.placed                   what holds for events of that name\n"
        "  busbridge route order.placed '{\"order_id\": 7}'  for this one: its key, partition and "
        "headers too\n"
        "  busbridge route order.placed payload.json\n"
        "  busbridge show ID -o json | jq .payload | busbridge route order.placed -\n",
    .description =
        "Behind each part stands the setting that says it. Exit 1 where the event would be a dead "
        "letter, with its reason.\n"
        "By the settings here, as a worker takes them at its next start; where a worker runs, "
        "standard error names those in which\n"
        "it differs. Kafka is asked for the partitions alone.",
    .run = run_route,
    .usage_code = CODE_USAGE,
};
