/* busbridge verify: runs the comparison under a progress bar and prints the findings.
 * The command's one thread; a crash leaves nothing. */
#include "bridge/service/verify/verify.h"
#include "admin/input/options.h"
#include "admin/output/findings.h"
#include "bridge/base/progress.h"

#include <unistd.h>

#define SAMPLE 1000
#define SAMPLE_MAX 1000000000

static void show_progress(void *ctx, uint64_t done, uint64_t total) {
  progress_show(ctx, done, total);
}

static int verify(struct admin *a, bool full, uint64_t sample, bool as_json) {
  struct error err = {0};
  struct buffer json = {0};
  struct json_doc doc = {0};
  struct progress bar;
  if (!admin_settings(a, &err)) return fail(a, &err);
  if (a->interactive) note(a, "comparing ledger, outbox, Redis and topics");
  progress_init(&bar, STDERR_FILENO, a->interactive, "records read", a->clock);
  struct verify_request request = {.settings = a->settings,
                                   .log = a->log,
                                   .clock = a->clock,
                                   .full = full,
                                   .sample = sample,
                                   .progress = show_progress,
                                   .progress_ctx = &bar};
  enum status st = verify_run(&request, &json, &err);
  progress_end(&bar);
  if (st == ST_NOT_FOUND) err.status = ST_IO;
  if (st == ST_OK) st = answer_scan(&doc, buffer_span(&json), &err);
  int code = st == ST_OK ? findings_print(a, &doc, as_json) : fail(a, &err);
  json_doc_release(&doc);
  buffer_release(&json);
  return code;
}

static int run_verify(struct admin *a, const struct command *self, int argc, char **argv) {
  const char *format = "table";
  bool full = false;
  uint64_t sample = SAMPLE;
  const struct option_row rows[] = {
      {"full", 0, OPTION_FLAG, &full, NULL, "read the topics and the outbox whole"},
      {"sample", 0, OPTION_NUMBER, &sample, "N",
       "else the last N records of each partition (1000)"},
      {"output", 'o', OPTION_CHOICE, &format, "table|json", "form of the answer (table)"},
      {"format", 0, OPTION_CHOICE, &format, "table|json", "the older spelling of --output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 0, &words, &code))
    return code;
  if (sample > SAMPLE_MAX) sample = SAMPLE_MAX;
  return verify(a, full, sample, strcmp(format, "json") == 0);
}

const struct command command_verify = {
    .name = "verify",
    .arguments = "[--full | --sample N]",
    .summary = "do ledger, outbox, Redis and topics agree? does the account balance?",
    .examples = "  busbridge verify                      the last records of each topic\n"
                "  busbridge verify --full               all of them; reads the topics whole\n"
                "  busbridge verify -o json\n",
    .description =
        "Compares what Kafka, the outbox, Redis and the figures say of the same events, and says "
        "what to do where they do\n"
        "not agree; changes nothing, and works beside a running worker: what looks wrong is "
        "looked at twice. Exit 0 all\n"
        "agrees or warnings only, 1 something does not, 75 nothing but Kafka or Redis, which does "
        "not answer.",
    .run = run_verify,
    .usage_code = CODE_USAGE,
};
