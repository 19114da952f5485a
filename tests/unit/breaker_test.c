/* breaker_test.c - doors: who passes in which state, when they are tried again, and what reopening
 * holds back. */
#include "bridge/relay/publish/breaker.h"
#include "tests/support/test.h"

static int64_t now_ms;
static int64_t fake_mono(void *ctx) {
  (void)ctx;
  return now_ms * 1000000;
}
static int64_t fake_wall(void *ctx) {
  (void)ctx;
  return now_ms * 1000 + 7;
}
static uint64_t no_random(void *ctx) {
  (void)ctx;
  return 0;
}
static const struct clock clock = {fake_wall, fake_mono, no_random, NULL};
static const struct backoff wait = {50, 500, 0};

TEST(a_closed_door_lets_everybody_pass) {
  struct breaker b = {0};
  assert_true(breaker_passes(&b, 0) && breaker_passes(&b, 1));
  breaker_sent(&b);
  assert_true(breaker_passes(&b, 1));
  assert_false(breaker_due(&b, &clock));
}

TEST(trouble_opens_it_and_nobody_passes) {
  struct breaker b = {0};
  now_ms = 1000;
  assert_true(breaker_trouble(&b, &wait, &clock, "gone"));
  assert_int_equal(b.state, BREAKER_OPEN);
  assert_int_equal(b.since_us, 1000007);
  assert_string_equal(b.reason, "gone");
  assert_false(breaker_passes(&b, 99));
  assert_false(breaker_trouble(&b, &wait, &clock, "one that was under way with it"));
  assert_string_equal(b.reason, "gone");
  assert_int_equal(b.due_ms, 1050);
}

TEST(one_probe_of_the_fresh_scan_passes_and_no_other) {
  struct breaker b = {0};
  now_ms = 1000;
  breaker_trouble(&b, &wait, &clock, "gone");
  now_ms = 1049;
  assert_false(breaker_due(&b, &clock));
  now_ms = 1050;
  assert_true(breaker_due(&b, &clock));
  breaker_probe(&b, 7);
  assert_int_equal(b.state, BREAKER_PROBING);
  assert_false(breaker_passes(&b, 6));
  assert_true(breaker_passes(&b, 7));
  breaker_sent(&b);
  assert_false(breaker_passes(&b, 7) || breaker_passes(&b, 8));
}

/* Else nobody would pass any more: no verdict of the first one is to come. */
TEST(after_a_probe_that_said_nothing_the_next_one_passes) {
  struct breaker b = {0};
  breaker_unsent(&b);
  assert_int_equal(b.state, BREAKER_CLOSED);
  breaker_trouble(&b, &wait, &clock, "gone");
  breaker_unsent(&b);
  assert_false(breaker_passes(&b, 7));
  breaker_probe(&b, 7);
  breaker_sent(&b);
  breaker_unsent(&b);
  assert_int_equal(b.state, BREAKER_PROBING);
  assert_false(breaker_passes(&b, 6));
  assert_true(breaker_passes(&b, 7));
}

TEST(a_failed_probe_waits_twice_as_long) {
  struct breaker b = {0};
  now_ms = 0;
  breaker_trouble(&b, &wait, &clock, "gone");
  int64_t waits[] = {100, 200, 400, 500, 500};
  for (size_t i = 0; i < 5; i++) {
    now_ms = b.due_ms;
    breaker_probe(&b, i);
    assert_false(breaker_trouble(&b, &wait, &clock, "still gone"));
    assert_int_equal(b.due_ms, now_ms + waits[i]);
    assert_int_equal(b.since_us, 7);
  }
}

TEST(after_reopening_only_what_the_fresh_scan_brings_passes) {
  struct breaker b = {0};
  now_ms = 0;
  breaker_trouble(&b, &wait, &clock, "gone");
  breaker_probe(&b, 7);
  breaker_sent(&b);
  breaker_reopen(&b, 9);
  assert_int_equal(b.state, BREAKER_CLOSED);
  assert_false(breaker_passes(&b, 8));
  assert_true(breaker_passes(&b, 9) && breaker_passes(&b, 10));
  assert_true(breaker_trouble(&b, &wait, &clock, "again"));
  assert_int_equal(b.due_ms, 50); /* begins anew */
}

TEST(an_open_door_may_reopen_when_something_under_way_got_through) {
  struct breaker b = {0};
  breaker_trouble(&b, &wait, &clock, "gone");
  breaker_reopen(&b, 3);
  assert_int_equal(b.state, BREAKER_CLOSED);
  assert_false(breaker_passes(&b, 2));
}
