/* busbridge, the operator's command: the table of commands, and the one place that checks that stdout was really
 * written. */
#include "admin/admin.h"

#include "admin/options.h"
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
};
#define COMMANDS (sizeof commands / sizeof *commands)

/* ---- messages --------------------------------------------------------------------------------------------------- */

PRINTF_LIKE(3, 0)
static void message(const struct admin *a, bool red, const char *fmt, va_list args) {
  char text[1024];
  struct buffer line = {0};
  vsnprintf(text, sizeof text, fmt, args);
  if (red && a->color_err) buffer_add_z(&line, "\x1b[31m");
  buffer_add_z(&line, "busbridge: ");
  text_printable(&line, span_of(text));
  if (red && a->color_err) buffer_add_z(&line, "\x1b[0m");
  buffer_add_char(&line, '\n');
  fwrite(line.ptr, 1, line.failed ? 0 : line.len, stderr);
  buffer_release(&line);
}

void complain(const struct admin *a, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  message(a, true, fmt, args);
  va_end(args);
}

void note(const struct admin *a, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  message(a, false, fmt, args);
  va_end(args);
}

int code_of(enum status st) {
  switch (st) {
  case ST_OK:
  case ST_AGAIN:
  case ST_END: return CODE_OK;
  case ST_INVALID: return CODE_USAGE;
  case ST_NOT_FOUND: return CODE_NOTHING;
  case ST_BUSY:
  case ST_UNAVAILABLE: return CODE_BUSY;
  case ST_CANCELLED: return CODE_INTERRUPTED;
  case ST_EXISTS:
  case ST_TOO_LARGE:
  case ST_DENIED:
  case ST_NO_SPACE:
  case ST_IO:
  case ST_NO_MEMORY:
  case ST_UNSUPPORTED: break;
  }
  return CODE_FAILURE;
}

int fail(const struct admin *a, const struct error *err) {
  complain(a, "%s", err->text);
  return code_of(err->status);
}

/* ---- stdout ----------------------------------------------------------------------------------------------------- */

/* A reader that went away (busbridge list | head) ends us as it would any other program. */
static void end_by_pipe(void) {
  signal(SIGPIPE, SIG_DFL);
  raise(SIGPIPE);
}

int admin_flush(struct admin *a) {
  struct error err = {0};
  if (a->unwritten) return a->deed[0] ? CODE_OK : CODE_FAILURE;
  if (buffer_status(&a->out, &err) != ST_OK) return fail(a, &err);
  size_t done = 0;
  while (done < a->out.len) {
    ssize_t n = write(STDOUT_FILENO, a->out.ptr + done, a->out.len - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE && !a->deed[0]) end_by_pipe();
    if (n < 0) {
      complain(a, "Writing to standard output: %s%s%s", strerror(errno), a->deed[0] ? "; " : "", a->deed);
      a->unwritten = true;
      return a->deed[0] ? CODE_OK : CODE_FAILURE;
    }
    done += (size_t)n;
  }
  buffer_clear(&a->out);
  return CODE_OK;
}

/* ---- signals ---------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupt_count, in_loop;
static void (*volatile restore)(void);

/* Outside of loops that look at interrupts() nothing is lost by leaving at once. */
static void on_interrupt(int signal_number) {
  (void)signal_number;
  if (in_loop && ++interrupt_count <= 2) return;
  if (restore) restore();
  _exit(CODE_INTERRUPTED);
}

int interrupts(void) {
  return interrupt_count;
}

void interrupts_counted(void) {
  in_loop = 1;
}

void interrupts_end_by(void (*last)(void)) {
  restore = last;
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = on_interrupt};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
  signal(SIGXFSZ, SIG_IGN); /* a file at the limit of its size is an error of its write, EFBIG */
}

/* ---- settings and appearance ---- */

static void choose_appearance(struct admin *a) {
  const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
  bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
  bool automatic = !dumb && (!no_color || !*no_color), always = strcmp(a->color, "always") == 0;
  bool never = strcmp(a->color, "never") == 0;
  a->interactive = isatty(STDERR_FILENO) && !dumb;
  a->color_out = always || (!never && automatic && isatty(STDOUT_FILENO));
  a->color_err = always || (!never && automatic && isatty(STDERR_FILENO));
}

/* Without a UTF-8 locale Japanese names would be shown as escapes. Numbers stay in the C locale. */
static void choose_locale(void) {
  setlocale(LC_CTYPE, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

static enum status open_log(struct admin *a, struct error *err) {
  const char *format = setting_text(a->settings, SETTING_LOG_FORMAT);
  const char *level = setting_text(a->settings, SETTING_LOG_LEVEL);
  enum log_format f = strcmp(format, "json") == 0 ? LOG_JSON : strcmp(format, "logfmt") == 0 ? LOG_LOGFMT : LOG_AUTO;
  enum log_level l = strcmp(level, "debug") == 0 ? LOG_DEBUG : LOG_INFO;
  /* What a command has to say it says itself; the log of the parts is for those who ask. */
  if (!a->verbose) l = LOG_ERROR;
  return log_open(STDERR_FILENO, f, l, a->clock, &a->log) == ST_OK ? ST_OK
                                                                   : error_set(err, ST_NO_MEMORY, "Out of memory");
}

bool admin_settings(struct admin *a, struct error *err) {
  struct buffer warnings = {0};
  struct configure from = {
      .file = a->config, .environment = a->environment, .overrides = a->overrides, .override_count = a->override_count};
  choose_appearance(a);
  enum status st = configure_load(&from, &a->settings, &warnings, err);
  if (st == ST_NOT_FOUND || st == ST_DENIED)
    err->status = ST_INVALID; /* of the file: wrong usage, not an empty answer */
  if (st == ST_OK) st = open_log(a, err);
  if (warnings.len > 0) {
    struct span text = span_trim(buffer_span(&warnings));
    for (const char *line = text.ptr, *end = text.ptr + text.len; line < end;) {
      const char *stop = memchr(line, '\n', (size_t)(end - line));
      if (!stop) stop = end;
      note(a, "warning: %.*s", (int)(stop - line), line);
      line = stop + 1;
    }
  }
  buffer_release(&warnings);
  return st == ST_OK;
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
  for (size_t i = 0; i < COMMANDS; i++) buffer_printf(out, "  %-10s  %s\n", commands[i]->name, commands[i]->summary);
  buffer_add_z(out, "\nbusbridge COMMAND --help tells about one. Options of every command:\n");
  options_lines(NULL, 0, out);
  buffer_add_z(out, "      --version              the release\n"
                    "\nExit codes: 0 ok, 1 failure, 2 usage or settings, 3 nothing matched, 4 partly done, 75 busy or "
                    "unreachable, 130 interrupted;\nhealth alone: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. Manual: "
                    "busbridge(1), busbridge.conf(5).\n");
}

const struct command *command_at(size_t i) {
  return i < COMMANDS ? commands[i] : NULL;
}

const struct command *command_find(const char *name) {
  for (size_t i = 0; i < COMMANDS; i++)
    if (strcmp(name, commands[i]->name) == 0) return commands[i];
  return NULL;
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
  if (argc > 1 && strcmp(argv[0], "help") == 0 && command_find(argv[1])) {
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
  const struct command *command = command_find(argv[0]);
  if (!command) return unknown(a, argv[0]);
  return command->run(a, command, argc - 1, argv + 1);
}

static int run(struct admin *a, int argc, char **argv) {
  struct error err = {0};
  bool version = false;
  int at = 0;
  const struct option_row rows[] = {{"version", 0, OPTION_FLAG, &version, NULL, "the release"}};
  enum status st = options_parse(a, rows, 1, argc, argv, true, &at, &err);
  choose_appearance(a);
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
  struct admin a = {
      .caller = {getuid()}, .color = "auto", .clock = &clock_system, .environment = (const char *const *)environ};
  log_hold_descriptors();
  choose_locale();
  catch_signals();
  int code = run(&a, argc - 1, argv + 1);
  int written = admin_flush(&a);
  release(&a);
  return written != CODE_OK ? written : code;
}
