/* Ctrl-C and SIGTERM: at once, or counted where something must be ended first.
 * A signal handler, and the command's one thread; a crash leaves nothing. */
#include "admin/admin.h"

#include <signal.h>
#include <unistd.h>

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

void interrupts_catch(void) {
  struct sigaction action = {.sa_handler = on_interrupt};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
  signal(SIGXFSZ, SIG_IGN); /* a file at the limit of its size is an error of its write, EFBIG */
}
