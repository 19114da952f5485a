/* busbridge doctor: prints the findings; makes the two changes that a worker's refusal names, and
 * asks before entries are sent that may be in Kafka already.
 * The command's one thread; a crash leaves what service/doctor says of the two changes. */
#include "bridge/service/doctor/doctor.h"
#include "admin/client/settings_sheet.h"
#include "admin/input/options.h"
#include "admin/output/findings.h"
#include "admin/output/output.h"
#include "bridge/base/text/words.h"
#include "bridge/service/plan/configure.h"

#include <inttypes.h>
#include <unistd.h>

enum change { CHANGE_NOTHING, CHANGE_CLUSTER, CHANGE_ID };

static void add_text(struct buffer *out, const struct json_doc *doc, uint32_t object,
                     const char *key) {
  struct buffer text = {0};
  answer_text(doc, object, key, &text);
  text_printable(out, buffer_span(&text));
  buffer_release(&text);
}

/* ---- what it does ---- */

static void print_change(struct admin *a, const struct json_doc *doc, enum change change) {
  struct buffer *out = &a->out;
  buffer_add_z(out, "The outbox ");
  add_text(out, doc, 0, "outbox");
  buffer_add_z(out, change == CHANGE_ID ? " has the id " : " belongs to the cluster ");
  add_text(out, doc, 0, change == CHANGE_ID ? "id" : "cluster");
  if (answer_node(doc, 0, "was") != JSON_NONE &&
      doc->nodes[answer_node(doc, 0, "was")].type == JSON_STRING) {
    buffer_add_z(out, " now; it was ");
    add_text(out, doc, 0, "was");
  }
  buffer_add_char(out, '\n');
}

/* ---- a new id: what was found, and the question ---- */

#define SHOWN 20

static void add_found(struct buffer *out, const struct json_doc *doc, const char *key,
                      const char *what) {
  char number[NUMBER_TEXT];
  buffer_printf(out, "  %8s  %s\n", number_text((uint64_t)answer_int(doc, 0, key, 0), number),
                what);
}

static void add_topics(struct buffer *out, const struct json_doc *doc) {
  uint32_t list = answer_node(doc, 0, "topics"), node = JSON_NONE;
  while (list != JSON_NONE && answer_each(doc, list, &node)) {
    buffer_add_z(out, "  ");
    add_text(out, doc, node, "topic");
    buffer_add_z(out, " tells ");
    if (doc->nodes[answer_node(doc, node, "tells_from")].type == JSON_STRING) {
      buffer_add_z(out, "from ");
      add_text(out, doc, node, "tells_from");
      buffer_add_z(out, " on; ");
    }
    add_text(out, doc, node, "why");
    buffer_add_char(out, '\n');
  }
}

static void add_unknown(struct buffer *out, const struct json_doc *doc) {
  uint32_t list = answer_node(doc, 0, "unknown_entries"), node = JSON_NONE;
  int64_t left = answer_int(doc, 0, "unknown", 0);
  for (int shown = 0; shown < SHOWN && left && answer_each(doc, list, &node); shown++, left--) {
    buffer_add_z(out, "    ");
    add_text(out, doc, node, "file");
    buffer_add_z(out, "  ");
    add_text(out, doc, node, "name");
    buffer_add_z(out, "  ");
    add_text(out, doc, node, "created_at");
    buffer_add_char(out, '\n');
  }
  if (left)
    buffer_printf(out, "    and %" PRId64 " more; -o json lists up to %d\n", left, NEW_ID_SHOWN);
}

static void print_examined(struct buffer *out, const struct json_doc *doc, bool beside) {
  add_found(out, doc, "pending", "pending entries");
  add_found(out, doc, "published",
            "of them were published, as topics or Redis tell: taken out, not sent");
  add_found(out, doc, "fresh", "were not, and stay pending");
  add_found(out, doc, "unknown",
            beside ? "are not published yet; the original sends them too"
                   : "may have been: they are older than what the topics can tell");
  if (answer_int(doc, 0, "dead_published", 0))
    add_found(out, doc, "dead_published",
              "dead letters were replayed and published since: purge them");
  if (answer_int(doc, 0, "pending", 0)) add_topics(out, doc);
  buffer_add_z(out, "  Redis: ");
  add_text(out, doc, 0, "redis");
  buffer_add_char(out, '\n');
  add_unknown(out, doc);
}

/* The count that was typed, 0: none. */
static uint64_t typed_count(uint64_t wanted) {
  char line[64] = "";
  uint64_t n = 0;
  FILE *tty = isatty(STDERR_FILENO) ? fopen("/dev/tty", "re") : NULL;
  if (!tty) return 0;
  fprintf(stderr, "Type %" PRIu64 " to send them, anything else to leave all as it is: ", wanted);
  bool right = fgets(line, sizeof line, tty) &&
               number_parse(span_trim(span_of(line)), UINT64_MAX, &n) && n == wanted;
  fclose(tty);
  return right ? n : 0;
}

/* Nothing was changed: what the question is, and how it is answered. True: it was, in how. */
static bool ask_to_send(struct admin *a, const struct json_doc *doc, struct new_id *how) {
  struct buffer text = {0};
  uint64_t unknown = (uint64_t)answer_int(doc, 0, "unknown", 0);
  print_examined(&text, doc, how->beside);
  fwrite(text.ptr, 1, text.failed ? 0 : text.len, stderr);
  buffer_release(&text);
  how->send = how->send ? 0 : typed_count(unknown);
  if (how->send) return true;
  complain(a,
           "nothing was changed. %" PRIu64
           " entries would be sent of which nobody can tell whether they were published. Move away "
           "those that are not to be sent; if these all are: busbridge doctor --new-id%s "
           "--send %" PRIu64,
           unknown, how->beside ? " --beside" : "", unknown);
  return false;
}

static int new_id(struct admin *a, const struct doctor_request *request, struct new_id *how,
                  bool as_json) {
  struct error err = {0};
  struct buffer json = {0};
  struct json_doc doc = {0};
  int code = CODE_FAILURE;
  for (;;) {
    buffer_clear(&json);
    enum status st = doctor_new_id(request, how, &json, &err);
    if (st == ST_NOT_FOUND) err.status = ST_IO;
    if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
    if (st != ST_OK) code = fail(a, &err);
    bool changed = st == ST_OK && answer_bool(&doc, 0, "changed");
    if (changed) code = CODE_OK;
    if (changed && !as_json) {
      print_examined(&a->out, &doc, how->beside);
      print_change(a, &doc, CHANGE_ID);
    }
    if (st == ST_OK && as_json) output_json(&doc, 0, &a->out);
    if (st != ST_OK || changed || as_json || !ask_to_send(a, &doc, how)) break;
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

/* ---- all of it ---- */

/* A running worker has read its settings elsewhere, or before they were changed. */
static void tell_differences(struct admin *a) {
  struct settings_sheet worker = {0};
  if (settings_sheet_remote(a, &worker)) settings_sheet_compare(a, &worker, NULL);
  settings_sheet_release(&worker);
}

static enum status ask_doctor(const struct doctor_request *request, enum change change,
                              struct buffer *json, struct error *err) {
  return change == CHANGE_CLUSTER ? doctor_accept_cluster(request, json, err)
                                  : doctor_run(request, json, err);
}

static int doctor(struct admin *a, enum change change, struct new_id *how, bool as_json) {
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
  if (change == CHANGE_ID) return new_id(a, &request, how, as_json);
  enum status st = ask_doctor(&request, change, &json, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st != ST_OK) {
    code = fail(a, &err);
  } else if (change == CHANGE_NOTHING) {
    code = findings_print(a, &doc, as_json);
    if (admin_flush(a) == CODE_OK && a->settings) tell_differences(a);
  } else if (as_json) {
    output_json(&doc, 0, &a->out);
  } else {
    print_change(a, &doc, change);
  }
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

static int run_doctor(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool cluster = false, id = false;
  struct new_id how = {0};
  const struct option_row rows[] = {
      {"accept-cluster", 0, OPTION_FLAG, &cluster, NULL,
       "the outbox belongs to the Kafka cluster now reached"},
      {"new-id", 0, OPTION_FLAG, &id, NULL,
       "the outbox, restored or copied, gets an id of its own"},
      {"beside", 0, OPTION_FLAG, &how.beside, NULL,
       "with --new-id: it is a copy, and its original goes on"},
      {"send", 0, OPTION_NUMBER, &how.send, "N",
       "with --new-id: so many, whose fate nobody knows, are sent"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  if (cluster && id) {
    complain(a, "--accept-cluster and --new-id cannot be combined");
    return CODE_USAGE;
  }
  if ((how.beside || how.send) && !id) {
    complain(a, "--beside and --send go with --new-id");
    return CODE_USAGE;
  }
  return doctor(a,
                cluster ? CHANGE_CLUSTER
                : id    ? CHANGE_ID
                        : CHANGE_NOTHING,
                &how, strcmp(format, "json") == 0);
}

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "[--accept-cluster | --new-id [--beside] [--send N]]",
    .summary = "is everything there that a worker needs? and what to do where it is not",
    .examples =
        "  busbridge doctor                      settings, outbox, Redis, clocks, broker, topics, "
        "rights\n"
        "  busbridge doctor -o json\n"
        "  busbridge doctor --accept-cluster     the outbox moves to another Kafka cluster\n"
        "  busbridge doctor --new-id             after restoring an outbox from a backup\n"
        "  busbridge doctor --new-id --beside    this one is a copy, the original goes on\n",
    .description =
        "Examines each thing and says what to do about it; changes nothing, and works beside a "
        "running worker. Exit 0 all\n"
        "well or warnings only, 1 something failed, 75 nothing but the broker, which does not "
        "answer. The two changes are\n"
        "those that a worker's refusal names; they are refused while a worker runs.",
    .run = run_doctor,
    .usage_code = CODE_USAGE,
};
