/* verdict_test.c - the table of verdicts, row by row, and when a refused event may try again. */
#include "bridge/relay/causes/verdict.h"
#include "tests/support/test.h"

TEST(every_fault_of_kafka_has_its_class) {
  static const struct {
    enum kafka_fault fault;
    enum blame blame;
  } rows[] = {
      {KAFKA_OK, BLAME_NOBODY},
      {KAFKA_QUEUE_FULL, BLAME_WORLD},
      {KAFKA_RECORD_TOO_LARGE, BLAME_HOPELESS},
      {KAFKA_RECORD_REFUSED, BLAME_REFUSED},
      {KAFKA_CLOCK, BLAME_TOPIC},
      {KAFKA_TOPIC_UNKNOWN, BLAME_TOPIC},
      {KAFKA_TOPIC_DENIED, BLAME_TOPIC},
      {KAFKA_UNREACHABLE, BLAME_WORLD},
      {KAFKA_TIMED_OUT, BLAME_WORLD},
      {KAFKA_NOT_ENOUGH_REPLICAS, BLAME_WORLD},
      {KAFKA_AUTHENTICATION, BLAME_WORLD},
      {KAFKA_COORDINATOR, BLAME_WORLD},
      {KAFKA_FENCED, BLAME_WORLD},
      {KAFKA_PURGED, BLAME_WORLD},
      {KAFKA_FATAL, BLAME_WORLD},
      {KAFKA_OTHER, BLAME_WORLD},
  };
  assert_int_equal(sizeof rows / sizeof *rows, KAFKA_OTHER + 1);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(rows[i].fault, i);
    assert_int_equal(verdict_of_fault(rows[i].fault), rows[i].blame);
  }
  assert_int_equal(verdict_of_fault((enum kafka_fault)999), BLAME_WORLD);
}

TEST(every_reason_but_a_refusal_is_hopeless) {
  for (int r = REASON_NONE; r < REASON_COUNT; r++) {
    enum blame want = r == REASON_NONE             ? BLAME_NOBODY
                      : r == REASON_BROKER_REFUSED ? BLAME_REFUSED
                                                   : BLAME_HOPELESS;
    assert_int_equal(verdict_of_reason((enum reason)r), want);
  }
  assert_int_equal(verdict_of_reason(REASON_COUNT), BLAME_WORLD);
}

static void assert_verdict(struct verdict v, enum outcome outcome, unsigned attempts,
                           enum reason reason) {
  assert_int_equal(v.outcome, outcome);
  assert_int_equal(v.attempts, attempts);
  assert_int_equal(v.reason, reason);
}

TEST(an_acknowledged_event_is_published) {
  assert_verdict(verdict_judge(KAFKA_OK, REASON_NONE, 0, 5), OUTCOME_PUBLISHED, 1, REASON_NONE);
}

TEST(a_hopeless_event_is_dead_at_its_first_attempt) {
  assert_verdict(verdict_judge(KAFKA_OK, REASON_SCHEMA_MISMATCH, 0, 5), OUTCOME_DEAD, 1,
                 REASON_SCHEMA_MISMATCH);
  assert_verdict(verdict_judge(KAFKA_RECORD_TOO_LARGE, REASON_NONE, 0, 5), OUTCOME_DEAD, 1,
                 REASON_RECORD_TOO_LARGE);
}

TEST(a_refused_event_has_five_attempts) {
  for (unsigned counted = 0; counted < 4; counted++)
    assert_verdict(verdict_judge(KAFKA_RECORD_REFUSED, REASON_NONE, counted, 5), OUTCOME_RETRY,
                   counted + 1, REASON_BROKER_REFUSED);
  assert_verdict(verdict_judge(KAFKA_RECORD_REFUSED, REASON_NONE, 4, 5), OUTCOME_DEAD, 5,
                 REASON_BROKER_REFUSED);
  assert_verdict(verdict_judge(KAFKA_RECORD_REFUSED, REASON_NONE, 0, 1), OUTCOME_DEAD, 1,
                 REASON_BROKER_REFUSED);
}

TEST(topic_and_world_cost_no_attempt_however_often) {
  for (int f = KAFKA_OK; f <= KAFKA_OTHER; f++) {
    enum blame blame = verdict_of_fault((enum kafka_fault)f);
    if (blame != BLAME_TOPIC && blame != BLAME_WORLD) continue;
    assert_verdict(verdict_judge((enum kafka_fault)f, REASON_NONE, 3, 1), OUTCOME_HELD, 3,
                   REASON_NONE);
  }
}

TEST(a_refused_event_waits_for_the_interval_doubling_to_five_minutes) {
  const int64_t s = 1000000, t = 1758510245 * s;
  assert_int_equal(verdict_due_us(0, TIME_NONE, t, 30000), t);
  assert_int_equal(verdict_due_us(3, TIME_NONE, t, 30000), t);
  int64_t waits[] = {30, 60, 120, 240, 300, 300};
  for (unsigned i = 0; i < 6; i++)
    assert_int_equal(verdict_due_us(i + 1, t, t, 30000), t + waits[i] * s);
  assert_int_equal(verdict_due_us(4000000000u, t, t, 30000), t + 300 * s);
}

TEST(a_clock_that_was_set_back_starves_nobody) {
  int64_t now = 1758510245000000, year = INT64_C(365) * 86400 * 1000000;
  assert_int_equal(verdict_due_us(2, now + year, now, 30000), now);
}

/* Whichever way and however far the clock steps: a retry comes within the longest back-off, and not
 * at once again. */
TEST(a_step_of_the_clock_makes_neither_a_storm_nor_a_wait) {
  const int64_t s = 1000000, t = 1700000000 * s, interval_ms = 30000;
  static const int64_t steps[] = {1, 60, 3600, 86400, 365 * 86400L};
  for (size_t i = 0; i < 2 * (sizeof steps / sizeof *steps); i++)
    for (unsigned attempts = 1; attempts < 6; attempts++) {
      int64_t now = t + (i & 1 ? -1 : 1) * steps[i / 2] * s;
      assert_true(verdict_due_us(attempts, t, now, interval_ms) <= now + 300 * s);
      int64_t again = verdict_due_us(attempts + 1, now, now, interval_ms); /* refused once more */
      assert_true(again >= now + interval_ms * 1000 && again <= now + 300 * s);
    }
}
