/* What is due, on disk: parts, giving up, failing disks. */
#include "bridge/base/disk/durable.h"
#include "bridge/outbox/file/records/keys_due.h"
#include "tests/support/folder.h"
#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
  char folder[64];
  int fd;
  struct fs_keys_due *d;
  uint64_t given_up; /* since it was opened */
  struct error err;
  int fail_op, fail_errno; /* of the hook; -1: none */
};

static int hook(void *ctx, enum durable_op op, const char *name, bool after) {
  struct fixture *f = ctx;
  (void)name;
  return !after && (int)op == f->fail_op ? f->fail_errno : 0;
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  folder_make(f->folder, sizeof f->folder, "keys-due");
  f->fd = open(f->folder, O_RDONLY | O_DIRECTORY);
  assert_true(f->fd >= 0);
  f->fail_op = -1;
  durable_set_hook(hook, f);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  durable_set_hook(NULL, NULL);
  fs_keys_due_close(f->d);
  close(f->fd);
  int rc = folder_remove(f->folder);
  free(f);
  return rc;
}

static void reopen(struct fixture *f, size_t part_max) {
  fs_keys_due_close(f->d);
  f->d = NULL;
  f->given_up = 0;
  enum status st = fs_keys_due_open(f->fd, part_max * DUE_PARTS, false, NULL, &f->d, &f->err);
  if (st != ST_OK) print_error("%s\n", f->err.text);
  assert_int_equal(st, ST_OK);
}

static enum status add(struct fixture *f, int number) {
  char id[16];
  bool done = false;
  snprintf(id, sizeof id, "id-%d", number);
  struct key key = {span_of(id), SPAN("p/0/1")};
  return fs_keys_due_add(f->d, &key, &done, 1, &f->given_up, &f->err);
}

static void add_all(struct fixture *f, int from, int to) {
  for (int i = from; i < to; i++) assert_int_equal(add(f, i), ST_OK);
}

static bool has(struct fixture *f, int number) {
  char id[16];
  snprintf(id, sizeof id, "id-%d", number);
  return fs_keys_due_has(f->d, span_of(id));
}

static uint64_t due(struct fixture *f) {
  return fs_keys_due_count(f->d);
}

static bool there(struct fixture *f, const char *name) {
  return faccessat(f->fd, name, F_OK, 0) == 0;
}

/* Takes everything, at most max at a time, and checks that it is first, first + 1, ... */
static void drain(struct fixture *f, int first, int count, size_t max) {
  struct key list[16];
  size_t n;
  int next = first;
  for (;;) {
    assert_int_equal(fs_keys_due_read(f->d, list, max, &n, &f->err), ST_OK);
    if (n == 0) break;
    for (size_t i = 0; i < n; i++) {
      char id[16];
      snprintf(id, sizeof id, "id-%d", next++);
      assert_true(span_is(list[i].id, id));
      assert_true(span_is(list[i].place, "p/0/1"));
    }
    assert_int_equal(fs_keys_due_drop(f->d, &f->err), ST_OK);
  }
  assert_int_equal(next, first + count);
  assert_int_equal(due(f), 0);
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(ids_come_out_in_the_order_they_went_in) {
  struct fixture *f = *state;
  reopen(f, 4);
  add_all(f, 0, 11);
  assert_int_equal(due(f), 11);
  assert_true(there(f, "keys-due-1") && there(f, "keys-due-2") && there(f, "keys-due"));
  assert_true(has(f, 0) && has(f, 10));
  assert_false(has(f, 11));
  drain(f, 0, 11, 3);
  assert_false(there(f, "keys-due-1") || there(f, "keys-due-2") || there(f, "keys-due"));
  assert_false(has(f, 0));
  add_all(f, 20, 21);
  drain(f, 20, 1, 16);
}

CASE(parts_are_found_again) {
  struct fixture *f = *state;
  reopen(f, 4);
  add_all(f, 0, 11);
  reopen(f, 4);
  assert_int_equal(due(f), 11);
  assert_true(has(f, 0) && has(f, 10));
  add_all(f, 11, 14);
  assert_true(there(f, "keys-due-3"));
  drain(f, 0, 14, 16);
}

CASE(what_was_told_in_part_is_told_again_after_a_restart) {
  struct fixture *f = *state;
  struct key list[3];
  size_t n;
  reopen(f, 100);
  add_all(f, 0, 5);
  assert_int_equal(fs_keys_due_read(f->d, list, 3, &n, &f->err), ST_OK);
  assert_int_equal(fs_keys_due_drop(f->d, &f->err), ST_OK);
  assert_int_equal(due(f), 2);
  reopen(f, 100);
  drain(f, 0, 5, 16);
}

CASE(the_oldest_are_given_up_when_there_are_too_many) {
  struct fixture *f = *state;
  reopen(f, 2);
  add_all(f, 0, 2 * DUE_PARTS);
  assert_int_equal(f->given_up, 0);
  add_all(f, 2 * DUE_PARTS, 2 * DUE_PARTS + 1);
  assert_int_equal(f->given_up, 2);
  assert_false(has(f, 0) || has(f, 1));
  assert_true(has(f, 2));
  add_all(f, 2 * DUE_PARTS + 1, 100);
  assert_true(due(f) <= 2 * DUE_PARTS);
  assert_int_equal(due(f) + f->given_up, 100);
  drain(f, (int)f->given_up, (int)(100 - f->given_up), 16);
}

CASE(when_the_oldest_cannot_be_removed_the_last_part_grows) {
  struct fixture *f = *state;
  reopen(f, 2);
  add_all(f, 0, 2 * DUE_PARTS);
  f->fail_op = DURABLE_UNLINK;
  f->fail_errno = EIO;
  add_all(f, 2 * DUE_PARTS, 30);
  assert_int_equal(due(f), 30);
  assert_int_equal(f->given_up, 0);
  struct key list[16];
  size_t n;
  assert_int_equal(fs_keys_due_read(f->d, list, 2, &n, &f->err), ST_OK);
  assert_int_equal(fs_keys_due_drop(f->d, &f->err), ST_IO);
  f->fail_op = -1;
  drain(f, 2, 28, 16);
}

CASE(a_part_that_cannot_be_renamed_grows) {
  struct fixture *f = *state;
  reopen(f, 2);
  add_all(f, 0, 2);
  f->fail_op = DURABLE_RENAME;
  f->fail_errno = EIO;
  add_all(f, 2, 5);
  assert_false(there(f, "keys-due-1"));
  f->fail_op = -1;
  add_all(f, 5, 6);
  assert_true(there(f, "keys-due-1"));
  drain(f, 0, 6, 16);
}

CASE(a_full_disk_is_told_and_leaves_no_wrong_line) {
  struct fixture *f = *state;
  reopen(f, 100);
  add_all(f, 0, 1);
  f->fail_op = DURABLE_FSYNC;
  f->fail_errno = ENOSPC;
  assert_int_equal(add(f, 1), ST_NO_SPACE);
  assert_false(has(f, 1));
  f->fail_op = -1;
  /* as if the cutting back had failed too */
  int fd = openat(f->fd, "keys-due", O_WRONLY | O_APPEND);
  assert_int_equal(write(fd, "id-77 p", 7), 7);
  close(fd);
  add_all(f, 1, 2);
  /* half a line is ended, and is then a line of its own: told too much is no harm, told wrong would
   * be */
  reopen(f, 100);
  assert_true(has(f, 0) && has(f, 1) && has(f, 77));
  assert_int_equal(due(f), 3);
}

CASE(an_id_that_is_no_word_is_not_written) {
  struct fixture *f = *state;
  const struct key list[4] = {{SPAN("a b"), SPAN("p")},
                              {SPAN(""), SPAN("p")},
                              {SPAN("x\ny"), SPAN("p")},
                              {SPAN("good"), SPAN("b ad")}};
  const bool done[4] = {false};
  reopen(f, 100);
  assert_int_equal(fs_keys_due_add(f->d, list, done, 3, &f->given_up, &f->err), ST_OK);
  assert_false(there(f, "keys-due"));
  assert_int_equal(fs_keys_due_add(f->d, list, done, 4, &f->given_up, &f->err), ST_OK);
  assert_int_equal(due(f), 1);
  struct key out[4];
  size_t n;
  assert_int_equal(fs_keys_due_read(f->d, out, 4, &n, &f->err), ST_OK);
  assert_int_equal(n, 1);
  assert_true(span_is(out[0].id, "good"));
  assert_int_equal(out[0].place.len, 0);
}

CASE(a_file_of_rubbish_is_passed_over) {
  struct fixture *f = *state;
  struct buffer rubbish = {0};
  for (int i = 0; i < 600000; i++) buffer_add_char(&rubbish, (char)('a' + i % 26));
  buffer_add_z(&rubbish, "\nid-5 p/0/1\n");
  int fd = openat(f->fd, "keys-due-7", O_WRONLY | O_CREAT, 0600);
  assert_int_equal(write(fd, rubbish.ptr, rubbish.len), rubbish.len);
  close(fd);
  buffer_release(&rubbish);
  fd = openat(f->fd, "keys-due-x", O_WRONLY | O_CREAT, 0600); /* not one of ours */
  close(fd);
  reopen(f, 1);
  assert_int_equal(due(f), 1);
  add_all(f, 6, 8);
  assert_true(there(f, "keys-due-8"));
  drain(f, 5, 3, 16);
  assert_true(there(f, "keys-due-x"));
}

CASE(a_link_is_not_followed) {
  struct fixture *f = *state;
  assert_int_equal(symlinkat("/tmp/keys-due-elsewhere", f->fd, "keys-due"), 0);
  assert_int_not_equal(fs_keys_due_open(f->fd, 80, false, NULL, &f->d, &f->err), ST_OK);
  assert_null(f->d);
}

CASE(who_inspects_knows_all_and_changes_nothing) {
  struct fixture *f = *state;
  struct stat before, after;
  reopen(f, 2);
  add_all(f, 0, 5);
  int fd = openat(f->fd, "keys-due", O_WRONLY | O_APPEND);
  assert_int_equal(write(fd, "id-9 half", 9), 9);
  close(fd);
  assert_int_equal(fstatat(f->fd, "keys-due", &before, 0), 0);
  fs_keys_due_close(f->d);
  f->d = NULL;
  assert_int_equal(fs_keys_due_open(f->fd, 16, true, NULL, &f->d, &f->err), ST_OK);
  assert_int_equal(due(f), 5);
  assert_true(has(f, 0) && has(f, 4) && !has(f, 9));
  assert_int_equal(fstatat(f->fd, "keys-due", &after, 0), 0);
  assert_int_equal(before.st_size, after.st_size);
}
