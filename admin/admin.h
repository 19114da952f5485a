/* admin.h - what every command of `busbridge` gets, and what it must keep to.
 *
 * stdout is data and goes through admin->out, which messages.c writes and checks; stderr is
 * messages (complain, note). To add a command: an operation in bridge/service (it appends one JSON
 * value), a row in worker/control/control_routes.c, a call in client/client.h, a file of its name
 * in commands/ with its struct command, a row in COMMAND_TABLE, a section in busbridge.1.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "bridge/base/log.h"
#include "bridge/service/service.h"

enum code { /* exit codes; `health` alone has its own */
            CODE_OK = 0,
            CODE_FAILURE = 1,
            CODE_USAGE = 2,
            CODE_NOTHING = 3, /* nothing matched */
            CODE_PARTLY = 4,
            CODE_BUSY = 75, /* or unreachable */
            CODE_INTERRUPTED = 130
};

struct option_row;
struct admin {
  const struct command *const *commands; /* all there are, NULL behind the last */
  /* options that every command takes */
  const char *config;
  const char *overrides[64];
  size_t override_count;
  const char *worker; /* the control socket to ask; NULL: by outbox.url */
  bool verbose, help;
  const char *color; /* auto always never */
  /* made from them */
  bool color_out, color_err;
  bool interactive;     /* stderr is a terminal that can redraw a line */
  struct caller caller; /* us, for the audit log */
  const struct clock *clock;
  const char *const *environment;
  struct settings *settings;
  struct log *log;
  struct buffer out; /* what goes to stdout */
  bool unwritten;    /* stdout could not be written, and that was said */
  char deed[200];    /* what was done for good and is not a failure when it cannot be printed:
                      * repeating it would do it    twice
                      */
  /* For completion: a command tells its options and does nothing else. */
  void (*tell_rows)(void *ctx, const struct option_row *rows, size_t count);
  void *tell_ctx;
};

struct command {
  const char *name, *arguments, *summary;
  const char *words; /* for completion: a word for each place, ... behind one that may come again.
                        Alternatives are divided by |: a word, <dead> <entry> <event> <topic>
                        <setting> <file>, in front of it VERB: when it holds only behind that first
                        word. NULL: nothing is known */
  const char *examples;    /* lines; the help opens with them */
  const char *description; /* lines */
  int (*run)(struct admin *a, const struct command *self, int argc,
             char **argv); /* argv[0] is the first word after the name */
  int usage_code;          /* exit code of a wrong command line */
};
/* In the order of the help. */
#define COMMAND_TABLE(X)                                                                           \
  X(flush)                                                                                         \
  X(list)                                                                                          \
  X(show)                                                                                          \
  X(edit)                                                                                          \
  X(replay)                                                                                        \
  X(purge)                                                                                         \
  X(import)                                                                                        \
  X(pause)                                                                                         \
  X(resume)                                                                                        \
  X(health)                                                                                        \
  X(metrics)                                                                                       \
  X(top)                                                                                           \
  X(emit)                                                                                          \
  X(tail)                                                                                          \
  X(doctor)                                                                                        \
  X(outbox)                                                                                        \
  X(config)                                                                                        \
  X(route)                                                                                         \
  X(schema)                                                                                        \
  X(completion)                                                                                    \
  X(verify)
#define X(name) extern const struct command command_##name;
COMMAND_TABLE(X)
#undef X
/* help.c */
const struct command *command_find(const struct admin *a, const char *name); /* NULL: none */
int command_unknown(const struct admin *a, const char *word); /* complains; the exit code */
void commands_help(struct admin *a);                          /* of all of them, to out */

/* Read the settings and open the log. Prints what is wrong and returns false. */
bool admin_settings(struct admin *a, struct error *err);
void admin_appearance(struct admin *a); /* by options and environment; admin_settings does it too */
/* "busbridge: <text>" on stderr, in red where there is colour. */
void complain(const struct admin *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
void note(const struct admin *a, const char *fmt, ...) PRINTF_LIKE(2, 3); /* the same, no error */
/* Complain of err; the exit code that goes with its status. */
int fail(const struct admin *a, const struct error *err);
int code_of(enum status st);
/* Write admin->out to stdout and empty it; main does so at the end, others before they say
 * something about it. CODE_OK, or CODE_FAILURE when stdout cannot be written, also later on. */
int admin_flush(struct admin *a);
/* How often Ctrl-C (or SIGTERM) came since interrupts_counted; before that it ends the program at
 * once with 130. */
int interrupts(void);
void interrupts_counted(void);
void interrupts_catch(void); /* once, at the start */
/* The third one does not wait for anything: this is called before it ends the program.
 * Async-signal-safe. */
void interrupts_end_by(void (*last)(void));

/* A line on a terminal while something takes longer than a moment, taken away at the end. */
void patience_begin(const struct admin *a);
void patience_end(const struct admin *a);

#endif
