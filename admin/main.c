/* busbridge, the operator's command: the table of commands, and the one place that checks that
 * stdout was really written. */
#include "admin/admin.h"

#include "admin/input/options.h"
#include "bridge/base/words.h"
#include "bridge/service/configure.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

extern char **environ;

static const struct command *const commands[] = {
#define X(name) &command_##name,
    COMMAND_TABLE(X)
#undef X
        NULL};
#define COMMANDS (sizeof commands / sizeof *commands - 1)

/* Without a UTF-8 locale Japanese names would be shown as escapes. Numbers stay in the C locale. */
static void choose_locale(void) {
  setlocale(LC_CTYPE, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

static void release(struct admin *a) {
  log_close(a->log);
  settings_free(a->settings);
  buffer_release(&a->out);
}

/* ---- which command ---- */

static void help(struct buffer *out) {
  buffer_add_z(out, "Examples:\n"
                    "  busbridge health                      is everything moving?\n"
                    "  busbridge list --type dlq             what was set aside, and why\n"
                    "  busbridge replay 3f2b8c1e             send a dead letter again\n"
                    "  busbridge flush --limit 0             relay everything now\n"
                    "  busbridge tail episode.events -n 5    records as Kafka has them\n"
                    "  busbridge doctor                      is all there that a worker needs?\n"
                    "  busbridge verify                      do outbox, Kafka and Redis agree?\n"
                    "\nUsage: busbridge [bus] [OPTION]... COMMAND [ARGUMENT]...\n\nCommands:\n");
  for (size_t i = 0; i < COMMANDS; i++)
    buffer_printf(out, "  %-10s  %s\n", commands[i]->name, commands[i]->summary);
  buffer_add_z(out, "\nbusbridge COMMAND --help tells about one. Options of every command:\n");
  options_lines(NULL, 0, out);
  buffer_add_z(
      out,
      "      --version              the release\n"
      "\nExit codes: 0 ok, 1 failure, 2 usage or settings, 3 nothing matched, 4 partly done, 75 busy or "
      "unreachable, 130 interrupted;\nhealth alone: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Manual: "
      "busbridge(1), busbridge.conf(5).\n");
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

static int unknown(const struct admin *a, const char *word) {
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) names[i] = commands[i]->name;
  const char *near = meant_by(word);
  if (!near) near = word_nearest(word, names, COMMANDS);
  if (near) {
    complain(a, "There is no command %s; did you mean %s?", word, near);
  } else {
    complain(a, "There is no command %s; see: busbridge --help", word);
  }
  return CODE_USAGE;
}

static int run_command(struct admin *a, int argc, char **argv) {
  if (argc > 0 && strcmp(argv[0], "bus") == 0) {
    argc--;
    argv++;
  }
  if (argc > 1 && strcmp(argv[0], "help") == 0 && command_find(a, argv[1])) {
    a->help = true;
    argc--;
    argv++;
  }
  if (argc == 0 || strcmp(argv[0], "help") == 0) {
    help(&a->out);
    if (argc > 0) return CODE_OK;
    fwrite(a->out.ptr, 1, a->out.len, stderr);
    buffer_clear(&a->out);
    return CODE_USAGE;
  }
  const struct command *command = command_find(a, argv[0]);
  if (!command) return unknown(a, argv[0]);
  return command->run(a, command, argc - 1, argv + 1);
}

static int run(struct admin *a, int argc, char **argv) {
  struct error err = {0};
  bool version = false;
  int at = 0;
  const struct option_row rows[] = {{"version", 0, OPTION_FLAG, &version, NULL, "the release"}};
  enum status st = options_parse(a, rows, 1, argc, argv, true, &at, &err);
  admin_appearance(a);
  if (st != ST_OK) {
    complain(a, "%s", err.text);
    return CODE_USAGE;
  }
  if (version) {
    buffer_add_z(&a->out, "busbridge " BUSBRIDGE_VERSION "\n");
    return CODE_OK;
  }
  if (a->help && at == argc) {
    help(&a->out);
    return CODE_OK;
  }
  return run_command(a, argc - at, argv + at);
}

int main(int argc, char **argv) {
  struct admin a = {.commands = commands,
                    .caller = {getuid()},
                    .color = "auto",
                    .clock = &clock_system,
                    .environment = (const char *const *)environ};
  log_hold_descriptors();
  choose_locale();
  interrupts_catch();
  int code = run(&a, argc - 1, argv + 1);
  int written = admin_flush(&a);
  release(&a);
  return written != CODE_OK ? written : code;
}
