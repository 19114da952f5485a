/* redis.c - the world of a life, and Redis in it. */
#include "tests/simulate/fibers.h"
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>

void world_begin(void) {
  world = (struct sim_world){.kafka_up = true, .redis_up = true};
  world.timeout_ns = INT64_C(10000000000);
  world.shut_topic = -1;
}

void world_lose_positions(void) {
  world.position_count = 0;
}

/* ---- keys.h: the ids of a life; due ones lie in the outbox, so that they outlive the worker ----
 */

static bool has(char (*list)[64], size_t count, struct span id) {
  for (size_t i = 0; i < count; i++)
    if (span_is(id, list[i])) return true;
  return false;
}

static void put(char (*list)[64], size_t *count, struct span id) {
  if (has(list, *count, id)) return;
  if (*count == KEYS) abort();
  snprintf(list[(*count)++], sizeof *list, "%.*s", SPAN_ARGS(id));
}

enum status keys_open(const struct keys_config *config, struct log *log, struct keys **out,
                      struct error *err) {
  (void)config, (void)log, (void)err;
  *out = (struct keys *)(void *)&world;
  return ST_OK;
}

void keys_close(struct keys *k) {
  (void)k;
}

void keys_state(struct keys *k, struct keys_state *out) {
  (void)k;
  *out = (struct keys_state){
      .off = world.redis_off, .up = world.redis_up, .due = world.keys_due_count};
}

enum status keys_check(struct keys *k, const struct span *ids, size_t count, bool *seen,
                       struct span *place, struct arena *arena) {
  (void)k, (void)place, (void)arena;
  sim_yield();
  for (size_t i = 0; i < count; i++)
    seen[i] = has(world.due, world.keys_due_count, ids[i]) ||
              (world.redis_up && has(world.keys, world.key_count, ids[i]));
  if (!world.redis_up) reach(REACHED_REDIS_AWAY);
  return world.redis_up ? ST_OK : ST_UNAVAILABLE;
}

enum status keys_set(struct keys *k, const struct key *list, size_t count, struct error *err) {
  (void)k, (void)err;
  sim_sleep_ns((int64_t)sim_below((uint64_t)world.redis_ns + 1)); /* the finisher falls behind */
  for (size_t i = 0; i < count; i++) {
    if (world.redis_up)
      put(world.keys, &world.key_count, list[i].id);
    else
      put(world.due, &world.keys_due_count, list[i].id);
  }
  return ST_OK;
}

void keys_tend(struct keys *k) {
  (void)k;
  if (!world.redis_up) return;
  for (size_t i = 0; i < world.keys_due_count; i++)
    put(world.keys, &world.key_count, span_of(world.due[i]));
  world.keys_due_count = 0;
}

void keys_words(const char *error, bool required, struct keys_words *out) {
  (void)error, (void)required;
  *out = (struct keys_words){.cause = "Redis is away", .next = "Start it"};
}
