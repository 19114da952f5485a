/* options.h - the command line of one command from a table, and its help from the same table. */
#ifndef ADMIN_OPTIONS_H
#define ADMIN_OPTIONS_H

#include "admin/admin.h"

/* OPTION_ONCE: a text that may be given once only, since neither of two would be what was meant; of
 * the others the last one counts, so that an alias may be overruled. */
enum option_kind {
  OPTION_FLAG,
  OPTION_TEXT,
  OPTION_ONCE,
  OPTION_NUMBER,
  OPTION_CHOICE,
  OPTION_DURATION,
  OPTION_OVERRIDE
};
struct option_row {
  const char *name; /* without the dashes */
  char letter;      /* 0: none */
  enum option_kind kind;
  void *target;     /* bool *, const char **, the same, uint64_t *, const char **, int64_t * (ms),
                       struct admin * */
  const char *word; /* of the value in the help; OPTION_CHOICE: "a|b|c" */
  const char *help;
};

/* Parse argv by rows and the options every command has; words that are not options are moved to the
 * front of argv and counted in *words (stop_at_word: parsing ends at the first one, *words is its
 * index). ST_INVALID: err says what is wrong and what may have been meant. Options set a->help. */
MUST_CHECK enum status options_parse(struct admin *a, const struct option_row *rows, size_t count,
                                     int argc, char **argv, bool stop_at_word, int *words,
                                     struct error *err);
/* Usage, examples, description and options of a command. */
void options_help(const struct command *command, const struct option_row *rows, size_t count,
                  struct buffer *out);
/* The lines of options alone; rows NULL: those that every command has. */
void options_lines(const struct option_row *rows, size_t count, struct buffer *out);

/* The options that every command has; without targets. Returns how many. */
size_t options_common(struct option_row *out, size_t room);

/* For commands: parse, answer --help, refuse more or fewer than min..max words. True: go on; else
 * return *code. */
bool options_take(struct admin *a, const struct command *command, const struct option_row *rows,
                  size_t count, int argc, char **argv, int min, int max, int *words, int *code);

#endif
