/* Durable: what each function does. What a failing call or a crash leaves: durable_faults_test.c.
 */
#include "tests/unit/place.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

static const struct timespec old_time = {.tv_sec = 1234567890, .tv_nsec = 123456000};

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_failure_names_the_step_the_file_and_the_cause) {
  struct place *p = *state;
  static const struct {
    int at, sys;
    enum status st;
    const char *text;
  } rows[] = {{1, EMFILE, ST_NO_SPACE, "creating a: Too many open files"},
              {3, ENOSPC, ST_NO_SPACE, "writing a: No space left on device"},
              {5, EPERM, ST_DENIED, "setting the time of a: Operation not permitted"},
              {7, EDQUOT, ST_NO_SPACE, "syncing a: Disk quota exceeded"},
              {8, EIO, ST_IO, "syncing a: Input/output error"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct hook h = {.at = rows[i].at, .err = rows[i].sys};
    struct error err = {0};
    durable_set_hook(on_point, &h);
    assert_int_equal(durable_write_new(p->in, "a", SPAN("x"), &old_time, &err), rows[i].st);
    assert_string_equal(err.text, rows[i].text);
    assert_int_equal(err.sys, rows[i].sys);
  }
}

CASE(write_new_never_touches_what_is_there) {
  struct place *p = *state;
  put(p->in, "a", "mine");
  assert_int_equal(symlinkat("nowhere", p->in, "link"), 0);
  assert_int_equal(durable_write_new(p->in, "a", SPAN("x"), NULL, NULL), ST_EXISTS);
  assert_int_equal(durable_write_new(p->in, "link", SPAN("x"), NULL, NULL), ST_EXISTS);
  assert_true(is_text(p->in, "a", "mine"));
  assert_int_equal(entries(p->in), 2);
}

CASE(write_new_obeys_the_umask_and_takes_empty_content) {
  struct place *p = *state;
  struct stat s;
  mode_t old = umask(027);
  enum status st = durable_write_new(p->in, "a", (struct span){NULL, 0}, NULL, NULL);
  umask(old);
  assert_int_equal(st, ST_OK);
  assert_int_equal(fstatat(p->in, "a", &s, 0), 0);
  assert_true((s.st_mode & 0777) == 0640 && s.st_size == 0);
}

/* A limit on file size makes write(2) take a part and then refuse the rest. */
CASE(a_short_write_goes_on_and_its_failure_is_cleaned_up) {
  struct place *p = *state;
  static char large[8192];
  struct rlimit old, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  small = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
  put(p->in, "log", "line\n");
  int fd = openat(p->in, "log", O_WRONLY | O_APPEND | O_CLOEXEC);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  struct hook h = {0};
  durable_set_hook(on_point, &h);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  enum status wrote = durable_write_new(p->in, "a", (struct span){large, sizeof large}, NULL, NULL);
  enum status appended = durable_append_sync(fd, (struct span){large, sizeof large}, NULL);
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, handler);
  close(fd);
  assert_int_equal(wrote, ST_NO_SPACE);
  assert_int_equal(appended, ST_NO_SPACE);
  assert_string_equal(h.order, "O+W+WU+W+WC+");
  assert_true(is_text(p->in, "a", NULL) && is_text(p->in, "log", "line\n"));
}

CASE(appending_goes_to_the_end_after_a_failure_too) {
  struct place *p = *state;
  put(p->in, "a", "1");
  int fd = openat(p->in, "a", O_RDWR | O_CLOEXEC); /* not O_APPEND, and its position is the start */
  struct hook h = {.at = 3, .err = EIO};
  durable_set_hook(on_point, &h);
  assert_int_equal(durable_append_sync(fd, SPAN("lost"), NULL), ST_IO);
  assert_int_equal(durable_append_sync(fd, SPAN("2"), NULL), ST_OK);
  close(fd);
  assert_true(is_text(p->in, "a", "12"));
}

CASE(what_cannot_be_appended_to_is_refused) {
  int ends[2];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  assert_int_equal(durable_append_sync(ends[1], SPAN("x"), NULL), ST_IO);
  close(ends[0]);
  close(ends[1]);
  assert_int_equal(durable_append_sync(-1, SPAN("x"), NULL), ST_IO);
}

CASE(replace_makes_a_file_that_was_not_there) {
  struct place *p = *state;
  assert_int_equal(durable_replace(p->in, p->to, "a", SPAN("new"), NULL), ST_OK);
  assert_true(is_text(p->to, "a", "new"));
  assert_int_equal(entries(p->in), 0);
  struct error err = {0};
  assert_int_equal(durable_replace(p->in, p->to, "no/such", SPAN("new"), &err), ST_NOT_FOUND);
  assert_non_null(strstr(err.text, "no/such"));
}

CASE(replace_fails_when_the_folder_is_not_synced) {
  struct place *p = *state;
  put(p->to, "a", "old");
  struct hook h = {
      .at = 10, .err = EIO}; /* U once, for there is nothing to remove, OWFR twice each, then F */
  struct error err = {0};
  durable_set_hook(on_point, &h);
  assert_int_equal(durable_replace(p->in, p->to, "a", SPAN("new"), &err), ST_IO);
  assert_int_equal(h.op, DURABLE_FSYNC);
  assert_string_equal(err.text, "syncing the folder: Input/output error");
  assert_true(is_text(p->to, "a", "new")); /* whole, but not sure to stay */
}

CASE(move_does_not_lose_a_file_moved_onto_itself) {
  struct place *p = *state;
  static const int missing[] = {0, EINVAL, EOPNOTSUPP};
  put(p->in, "a", "a");
  assert_int_equal(linkat(p->in, "a", p->in, "second", 0), 0);
  for (size_t i = 0; i < 3; i++) {
    struct hook h = {.plain = missing[i]};
    durable_set_hook(on_point, &h);
    assert_int_equal(durable_move(p->in, "a", p->in, "a", NULL), ST_EXISTS);
    assert_true(is_text(p->in, "a", "a"));
    assert_int_equal(durable_move(p->in, "gone", p->in, "a", NULL), ST_NOT_FOUND);
    assert_int_equal(durable_move(p->in, "gone", p->to, "b", NULL), ST_NOT_FOUND);
  }
}

/* Same name in two folders: not the same place. */
CASE(a_move_by_links_that_stopped_half_way_is_finished) {
  struct place *p = *state;
  put(p->in, "a", "a");
  assert_int_equal(linkat(p->in, "a", p->to, "a", 0), 0);
  struct hook h = {.plain = EINVAL};
  durable_set_hook(on_point, &h);
  assert_int_equal(durable_move(p->in, "a", p->to, "a", NULL), ST_OK);
  assert_true(is_text(p->in, "a", NULL) && is_text(p->to, "a", "a"));
}

CASE(exchange_says_what_is_missing) {
  struct place *p = *state;
  put(p->in, "a", "a");
  assert_int_equal(durable_exchange(p->in, "a", p->to, "b", NULL), ST_NOT_FOUND);
  assert_int_equal(durable_exchange(p->to, "b", p->in, "a", NULL), ST_NOT_FOUND);
  put(p->to, "b", "b");
  struct hook h = {.plain = EINVAL};
  struct error err = {0};
  durable_set_hook(on_point, &h);
  assert_int_equal(durable_exchange(p->in, "a", p->to, "b", &err), ST_UNSUPPORTED);
  assert_string_equal(err.text, "this file system cannot exchange a and b");
  assert_true(is_text(p->in, "a", "a") && is_text(p->to, "b", "b"));
}

CASE(what_is_gone_is_not_found) {
  struct place *p = *state;
  struct error err = {0};
  assert_int_equal(durable_unlink(p->in, "a", &err), ST_NOT_FOUND);
  assert_string_equal(err.text, "removing a: No such file or directory");
  assert_int_equal(durable_rename(p->in, "a", p->to, "b", NULL), ST_NOT_FOUND);
  assert_int_equal(durable_sync_folder(-1, NULL), ST_IO);
}

CASE(folder_opens_what_is_there_and_follows_no_link) {
  struct place *p = *state;
  int fd;
  struct hook h = {0};
  assert_int_equal(symlinkat("../to", p->in, "link"), 0);
  put(p->in, "file", "x");
  durable_set_hook(on_point, &h);
  assert_int_equal(durable_folder(p->top, "in", 0700, &fd, NULL), ST_OK);
  close(fd);
  assert_string_equal(h.order, "O+");
  assert_int_equal(durable_folder(p->in, "link", 0700, &fd, NULL), ST_NOT_FOUND);
  assert_int_equal(fd, -1);
  assert_int_equal(durable_folder(p->in, "file", 0700, &fd, NULL), ST_NOT_FOUND);
  assert_int_equal(durable_folder(p->in, "no/such", 0700, &fd, NULL), ST_NOT_FOUND);
}

/* ---- file_read ---- */

CASE(a_file_is_read_up_to_its_limit) {
  struct place *p = *state;
  struct buffer out = {0};
  struct error err = {0};
  buffer_add_z(&out, "kept ");
  put(p->in, "a", "0123456789");
  put(p->in, "empty", "");
  assert_int_equal(file_read(p->in, "a", 10, &out, &err), ST_OK);
  assert_int_equal(file_read(p->in, "empty", 0, &out, &err), ST_OK);
  assert_string_equal(buffer_z(&out), "kept 0123456789");
  assert_int_equal(file_read(p->in, "a", 9, &out, &err), ST_TOO_LARGE);
  assert_string_equal(err.text, "a is larger than 9 bytes");
  assert_int_equal(file_read(p->in, "none", 9, &out, &err), ST_NOT_FOUND);
  assert_string_equal(buffer_z(&out), "kept 0123456789");
  buffer_release(&out);
}

CASE(a_sparse_giant_is_refused_unread) {
  struct place *p = *state;
  struct buffer out = {0};
  put(p->in, "a", "x");
  int fd = openat(p->in, "a", O_WRONLY | O_CLOEXEC);
  assert_int_equal(ftruncate(fd, (off_t)1 << 32), 0);
  close(fd);
  assert_int_equal(file_read(p->in, "a", 1 << 20, &out, NULL), ST_TOO_LARGE);
  assert_int_equal(out.cap, 0);
  buffer_release(&out);
}

/* Files of /proc say a size of 0 and give more: like one that grows while it is read. */
CASE(a_file_larger_than_it_said_is_bounded_all_the_same) {
  struct buffer out = {0};
  int proc = opened(AT_FDCWD, "/proc/self");
  assert_true(proc >= 0);
  assert_int_equal(file_read(proc, "status", 1 << 20, &out, NULL), ST_OK);
  assert_true(out.len > 100);
  buffer_clear(&out);
  assert_int_equal(file_read(proc, "status", 100, &out, NULL), ST_TOO_LARGE);
  assert_int_equal(out.len, 0);
  assert_int_equal(file_read(proc, "mem", 100, &out, NULL), ST_IO); /* nothing lies at address 0 */
  close(proc);
  buffer_release(&out);
}

CASE(what_is_no_regular_file_is_refused_without_blocking) {
  struct place *p = *state;
  struct buffer out = {0};
  put(p->in, "a", "x");
  assert_int_equal(symlinkat("a", p->in, "link"), 0);
  assert_int_equal(mkfifoat(p->in, "fifo", 0600), 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  assert_true((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/in/socket", p->root) <
              sizeof address.sun_path);
  int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(sock, (const struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(file_read(p->in, "fifo", 100, &out, NULL), ST_INVALID);
  assert_int_equal(file_read(p->top, "in", 100, &out, NULL), ST_INVALID);
  assert_int_equal(file_read(p->in, "link", 100, &out, NULL), ST_IO);
  assert_int_equal(file_read(p->in, "socket", 100, &out, NULL), ST_IO);
  assert_int_equal(out.len, 0);
  close(sock);
  buffer_release(&out);
}

CASE(reading_into_a_failed_buffer_is_out_of_memory) {
  struct place *p = *state;
  struct buffer out = {.failed = true};
  put(p->in, "a", "x");
  assert_int_equal(file_read(p->in, "a", 100, &out, NULL), ST_NO_MEMORY);
  buffer_release(&out);
}
