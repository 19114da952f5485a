/* busbridge emit: a payload from the command line or standard input becomes an entry; its id is
 * printed when it is durable.
 * The command's one thread; a crash leaves the entry whole, or not there. */
#include "admin/client/answer.h"
#include "admin/input/options.h"
#include "admin/input/payload.h"
#include "bridge/service/service.h"

static void report_emitted(struct admin *a, const struct json_doc *doc) {
  struct buffer text = {0};
  if (answer_text(doc, 0, "warning", &text)) note(a, "warning: %s", buffer_z(&text));
  answer_text(doc, 0, "id", &a->out);
  snprintf(a->deed, sizeof a->deed, "the event was written all the same, under the id %.140s",
           buffer_z(&a->out));
  buffer_add_char(&a->out, '\n');
  buffer_release(&text);
}

static enum status emit(struct admin *a, const struct emit_request *request, struct error *err) {
  struct service_options options = {.mode = SERVICE_INSPECT, .clock = a->clock};
  struct service *service = NULL;
  struct buffer json = {0};
  struct json_doc doc = {0};
  enum status st = service_open(a->settings, a->log, &options, &service, err);
  if (st == ST_NOT_FOUND) err->status = ST_IO;
  if (st == ST_OK) st = service_emit(service, request, &json, err);
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), err);
  if (st == ST_OK) report_emitted(a, &doc);
  service_close(service, 0);
  json_doc_release(&doc);
  buffer_release(&json);
  return st;
}

static int run_emit(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *id = "";
  const struct option_row rows[] = {
      {"id", 0, OPTION_TEXT, &id, "ID", "[A-Za-z0-9._-]{1,128}; else a new uuid4"},
  };
  struct error err = {0};
  struct buffer payload = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 2, &words, &code))
    return code;
  if (!admin_settings(a, &err)) return fail(a, &err);
  enum status st = ST_OK;
  if (words == 1) {
    buffer_add_z(&payload, "{}");
  } else if (strcmp(argv[1], "-") == 0) {
    st = payload_read(a, "-", &payload, &err);
  } else {
    buffer_add_z(&payload, argv[1]);
  }
  struct emit_request request = {
      .id = span_of(id), .name = span_of(argv[0]), .payload = buffer_span(&payload)};
  if (st == ST_OK) st = emit(a, &request, &err);
  buffer_release(&payload);
  return st == ST_OK ? CODE_OK : fail(a, &err);
}

const struct command command_emit = {
    .name = "emit",
    .words = "<event>",
    .arguments = "NAME [JSON|-] [--id ID]",
    .summary = "write an event into the outbox, durably; prints its id",
    .examples =
        "  busbridge emit episode.published '{\"episode_id\": \"ep-1\", \"publication_id\": "
        "\"p-1\"}'\n"
        "  jq -c .payload event.json | busbridge emit quality.checked -\n",
    .description =
        "The payload is one JSON object ({} when left out; - reads standard input). The entry "
        "appears whole or not at all,\n"
        "and is on the disk when the id is printed. A worker relays it at once.",
    .run = run_emit,
    .usage_code = CODE_USAGE,
};
