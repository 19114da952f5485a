/* producer.c - what the application writes in a life. */
#include "tests/simulate/disk.h"
#include "tests/simulate/life.h"

#include "bridge/event/event.h"

#include <stdio.h>
#include <stdlib.h>

static void text_of(size_t i, struct buffer *text) {
  const struct event_of_life *e = &life.events[i];
  struct buffer payload = {0};
  bool plot = *e->key == 'p';
  if (plot)
    buffer_printf(&payload, "{\"plot_id\": \"%s\", \"word_count\": %zu}", e->key, i);
  else
    buffer_printf(&payload, "{\"episode_id\": \"%s\", \"title\": \"T\", \"episode_number\": %zu}",
                  e->key, i);
  if (e->bad)
    buffer_add_z(text, "no json");
  else
    event_write(span_of(e->id), plot ? SPAN("plot.updated") : SPAN("episode.created"),
                buffer_span(&payload), clock_wall_us(&sim_clock), span_of(e->id), text);
  buffer_release(&payload);
}

static void write_as(size_t i, const char *key) {
  struct buffer text = {0};
  struct error err = {0};
  text_of(i, &text);
  enum status st = store_emit(life.hand, span_of(key), buffer_span(&text), NULL, &err);
  if (st != ST_OK) violation("%s cannot be written: %s", key, err.text);
  buffer_release(&text);
}

static void write_event(size_t i) {
  struct event_of_life *e = &life.events[i];
  char key[80];
  write_as(i, e->id);
  snprintf(key, sizeof key, "%s-twin", e->id);
  if (e->twin) write_as(i, key);
}

static void *produce(void *arg) {
  (void)arg;
  for (; life.written < life.own_count; life.written++) {
    write_event(life.written);
    /* No two of the same microsecond: their order would be that of their names. */
    sim_sleep_ns(2000 + (sim_chance(50) ? (int64_t)sim_below(100000000) : 0));
  }
  life.writing = false;
  return NULL;
}

void draw_events(void) {
  unsigned keys = 1 + (unsigned)sim_below(4), poison = sim_chance(50) ? 0 : 8,
           bad = sim_chance(70) ? 0 : 8, twin = sim_chance(70) ? 0 : 15;
  life.event_count = life.own_count = 3 + sim_below((life.on_disk ? EVENTS / 4 : EVENTS) - 4);
  for (size_t i = 0; i < life.event_count; i++) {
    struct event_of_life *e = &life.events[i];
    e->poison = sim_chance(poison);
    e->bad = !e->poison && sim_chance(bad);
    e->flaky = !e->poison && !e->bad && sim_chance(poison / 2);
    e->twin = !e->poison && !e->bad && !e->flaky && sim_chance(twin);
    snprintf(e->key, sizeof e->key, "%c%u", sim_chance(25) ? 'p' : 'k', (unsigned)sim_below(keys));
    const char *kind = e->poison ? "poison" : e->flaky ? "flaky" : "e";
    snprintf(e->id, sizeof e->id, "%s%zu", kind, i);
    snprintf(e->file, sizeof e->file, "%s%zu.json", kind, i);
  }
}

/* Of the same length as an event's own. */
void replace_event(size_t i, bool keep_time) {
  struct event_of_life *old = &life.events[i], *e = &life.events[life.event_count];
  struct buffer text = {0};
  if (old->poison || old->bad || old->flaky || life.event_count == EVENTS) return;
  snprintf(e->id, sizeof e->id, "r%zu", i);
  memcpy(e->key, old->key, sizeof e->key);
  memcpy(e->file, old->file, sizeof e->file);
  text_of(life.event_count, &text);
  if (disk_replace(old->file, buffer_span(&text), keep_time)) {
    sim_say("others put %s in the place of %s", e->id, old->id);
    old->in_doubt = old->touched = e->touched = true;
    life.event_count++;
  }
  buffer_release(&text);
}

/* Some outboxes are full before the first worker comes. */
void start_producer(void) {
  struct thread t;
  life.writing = life.written < life.own_count;
  if (!life.writing) return;
  sim_enter(PRODUCER);
  if (thread_start(&t, NULL, produce, NULL) != 0) abort();
  sim_enter(0);
  thread_detach(t);
}

struct event_of_life *event_of(const char *file) {
  for (size_t i = 0; i < life.event_count; i++) {
    size_t len = strlen(life.events[i].id);
    if (!strncmp(file, life.events[i].id, len) &&
        (!file[len] || file[len] == '.' || file[len] == '-' || file[len] == '_'))
      return &life.events[i];
  }
  abort();
}
