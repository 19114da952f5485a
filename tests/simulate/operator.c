/* operator.c - what the operator of a life does with what was published, or was not. */
#include "tests/simulate/disk.h"
#include "tests/simulate/life.h"

#include <stdio.h>
#include <stdlib.h>

void pause_it(void) {
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

/* The power went while it was copied into a dlq/ of another file system: it lies in the outbox
 * too, in its dead form, until its worker has moved it. */
static bool is_on_its_way(const struct event_of_life *e) {
  struct buffer text = {0};
  bool dead = life.on_disk && disk_read(e->file, &text) &&
              (strstr(buffer_z(&text), "\"dlq\"") || strstr(buffer_z(&text), "\"errored\""));
  buffer_release(&text);
  return dead;
}

static bool take_dead(void *ctx, const struct entry_info *info) {
  struct dead *d = ctx;
  if (is_on_its_way(event_of(info->label))) return true;
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
  size_t records = world.record_count;
  if (*d.token) store_purge(life.worker->store, &letter, 1);
  if (!*d.token || letter.status != ST_OK) return;
  sim_say("%s is purged", d.event->id);
  d.event->purged = true;
  d.event->purged_at = records;
}

void replay(void) {
  struct dead d = some_dead();
  if (*d.token && store_replay(life.worker->store, SHELF_DEAD, d.token, NULL) == ST_OK) {
    reach(REACHED_REPLAYED);
    sim_say("%s is replayed", d.event->id);
    d.event->replayed = true;
  }
}
