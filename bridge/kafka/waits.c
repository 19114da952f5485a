/* A timed wait of librdkafka lasts as long as it was meant to, whatever becomes of the wall clock.
 *
 * librdkafka waits by C11's cnd_timedwait until a moment of the wall clock: "in 100 ms" becomes an
 * hour when the clock is set back by one meanwhile, for its own threads as for every call of ours
 * that is in it (librdkafka#2145). This definition, which the program exports, comes before
 * glibc's: it waits as long on the monotonic clock. Nothing has to be noticed and no producer to be
 * made anew, so what was handed over stays where it is.
 * A crash leaves nothing. */
#include "bridge/base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <threads.h>
#include <time.h>

/* glibc's own cnd_timedwait takes it for one. */
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a cnd_t holds a pthread condition");
_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mtx_t holds a pthread mutex");

#define SECOND_NS INT64_C(1000000000)

/* The wait of this thread: one that was woken for nothing goes on with the same moment, which
 * counts from where it began. */
static _Thread_local struct {
  struct timespec until;
  int64_t end_ns;
} wait;

/* "Now" from where librdkafka took it when it chose the moment. */
static int64_t left_ns(const struct timespec *until) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (until->tv_sec - now.tv_sec) * SECOND_NS + (until->tv_nsec - now.tv_nsec);
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
  if (until->tv_sec != wait.until.tv_sec || until->tv_nsec != wait.until.tv_nsec) {
    wait.until = *until;
    wait.end_ns = clock_mono_ns(&clock_system) + left_ns(until);
  }
  int64_t end_ns = wait.end_ns > 0 ? wait.end_ns : 0;
  struct timespec end = {end_ns / SECOND_NS, end_ns % SECOND_NS};
  switch (pthread_cond_clockwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, CLOCK_MONOTONIC,
                                 &end)) {
  case 0: return thrd_success;
  case ETIMEDOUT: return thrd_timedout;
  default: return thrd_error;
  }
}
