/* Blocks the signals in all threads and takes them by sigtimedwait. Before the start, and again
 * once it is stopping, a handler ends the process at once.
 * A crash leaves nothing. */
#include "worker/signals.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static void ours(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGTERM);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGHUP);
}

void signals_block(void) {
  sigset_t set;
  ours(&set);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
  signal(SIGXFSZ, SIG_IGN); /* a file at the limit of its size is an error of its write, EFBIG */
}

/* Nothing has begun: it stops as asked. */
static void end(int sig) {
  (void)sig;
  _exit(0);
}

static void end_by(void (*handler)(int)) {
  sigset_t set;
  struct sigaction action = {.sa_handler = handler};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void signals_early(void) {
  end_by(end);
}

int signals_wait(int timeout_ms) {
  sigset_t set;
  ours(&set);
  struct timespec wait = {timeout_ms / 1000, (timeout_ms % 1000) * 1000000L};
  int got = sigtimedwait(&set, NULL, &wait);
  return got > 0 ? got : 0;
}

/* What was not acknowledged stays pending: leaving is always safe. */
static void leave(int sig) {
  _exit(128 + sig);
}

void signals_last(void) {
  end_by(leave);
}
