/* A sleep lasts as long as it shall, whatever signals come, unless a stop ends it. */
#include "bridge/base/clock.h"
#include "bridge/base/stop.h"
#include "tests/support/test.h"

#include <limits.h>
#include <signal.h>
#include <sys/time.h>

enum { HOUR_MS = 3600000 };

static unsigned looks, asked_from;

static bool asked(void *ctx) {
  assert_ptr_equal(ctx, &looks);
  return ++looks >= asked_from;
}

static const struct stop stop = {asked, &looks};

static void begin(unsigned from) {
  looks = 0;
  asked_from = from;
}

TEST(a_stop_ends_a_sleep) {
  begin(3);
  assert_false(sleep_ms(HOUR_MS, &stop));
  assert_int_equal(looks, 3);
}

TEST(what_was_stopped_before_does_not_sleep) {
  begin(1);
  assert_false(sleep_ms(HOUR_MS, &stop));
  assert_int_equal(looks, 1);
  assert_false(sleep_ms(0, &stop));
}

static int64_t lasted(int64_t ms, const struct stop *by) {
  int64_t began = clock_mono_ns(&clock_system);
  assert_true(sleep_ms(ms, by));
  return clock_mono_ns(&clock_system) - began;
}

TEST(without_a_stop_it_lasts) {
  begin(UINT_MAX);
  assert_true(lasted(30, NULL) >= 30000000);
  assert_true(lasted(50, &(const struct stop){0}) >= 50000000);
  assert_true(lasted(50, &stop) >= 50000000);
  assert_true(looks >= 2);
  assert_true(sleep_ms(0, NULL) && sleep_ms(-5, NULL));
}

static volatile sig_atomic_t rings;

static void ring(int number) {
  (void)number;
  rings++;
}

TEST(a_signal_does_not_cut_it_short) {
  struct sigaction action = {.sa_handler = ring}, before;
  struct itimerval often = {{0, 2000}, {0, 2000}}, never = {0};
  sigaction(SIGALRM, &action, &before);
  setitimer(ITIMER_REAL, &often, NULL);
  int64_t ns = lasted(40, NULL);
  setitimer(ITIMER_REAL, &never, NULL);
  sigaction(SIGALRM, &before, NULL);
  assert_true(rings > 0);
  assert_true(ns >= 40000000);
}
