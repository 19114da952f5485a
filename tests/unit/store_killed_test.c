/* A worker that is killed in the middle of a move, its successor, and then the power goes: whatever
 * the successor syncs first, each entry is in one place. */
#include "tests/unit/store_faults.h"

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

static struct {
  move_fn move;
  unsigned at, calls; /* it is killed before this call */
} killed;

static void make_two(struct box *b) {
  put_pending(b, "a");
  set_mtime(b, "a.json", 1700000000, 77);
  put_pending(b, "b");
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "a b");
}

/* The successor finds it gone or sees to it later; that another one is out of the outbox for good
 * must not mean that this one is, while it may lie nowhere else. */
static enum status move_killed(struct box *b) {
  struct fault f = {.mode = CRASH_BEFORE, .at = killed.at};
  struct entry_ref other = b->refs[1];
  enum settled how;
  durable_set_hook(fault_hook, &f);
  enum status st = killed.move(b);
  (void)st;
  box_stop(b);
  durable_set_hook(NULL, NULL);
  killed.calls = f.calls;
  box_start(b);
  OK(box_late(b, &other, "b", &how));
  return store_sync(b->store, &b->err);
}

/* Its successor brings back what was still on its way, and the power goes. */
static enum status move_two_killed(struct box *b) {
  struct fault f = {.mode = CRASH_BEFORE, .at = killed.at};
  struct settling list[2] = {
      {.ref = &b->refs[0], .why = box_failure(REASON_BAD_NAME, 1), .fate = FATE_DEAD},
      {.ref = &b->refs[1], .why = box_failure(REASON_BAD_NAME, 1), .fate = FATE_DEAD}};
  durable_set_hook(fault_hook, &f);
  settle_all(b->store, list, 2);
  box_stop(b);
  durable_set_hook(NULL, NULL);
  killed.calls = f.calls;
  box_start(b);
  return ST_OK;
}

static void check_two_killed(struct box *b, bool said_done) {
  (void)said_done;
  box_take_all(b);
  assert_int_equal(exists(b, "a.json") + exists(b, "dlq/a.json"), 1);
  assert_int_equal(exists(b, "b.json") + exists(b, "dlq/b.json"), 1);
}

static void check_killed(struct box *b, bool said_done) {
  (void)said_done;
  box_take_all(b);
  assert_int_equal(exists(b, "a.json") + exists(b, "sent/a.json") + exists(b, "dlq/a.json"), 1);
}

static enum status set_dead(struct box *b) {
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  enum settled how;
  return store_dead(b->store, &b->refs[0], &why, &how, &b->err);
}

CASE(what_a_killed_worker_moved_is_in_its_place_before_anything_else_is_settled) {
  struct box *b = *state;
  const move_fn moves[] = {move_published, set_dead};
  b->config.keep_sent = true;
  box_restart(b);
  for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
    killed.move = moves[i];
    killed.at = 0;
    do {
      killed.at++;
      try_all_power(b, make_two, move_killed, check_killed);
    } while (killed.calls >= killed.at);
    assert_true(killed.at > 3);
  }
}

CASE(what_a_killed_worker_moved_is_in_its_place_before_others_are_brought_back) {
  struct box *b = *state;
  killed.at = 0;
  do {
    killed.at++;
    try_all_power(b, make_two, move_two_killed, check_two_killed);
  } while (killed.calls >= killed.at);
  assert_true(killed.at > 10);
}

static int first_folder_fails(void *ctx, enum durable_op op, const char *name, bool after) {
  unsigned *left = ctx;
  return op == DURABLE_FSYNC && !strcmp(name, "folder") && !after && *left && (*left)-- ? EIO : 0;
}

/* The next one would say yes of what the first one lost. */
CASE(what_could_not_be_synced_at_the_start_is_told_by_the_next_sync) {
  struct box *b = *state;
  unsigned left = 1;
  box_stop(b);
  durable_set_hook(first_folder_fails, &left);
  box_start(b);
  assert_int_equal(left, 0);
  assert_int_equal(store_sync(b->store, &b->err), ST_IO);
  assert_non_null(strstr(b->err.text, "dlq/"));
  OK(store_sync(b->store, &b->err));
  durable_set_hook(NULL, NULL);
}
