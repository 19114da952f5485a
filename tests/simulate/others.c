/* others.c - others' hands on the entries of a life: those that the documents allow, and the typed
 * bus at work on its own outbox. */
#include "tests/simulate/disk.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/life.h"

#include <stdio.h>

/* chmod, touch, an editor that saves the same again, a new event under an old name. Where nothing
 * lies at the name, nothing is done. */
static void have_a_hand_on(size_t i) {
  struct event_of_life *e = &life.events[i];
  struct buffer text = {0};
  if (e->strange) return;
  if (sim_chance(15) && disk_link(e->file)) { /* until the end of the life's troubles */
    sim_say("others link %s", e->file);
    e->touched = true;
  } else if (sim_chance(30) && !e->in_doubt) {
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
void others(void) {
  static const char *const told[] = {"produced", "position", "a commit is answered",
                                     ".json",    ".json",    ".tmp"};
  int group = life.worker->group;
  if (sim_chance(80)) sim_fuse_at(group, told[sim_below(6)]);
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

/* An editor saves all of them, as they are, while an entry is taken out, and the disk is slow. */
void save_all(void) {
  int group = life.worker->group;
  errors_slow();
  for (uint64_t times = 1 + sim_below(4); times; times--) {
    sim_go_on(group);
    sim_fuse_at(group, "gone-");
    for (int i = 0; i < 200 && !sim_burnt(); i++) sim_sleep_ns(SECOND_NS / 100);
  }
  for (size_t i = 0; i < life.own_count; i++) {
    struct event_of_life *e = &life.events[i];
    struct buffer text = {0};
    e->touched |= disk_read(e->file, &text) && disk_replace(e->file, buffer_span(&text), false);
    buffer_release(&text);
  }
  sim_say("others save all that is there");
  sim_fuse(0, 0);
  sim_go_on(group);
  some_time();
}

/* ---- files of others, linked in ---- */

void link_strange(bool again) {
  if (!again) strange_event();
  for (size_t i = 0; again && i < life.event_count; i++)
    if (life.events[i].strange) disk_link_strange(life.events[i].file);
}

/* Some of those that were linked in become entries: a file of its own comes in their place. */
void end_links(void) {
  for (size_t i = 0; i < life.event_count; i++) {
    struct buffer text = {0};
    if (!life.events[i].strange || sim_chance(50)) continue;
    sim_say("%s has one link alone", life.events[i].id);
    text_of(i, &text);
    disk_replace(life.events[i].file, buffer_span(&text), false);
    life.events[i].strange = false;
    buffer_release(&text);
  }
}

/* ---- the typed bus ---- */

static void in_processing(const struct event_of_life *e, char out[100]) {
  snprintf(out, 100, "typed/processing/%s", name_of(e));
}

/* It takes an entry up: from then on its file is young. */
static void take_up(struct event_of_life *e) {
  char file[100];
  in_processing(e, file);
  if (!disk_move(e->file, file)) return;
  if (sim_chance(80)) disk_touch(file);
  sim_say("the typed bus takes %s up", e->id);
  reach(REACHED_TAKEN_UP);
  e->touched = true;
}

static void give_back(struct event_of_life *e) {
  char file[100];
  in_processing(e, file);
  if (disk_move(file, e->file)) sim_say("the typed bus gives %s back", e->id);
}

/* Mostly while the worker has entries in hand. What it does not give back is ours after a time. */
void typed_bus(void) {
  static const char *const told[] = {"produced", "position", "a commit is answered", ".json"};
  int group = life.worker->group;
  if (sim_chance(70)) sim_fuse_at(group, told[sim_below(4)]);
  for (int i = 0; i < 100 && !sim_burnt(); i++) sim_sleep_ns(SECOND_NS / 100);
  for (size_t i = 0; i < life.own_count; i++)
    if (life.events[i].typed && sim_chance(60)) take_up(&life.events[i]);
  sim_fuse(0, 0);
  if (sim_chance(50)) sim_go_on(group), some_time();
  for (size_t i = 0; i < life.own_count; i++)
    if (life.events[i].typed && sim_chance(50)) give_back(&life.events[i]);
  sim_go_on(group);
}
