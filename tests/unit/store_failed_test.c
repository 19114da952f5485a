/* Many that failed at once, dead or to be tried again, objects or none: after every fault each is
 * in one place, whole, whatever became of the others; each has a status of its own; and they wait
 * for the disk together. */
#include "tests/unit/store_faults.h"

#define BROKEN "{\"id\": broken"
#define NS INT64_C(1700000000000000077)

static int box_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  assert_int_equal(mkdir(path_of(b, "pending"), 0770), 0);
  b->config.settle_ms = 1; /* what is not JSON is soon taken for whole */
  box_start(b);
  *state = b;
  return 0;
}

static void put_old(struct box *b, const char *name, const char *id) {
  if (id)
    put_entry(b, name, id, "pending", "2025-01-01T00:00:00+00:00");
  else
    put(b, name, BROKEN);
  set_mtime(b, name, NS / 1000000000, NS % 1000000000);
}

/* All that are there, in hand at one time. */
static void take(struct box *b, size_t count) {
  for (int i = 0; i < 1000; i++) {
    store_rescan(b->store);
    box_take_all(b);
    if (b->count == count) return;
    box_release_all(b);
    store_wait(b->store, 5);
  }
  fail_msg("%zu of %zu are there: %s", b->count, count, b->ids);
}

/* Those in hand: the ones that are not objects, and those with an id before "p", die. */
static size_t failed_of(struct box *b, struct settling list[64]) {
  for (size_t i = 0; i < b->count; i++) {
    bool raw = !b->refs[i].id.len;
    list[i] = (struct settling){.ref = &b->refs[i],
                                .why = box_failure(raw ? REASON_NOT_JSON : REASON_BAD_NAME, 2),
                                .fate = raw || b->refs[i].id.ptr[0] < 'p' ? FATE_DEAD : FATE_RETRY};
  }
  return b->count;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

/* ---- crashes ---- */

static void make_three(struct box *b) {
  put_old(b, "a.json", "a");
  put_old(b, "pending/p.json", "p");
  put_old(b, "r.json", NULL);
  take(b, 3);
}

static enum status fail_three(struct box *b) {
  struct settling list[64];
  size_t count = failed_of(b, list), stay = 0;
  enum status st = ST_OK;
  settle_all(b->store, list, count);
  for (size_t i = 0; i < count; i++) {
    stay += list[i].status != ST_OK;
    if (list[i].status != ST_OK) st = list[i].status;
  }
  assert_int_equal(box_counts(b).in_hand, stay);
  return st;
}

static void check_time(struct box *b, const char *name) {
  if (mtime_of(b, name) != NS) fail_msg("%s has another time", name);
}

static void check_three(struct box *b, bool said_done) {
  box_take_all(b); /* a move that was begun is finished by whoever reads it */
  box_release_all(b);
  bool a = exists(b, "dlq/a.json"), r = exists(b, "dlq/r.raw");
  assert_int_equal(a + exists(b, "a.json"), 1);
  assert_int_equal(r + exists(b, "r.json"), 1);
  assert_true(exists(b, "pending/p.json"));
  if (said_done) assert_true(a && r && exists(b, "dlq/r.json"));
  if (said_done) assert_non_null(strstr(text_of(b, "pending/p.json"), "\"attempts\": 2"));
  if (r) assert_true(exists(b, "dlq/r.json"));
  assert_string_equal(text_of(b, r ? "dlq/r.raw" : "r.json"), BROKEN);
  assert_non_null(
      strstr(text_of(b, a ? "dlq/a.json" : "a.json"), "{\"n\": 1.50, \"created_at\": \"x\"}"));
  assert_non_null(strstr(text_of(b, "pending/p.json"), "{\"n\": 1.50, \"created_at\": \"x\"}"));
  check_time(b, a ? "dlq/a.json" : "a.json");
  check_time(b, r ? "dlq/r.raw" : "r.json");
  check_time(b, "pending/p.json");
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  take(b, (size_t)(1 + !a + !r));
  OK(fail_three(b)); /* what was not done is done now, with what the first try left */
  assert_int_equal(files_in(b, "."), 0);
  assert_int_equal(files_in(b, "dlq"), 3);
  assert_int_equal(files_in(b, "pending"), 1);
}

CASE(many_survive_every_failure) {
  try_all_faults(*state, make_three, fail_three, check_three);
}
CASE(many_survive_every_loss_of_power) {
  try_all_power(*state, make_three, fail_three, check_three);
}

/* ---- together ---- */

static int count_syncs(void *ctx, enum durable_op op, const char *name, bool after) {
  if (op == DURABLE_FSYNC && !after && !strcmp(name, "folder")) ++*(unsigned *)ctx;
  return 0;
}

/* tmp for what came out of it; dlq/ for the descriptors, for what lies beside them, and for the
 * others; and the two that they leave. */
CASE(the_folders_are_synced_once_for_all) {
  struct box *b = *state;
  unsigned syncs = 0;
  char name[40];
  for (int i = 0; i < 20; i++) {
    snprintf(name, sizeof name, "%sa%d.json", i & 1 ? "pending/" : "", i);
    put_old(b, name, "a");
    snprintf(name, sizeof name, "r%d.json", i);
    put_old(b, name, NULL);
  }
  take(b, 40);
  durable_set_hook(count_syncs, &syncs);
  OK(fail_three(b));
  durable_set_hook(NULL, NULL);
  assert_int_equal(syncs, 6);
  assert_int_equal(files_in(b, "dlq"), 60);
  assert_int_equal(box_counts(b).dead, 40);
}

CASE(two_of_one_name_get_a_pair_each) {
  struct box *b = *state;
  struct stat one, two;
  char inode[2][40];
  put_old(b, "r.json", NULL);
  put_old(b, "pending/r.json", NULL);
  put_old(b, "pending/a.json", "a");
  put_old(b, "a.json", "a");
  take(b, 4);
  OK(fail_three(b));
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/a__1.json"));
  assert_int_equal(stat(path_of(b, "dlq/r.raw"), &one) + stat(path_of(b, "dlq/r__1.raw"), &two), 0);
  snprintf(inode[0], sizeof inode[0], "\"inode\": %llu}", (unsigned long long)one.st_ino);
  snprintf(inode[1], sizeof inode[1], "\"inode\": %llu}", (unsigned long long)two.st_ino);
  assert_non_null(strstr(text_of(b, "dlq/r.json"), inode[0]));
  assert_non_null(strstr(text_of(b, "dlq/r__1.json"), inode[1]));
  assert_non_null(strstr(text_of(b, "dlq/r__1.json"), "\"id\": \"r__1\""));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

/* ---- each for itself ---- */

static int fail_b(void *ctx, enum durable_op op, const char *name, bool after) {
  (void)ctx;
  return op == DURABLE_RENAME && !after && strstr(name, "b.json") ? EPERM : 0;
}

CASE(one_that_is_hindered_hinders_no_other) {
  struct box *b = *state;
  struct settling list[64];
  static const char *const names[] = {"a.json",         "b.json", "c.json",
                                      "pending/b.json", "r.json", "pending/z.json"};
  for (size_t i = 0; i < 6; i++)
    put_old(b, names[i], i == 3 || i == 4 ? NULL : (char[]){names[i][i == 5 ? 8 : 0], 0});
  take(b, 6);
  size_t count = failed_of(b, list), stay = 0;
  durable_set_hook(fail_b, NULL);
  settle_all(b->store, list, count);
  durable_set_hook(NULL, NULL);
  for (size_t i = 0; i < count; i++) {
    bool hindered = strncmp(list[i].ref->label.ptr, "b.json", 6) == 0;
    assert_int_equal(list[i].status, hindered ? ST_DENIED : ST_OK);
    if (hindered) assert_int_equal(list[i].error.sys, EPERM);
    stay += hindered;
  }
  assert_int_equal(stay, 2);
  assert_int_equal(box_counts(b).in_hand, 2);
  assert_true(exists(b, "b.json") && exists(b, "pending/b.json"));
  assert_true(exists(b, "dlq/a.json") && exists(b, "dlq/c.json") && exists(b, "dlq/r.raw"));
  assert_non_null(strstr(text_of(b, "pending/z.json"), "\"attempts\": 2"));
}

CASE(what_is_gone_or_another_by_now_is_told_of_each) {
  struct box *b = *state;
  struct settling list[64];
  put_old(b, "a.json", "a");
  put_old(b, "b.json", "b");
  put_old(b, "c.json", "c");
  put_old(b, "r.json", NULL);
  put_old(b, "s.json", NULL);
  take(b, 5);
  size_t count = failed_of(b, list);
  assert_int_equal(unlink(path_of(b, "b.json")) + unlink(path_of(b, "r.json")), 0);
  put_entry(b, "c.json", "new", "pending", "2025-01-01T00:00:00+00:00");
  put(b, "s.json", "{\"other\": broken too");
  settle_all(b->store, list, count);
  for (size_t i = 0; i < count; i++) {
    char c = list[i].ref->label.ptr[0];
    assert_int_equal(list[i].status, ST_OK);
    assert_int_equal(list[i].how, c == 'a'               ? SETTLED_GONE
                                  : c == 'b' || c == 'r' ? SETTLED_VANISHED
                                                         : SETTLED_CHANGED);
  }
  assert_int_equal(files_in(b, "dlq"), 1);
  assert_non_null(strstr(text_of(b, "c.json"), "\"id\": \"new\""));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  assert_int_equal(box_counts(b).in_hand, 0);
}

/* ---- others ---- */

static int take_over(void *ctx, enum durable_op op, const char *name, bool after) {
  struct box *b = ctx;
  (void)name;
  if (op != DURABLE_FSYNC || after || !exists(b, ".busbridge/lock")) return 0;
  unlink(path_of(b, ".busbridge/lock"));
  return 0;
}

/* The disk makes one wait: whoever comes back from that looks whose outbox it is. */
CASE(nothing_is_moved_once_the_outbox_is_anothers) {
  struct box *b = *state;
  for (int raw = 0; raw < 2; raw++) {
    struct settling list[64];
    put_old(b, "a.json", raw ? NULL : "a");
    put_old(b, "b.json", raw ? NULL : "b");
    take(b, 2);
    size_t count = failed_of(b, list);
    durable_set_hook(take_over, b);
    settle_all(b->store, list, count);
    durable_set_hook(NULL, NULL);
    for (size_t i = 0; i < count; i++) assert_int_equal(list[i].status, ST_BUSY);
    assert_int_equal(files_in(b, "."), 2);
    assert_int_equal(files_in(b, "dlq") + files_in(b, ".busbridge/tmp"), 0);
    box_restart(b);
  }
}

enum deed { GOES, MOVED, EXCHANGED, DEEDS };
struct hand {
  struct box *b;
  enum deed deed;
  unsigned at, calls;
};

static int strike(void *ctx, enum durable_op op, const char *name, bool after) {
  struct hand *h = ctx;
  (void)op, (void)name;
  if (after || ++h->calls != h->at) return 0;
  if (h->deed == GOES)
    rmdir(path_of(h->b, "dlq")); /* where it is not empty it stays */
  else if (rename(path_of(h->b, "dlq"), path_of(h->b, "dlq.old")) == 0 && h->deed == EXCHANGED)
    assert_int_equal(mkdir(path_of(h->b, "dlq"), 0770), 0);
  return 0;
}

/* All three files of the two letters; those that were whole in the folder when it went, in a sync
 * behind the moves, go with it. */
CASE(letters_follow_dlq_at_every_call) {
  struct box *b = *state;
  unsigned struck = 0;
  for (int deed = 0; deed < DEEDS; deed++)
    for (unsigned at = 1;; at++) {
      struct hand h = {.b = b, .deed = (enum deed)deed, .at = at};
      box_stop(b);
      clear(b);
      rename(path_of(b, "dlq.old"), path_of(b, "dlq"));
      clear(b);
      box_start(b);
      make_three(b);
      durable_set_hook(strike, &h);
      enum status st = fail_three(b);
      durable_set_hook(NULL, NULL);
      if (st != ST_OK) fail_msg("call %u, deed %d: %s", at, deed, status_name(st));
      assert_int_equal(files_in(b, "."), 0);
      assert_int_equal(files_in(b, "dlq") + files_in(b, "dlq.old"), 3);
      bool letter = exists(b, "dlq/a.json"), raw = exists(b, "dlq/r.raw");
      assert_int_equal(raw, exists(b, "dlq/r.json"));
      if (!raw) assert_true(exists(b, "dlq.old/r.raw") && exists(b, "dlq.old/r.json"));
      rmdir(path_of(b, "dlq.old"));
      if (h.calls < at) {
        assert_true(letter && raw);
        break;
      }
      struck++;
    }
  assert_true(struck >= 10);
}

/* ---- touched while it was in hand: its new time is not durable ---- */

static void touch(struct box *b, const char *name) {
  struct timespec times[2] = {{1800000000, 0}, {1800000000, 0}};
  int fd = open(path_of(b, name), O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  assert_int_equal(futimens(fd, times), 0);
  close(fd);
}

static void make_two(struct box *b) {
  put_old(b, "a.json", "a");
  put_old(b, "p.json", "p");
  take(b, 2);
}

/* One dies; the other is refused, and published at its next try. */
static enum status end_two(struct box *b) {
  struct failure why = box_failure(REASON_BAD_NAME, 2);
  enum settled how;
  touch(b, "a.json");
  touch(b, "p.json");
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  OK(store_retry(b->store, &b->refs[1], &why, &how, &b->err));
  take(b, 1);
  OK(store_done(b->store, &b->refs[0], &how, &b->err));
  return store_sync(b->store, &b->err);
}

static void check_two(struct box *b, bool said_done) {
  box_take_all(b);
  box_release_all(b);
  assert_int_equal(exists(b, "a.json") + exists(b, "dlq/a.json"), 1);
  assert_int_equal(files_in(b, "."), exists(b, "a.json") + exists(b, "p.json"));
  assert_int_equal(files_in(b, "dlq"), exists(b, "dlq/a.json"));
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  if (said_done) assert_int_equal(files_in(b, "."), 0);
}

CASE(what_was_touched_does_not_come_back_behind_a_loss_of_power) {
  try_all_power(*state, make_two, end_two, check_two);
}

/* ---- dlq/ cannot be synced behind a move ---- */

/* Behind tmp's, of one that is an object. */
static int fail_second_sync(void *ctx, enum durable_op op, const char *name, bool after) {
  if (op != DURABLE_FSYNC || after || strcmp(name, "folder") != 0) return 0;
  return ++*(unsigned *)ctx == 2 ? EIO : 0;
}

static void make_one(struct box *b) {
  put_old(b, "a.json", "a");
  take(b, 1);
}

static enum status bury_twice(struct box *b) {
  struct failure why = box_failure(REASON_BAD_NAME, 2);
  enum settled how;
  unsigned syncs = 0;
  durable_set_hook(fail_second_sync, &syncs);
  assert_int_equal(store_dead(b->store, &b->refs[0], &why, &how, &b->err), ST_IO);
  durable_set_hook(NULL, NULL);
  assert_true(exists(b, "dlq/a.json"));
  OK(store_dead(b->store, &b->refs[0], &why, &how, &b->err));
  put_old(b, "z.json", "z"); /* another's removal is made durable */
  take(b, 1);
  OK(store_done(b->store, &b->refs[0], &how, &b->err));
  return store_sync(b->store, &b->err);
}

static void check_one(struct box *b, bool said_done) {
  box_take_all(b);
  box_release_all(b);
  assert_int_equal(exists(b, "a.json") + exists(b, "dlq/a.json"), 1);
  if (said_done) assert_true(exists(b, "dlq/a.json"));
}

CASE(what_dlq_could_not_keep_for_good_is_not_lost) {
  try_all_power(*state, make_one, bury_twice, check_one);
}
