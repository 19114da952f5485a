/* main.c - many lives, in children: a crash is one life's, and what killed workers leave behind goes with them.
 *
 *   simulate [--first SEED] [--lives N]
 */
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 25 };

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

static unsigned run_chunks(uint64_t first, uint64_t lives, unsigned at_once) {
  unsigned bad = 0, running = 0;
  uint64_t next = first;
  while (next < first + lives || running) {
    if (next < first + lives && running < at_once) {
      fflush(stdout);
      pid_t child = fork();
      if (child < 0) exit(2);
      if (!child) {
        bool good = true;
        for (uint64_t seed = next; seed < next + CHUNK && seed < first + lives; seed++) {
          good = one_life(seed) && good;
        }
        fflush(stdout);
        _exit(good ? 0 : 1);
      }
      next += CHUNK;
      running++;
      continue;
    }
    int status;
    if (wait(&status) < 0) exit(2);
    running--;
    if (status == 0) continue;
    bad++;
    if (WIFSIGNALED(status)) printf("VIOLATION I8: a life ended by signal %d\n", WTERMSIG(status));
  }
  return bad;
}

int main(int argc, char **argv) {
  uint64_t first = 1, lives = 20000;
  bool counted = true;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--first")) first = strtoull(argv[i + 1], NULL, 10);
    if (!strcmp(argv[i], "--lives")) lives = strtoull(argv[i + 1], NULL, 10);
  }
  size_t words = REACHED_COUNT;
  reached = mmap(NULL, words * sizeof *reached, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (reached == MAP_FAILED) return 2;
  open_shared();
  int64_t began_ns = clock_mono_ns(&clock_system);
  unsigned bad = run_chunks(first, lives, 2);
  double seconds = (double)(clock_mono_ns(&clock_system) - began_ns) / 1e9;
  for (int i = 0; i < REACHED_COUNT; i++) {
    printf("%8u %s\n", reached[i], reached_word((enum reached)i));
    if (lives >= 10000 && reached[i] < 50) counted = false;
  }
  if (!counted) printf("VIOLATION: what happened less than 50 times was not tried\n");
  printf("%llu lives from seed %llu in %.1f s, %u violations\n", (unsigned long long)lives, (unsigned long long)first,
         seconds, bad);
  return bad || !counted;
}
