/* Each rule of health has its rows here: the facts, the state, and a word of the reason. */
#include "tests/unit/health_box.h"

CASE(test_an_empty_outbox_is_ok) {
  struct facts f = healthy();
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  assert_int_equal(result.count, 0);
  assert_string_equal(result.summary, "0 pending");
}

CASE(test_the_limits_are_those_of_the_contract) {
  assert_true(limits.command_failures[0] == 1 && limits.command_failures[1] == 5);
  assert_true(limits.event_failures[0] == 3 && limits.event_failures[1] == 10);
  assert_int_equal(limits.dead[0], 6);
  assert_int_equal(limits.dead[1], 21);
  assert_int_equal(limits.command_p95_ms[0], 50);
  assert_int_equal(limits.event_p95_ms[1], 5000);
  assert_int_equal(limits.oldest_ms[0], 60000);
  assert_int_equal(limits.disk_bytes, 1000000000);
}

CASE(test_pending_that_moves_is_ok) {
  struct facts f = healthy();
  f.counts.pending = 100000;
  f.counts.oldest_us = NOW - SECONDS(3);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  assert_string_equal(result.summary, "100,000 pending, oldest 3s");
}

CASE(test_an_old_pending_entry_is_never_green) {
  static const struct {
    int64_t age;
    enum health_state state;
  } rows[] = {{59, HEALTH_OK}, {60, HEALTH_WARNING}, {299, HEALTH_WARNING}, {300, HEALTH_CRITICAL}};
  for (size_t i = 0; i < 4; i++) {
    struct facts f = healthy();
    f.counts.pending = 1;
    f.counts.oldest_us = NOW - SECONDS(rows[i].age);
    judge(&f, &limits, &result);
    assert_int_equal(result.state, rows[i].state);
    if (rows[i].state != HEALTH_OK) assert_true(says(rows[i].state, "oldest pending entry"));
  }
}

CASE(test_without_a_worker_it_says_so) {
  struct facts f = healthy();
  f.relay = false;
  f.status = NULL;
  f.counts.pending = 2;
  f.counts.oldest_us = NOW - SECONDS(5);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_true(says(HEALTH_WARNING, "No worker runs"));
  assert_true(next_is("health.worker = optional"));
  snprintf(f.refused, sizeof f.refused, "kafka.acks = 1");
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "none starts with these settings: kafka.acks = 1"));
  assert_true(next_is("busbridge config check"));
  struct limits timer = limits;
  timer.no_worker = HEALTH_OK; /* the timer's next run will not start either */
  judge(&f, &timer, &result);
  assert_int_equal(result.state, HEALTH_UNKNOWN);
  f.refused[0] = '\0';
  f.counts.pending = 0; /* nothing waits now, and the next event would */
  f.counts.oldest_us = TIME_NONE;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
}

CASE(test_where_a_timer_runs_the_worker_once_its_absence_is_no_fault_and_its_backlog_is) {
  struct facts f = healthy();
  struct limits timer = limits;
  f.relay = false;
  f.status = NULL;
  timer.no_worker = HEALTH_WARNING;
  judge(&f, &timer, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  timer.no_worker = HEALTH_OK;
  judge(&f, &timer, &result);
  assert_int_equal(result.state, HEALTH_OK);
  assert_true(says(HEALTH_OK, "No worker runs"));
  f.counts.pending = 2;
  f.counts.oldest_us = NOW - SECONDS(70);
  judge(&f, &timer, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_true(next_is("busbridge flush"));
  held_by(&f, 4711); /* a command at work */
  judge(&f, &timer, &result);
  assert_true(says(HEALTH_OK, "Process 4711 holds the outbox"));
}

CASE(test_a_holder_that_does_not_answer_is_named) {
  struct facts f = healthy();
  f.relay = false;
  held_by(&f, 4711);
  f.counts.pending = 1;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_UNKNOWN);
  assert_true(says(HEALTH_UNKNOWN, "Process 4711 holds the outbox"));
}

CASE(test_background_flush_off_is_told) {
  struct facts f = healthy();
  struct limits quiet = limits;
  quiet.background = false;
  f.counts.pending = 1;
  f.counts.oldest_us = NOW - SECONDS(100);
  judge(&f, &quiet, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_true(says(HEALTH_OK, "background flush is off"));
}

CASE(test_a_pause_is_never_green) {
  struct facts f = healthy();
  f.pause = (struct store_pause){true, NOW - SECONDS(200), "ann", "broker upgrade"};
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_true(
      says(HEALTH_WARNING, "paused since 2025-06-15T15:03:20 UTC (3m 20s) by ann: broker upgrade"));
  assert_true(next_is("busbridge resume"));
  f.pause = (struct store_pause){.on = true, .since_us = TIME_NONE, .reason = "nobody knows"};
  f.counts.pending = 1;
  f.counts.oldest_us = NOW - SECONDS(400);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_CRITICAL);
  assert_true(says(HEALTH_WARNING, "Publishing is paused: nobody knows"));
  for (size_t i = 0; i < result.count; i++)
    assert_string_equal(result.lines[i].next, "busbridge resume");
}

CASE(test_an_open_breaker_is_never_green) {
  static const struct {
    const char *target;
    int64_t since;
    enum health_state state;
  } rows[] = {{"kafka", 1, HEALTH_WARNING},
              {"kafka", 300, HEALTH_CRITICAL},
              {"plot.events", 10, HEALTH_WARNING},
              {"outbox", 0, HEALTH_CRITICAL}};
  for (size_t i = 0; i < 4; i++) {
    struct facts f = healthy();
    open_breaker(rows[i].target, rows[i].since);
    judge(&f, &limits, &result);
    assert_int_equal(result.state, rows[i].state);
    assert_true(says(rows[i].state, rows[i].target));
    assert_true(says(rows[i].state, "all brokers down"));
    assert_true(next_is("kafka-topics --create x"));
  }
}

CASE(test_a_relay_that_stands_still_is_critical) {
  struct facts f = healthy();
  status.heartbeat_us = NOW - SECONDS(61);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_CRITICAL);
  assert_true(says(HEALTH_CRITICAL, "publisher has not turned for 1m 1s"));
  status.heartbeat_us = TIME_NONE;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  status.reader_us = NOW - SECONDS(61); /* it may read a long folder */
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "reader has not turned"));
  status.finisher_us = NOW - SECONDS(301);
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_CRITICAL, "finisher has not turned"));
}

CASE(test_a_publisher_that_waits_for_kafka_is_told_by_the_breaker) {
  struct facts f = healthy();
  open_breaker("kafka", 61);
  status.heartbeat_us = NOW - SECONDS(61);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_int_equal(result.count, 1);
}

CASE(test_a_worker_that_does_not_answer_is_never_green) {
  struct facts f = healthy();
  f.relay = false;
  f.status = NULL;
  held_by(&f, 4711);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_UNKNOWN); /* a flush by hand, say */
  f.unanswered = true;
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_WARNING);
  assert_true(says(HEALTH_WARNING, "Process 4711 holds the outbox and does not answer"));
  assert_true(says(HEALTH_WARNING, "; it holds it since 2025-"));
}

CASE(test_a_holder_on_another_host_answers_there) {
  struct facts f = healthy();
  f.relay = false;
  f.status = NULL;
  held_by(&f, 1);
  f.owner.here = false;
  snprintf(f.owner.host, sizeof f.owner.host, "app-0");
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  assert_true(says(HEALTH_OK, "The outbox is held on another host: pid 1 on app-0 since 2025-"));
  f.counts.pending = 1; /* and it does nothing */
  f.counts.oldest_us = NOW - SECONDS(301);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_CRITICAL);
}

CASE(test_a_standby_says_who_has_the_outbox_and_judges_it_like_anybody) {
  struct facts f = healthy();
  f.relay = false;
  f.status = NULL;
  f.standby = true;
  snprintf(f.waits, sizeof f.waits, "the outbox is held by pid 1 on app-0");
  held_by(&f, 1);
  f.owner.here = false;
  snprintf(f.owner.host, sizeof f.owner.host, "app-0");
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  assert_int_equal(result.count, 1);
  assert_true(says(HEALTH_OK, "This worker is a standby: the outbox is held by pid 1 on app-0"));
  f.owned = false; /* it is about to take it */
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_OK);
  assert_int_equal(result.count, 1);
  f.counts.pending = 1;
  f.counts.oldest_us = NOW - SECONDS(301);
  judge(&f, &limits, &result);
  assert_int_equal(result.state, HEALTH_CRITICAL);
}

CASE(test_a_redis_that_answers_is_not_to_be_started) {
  static const char *const rows[][2] = {
      {"NOPERM this user has no permissions to run the 'set' command", "ACL SETUSER"},
      {"OOM command not allowed when used memory > 'maxmemory'.", "maxmemory"},
      {"READONLY You can't write against a read only replica.", "the primary"},
      {"MOVED 3999 127.0.0.1:6381", "Redis Cluster"},
      {"NOAUTH Authentication required.", "password"},
      {"LOADING Redis is loading the dataset in memory", "wait"},
      {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
       "disk"},
      {"ERR max number of clients reached", "maxclients"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct facts f = healthy();
    f.keys.up = false;
    snprintf(f.keys.error, sizeof f.keys.error, "%s", rows[i][0]);
    judge(&f, &limits, &result);
    assert_int_equal(result.state, HEALTH_WARNING);
    assert_true(says(HEALTH_WARNING, "Redis refuses ("));
    assert_true(next_is(rows[i][1]));
    assert_false(next_is("Start Redis"));
  }
  struct facts f = healthy();
  f.keys.up = false;
  snprintf(f.keys.error, sizeof f.keys.error, "Connection refused");
  judge(&f, &limits, &result);
  assert_true(says(HEALTH_WARNING, "Redis is away (Connection refused)"));
  assert_true(next_is("Start Redis or fix redis.url"));
}
