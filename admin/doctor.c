#include "bridge/service/doctor.h"
#include "admin/findings.h"
#include "admin/options.h"
#include "admin/output.h"
#include "bridge/base/words.h"
#include "bridge/service/configure.h"

enum change { CHANGE_NOTHING, CHANGE_CLUSTER, CHANGE_ID };

static void add_text(struct buffer *out, const struct json_doc *doc, uint32_t object, const char *key) {
  struct buffer text = {0};
  answer_text(doc, object, key, &text);
  text_printable(out, buffer_span(&text));
  buffer_release(&text);
}

/* ---- what it does ----------------------------------------------------------------------------------------------- */

static void print_change(struct admin *a, const struct json_doc *doc, enum change change) {
  struct buffer *out = &a->out;
  buffer_add_z(out, "The outbox ");
  add_text(out, doc, 0, "outbox");
  buffer_add_z(out, change == CHANGE_ID ? " has the id " : " belongs to the cluster ");
  add_text(out, doc, 0, change == CHANGE_ID ? "id" : "cluster");
  if (answer_node(doc, 0, "was") != JSON_NONE && doc->nodes[answer_node(doc, 0, "was")].type == JSON_STRING) {
    buffer_add_z(out, " now; it was ");
    add_text(out, doc, 0, "was");
  }
  buffer_add_char(out, '\n');
}

static enum status ask(const struct doctor_request *request, enum change change, struct buffer *json,
                       struct error *err) {
  switch (change) {
  case CHANGE_NOTHING: break;
  case CHANGE_CLUSTER: return doctor_accept_cluster(request, json, err);
  case CHANGE_ID: return doctor_new_id(request, json, err);
  }
  return doctor_run(request, json, err);
}

static int doctor(struct admin *a, enum change change, bool as_json) {
  struct error why = {0}, err = {0};
  struct buffer json = {0};
  struct json_doc doc = {0};
  int code = CODE_OK;
  struct configure from = {.file = a->config, .environment = a->environment};
  struct doctor_request request = {.source = configure_file(&from), .clock = a->clock};
  if (admin_settings(a, &why))
    request.settings = a->settings;
  else if (change != CHANGE_NOTHING)
    return fail(a, &why);
  request.why = why.text;
  if (a->interactive) note(a, "examining; it takes a while where somebody does not answer");
  enum status st = ask(&request, change, &json, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st != ST_OK) {
    code = fail(a, &err);
  } else if (change == CHANGE_NOTHING) {
    code = findings_print(a, &doc, as_json);
  } else if (as_json) {
    output_json(&doc, 0, &a->out);
  } else {
    print_change(a, &doc, change);
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

static int run(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool cluster = false, id = false;
  const struct option_row rows[] = {
      {"accept-cluster", 0, OPTION_FLAG, &cluster, NULL, "the outbox belongs to the Kafka cluster now reached"},
      {"new-id", 0, OPTION_FLAG, &id, NULL, "this copy of an outbox gets an id of its own"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code)) return code;
  if (cluster && id) {
    complain(a, "--accept-cluster and --new-id exclude each other");
    return CODE_USAGE;
  }
  return doctor(a, cluster ? CHANGE_CLUSTER : id ? CHANGE_ID : CHANGE_NOTHING, strcmp(format, "json") == 0);
}

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "[--accept-cluster | --new-id]",
    .summary = "is everything there that a worker needs? and what to do where it is not",
    .examples = "  busbridge doctor                      settings, outbox, Redis, clocks, broker, topics, rights\n"
                "  busbridge doctor -o json\n"
                "  busbridge doctor --accept-cluster     the outbox moves to another Kafka cluster\n"
                "  busbridge doctor --new-id             after copying an outbox\n",
    .description =
        "Examines each thing and says what to do about it; changes nothing, and works beside a running worker. Exit 0 all\n"
        "well or warnings only, 1 something failed, 75 nothing but the broker, which does not answer. The two changes are\n"
        "those that a worker's refusal names; they are refused while a worker runs.",
    .run = run,
    .usage_code = CODE_USAGE,
};
