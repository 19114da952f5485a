#include "tests/simulate/fibers.h"

#include "bridge/base/thread.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum {
  STACK = 1 << 20,
  SWITCH_PERCENT = 20,
  STEP_PERCENT = 10,
  WAKE_FIRST = 1 << 20, /* no descriptor of the system's has such a number */
  WAKES = 256,
  HISTORY = 400,
  LINE = 240
};

#define MONO_BEGIN_NS INT64_C(1000000000)
#define LOOK_NS INT64_C(5000000)

/* ---- draws: xorshift* ---- */

static uint64_t random_state = 1;

void sim_seed(uint64_t seed) {
  random_state = (seed + 1) * 0x9e3779b97f4a7c15u;
}

uint64_t sim_random(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545f4914f6cdd1du >> 11;
}

/* ---- history ---- */

static char history[HISTORY][LINE];
static size_t said;
static uint64_t digest;

void sim_say(const char *fmt, ...) {
  va_list args;
  char *line = history[said++ % HISTORY];
  int n = snprintf(line, LINE, "%10.3f ms  ", (double)sim_now_ns() / 1e6);
  va_start(args, fmt);
  vsnprintf(line + n, (size_t)(LINE - n), fmt, args);
  va_end(args);
  for (const char *at = line; *at; at++)
    digest = (digest ^ (unsigned char)*at) * UINT64_C(1099511628211);
}

uint64_t sim_history(void) {
  return digest;
}

void sim_print_history(void) {
  for (size_t i = said > HISTORY ? said - HISTORY : 0; i < said; i++)
    printf("  %s\n", history[i % HISTORY]);
}

/* ---- fibers ---- */

struct fiber {
  struct fiber *next;
  ucontext_t context;
  void *stack;
  void *(*run)(void *);
  void *arg;
  int group;
  unsigned held; /* locks */
  const void
      *waits; /* for this: a lock, a condition, a fiber, a descriptor; NULL: ready, or sleeps */
  int64_t until_ns; /* with a wait or a sleep: at the latest; INT64_MAX: never */
  uint64_t until_step;
  bool sleeps, timed_out, ended, joined;
};

static struct fiber *fibers, *current;
static ucontext_t scheduler;
static int64_t now_ns;
static uint64_t steps;
static int entered;
static bool stopped[64];
static unsigned given[WAKES];
static bool used[WAKES]; /* those of killed ones stay to the end of a life */
static struct fuse {
  int group;
  unsigned left;
  const char *what;
  bool burnt;
} fuse;

int64_t sim_now_ns(void) {
  return now_ns;
}

uint64_t sim_steps(void) {
  return steps;
}

static int64_t clock_wall(void *ctx) {
  (void)ctx;
  return INT64_C(1700000000000000) + now_ns / 1000;
}

static int64_t clock_mono(void *ctx) {
  (void)ctx;
  return now_ns + MONO_BEGIN_NS;
}

static uint64_t clock_random(void *ctx) {
  (void)ctx;
  return sim_random() << 20 ^ sim_random();
}

const struct clock sim_clock = {clock_wall, clock_mono, clock_random, NULL};

static void trampoline(void) {
  struct fiber *f = current;
  f->run(f->arg);
  f->ended = true;
  for (struct fiber *other = fibers; other; other = other->next)
    if (other->waits == f) other->waits = NULL;
  swapcontext(&f->context, &scheduler);
}

static struct fiber *make_fiber(void *(*run)(void *), void *arg, int group) {
  struct fiber *f = calloc(1, sizeof *f);
  if (!f) abort();
  f->stack =
      mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (f->stack == MAP_FAILED) abort();
  f->run = run;
  f->arg = arg;
  f->group = group;
  f->until_ns = INT64_MAX;
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = f->stack;
  f->context.uc_stack.ss_size = STACK;
  makecontext(&f->context, trampoline, 0);
  struct fiber **end = &fibers;
  while (*end) end = &(*end)->next;
  *end = f;
  return f;
}

static void leave_turn(void) {
  if (current) swapcontext(&current->context, &scheduler);
}

void sim_yield(void) {
  leave_turn();
}

/* True: it came; false: the time was up. */
static bool wait_for(const void *what, int64_t until_ns) {
  struct fiber *f = current;
  if (!f) abort(); /* a thread that is none of ours would wait for ever */
  f->waits = what;
  f->until_ns = until_ns;
  f->timed_out = false;
  leave_turn();
  return !f->timed_out;
}

static void wake(const void *what) {
  for (struct fiber *f = fibers; f; f = f->next)
    if (f->waits == what) f->waits = NULL;
}

void sim_sleep_ns(int64_t ns) {
  current->sleeps = true;
  current->until_step = UINT64_MAX;
  current->until_ns = now_ns + (ns > 0 ? ns : 0);
  leave_turn();
}

void sim_sleep_steps(uint64_t count, int64_t most_ns) {
  current->sleeps = true;
  current->until_step = steps + count;
  current->until_ns = now_ns + most_ns;
  leave_turn();
}

/* ---- the scheduler ---- */

static bool is_ready(struct fiber *f) {
  if (f->ended || stopped[f->group]) return false;
  if (f->sleeps) {
    if (now_ns < f->until_ns && steps < f->until_step) return false;
    f->sleeps = false;
    f->until_ns = INT64_MAX;
    return true;
  }
  if (!f->waits) return true;
  if (now_ns < f->until_ns) return false;
  f->waits = NULL;
  f->timed_out = true;
  return true;
}

static struct fiber *choose(void) {
  struct fiber *ready[256];
  size_t count = 0;
  for (struct fiber *f = fibers; f && count < 256; f = f->next)
    if (is_ready(f)) ready[count++] = f;
  return count ? ready[sim_below(count)] : NULL;
}

static bool pass_time(void) {
  int64_t next = INT64_MAX;
  for (struct fiber *f = fibers; f; f = f->next)
    if (!f->ended && !stopped[f->group] && (f->sleeps || f->waits) && f->until_ns < next)
      next = f->until_ns;
  if (next == INT64_MAX) return false;
  if (next > now_ns) now_ns = next;
  return true;
}

static void clear_ended(void) {
  for (struct fiber **at = &fibers; *at;) {
    struct fiber *f = *at;
    if (!f->ended || (!f->joined && f->group == 0)) {
      at = &f->next;
      continue;
    }
    if (f->stack) munmap(f->stack, STACK);
    f->stack = NULL;
    if (!f->joined) {
      at = &f->next;
      continue;
    }
    *at = f->next;
    free(f);
  }
}

/* Whoever is left of the life before, stopped or never joined, must not run on in this one. */
static void clear_all(void) {
  for (struct fiber *f = fibers, *next; f; f = next) {
    next = f->next;
    if (f->stack) munmap(f->stack, STACK);
    free(f);
  }
  fibers = NULL;
}

bool sim_run(void *(*first)(void *), void *arg) {
  clear_all();
  now_ns = 0;
  steps = said = 0;
  entered = 0;
  digest = UINT64_C(14695981039346656037);
  fuse = (struct fuse){0};
  memset(stopped, 0, sizeof stopped);
  memset(used, 0, sizeof used);
  struct fiber *f = make_fiber(first, arg, 0);
  while (!f->ended) {
    struct fiber *next = choose();
    if (!next && !pass_time()) return false;
    if (!next) continue;
    steps++;
    now_ns += 1000; /* a turn takes a microsecond */
    current = next;
    swapcontext(&scheduler, &next->context);
    current = NULL;
    if (steps % 64 == 0) clear_ended();
  }
  return true;
}

int sim_group(void) {
  return current && current->group ? current->group : entered;
}

void sim_fuse(int group, unsigned count) {
  fuse = (struct fuse){.group = group, .left = count};
}

void sim_fuse_at(int group, const char *what) {
  fuse = (struct fuse){.group = group, .what = what};
}

bool sim_burnt(void) {
  return fuse.burnt;
}

static bool burns(const char *what) {
  bool its = current->group && fuse.group == current->group && !fuse.burnt;
  if (!its || (fuse.what ? !strstr(what, fuse.what) : !fuse.left || --fuse.left)) return false;
  fuse.burnt = true;
  int name = (int)strcspn(what, "-.0123456789"); /* inodes and digests stand behind it */
  sim_say("worker %d is held at %.*s", fuse.group, name, what);
  sim_stop(fuse.group);
  leave_turn();
  return true;
}

void sim_step(const char *what) {
  if (current && current->group && !burns(what) && sim_chance(STEP_PERCENT)) leave_turn();
}

void sim_enter(int group) {
  entered = group;
}

void sim_stop(int group) {
  stopped[group] = true;
}

void sim_go_on(int group) {
  stopped[group] = false;
}

void sim_kill(int group) {
  for (struct fiber *f = fibers; f; f = f->next)
    if (f->group == group) f->ended = f->joined = true;
  stopped[group] = false;
}

/* ---- bridge/base/thread.h ---- */

static const void **owner_of(struct mutex *m) {
  return (const void **)(void *)m;
}

void mutex_init(struct mutex *m) {
  memset(m, 0, sizeof *m);
}

void mutex_destroy(struct mutex *m) {
  (void)m;
}

static void maybe_switch(void) {
  if (!current || current->held || burns("a lock")) return;
  if (sim_chance(SWITCH_PERCENT)) leave_turn();
}

void mutex_lock(struct mutex *m) {
  maybe_switch();
  while (*owner_of(m)) wait_for(m, INT64_MAX);
  *owner_of(m) = current ? (const void *)current : (const void *)m;
  if (current) current->held++;
}

void mutex_unlock(struct mutex *m) {
  *owner_of(m) = NULL;
  wake(m);
  if (current) current->held--;
  maybe_switch();
}

void thread_once(struct once *o, void (*run)(void)) {
  if (!o->os) run();
  o->os = 1;
}

void cond_init(struct cond *c) {
  (void)c;
}

void cond_destroy(struct cond *c) {
  (void)c;
}

static int64_t of_mono(int64_t moment_ns) {
  return moment_ns - MONO_BEGIN_NS;
}

static bool wait_on(struct cond *c, struct mutex *m, int64_t until_ns) {
  *owner_of(m) = NULL;
  wake(m);
  current->held--;
  bool came = wait_for(c, until_ns);
  while (*owner_of(m)) wait_for(m, INT64_MAX);
  *owner_of(m) = current;
  current->held++;
  return came;
}

void cond_wait(struct cond *c, struct mutex *m) {
  wait_on(c, m, INT64_MAX);
}

bool cond_wait_until(struct cond *c, struct mutex *m, int64_t moment_ns) {
  return wait_on(c, m, of_mono(moment_ns));
}

void cond_broadcast(struct cond *c) {
  wake(c);
}

static struct fiber *fiber_of(struct thread t) {
  return (struct fiber *)(uintptr_t)t.os;
}

int thread_start(struct thread *t, const char *name, void *(*run)(void *), void *arg) {
  (void)name;
  struct fiber *f = make_fiber(run, arg, sim_group());
  t->os = (pthread_t)(uintptr_t)f;
  return 0;
}

void thread_detach(struct thread t) {
  fiber_of(t)->joined = true;
}

static bool join(struct fiber *f, int64_t until_ns) {
  while (!f->ended)
    if (!wait_for(f, until_ns)) return false;
  f->joined = true;
  return true;
}

void thread_join(struct thread t) {
  join(fiber_of(t), INT64_MAX);
}

bool thread_join_until(struct thread t, int64_t moment_ns) {
  return join(fiber_of(t), of_mono(moment_ns));
}

int64_t thread_now_ns(void) {
  return clock_mono(NULL);
}

void thread_sleep_until(int64_t moment_ns) {
  sim_sleep_ns(of_mono(moment_ns) - now_ns);
}

/* ---- wakes ---- */

int wake_open(void) {
  for (int i = 0; i < WAKES; i++) {
    if (used[i]) continue;
    used[i] = true;
    given[i] = 0;
    return WAKE_FIRST + i;
  }
  errno = EMFILE;
  return -1;
}

void wake_give(int one) {
  unsigned *n = &given[one - WAKE_FIRST];
  ++*n;
  wake(n);
}

void wake_take(int one) {
  given[one - WAKE_FIRST] = 0;
}

void wake_close(int one) {
  if (one >= WAKE_FIRST) used[one - WAKE_FIRST] = false;
}

/* Descriptors of the system's beside a wake: what they have to tell is there at once. So whoever
 * waits looks at them again whenever it comes to its turn. */
static int look(struct pollfd *list, nfds_t count) {
  int ready = 0;
  for (nfds_t i = 0; i < count; i++) {
    list[i].revents = 0;
    if (list[i].fd >= WAKE_FIRST)
      list[i].revents = given[list[i].fd - WAKE_FIRST] ? POLLIN : 0;
    else
      poll(&list[i], 1, 0);
    ready += list[i].revents != 0;
  }
  return ready;
}

int thread_poll(struct pollfd *list, nfds_t count, int timeout_ms) {
  int64_t until_ns = timeout_ms < 0 ? INT64_MAX : now_ns + (int64_t)timeout_ms * 1000000;
  const void *wake_of = list->fd >= WAKE_FIRST ? &given[list->fd - WAKE_FIRST] : NULL;
  if (!current) return look(list, count);
  leave_turn();
  int ready;
  while (!(ready = look(list, count)) && now_ns < until_ns) {
    if (!wake_of) abort(); /* nothing of the library's waits for others alone */
    int64_t next_ns = count > 1 && until_ns - now_ns > LOOK_NS ? now_ns + LOOK_NS : until_ns;
    wait_for(wake_of, next_ns);
  }
  return ready;
}
