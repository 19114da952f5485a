/* worker.c - a worker of a life: the real relay on an outbox in memory or on the simulated disk.
 * Each is a process of its own, which can be stopped, killed, or fall with its machine. */
#include "tests/simulate/disk.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/life.h"

#include <stdio.h>
#include <stdlib.h>

static enum status try_outbox(bool owner, struct store **out, struct error *err) {
  static const struct store_config config = {
      .max_entry_bytes = 1 << 20, .window = 1000, .settle_ms = 100, .typed_timeout_ms = 20000};
  const struct event_lifting names = {.canonical = routing_class_name, .ctx = shared.routing};
  static struct event_lifting lifting;
  lifting = names;
  const struct store_options options = {.create = owner,
                                        .clock = &sim_clock,
                                        .lifting = &lifting,
                                        .typed = life.typed ? disk_typed() : NULL};
  const char *url = life.on_disk ? disk_url() : "memory:life";
  enum status st = store_open(url, &options, out, err);
  if (st != ST_OK) return st;
  if (owner && life.on_disk) disk_unlock();
  if (owner && !life.on_disk) store_memory_unlock("life");
  if (owner) st = store_lock(*out, 0, err);
  if (st == ST_OK) st = store_begin(*out, &config, err);
  if (st == ST_OK) return st;
  store_close(*out);
  *out = NULL;
  return st;
}

struct store *open_outbox(bool owner) {
  struct store *s;
  struct error err = {0};
  if (try_outbox(owner, &s, &err) != ST_OK) abort();
  return s;
}

static enum status start_relay(struct worker *w, struct error *err) {
  static const struct kafka_config kafka = {0};
  struct relay_parts parts = {.store = w->store,
                              .routing = shared.routing,
                              .catalog = shared.catalog,
                              .keys = (struct keys *)(void *)&world,
                              .metrics = w->metrics,
                              .kafka = &kafka,
                              .clock = &sim_clock};
  snprintf(w->kafka_group, sizeof w->kafka_group, "busbridge-%s", store_id(w->store));
  struct relay_config config = {.tuning = {.flush_interval_ms = 300,
                                           .max_attempts = MAX_ATTEMPTS,
                                           .max_retries = 3,
                                           .quick = {10, 100, 0},
                                           .batch_events = life.batch_events,
                                           .batch_bytes = 1 << 20},
                                .ce_source = "/simulated",
                                .group = w->kafka_group,
                                .ledger_topic = life.ledger_topic,
                                .exactly_once = life.exactly_once,
                                .hold_key = life.hold_key,
                                .carry_envelope = true,
                                .background = true,
                                .partitions = PARTITIONS,
                                .replication = 1};
  return relay_start(&parts, &config, &w->relay, err);
}

/* True: it is up. Else the outbox refused, and nothing of it is left. */
static bool comes_up(struct worker *w) {
  struct error err = {0};
  sim_say("worker %d starts", w->group);
  sim_enter(w->group);
  enum status st = try_outbox(true, &w->store, &err);
  if (st == ST_OK) st = start_relay(w, &err);
  if (st != ST_OK) store_close(w->store);
  sim_enter(0);
  if (st != ST_OK) sim_say("worker %d does not start: %s", w->group, strerror(err.sys));
  if (st != ST_OK && !errors_met(w->group))
    violation("worker %d does not start: %s", w->group, err.text);
  return st == ST_OK;
}

void start_worker(void) {
  struct worker *w = calloc(1, sizeof *w);
  if (!w || life.groups == WORKERS || metrics_open(&sim_clock, &w->metrics) != ST_OK) abort();
  w->group = ++life.groups;
  while (!comes_up(w) && !life.failed) sim_sleep_ns(SECOND_NS / 5); /* as Kubernetes does */
  life.worker = w;
}

/* What became of its entries, as it counts them itself. */
static void count_verdicts(struct worker *w) {
  static const struct {
    const char *word;
    enum reached what;
  } results[] = {{"published", REACHED_PUBLISHED},
                 {"duplicate", REACHED_DUPLICATE},
                 {"retried", REACHED_RETRIED},
                 {"dead", REACHED_DEAD}};
  for (size_t i = 0; i < sizeof results / sizeof *results; i++)
    if (metrics_sum(w->metrics, METRIC_EVENTS, NULL, results[i].word, false))
      reach(results[i].what);
  if (metrics_sum(w->metrics, METRIC_DEAD, NULL, "broker_refused", false))
    reach(REACHED_REFUSED_DEAD);
  if (metrics_sum(w->metrics, METRIC_DEAD, NULL, "not_json", false)) reach(REACHED_HOPELESS);
}

void stop_worker(struct worker *w) {
  sim_say("worker %d is told to stop", w->group);
  if (!relay_stop(w->relay, 5000)) violation("worker %d does not stop", w->group);
  count_verdicts(w);
  store_close(w->store);
  metrics_close(w->metrics);
  sim_say("worker %d has stopped", w->group);
  free(w);
}

/* Its memory stays where it is. */
void kill_worker(struct worker *w) {
  sim_say("worker %d is killed", w->group);
  sim_kill(w->group);
  disk_close_all(w->group);
  count_verdicts(w);
}

bool has_failed(struct worker *w) {
  static struct relay_status status;
  relay_status(w->relay, &status);
  bool foreign = status.failed != ST_OK && status.failed != ST_BUSY &&
                 status.failed != ST_UNAVAILABLE && !errors_met(w->group);
  if (foreign) violation("worker %d fails: %s", w->group, status.failure);
  if (status.held) reach(REACHED_HELD);
  if (status.retrying) reach(REACHED_WAITS);
  struct store_counts counts;
  if (store_amounts(w->store, &counts, NULL) == ST_OK && counts.aside) reach(REACHED_ASIDE);
  return status.failed != ST_OK;
}

bool is_refused(struct worker *w) {
  static struct relay_status status;
  relay_status(w->relay, &status);
  return status.failed == ST_INVALID;
}

/* After a failed fsync (L11) it says so, and what it set aside waits for that too. */
static bool asks_for_restart(struct worker *w) {
  static struct relay_status status;
  relay_status(w->relay, &status);
  for (size_t i = 0; i < status.breaker_count; i++)
    if (strstr(status.breakers[i].remedy, "restart the worker")) return true;
  return false;
}

void restart_if_it_asks(void) {
  if (!asks_for_restart(life.worker)) return;
  sim_say("worker %d asks for a restart", life.worker->group);
  restart_cleanly();
}

void say_status(struct worker *w) {
  static struct relay_status status;
  relay_status(w->relay, &status);
  sim_say("worker %d: %llu in flight, %llu held, %llu wait, %llu stuck", w->group,
          (unsigned long long)status.in_flight, (unsigned long long)status.held,
          (unsigned long long)status.retrying, (unsigned long long)status.stuck);
  for (size_t i = 0; i < status.breaker_count; i++)
    sim_say("worker %d: %s: %s", w->group, status.breakers[i].target, status.breakers[i].reason);
}

/* As Kubernetes does. */
void restart_if_it_ended(void) {
  if (!has_failed(life.worker)) return;
  sim_say("worker %d ended by itself", life.worker->group);
  restart_cleanly();
}

void restart_cleanly(void) {
  stop_worker(life.worker);
  start_worker();
}
