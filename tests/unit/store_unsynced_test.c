/* A sync of a folder that failed is told once, to whoever asked for it: the kernel says yes to the
 * next one. So what another thread was told counts for the batch that is closed next (L11), whose
 * removals it may have been about. And errors of calls that are given nothing to say them in. */
#include "bridge/outbox/manifest.h"
#include "tests/unit/files.h"

#include <errno.h>
#include <sys/resource.h>

static int box_open(void **state) {
  *state = box_new("file");
  return 0;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

static struct manifest_name record_of(struct box *b, const struct entry_ref *ref) {
  struct manifest_entry one = {.ref = *ref, .id = ref->id, .topic = SPAN("episode.events")};
  struct manifest m = {.number = 1, .entries = &one, .count = 1};
  OK(manifest_write(b->store, &m, "n", &b->err));
  struct manifest_name name = {.number = 1};
  memcpy(name.digest, m.digest, sizeof name.digest);
  return name;
}

/* "a" is out and not synced, its batch not closed; "b" is a dead letter. */
static struct manifest_name prepare(struct box *b) {
  box_emit(b, "a");
  box_emit(b, "b");
  assert_string_equal(box_take_some(b), "a b");
  struct manifest_name name = record_of(b, &b->refs[0]);
  box_dead(b, &b->refs[1], REASON_BAD_NAME);
  OK(store_sync(b->store, &b->err));
  box_done(b, &b->refs[0], SETTLED_GONE);
  return name;
}

/* The at-th sync of a folder from now on fails, and the kernel tells it to nobody else. */
struct failing {
  unsigned at, calls;
};
static int fail_sync(void *ctx, enum durable_op op, const char *name, bool after) {
  struct failing *f = ctx;
  bool it = op == DURABLE_FSYNC && !after && !strcmp(name, "folder");
  return it && ++f->calls == f->at ? EIO : 0;
}

static void expect_open(struct box *b, const struct manifest_name *name) {
  enum closing closing = CLOSING_NOT;
  assert_int_equal(store_settle(b->store, NULL, 0, name, &closing, &b->err), ST_IO);
  assert_int_equal(closing, CLOSING_UNSYNCED);
  OK(store_settle(b->store, NULL, 0, name, &closing, &b->err)); /* told once */
}

CASE(a_sync_that_failed_for_whoever_replays_keeps_the_batch_open) {
  struct failing f = {.at = 0};
  do {
    struct box *b = *state;
    struct manifest_name name = prepare(b);
    f = (struct failing){.at = f.at + 1};
    durable_set_hook(fail_sync, &f);
    enum status st = store_replay(b->store, SHELF_DEAD, "b.json", &b->err);
    durable_set_hook(NULL, NULL);
    if (f.calls >= f.at) {
      assert_int_equal(st, ST_IO);
      expect_open(b, &name);
    }
    void *old = b;
    assert_int_equal(box_free(&old), 0);
    assert_int_equal(box_open(state), 0);
  } while (f.calls >= f.at);
  assert_true(f.at > 2); /* where it came to, and what it left */
}

CASE(a_sync_that_failed_for_whoever_emits_keeps_the_batch_open) {
  struct box *b = *state;
  struct manifest_name name = prepare(b);
  struct failing f = {.at = 1};
  durable_set_hook(fail_sync, &f);
  enum status st = box_put(b->store, "c", SPAN("{}"), &b->err);
  durable_set_hook(NULL, NULL);
  assert_int_equal(st, ST_IO);
  expect_open(b, &name);
}

CASE(a_sync_that_failed_for_whoever_purges_keeps_the_batch_open) {
  struct box *b = *state;
  struct manifest_name name = prepare(b);
  struct letter one = {.token = "b.json", .when_us = TIME_NONE};
  struct failing f = {.at = 1};
  durable_set_hook(fail_sync, &f);
  store_purge(b->store, &one, 1);
  durable_set_hook(NULL, NULL);
  assert_int_equal(one.status, ST_IO);
  expect_open(b, &name);
}

static bool see(void *ctx, const struct entry_info *info) {
  (void)ctx, (void)info;
  return true;
}

/* No descriptor is left: the folders cannot be read. */
CASE(what_cannot_be_listed_is_an_error_also_where_nobody_asks_why) {
  struct box *b = *state;
  uint64_t total;
  struct rlimit was, none;
  box_emit(b, "a");
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  none = was;
  int top = dup(0);
  none.rlim_cur = (rlim_t)top;
  close(top);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  enum status dead = store_list(b->store, LIST_DEAD, 0, see, NULL, &total, NULL);
  enum status found = store_find(b->store, LIST_DEAD, SPAN("a"), see, NULL, &total, NULL);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  assert_int_not_equal(dead, ST_OK);
  assert_int_not_equal(found, ST_OK);
}
