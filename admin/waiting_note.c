/* Says "reading the outbox ..." after 80 ms, from the handler of a timer's signal, and wipes it
 * when the answer comes.
 * The handler and the command's one thread; a crash leaves at most the note on the screen. */
#include "admin/admin.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#define SHOWN_AFTER_US 80000

static volatile sig_atomic_t shown;

/* Signal-safe: one write. It comes at most once for each patience_begin. */
static void show_note(int signal_number) {
  static const char line[] = "reading the outbox ...";
  (void)signal_number;
  shown = write(STDERR_FILENO, line, sizeof line - 1) > 0;
}

static void arm(long us) {
  struct itimerval timer = {.it_value.tv_usec = us};
  setitimer(ITIMER_REAL, &timer, NULL);
}

void patience_begin(const struct admin *a) {
  if (!a->interactive) return;
  struct sigaction action = {.sa_handler = show_note, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGALRM, &action, NULL);
  shown = 0;
  arm(SHOWN_AFTER_US);
}

void patience_end(const struct admin *a) {
  if (!a->interactive) return;
  arm(0);
  if (shown && write(STDERR_FILENO, "\r\x1b[K", 4) < 0) return;
  shown = 0;
}
