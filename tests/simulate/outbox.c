/* outbox.c - the small texts of an outbox, who owns it, and Redis. */
#include "tests/simulate/fibers.h"
#include "tests/simulate/world.h"

#include <stdio.h>
#include <stdlib.h>

struct state {
  char word;
};

void world_begin(void) {
  world = (struct sim_world){.kafka_up = true, .redis_up = true};
  world.timeout_ns = INT64_C(10000000000);
}

void world_end(void) {
  for (size_t i = 0; i < sizeof world.notes / sizeof *world.notes; i++) free(world.notes[i]);
}

void world_lose_positions(void) {
  world.position_count = 0;
}

struct state *world_take(void) {
  struct state *s = calloc(1, sizeof *s);
  if (!s) abort();
  world.owner = s;
  return s;
}

void world_leave(struct state *s) {
  if (world.owner == s) world.owner = NULL;
  free(s);
}

/* ---- state.h ---- */

const char *state_path(const struct state *s) {
  (void)s;
  return "simulated";
}

const char *state_id(const struct state *s) {
  (void)s;
  return "00000000-0000-4000-8000-000000000000";
}

enum status state_check(struct state *s, struct error *err) {
  return world.owner == s ? ST_OK : error_set(err, ST_BUSY, "another worker took the outbox over");
}

int64_t state_lock_holder(const struct state *s) {
  (void)s;
  return world.owner ? 1 : 0;
}

enum status state_note_read(const struct state *s, enum note note, struct buffer *out, struct error *err) {
  (void)s;
  if (!world.notes[note]) return ST_NOT_FOUND;
  buffer_add_z(out, world.notes[note]);
  return buffer_status(out, err);
}

enum status state_note_write(struct state *s, enum note note, struct span text, struct error *err) {
  (void)s, (void)err;
  free(world.notes[note]);
  world.notes[note] = strndup(text.ptr, text.len);
  if (!world.notes[note]) abort();
  return ST_OK;
}

enum status state_note_remove(struct state *s, enum note note, struct error *err) {
  (void)s, (void)err;
  bool there = world.notes[note];
  free(world.notes[note]);
  world.notes[note] = NULL;
  return there ? ST_OK : ST_NOT_FOUND;
}

/* The file kind is linked too, and never opened. */
int state_outbox(const struct state *s) {
  (void)s;
  abort();
}
int state_folder(const struct state *s) {
  (void)s;
  abort();
}
int state_tmp(const struct state *s) {
  (void)s;
  abort();
}
enum status state_keep_tmp(struct state *s, bool *remade, struct error *err) {
  (void)s, (void)remade, (void)err;
  abort();
}

enum status state_replace(struct state *s, const char *name, struct span content, struct error *err) {
  (void)s, (void)name, (void)content, (void)err;
  abort();
}

/* ---- keys.h: the ids of a life; due ones lie in the outbox, so that they outlive the worker ---- */

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

void keys_state(struct keys *k, struct keys_state *out) {
  (void)k;
  *out = (struct keys_state){.off = world.redis_off, .up = world.redis_up, .due = world.due_count};
}

enum status keys_check(struct keys *k, const struct span *ids, size_t count, bool *seen, struct span *place,
                       struct arena *arena) {
  (void)k, (void)place, (void)arena;
  sim_yield();
  for (size_t i = 0; i < count; i++)
    seen[i] = has(world.due, world.due_count, ids[i]) || (world.redis_up && has(world.keys, world.key_count, ids[i]));
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
      put(world.due, &world.due_count, list[i].id);
  }
  return ST_OK;
}

void keys_tend(struct keys *k) {
  (void)k;
  if (!world.redis_up) return;
  for (size_t i = 0; i < world.due_count; i++) put(world.keys, &world.key_count, span_of(world.due[i]));
  world.due_count = 0;
}

void keys_words(const char *error, bool required, struct keys_words *out) {
  (void)error, (void)required;
  *out = (struct keys_words){.cause = "Redis is away", .next = "Start it"};
}
