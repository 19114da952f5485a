/* Sleeps on the monotonic clock, looking every 20 ms whether to stop.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/stop.h"

#include "bridge/base/thread.h"

enum { LOOK_MS = 20 };

bool stop_asked(const struct stop *stop) {
  return stop && stop->asked && stop->asked(stop->ctx);
}

bool sleep_ms(int64_t ms, const struct stop *stop) {
  int64_t until = thread_now_ns() + ms * 1000000;
  for (int64_t now; !stop_asked(stop);) {
    if ((now = thread_now_ns()) >= until) return true;
    thread_sleep_until(stop && now + LOOK_MS * 1000000 < until ? now + LOOK_MS * 1000000 : until);
  }
  return false;
}
