/* busbridge, the operator's command: the table of commands, and the one place that checks that
 * stdout was really written.
 * The command's one thread; a crash leaves nothing. */
#include "admin/admin.h"

#include "admin/input/options.h"
#include "bridge/service/plan/configure.h"

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

/* Without a UTF-8 locale Japanese names would be shown as escapes. Numbers stay in the C locale. */
static void choose_locale(void) {
  setlocale(LC_CTYPE, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

static void release_all(struct admin *a) {
  log_close(a->log);
  settings_free(a->settings);
  buffer_release(&a->out);
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
    commands_help(a);
    if (argc > 0) return CODE_OK;
    fwrite(a->out.ptr, 1, a->out.len, stderr);
    buffer_clear(&a->out);
    return CODE_USAGE;
  }
  const struct command *command = command_find(a, argv[0]);
  if (!command) return command_unknown(a, argv[0]);
  return command->run(a, command, argc - 1, argv + 1);
}

static int run_line(struct admin *a, int argc, char **argv) {
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
    commands_help(a);
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
  int code = run_line(&a, argc - 1, argv + 1);
  int written = admin_flush(&a);
  release_all(&a);
  return written != CODE_OK ? written : code;
}
