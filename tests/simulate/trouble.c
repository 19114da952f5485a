/* trouble.c - what goes wrong in a life: with its workers, their machine, and the world. */
#include "tests/simulate/disk.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/life.h"

#include "bridge/outbox/notes.h"

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

void note_crash(void) {
  struct manifest_name *list = NULL;
  struct error err = {0};
  size_t count = 0;
  if (!life.exactly_once || manifest_list(life.hand, &list, &count, &err) != ST_OK) return;
  reach(is_moving() ? REACHED_CRASH_MOVING : row_of(list, count));
  free(list);
}

/* ---- ends ---- */

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

static bool burnt_within(int64_t ns) {
  int64_t until_ns = sim_now_ns() + ns;
  while (!sim_burnt() && sim_now_ns() < until_ns) sim_sleep_ns(SECOND_NS / 100);
  return sim_burnt();
}

/* A dead letter is tried again, and its worker is held before its new form takes its place. */
static void await_rewrite(void) {
  sim_fuse_at(life.worker->group, "swap-");
  replay();
  burnt_within(3 * SECOND_NS);
  sim_fuse(0, 0);
}

/* It is held before it writes what an entry, or what it remembers, is to become. */
static void await_writing(void) {
  for (int i = 0; i < 40; i++) {
    sim_fuse_at(life.worker->group, ".tmp");
    if (!burnt_within(SECOND_NS) || sim_chance(40)) break;
    sim_go_on(life.worker->group);
  }
  sim_fuse(0, 0);
}

/* Held where that is named so many times. */
static bool await_nth(const char *what, uint64_t times) {
  int group = life.worker->group;
  bool there = true;
  for (; there && times; times--) {
    sim_go_on(group);
    sim_fuse_at(group, what);
    there = burnt_within(2 * SECOND_NS);
  }
  return there;
}

/* Held where that is named for the first or the third time, or some steps behind. */
static void await_behind(const char *what) {
  int group = life.worker->group;
  bool there = await_nth(what, 1 + sim_below(3));
  if (there && sim_chance(50)) {
    sim_fuse(group, 1 + (unsigned)sim_below(16));
    sim_go_on(group);
    burnt_within(SECOND_NS);
  }
  sim_fuse(0, 0);
}

static void crash_here(void) {
  reach(REACHED_KILL);
  note_crash();
  kill_worker(life.worker);
  if (sim_chance(30)) sim_sleep_ns((int64_t)sim_below(15 * SECOND_NS));
  start_worker();
}

static void crash(void) {
  await_step();
  crash_here();
}

void kill_machine(void) {
  kill_worker(life.worker);
  sim_kill(PRODUCER);
  if (life.writing) life.events[life.written].in_doubt = true;
  disk_close_all(0);
}

void restart_machine(void) {
  sim_sleep_ns((int64_t)sim_below(15 * SECOND_NS));
  life.hand = open_outbox(false);
  if (life.writing) life.written++;
  start_producer();
}

/* Of the worker's machine and its producer's. */
static void lose_power_here(void) {
  reach(REACHED_POWER);
  note_crash();
  kill_machine();
  sim_say("the power goes");
  disk_lose_power();
  link_strange(true);
  restart_machine();
  start_worker();
}

static void lose_power(void) {
  if (life.theme == THEME_FAR && sim_chance(80))
    await_behind("back-");
  else if (life.theme == THEME_HOLDS && sim_chance(80))
    await_behind("holds.");
  else
    await_step();
  lose_power_here();
}

/* Killed when an entry's new form has taken its place, which is not durable yet; the power goes
 * when its successor's copy of it is durable. Each is named twice on its way. */
static void die_twice(void) {
  await_nth("swap-", 2 * (1 + sim_below(6)));
  sim_fuse(0, 0);
  crash_here();
  await_nth("back-", 2 * (1 + sim_below(2)));
  sim_fuse(0, 0);
  lose_power_here();
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
  bool writing = life.theme == THEME_ZOMBIES && sim_chance(80);
  if (writing)
    await_writing();
  else if (life.on_disk && sim_chance(40))
    await_rewrite();
  else
    await_step();
  sim_say("worker %d is stopped by a signal, and another takes over", old->group);
  sim_stop(old->group);
  start_worker();
  if (writing) sim_sleep_ns((int64_t)sim_below(8 * SECOND_NS)); /* it buries what there is */
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
  errors_draw(life.on_disk, life.on_disk ? name_of(&life.events[some]) : NULL);
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

static void be_slow(void) {
  errors_slow();
  some_time();
}

/* What the life is about. */
static bool act_on_theme(void) {
  static void (*const of[THEMES][4])(void) = {
      [THEME_TYPED] = {typed_bus, typed_bus, typed_bus, replay},
      [THEME_LINKS] = {others, others, others, replay},
      [THEME_FAR] = {lose_power, lose_power, die_twice, replay},
      [THEME_RESTORED] = {restore, spoil_position, spoil_position, spoil_position},
      [THEME_ZOMBIES] = {take_over, take_over, others, replay},
      [THEME_HOLDS] = {lose_power, lose_power, lose_power, purge},
      [THEME_SLOW] = {be_slow, save_all, save_all, save_all}};
  if (life.theme == THEME_LINKS && sim_chance(50)) link_strange(false);
  if (!of[life.theme][0] || sim_chance(life.theme == THEME_RESTORED ? 15 : 40)) return false;
  of[life.theme][sim_below(4)]();
  return true;
}

void act(void) {
  static void (*const actions[])(void) = {
      crash,  crash,         crash,  freeze,        take_over,       take_over,
      outage, outage,        redis,  lose_position, restart_cleanly, pause_it,
      replay, topic_trouble, outage, move_ledger,   disk_errors,     disk_errors};
  if (act_on_theme()) return;
  if (life.on_disk && sim_chance(40))
    lose_power();
  else if (life.on_disk && sim_chance(8))
    move_ledger();
  else if (life.on_disk && sim_chance(20))
    disk_errors();
  else if (life.on_disk && sim_chance(20))
    others();
  else if (life.typed && sim_chance(20))
    typed_bus();
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
