/* The rules of health, of figures that have limits and of entries that need somebody. */
#include "tests/unit/health_box.h"

CASE(test_dead_letters_by_number) {
  static const struct {
    uint64_t dead;
    enum health_state state;
  } rows[] = {{5, HEALTH_OK}, {6, HEALTH_WARNING}, {20, HEALTH_WARNING}, {21, HEALTH_CRITICAL}};
  for (size_t i = 0; i < 4; i++) {
    struct facts f = healthy();
    f.counts.dead = rows[i].dead;
    judge(&f, &limits, &result);
    assert_int_equal(result.state, rows[i].state);
    if (rows[i].state != HEALTH_OK) assert_true(next_is("busbridge list --type dlq"));
  }
  assert_string_equal(result.summary, "0 pending, 21 dead");
}

CASE(test_failure_rates) {
  struct facts f = healthy();
  f.events = (struct figures){.total = 100, .failed = 2};
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  f.events.failed = 3;
  judge(&f, &limits, &result);
  assert_true(
      says(HEALTH_WARNING, "3.0 % of events were set aside or refused, 3 of 100 (limit 3 %)"));
  f.events.failed = 10;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_CRITICAL);
  f.events.failed = 0;
  f.commands = (struct figures){.total = 100, .failed = 1};
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "of commands failed"));
  assert_true(next_is("metrics --reset"));
}

CASE(test_a_few_tries_are_no_rate) {
  struct facts f = healthy();
  f.events = (struct figures){
      .total = 4, .failed = 1, .p95_ms = 60000}; /* the first four, one of them no JSON */
  f.commands = (struct figures){.total = 19, .failed = 19, .p95_ms = 60000};
  f.counts.dead = 1;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  f.commands = (struct figures){.total = 20, .failed = 1}; /* 5 %, and yet one alone */
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  f.events = (struct figures){.total = 20, .failed = 2};
  judge(&f, &limits, &result);
  assert_true(
      says(HEALTH_CRITICAL, "10.0 % of events were set aside or refused, 2 of 20 (limit 10 %)"));
}

CASE(test_p95) {
  struct facts f = healthy();
  f.events = (struct figures){.total = 20, .p95_ms = 1000};
  f.commands = (struct figures){.total = 20, .p95_ms = 100};
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "P95 of publishing is 1000 ms (limit 1000 ms)"));
  assert_true(says(HEALTH_CRITICAL, "P95 of commands is 100 ms (limit 100 ms)"));
  assert_int_equal(result.lines[0].state, HEALTH_CRITICAL); /* worst first */
  assert_true(next_is("metrics --reset"));
  f.events.total = f.commands.total = 0;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
}

CASE(test_disk) {
  struct facts f = healthy();
  f.disk_free = 999999999;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "1000 MB are free"));
  f.disk_free = -1;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
}

CASE(test_redis) {
  struct facts f = healthy();
  f.keys.up = false;
  snprintf(f.keys.error, sizeof f.keys.error, "Connection refused");
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "Redis is away (Connection refused)"));
  struct limits required = limits;
  required.keys_required = true;
  judge(&f, &required, &result);
  assert_true(says(HEALTH_WARNING, "redis.required is true: everything waits"));
  f.keys.off = true;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  f.keys.off = false;
  f.keys_known = false;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  f.keys_known = true;
  f.keys.due = 1200;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_OK, "1,200 idempotency keys wait"));
  f.keys.up = true;
  f.keys.given_up = 3;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "3 idempotency keys were given up"));
}

CASE(test_entries_set_aside) {
  struct facts f = healthy();
  f.counts.aside = 1;
  snprintf(f.aside, sizeof f.aside, "a.json, published: Operation not permitted");
  snprintf(f.aside_next, sizeof f.aside_next, "chattr -ia FILE");
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING,
                   "1 entry is set aside, all others go on: a.json, published: Operation not"));
  assert_string_equal(result.lines[0].next, "chattr -ia FILE");
  f.counts.aside = 1200;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "1200 entries are set aside"));
}

CASE(test_manifests_that_cannot_be_changed) {
  struct facts f = healthy();
  status.stuck = 1;
  status.stuck_remedy = "chattr -ia FILE";
  snprintf(status.stuck_file, sizeof status.stuck_file, "batch-7-abc");
  snprintf(status.stuck_why, sizeof status.stuck_why, "Operation not permitted");
  judge(&f, &limits, &result);
  assert_true(
      says(HEALTH_WARNING,
           "1 manifest cannot be changed, nothing waits for it: .busbridge/batch-7-abc: Oper"));
  assert_non_null(strstr(result.lines[0].next, "chattr -ia"));
  status.stuck = 2;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "2 manifests cannot be changed, nothing waits for them"));
}

CASE(test_what_lies_in_tmp_for_long) {
  struct facts f = healthy();
  f.left = 1;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "1 entry lies in .busbridge/tmp"));
  assert_non_null(strstr(result.lines[0].next, "busbridge verify"));
}

CASE(test_moves_that_cannot_be_finished) {
  struct facts f = healthy();
  f.counts.unmoved = 2;
  f.counts.unmoved_sys = ENOSPC;
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "2 entries are on the way to dlq/ since a crash"));
  assert_non_null(strstr(result.lines[0].text, "No space left on device"));
  assert_non_null(strstr(result.lines[0].next, "Free space there"));
}

CASE(test_files_left_alone) {
  struct facts f = healthy();
  f.counts.unreadable = 2;
  f.counts.odd = 3;
  f.counts.growing = 4;
  f.counts.exact = false;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_true(says(HEALTH_WARNING, "2 files cannot be read"));
  assert_true(says(HEALTH_OK, "3 names are left alone"));
  assert_true(says(HEALTH_OK, "4 files are not whole yet"));
  assert_true(says(HEALTH_OK, "first scan is still under way"));
}

CASE(test_what_cannot_be_counted_is_unknown) {
  struct facts f = healthy();
  f.unreadable = "Permission denied";
  f.keys.up = false;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_UNKNOWN); /* worse than a warning */
  open_breaker("outbox", 0);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_CRITICAL); /* but not than this */
}

CASE(test_there_is_an_end_to_reasons) {
  struct facts f = healthy();
  for (size_t i = 0; i < RELAY_BREAKERS; i++) open_breaker("plot.events", 400);
  f.counts.pending = 1;
  f.counts.oldest_us = NOW - SECONDS(1000);
  judge(&f, &limits, &result);
  assert_true(result.count > RELAY_BREAKERS && result.count <= JUDGE_LINES);
  assert_int_equal(result.state, HEALTH_CRITICAL);
}

CASE(test_schemas_that_were_not_taken_over) {
  struct facts f = healthy();
  snprintf(f.schemas_refused, sizeof f.schemas_refused, "a/x.avsc: line 7: no");
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING,
                   "The schemas were not taken over, the old ones serve: a/x.avsc: line 7: no"));
  assert_true(next_is("schema check --all"));
}
