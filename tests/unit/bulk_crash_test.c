/* Replays and purges of many that end at any durable call: each dead letter is dead or pending, and
 * the same command goes on. */
#include "tests/unit/bulk_box.h"

struct crash {
  unsigned at, calls;
  bool late; /* after the call instead of before */
};

static int on_call(void *ctx, enum durable_op op, const char *name, bool after) {
  struct crash *c = ctx;
  (void)op, (void)name;
  if (!after) c->calls++;
  if (c->calls == c->at && after == c->late) _exit(42);
  return 0;
}

/* In a process of its own. True: it ended there. */
static bool cut_short(struct crash crash, bool purge) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    open_outbox(SERVICE_CHANGE);
    durable_set_hook(on_call, &crash);
    bool good =
        freeze_all(purge) == ST_OK && step(purge, 1, 1) == ST_OK && step(purge, 1, 0) == ST_OK;
    durable_set_hook(NULL, NULL);
    _exit(good ? 0 : 1);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 42 || WEXITSTATUS(status) == 0));
  return WEXITSTATUS(status) == 42;
}

/* What somebody does who comes after it. */
static void go_on(bool purge) {
  uint64_t numbers[SELECTIONS_MOST];
  size_t count;
  open_outbox(SERVICE_CHANGE);
  assert_int_equal(store_selections(service->store, numbers, &count, &err), ST_OK);
  if (!count) {
    answered(freeze_all(purge));
    if (strstr(buffer_z(&json), "\"selection\": null")) return;
    numbers[0] = 1;
    assert_int_equal(store_selections(service->store, numbers, &count, &err), ST_OK);
  }
  assert_int_equal(count, 1);
  answered(step(purge, numbers[0], 0));
  assert_has(buffer_z(&json), "\"failed\": 0, \"vanished\": 0, \"finished\": true");
}

/* The dead form on the way is moved back to dlq/ by whoever reads it first, as a worker does at its
 * start. */
static void read_once(void) {
  struct arena keep = {0}, scratch = {0};
  struct entry e;
  open_outbox(SERVICE_CHANGE);
  while (store_next(service->store, &keep, &scratch, &e, &err) == ST_OK)
    store_release(service->store, &e.ref);
  service_close(service, 0);
  service = NULL;
  arena_release(&keep);
  arena_release(&scratch);
}

static unsigned try_every_call(bool purge) {
  unsigned at = 0;
  for (bool hit = true; hit;) {
    hit = false;
    at++;
    for (int late = 0; late < 2; late++) {
      many(3);
      if (cut_short((struct crash){.at = at, .late = late}, purge)) hit = true;
      read_once();
      assert_int_equal(purge ? 3 : files_in(".") + files_in("dlq"), 3);
      go_on(purge);
      assert_int_equal(files_in("dlq"), 0);
      assert_int_equal(files_in("."), purge ? 0 : 3);
      service_close(service, 0);
      service = NULL;
      for (int i = 0; i < 3; i++) {
        char file[20];
        snprintf(file, sizeof file, "d-%02d.json", i);
        assert_int_equal(unlink(path_of(file)) == 0, !purge);
      }
      assert_int_equal(folder_remove(path_of(".busbridge")), 0);
    }
  }
  return at;
}

CASE(a_crash_at_every_call_leaves_each_dead_or_pending) {
  assert_true(try_every_call(false) > 30);
}

CASE(a_purge_that_crashes_anywhere_is_gone_on_with) {
  assert_true(try_every_call(true) > 15);
}
