/* busbridge outbox: makes an outbox ready to be opened, or brings it to this release. No worker and
 * no other command ever does that by itself.
 * The command's one thread; a crash leaves it as it was, or ready (bridge/outbox/prepare.h). */
#include "admin/client/answer.h"
#include "admin/input/options.h"
#include "admin/output/output.h"
#include "bridge/service/service.h"

/* stdout has the steps, and nothing else, so that they can be given to somebody who may run them.
 */
static void report(struct admin *a, const struct json_doc *doc) {
  struct buffer outbox = {0}, steps = {0};
  bool dry_run = answer_bool(doc, 0, "dry_run");
  int64_t from = answer_int(doc, 0, "from", 0), to = answer_int(doc, 0, "to", 0);
  char versions[80] = "";
  answer_text(doc, 0, "outbox", &outbox);
  answer_text(doc, 0, "steps", &steps);
  if (to && from) snprintf(versions, sizeof versions, ", version %lld", (long long)to);
  if (to && from != to)
    snprintf(versions, sizeof versions, ", version %lld to %lld", (long long)from, (long long)to);
  if (dry_run) buffer_add(&a->out, buffer_span(&steps));
  if (!steps.len)
    note(a, "%s is ready%s; nothing to do", buffer_z(&outbox), versions);
  else if (dry_run)
    note(a, "%s%s: the steps above would be taken; nothing was changed", buffer_z(&outbox),
         versions);
  else
    buffer_printf(&a->out, "%s is ready%s\n", buffer_z(&outbox), versions);
  buffer_release(&outbox);
  buffer_release(&steps);
}

static int prepare(struct admin *a, const struct prepare_request *request, bool as_json) {
  struct error err = {0};
  struct buffer json = {0};
  struct json_doc doc = {0};
  int code = CODE_OK;
  enum status st = service_prepare(request, &json, &err);
  if (st == ST_NOT_FOUND) err.status = ST_IO; /* no outbox is a failure */
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  if (st == ST_OK && !request->dry_run)
    snprintf(a->deed, sizeof a->deed, "the outbox is ready all the same");
  if (st != ST_OK)
    code = fail(a, &err);
  else if (as_json)
    output_json(&doc, 0, &a->out);
  else
    report(a, &doc);
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

static int run_outbox(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool dry_run = false;
  const struct option_row rows[] = {
      {"dry-run", 0, OPTION_FLAG, &dry_run, NULL, "print the steps (SQL) and change nothing"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  struct error err = {0};
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 1, 1, &words, &code))
    return code;
  bool migrate = strcmp(argv[0], "migrate") == 0;
  if (!migrate && strcmp(argv[0], "init") != 0) {
    complain(a, "There is no \"outbox %.40s\": init, or migrate; see: busbridge outbox --help",
             argv[0]);
    return CODE_USAGE;
  }
  if (!admin_settings(a, &err)) return fail(a, &err);
  const struct prepare_request request = {
      .settings = a->settings, .clock = a->clock, .migrate = migrate, .dry_run = dry_run};
  return prepare(a, &request, strcmp(format, "json") == 0);
}

const struct command command_outbox = {
    .name = "outbox",
    .words = "init|migrate",
    .arguments = "init|migrate [--dry-run]",
    .summary = "make an outbox ready, or bring its tables to this release",
    .examples =
        "  busbridge outbox init --dry-run       the SQL that would be run, for whoever may run "
        "it\n"
        "  busbridge outbox init                 makes what outbox.url names: tables, or the "
        "folder\n"
        "  busbridge outbox migrate              after an update: brings the tables to this "
        "release\n",
    .description =
        "Neither a worker nor another command changes tables by itself: they say which of these "
        "is missing. Done twice, both\n"
        "do nothing. What a newer release made is refused, with both versions. Where a worker "
        "runs, stop it before migrate.",
    .run = run_outbox,
    .usage_code = CODE_USAGE,
};
