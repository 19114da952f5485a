/* The commands as a whole: finds one by its name, tells them all, and says what a word that is none
 * may have meant.
 * The command's one thread; a crash leaves nothing. */
#include "admin/admin.h"

#include "admin/input/options.h"
#include "bridge/base/text/words.h"

#define X(name) +1
enum { COMMANDS = 0 COMMAND_TABLE(X) };
#undef X

const struct command *command_find(const struct admin *a, const char *name) {
  for (size_t i = 0; a->commands[i]; i++)
    if (strcmp(name, a->commands[i]->name) == 0) return a->commands[i];
  return NULL;
}

void commands_help(struct admin *a) {
  struct buffer *out = &a->out;
  buffer_add_z(out, "Examples:\n"
                    "  busbridge health                      is everything moving?\n"
                    "  busbridge list --type dlq             what was set aside, and why\n"
                    "  busbridge replay 3f2b8c1e             send a dead letter again\n"
                    "  busbridge flush --limit 0             relay everything now\n"
                    "  busbridge tail episode.events         the newest records as Kafka has them\n"
                    "  busbridge doctor                      is all there that a worker needs?\n"
                    "  busbridge verify                      do outbox, Kafka and Redis agree?\n"
                    "\nUsage: busbridge [bus] [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n");
  for (size_t i = 0; a->commands[i]; i++)
    buffer_printf(out, "  %-10s  %s\n", a->commands[i]->name, a->commands[i]->summary);
  buffer_add_z(out, "\nbusbridge COMMAND --help tells about one. Options of every command:\n");
  options_lines(NULL, 0, out);
  buffer_add_z(
      out,
      "      --version              the release\n"
      "\nExit codes: 0 ok, 1 failure, 2 usage or settings, 3 nothing matched, 4 partly done, 75 "
      "busy or unreachable, 130 interrupted;\nhealth alone: 0 OK, 1 WARNING, 2 CRITICAL, 3 "
      "UNKNOWN. Manual: busbridge(1), busbridge.conf(5).\n");
}

/* What other tools call it, too far from our word to be seen as a slip. */
static const char *meant_by(const char *word) {
  static const char *const guesses[][2] = {
      {"status", "health"},       {"topics", "doctor"}, {"check", "doctor"}, {"ls", "list"},
      {"dlq", "list --type dlq"}, {"cat", "show"},      {"get", "show"},     {"retry", "replay"},
      {"requeue", "replay"},      {"rm", "purge"},      {"delete", "purge"}, {"send", "emit"},
      {"stats", "metrics"},       {"stop", "pause"},    {"start", "resume"},
  };
  for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++)
    if (strcmp(word, guesses[i][0]) == 0) return guesses[i][1];
  return NULL;
}

int command_unknown(const struct admin *a, const char *word) {
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) names[i] = a->commands[i]->name;
  const char *near = meant_by(word);
  if (!near) near = word_nearest(word, names, COMMANDS);
  if (near) {
    complain(a, "There is no command %s; did you mean %s?", word, near);
  } else {
    complain(a, "There is no command %s; see: busbridge --help", word);
  }
  return CODE_USAGE;
}
