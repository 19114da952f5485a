/* A chain of every fate, whose done entries are kept, with the record of its batch, in files: after
 * every loss of power each entry is in one place, and a record that is marked has none that comes
 * back. */
#include "bridge/outbox/manifest.h"
#include "tests/unit/store_faults.h"

static int box_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  b->config.keep_sent = true;
  box_start(b);
  *state = b;
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

static void put_kept(struct box *b, const char *name, const char *id) {
  put_entry(b, name, id, "pending", "2025-01-01T00:00:00+00:00");
}

/* Two that were published, in a batch; beside them one that dies and one that is tried again. */
static void make_chain(struct box *b) {
  struct manifest_entry entries[2] = {0};
  struct manifest m = {.number = 1, .entries = entries, .count = 2};
  put_kept(b, "d.json", "d");
  put_kept(b, "e.json", "e");
  put_kept(b, "x.json", "x");
  put_kept(b, "y.json", "y");
  store_rescan(b->store);
  box_take_all(b);
  assert_int_equal(b->count, 4);
  for (size_t i = 0; i < 2; i++)
    entries[i] = (struct manifest_entry){
        .ref = b->refs[i], .id = b->refs[i].id, .topic = SPAN("episode.events")};
  OK(manifest_write(b->store, &m, "n", &b->err));
}

static struct manifest_name record(struct box *b) {
  struct manifest_name *list, one;
  size_t count;
  OK(manifest_list(b->store, &list, &count, &b->err));
  assert_int_equal(count, 1);
  one = list[0];
  free(list);
  return one;
}

static void rows_of(struct box *b, struct settling rows[4]) {
  static const enum entry_fate fates[] = {FATE_DONE, FATE_DONE, FATE_DEAD, FATE_RETRY};
  for (size_t i = 0; i < 4; i++)
    rows[i] = (struct settling){
        .ref = &b->refs[i], .fate = fates[i], .why = box_failure(REASON_BAD_NAME, 2)};
}

static enum status settle_chain(struct box *b) {
  struct manifest_name one = record(b);
  struct settling rows[4];
  rows_of(b, rows);
  return store_settle(b->store, rows, 4, &one, NULL, &b->err);
}

/* As one that is longer than a call may be. */
static enum status settle_in_two(struct box *b) {
  struct manifest_name one = record(b);
  struct settling rows[4];
  rows_of(b, rows);
  enum status st = store_settle(b->store, rows, 2, NULL, NULL, &b->err);
  return st == ST_OK ? store_settle(b->store, rows + 2, 2, &one, NULL, &b->err) : st;
}

static void check_place(struct box *b, const char *file, const char *folder, bool there) {
  char moved[60];
  snprintf(moved, sizeof moved, "%s/%s", folder, file);
  if (exists(b, file) + exists(b, moved) != 1)
    fail_msg("%s lies %d times here, %d times in %s", file, exists(b, file), exists(b, moved),
             folder);
  if (there && !exists(b, moved)) fail_msg("%s came back", file);
}

static void check_chain(struct box *b, bool said_done) {
  box_take_all(b); /* a move that was begun is finished by whoever reads it */
  box_release_all(b);
  bool marked = record(b).settled;
  check_place(b, "d.json", "sent", marked);
  check_place(b, "e.json", "sent", marked);
  check_place(b, "x.json", "dlq", marked);
  assert_true(exists(b, "y.json"));
  if (marked) assert_non_null(strstr(text_of(b, "y.json"), "\"attempts\": 2"));
  if (said_done) assert_true(marked);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

CASE(a_chain_survives_every_loss_of_power) {
  try_all_power(*state, make_chain, settle_chain, check_chain);
}
CASE(a_chain_in_two_calls_survives_every_loss_of_power) {
  try_all_power(*state, make_chain, settle_in_two, check_chain);
}

/* What a failed sync lost is asked for once: the batch stays open, whoever asked (L11). */
static int fail_sent(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)name;
  return op == DURABLE_FSYNC && !after && ++*(unsigned *)ctx == 1 ? EIO : 0;
}

CASE(a_sync_that_failed_before_others_failed_is_told_by_the_call_that_ends_the_batch) {
  struct box *b = *state;
  struct settling rows[4];
  enum closing closing;
  unsigned syncs = 0;
  make_chain(b);
  struct manifest_name one = record(b);
  rows_of(b, rows);
  OK(store_settle(b->store, rows, 2, NULL, NULL, &b->err));
  durable_set_hook(fail_sent, &syncs);
  enum status first = store_settle(b->store, rows + 2, 2, &one, &closing, &b->err);
  durable_set_hook(NULL, NULL);
  assert_int_equal(first, ST_AGAIN);
  assert_int_equal(closing, CLOSING_NOT);
  assert_int_equal(rows[2].status, ST_IO);
  assert_int_equal(rows[3].status, ST_IO);
  assert_int_equal(store_settle(b->store, rows + 2, 2, &one, &closing, &b->err), ST_IO);
  assert_int_equal(closing, CLOSING_UNSYNCED);
  assert_int_equal(rows[2].status, ST_OK);
  assert_false(record(b).settled);
}

/* ---- a sync that failed while some were moved ---- */

static struct {
  unsigned at, calls;
} failing;

static int fail_one(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx, (void)name;
  return op == DURABLE_FSYNC && !after && ++failing.calls == failing.at ? EIO : 0;
}

/* The second try finds what the first one moved. */
static enum status settle_twice(struct box *b) {
  struct manifest_name one = record(b);
  struct settling rows[4];
  rows_of(b, rows);
  failing.calls = 0;
  durable_set_hook(fail_one, NULL);
  settle_all(b->store, rows + 2, 2);
  durable_set_hook(NULL, NULL);
  for (size_t i = 2; i < 4; i++)
    if (rows[i].status != ST_OK) settle_all(b->store, &rows[i], 1);
  for (size_t i = 2; i < 4; i++) assert_int_equal(rows[i].status, ST_OK);
  return store_settle(b->store, rows, 2, &one, NULL, &b->err);
}

static void check_twice(struct box *b, bool said_done) {
  (void)said_done; /* what the first sync lost may be told: then the record is not marked */
  check_chain(b, false);
}

CASE(what_moved_before_its_sync_failed_is_synced_by_whoever_finds_it_gone) {
  struct box *b = *state;
  failing.at = 0;
  do {
    failing.at++;
    void *again = b;
    assert_int_equal(box_free(&again), 0);
    assert_int_equal(box_open(state), 0);
    b = *state;
    try_all_power(b, make_chain, settle_twice, check_twice);
  } while (failing.calls >= failing.at);
  assert_true(failing.at > 3); /* bytes, dlq/, and the folder that was left */
}
