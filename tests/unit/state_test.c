/* What lies in .busbridge: identity, lock, temporary files. */
#include "bridge/outbox/file/site/state.h"
#include "tests/unit/files.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int box_open(void **state) {
  struct box *b = box_new("file");
  box_stop(b);
  *state = b;
  return 0;
}

static struct state *state_of(struct box *b, bool create) {
  struct state *s = NULL;
  OK(state_open(b->dir, create, &clock_system, &s, &b->err));
  return s;
}

#define CASE(name) TEST_WITH(name, box_open, box_free)

CASE(the_id_is_made_once) {
  struct box *b = *state;
  char id[37];
  struct state *s = state_of(b, true);
  snprintf(id, sizeof id, "%s", state_id(s));
  assert_int_equal(strlen(id), 36);
  state_close(s);
  s = state_of(b, false);
  assert_string_equal(state_id(s), id);
  assert_true(state_folder(s) >= 0 && state_tmp(s) >= 0 && state_outbox(s) >= 0);
  assert_string_equal(state_path(s), b->dir);
  state_close(s);
}

CASE(opening_without_create_changes_nothing) {
  struct box *b = *state;
  assert_int_equal(mkdir(path_of(b, "sub"), 0755), 0);
  struct state *s = NULL;
  OK(state_open(path_of(b, "sub"), false, &clock_system, &s, &b->err));
  assert_int_equal(state_folder(s), -1);
  assert_int_equal(state_tmp(s), -1);
  assert_string_equal(state_id(s), "");
  assert_int_equal(state_lock_holder(s), 0);
  assert_int_equal(state_check(s, &b->err), ST_BUSY);
  assert_int_equal(state_lock(s, 0, &b->err), ST_NOT_FOUND);
  assert_false(exists(b, "sub/.busbridge"));
  state_close(s);
}

CASE(a_folder_without_id_is_fine_when_nothing_may_change) {
  struct box *b = *state;
  assert_int_equal(unlink(path_of(b, ".busbridge/id")), 0);
  struct state *s = state_of(b, false);
  assert_string_equal(state_id(s), "");
  state_close(s);
}

CASE(a_renewed_id_is_another_and_whoever_locks_next_has_it) {
  struct box *b = *state;
  char was[37];
  struct state *s = state_of(b, true), *waiting = state_of(b, true);
  snprintf(was, sizeof was, "%s", state_id(s));
  OK(state_lock(s, 0, &b->err));
  OK(state_renew_id(s, &b->err));
  assert_int_equal(strlen(state_id(s)), 36);
  assert_string_not_equal(state_id(s), was);
  snprintf(was, sizeof was, "%s", state_id(s));
  state_close(s);
  OK(state_lock(waiting, 0, &b->err)); /* it had read the old one */
  assert_string_equal(state_id(waiting), was);
  state_close(waiting);
}

CASE(errors_name_the_folder_and_the_remedy) {
  struct box *b = *state;
  struct state *s = NULL;
  char path[300];
  snprintf(path, sizeof path, "%s/no/where", b->dir);
  assert_int_equal(state_open(path, true, &clock_system, &s, &b->err), ST_NOT_FOUND);
  assert_non_null(strstr(b->err.text, "mkdir -p"));
  assert_non_null(strstr(b->err.text, path));
  put(b, "file", "x");
  assert_int_equal(state_open(path_of(b, "file"), true, &clock_system, &s, &b->err), ST_INVALID);
  put(b, ".busbridge/id", "not a uuid\n");
  assert_int_equal(state_open(b->dir, true, &clock_system, &s, &b->err), ST_INVALID);
  assert_non_null(strstr(b->err.text, "restore it"));
  put(b, ".busbridge/id", "XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX\n");
  assert_int_equal(state_open(b->dir, true, &clock_system, &s, &b->err), ST_INVALID);
  assert_null(s);
  state_close(NULL);
}

CASE(a_folder_that_is_not_ours_to_write_is_denied) {
  struct box *b = *state;
  struct state *s = NULL;
  assert_int_equal(chmod(b->dir, 0555), 0);
  bool root = geteuid() == 0;
  if (root) assert_int_equal(seteuid(65534), 0);
  assert_int_equal(state_open(b->dir, true, &clock_system, &s, &b->err), ST_DENIED);
  if (root) assert_int_equal(seteuid(0), 0);
  assert_non_null(strstr(b->err.text, b->dir));
  assert_non_null(strstr(b->err.text, "writing into the outbox folder"));
  assert_non_null(strstr(b->err.text, ", mode 0555, and this is uid "));
  assert_int_equal(chmod(b->dir, 0755), 0);
}

CASE(the_lock_is_for_one_and_says_who_holds_it) {
  struct box *b = *state;
  struct state *one = state_of(b, true), *two = state_of(b, true);
  assert_int_equal(state_check(one, &b->err), ST_BUSY);
  assert_int_equal(state_lock_holder(two), 0);
  OK(state_lock(one, 0, &b->err));
  OK(state_check(one, &b->err));
  assert_int_equal(state_lock_holder(one), getpid());
  assert_int_equal(state_lock_holder(two), getpid());
  assert_int_equal(state_lock(two, 60, &b->err), ST_BUSY);
  char pid[40];
  snprintf(pid, sizeof pid, "held by pid %d on ", (int)getpid());
  assert_non_null(strstr(b->err.text, pid));
  assert_non_null(strstr(b->err.text, " since 2"));
  assert_non_null(strstr(b->err.text, "SIGTERM"));
  assert_int_equal(state_check(two, &b->err), ST_BUSY);
  state_close(one);
  assert_int_equal(state_lock_holder(two), 0);
  OK(state_lock(two, 0, &b->err));
  state_close(two);
}

CASE(a_lock_whose_text_is_unknown_is_still_held) {
  struct box *b = *state;
  struct state *s = state_of(b, true);
  put(b, ".busbridge/lock", "");
  int fd = open(path_of(b, ".busbridge/lock"), O_RDWR | O_CLOEXEC);
  assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
  assert_int_equal(state_lock_holder(s), -1);
  assert_int_equal(state_lock(s, 0, &b->err), ST_BUSY);
  assert_non_null(strstr(b->err.text, "another process"));
  close(fd);
  state_close(s);
}

CASE(a_replaced_lock_is_not_ours_any_more) {
  struct box *b = *state;
  struct state *one = state_of(b, true), *two = state_of(b, true);
  OK(state_lock(one, 0, &b->err));
  assert_int_equal(unlink(path_of(b, ".busbridge/lock")), 0);
  assert_int_equal(state_check(one, &b->err), ST_BUSY);
  OK(state_lock(two, 0, &b->err)); /* as a lost node's successor would */
  assert_int_equal(state_check(one, &b->err), ST_BUSY);
  OK(state_check(two, &b->err));
  state_close(one);
  OK(state_check(two, &b->err));
  put(b, ".busbridge/lock", "1 h 2025 other-nonce\n"); /* the same file, another run's nonce */
  assert_int_equal(state_check(two, &b->err), ST_BUSY);
  state_close(two);
}

static void lost_with(struct box *b, struct state *s, const char *words) {
  assert_int_equal(state_check(s, &b->err), ST_BUSY);
  if (!strstr(b->err.text, words)) fail_msg("\"%s\" is not in: %s", words, b->err.text);
}

CASE(another_folder_in_the_place_of_the_outbox_has_not_our_lock) {
  struct box *b = *state;
  char moved[300];
  struct state *s = state_of(b, true);
  OK(state_lock(s, 0, &b->err));
  snprintf(moved, sizeof moved, "%s-moved", b->dir);
  assert_int_equal(rename(b->dir, moved), 0);
  lost_with(b, s, "is gone");
  assert_int_equal(mkdir(b->dir, 0755), 0);
  lost_with(b, s, "another folder lies in the place of the outbox");
  assert_int_equal(rmdir(b->dir), 0);
  assert_int_equal(rename(moved, b->dir), 0);
  OK(state_check(s, &b->err));
  state_close(s);
}

CASE(another_folder_of_state_or_none_has_not_our_lock) {
  struct box *b = *state;
  struct state *s = state_of(b, true);
  OK(state_lock(s, 0, &b->err));
  assert_int_equal(rename(path_of(b, ".busbridge"), path_of(b, "away")), 0);
  lost_with(b, s, ".busbridge is gone");
  assert_int_equal(mkdir(path_of(b, ".busbridge"), 0770), 0);
  lost_with(b, s, "another .busbridge");
  assert_int_equal(rmdir(path_of(b, ".busbridge")), 0);
  assert_int_equal(rename(path_of(b, "away"), path_of(b, ".busbridge")), 0);
  OK(state_check(s, &b->err));
  state_close(s);
}

CASE(an_outbox_that_cannot_be_looked_at_is_not_said_to_be_lost) {
  struct box *b = *state;
  struct state *s = state_of(b, true);
  OK(state_lock(s, 0, &b->err));
  struct rlimit was, none;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  none = (struct rlimit){3, was.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  OK(state_check(s, &b->err)); /* it needs no descriptor */
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  assert_int_equal(chmod(b->dir, 0), 0);
  bool root = geteuid() == 0;
  if (root) assert_int_equal(seteuid(65534), 0);
  assert_int_equal(state_check(s, &b->err), ST_DENIED);
  if (root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(chmod(b->dir, 0755), 0);
  OK(state_check(s, &b->err));
  state_close(s);
}

CASE(tmp_is_made_again_when_it_goes_or_is_exchanged) {
  struct box *b = *state;
  struct state *s = state_of(b, true);
  bool remade;
  OK(state_lock(s, 0, &b->err));
  OK(state_keep_tmp(s, &remade, &b->err));
  assert_false(remade);
  int number = state_tmp(s);
  assert_int_equal(rmdir(path_of(b, ".busbridge/tmp")), 0);
  OK(state_check(s, &b->err));
  assert_true(exists(b, ".busbridge/tmp"));
  assert_int_equal(state_tmp(s), number); /* others go on using it */
  OK(durable_write_new(state_tmp(s), "x", SPAN("x"), NULL, &b->err));
  assert_true(exists(b, ".busbridge/tmp/x"));
  assert_int_equal(rename(path_of(b, ".busbridge/tmp"), path_of(b, ".busbridge/old")), 0);
  OK(state_keep_tmp(s, &remade, &b->err));
  assert_true(remade);
  OK(durable_write_new(state_tmp(s), "y", SPAN("y"), NULL, &b->err));
  assert_true(exists(b, ".busbridge/tmp/y") && !exists(b, ".busbridge/old/y"));
  assert_int_equal(unlink(path_of(b, ".busbridge/tmp/y")) + rmdir(path_of(b, ".busbridge/tmp")), 0);
  put(b, ".busbridge/tmp", "a file");
  assert_int_equal(state_check(s, &b->err), ST_IO); /* neither lost nor "not found" */
  assert_non_null(strstr(b->err.text, ".busbridge/tmp"));
  state_close(s);
}

CASE(what_is_written_does_without_a_tmp_that_somebody_removed) {
  struct box *b = *state;
  struct state *s = state_of(b, true);
  char was[40];
  snprintf(was, sizeof was, "%s", state_id(s));
  OK(state_lock(s, 0, &b->err));
  assert_int_equal(rmdir(path_of(b, ".busbridge/tmp")), 0);
  OK(state_renew_id(s, &b->err));
  assert_string_not_equal(state_id(s), was);
  assert_int_equal(rmdir(path_of(b, ".busbridge/tmp")), 0);
  OK(state_note_write(s, NOTE_PAUSE, SPAN("{}"), &b->err));
  assert_true(exists(b, ".busbridge/paused"));
  state_close(s);
}

CASE(what_was_left_in_tmp_goes_when_the_lock_is_taken_and_not_before) {
  struct box *b = *state;
  put(b, ".busbridge/tmp/1.tmp", "x");
  box_meet(b);
  assert_true(exists(b, ".busbridge/tmp/1.tmp")); /* somebody may be using it */
  OK(store_lock(b->store, 0, &b->err));
  assert_false(exists(b, ".busbridge/tmp/1.tmp"));
  box_stop(b);
  put(b, ".busbridge/tmp/1.tmp", "x");
  b->options.create = false;
  box_meet(b);
  OK(store_lock(b->store, 0, &b->err));
  assert_true(exists(b, ".busbridge/tmp/1.tmp"));
}

/* ---- somebody else's by now ---- */

static void clear_tmp(struct box *b) {
  DIR *d = opendir(path_of(b, ".busbridge/tmp"));
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_type == DT_REG) assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
  closedir(d);
}

struct thief {
  struct box *b;
  enum durable_op at;
  struct state *other;
};
/* Before that call of the one who stands still; as a new owner does, it clears tmp. */
static int take_over(void *ctx, enum durable_op op, const char *name, bool after) {
  struct thief *t = ctx;
  if (after || op != t->at) return 0;
  durable_set_hook(NULL, NULL);
  (void)name;
  assert_int_equal(unlink(path_of(t->b, ".busbridge/lock")), 0);
  t->other = state_of(t->b, true);
  assert_int_equal(state_lock(t->other, 0, NULL), ST_OK);
  clear_tmp(t->b);
  assert_int_equal(state_replace(t->other, "holds", SPAN("theirs"), NULL), ST_OK);
  return 0;
}

CASE(one_that_was_taken_over_replaces_nothing) {
  struct box *b = *state;
  static const enum durable_op moments[] = {DURABLE_OPEN, DURABLE_FSYNC, DURABLE_RENAME};
  for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
    struct thief t = {.b = b, .at = moments[i]};
    struct state *s = state_of(b, true);
    OK(state_lock(s, 0, &b->err));
    OK(state_replace(s, "holds", SPAN("ours"), &b->err));
    assert_string_equal(text_of(b, ".busbridge/holds"), "ours");
    durable_set_hook(take_over, &t);
    enum status st = state_replace(s, "holds", SPAN("ours again"), &b->err);
    durable_set_hook(NULL, NULL);
    assert_non_null(t.other);
    assert_string_equal(text_of(b, ".busbridge/holds"), "theirs");
    assert_int_equal(st, ST_BUSY);
    state_close(s);
    state_close(t.other);
  }
}

/* ---- faults ---- */

struct fault {
  unsigned at, calls;
};
static int fail_at(void *ctx, enum durable_op op, const char *name, bool after) {
  struct fault *f = ctx;
  (void)op, (void)name;
  return !after && ++f->calls == f->at ? ENOSPC : 0;
}

static const char *sub_path(const char *folder, const char *name) {
  static char path[100];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

CASE(any_failing_call_is_told_and_can_be_tried_again) {
  struct box *b = *state;
  unsigned unmarked = 0;
  for (unsigned at = 1;; at++) {
    char sub[40];
    struct state *s = NULL;
    snprintf(sub, sizeof sub, "new%u", at);
    assert_int_equal(mkdir(path_of(b, sub), 0755), 0);
    struct fault f = {.at = at};
    durable_set_hook(fail_at, &f);
    enum status st = state_open(path_of(b, sub), true, &clock_system, &s, &b->err);
    if (st == ST_OK) st = state_lock(s, 0, &b->err);
    durable_set_hook(NULL, NULL);
    state_close(s);
    if (f.calls < at) break;
    unmarked += st == ST_OK; /* the marker of its format is written when there is room */
    assert_true(st == ST_NO_SPACE || st == ST_OK);
    OK(state_open(path_of(b, sub), true, &clock_system, &s, &b->err));
    assert_int_equal(strlen(state_id(s)), 36);
    OK(state_lock(s, 0, &b->err));
    assert_string_equal(text_of(b, sub_path(sub, ".busbridge/format")),
                        "2 " BUSBRIDGE_VERSION "\n");
    state_close(s);
  }
  assert_true(unmarked >= 3); /* it is written and renamed, and both are synced */
}
