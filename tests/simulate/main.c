/* main.c - many lives, in children: a crash is one life's, and what killed workers leave behind
 * goes with them.
 *
 *   simulate [--disk] [--theme WORD] [--find] [--first SEED] [--lives N]
 *
 * --find: no further lives once one was bad. Seeds from 1 on; with BUSBRIDGE_FULL new ones each
 * time.
 * --disk: on the simulated disk, instead of in memory. Each row of the protocol's tables, in memory
 * each kind of trouble too, has to have come ENOUGH times in a run of LIVES lives, else it fails.
 * --theme: on the disk, all lives are about that (life.h); else the seed draws what each is about.
 */
#include "tests/simulate/world.h"
#include "tests/support/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIVES = 20000, LIVES_ON_DISK = 2000, CHUNK = 25, AT_ONCE = 2, AGAIN = 50, ENOUGH = 50 };

uint32_t *reached;

static bool on_disk, find_one;
static int theme;

static const char *reached_word(enum reached what) {
  static const char *const words[] = {"commits lost",
                                      "commits whose answer was lost",
                                      "commits that come late",
                                      "producers fenced",
                                      "time-outs",
                                      "records refused",
                                      "refused together",
                                      "positions told wrong",
                                      "positions lost",
                                      "topics shut",
                                      "records that the world kept away",
                                      "full queues",
                                      "outages",
                                      "kills",
                                      "take-overs",
                                      "stops by a signal",
                                      "transactions resolved",
                                      "replays",
                                      "checks without Redis",
                                      "pauses",
                                      "calls refused: the disk is full",
                                      "calls refused: the disk is bad",
                                      "syncs refused",
                                      "calls refused: read-only",
                                      "calls refused: somebody else's",
                                      "calls refused: not readable",
                                      "slow calls",
                                      "crash: before the manifest is durable",
                                      "crash: between manifest and commit",
                                      "crash: commit sent, answer not there",
                                      "crash: while settling",
                                      "crash: between two manifests' renames",
                                      "crash: while ledger.topic is carried out",
                                      "verdict: published",
                                      "verdict: duplicate",
                                      "verdict: retried",
                                      "verdict: held",
                                      "verdict: waits for its due time",
                                      "verdict: dead",
                                      "verdict: hopeless",
                                      "verdict: refused to the end",
                                      "losses of power",
                                      "calls refused: one entry's",
                                      "entries set aside",
                                      "lives with both buses",
                                      "entries taken up by the typed bus",
                                      "new ids after a refused ledger",
                                      "start: a new outbox",
                                      "start: the position's manifest is here",
                                      "start: the position is lost, the topics decide",
                                      "start: a position without a digest is refused",
                                      "start: a position that went back is refused",
                                      "start: a position without its manifest is refused"};
  _Static_assert(sizeof words / sizeof *words == REACHED_COUNT, "a word for each");
  return words[what];
}

/* What a child lives now; shared, so that its end by a signal can be told. */
struct running {
  pid_t pid; /* 0: free */
  uint64_t *seed;
};

/* Some are lived twice, to see that a seed tells all that happens. */
static bool live(uint64_t seed) {
  uint64_t first, second;
  bool good = one_life(seed, on_disk, theme, &first);
  if (seed % AGAIN != 0) return good;
  good = one_life(seed, on_disk, theme, &second) && good;
  if (first != second)
    printf("VIOLATION seed %llu: its history is another each time\n", (unsigned long long)seed);
  return good && first == second;
}

static void run_chunk(struct running *r, uint64_t next, uint64_t end) {
  fflush(stdout);
  *r->seed = next;
  r->pid = fork();
  if (r->pid < 0) exit(2);
  if (r->pid) return;
  bool good = true;
  for (; *r->seed < end; ++*r->seed) good = live(*r->seed) && good;
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
  else if (WEXITSTATUS(status) > 1) /* an assertion of the disk or the world */
    printf("VIOLATION seed %llu: I8: a life ended with %d\n", (unsigned long long)*r->seed,
           WEXITSTATUS(status));
  return status == 0;
}

static unsigned run_chunks(uint64_t first, uint64_t lives, uint64_t *seeds) {
  struct running list[AT_ONCE];
  unsigned bad = 0, running = 0;
  for (size_t i = 0; i < AT_ONCE; i++) list[i] = (struct running){.seed = &seeds[i]};
  for (uint64_t next = first, end = first + lives; next < end || running;) {
    if (next == end || running == AT_ONCE) {
      bad += !chunk_ended(list, AT_ONCE);
      if (bad && find_one) end = next;
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

static void *shared_memory(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) exit(2);
  return p;
}

/* True: each kind of trouble came often enough. */
static bool tell_reached(bool wanted) {
  bool enough = true;
  for (int i = 0; i < (on_disk ? REACHED_COUNT : REACHED_EITHER); i++) {
    bool rare = reached[i] < ENOUGH && (i >= REACHED_TABLES || !on_disk);
    printf("%8u %s\n", reached[i], reached_word((enum reached)i));
    if (wanted && rare)
      printf("VIOLATION: %s came less than %d times\n", reached_word((enum reached)i), ENOUGH);
    enough = enough && !rare;
  }
  return enough || !wanted;
}

static uint64_t number_after(int argc, char **argv, const char *word, uint64_t otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (!strcmp(argv[i], word)) return strtoull(argv[i + 1], NULL, 10);
  return otherwise;
}

static char place[200];

/* For the disks of all lives, so that one that ends by a signal leaves nothing behind: in memory,
 * where that can be had. */
static void make_place(void) {
  if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
  folder_make(place, sizeof place, "simulate");
  setenv("TMPDIR", place, 1);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* what was said before a life ended by a signal is not lost */
  for (int i = 1; i < argc; i++) {
    on_disk = on_disk || !strcmp(argv[i], "--disk");
    find_one = find_one || !strcmp(argv[i], "--find");
    if (i && !strcmp(argv[i - 1], "--theme")) theme = theme_of(argv[i]);
  }
  if (theme < 0) return 2;
  uint64_t whole = on_disk ? LIVES_ON_DISK : LIVES,
           list = getenv("BUSBRIDGE_FULL") ? (uint64_t)clock_wall_us(&clock_system) : 1,
           first = number_after(argc, argv, "--first", list),
           lives = number_after(argc, argv, "--lives", whole);
  reached = shared_memory(REACHED_COUNT * sizeof *reached);
  uint64_t *seeds = shared_memory(AT_ONCE * sizeof *seeds);
  open_shared();
  make_place();
  int64_t began_ns = clock_mono_ns(&clock_system);
  unsigned bad = run_chunks(first, lives, seeds);
  double seconds = (double)(clock_mono_ns(&clock_system) - began_ns) / 1e9;
  folder_remove(place);
  bool enough = tell_reached(lives >= whole && !find_one && !theme);
  printf("%llu lives from seed %llu in %.1f s, %u violations\n", (unsigned long long)lives,
         (unsigned long long)first, seconds, bad);
  return bad || !enough;
}
