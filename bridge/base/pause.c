/* Sleeps on the monotonic clock, looking every 20 ms whether to stop. */
#include "bridge/base/pause.h"

#include <time.h>

enum { LOOK_MS = 20 };

bool stop_asked(const struct stop *stop) {
  return stop && stop->asked && stop->asked(stop->ctx);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

bool pause_ms(int64_t ms, const struct stop *stop) {
  int64_t until = now_ns() + ms * 1000000;
  for (int64_t now; !stop_asked(stop);) {
    if ((now = now_ns()) >= until) return true;
    int64_t next = stop && now + LOOK_MS * 1000000 < until ? now + LOOK_MS * 1000000 : until;
    struct timespec at = {next / 1000000000, next % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at,
                    NULL); /* cut short by a signal: another round */
  }
  return false;
}
