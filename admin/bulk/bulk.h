/* bulk.h - what `replay` and `purge` share: many dead letters, chosen by filters or ids, told first
 * and asked about, then gone through step by step with a progress bar; stopped by Ctrl-C and
 * resumed by --resume. */
#ifndef ADMIN_BULK_H
#define ADMIN_BULK_H

#include "admin/client/client.h"
#include "admin/input/options.h"
#include "admin/input/selection_options.h"

struct bulk {
  struct admin *admin;
  const struct command *command;
  bool purge;
  /* as typed */
  struct selecting given;
  bool force, all, dry_run, yes, resume, give_up;
  uint64_t rate; /* a second; 0: as fast as it goes */
  const char *format, *export_file;
};
/* clang-format off */
#define BULK_ROWS(b)                                                                              \
  {"all", 0, OPTION_FLAG, &(b)->all, NULL, "every dead letter"},                                  \
  {"dry-run", 0, OPTION_FLAG, &(b)->dry_run, NULL,                                                \
   "only tell which: how many, by topic and by reason"},                                          \
  {"yes", 'y', OPTION_FLAG, &(b)->yes, NULL, "do not ask"},                                       \
  {"rate", 0, OPTION_NUMBER, &(b)->rate, "N", "at most so many a second"},                        \
  {"resume", 0, OPTION_FLAG, &(b)->resume, NULL,                                                  \
   "go on with a selection that was stopped: its number, or the only one"},                       \
  {"give-up", 0, OPTION_FLAG, &(b)->give_up, NULL,                                                \
   "forget one; what is not done stays a dead letter"},                                           \
  {"output", 'o', OPTION_CHOICE, &(b)->format, "table|json", "form of the answer (table)"},       \
  {"format", 0, OPTION_CHOICE, &(b)->format, "table|json", "the older spelling of --output"}
/* clang-format on */

/* words: ids, "-" for more of them from standard input; with --resume and --give-up a number. The
 * exit code. */
int bulk_run(struct bulk *b, int count, char **words);

#endif
