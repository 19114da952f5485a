/* life.c - whole lives of the real relay, judged. A life is drawn from its seed: events and their
 * keys, what goes wrong with Kafka, Redis and the worker, and who runs next. At its end the world
 * is healed, and what was promised must hold:
 *
 *   I1  each event is committed, dead or pending    I2  committed once (exactly_once)
 *   I3  none is both committed and dead             I4  per key in the order of writing
 *   I5  no poison is committed, no good one dead    I7  a refused one is dead after its attempts
 *   I8  no crash (a life runs in a child)           I9  all is settled, in virtual time
 *   I10 is the broker's here; I6 (bytes) is for the suites with a real one.
 */
#include "bridge/base/thread.h"
#include "bridge/outbox/manifest.h"
#include "bridge/relay/relay.h"
#include "tests/simulate/fibers.h"
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>

enum { EVENTS = 64, WORKERS = 24, MAX_ATTEMPTS = 2, HEALED_MS = 900000, ACTIONS = 4 };
#define SECOND_NS INT64_C(1000000000)

struct event_of_life {
  char id[64], key[16];
  bool poison, bad, flaky, replayed, purged;
};

struct worker {
  int group;
  struct store *store;
  struct relay *relay;
  struct metrics *metrics;
  bool frozen;
};

static struct life {
  uint64_t seed;
  bool exactly_once, hold_key, writing, failed, taken_over;
  size_t batch_events, event_count, written;
  struct event_of_life events[EVENTS];
  struct worker *worker; /* the present one */
  int groups;
  struct store *hand; /* of the producer and the operator */
} life;

static struct catalog *catalog;
static struct routing *routing;

static void violation(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void violation(const char *fmt, ...) {
  va_list args;
  printf("VIOLATION seed %llu: ", (unsigned long long)life.seed);
  va_start(args, fmt);
  vprintf(fmt, args);
  va_end(args);
  printf("\n");
  life.failed = true;
}

/* ---- a worker ---- */

/* An owner takes the outbox from whoever has it. */
static struct store *open_store(bool owner) {
  const struct store_options options = {.create = owner, .clock = &sim_clock};
  const struct store_config config = {.max_entry_bytes = 1 << 20, .window = 1000, .settle_ms = 100};
  struct store *s = NULL;
  struct error err = {0};
  if (store_open("memory:life", &options, &s, &err) != ST_OK) abort();
  if (owner) store_memory_unlock("life");
  if (owner && store_lock(s, 0, &err) != ST_OK) abort();
  if (store_begin(s, &config, &err) != ST_OK) abort();
  return s;
}

static void start_worker(void) {
  static const struct kafka_config kafka = {0};
  struct worker *w = calloc(1, sizeof *w);
  struct error err = {0};
  if (!w || life.groups == WORKERS) abort();
  w->group = ++life.groups;
  w->store = open_store(true);
  if (metrics_open(&sim_clock, &w->metrics) != ST_OK) abort();
  struct relay_parts parts = {.store = w->store,
                              .routing = routing,
                              .catalog = catalog,
                              .keys = (struct keys *)(void *)&world,
                              .metrics = w->metrics,
                              .kafka = &kafka,
                              .clock = &sim_clock};
  struct relay_config config = {.tuning = {.flush_interval_ms = 300,
                                           .max_attempts = MAX_ATTEMPTS,
                                           .max_retries = 3,
                                           .quick = {10, 100, 0},
                                           .batch_events = life.batch_events,
                                           .batch_bytes = 1 << 20},
                                .ce_source = "/simulated",
                                .group = "busbridge-simulated",
                                .ledger_topic = "ledger",
                                .exactly_once = life.exactly_once,
                                .hold_key = life.hold_key,
                                .background = true,
                                .partitions = PARTITIONS,
                                .replication = 1};
  sim_say("worker %d starts", w->group);
  sim_enter(w->group);
  if (relay_start(&parts, &config, &w->relay, &err) != ST_OK)
    violation("the relay does not start: %s", err.text);
  sim_enter(0);
  life.worker = w;
}

static void stop_worker(struct worker *w) {
  sim_say("worker %d is told to stop", w->group);
  if (!relay_stop(w->relay, 5000)) violation("worker %d does not stop", w->group);
  store_close(w->store);
  metrics_close(w->metrics);
  sim_say("worker %d has stopped", w->group);
  free(w);
}

static bool has_failed(const struct worker *w, bool *foreign) {
  static struct relay_status status;
  relay_status(w->relay, &status);
  *foreign = status.failed != ST_OK && status.failed != ST_BUSY && status.failed != ST_UNAVAILABLE;
  if (*foreign) violation("worker %d fails: %s", w->group, status.failure);
  return status.failed != ST_OK;
}

/* As Kubernetes does. */
static void restart_if_it_ended(void) {
  bool foreign;
  if (!has_failed(life.worker, &foreign)) return;
  sim_say("worker %d ended by itself", life.worker->group);
  stop_worker(life.worker);
  start_worker();
}

/* ---- the producer ---- */

static void write_event(size_t i) {
  struct event_of_life *e = &life.events[i];
  struct buffer text = {0}, payload = {0};
  struct error err = {0};
  char file[80];
  buffer_printf(&payload, "{\"episode_id\": \"%s\", \"title\": \"T\", \"episode_number\": %zu}",
                e->key, i);
  if (e->bad)
    buffer_add_z(&text, "no json");
  else
    event_write(span_of(e->id), SPAN("episode.created"), buffer_span(&payload),
                clock_wall_us(&sim_clock), span_of(e->id), &text);
  snprintf(file, sizeof file, "%s.json", e->id);
  if (store_emit(life.hand, file, buffer_span(&text), &err) != ST_OK) abort();
  buffer_release(&text);
  buffer_release(&payload);
}

static void *produce(void *arg) {
  (void)arg;
  for (; life.written < life.event_count; life.written++) {
    write_event(life.written);
    if (sim_chance(50)) sim_sleep_ns((int64_t)sim_below(100000000));
  }
  life.writing = false;
  return NULL;
}

static void draw_events(void) {
  unsigned keys = 1 + (unsigned)sim_below(4), poison = sim_chance(50) ? 0 : 8,
           bad = sim_chance(70) ? 0 : 8;
  life.event_count = 3 + sim_below(EVENTS - 4);
  for (size_t i = 0; i < life.event_count; i++) {
    struct event_of_life *e = &life.events[i];
    e->poison = sim_chance(poison);
    e->bad = !e->poison && sim_chance(bad);
    e->flaky = !e->poison && !e->bad && sim_chance(poison / 2);
    snprintf(e->key, sizeof e->key, "k%u", (unsigned)sim_below(keys));
    snprintf(e->id, sizeof e->id, "%s%zu", e->poison ? "poison" : e->flaky ? "flaky" : "e", i);
  }
}

/* ---- what goes wrong ---- */

static void some_time(void) {
  sim_sleep_steps(sim_below(600), (int64_t)sim_below(3 * SECOND_NS));
}

static void crash(void) {
  struct worker *w = life.worker;
  reach(REACHED_KILL);
  sim_say("worker %d is killed", w->group);
  sim_kill(w->group);
  if (sim_chance(30)) sim_sleep_ns((int64_t)sim_below(15 * SECOND_NS));
  start_worker();
}

static void freeze(void) {
  reach(REACHED_STOPPED);
  sim_say("worker %d is stopped by a signal", life.worker->group);
  sim_stop(life.worker->group);
  sim_sleep_ns((int64_t)sim_below(20 * SECOND_NS));
  sim_go_on(life.worker->group);
  sim_say("worker %d goes on", life.worker->group);
}

/* Its lock is taken by another while it sleeps; then it wakes. */
static void take_over(void) {
  struct worker *old = life.worker;
  bool foreign;
  reach(REACHED_TAKEOVER);
  life.taken_over = true;
  sim_say("worker %d is stopped by a signal, and another takes over", old->group);
  sim_stop(old->group);
  start_worker();
  some_time();
  sim_go_on(old->group);
  sim_say("worker %d wakes", old->group);
  for (int i = 0; i < 600 && !has_failed(old, &foreign); i++) sim_sleep_ns(SECOND_NS / 5);
  if (!has_failed(old, &foreign) && life.exactly_once)
    violation("worker %d, who lost its outbox, goes on", old->group);
  stop_worker(old);
}

static void outage(void) {
  reach(REACHED_OUTAGE);
  sim_say("kafka goes away");
  world.kafka_up = false;
  sim_sleep_ns((int64_t)sim_below(sim_chance(20) ? 60 * SECOND_NS : 3 * SECOND_NS));
  world.kafka_up = true;
  world.stale_left = 2;
  sim_say("kafka is back");
}

static void redis(void) {
  sim_say("redis goes away%s", sim_chance(30) ? ", and forgets" : "");
  world.redis_up = false;
  if (sim_chance(30)) world.key_count = 0;
  sim_sleep_ns((int64_t)sim_below(3 * SECOND_NS));
  world.redis_up = true;
}

static void restart_cleanly(void) {
  stop_worker(life.worker);
  start_worker();
}

/* Offsets expire, or the ledger topic was made anew, while no worker runs. */
static void lose_position(void) {
  struct worker *w = life.worker;
  reach(REACHED_POSITION_LOST);
  if (sim_chance(50)) {
    sim_kill(w->group);
    sim_say("worker %d is killed", w->group);
  } else {
    stop_worker(w);
  }
  sim_sleep_ns(world.timeout_ns); /* no transaction is open any more */
  world_lose_positions();
  sim_say("kafka loses the position");
  start_worker();
}

static void pause_it(void) {
  reach(REACHED_PAUSED);
  sim_say("publishing is paused");
  relay_pause(life.worker->relay, true);
  some_time();
  relay_pause(life.worker->relay, false);
  sim_say("publishing goes on");
}

static bool note_replay(void *ctx, const struct entry_info *info) {
  struct buffer *file = ctx;
  buffer_clear(file);
  buffer_add_z(file, info->file);
  return sim_chance(50);
}

static struct event_of_life *event_of(const char *file) {
  for (size_t i = 0; i < life.event_count; i++)
    if (span_is((struct span){file, strlen(file) - 5}, life.events[i].id)) return &life.events[i];
  abort();
}

/* A dead letter that holds its key (dlq.hold_key) does so until somebody deals with it. */
static void purge(void) {
  struct buffer file = {0};
  struct error err = {0};
  uint64_t total;
  if (store_list(life.worker->store, LIST_DEAD, 0, note_replay, &file, &total, &err) != ST_OK)
    abort();
  struct letter letter = {.file = buffer_z(&file), .when_us = TIME_NONE};
  if (file.len) store_purge(life.worker->store, &letter, 1);
  if (file.len && letter.status == ST_OK) event_of(letter.file)->purged = true;
  buffer_release(&file);
}

static void replay(void) {
  struct buffer file = {0};
  struct error err = {0};
  uint64_t total;
  if (store_list(life.worker->store, LIST_DEAD, 0, note_replay, &file, &total, &err) != ST_OK)
    abort();
  if (file.len && store_replay(life.worker->store, PLACE_DLQ, buffer_z(&file), &err) == ST_OK) {
    reach(REACHED_REPLAYED);
    sim_say("%s is replayed", buffer_z(&file));
    event_of(buffer_z(&file))->replayed = true;
  }
  buffer_release(&file);
}

static void act(void) {
  static void (*const actions[])(void) = {
      crash,  crash,  crash, freeze,        take_over,       take_over, outage,
      outage, outage, redis, lose_position, restart_cleanly, pause_it,  replay};
  actions[sim_below(sizeof actions / sizeof *actions)]();
}

static void draw_faults(void) {
  bool quiet = sim_chance(30);
  world.faults = (struct sim_faults){.answer_lost = quiet ? 0 : (unsigned)sim_below(12),
                                     .call_lost = quiet ? 0 : (unsigned)sim_below(12),
                                     .late = 50,
                                     .again = quiet ? 0 : (unsigned)sim_below(8),
                                     .stale = 40,
                                     .queue_full = quiet ? 0 : (unsigned)sim_below(5),
                                     .world = quiet ? 0 : (unsigned)sim_below(3),
                                     .together = 60};
}

/* ---- the judgement ---- */

static void drain(void) {
  struct store_counts counts = {.pending = 1};
  struct error err = {0};
  world.kafka_up = world.redis_up = true;
  world.faults = (struct sim_faults){.together = 60};
  world.stale_left = 0;
  sim_say("all is healed");
  int64_t until_ns = sim_now_ns() + HEALED_MS * INT64_C(1000000);
  while (sim_now_ns() < until_ns && !life.failed) {
    restart_if_it_ended();
    if (!life.writing && store_counts(life.hand, &counts, &err) == ST_OK && !counts.pending) break;
    if (life.hold_key && !life.writing) purge();
    sim_sleep_ns(SECOND_NS / 2);
  }
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

struct dead_of {
  size_t count;
  unsigned attempts;
};

static bool count_dead(void *ctx, const struct entry_info *info) {
  struct dead_of *d = ctx;
  d->count++;
  d->attempts = info->attempts;
  return true;
}

static struct dead_of dead_of(const struct event_of_life *e) {
  struct dead_of d = {0};
  struct error err = {0};
  uint64_t total;
  if (store_find(life.hand, LIST_DEAD | LIST_NAMED, span_of(e->id), count_dead, &d, &total, &err) !=
      ST_OK)
    abort();
  return d;
}

static size_t commits_of(const char *id, int64_t *last) {
  size_t n = 0;
  for (size_t i = 0; i < world.record_count; i++)
    if (world.records[i].fate == COMMITTED && !strcmp(world.records[i].id, id)) {
      n++;
      *last = world.records[i].offset;
    }
  return n;
}

static void judge_event(size_t i) {
  const struct event_of_life *e = &life.events[i];
  int64_t offset = -1;
  size_t commits = commits_of(e->id, &offset);
  struct dead_of dead = dead_of(e);
  bool good = !e->poison && !e->bad;
  dead.count += e->purged;
  if (!commits && !dead.count) violation("I1: %s is lost", e->id);
  if (commits > 1 && life.exactly_once) violation("I2: %s is committed %zu times", e->id, commits);
  /* Without transactions nobody fences the one that was taken over: what it had handed to Kafka may
   * be accepted after its successor gave it up. */
  bool fenced = life.exactly_once || !life.taken_over;
  if (commits && dead.count && fenced) violation("I3: %s is committed and dead", e->id);
  if (!good && commits) violation("I5: %s is committed", e->id);
  if (good && dead.count && !e->flaky) violation("I5: %s is dead", e->id);
  if ((e->poison || e->flaky) && dead.count && !e->purged && dead.attempts != MAX_ATTEMPTS)
    violation("I7: %s is dead after %u attempts", e->id, dead.attempts);
  if (dead.count) reach(REACHED_DEAD);
}

static void judge_order(size_t a) {
  int64_t first = -1, second = -1;
  if (!commits_of(life.events[a].id, &first) || life.events[a].replayed) return;
  for (size_t b = a + 1; b < life.event_count; b++) {
    if (strcmp(life.events[a].key, life.events[b].key) != 0 || life.events[b].replayed) continue;
    if (!commits_of(life.events[b].id, &second)) continue;
    if (second < first) violation("I4: %s overtakes %s", life.events[b].id, life.events[a].id);
    return;
  }
}

static void judge_journal(void) {
  struct manifest_name *list = NULL;
  struct error err = {0};
  size_t count = 0;
  if (manifest_list(life.hand, &list, &count, &err) != ST_OK) abort();
  for (size_t i = 0; i < count; i++)
    if (!list[i].settled)
      violation("batch %llu is not settled", (unsigned long long)list[i].number);
  free(list);
}

static void *live(void *arg) {
  (void)arg;
  struct thread producer;
  life.exactly_once = !sim_chance(10);
  life.hold_key = sim_chance(15);
  life.batch_events = (size_t[]){1, 3, 8, 50}[sim_below(4)];
  world.redis_off = sim_chance(50);
  world.redis_ns = sim_chance(50) ? 0 : (int64_t)sim_below(40000000);
  draw_events();
  draw_faults();
  life.writing = true;
  life.hand = open_store(false);
  if (sim_chance(30)) produce(NULL);
  start_worker();
  if (life.writing && thread_start(&producer, NULL, produce, NULL) != 0) abort();
  for (size_t left = sim_below(ACTIONS + 1); left && !life.failed; left--) {
    some_time();
    act();
    restart_if_it_ended();
  }
  drain();
  for (size_t i = 0; i < life.event_count; i++) judge_event(i);
  for (size_t i = 0; life.exactly_once && !life.hold_key && i < life.event_count; i++)
    judge_order(i);
  if (life.exactly_once) judge_journal();
  return NULL;
}

void open_shared(void) {
  struct catalog_config schemas = {.folder = SOURCE_ROOT "/schemas"};
  struct routing_config names = {.namespaces = SPAN("episode"),
                                 .topic = SPAN("{namespace}.events")};
  struct error err = {0};
  enum status st = catalog_open(&schemas, NULL, &catalog, &err);
  if (st == ST_OK) st = routing_open(&names, &routing, &err);
  if (st != ST_OK) {
    fprintf(stderr, "simulate: %s\n", err.text);
    exit(2);
  }
}

bool one_life(uint64_t seed) {
  life = (struct life){.seed = seed};
  sim_seed(seed);
  world_begin();
  if (!sim_run(live, NULL)) violation("I9: nobody goes on");
  if (life.failed) {
    printf("seed %llu, %zu events, %s, batches of %zu, redis %s:\n", (unsigned long long)seed,
           life.event_count, life.exactly_once ? "exactly_once" : "at_least_once",
           life.batch_events, world.redis_off ? "off" : "on");
    sim_print_history();
    printf("  to see it again: simulate --first %llu --lives 1\n", (unsigned long long)seed);
  }
  store_memory_forget("life");
  return !life.failed;
}
