/* Durable: what each function leaves when any one of its calls fails or the process ends there. */
#include "tests/unit/place.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- one scenario for each function, run with each of its points failing ---- */

static const struct timespec old_time = {.tv_sec = 1234567890, .tv_nsec = 123456000};

struct scenario {
  const char *name, *order; /* its calls when all is well */
  int plain;
  void (*prepare)(const struct place *p);
  enum status (*run)(const struct place *p);
  /* crashed: nobody saw st. single: exactly one call failed, so that clean-up worked. */
  void (*check)(const struct place *p, enum status st, const struct hook *h, bool crashed,
                bool single);
};

static void prepare_nothing(const struct place *p) {
  (void)p;
}
static enum status run_write_new(const struct place *p) {
  return durable_write_new(p->in, "a", SPAN("new"), &old_time, NULL);
}
static void check_write_new(const struct place *p, enum status st, const struct hook *h,
                            bool crashed, bool single) {
  (void)h;
  if (crashed) return; /* a half file may be there: the header says so */
  struct stat s;
  if (st == ST_OK) {
    assert_true(is_text(p->in, "a", "new"));
    assert_int_equal(fstatat(p->in, "a", &s, 0), 0);
    assert_true(s.st_mtim.tv_sec == old_time.tv_sec && s.st_mtim.tv_nsec == old_time.tv_nsec);
  } else if (single) {
    assert_int_equal(entries(p->in), 0);
  }
}

static void prepare_replace(const struct place *p) {
  char stale[64];
  put(p->to, "a", "old");
  snprintf(stale, sizeof stale, "a.%ld.tmp", (long)getpid());
  put(p->in, stale, "left by a run before");
}
static enum status run_replace(const struct place *p) {
  return durable_replace(p->in, p->to, "a", SPAN("new"), NULL);
}
static void check_replace(const struct place *p, enum status st, const struct hook *h, bool crashed,
                          bool single) {
  bool is_new = is_text(p->to, "a", "new");
  assert_true(is_new || is_text(p->to, "a", "old"));
  assert_int_equal(entries(p->to), 1);
  if (crashed) return;
  if (st == ST_OK) assert_true(is_new && entries(p->in) == 0);
  /* The new one only where the rename itself was made. */
  if (single && is_new && st != ST_OK)
    assert_true(h->op == DURABLE_RENAME || h->op == DURABLE_FSYNC);
  if (single && is_new && h->op == DURABLE_FSYNC && st != ST_OK)
    assert_memory_equal(h->order, "U+O+W+F+R+F", 11);
  if (single && h->hit && h->op != DURABLE_UNLINK) assert_int_equal(entries(p->in), 0);
}

static void prepare_move(const struct place *p) {
  put(p->in, "a", "a");
}
static enum status run_move(const struct place *p) {
  return durable_move(p->in, "a", p->to, "b", NULL);
}
static void check_move(const struct place *p, enum status st, const struct hook *h, bool crashed,
                       bool single) {
  (void)h, (void)single;
  bool here = is_text(p->in, "a", "a"), there = is_text(p->to, "b", "a");
  assert_true(here || there);
  if (!crashed && st == ST_OK) assert_true(there && !here);
  durable_set_hook(NULL, NULL); /* the next try, on the same file system, comes to the end */
  if (!here) return;
  struct hook again = {.plain = h->plain};
  durable_set_hook(on_point, &again);
  assert_int_equal(run_move(p), ST_OK);
  assert_true(is_text(p->in, "a", NULL) && is_text(p->to, "b", "a"));
}

static void prepare_taken(const struct place *p) {
  put(p->in, "a", "a");
  put(p->to, "b", "b");
}
static enum status run_move_taken(const struct place *p) {
  enum status st = durable_move(p->in, "a", p->to, "b", NULL);
  assert_int_not_equal(st, ST_OK);
  return st == ST_EXISTS ? ST_OK : st; /* what is right here */
}
static void check_taken(const struct place *p, enum status st, const struct hook *h, bool crashed,
                        bool single) {
  (void)st, (void)h, (void)crashed, (void)single;
  assert_true(is_text(p->in, "a", "a") && is_text(p->to, "b", "b"));
}

static enum status run_exchange(const struct place *p) {
  return durable_exchange(p->in, "a", p->to, "b", NULL);
}
static void check_exchange(const struct place *p, enum status st, const struct hook *h,
                           bool crashed, bool single) {
  (void)h, (void)single;
  bool swapped = is_text(p->in, "a", "b") && is_text(p->to, "b", "a");
  assert_true(swapped || (is_text(p->in, "a", "a") && is_text(p->to, "b", "b")));
  if (!crashed && st == ST_OK) assert_true(swapped);
}

static enum status run_rename(const struct place *p) {
  return durable_rename(p->in, "a", p->to, "b", NULL);
}
static void check_rename(const struct place *p, enum status st, const struct hook *h, bool crashed,
                         bool single) {
  (void)h, (void)single;
  bool done = is_text(p->in, "a", NULL) && is_text(p->to, "b", "a");
  assert_true(done || (is_text(p->in, "a", "a") && is_text(p->to, "b", "b")));
  if (!crashed && st == ST_OK) assert_true(done);
}

static enum status run_unlink(const struct place *p) {
  return durable_unlink(p->in, "a", NULL);
}
static void check_unlink(const struct place *p, enum status st, const struct hook *h, bool crashed,
                         bool single) {
  (void)h, (void)single;
  if (!crashed && st == ST_OK) assert_int_equal(entries(p->in), 0);
}

static enum status run_sync_folder(const struct place *p) {
  return durable_sync_folder(p->in, NULL);
}
static void check_nothing(const struct place *p, enum status st, const struct hook *h, bool crashed,
                          bool single) {
  (void)p, (void)st, (void)h, (void)crashed, (void)single;
}

static enum status run_append(const struct place *p) {
  int fd = openat(p->in, "a", O_WRONLY | O_CLOEXEC);
  enum status st = durable_append_sync(fd, SPAN("+more"), NULL);
  close(fd);
  return st;
}
static void check_append(const struct place *p, enum status st, const struct hook *h, bool crashed,
                         bool single) {
  (void)h;
  bool done = is_text(p->in, "a", "a+more");
  assert_true(done || is_text(p->in, "a", "a"));
  if (!crashed && st == ST_OK) assert_true(done);
  if (!crashed && st != ST_OK && single) assert_false(done);
}

static enum status run_folder(const struct place *p) {
  int fd = -2;
  enum status st = durable_folder(p->in, "d", 0750, &fd, NULL);
  struct stat s;
  if (st == ST_OK)
    assert_true(fstat(fd, &s) == 0 && S_ISDIR(s.st_mode) && (s.st_mode & 0777) == 0750);
  else
    assert_int_equal(fd, -1);
  if (fd >= 0) close(fd);
  return st;
}
static void check_folder(const struct place *p, enum status st, const struct hook *h, bool crashed,
                         bool single) {
  if (crashed) return;
  if (st == ST_OK) assert_int_equal(entries(p->in), 1);
  /* Else the next call would find it and take it for synced. */
  if (single && h->hit && h->op == DURABLE_FSYNC) assert_int_equal(entries(p->in), 0);
}

static const struct scenario scenarios[] = {
    {"write_new", "O+W+T+F+", 0, prepare_nothing, run_write_new, check_write_new},
    {"replace", "U+O+W+F+R+F+", 0, prepare_replace, run_replace, check_replace},
    {"move", "R+", 0, prepare_move, run_move, check_move},
    {"move, no flags", "RL+U+", EINVAL, prepare_move, run_move, check_move},
    {"move, no call", "RL+U+", ENOSYS, prepare_move, run_move, check_move},
    {"move, taken", "R", 0, prepare_taken, run_move_taken, check_taken},
    {"move, taken, no flags", "RL", EINVAL, prepare_taken, run_move_taken, check_taken},
    {"exchange", "R+", 0, prepare_taken, run_exchange, check_exchange},
    {"rename", "R+", 0, prepare_taken, run_rename, check_rename},
    {"unlink", "U+", 0, prepare_move, run_unlink, check_unlink},
    {"sync_folder", "F+", 0, prepare_nothing, run_sync_folder, check_nothing},
    {"append_sync", "W+F+", 0, prepare_move, run_append, check_append},
    {"folder", "OM+F+O+", 0, prepare_nothing, run_folder, check_folder},
};
enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static enum status play(const struct scenario *s, const struct place *p, struct hook *h) {
  durable_set_hook(on_point, h);
  enum status st = s->run(p);
  durable_set_hook(NULL, NULL);
  return st;
}

/* Runs it in a place of its own. Returns the points it passed. */
static int attempt(const struct scenario *s, struct hook h, bool crash) {
  void *state;
  assert_int_equal(setup(&state), 0);
  h.plain = s->plain;
  enum status st = ST_OK;
  if (crash) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
      s->prepare(state); /* here: one of them names a file by the pid */
      play(s, state, &h);
      _exit(0);
    }
    int how = 0;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 42);
  } else {
    s->prepare(state);
    st = play(s, state, &h);
    if (!h.at) assert_string_equal(h.order, s->order);
    if (h.hit ? st == ST_OK : st != ST_OK)
      fail_msg("%s: point %d: %s", s->name, h.at, status_name(st));
  }
  s->check(state, st, &h, crash, !h.for_ever);
  assert_int_equal(teardown(&state), 0);
  return h.points;
}

TEST(all_goes_well_and_every_call_is_a_fault_point) {
  for (int i = 0; i < SCENARIOS; i++)
    assert_true(attempt(&scenarios[i], (struct hook){0}, false) > 0);
}

TEST(no_success_when_any_one_call_fails) {
  static const int codes[] = {EIO, ENOSPC, EDQUOT, EROFS, EMFILE};
  for (int i = 0; i < SCENARIOS; i++) {
    int points = attempt(&scenarios[i], (struct hook){0}, false);
    for (int at = 1; at <= points; at++)
      for (size_t c = 0; c < sizeof codes / sizeof *codes; c++)
        attempt(&scenarios[i], (struct hook){.at = at, .err = codes[c]}, false);
  }
}

/* The kernel takes what fits below the limit, and refuses the rest of it. */
static void limit_files(rlim_t size, struct rlimit *before) {
  assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){size, before->rlim_max}), 0);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_write_that_ends_anywhere_leaves_the_old) {
  struct place *p = *state;
  static const char text[] = "what does not fit";
  struct rlimit before;
  put(p->to, "a", "old");
  for (rlim_t size = 0; size <= strlen(text); size++) {
    bool fits = size == strlen(text);
    limit_files(size, &before);
    enum status written = durable_write_new(p->in, "b", span_of(text), NULL, NULL);
    enum status replaced = durable_replace(p->in, p->to, "a", span_of(text), NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(written == ST_OK, fits);
    assert_int_equal(replaced == ST_OK, fits);
    assert_int_equal(entries(p->in), fits);
    assert_true(is_text(p->to, "a", fits ? text : "old"));
  }
}

CASE(an_append_that_ends_anywhere_is_cut_back) {
  struct place *p = *state;
  struct rlimit before;
  put(p->in, "a", "old");
  for (rlim_t size = 3; size <= 8; size++) {
    int fd = openat(p->in, "a", O_WRONLY | O_CLOEXEC);
    limit_files(size, &before);
    enum status st = durable_append_sync(fd, SPAN("+more"), NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    close(fd);
    assert_int_equal(st == ST_OK, size == 8);
    assert_true(is_text(p->in, "a", size == 8 ? "old+more" : "old"));
  }
}

TEST(no_success_when_the_disk_fails_for_good) {
  for (int i = 0; i < SCENARIOS; i++) {
    int points = attempt(&scenarios[i], (struct hook){0}, false);
    for (int at = 1; at <= points; at++)
      attempt(&scenarios[i], (struct hook){.at = at, .err = EROFS, .for_ever = true}, false);
  }
}

TEST(a_crash_at_any_point_leaves_old_or_new) {
  for (int i = 0; i < SCENARIOS; i++) {
    int points = attempt(&scenarios[i], (struct hook){0}, false);
    for (int at = 1; at <= points; at++)
      attempt(&scenarios[i], (struct hook){.at = at, .exits = true}, true);
  }
}
