/* Crash handler: children that end in each way; what the next start knows, and what was said. */
#include "bridge/service/process/crash.h"

/* enum place is the store's. */
#define place room
#include "tests/unit/place.h"
#undef place

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Sanitizers would take the process's end by a signal for a finding of theirs, where they see it
 * first. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "allow_user_segv_handler=1:handle_abort=0";
}

typedef void (*child_fn)(struct crash_marks *h);

struct ended {
  int signal; /* that ended it, 0: it exited */
  char said[2000];
};

/* Until it sleeps in its system call: valgrind loses a signal that a handler raised again while the
 * process ran. */
static void await_sleep(pid_t pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  for (int i = 0; i < 60000; i++) {
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    const char *state = strrchr(text, ')');
    if (state && strncmp(state, ") S", 3) == 0) return;
    poll(NULL, 0, 1);
  }
  fail_msg("the child does not sleep");
}

/* Runs the child with its stderr in a pipe, kills it with `sent` once it is ready (0: it ends by
 * itself). */
static struct ended run(const struct room *p, child_fn child, int sent) {
  struct ended e = {0};
  int said[2], ready[2], status;
  char c;
  assert_int_equal(pipe2(said, O_CLOEXEC), 0);
  assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct crash_marks *h = NULL;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (dup2(said[1], STDERR_FILENO) < 0 || crash_marks_open(p->in, p->to, &h, NULL) != ST_OK)
      _exit(99);
    if (crash_install(NULL) != ST_OK || crash_marks_enter(h, CRASH_READER, NULL) != ST_OK)
      _exit(98);
    child(h);
    if (write(ready[1], "r", 1) != 1) _exit(97);
    if (sent) poll(NULL, 0, 600000);
    _exit(0);
  }
  close(said[1]);
  close(ready[1]);
  if (sent) {
    assert_int_equal(read(ready[0], &c, 1), 1);
    await_sleep(pid);
    assert_int_equal(kill(pid, sent), 0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (WIFSIGNALED(status)) e.signal = WTERMSIG(status);
  if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
  for (ssize_t n, at = 0; (n = read(said[0], e.said + at, sizeof e.said - 1 - (size_t)at)) > 0;)
    at += n;
  close(said[0]);
  close(ready[0]);
  return e;
}

static unsigned times(const struct room *p, const char *name) {
  struct crash_marks *h = NULL;
  assert_int_equal(crash_marks_open(p->in, p->to, &h, NULL), ST_OK);
  unsigned n = crash_marks_suspected(h, span_of(name));
  crash_marks_close(h);
  return n;
}

static void take(struct crash_marks *h) {
  crash_marks_take(h, CRASH_READER, SPAN("pending/x.json"));
}

static void take_and_raise_segv(struct crash_marks *h) {
  take(h);
  raise(SIGSEGV);
}
static void take_and_raise_bus(struct crash_marks *h) {
  take(h);
  raise(SIGBUS);
}
static void take_and_raise_fpe(struct crash_marks *h) {
  take(h);
  raise(SIGFPE);
}
static void take_and_abort(struct crash_marks *h) {
  take(h);
  abort();
}
static void take_and_break_an_invariant(struct crash_marks *h) {
  take(h);
  BUG_ON(h);
}
static void take_and_touch_a_page_that_is_not_there(struct crash_marks *h) {
  take(h);
  volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *page = 1;
}

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(a_crash_in_each_way_is_counted_and_said) {
  static const struct {
    child_fn child;
    int signal;
    const char *name;
  } ways[] = {{take_and_raise_segv, SIGSEGV, "SIGSEGV"},
              {take_and_raise_bus, SIGBUS, "SIGBUS"},
              {take_and_raise_fpe, SIGFPE, "SIGFPE"},
              {take_and_abort, SIGABRT, "SIGABRT"},
              {take_and_break_an_invariant, SIGABRT, "SIGABRT"},
              {take_and_touch_a_page_that_is_not_there, SIGSEGV, "SIGSEGV"}};
  struct room *p = *state;
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
    char line[200];
    struct ended e = run(p, ways[i].child, 0);
    assert_int_equal(e.signal, ways[i].signal);
    snprintf(
        line, sizeof line,
        "busbridge-worker: crashed (%s) while working on pending/x.json; it is tried once more, alone\n",
        ways[i].name);
    if (!strstr(e.said, line)) fail_msg("'%s' is not in '%s'", line, e.said);
    struct crash_marks *h = NULL;
    assert_int_equal(crash_marks_open(p->in, p->to, &h, NULL), ST_OK);
    assert_int_equal(crash_marks_suspected(h, SPAN("pending/x.json")), 1);
    crash_marks_clear(h, SPAN("pending/x.json"));
    crash_marks_close(h);
  }
}

CASE(the_second_crash_says_what_becomes_of_it) {
  struct room *p = *state;
  run(p, take_and_abort, 0);
  struct ended e = run(p, take_and_raise_segv, 0);
  assert_int_equal(e.signal, SIGSEGV);
  assert_string_equal(
      e.said,
      "busbridge-worker: crashed (SIGSEGV) while working on pending/x.json; it did so before, "
      "and becomes a dead letter\n");
  assert_int_equal(times(p, "pending/x.json"), 2);
}

CASE(what_is_no_crash_of_ours_marks_nothing) {
  static const int sent[] = {SIGKILL, SIGABRT, SIGSEGV, SIGTERM};
  struct room *p = *state;
  for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
    struct ended e = run(p, take, sent[i]);
    assert_int_equal(e.signal, sent[i]);
    assert_string_equal(e.said, "");
    assert_int_equal(times(p, "pending/x.json"), 0);
  }
  assert_int_equal(run(p, take, 0).signal, 0); /* _exit */
  assert_int_equal(times(p, "pending/x.json"), 0);
}

static void drop_and_abort(struct crash_marks *h) {
  take(h);
  crash_marks_drop(h, CRASH_READER);
  abort();
}

CASE(with_nothing_in_hand_nobody_is_blamed) {
  struct room *p = *state;
  struct ended e = run(p, drop_and_abort, 0);
  assert_int_equal(e.signal, SIGABRT);
  assert_string_equal(e.said,
                      "busbridge-worker: crashed (SIGABRT), not while working on an entry\n");
  assert_int_equal(times(p, "pending/x.json"), 0);
}

/* The handler, called as the kernel would, with the signal blocked: it comes back, so what it
 * leaves can be seen. */
CASE(the_end_is_left_to_the_default_action) {
  struct room *p = *state;
  struct sigaction before, ours, after;
  struct crash_marks *h = NULL;
  sigset_t abrt, mask, pending;
  siginfo_t info = {.si_code = SI_TKILL, .si_pid = getpid()};
  int out = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  static const int others[] = {SIGSEGV, SIGBUS, SIGFPE};
  struct sigaction other[3];
  for (int i = 0; i < 3; i++) assert_int_equal(sigaction(others[i], NULL, &other[i]), 0);
  assert_int_equal(sigaction(SIGABRT, NULL, &before), 0);
  sigemptyset(&abrt);
  sigaddset(&abrt, SIGABRT);
  assert_int_equal(pthread_sigmask(SIG_BLOCK, &abrt, &mask), 0);
  assert_int_equal(crash_marks_open(p->in, p->to, &h, NULL), ST_OK);
  assert_int_equal(crash_install(NULL), ST_OK);
  assert_int_equal(sigaction(SIGABRT, NULL, &ours), 0);
  assert_int_equal(ours.sa_flags & (SA_ONSTACK | SA_SIGINFO), SA_ONSTACK | SA_SIGINFO);
  crash_marks_take(h, CRASH_READER, SPAN("pending/odd\x01.json"));
  dup2(nowhere, STDERR_FILENO);
  ours.sa_sigaction(SIGABRT, &info, NULL);
  dup2(out, STDERR_FILENO);
  assert_int_equal(sigpending(&pending), 0);
  assert_true(sigismember(&pending, SIGABRT));
  assert_int_equal(sigaction(SIGABRT, NULL, &after), 0);
  assert_true(after.sa_handler == SIG_DFL);
  assert_int_equal(sigtimedwait(&abrt, NULL, &(struct timespec){0}), SIGABRT);
  sigaction(SIGABRT, &before, NULL);
  for (int i = 0; i < 3; i++) sigaction(others[i], &other[i], NULL);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  crash_marks_drop(h, CRASH_READER);
  crash_marks_close(h);
  close(out);
  close(nowhere);
  assert_int_equal(times(p, "pending/odd\x01.json"), 1);
}

static void take_an_odd_name_and_abort(struct crash_marks *h) {
  char name[CRASH_TOKEN - 1];
  memset(name, 0x9b, sizeof name);
  memcpy(name, "\x1b[2J \xc3\xa9\x7f.json", 13);
  crash_marks_take(h, CRASH_READER, (struct span){name, sizeof name});
  abort();
}

CASE(a_name_moves_no_cursor) {
  struct ended e = run(*state, take_an_odd_name_and_abort, 0);
  assert_int_equal(e.signal, SIGABRT);
  assert_non_null(strstr(e.said, "working on \\x1b[2J \\xc3\\xa9\\x7f.json\\x9b\\x9b"));
  assert_non_null(
      strstr(e.said, "\\x9b; it is tried once more, alone\n")); /* whole, however long */
}

/* ---- threads ---- */

static void *crash_as_publisher(void *ctx) {
  struct crash_marks *h = ctx;
  if (crash_marks_enter(h, CRASH_PUBLISHER, NULL) != ST_OK) _exit(96);
  crash_marks_take(h, CRASH_PUBLISHER, SPAN("p.json"));
  raise(SIGSEGV);
  return NULL;
}

static void *crash_with_empty_hands(void *ctx) {
  (void)ctx;
  raise(SIGSEGV);
  return NULL;
}

static void in_thread(void *(*fn)(void *), void *ctx, size_t stack) {
  pthread_t thread;
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  if (stack) pthread_attr_setstacksize(&attr, stack);
  if (pthread_create(&thread, &attr, fn, ctx) != 0) _exit(95);
  pthread_join(thread, NULL);
}

static void take_and_let_the_publisher_crash(struct crash_marks *h) {
  take(h);
  in_thread(crash_as_publisher, h, 0);
}
static void take_and_let_another_thread_crash(struct crash_marks *h) {
  take(h);
  in_thread(crash_with_empty_hands, h, 0);
}

CASE(only_the_hand_of_the_thread_that_crashed_is_marked) {
  struct room *p = *state;
  struct ended e = run(p, take_and_let_the_publisher_crash, 0);
  assert_int_equal(e.signal, SIGSEGV);
  assert_non_null(strstr(e.said, "working on p.json;"));
  assert_int_equal(times(p, "p.json"), 1);
  assert_int_equal(times(p, "pending/x.json"), 0);
  e = run(p, take_and_let_another_thread_crash, 0);
  assert_int_equal(e.signal, SIGSEGV);
  assert_int_equal(times(p, "pending/x.json"), 0);
}

static unsigned endless(volatile const char *above, unsigned n) {
  volatile char here[256];
  here[n % sizeof here] = above ? above[0] : 0;
  return n == UINT32_MAX ? 0 : endless(here, n + 1) + (unsigned char)here[0];
}

static void *use_up_the_stack(void *ctx) {
  struct crash_marks *h = ctx;
  if (crash_marks_enter(h, CRASH_PUBLISHER, NULL) != ST_OK) _exit(96);
  crash_marks_take(h, CRASH_PUBLISHER, SPAN("deep.json"));
  return (void *)(uintptr_t)endless(NULL, 0);
}
static void crash_by_depth(struct crash_marks *h) {
  in_thread(use_up_the_stack, h, 256 * 1024);
}

CASE(a_stack_that_is_used_up_is_counted_too) {
  struct ended e = run(*state, crash_by_depth, 0);
  assert_true(e.signal == SIGSEGV || e.signal == SIGBUS);
  assert_non_null(strstr(e.said, "working on deep.json; it is tried once more"));
  assert_int_equal(times(*state, "deep.json"), 1);
}
