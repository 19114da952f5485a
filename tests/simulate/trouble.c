/* trouble.c - what goes wrong in a life, and what its operator does. */
#include "tests/simulate/disk.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/life.h"

#include "bridge/outbox/notes.h"

#include <stdio.h>
#include <stdlib.h>

void some_time(void) {
  sim_sleep_steps(sim_below(600), (int64_t)sim_below(3 * SECOND_NS));
}

/* ---- the journal ---- */

static size_t settled_of(const struct manifest_name *list, size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) n += list[i].settled;
  return n;
}

static bool two_are_settled(void) {
  struct manifest_name *list = NULL;
  struct error err = {0};
  size_t count = 0;
  bool two = manifest_list(life.hand, &list, &count, &err) == ST_OK && settled_of(list, count) > 1;
  free(list);
  return two;
}

/* The batch in doubt, as the journal tells: which row of bridge/relay/PROTOCOL.md 5 it is. */
static enum reached row_of(const struct manifest_name *list, size_t count) {
  int64_t c = kafka_position();
  if (settled_of(list, count) > 1) return REACHED_CRASH_RENAMES;
  for (size_t i = count; i-- > 0;)
    if (!list[i].settled && (int64_t)list[i].number >= c)
      return world.unanswered              ? REACHED_CRASH_UNANSWERED
             : (int64_t)list[i].number > c ? REACHED_CRASH_BEFORE_COMMIT
                                           : REACHED_CRASH_SETTLING;
  return REACHED_CRASH_BEFORE_MANIFEST;
}

/* The position stands under a changed topic, and the outbox remembers the old one. */
static bool is_moving(void) {
  struct store_ledger known;
  struct error err = {0};
  if (store_ledger_read(life.hand, &known, &err) != ST_OK ||
      !strcmp(known.topic, life.ledger_topic))
    return false;
  for (size_t i = 0; i < world.position_count; i++)
    if (!strcmp(world.positions[i].topic, life.ledger_topic) &&
        world.positions[i].number == kafka_position())
      return true;
  return false;
}

static void note_crash(void) {
  struct manifest_name *list = NULL;
  struct error err = {0};
  size_t count = 0;
  if (!life.exactly_once || manifest_list(life.hand, &list, &count, &err) != ST_OK) return;
  reach(is_moving() ? REACHED_CRASH_MOVING : row_of(list, count));
  free(list);
}

/* ---- ends ---- */

static void replay(void);

/* Most die at a step of theirs, soon or later; some where it is told what the next start finds:
 * between manifest and commit, behind it, while an entry is taken out, between two manifests,
 * before an entry's new form takes its place, while anything is written. */
static void await_step(void) {
  static const char *const told[] = {
      "position", "a commit is answered", "gone-", "settled-", "settled-", "settled-", "swap-",
      ".tmp"};
  if (sim_chance(30)) return;
  if (!life.on_disk && sim_chance(10)) { /* there no step is told */
    for (int i = 0; i < 500 && !two_are_settled(); i++) sim_sleep_steps(1, SECOND_NS / 100);
    return;
  }
  if (sim_chance(40))
    sim_fuse_at(life.worker->group, told[sim_below(life.on_disk ? 8 : 2)]);
  else
    sim_fuse(life.worker->group, 1 + (unsigned)sim_below(UINT64_C(1) << sim_below(10)));
  for (int i = 0; i < 300 && !sim_burnt(); i++) sim_sleep_ns(SECOND_NS / 100);
  sim_fuse(0, 0);
}

/* A dead letter is tried again, and its worker is held before its new form takes its place. */
static void await_rewrite(void) {
  sim_fuse_at(life.worker->group, "swap-");
  replay();
  for (int i = 0; i < 300 && !sim_burnt(); i++) sim_sleep_ns(SECOND_NS / 100);
  sim_fuse(0, 0);
}

static void crash(void) {
  await_step();
  reach(REACHED_KILL);
  note_crash();
  kill_worker(life.worker);
  if (sim_chance(30)) sim_sleep_ns((int64_t)sim_below(15 * SECOND_NS));
  start_worker();
}

/* Of the worker's machine and its producer's. */
static void lose_power(void) {
  await_step();
  reach(REACHED_POWER);
  note_crash();
  kill_worker(life.worker);
  sim_kill(PRODUCER);
  if (life.writing) life.events[life.written].in_doubt = true;
  sim_say("the power goes");
  disk_close_all(0);
  disk_lose_power();
  sim_sleep_ns((int64_t)sim_below(15 * SECOND_NS));
  life.hand = open_outbox(false);
  if (life.writing) life.written++;
  start_producer();
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
  reach(REACHED_TAKEOVER);
  life.taken_over = true;
  if (life.on_disk && sim_chance(40))
    await_rewrite();
  else
    await_step();
  sim_say("worker %d is stopped by a signal, and another takes over", old->group);
  sim_stop(old->group);
  start_worker();
  some_time();
  sim_go_on(old->group);
  sim_say("worker %d wakes", old->group);
  for (int i = 0; i < 600 && !has_failed(old); i++) sim_sleep_ns(SECOND_NS / 5);
  if (!has_failed(old) && life.exactly_once)
    violation("worker %d, who lost its outbox, goes on", old->group);
  stop_worker(old);
}

/* ledger.topic is changed, for good or for a start that does not come to its end. */
static void move_ledger(void) {
  if (!life.exactly_once) return;
  bool dies = sim_chance(70);
  stop_worker(life.worker);
  life.ledger_topic = strcmp(life.ledger_topic, "ledger") != 0 ? "ledger" : "moved";
  sim_say("ledger.topic is %s now", life.ledger_topic);
  start_worker();
  if (!dies) return;
  sim_fuse_at(life.worker->group, "moved");
  for (int i = 0; i < 300 && !sim_burnt(); i++) sim_sleep_ns(SECOND_NS / 100);
  sim_fuse(0, 0);
  note_crash();
  kill_worker(life.worker);
  start_worker();
}

/* ---- the world ---- */

static void outage(void) {
  reach(REACHED_OUTAGE);
  sim_say("kafka goes away");
  world.kafka_up = false;
  sim_sleep_ns((int64_t)sim_below(sim_chance(20) ? 60 * SECOND_NS : 3 * SECOND_NS));
  world.kafka_up = true;
  world.stale_left = 2;
  sim_say("kafka is back");
}

/* It is missing, forbidden, or minds our clock; others go on. */
static void topic_trouble(void) {
  if (!world.topic_count) return;
  reach(REACHED_TOPIC);
  world.shut_topic = (int)sim_below(world.topic_count);
  world.shut_fault =
      (enum kafka_fault[]){KAFKA_TOPIC_UNKNOWN, KAFKA_TOPIC_DENIED, KAFKA_CLOCK}[sim_below(3)];
  sim_say("kafka: %s is shut", world.topics[world.shut_topic]);
  sim_sleep_ns((int64_t)sim_below(5 * SECOND_NS));
  world.shut_topic = -1;
  sim_say("kafka: it is open again");
}

static void redis(void) {
  sim_say("redis goes away%s", sim_chance(30) ? ", and forgets" : "");
  world.redis_up = false;
  life.forgot = true;
  if (sim_chance(30)) world.key_count = 0;
  sim_sleep_ns((int64_t)sim_below(3 * SECOND_NS));
  world.redis_up = true;
}

/* It goes on while other things happen. The one that nobody may change comes soon, or is there. */
static void disk_errors(void) {
  size_t some = sim_chance(70) ? life.written + sim_below(3) : sim_below(life.written + 1);
  if (some >= life.own_count) some = life.own_count - 1;
  errors_draw(life.on_disk, life.on_disk ? life.events[some].file : NULL);
  if (sim_chance(70)) some_time();
}

/* Offsets expire, or the ledger topic was made anew, while no worker runs. */
static void lose_position(void) {
  struct worker *w = life.worker;
  reach(REACHED_POSITION_LOST);
  if (sim_chance(50)) {
    kill_worker(w);
  } else {
    stop_worker(w);
  }
  sim_sleep_ns(world.timeout_ns); /* no transaction is open any more */
  world_lose_positions();
  sim_say("kafka loses the position");
  start_worker();
}

/* chmod, touch, an editor that saves the same again, a new event under an old name. Where nothing
 * lies at the name, nothing is done. */
static void have_a_hand_on(size_t i) {
  struct event_of_life *e = &life.events[i];
  struct buffer text = {0};
  if (sim_chance(30) && !e->in_doubt) {
    replace_event(i, sim_chance(50));
  } else if (disk_read(e->file, &text) &&
             (sim_chance(50) ? disk_touch(e->file)
                             : disk_replace(e->file, buffer_span(&text), false))) {
    sim_say("others touch %s", e->file);
    e->touched = true;
  }
  buffer_release(&text);
}

/* Mostly while the worker has entries in hand; it may die then. */
static void others(void) {
  static const char *const told[] = {"produced", "position", "a commit is answered", ".json"};
  int group = life.worker->group;
  if (sim_chance(80)) sim_fuse_at(group, told[sim_below(4)]);
  for (int i = 0; i < 100 && !sim_burnt(); i++) sim_sleep_ns(SECOND_NS / 100);
  for (size_t i = 0; i < life.own_count; i++)
    if (sim_chance(50)) have_a_hand_on(i);
  bool held = sim_burnt();
  sim_fuse(0, 0);
  if (held && sim_chance(30)) {
    note_crash();
    kill_worker(life.worker);
    start_worker();
  }
  sim_go_on(group);
}

/* ---- the operator ---- */

static void pause_it(void) {
  reach(REACHED_PAUSED);
  sim_say("publishing is paused");
  relay_pause(life.worker->relay, true);
  some_time();
  relay_pause(life.worker->relay, false);
  sim_say("publishing goes on");
}

struct dead {
  char token[TOKEN_MOST + 1]; /* "": there is none */
  struct event_of_life *event;
};

static bool take_dead(void *ctx, const struct entry_info *info) {
  struct dead *d = ctx;
  snprintf(d->token, sizeof d->token, "%s", info->token);
  d->event = event_of(info->label);
  return sim_chance(50);
}

static struct dead some_dead(void) {
  struct dead d = {0};
  struct error err = {0};
  uint64_t total;
  if (store_list(life.worker->store, LIST_DEAD, 0, take_dead, &d, &total, &err) != ST_OK) abort();
  return d;
}

/* A dead letter that holds its key (dlq.hold_key) does so until somebody deals with it. */
void purge(void) {
  struct dead d = some_dead();
  struct letter letter = {.token = d.token, .when_us = TIME_NONE};
  if (*d.token) store_purge(life.worker->store, &letter, 1);
  if (*d.token && letter.status == ST_OK) d.event->purged = true;
}

static void replay(void) {
  struct dead d = some_dead();
  if (*d.token && store_replay(life.worker->store, SHELF_DEAD, d.token, NULL) == ST_OK) {
    reach(REACHED_REPLAYED);
    sim_say("%s is replayed", d.event->id);
    d.event->replayed = true;
  }
}

void act(void) {
  static void (*const actions[])(void) = {
      crash,  crash,         crash,  freeze,        take_over,       take_over,
      outage, outage,        redis,  lose_position, restart_cleanly, pause_it,
      replay, topic_trouble, outage, move_ledger,   disk_errors,     disk_errors};
  if (life.on_disk && sim_chance(40))
    lose_power();
  else if (life.on_disk && sim_chance(8))
    move_ledger();
  else if (life.on_disk && sim_chance(20))
    disk_errors();
  else if (life.on_disk && sim_chance(20))
    others();
  else
    actions[sim_below(sizeof actions / sizeof *actions)]();
}

void draw_faults(void) {
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
