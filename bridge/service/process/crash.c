/* The signal handler: marks the entry in hand, writes one line, and lets the signal end the
 * process. On the thread that crashed; async-signal-safe calls only. The mark in .busbridge/hands
 * is all that lasts. */
#include "bridge/service/process/crash.h"

#include "bridge/base/text/escape.h"
#include "bridge/base/thread.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const struct {
  int number;
  const char *name;
} signals[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGABRT, "SIGABRT"}};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

/* ---- in the handler: async-signal-safe calls only ---- */

struct line {
  char text[1400]; /* a name of 255 bytes, each as \xNN, and the words around it */
  size_t len;
};

static void add_char(struct line *l, char c) {
  if (l->len < sizeof l->text) l->text[l->len++] = c;
}

static void add_text(struct line *l, const char *z) {
  while (*z) add_char(l, *z++);
}

/* A name is data: it moves no cursor. */
static void add_name(struct line *l, const char *name) {
  for (; *name; name++) {
    unsigned char c = (unsigned char)*name;
    if (c >= 0x20 && c < 0x7f) {
      add_char(l, *name);
      continue;
    }
    add_text(l, "\\x");
    add_char(l, hex_digit(c >> 4));
    add_char(l, hex_digit(c));
  }
}

static void say_crash(int number, const struct crash_mark *mark) {
  struct line l = {.len = 0};
  add_text(&l, "busbridge-worker: crashed (");
  for (int i = 0; i < SIGNALS; i++)
    if (signals[i].number == number) add_text(&l, signals[i].name);
  if (mark) {
    add_text(&l, ") while working on ");
    add_name(&l, mark->token);
    add_text(&l, mark->times == 1 ? "; it is tried once more, alone\n"
                                  : "; it did so before, and becomes a dead letter\n");
  } else {
    add_text(&l, "), not while working on an entry\n");
  }
  struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
  ssize_t written =
      thread_poll(&p, 1, 0) > 0 && p.revents & POLLOUT ? write(STDERR_FILENO, l.text, l.len) : 0;
  (void)written; /* where nobody reads there is nobody to tell */
}

static bool by_this_thread(const siginfo_t *info) {
  return info->si_code > 0 || (info->si_code == SI_TKILL && info->si_pid == getpid());
}

/* The default action is set only after the mark: a second thread that crashes meanwhile comes here
 * too. */
static void on_crash(int number, siginfo_t *info, void *context) {
  (void)context;
  struct sigaction action = {.sa_handler = SIG_DFL};
  if (by_this_thread(info)) say_crash(number, crash_marks_add());
  sigaction(number, &action, NULL);
  raise(number); /* it waits until this handler returns: the core shows the place of the crash */
}

/* ---- */

enum status crash_install(struct error *err) {
  struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < SIGNALS; i++) sigaddset(&action.sa_mask, signals[i].number);
  for (int i = 0; i < SIGNALS; i++)
    if (sigaction(signals[i].number, &action, NULL) < 0)
      return error_sys(err, errno, "installing the handler of %s", signals[i].name);
  return ST_OK;
}
