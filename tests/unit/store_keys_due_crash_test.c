/* What Redis has yet to be told, in files, with each durable call failing, or the last before a
 * crash, or before the power goes: none is lost, and none is there twice. */
#include "bridge/base/text/words.h"
#include "bridge/outbox/keys_due.h"
#include "tests/unit/store_faults.h"

#define MOST 24 /* three a part */

/* Ids are numbers. What was said to be done, and what was tried beyond it. */
struct progress {
  int added, dropped, try_added, try_dropped;
};
static struct progress now, marks[64];
static size_t mark_count;

static void mark(void) {
  assert_true(mark_count < 63);
  marks[++mark_count] = now;
  power_mark(mark_count);
}

static enum status add(struct box *b, int count) {
  struct key keys[8];
  char ids[8][16];
  const bool done[8] = {false};
  uint64_t given_up = 0;
  for (int i = 0; i < count; i++) {
    snprintf(ids[i], sizeof ids[0], "%d", now.added + i);
    keys[i] = (struct key){span_of(ids[i]), SPAN("p/0/1")};
  }
  now.try_added = now.added + count;
  mark();
  enum status st = store_keys_due_add(b->store, keys, done, (size_t)count, &given_up, &b->err);
  assert_int_equal(given_up, 0);
  if (st == ST_OK) now.added = now.try_added;
  mark();
  return st;
}

static enum status take(struct box *b, size_t max) {
  struct key keys[8];
  size_t count = 0;
  enum status st = store_keys_due_read(b->store, keys, max, &count, &b->err);
  if (st != ST_OK || !count) return st;
  now.try_dropped = now.dropped + (int)count;
  mark();
  st = store_keys_due_drop(b->store, &b->err);
  if (st == ST_OK) now.dropped = now.try_dropped;
  mark();
  return st;
}

static void make_nothing(struct box *b) {
  DIR *d = opendir(path_of(b, ".busbridge"));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    if (!strncmp(e->d_name, "keys-due", 8)) assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
  closedir(d);
  now = (struct progress){0};
  mark_count = 0;
  OK(store_keys_due_open(b->store, MOST, &b->err));
}

/* Three parts are filled, and the first two taken out again. */
static enum status add_and_take(struct box *b) {
  static const int adds[] = {2, 3, 1, 2, 2};
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < sizeof adds / sizeof *adds; i++) st = add(b, adds[i]);
  for (int i = 0; st == ST_OK && i < 3; i++) st = take(b, 2);
  if (st == ST_OK) st = add(b, 1);
  return st;
}

static void check(struct box *b, const struct progress *was) {
  struct key keys[64];
  size_t count;
  int next = -1;
  OK(store_keys_due_open(b->store, MOST, &b->err));
  for (;;) {
    OK(store_keys_due_read(b->store, keys, 64, &count, &b->err));
    if (!count) break;
    for (size_t i = 0; i < count; i++) {
      uint64_t number;
      assert_true(number_parse(keys[i].id, 1000, &number));
      int id = (int)number;
      if (next >= 0 && id != next) fail_msg("%d where %d should be", id, next);
      if (next < 0 && id > was->try_dropped) fail_msg("%d to %d are lost", was->try_dropped, id);
      next = id + 1;
    }
    OK(store_keys_due_drop(b->store, &b->err));
  }
  if (next < 0) next = was->try_dropped;
  if (next < was->added) fail_msg("%d is lost", next);
  if (next > was->try_added) fail_msg("%d was never added", next - 1);
}

static void check_now(struct box *b, bool said_done) {
  (void)said_done;
  check(b, &now);
}

static void check_mark(struct box *b, bool said_done) {
  static const struct progress nothing;
  (void)said_done;
  check(b, power.mark ? &marks[power.mark] : &nothing);
}

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

TEST_WITH(a_crash_at_any_call_loses_none_and_doubles_none, box_open, box_free) {
  try_all_faults(*state, make_nothing, add_and_take, check_now);
}

TEST_WITH(a_loss_of_power_at_any_call_loses_none_and_doubles_none, box_open, box_free) {
  try_all_power(*state, make_nothing, add_and_take, check_mark);
}
