/* What is marked is known at the next start, what is not marked is not, whatever the file
 * holds. Real crashes are in crash_test.c. */
#include "bridge/relay/crash_marks.h"

/* enum place is the store's. */
#define place room
#include "tests/unit/place.h"
#undef place

#include <pthread.h>
#include <signal.h>

static struct crash_marks *open_crash_marks(const struct room *p) {
  struct crash_marks *h = NULL;
  struct error err = {0};
  if (crash_marks_open(p->in, p->to, &h, &err) != ST_OK) fail_msg("%s", err.text);
  assert_int_equal(entries(p->to), 0);
  return h;
}

/* A run that is ended by this entry. */
static void crash_on(const struct room *p, struct span name) {
  struct crash_marks *h = open_crash_marks(p);
  crash_marks_take(h, CRASH_READER, name);
  assert_non_null(crash_marks_add());
  crash_marks_drop(h, CRASH_READER);
  crash_marks_close(h);
}

static unsigned times(const struct room *p, struct span name) {
  struct crash_marks *h = open_crash_marks(p);
  unsigned n = crash_marks_suspected(h, name);
  crash_marks_close(h);
  return n;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_run_that_marks_nothing_suspects_nobody) {
  struct room *p = *state;
  struct crash_marks *h = open_crash_marks(p);
  assert_null(crash_marks_add()); /* before anything was taken */
  crash_marks_take(h, CRASH_READER, SPAN("a.json"));
  crash_marks_take(h, CRASH_READER, SPAN("b.json"));
  crash_marks_drop(h, CRASH_READER);
  assert_null(crash_marks_add());
  crash_marks_take(h, CRASH_PUBLISHER, SPAN("c.json"));
  crash_marks_drop(h, CRASH_READER); /* the other one's */
  crash_marks_drop(h, CRASH_PUBLISHER);
  crash_marks_close(h); /* kill -9 leaves the same file */
  assert_int_equal(times(p, SPAN("a.json")), 0);
  assert_int_equal(times(p, SPAN("b.json")), 0);
  assert_int_equal(times(p, SPAN("c.json")), 0);
}

CASE(a_mark_is_counted_at_each_next_start) {
  struct room *p = *state;
  crash_on(p, SPAN("pending/x.json"));
  for (int i = 0; i < 3; i++)
    assert_int_equal(times(p, SPAN("pending/x.json")), 1); /* counted once */
  assert_int_equal(times(p, SPAN("x.json")), 0);
  assert_int_equal(times(p, SPAN("pending/x.jso")), 0);
  assert_int_equal(times(p, SPAN("pending/x.json2")), 0);
  crash_on(p, SPAN("pending/x.json"));
  crash_on(p, SPAN("y.json"));
  assert_int_equal(times(p, SPAN("pending/x.json")), 2);
  assert_int_equal(times(p, SPAN("y.json")), 1);
}

CASE(both_slots_can_be_marked_in_one_run) {
  struct room *p = *state;
  struct crash_marks *h = open_crash_marks(p);
  crash_marks_take(h, CRASH_READER, SPAN("a.json"));
  const struct crash_mark *mark = crash_marks_add();
  assert_string_equal(mark->token, "a.json");
  assert_int_equal(mark->times, 1);
  crash_marks_take(h, CRASH_PUBLISHER, SPAN("pending/b.json"));
  mark = crash_marks_add();
  assert_string_equal(mark->token, "pending/b.json");
  crash_marks_drop(h, CRASH_PUBLISHER);
  crash_marks_close(h);
  assert_int_equal(times(p, SPAN("a.json")), 1);
  assert_int_equal(times(p, SPAN("pending/b.json")), 1);
}

CASE(the_handler_is_told_how_often_it_was) {
  struct room *p = *state;
  crash_on(p, SPAN("other.json"));
  for (unsigned n = 1; n <= 3; n++) {
    struct crash_marks *h = open_crash_marks(p);
    crash_marks_take(h, CRASH_PUBLISHER, SPAN("x.json"));
    assert_int_equal(crash_marks_add()->times, n);
    crash_marks_drop(h, CRASH_PUBLISHER);
    crash_marks_close(h);
  }
}

CASE(what_was_settled_is_forgotten_for_good) {
  struct room *p = *state;
  static const char *const names[] = {"a", "b", "c"};
  for (int i = 0; i < 3; i++) crash_on(p, span_of(names[i]));
  struct crash_marks *h = open_crash_marks(p);
  crash_marks_clear(h, SPAN("pending/b")); /* another one */
  crash_marks_clear(h, SPAN("b"));
  crash_marks_clear(h, SPAN("b"));
  crash_marks_clear(h, SPAN("d"));
  assert_int_equal(crash_marks_suspected(h, SPAN("b")), 0);
  assert_int_equal(crash_marks_suspected(h, SPAN("a")), 1);
  assert_int_equal(crash_marks_suspected(h, SPAN("c")), 1);
  crash_marks_close(h);
  assert_int_equal(times(p, SPAN("a")), 1);
  assert_int_equal(times(p, SPAN("b")), 0);
  assert_int_equal(times(p, SPAN("c")), 1);
  h = open_crash_marks(p);
  crash_marks_clear(h, SPAN("a"));
  crash_marks_clear(h, SPAN("c"));
  crash_marks_clear(h, SPAN("c"));
  crash_marks_close(h);
  for (int i = 0; i < 3; i++) assert_int_equal(times(p, span_of(names[i])), 0);
}

CASE(the_oldest_makes_room) {
  struct room *p = *state;
  char name[32];
  for (int i = 0; i < CRASH_SUSPECTS + 2; i++) {
    snprintf(name, sizeof name, "%d.json", i);
    crash_on(p, span_of(name));
  }
  for (int i = 0; i < CRASH_SUSPECTS + 2; i++) {
    snprintf(name, sizeof name, "%d.json", i);
    assert_int_equal(times(p, span_of(name)), i >= 2);
  }
  crash_on(p, SPAN("2.json")); /* one that is known needs none */
  assert_int_equal(times(p, SPAN("2.json")), 2);
  assert_int_equal(times(p, SPAN("3.json")), 1);
}

/* A file name has up to 255 bytes, and pending/ stands before it. */
CASE(tokens_of_any_length_are_told_apart) {
  struct room *p = *state;
  char name[300], other[300];
  memset(name, 'n', sizeof name);
  memset(other, 'n', sizeof other);
  static const size_t lengths[] = {254, 255, 256, 263, 300};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    struct span token = {name, lengths[i]}, last_differs = {other, lengths[i]};
    other[lengths[i] - 1] = 'x';
    assert_int_equal(times(p, token), 0);
    crash_on(p, token);
    crash_on(p, token);
    assert_int_equal(times(p, token), 2);
    assert_int_equal(times(p, last_differs), 0);
    other[lengths[i] - 1] = 'n';
  }
  crash_on(p, SPAN(""));
  assert_int_equal(times(p, (struct span){NULL, 0}), 1);
}

/* ---- the file ---- */

enum {
  MAGIC = 16,
  MARK = sizeof(struct crash_mark),
  WHOLE = MAGIC + MARK * (CRASH_SLOTS + CRASH_SUSPECTS)
};

static void damage(const struct room *p, off_t at, const void *bytes, size_t len) {
  int fd = openat(p->in, "hands", O_WRONLY | O_CLOEXEC);
  assert_int_equal(pwrite(fd, bytes, len, at), len);
  close(fd);
}

CASE(a_start_with_nothing_new_writes_nothing) {
  struct room *p = *state;
  struct hook h = {0};
  struct stat st;
  crash_on(p, SPAN("x.json"));
  assert_int_equal(times(p, SPAN("x.json")), 1);
  assert_int_equal(fstatat(p->in, "hands", &st, 0), 0);
  assert_int_equal(st.st_size, WHOLE);
  durable_set_hook(on_point, &h);
  assert_int_equal(times(p, SPAN("x.json")), 1);
  assert_string_equal(h.order, "");
}

CASE(a_damaged_file_begins_anew) {
  struct room *p = *state;
  static const uint32_t version = 2;
  for (int i = 0; i < 5; i++) {
    crash_on(p, SPAN("x.json"));
    assert_int_equal(times(p, SPAN("x.json")), 1);
    if (i == 0) damage(p, 0, "B", 1);
    if (i == 1) damage(p, 12, &version, sizeof version);
    if (i == 2) damage(p, WHOLE, "", 1); /* longer by one */
    if (i == 3) put(p->in, "hands", "short");
    if (i == 4) put(p->in, "hands", "");
    assert_int_equal(times(p, SPAN("x.json")), 0);
  }
}

CASE(damaged_records_are_passed_over) {
  struct room *p = *state;
  char text[MARK];
  static const uint32_t place = 77;
  memset(text, 'x', sizeof text);
  for (int i = 0; i < 4; i++) {
    char name[16];
    snprintf(name, sizeof name, "%d", i);
    crash_on(p, span_of(name));
  }
  assert_int_equal(times(p, SPAN("3")), 1);
  damage(p, MAGIC + MARK * (CRASH_SLOTS + 0), text, CRASH_TOKEN); /* no end */
  damage(p, MAGIC + MARK * (CRASH_SLOTS + 2) + CRASH_TOKEN, &place, sizeof place);
  damage(p, MAGIC, text, sizeof text);
  damage(p, MAGIC + MARK + CRASH_TOKEN + 4, "\1", 1); /* marked, with no name: the empty one */
  assert_int_equal(times(p, SPAN("1")), 1);
  assert_int_equal(times(p, SPAN("3")), 1);
  assert_int_equal(times(p, SPAN("0")), 0);
  assert_int_equal(times(p, SPAN("2")), 0);
  assert_int_equal(times(p, SPAN("")), 1);
}

/* 0.1.0 kept the folder beside the name. */
CASE(what_0_1_0_marked_in_pending_is_known_by_its_token) {
  struct room *p = *state;
  static const uint32_t pending = 1;
  crash_on(p, SPAN("x.json"));
  damage(p, MAGIC + CRASH_TOKEN, &pending, sizeof pending);
  assert_int_equal(times(p, SPAN("pending/x.json")), 1);
  assert_int_equal(times(p, SPAN("x.json")), 0);
  crash_on(p, SPAN("y.json"));
  damage(p, MAGIC + MARK * (CRASH_SLOTS + 1) + CRASH_TOKEN, &pending, sizeof pending);
  assert_int_equal(times(p, SPAN("pending/x.json")), 1);
  assert_int_equal(times(p, SPAN("y.json")), 1);
}

CASE(a_count_does_not_wrap) {
  struct room *p = *state;
  crash_on(p, SPAN("x"));
  assert_int_equal(times(p, SPAN("x")), 1);
  damage(p, MAGIC + MARK * CRASH_SLOTS + CRASH_TOKEN + 4, "\xff\xff\xff\xff", 4);
  crash_on(p, SPAN("x"));
  assert_true(times(p, SPAN("x")) == UINT32_MAX);
}

CASE(a_link_is_not_followed) {
  struct room *p = *state;
  struct stat st;
  put(p->top, "elsewhere", "precious");
  assert_int_equal(symlinkat("../elsewhere", p->in, "hands"), 0);
  crash_on(p, SPAN("x"));
  assert_int_equal(fstatat(p->in, "hands", &st, AT_SYMLINK_NOFOLLOW), 0);
  assert_true(S_ISREG(st.st_mode));
  assert_true(is_text(p->top, "elsewhere", "precious"));
  assert_int_equal(unlinkat(p->in, "hands", 0), 0);
  assert_int_equal(mkdirat(p->in, "hands", 0700), 0);
  struct crash_marks *h = (void *)p;
  assert_int_not_equal(crash_marks_open(p->in, p->to, &h, NULL), ST_OK);
  assert_null(h);
}

/* Each call of the start fails, before it was made and after: what was marked is still known. */
CASE(no_failure_at_the_start_loses_a_mark) {
  struct room *p = *state;
  struct crash_marks *h;
  int failed = 0;
  for (int at = 1;; at++, failed++) {
    struct hook hook = {.at = at, .err = ENOSPC};
    crash_on(p, SPAN("x"));
    durable_set_hook(on_point, &hook);
    enum status st = crash_marks_open(p->in, p->to, &h, NULL);
    durable_set_hook(NULL, NULL);
    if (st != ST_OK) assert_null(h);
    crash_marks_close(h);
    h = NULL;
    assert_int_equal(crash_marks_open(p->in, p->to, &h, NULL), ST_OK);
    assert_int_equal(crash_marks_suspected(h, SPAN("x")), 1);
    crash_marks_clear(h, SPAN("x"));
    crash_marks_close(h);
    if (!hook.hit) break;
  }
  assert_true(failed >= 8);
}

/* ---- threads ---- */

CASE(nothing_is_noted_without_marks) {
  assert_int_equal(crash_marks_enter(NULL, CRASH_READER, NULL), ST_OK);
  crash_marks_take(NULL, CRASH_READER, SPAN("x"));
  assert_null(crash_marks_add());
  crash_marks_drop(NULL, CRASH_READER);
  assert_int_equal(crash_marks_suspected(NULL, SPAN("x")), 0);
  crash_marks_clear(NULL, SPAN("x"));
  crash_marks_leave(NULL, CRASH_READER);
  crash_marks_close(NULL);
}

CASE(the_stack_is_there_between_entering_and_leaving) {
  struct room *p = *state;
  struct crash_marks *h = open_crash_marks(p);
  stack_t before, within, after;
  assert_int_equal(sigaltstack(NULL, &before), 0);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(crash_marks_enter(h, CRASH_READER, NULL), ST_OK);
    assert_int_equal(sigaltstack(NULL, &within), 0);
    assert_false(within.ss_flags & SS_DISABLE);
    crash_marks_take(h, CRASH_READER, SPAN("x"));
    crash_marks_leave(h, CRASH_READER);
    assert_null(crash_marks_add());
    assert_int_equal(sigaltstack(NULL, &after), 0);
    assert_int_equal(after.ss_flags & SS_DISABLE, before.ss_flags & SS_DISABLE);
  }
  crash_marks_leave(h, CRASH_PUBLISHER); /* that never entered */
  crash_marks_close(h);
}

enum { ROUNDS = 2000 };

static void *work(void *ctx) {
  struct crash_marks *h = ctx;
  uintptr_t found = 0;
  for (int i = 0; i < ROUNDS; i++) {
    crash_marks_take(h, CRASH_READER, SPAN("b"));
    found += crash_marks_suspected(h, SPAN("b"));
    crash_marks_drop(h, CRASH_READER);
  }
  return (void *)found;
}

CASE(the_finisher_clears_while_the_reader_asks) {
  struct room *p = *state;
  pthread_t reader;
  void *found;
  crash_on(p, SPAN("a"));
  crash_on(p, SPAN("b"));
  struct crash_marks *h = open_crash_marks(p);
  assert_int_equal(pthread_create(&reader, NULL, work, h), 0);
  crash_marks_take(h, CRASH_PUBLISHER, SPAN("a"));
  crash_marks_clear(h, SPAN("a"));
  assert_string_equal(crash_marks_add()->token,
                      "a"); /* this thread's, whatever the other one has */
  crash_marks_drop(h, CRASH_PUBLISHER);
  assert_int_equal(pthread_join(reader, &found), 0);
  assert_int_equal((uintptr_t)found, ROUNDS);
  assert_int_equal(crash_marks_suspected(h, SPAN("a")), 0);
  crash_marks_close(h);
}
