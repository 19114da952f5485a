/* dlq/ and sent/ on another file system: the moves are copies that are durable before what was
 * copied goes. Every durable call of each fails, or is the last before a crash: afterwards it is in
 * one place, whole, with its time, and never both pending and dead. In a mount name space of its
 * own, and of an own user where root is needed for that; where neither may be, nothing is shown. */
#include "tests/unit/store_faults.h"

#include <sched.h>
#include <sys/mount.h>

#define BROKEN "{\"id\": broken"
#define NS INT64_C(1700000000000000077)
static int64_t later; /* seconds: the same bytes of another time are another file */

/* Without what a crash leaves of a copy, which nobody looks at. */
static unsigned names_in(struct box *b, const char *folder) {
  unsigned n = 0;
  DIR *d = opendir(path_of(b, folder));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));) n += e->d_type == DT_REG && e->d_name[0] != '.';
  closedir(d);
  return n;
}

static bool mounted(struct box *b, const char *folder) {
  return mount("none", path_of(b, folder), "tmpfs", 0, NULL) == 0;
}

static const char *const far[] = {"dlq", "sent"};

/* Where its file system is mounted; what lies at the folder's place is a folder in it. */
static const char *mount_of(struct box *b, size_t i) {
  static char path[300];
  snprintf(path, sizeof path, "%s-far-%s", b->dir, far[i]);
  return path;
}

static bool far_made(struct box *b, size_t i) {
  char folder[320];
  snprintf(folder, sizeof folder, "%s/%s", mount_of(b, i), far[i]);
  return (mkdir(path_of(b, far[i]), 0770) == 0 || errno == EEXIST) &&
         mkdir(mount_of(b, i), 0770) == 0 && mount("none", mount_of(b, i), "tmpfs", 0, NULL) == 0 &&
         mkdir(folder, 0770) == 0 && mount(folder, path_of(b, far[i]), "none", MS_BIND, NULL) == 0;
}

/* Each of the two loses what was not synced on it. */
static void far_disks(struct box *b) {
  for (size_t i = 0; i < 2; i++) power_disk(path_of(b, far[i]), mount_of(b, i), far[i]);
}

static int far_open(void **state) {
  struct box *b = box_new("file");
  *state = b;
  box_stop(b);
  b->config.settle_ms = 1; /* what is not JSON is soon taken for whole */
  for (size_t i = 0; i < 2; i++)
    if (!far_made(b, i)) fail_msg("%s", far[i]);
  box_start(b);
  return 0;
}

static int far_close(void **state) {
  struct box *b = *state;
  power_end();
  for (size_t i = 0; i < 2; i++) {
    umount2(path_of(b, far[i]), MNT_DETACH);
    umount2(mount_of(b, i), MNT_DETACH);
    rmdir(mount_of(b, i));
  }
  return box_free(state);
}

static void take(struct box *b, const char *ids) {
  store_rescan(b->store);
  box_take_some(b);
  assert_string_equal(b->ids, ids);
}

static void make_pending(struct box *b) {
  put_pending(b, "a");
  set_mtime(b, "a.json", NS / 1000000000 + later, NS % 1000000000);
  take(b, "a");
}

static void make_broken(struct box *b) {
  put(b, "a.json", BROKEN);
  set_mtime(b, "a.json", NS / 1000000000 + later, NS % 1000000000);
  take(b, "a.json!not_json");
}

static void make_dead(struct box *b) {
  make_pending(b);
  box_dead(b, &b->refs[0], REASON_BAD_NAME);
}

static void make_raw(struct box *b) {
  make_broken(b);
  box_dead(b, &b->refs[0], REASON_NOT_JSON);
}

static enum status move_dead(struct box *b) {
  struct failure why = box_failure(REASON_BAD_NAME, 1);
  enum settled how;
  return store_dead(b->store, &b->refs[0], &why, &how, &b->err);
}

static enum status move_done(struct box *b) {
  enum settled how;
  enum status st = store_done(b->store, &b->refs[0], &how, &b->err);
  return st == ST_OK ? store_sync(b->store, &b->err) : st;
}

static enum status move_replay(struct box *b) {
  return store_replay(b->store, SHELF_DEAD, "a.json", &b->err);
}

/* One file, dead or pending, and its time. */
static void check_one(struct box *b, const char *name, const char *words) {
  assert_int_equal(files_in(b, ".") + names_in(b, "dlq"), 1);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  if (!strstr(text_of(b, name), words)) fail_msg("%s: %s", name, text_of(b, name));
  assert_true(mtime_of(b, name) == NS);
}

static void check_dead(struct box *b, bool said_done) {
  box_take_all(b);
  bool dead = exists(b, "dlq/a.json");
  assert_true(dead || !said_done);
  assert_int_equal(b->count, !dead);
  check_one(b, dead ? "dlq/a.json" : "a.json",
            dead ? "\"reason\": \"bad_name\"" : "\"status\": \"pending\"");
}

static void check_replay(struct box *b, bool said_done) {
  box_take_all(b);
  bool dead = exists(b, "dlq/a.json");
  assert_false(dead && said_done);
  assert_int_equal(b->count, !dead);
  check_one(b, dead ? "dlq/a.json" : "a.json",
            dead ? "\"status\": \"dlq\"" : "\"status\": \"pending\"");
}

static void check_raw(struct box *b, bool said_done) {
  box_take_all(b);
  for (int i = 0; i < 2000 && !b->count && exists(b, "a.json"); i++)
    store_wait(b->store, 30), box_take_all(b);
  if (said_done) assert_true(exists(b, "dlq/a.raw") && !exists(b, "a.json"));
  if (b->count)
    box_dead(b, &b->refs[0], REASON_NOT_JSON); /* finds the copy that was made, if one was */
  assert_int_equal(files_in(b, "."), 0);
  assert_int_equal(names_in(b, "dlq"), 2);
  assert_string_equal(text_of(b, "dlq/a.raw"), BROKEN);
  assert_true(mtime_of(b, "dlq/a.raw") == NS);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

static void check_raw_replay(struct box *b, bool said_done) {
  bool dead = exists(b, "dlq/a.raw");
  assert_true(dead + exists(b, "a.json") == 1);
  assert_false(dead && said_done);
  assert_string_equal(text_of(b, dead ? "dlq/a.raw" : "a.json"), BROKEN);
  assert_true(mtime_of(b, dead ? "dlq/a.raw" : "a.json") == NS);
  if (dead) assert_true(exists(b, "dlq/a.json"));
  if (said_done) assert_int_equal(names_in(b, "dlq"), 0);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

/* Two at once, one of them no object. */
static void make_two(struct box *b) {
  put(b, "r.json", BROKEN);
  set_mtime(b, "r.json", NS / 1000000000, NS % 1000000000);
  put_pending(b, "a");
  set_mtime(b, "a.json", NS / 1000000000, NS % 1000000000);
  for (int i = 0; i < 1000; i++) {
    store_rescan(b->store);
    box_take_all(b);
    if (b->count == 2) return;
    box_release_all(b);
    store_wait(b->store, 5);
  }
  fail_msg("%s", b->ids);
}

static enum status move_two(struct box *b) {
  struct settling list[2] = {0};
  for (size_t i = 0; i < 2; i++) {
    bool raw = !b->refs[i].id.len;
    list[i] = (struct settling){.ref = &b->refs[i],
                                .why = box_failure(raw ? REASON_NOT_JSON : REASON_BAD_NAME, 1),
                                .fate = FATE_DEAD};
  }
  settle_all(b->store, list, 2);
  return list[0].status == ST_OK ? list[1].status : list[0].status;
}

static void check_two(struct box *b, bool said_done) {
  box_take_all(b);
  box_release_all(b);
  bool a = exists(b, "a.json"), r = exists(b, "r.json");
  if (said_done) assert_false(a || r);
  for (int i = 0; (a || r) && i < 1000;
       i++) { /* what is left goes too, and finds the copy that was made, if one was */
    store_rescan(b->store);
    box_take_all(b);
    if (b->count == (size_t)a + r) break;
    box_release_all(b);
    store_wait(b->store, 5);
  }
  for (size_t i = 0; (a || r) && i < b->count; i++)
    box_dead(b, &b->refs[i], b->refs[i].id.len ? REASON_BAD_NAME : REASON_NOT_JSON);
  assert_int_equal(files_in(b, "."), 0);
  assert_int_equal(names_in(b, "dlq"), 3);
  assert_string_equal(text_of(b, "dlq/r.raw"), BROKEN);
  assert_true(mtime_of(b, "dlq/r.raw") == NS && mtime_of(b, "dlq/a.json") == NS);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

/* What a crash kept from being settled is settled again: the copy is the one that is kept. */
static void check_done(struct box *b, bool said_done) {
  box_take_all(b);
  if (said_done) assert_int_equal(b->count, 0);
  box_done_all(b);
  assert_int_equal(files_in(b, "."), 0);
  assert_int_equal(names_in(b, "sent"), 1);
  assert_true(mtime_of(b, "sent/a.json") == NS);
}

static void try_far(struct box *b, make_fn make, move_fn move, check_fn check) {
  try_all_faults(b, make, move, check);
  try_all_backups(b, make, move, check);
  far_disks(b);
  try_all_power(b, make, move, check);
}

#define FAR(name) TEST_WITH(name, far_open, far_close)

FAR(dead_survives_every_fault) {
  try_far(*state, make_pending, move_dead, check_dead);
}
FAR(raw_dead_survives_every_fault) {
  try_far(*state, make_broken, move_dead, check_raw);
}
FAR(many_dead_survive_every_fault) {
  try_all_faults(*state, make_two, move_two, check_two);
}
FAR(replay_survives_every_fault) {
  try_far(*state, make_dead, move_replay, check_replay);
}
FAR(raw_replay_survives_every_fault) {
  try_far(*state, make_raw, move_replay, check_raw_replay);
}
FAR(done_survives_every_fault) {
  struct box *b = *state;
  b->config.keep_sent = true;
  box_restart(b);
  try_far(b, make_pending, move_done, check_done);
}

/* The at-th sync of a folder fails, and the kernel says yes to whoever asks once more. */
struct failing {
  unsigned at, calls;
};
static int fail_sync(void *ctx, enum durable_op op, const char *name, bool after) {
  struct failing *f = ctx;
  bool it = op == DURABLE_FSYNC && !after && !strcmp(name, "folder");
  return it && ++f->calls == f->at ? EIO : 0;
}

static void told_once(struct box *b, make_fn make, move_fn move) {
  struct failing f = {.at = 0};
  do {
    make(b);
    f = (struct failing){.at = f.at + 1};
    durable_set_hook(fail_sync, &f);
    enum status st = move(b);
    durable_set_hook(NULL, NULL);
    if (f.calls >= f.at && st == ST_OK && store_sync(b->store, NULL) == ST_OK)
      fail_msg("that of sync %u was told to nobody", f.at);
    box_stop(b);
    const char *const names[] = {"a.json", "dlq/a.json", "dlq/a.raw", "sent/a.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) (void)unlink(path_of(b, names[i]));
    box_start(b);
  } while (f.calls >= f.at);
  assert_true(f.at > 3);
}

FAR(a_sync_that_failed_is_told_however_often_it_is_asked) {
  told_once(*state, make_pending, move_dead);
  told_once(*state, make_broken, move_dead);
}

/* Purged by its name right after the start, before any scan: what a loss of power left of the copy
 * does not bring it back. */
static bool purge(struct box *b) {
  struct letter one = {.token = "a.json", .when_us = TIME_NONE};
  store_purge(b->store, &one, 1);
  if (one.status != ST_NOT_FOUND) assert_int_equal(one.status, ST_OK);
  return one.status == ST_OK;
}

static void check_purged(struct box *b, bool said_done) {
  bool raw = exists(b, "dlq/a.raw"), whole = raw || !strstr(text_of(b, "dlq/a.json"), "inode");
  bool purged = purge(b);
  assert_true(purged || !said_done);
  for (int i = 0; i < 3; i++) {
    store_rescan(b->store);
    box_take_all(b);
    if (purged && whole) assert_int_equal(b->count, 0);
    box_release_all(b);
  }
  if (purged && whole) assert_int_equal(files_in(b, ".") + names_in(b, "dlq"), 0);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
}

FAR(what_is_purged_after_a_loss_of_power_stays_away) {
  struct box *b = *state;
  far_disks(b);
  try_all_power(b, make_pending, move_dead, check_purged);
  far_disks(b);
  try_all_power(b, make_broken, move_dead, check_purged);
}

/* The at-th sync of a folder fails, what it was to make durable never is, and the kernel says yes
 * to whoever asks once more. */
static bool fail_one_sync(struct box *b, make_fn make, move_fn move, check_fn check, unsigned at) {
  struct power_walk w = {0};
  box_stop(b);
  clear(b);
  box_start(b);
  make(b);
  far_disks(b);
  power_on(b->dir);
  power.fail_sync_at = at;
  enum status st = move(b);
  bool met = power.sync_calls >= at;
  for (int tries = 0; tries < 4 && st != ST_OK; tries++) st = move(b);
  assert_int_equal(st, ST_OK);
  bool synced = store_sync(b->store, NULL) == ST_OK;
  power_off();
  box_stop(b);
  w.from = power.call_count;
  while (power_next(&w)) {
    if (getenv("BUSBRIDGE_POWER_SHOW")) printf("sync %u failed\n", at), power_show(&w);
    box_start(b);
    store_rescan(b->store);
    check(b, synced);
    box_stop(b);
  }
  power_end();
  box_start(b);
  return met;
}

FAR(what_a_failed_sync_was_to_keep_is_made_anew) {
  unsigned at = 1, raw = 1;
  while (fail_one_sync(*state, make_pending, move_dead, check_dead, at)) at++;
  while (fail_one_sync(*state, make_broken, move_dead, check_raw, raw)) raw++;
  assert_true(at > 5 && raw > 5);
}

/* What a crash left of a copy, under a name nobody looks at, goes when it is old. */
FAR(half_a_copy_is_no_letter) {
  struct box *b = *state;
  struct test_clock clock;
  put(b, "dlq/.busbridge-1.0.00.tmp", "half");
  store_rescan(b->store), box_take_all(b);
  assert_int_equal(box_counts(b).dead, 0);
  assert_true(exists(b, "dlq/.busbridge-1.0.00.tmp"));
  clock_begin(&clock);
  clock.wall_us += INT64_C(7200000000);
  box_stop(b);
  b->options.clock = &clock.clock;
  box_start(b);
  box_take_all(b);
  assert_int_equal(files_in(b, "dlq"), 0);
  box_stop(b);
  b->options.clock = &clock_system;
  box_start(b);
}

FAR(a_sparse_giant_keeps_its_holes) {
  struct box *b = *state;
  struct stat st;
  int fd = open(path_of(b, "a.json"), O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
  assert_int_equal(ftruncate(fd, INT64_C(1) << 33), 0);
  assert_int_equal(pwrite(fd, "x", 1, 1 << 30), 1);
  close(fd);
  take(b, "a.json!too_large");
  box_dead(b, &b->refs[0], REASON_TOO_LARGE);
  assert_int_equal(stat(path_of(b, "dlq/a.raw"), &st), 0);
  assert_true(st.st_size == INT64_C(1) << 33 && st.st_blocks < 10000);
  assert_false(exists(b, "a.json"));
}

/* ---- all of it, and what is refused ---- */

static int near_open(void **state) {
  *state = box_new("file");
  return 0;
}

FAR(all_moves_work_over_a_real_boundary) {
  struct box *b = *state;
  box_stop(b);
  b->config.keep_sent = true;
  box_start(b);
  for (later = 0; later < 2; later++) { /* the second time there is one of that name */
    make_pending(b);
    box_done_all(b);
    make_pending(b);
    box_dead(b, &b->refs[0], REASON_BAD_NAME);
    make_broken(b);
    box_dead(b, &b->refs[0], REASON_NOT_JSON);
  }
  later = 0;
  assert_int_equal(names_in(b, "sent"), 2);
  assert_int_equal(names_in(b, "dlq"), 6);
  assert_int_equal(files_in(b, "."), 0);
  assert_true(mtime_of(b, "dlq/a.json") == NS);
  OK(store_replay(b->store, SHELF_DEAD, "a.json", &b->err));
  assert_string_equal(box_take_some(b), "a");
  assert_int_equal(names_in(b, "dlq"), 5);
  OK(store_replay(b->store, SHELF_DEAD, "a__1.json", &b->err));
  assert_string_equal(text_of(b, "a__1.json"), BROKEN);
  assert_int_equal(names_in(b, "dlq"), 3);
  assert_int_equal(files_in(b, ".busbridge/tmp"), 0);
  box_stop(b);
  /* A crash left a replay in tmp, and dlq/ is not mounted: nobody can tell what became of it, so it
   * waits. */
  put(b, ".busbridge/tmp/home-1-1-0-x.json", "{}");
  assert_int_equal(umount2(path_of(b, "dlq"), MNT_DETACH) + umount2(path_of(b, "sent"), MNT_DETACH),
                   0);
  box_start(b);
  assert_true(exists(b, ".busbridge/tmp/home-1-1-0-x.json") && !exists(b, "x.json"));
}

#define NEAR(name) TEST_WITH(name, near_open, box_free)

NEAR(pending_on_another_file_system_is_refused_with_the_remedy) {
  struct box *b = *state;
  static const char *const folders[] = {"pending", ".busbridge/tmp"};
  assert_int_equal(mkdir(path_of(b, "pending"), 0770), 0);
  box_stop(b);
  for (size_t i = 0; i < 2; i++) {
    assert_true(mounted(b, folders[i]));
    box_meet(b);
    OK(store_lock(b->store, 0, &b->err));
    assert_int_equal(store_begin(b->store, &b->config, &b->err), ST_INVALID);
    assert_non_null(strstr(b->err.text, folders[i]));
    assert_non_null(strstr(b->err.text, "mount the outbox as a whole"));
    box_stop(b);
    assert_int_equal(umount2(path_of(b, folders[i]), MNT_DETACH), 0);
  }
  box_start(b);
  /* Mounted later, it is named and left alone. */
  assert_true(mounted(b, "pending"));
  put_entry(b, "pending/a.json", "a", "pending", "2025-01-01T00:00:00");
  store_rescan(b->store);
  assert_string_equal(box_take_all(b), "");
  assert_int_equal(umount2(path_of(b, "pending"), MNT_DETACH), 0);
}

static bool write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0) close(fd);
  return ok;
}

static bool may_mount(void) {
  char map[60];
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    snprintf(map, sizeof map, "0 %u 1", uid);
    bool ok = write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    if (!ok || !write_file("/proc/self/gid_map", map)) return false;
  }
  return mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
}

int main(void) {
  if (!may_mount()) {
    printf("SKIPPED: no right to mount a file system\n");
    return 77;
  }
  return tests_run();
}
