/* producer.c - what the application writes in a life. */
#include "tests/simulate/disk.h"
#include "tests/simulate/life.h"

#include "bridge/event/event.h"

#include <stdio.h>
#include <stdlib.h>

static const char *class_of(bool plot) {
  return plot ? "PlotUpdated" : "EpisodeCreated";
}

const char *name_of(const struct event_of_life *e) {
  return strrchr(e->file, '/') + 1;
}

/* What the typed bus wraps around each event. */
static void wrap(const struct event_of_life *e, bool plot, struct span data, struct buffer *out) {
  char time[TIME_TEXT];
  time_format(clock_wall_us(&sim_clock), time);
  buffer_printf(out,
                "{\"event_type\": \"%s\", \"event_id\": \"%s\", \"occurred_at\": \"%s\", "
                "\"aggregate_id\": null, \"version\": 1, \"metadata\": {}, \"data\": %.*s}",
                class_of(plot), e->id, time, SPAN_ARGS(data));
}

static void typed_text(const struct event_of_life *e, bool plot, struct span data,
                       struct buffer *text) {
  char time[TIME_TEXT];
  const char *name = name_of(e);
  time_format(clock_wall_us(&sim_clock), time);
  buffer_printf(text, "{\"message_id\": \"%.*s\", \"event_type\": \"%s\", \"payload\": ",
                (int)strcspn(name, "."), name, class_of(plot));
  wrap(e, plot, data, text);
  buffer_printf(text,
                ", \"occurred_at\": \"%s\", \"aggregate_id\": null, \"status\": \"pending\", "
                "\"attempts\": 0, \"last_error\": null, \"created_at\": \"%s\"}",
                time, time);
}

static void payload_of(size_t i, struct buffer *payload) {
  const struct event_of_life *e = &life.events[i];
  if (*e->key == 'p')
    buffer_printf(payload, "{\"plot_id\": \"%s\", \"word_count\": %zu}", e->key, i);
  else
    buffer_printf(payload, "{\"episode_id\": \"%s\", \"title\": \"T\", \"episode_number\": %zu}",
                  e->key, i);
}

void text_of(size_t i, struct buffer *text) {
  const struct event_of_life *e = &life.events[i];
  struct buffer payload = {0};
  bool plot = *e->key == 'p';
  payload_of(i, &payload);
  if (e->bad)
    buffer_add_z(text, "no json");
  else if (e->typed)
    typed_text(e, plot, buffer_span(&payload), text);
  else
    event_write(span_of(e->id), plot ? SPAN("plot.updated") : SPAN("episode.created"),
                buffer_span(&payload), clock_wall_us(&sim_clock), span_of(e->id), text);
  buffer_release(&payload);
}

/* As the bridge of the two buses copies it into the outbox: the envelope is the payload, and the
 * entry has an id of its own. */
static void copy_of(size_t i, const char *id, struct buffer *text) {
  const struct event_of_life *e = &life.events[i];
  struct buffer payload = {0}, envelope = {0};
  bool plot = *e->key == 'p';
  payload_of(i, &payload);
  wrap(e, plot, buffer_span(&payload), &envelope);
  event_write(span_of(id), plot ? SPAN("plot.plotupdated") : SPAN("episode.episodecreated"),
              buffer_span(&envelope), clock_wall_us(&sim_clock), span_of(id), text);
  buffer_release(&payload);
  buffer_release(&envelope);
}

static void emit(const char *key, const struct buffer *text) {
  struct error err = {0};
  enum status st = store_emit(life.hand, span_of(key), buffer_span(text), NULL, &err);
  if (st != ST_OK) violation("%s cannot be written: %s", key, err.text);
}

static void write_once(size_t i) {
  struct buffer text = {0};
  text_of(i, &text);
  if (life.events[i].typed)
    disk_write(life.events[i].file, buffer_span(&text));
  else
    emit(life.events[i].id, &text);
  buffer_release(&text);
}

static void write_twin(size_t i) {
  const struct event_of_life *e = &life.events[i];
  struct buffer text = {0};
  char id[80];
  snprintf(id, sizeof id, "%s-%s", e->id, e->both ? "copy" : "twin");
  if (e->both)
    copy_of(i, id, &text);
  else
    text_of(i, &text);
  emit(id, &text);
  buffer_release(&text);
}

static void write_event(size_t i) {
  const struct event_of_life *e = &life.events[i];
  bool twin_first = e->both && sim_chance(50);
  if (twin_first) write_twin(i);
  write_once(i);
  if (e->twin && !twin_first) write_twin(i);
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

/* Which kinds of events there are, in percent of all. */
struct kinds {
  unsigned keys, poison, bad, twin;
};

static struct kinds draw_kinds(void) {
  struct kinds k = {.keys = 1 + (unsigned)sim_below(4),
                    .poison = sim_chance(50) ? 0 : 8,
                    .bad = sim_chance(70) ? 0 : 8,
                    .twin = sim_chance(70) ? 0 : 15};
  bool dying = life.theme == THEME_FAR || life.theme == THEME_ZOMBIES || life.theme == THEME_HOLDS;
  if (dying) k.poison = 25;
  if (life.typed) k.twin = 15;
  return k;
}

static void draw_event(struct event_of_life *e, size_t i, const struct kinds *k) {
  e->poison = sim_chance(k->poison);
  e->bad = !e->poison && sim_chance(k->bad);
  e->flaky = !e->poison && !e->bad && sim_chance(k->poison / 2);
  e->twin = !e->poison && !e->bad && !e->flaky && sim_chance(k->twin);
  e->typed = life.typed && sim_chance(50);
  e->both = e->twin && life.typed;
  e->typed |= e->both;
  snprintf(e->key, sizeof e->key, "%c%u", sim_chance(25) ? 'p' : 'k', (unsigned)sim_below(k->keys));
  const char *kind = e->poison ? "poison" : e->flaky ? "flaky" : "e";
  snprintf(e->id, sizeof e->id, "%s%zu", kind, i);
  snprintf(e->file, sizeof e->file, e->typed ? "typed/pending/%s-m.json" : "outbox/%s.json", e->id);
}

void draw_events(void) {
  const struct kinds kinds = draw_kinds();
  life.event_count = life.own_count = 3 + sim_below((life.on_disk ? EVENTS / 4 : EVENTS) - 4);
  for (size_t i = 0; i < life.event_count; i++) draw_event(&life.events[i], i, &kinds);
}

/* Of the same length as an event's own. */
void replace_event(size_t i, bool keep_time) {
  struct event_of_life *old = &life.events[i], *e = &life.events[life.event_count];
  struct buffer text = {0};
  if (old->bad || life.event_count == EVENTS) return;
  snprintf(e->id, sizeof e->id, "r%zu", i);
  memcpy(e->key, old->key, sizeof e->key);
  memcpy(e->file, old->file, sizeof e->file);
  e->typed = old->typed;
  text_of(life.event_count, &text);
  if (disk_replace(old->file, buffer_span(&text), keep_time)) {
    sim_say("others put %s in the place of %s", e->id, old->id);
    old->in_doubt = old->touched = e->touched = true;
    life.event_count++;
  } else {
    *e = (struct event_of_life){0};
  }
  buffer_release(&text);
}

void strange_event(void) {
  struct event_of_life *e = &life.events[life.event_count];
  struct buffer text = {0};
  if (life.event_count == EVENTS) return;
  e->strange = e->touched = true;
  e->typed = life.typed && sim_chance(50);
  snprintf(e->id, sizeof e->id, "s%zu", life.event_count);
  snprintf(e->key, sizeof e->key, "k0");
  snprintf(e->file, sizeof e->file, e->typed ? "typed/pending/%s-m.json" : "outbox/%s.json", e->id);
  sim_say("others link %s in", e->id);
  text_of(life.event_count++, &text);
  disk_put_strange(e->file, buffer_span(&text));
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

struct event_of_life *event_of(const char *token) {
  const char *slash = strrchr(token, '/'), *file = slash ? slash + 1 : token;
  for (size_t i = 0; i < life.event_count; i++) {
    size_t len = strlen(life.events[i].id);
    if (!strncmp(file, life.events[i].id, len) &&
        (!file[len] || file[len] == '.' || file[len] == '-' || file[len] == '_'))
      return &life.events[i];
  }
  abort();
}
