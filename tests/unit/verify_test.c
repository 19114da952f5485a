/* What verify finds in the outbox and its ledger: each thing that should agree is made not to.
 * Beside a real worker and broker it stands in tests/integration/verify_test.py. */
#include "tests/unit/verify_box.h"

/* ---- all well ---- */

static void count_progress(void *ctx, uint64_t done, uint64_t total) {
  uint64_t *calls = ctx;
  assert_true(done <= total);
  ++*calls;
}

CASE(all_that_agrees_is_ok) {
  struct world *w = *state;
  uint64_t calls = 0;
  relayed(w, true);
  put_entry(w, "c.json", "c", "pending");
  w->request.progress = count_progress;
  w->request.progress_ctx = &calls;
  for (int full = 0; full < 2; full++) {
    w->request.full = full;
    examine(w);
    assert_verdict("ok");
    assert_says("ledger", "ok", "batch 1, whose manifest is here, settled");
    assert_says("settled", "ok", "none of the 2");
    assert_says("outbox", "ok", "1 pending and 0 dead");
    assert_says("pending ids", "ok", "none");
    assert_says("keys", "ok", "the 2 ids");
    assert_says("keys due", "ok", "");
    assert_says("last batches", "ok", "each of the 2");
    assert_says("records", "ok", "2 read (0 of others");
    assert_says("record keys", "ok", "");
    assert_says("dead letters", "ok", "");
    assert_says("pending entries", "ok", "");
    assert_says("account", "ok", "1 found");
  }
  assert_int_equal(calls, 4);
}

CASE(what_is_not_there_is_skipped) {
  struct world *w = *state;
  examine(w);
  assert_verdict("ok");
  assert_says("ledger", "skipped", "nothing was relayed yet");
  assert_says("keys", "skipped", "off");
  load(w, "off", "delivery.guarantee=at_least_once");
  examine(w);
  assert_says("ledger", "skipped", "at_least_once");
  load(w, "off", "routing.topic=other.{namespace}");
  rd_kafka_mock_topic_set_error(w->mock.cluster, "other.plot",
                                RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
  examine(w);
  assert_says("records", "skipped", "none of the topics");
}

/* ---- the ledger ---- */

CASE(positions_and_manifests_that_do_not_go_together) {
  struct world *w = *state;
  struct manifest_name one = relayed(w, false), two = write_batch(w, 2, one.digest, "c", false);
  examine(w);
  assert_says("ledger", "warning", "a worker ended"); /* 2 was never committed */
  commit(w, 2, two.digest);
  examine(w);
  assert_says("ledger", "warning", "batch 2");
  assert_says("last batches", "failed", "1 of the 3"); /* c is in no topic */
  OK(journal_remove(state_folder(w->state), &one, &w->err));
  examine(w);
  assert_says("ledger", "failed", "batch 2 is not settled");
  commit(w, 7, two.digest);
  examine(w);
  assert_says("ledger", "failed", "batch 7 (topic busbridge.ledger), whose manifest is not");
  commit(w, 0, two.digest);
  examine(w);
  assert_says("ledger", "failed", "but this outbox holds batch 2");
}

CASE(a_manifest_of_no_batch_and_one_that_is_damaged) {
  struct world *w = *state;
  struct manifest_name one = relayed(w, false);
  char file[100];
  write_batch(w, 1, one.digest, "x", false);
  examine(w);
  assert_says("ledger", "warning", "1 other manifests");
  snprintf(file, sizeof file, ".busbridge/settled-1-%s", one.digest);
  put(w, file, "{}");
  examine(w);
  assert_says("ledger", "warning", "not what was written"); /* and nobody needs it any more */
  struct manifest_name two = write_batch(w, 2, one.digest, "y", false);
  commit(w, 2, two.digest);
  snprintf(file, sizeof file, ".busbridge/batch-2-%s", two.digest);
  put(w, file, "{}");
  examine(w);
  assert_says("ledger", "failed", "not what was written");
}

CASE(a_position_that_was_lost_and_another_cluster) {
  struct world *w = *state;
  write_batch(w, 1, "", "a", true);
  examine(w);
  assert_says("ledger", "failed", "1 of its manifests");
  put(w, ".busbridge/cluster", "another\n");
  examine(w);
  assert_says("broker", "failed", "cluster another");
  assert_says("records", "skipped", "");
}

/* ---- the outbox ---- */

CASE(entries_that_do_not_belong) {
  struct world *w = *state;
  char path[300];
  snprintf(path, sizeof path, "%s/dlq", w->outbox);
  assert_int_equal(mkdir(path, 0755), 0);
  put_entry(w, "dead.json", "d", "dlq");
  put_entry(w, "one.json", "x", "pending"), put_entry(w, "two.json", "x", "pending");
  put_entry(w, "dlq/x.json", "x", "dlq"), put_entry(w, "dlq/y.json", "y", "dlq"),
      put_entry(w, "dlq/z.json", "y", "dlq");
  put(w, "dlq/alone.raw", "{"),
      put(w, "dlq/gone.json", "{\"id\": \"g\", \"inode\": 1, \"payload\": {}}");
  examine(w);
  assert_verdict("failed");
  assert_says("outbox", "ok", "3 pending and 4 dead");
  assert_says("outbox", "warning", "wrong side, their move was cut short: dead.json");
  assert_says("outbox", "warning", "1 have the id of another pending entry: x (");
  assert_says("outbox", "warning", "1 are dead letters whose id is pending too: x (dlq/x.json)");
  assert_says("outbox", "warning", "1 are dead letters with the id of another one: y");
  assert_says("outbox", "failed", "tells of, so no command shows them: dlq/alone.raw");
  assert_says("outbox", "failed", "without the bytes they describe: dlq/gone.json");
}

CASE(what_nothing_accounts_for_is_named) {
  struct world *w = *state;
  put_entry(w, ".x.json", ".x", "pending");
  put(w, "notes.txt", "x"), put(w, ".busbridge/more", "x"), put(w, ".busbridge/tmp/odd", "x");
  examine(w);
  assert_verdict("failed");
  assert_says("outbox", "failed",
              "1 hold an event under a name that nobody looks at, so it is never sent: .x.json");
  assert_says("outbox", "warning", "3 belong to no event and to no part of busbridge: ");
  assert_says("outbox", "warning", "notes.txt");
  assert_says("outbox", "warning", ".busbridge/more");
  assert_says("outbox", "warning", ".busbridge/tmp/odd");
}

CASE(of_many_entries_the_rest_waits_for_full) {
  struct world *w = *state;
  for (char name[] = "a.json"; *name <= 'e'; ++*name) put_entry(w, name, name, "pending");
  w->request.entries = 3;
  examine(w);
  assert_says("outbox", "ok",
              "3 pending and 0 dead entries were read, 2 were not: --full reads all");
  w->request.full = true;
  examine(w);
  assert_says("outbox", "ok", "5 pending and 0 dead entries were read");
}

CASE(a_published_entry_that_lies_there_again) {
  struct world *w = *state;
  relayed(w, false);
  put_entry(w, "a.json", "a", "pending");
  examine(w);
  assert_says("settled", "failed", "1 of the 2");
  assert_says("pending entries", "failed", "1 are published already");
}
