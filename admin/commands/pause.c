/* busbridge pause and busbridge resume: one makes the change and both say what is so now.
 * The command's one thread; a crash leaves what service/pause.c says. */
#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"

/* " since TIME by NAME: REASON", as far as it is known. */
static void add_pause(struct buffer *out, const struct json_doc *doc) {
  static const char *const parts[][2] = {{" since ", "since"}, {" by ", "by"}, {": ", "reason"}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    struct buffer text = {0};
    if (answer_text(doc, 0, parts[i][1], &text)) {
      buffer_add_z(out, parts[i][0]);
      text_printable(out, buffer_span(&text));
    }
    buffer_release(&text);
  }
}

static void report_pause(struct admin *a, const struct json_doc *doc) {
  bool paused = answer_bool(doc, 0, "paused"), changed = answer_bool(doc, 0, "changed");
  bool worker = answer_bool(doc, 0, "worker");
  char number[NUMBER_TEXT], entries[NUMBER_TEXT + 20] = "";
  int64_t pending = answer_int(doc, 0, "pending", -1);
  if (pending >= 0)
    snprintf(entries, sizeof entries, "; %s pending", number_text((uint64_t)pending, number));
  struct buffer *out = &a->out;
  buffer_add_z(out, paused    ? changed ? "Paused" : "Paused already"
                    : changed ? "Resumed; it was paused"
                              : "Not paused");
  add_pause(out, doc);
  if (paused)
    buffer_printf(out, "\nNothing is published until: busbridge resume%s\n", entries);
  else
    buffer_printf(out, "%s\n", entries);
  if (changed && !paused && !worker)
    note(a, "no worker runs; send what is pending by: busbridge flush");
}

typedef enum status (*pause_fn)(struct client *c, const struct pause_request *r,
                                struct buffer *json, struct error *err);

static int change(struct admin *a, pause_fn call, const char *reason, bool as_json) {
  struct error err = {0};
  struct client *client = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  int code = CODE_OK;
  if (!admin_settings(a, &err)) return fail(a, &err);
  struct pause_request request = {.reason = reason, .by = &a->caller};
  enum status st = client_open(a, SERVICE_CHANGE, &client, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO; /* no outbox is a failure */
  if (st == ST_OK) st = call(client, &request, &json, &err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st != ST_OK) {
    code = fail(a, &err);
  } else if (as_json) {
    output_json(&doc, 0, &a->out);
  } else {
    report_pause(a, &doc);
  }
  client_close(client);
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

static int run_pause(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *reason = "", *format = "table";
  const struct option_row rows[] = {
      {"reason", 'r', OPTION_TEXT, &reason, "TEXT", "why; health shows it"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  return change(a, client_pause, reason, strcmp(format, "json") == 0);
}

static int run_resume(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  const struct option_row rows[] = {
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  return change(a, client_resume, "", strcmp(format, "json") == 0);
}

const struct command command_pause = {
    .name = "pause",
    .arguments = "[--reason TEXT]",
    .summary = "stop publishing; everything stays pending",
    .examples = "  busbridge pause --reason \"broker upgrade, ticket 4711\"\n"
                "  busbridge resume                      goes on\n",
    .description =
        "Nothing more is handed to Kafka until `busbridge resume`, over restarts of the worker "
        "too; what Kafka has already\n"
        "is settled. Entries stay pending and no attempt is counted; emit goes on, flush is "
        "refused, health says WARNING.",
    .run = run_pause,
    .usage_code = CODE_USAGE,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "",
    .summary = "go on publishing after pause",
    .examples = "  busbridge resume\n"
                "  busbridge health                      is everything moving again?\n",
    .description =
        "Ends the pause: the worker relays what is pending, in its order. Not paused: nothing "
        "happens.",
    .run = run_resume,
    .usage_code = CODE_USAGE,
};
