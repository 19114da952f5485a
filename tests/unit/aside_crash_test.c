/* Setting an entry aside, and taking it out of the list again, with each durable call failing, or
 * the last before a crash: it is handed out or in the list, never neither and never both. (The loss
 * of power: unit.relay_power.) */
#include "tests/unit/store_faults.h"

static enum aside what;

static const struct error hindrance = {.status = ST_DENIED, .sys = EPERM, .text = "not permitted"};

static struct entry_ref *ref_of(struct box *b, const char *name) {
  for (size_t i = 0; i < b->count; i++)
    if (span_is(b->refs[i].label, name)) return &b->refs[i];
  fail_msg("%s is not in hand", name);
  return NULL;
}

/* The list is empty, a and b are in hand. */
static void make_two(struct box *b) {
  box_stop(b);
  (void)unlink(path_of(b, ".busbridge/aside"));
  box_start(b);
  put_pending(b, "a");
  put_pending(b, "b");
  assert_string_equal(box_take_all(b), "a b");
}

static enum status set_aside(struct box *b, const char *name, const char *id) {
  struct failure why = box_failure(REASON_BROKER_REFUSED, 3);
  enum status st =
      store_aside(b->store, ref_of(b, name), span_of(id), what, &why, &hindrance, NULL);
  return st == ST_OK ? store_aside_sync(b->store, NULL) : st;
}

/* The list holds b already: the next one is a line more. */
static void make_second(struct box *b) {
  make_two(b);
  OK(set_aside(b, "b.json", "b"));
}

static enum status set_a_aside(struct box *b) {
  return set_aside(b, "a.json", "a");
}

static bool handed_out(struct box *b, const char *id, unsigned *attempts) {
  struct entry e;
  bool found = false;
  store_rescan(b->store);
  while (box_next(b, &e) == ST_OK)
    if (span_is(e.event.id, id)) {
      assert_false(found);
      found = true;
      *attempts = e.event.attempts;
    }
  return found;
}

static bool see(void *ctx, const struct aside_info *info) {
  unsigned *seen = ctx;
  for (const char *p = "ab"; *p; p++)
    if (info->label[0] == *p) *seen |= 1U << (*p - 'a');
  return true;
}

static unsigned in_list(struct box *b) {
  unsigned seen = 0;
  OK(store_asides(b->store, 0, see, &seen, &b->err));
  return seen;
}

static void check_a(struct box *b, bool said_done) {
  unsigned attempts = 0;
  bool listed = in_list(b) & 1, out = handed_out(b, "a", &attempts);
  assert_true(exists(b, "a.json"));
  if (said_done) assert_true(listed);
  if (what == ASIDE_RETRY)
    assert_true(out && attempts == (listed ? 3 : 0));
  else
    assert_int_equal(out, !listed);
}

static void check_second(struct box *b, bool said_done) {
  assert_true(in_list(b) & 2);
  check_a(b, said_done);
}

static int setup(void **state) {
  *state = box_new("file");
  return 0;
}

static int teardown(void **state) {
  durable_set_hook(NULL, NULL);
  return box_free(state);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(each_crash_of_setting_it_aside_leaves_it_handed_out_or_in_the_list) {
  for (what = ASIDE_DONE; what <= ASIDE_DEAD; what++) {
    try_all_faults(*state, make_two, set_a_aside, check_a);
    try_all_faults(*state, make_second, set_a_aside, check_second);
  }
}

/* ---- when the hindrance is gone ---- */

static void make_both(struct box *b) {
  make_second(b);
  OK(set_aside(b, "a.json", "a"));
}

static enum status carry_out(struct box *b) {
  store_aside_tend(b->store);
  enum status st = store_sync(b->store, NULL);
  if (st == ST_OK) st = store_aside_sync(b->store, NULL);
  return st != ST_OK ? st : box_counts(b).aside ? ST_AGAIN : ST_OK;
}

static void check_carried(struct box *b, bool said_done) {
  unsigned attempts = 0, listed = in_list(b);
  for (unsigned i = 0; i < 2; i++) {
    const char *id = i ? "b" : "a", *name = i ? "b.json" : "a.json",
               *letter = i ? "dlq/b.json" : "dlq/a.json";
    bool there = exists(b, name), dead = exists(b, letter);
    assert_false(handed_out(b, id, &attempts));
    if (there) assert_true(listed & (1U << i));
    if (what == ASIDE_DEAD) assert_int_equal(there + dead, 1);
    if (said_done) assert_false(there || (listed & (1U << i)));
  }
  OK(carry_out(b)); /* what a fault cut is gone on with */
  assert_int_equal(in_list(b), 0);
  assert_int_equal(files_in(b, "."), 0);
  assert_int_equal(files_in(b, "dlq"), what == ASIDE_DEAD ? 2 : 0);
}

CASE(each_crash_of_carrying_it_out_leaves_it_in_the_list_or_gone) {
  what = ASIDE_DONE;
  try_all_faults(*state, make_both, carry_out, check_carried);
  what = ASIDE_DEAD;
  try_all_faults(*state, make_both, carry_out, check_carried);
}
