/* Starts, drains and stops the engine; pause, tuning, failure and status, as everybody outside sees
 * them.
 * Whoever owns the relay, from any thread; a crash leaves what the stages leave. */
#include "bridge/relay/parts.h"
#include "bridge/relay/publish/publish.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

static enum status check_parts(const struct relay_parts *p, struct error *err) {
  bool complete =
      p->store && p->routing && p->catalog && p->keys && p->metrics && p->kafka && p->clock;
  return complete ? ST_OK : error_set(err, ST_INVALID, "a relay needs all its parts");
}

static enum status find_numbers(struct finishing *f, struct relay *r) {
  struct metrics *m = r->parts.metrics;
  struct keys_state keys;
  keys_state(r->parts.keys, &keys);
  r->keys_off = keys.off;
  f->numbers = (struct numbers){.publish = metrics_series(m, METRIC_PUBLISH, NULL, NULL),
                                .latency = metrics_series(m, METRIC_LATENCY, NULL, NULL),
                                .attempts = metrics_series(m, METRIC_ATTEMPTS, NULL, NULL)};
  f->numbers.published = calloc(routing_topics(r->parts.routing) + 1, sizeof *f->numbers.published);
  return f->numbers.published ? ST_OK : ST_NO_MEMORY;
}

/* at_least_once takes part only where an earlier exactly_once left manifests: they are settled the
 * same way first. */
static enum status find_ledger(struct publishing *p, struct relay *r, struct error *err) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  struct ledger *l = &p->ledger;
  enum status st = manifest_list(r->parts.store, &list, &count, err);
  bool unsettled = false;
  for (size_t i = 0; st == ST_OK && i < count; i++) unsettled |= !list[i].settled;
  free(list);
  if (st != ST_OK) return st;
  r->exactly_once = r->config.exactly_once;
  r->client = *r->parts.kafka;
  r->client.at_least_once = !r->exactly_once;
  p->stop = (struct stop){relay_stop_asked, p};
  r->client.stop = &p->stop;
  snprintf(l->group, sizeof l->group, "%s", r->config.group);
  r->client.transactional_id = r->exactly_once || unsettled ? l->group : NULL;
  p->client = r->client;
  l->position = (struct position){.topic = r->config.ledger_topic, .group = l->group, .number = -1};
  l->started = r->recovered = !r->client.transactional_id;
  l->committed_ms = clock_mono_ms(r->parts.clock);
  uuid_make(r->parts.clock, l->nonce);
  return ST_OK;
}

static void init_lock(struct relay *r) {
  mutex_init(&r->lock);
  cond_init(&r->changed);
}

static enum status make_engine(struct engine *e, struct error *err) {
  struct relay *r = &e->relay;
  struct publishing *p = &e->publishing;
  size_t topics = routing_topics(r->parts.routing) + 1;
  init_lock(r);
  atomic_store(&r->reader_us, clock_wall_us(r->parts.clock));
  atomic_store(&r->finisher_us, clock_wall_us(r->parts.clock));
  r->status.last_publish_us = r->status.heartbeat_us = r->next_due_us = TIME_NONE;
  e->reading.scanned_ms = clock_mono_ms(r->parts.clock);
  for (size_t i = 0; i < POOL; i++) {
    e->batches[i].next = r->pool;
    r->pool = &e->batches[i];
  }
  p->report = publish_report;
  e->reading.entries = calloc(TURN_EVENTS, sizeof *e->reading.entries);
  p->topics = calloc(topics, sizeof *p->topics);
  p->small_groups.topics = calloc(topics, sizeof *p->small_groups.topics);
  if (!e->reading.entries || !p->topics || !p->small_groups.topics ||
      find_numbers(&e->finishing, r) != ST_OK)
    return error_set(err, ST_NO_MEMORY, "out of memory for the relay");
  enum status st = find_ledger(p, r, err);
  if (st == ST_OK) st = holds_open(r, err);
  if (st != ST_OK) return st;
  r->wake_fd = wake_open();
  return r->wake_fd >= 0 ? ST_OK : error_sys(err, errno, "making the relay's eventfd");
}

static void release_engine(struct engine *e) {
  struct relay *r = &e->relay;
  cluster_close(e->publishing.cluster);
  for (size_t i = 0; i < POOL; i++) {
    arena_release(&e->batches[i].arena);
    buffer_release(&e->batches[i].values);
    free(e->batches[i].items);
  }
  arena_release(&e->reading.scratch);
  table_release(&r->ids);
  waiting_close(&r->waiting);
  holds_close(&r->holds);
  free(e->reading.entries);
  free(e->publishing.topics);
  free(e->finishing.numbers.published);
  free(e->publishing.small_groups.items);
  free(e->publishing.small_groups.topics);
  wake_close(r->wake_fd);
  cond_destroy(&r->changed);
  mutex_destroy(&r->lock);
  free(e);
}

/* The relay is an engine's first member, and no other relay is handed out. */
static struct engine *engine_of(struct relay *r) {
  static_assert(offsetof(struct engine, relay) == 0, "a relay is found at its engine's address");
  return (struct engine *)(void *)r;
}

enum status relay_start(const struct relay_parts *parts, const struct relay_config *config,
                        struct relay **out, struct error *err) {
  enum status st = check_parts(parts, err);
  if (st != ST_OK) return st;
  struct engine *e = calloc(1, sizeof *e);
  if (!e) return error_set(err, ST_NO_MEMORY, "out of memory for the relay");
  struct relay *r = e->reading.relay = e->publishing.relay = e->finishing.relay = &e->relay;
  r->parts = *parts;
  r->config = *config;
  r->paused = config->paused;
  r->wake_fd = -1;
  st = make_engine(e, err);
  if (st == ST_OK) st = pipeline_start(e, err);
  if (st != ST_OK) {
    release_engine(e);
    return st;
  }
  *out = r;
  return ST_OK;
}

bool relay_drain(struct relay *r, int64_t drain_ms) {
  if (!r) return true;
  struct engine *e = engine_of(r);
  if (!e->drained) e->all_ended = pipeline_stop(e, drain_ms);
  e->drained = true;
  return e->all_ended;
}

bool relay_stop(struct relay *r, int64_t drain_ms) {
  if (!r) return true;
  if (!relay_drain(r, drain_ms)) return false;
  release_engine(engine_of(r));
  return true;
}

void relay_tune(struct relay *r, const struct relay_tuning *tuning) {
  mutex_lock(&r->lock);
  r->config.tuning = *tuning;
  mutex_unlock(&r->lock);
}

/* What was prepared under the old generation goes back even if the pause ends before the publisher
 * looks at it: the scan asked for here brings it in front of what is newer. */
void relay_pause(struct relay *r, bool paused) {
  mutex_lock(&r->lock);
  bool ends = r->paused && !paused;
  if (ends) r->resumed = r->order_scan = store_rescan_settled(r->parts.store);
  r->paused = paused;
  cond_broadcast(&r->changed);
  mutex_unlock(&r->lock);
  store_wake(r->parts.store);
  relay_wake_publisher(r);
}

void relay_status(struct relay *r, struct relay_status *out) {
  mutex_lock(&r->lock);
  *out = r->status;
  out->holds = r->holds.count;
  out->reader_us = atomic_load(&r->reader_us);
  out->finisher_us = atomic_load(&r->finisher_us);
  mutex_unlock(&r->lock);
}

bool relay_waits(struct relay *r, unsigned topic, struct span key, char file[RELAY_FILE]) {
  mutex_lock(&r->lock);
  const char *name = waiting_file(&r->waiting, topic, key);
  if (!name) name = holds_file(&r->holds, routing_topic_name(r->parts.routing, topic), key);
  if (name) snprintf(file, RELAY_FILE, "%s", name);
  mutex_unlock(&r->lock);
  return name != NULL;
}
