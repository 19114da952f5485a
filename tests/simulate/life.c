/* life.c - whole lives of the real relay, judged. A life is drawn from its seed: events and their
 * keys, what goes wrong with Kafka, Redis, the disk and the worker, and who runs next. At its end
 * the world is healed, and what was promised must hold:
 *
 *   I1  each event is committed, dead or pending    I2  committed once (exactly_once)
 *   I3  none is both committed and dead             I4  per key in the order of writing
 *   I5  no poison is committed, no good one dead    I7  a refused one is dead after its attempts
 *   I8  no crash (a life runs in a child)           I9  all is settled, in virtual time
 *   I10 is the broker's here; I6 (bytes) is for the suites with a real one.
 */
#include "tests/simulate/life.h"

#include "tests/simulate/disk.h"
#include "tests/simulate/errors.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEALED_MS = 900000, ACTIONS = 4, ACTIONS_ON_DISK = 8 };

struct life life;
struct shared shared;

static const char *const theme_words[THEMES] = {"any",      "typed",   "links", "far",
                                                "restored", "zombies", "holds", "slow"};

void violation(const char *fmt, ...) {
  va_list args;
  printf("VIOLATION seed %llu: ", (unsigned long long)life.seed);
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  printf("\n");
  life.failed = true;
}

/* All is healed, and the last worker drains. */
static void drain(void) {
  struct store_counts counts = {.pending = 1};
  struct error err = {0};
  world.kafka_up = world.redis_up = true;
  world.faults = (struct sim_faults){.together = 60};
  world.stale_left = 0;
  world.shut_topic = -1;
  errors_end();
  if (life.on_disk) end_links(), disk_unlink_all();
  sim_say("all is healed");
  int64_t until_ns = sim_now_ns() + HEALED_MS * INT64_C(1000000);
  while (sim_now_ns() < until_ns && !life.failed) {
    restart_if_it_ended();
    if (!life.writing && store_counts(life.hand, &counts, &err) == ST_OK && !counts.pending &&
        !counts.foreign_typed)
      break;
    if (life.hold_key && !life.writing) purge();
    restart_if_it_asks();
    sim_sleep_ns(SECOND_NS / 2);
  }
  if (counts.pending) say_status(life.worker);
  if (counts.pending)
    violation("I9: %llu entries are still pending", (unsigned long long)counts.pending);
  sim_sleep_ns(
      15 * SECOND_NS); /* its manifest closes; a position that seems lost is doubted for a while */
  restart_if_it_ended();
  restart_cleanly(); /* clears what a worker wrote that slept between looking at its lock and
                        writing */
  sim_sleep_ns(15 * SECOND_NS);
  stop_worker(life.worker);
}

static void *live(void *arg) {
  (void)arg;
  life.exactly_once = !sim_chance(10);
  life.hold_key = sim_chance(life.theme == THEME_HOLDS ? 100 : 15);
  life.batch_events = (size_t[]){1, 3, 8, 50}[sim_below(life.theme == THEME_RESTORED ? 2 : 4)];
  life.ledger_topic = "ledger";
  world.redis_off = sim_chance(life.theme == THEME_SLOW ? 90 : 50);
  world.redis_ns = sim_chance(50) ? 0 : (int64_t)sim_below(40000000);
  if (life.typed) reach(REACHED_TYPED);
  draw_events();
  draw_faults();
  if (life.on_disk) store_close(open_outbox(true)); /* the folder is made by its first owner */
  life.hand = open_outbox(false);
  start_producer();
  while (life.writing && sim_chance(30)) sim_sleep_ns(SECOND_NS); /* the worker comes later */
  start_worker();
  for (size_t left = sim_below((life.on_disk ? ACTIONS_ON_DISK : ACTIONS) + 1);
       left && !life.failed; left--) {
    some_time();
    act();
    restart_if_it_ended();
  }
  drain();
  judge();
  return NULL;
}

static void point(void *ctx, const char *what) {
  (void)ctx;
  sim_step(what);
}

void open_shared(void) {
  struct catalog_config schemas = {.folder = SOURCE_ROOT "/schemas"};
  struct routing_config names = {.namespaces = SPAN("episode plot"),
                                 .topic = SPAN("{namespace}.events")};
  struct error err = {0};
  relay_set_hook(point, NULL);
  enum status st = catalog_open(&schemas, NULL, &shared.catalog, &err);
  if (st == ST_OK) st = routing_open(&names, &shared.routing, &err);
  if (st != ST_OK) {
    fprintf(stderr, "simulate: %s\n", err.text);
    exit(2);
  }
}

static void tell(void) {
  printf("seed %llu, %s, %zu events%s, %s, batches of %zu, redis %s:\n",
         (unsigned long long)life.seed, theme_words[life.theme], life.event_count,
         life.typed ? " of both buses" : "", life.exactly_once ? "exactly_once" : "at_least_once",
         life.batch_events, world.redis_off ? "off" : "on");
  sim_print_history();
  printf("  to see it again: simulate%s%s%s --first %llu --lives 1\n",
         life.on_disk ? " --disk" : "", life.wanted ? " --theme " : "",
         life.wanted ? theme_words[life.wanted] : "", (unsigned long long)life.seed);
}

int theme_of(const char *word) {
  for (int i = 0; i < THEMES; i++)
    if (!strcmp(theme_words[i], word)) return i;
  return -1;
}

static enum theme draw_theme(void) {
  uint64_t one = sim_chance(60) ? 0 : 1 + sim_below(THEMES);
  return one == THEMES ? THEME_RESTORED : (enum theme)one; /* twice as often: its rows are rare */
}

bool one_life(uint64_t seed, bool on_disk, int theme_wanted, uint64_t *history) {
  enum theme theme = (enum theme)theme_wanted;
  sim_seed(seed);
  if (on_disk && theme == THEME_ANY) theme = draw_theme();
  life = (struct life){
      .seed = seed, .on_disk = on_disk, .theme = theme, .wanted = (enum theme)theme_wanted};
  life.typed = theme == THEME_TYPED || (on_disk && sim_chance(30));
  world_begin();
  errors_forget();
  if (on_disk) disk_begin(theme == THEME_FAR);
  if (!sim_run(live, NULL)) violation("I9: nobody goes on");
  if (life.failed) tell();
  *history = sim_history();
  if (on_disk) disk_end();
  store_memory_forget("life");
  return !life.failed;
}
