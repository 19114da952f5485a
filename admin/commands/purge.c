/* busbridge purge: its options; admin/bulk does the rest.
 * The command's one thread; a crash leaves what admin/bulk says. */
#include "admin/bulk/bulk.h"

static int run_purge(struct admin *a, const struct command *self, int argc, char **argv) {
  struct bulk b = {.admin = a, .command = self, .purge = true, .format = "table"};
  const struct option_row rows[] = {
      SELECTING_ROWS(&b.given),
      BULK_ROWS(&b),
      {"export", 0, OPTION_TEXT, &b.export_file, "FILE|-",
       "first a copy of them, one JSON object a line, in a new file or on standard output"},
  };
  int words, code;
  if (!options_take(a, self, rows, sizeof rows / sizeof *rows, argc, argv, 0, 1 << 20, &words,
                    &code))
    return code;
  return bulk_run(&b, words, argv);
}

const struct command command_purge = {
    .name = "purge",
    .words = "<dead>...",
    .arguments = "ID... | - | FILTER... | --all [--export FILE] [--yes]",
    .summary = "remove dead letters for good",
    .examples =
        "  busbridge purge --reason not_json --older-than 30d --dry-run       which would go?\n"
        "  busbridge purge --reason not_json --older-than 30d --export old.jsonl\n"
        "  busbridge purge 3f2b8c1e-7d4a-4e59-9b60-2c5d1a8f0e77 --yes         one, by its whole "
        "id\n"
        "  busbridge purge --resume 3                                         go on after Ctrl-C\n",
    .description =
        "Only dead letters, and only those that filters, ids or --all name; pending entries are "
        "never touched. What is\n"
        "meant is written down first, so that dead letters that come later stay. It asks for the "
        "count unless --yes is\n"
        "given. With --export nothing goes before its copy is safely on the disk.",
    .run = run_purge,
    .usage_code = CODE_USAGE,
};
