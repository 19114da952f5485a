/* Power loss under the whole relay: what a worker does by itself. */
#include "tests/unit/power_world.h"

/* Nothing was written by anybody yet. */
CASE(the_first_start_and_its_batch) {
  struct world *w = *state;
  put(w, GOOD, "e1", "a");
  put(w, GOOD, "e2", "a");
  record(w);
  drain_and_judge(w);
  find_all(w, 4, drain_and_judge);
}

/* An outbox that has been used before, with room for what a batch leaves behind. */
static void put_all_kinds(struct world *w) {
  option(w, "outbox.sent=keep");
  option(w, "batch.max_events=3");
  option(w, "dlq.max_attempts=2");
  w->keep_sent = true;
  kafka.refuses = true;
  used(w);
  put(w, GOOD, "e1", "a");
  put(w, MISMATCH, "e2", "b");
  put(w, GOOD, "e3", "a");
  put(w, GARBAGE, "e4", "c");
  put(w, REFUSED, "e5", KAFKA_REFUSED);
  put(w, GOOD, "e6", "b");
}

CASE(batches_with_all_that_may_become_of_an_event) {
  struct world *w = *state;
  put_all_kinds(w);
  record(w);
  drain_and_judge(w);
  find_all(w, 16, drain_and_judge);
}

/* What is deleted instead of kept, and an id that comes twice. */
CASE(a_batch_whose_events_are_removed) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  put(w, GOOD, "e2", "a");
  put(w, GOOD, "e1", "a");
  record(w);
  drain_and_judge(w);
  find_all(w, 2, drain_and_judge);
}

/* A worker dies, its successor goes on where it stopped; then the power goes. */
CASE(a_recovery_after_a_kill) {
  struct world *w = *state;
  put_all_kinds(w);
  record(w);
  drain_and_judge(w);
  power_off();
  struct power_saved run = power_save();
  size_t step = full() ? 1 : 23, marks = kafka.mark_count;
  for (size_t at = 1 + seed(w) % step; at < run.call_count; at += step) {
    power_restore(&run);
    kafka.mark_count = marks;
    w->walk = (struct power_walk){0};
    power_kill(&w->walk, at);
    kafka.now = kafka.marks[w->walk.mark];
    drain_and_judge(w);
    find_from(w, full() ? 10 : 150, at, drain_and_judge);
  }
  free(run.calls);
}

/* ---- what a worker keeps beside ---- */

CASE(later_events_wait_for_a_dead_letter) {
  struct world *w = *state;
  option(w, "dlq.hold_key=true");
  used(w);
  put(w, MISMATCH, "e1", "a");
  put(w, GOOD, "e2", "a");
  put(w, GOOD, "e3", "b");
  w->events[2].fate = WAITS;
  record(w);
  drain_and_judge(w);
  find_all(w, 5, drain_and_judge);
}

/* Each id that is in Kafka is in Redis, or due. */
static void judge_keys(struct world *w) {
  for (size_t i = 0; i < kafka.now.count; i++) {
    const char *due = text_in(w, ".busbridge", "keys-due");
    char line[60];
    snprintf(line, sizeof line, "%s ", kafka.now.records[i].id);
    if (!due || !strstr(due, line)) FAIL(w, "the key of %s is lost", kafka.now.records[i].id);
  }
}

static void drain_and_judge_keys(struct world *w) {
  drain_and_judge(w);
  judge_keys(w);
}

CASE(keys_due_while_redis_is_away) {
  struct world *w = *state;
  option(w, "redis.url=redis://127.0.0.1:1");
  option(w, "batch.max_events=1");
  put(w, GOOD, "e1", "a");
  drain(w);
  put(w, GOOD, "e2", "a");
  put(w, GOOD, "e3", "a");
  record(w);
  drain_and_judge_keys(w);
  find_all(w, 6, drain_and_judge_keys);
}

/* Two names cannot be changed as long as this hook is there; all others can. */
static int hinder(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  bool hindered = !strcmp(name, "e2.json") || !strcmp(name, "e3.json");
  return hindered && !after && (op == DURABLE_RENAME || op == DURABLE_UNLINK) ? EPERM : 0;
}

/* What is set aside is tried again beside the flow: a run may end before that. */
static void after_aside(struct world *w) {
  drain(w);
  if (files_with(w, ".", "", ".json")) {
    start(w, SERVICE_RELAY);
    for (int i = 0; i < PATIENCE_MS && files_with(w, ".", "", ".json"); i++) usleep(1000);
    stop(w);
  }
  judge(w);
}

CASE(entries_that_were_set_aside) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  put(w, GOOD, "e2", "a");
  put(w, MISMATCH, "e3", "b");
  record(w);
  durable_set_hook(hinder, NULL);
  drain(w);
  durable_set_hook(NULL, NULL);
  if (!text_in(w, ".busbridge", "aside")) FAIL(w, "nothing was set aside");
  find_all(w, 8, after_aside);
}

static int full_disk(void *ctx, enum durable_op op, const char *name, bool after) {
  bool *was = ctx;
  bool manifest = op == DURABLE_WRITE && !strncmp(name, "batch-", 6) && !after;
  if (manifest && !*was) return *was = true, ENOSPC;
  return 0;
}

CASE(the_reserve_is_given_up_for_a_manifest) {
  struct world *w = *state;
  bool was = false;
  used(w);
  put(w, GOOD, "e1", "a");
  record(w);
  durable_set_hook(full_disk, &was);
  drain(w);
  durable_set_hook(NULL, NULL);
  assert_true(was);
  judge(w);
  find_all(w, 4, drain_and_judge);
}

CASE(the_ledger_moves_to_another_topic) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  option(w, "ledger.topic=moved");
  record(w);
  drain_and_judge(w);
  find_all(w, 4, drain_and_judge);
}

/* Kafka lost the position: the topics decide. */
CASE(a_position_that_was_lost) {
  struct world *w = *state;
  used(w);
  put(w, GOOD, "e1", "a");
  drain(w);
  kafka.now.position_count = 0;
  put(w, GOOD, "e2", "a");
  record(w);
  drain_and_judge(w);
  find_all(w, 24, drain_and_judge);
}
