/* What verify finds beside the outbox: in Redis, in the topics, and in the account of the metrics.
 */
#include "tests/unit/verify_box.h"

/* ---- Redis ---- */

CASE(ids_that_redis_lost_has_not_been_told_or_should_not_know) {
  struct world *w = *state;
  relayed(w, true);
  set_keys(w, "b", true);
  examine(w);
  assert_says("keys", "failed", "1 of the 2 ids that were published last: b");
  assert_says("record keys", "failed",
              "1 records younger than redis.ttl have no key in Redis: b (plot.events/0/1)");
  put(w, ".busbridge/keys-due", "b plot.events/0/1\n");
  examine(w);
  assert_says("keys", "ok", "");
  assert_says("keys due", "warning", "1 id waits");
  set_keys(w, "c", false);
  put_entry(w, "c.json", "c", "pending");
  examine(w);
  assert_says("pending ids", "warning", "1 wait, but Redis knows their id");
  assert_says("pending ids", "warning", "c (c.json, its twin in plot.events/0/7)");
  w->request.full = true;
  examine(w);
  assert_says("pending ids", "failed", "in no topic");
}

CASE(a_redis_that_is_away) {
  struct world *w = *state;
  relayed(w, true);
  stop_redis(w);
  examine(w);
  assert_says("keys", "failed", "");
  assert_says("pending ids", "skipped", "");
  assert_says("record keys", "skipped", "");
  assert_true(w->doc.nodes[json_member(&w->doc, 0, "unreachable")].type == JSON_TRUE);
}

/* ---- the topics ---- */

CASE(records_twice_dead_too_or_of_others) {
  struct world *w = *state;
  char path[300];
  relayed(w, false);
  produce(w, "a", "/another");
  examine(w);
  assert_says("records", "ok", "3 read (1 of others");
  produce(w, "a", NULL);
  snprintf(path, sizeof path, "%s/dlq", w->outbox);
  assert_int_equal(mkdir(path, 0755), 0);
  put_entry(w, "dlq/b.json", "b", "dlq");
  examine(w);
  assert_says("records", "failed", "a (plot.events/0/3)");
  assert_says("last batches", "failed", "more than once");
  assert_says("dead letters", "failed", "b (plot.events/0/1)");
}

/* ---- the account ---- */

CASE(an_account_that_does_not_add_up) {
  struct world *w = *state;
  struct metrics *metrics = NULL;
  struct metrics_account account = {.began_us = 1700000000000000, .clean = 0};
  struct buffer text = {0};
  assert_int_equal(metrics_open(&clock_system, &metrics), ST_OK);
  metrics_set_account(metrics, &account);
  for (int turn = 0; turn < 2; turn++) {
    series_add(metrics_series(metrics, METRIC_FOUND, NULL, NULL), 3);
    series_add(metrics_series(metrics, METRIC_EVENTS, "plot", "published"), 3 + (unsigned)turn);
    buffer_clear(&text);
    metrics_save(metrics, &text);
    put(w, ".busbridge/metrics", buffer_z(&text));
    examine(w);
    if (turn == 0)
      assert_says("account", "ok", "3 found + 0 replayed = 3 published");
    else
      assert_says("account", "failed", "1 more were accounted for");
  }
  OK(state_lock(w->state, 0, &w->err)); /* somebody is at it, and no worker that could be asked */
  examine(w);
  assert_says("account", "skipped", "does not answer");
  metrics_close(metrics);
  buffer_release(&text);
}

CASE(an_outbox_that_cannot_be_opened_is_a_status) {
  struct world *w = *state;
  load(w, "off", "outbox.url=file:/nowhere/at/all");
  assert_int_equal(verify_run(&w->request, &w->json, &w->err), ST_NOT_FOUND);
}
