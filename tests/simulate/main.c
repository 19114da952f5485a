/* main.c - many lives, in children: a crash is one life's, and what killed workers leave behind
 * goes with them.
 *
 *   simulate [--first SEED] [--lives N]
 */
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 25, AT_ONCE = 2 };

uint32_t *reached;

const char *reached_word(enum reached what) {
  static const char *const words[] = {"commits lost",
                                      "commits whose answer was lost",
                                      "commits that come late",
                                      "producers fenced",
                                      "time-outs",
                                      "records refused",
                                      "refused together",
                                      "positions told wrong",
                                      "positions lost",
                                      "full queues",
                                      "outages",
                                      "kills",
                                      "take-overs",
                                      "stops by a signal",
                                      "transactions resolved",
                                      "replays",
                                      "dead letters",
                                      "checks without Redis",
                                      "pauses"};
  _Static_assert(sizeof words / sizeof *words == REACHED_COUNT, "a word for each");
  return words[what];
}

/* What a child lives now; shared, so that its end by a signal can be told. */
struct running {
  pid_t pid; /* 0: free */
  uint64_t *seed;
};

static void run_chunk(struct running *r, uint64_t next, uint64_t end) {
  fflush(stdout);
  *r->seed = next;
  r->pid = fork();
  if (r->pid < 0) exit(2);
  if (r->pid) return;
  bool good = true;
  for (; *r->seed < end; ++*r->seed) good = one_life(*r->seed) && good;
  fflush(stdout);
  _exit(good ? 0 : 1);
}

/* Whether it was good. */
static bool chunk_ended(struct running *list, size_t count) {
  int status;
  pid_t pid = wait(&status);
  if (pid < 0) exit(2);
  struct running *r = list;
  while (r < list + count - 1 && r->pid != pid) r++;
  r->pid = 0;
  if (WIFSIGNALED(status))
    printf("VIOLATION seed %llu: I8: a life ended by signal %d\n", (unsigned long long)*r->seed,
           WTERMSIG(status));
  return status == 0;
}

static unsigned run_chunks(uint64_t first, uint64_t lives, uint64_t *seeds) {
  struct running list[AT_ONCE];
  unsigned bad = 0, running = 0;
  for (size_t i = 0; i < AT_ONCE; i++) list[i] = (struct running){.seed = &seeds[i]};
  for (uint64_t next = first, end = first + lives; next < end || running;) {
    if (next == end || running == AT_ONCE) {
      bad += !chunk_ended(list, AT_ONCE);
      running--;
      continue;
    }
    struct running *r = list;
    while (r->pid) r++;
    uint64_t until = end - next < CHUNK ? end : next + CHUNK;
    run_chunk(r, next, until);
    next = until;
    running++;
  }
  return bad;
}

static void *shared(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) exit(2);
  return p;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* what was said before a life ended by a signal is not lost */
  uint64_t first = 1, lives = 20000;
  bool counted = true;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--first")) first = strtoull(argv[i + 1], NULL, 10);
    if (!strcmp(argv[i], "--lives")) lives = strtoull(argv[i + 1], NULL, 10);
  }
  size_t words = REACHED_COUNT;
  reached = shared(words * sizeof *reached);
  uint64_t *seeds = shared(AT_ONCE * sizeof *seeds);
  open_shared();
  int64_t began_ns = clock_mono_ns(&clock_system);
  unsigned bad = run_chunks(first, lives, seeds);
  double seconds = (double)(clock_mono_ns(&clock_system) - began_ns) / 1e9;
  for (int i = 0; i < REACHED_COUNT; i++) {
    printf("%8u %s\n", reached[i], reached_word((enum reached)i));
    if (lives >= 10000 && reached[i] < 50) counted = false;
  }
  if (!counted) printf("VIOLATION: what happened less than 50 times was not tried\n");
  printf("%llu lives from seed %llu in %.1f s, %u violations\n", (unsigned long long)lives,
         (unsigned long long)first, seconds, bad);
  return bad || !counted;
}
