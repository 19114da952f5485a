/* A wall clock that a test sets, for a program that has this in front of its libraries
 * (LD_PRELOAD). The file named by STEPPED_CLOCK holds how far it is off, in nanoseconds, as text;
 * the file may change at any time. As with a clock that was really set, a wait until a moment of
 * the wall clock ends when the clock shows that moment; the monotonic clock goes on. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static int64_t off_ns(void) {
  char text[32] = "";
  const char *path = getenv("STEPPED_CLOCK");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return 0;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  return n > 0 ? strtoll(text, NULL, 10) : 0;
}

static struct timespec wall(void) {
  struct timespec t;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
  int64_t ns = t.tv_sec * SECOND + t.tv_nsec + off_ns();
  return (struct timespec){ns / SECOND, ns % SECOND};
}

int clock_gettime(clockid_t clock, struct timespec *out) {
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
    return (int)syscall(SYS_clock_gettime, clock, out);
  *out = wall();
  return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  (void)zone;
  struct timespec t = wall();
  *out = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
  return 0;
}

time_t time(time_t *out) {
  time_t t = wall().tv_sec;
  if (out) *out = t;
  return t;
}

int timespec_get(struct timespec *out, int base) {
  if (base != TIME_UTC) return 0;
  *out = wall();
  return base;
}

/* The kernel would wake it when the clock is set; here it looks again and again. */
int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                  const struct timespec *restrict until) {
  for (;;) {
    struct timespec now = wall(), slice;
    if (now.tv_sec > until->tv_sec ||
        (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
      return thrd_timedout;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &slice);
    int64_t end = slice.tv_sec * SECOND + slice.tv_nsec + 2 * SECOND / 1000;
    slice = (struct timespec){end / SECOND, end % SECOND};
    if (pthread_cond_clockwait((pthread_cond_t *)cond, (pthread_mutex_t *)mutex, CLOCK_MONOTONIC,
                               &slice) == 0)
      return thrd_success;
  }
}
