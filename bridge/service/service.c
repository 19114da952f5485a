/* The parts of a service, opened in order and closed in the other. What stands half open after a
 * crash is the outbox's lock, which ends with the process.
 * One thread opens and closes. */
#include "bridge/service/changes/last_framings.h"
#include "bridge/service/changes/last_schemas.h"
#include "bridge/service/changes/order_rules.h"
#include "bridge/service/health/account.h"
#include "bridge/service/health/dead_counts.h"
#include "bridge/service/keys_due.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/framings.h"
#include "bridge/service/plan/key_rules.h"
#include "bridge/service/typed_hint.h"

/* In at_least_once: what a hanging partition has must not hold up the others */
#define SETTLED_WAIT_MS 10000

/* ---- the parts, in the order they are opened ---- */

static enum status open_outbox(struct service *s, struct error *err) {
  bool lift = !strcmp(setting_text(s->settings, SETTING_OUTBOX_LIFT), "auto");
  s->lifting = (struct event_lifting){
      .canonical = routing_class_name,
      .ctx = s->routing,
      .flat_off = !lift,
      .generic_left = !strcmp(setting_text(s->settings, SETTING_OUTBOX_TYPED_GENERIC), "leave")};
  struct store_options options = {.create = s->mode != SERVICE_INSPECT,
                                  .patient = s->away,
                                  .clock = s->clock,
                                  .log = s->log,
                                  .lifting = &s->lifting,
                                  .typed = typed_folder(s->settings)};
  return store_open(s->plan.outbox, &options, &s->store, err);
}

/* Whoever waited may have got the lock of an outbox that was moved away meanwhile. */
static enum status own(struct service *s, int64_t wait_ms, struct error *err) {
  enum status st = store_lock(s->store, wait_ms, err);
  if (st == ST_UNAVAILABLE) return ST_AGAIN;
  if (st == ST_OK && store_check(s->store, err) == ST_BUSY) return ST_NOT_FOUND;
  if (st == ST_OK) store_pause_read(s->store, &s->pause);
  return st;
}

/* Whoever changes it owns it first. Then its identity is known, and with it all that is called by
 * it. */
static enum status enter_outbox(struct service *s, int64_t wait_ms, struct error *err) {
  enum status st = s->mode == SERVICE_INSPECT ? ST_OK : own(s, wait_ms, err);
  if (st == ST_OK) st = home_open(s->settings, s->mode != SERVICE_INSPECT, &s->home, err);
  return st == ST_OK ? plan_for(&s->plan, s->settings, store_id(s->store), err) : st;
}

/* The slot that the crash handler marks; twice marked is not tried again. */
static bool may_parse(void *ctx, const char *token) {
  crash_marks_take(ctx, CRASH_READER, span_of(token));
  return crash_marks_suspected(ctx, span_of(token)) < 2;
}

static enum status open_crash_marks(struct service *s, struct error *err) {
  return crash_marks_open(home_folder(s->home), home_tmp(s->home), &s->crash_marks, err);
}

static void dead_left(void *ctx, struct span name, struct span reason) {
  dead_counts_left(((struct service *)ctx)->dead_counts, name, reason);
}

static void step_took(void *ctx, enum store_step step, int64_t us) {
  struct metrics *m = ((struct service *)ctx)->metrics; /* opened before there is a thread */
  if (m) series_record(metrics_series(m, METRIC_STEP, store_step_word(step), NULL), (uint64_t)us);
}

static enum status begin_entries(struct service *s, struct error *err) {
  const struct settings *x = s->settings;
  struct store_config config = {
      .settle_ms = setting_number(x, SETTING_OUTBOX_SETTLE),
      .max_entry_bytes = (size_t)setting_number(x, SETTING_OUTBOX_MAX_ENTRY_BYTES),
      .window = (size_t)setting_number(x, SETTING_OUTBOX_WINDOW),
      .settled_wait_ms = s->plan.exactly_once ? 0 : SETTLED_WAIT_MS,
      .typed_timeout_ms = setting_number(x, SETTING_OUTBOX_TYPED_TIMEOUT),
      .keep_sent = !strcmp(setting_text(x, SETTING_OUTBOX_SENT), "keep"),
      .sent_retention_ms = setting_number(x, SETTING_OUTBOX_SENT_RETENTION),
      .may_parse = s->crash_marks ? may_parse : NULL,
      .parse_ctx = s->crash_marks,
      .took = s->mode == SERVICE_RELAY ? step_took : NULL,
      .took_ctx = s,
      .dead_left = dead_left,
      .dead_ctx = s};
  return store_begin(s->store, &config, err);
}

static enum status open_keys(struct service *s, struct error *err) {
  struct keys_config config = s->plan.keys;
  const struct keys_due due = keys_due_in(s->store);
  if (s->mode != SERVICE_INSPECT) config.due = &due;
  config.clock = s->clock;
  enum status st = keys_open(&config, s->log, &s->keys, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) keys_check_policy(s->keys);
  return st;
}

static enum status start_relay(struct service *s, struct error *err) {
  const struct settings *x = s->settings;
  struct relay_parts parts = {.store = s->store,
                              .crash_marks = s->crash_marks,
                              .routing = s->routing,
                              .catalog = s->catalog,
                              .ids = s->ids,
                              .keys = s->keys,
                              .metrics = s->metrics,
                              .kafka = &s->plan.kafka,
                              .clock = s->clock,
                              .log = s->log};
  struct relay_config config = {
      .tuning = plan_tuning(x),
      .subject = s->plan.subject,
      .ce_source = s->plan.source,
      .ce_dataschema = s->plan.dataschema,
      .group = s->plan.group,
      .ledger_topic = s->plan.ledger_topic,
      .exactly_once = s->plan.exactly_once,
      .background = s->background && setting_bool(x, SETTING_FLUSH_BACKGROUND),
      .paused = s->pause.on,
      .keys_required = setting_bool(x, SETTING_REDIS_REQUIRED),
      .carry_envelope = !strcmp(setting_text(x, SETTING_ENCODING_ENVELOPE), "carry"),
      .hold_key = setting_bool(x, SETTING_DLQ_HOLD_KEY),
      .create_topics = !strcmp(setting_text(x, SETTING_TOPICS_CREATE), "missing"),
      .partitions = (int)setting_number(x, SETTING_TOPICS_PARTITIONS),
      .replication = (int)setting_number(x, SETTING_TOPICS_REPLICATION)};
  return relay_start(&parts, &config, &s->relay, err);
}

/* By what lay in the topics before this start: it publishes already. */
static void watch_framings(struct service *s) {
  const struct framing_parts parts = {.plan = &s->plan, .routing = s->routing};
  if (last_framings_may_differ(&parts, s->store))
    s->framings = last_framings_watch(&parts, s->taken_us / 1000, s->log);
}

/* Without one only dlq_events are missing. */
static void open_dead_counts(struct service *s) {
  struct dead_counts_parts parts = {
      .store = s->store, .routing = s->routing, .metrics = s->metrics, .clock = s->clock};
  if (s->mode != SERVICE_CHANGE)
    s->dead_counts = dead_counts_open(&parts, s->mode == SERVICE_RELAY);
}

/* ---- open and close ---- */

/* What can be judged without touching the outbox comes first, so that a wrong setting changes
 * nothing. */
static enum status prepare_parts(struct service *s, struct error *err) {
  enum status st = plan_make(s->settings, &s->plan, err);
  if (st == ST_OK && !s->passing) st = store_url_check(s->plan.outbox, err);
  if (st == ST_OK && (s->mode == SERVICE_RELAY || s->standby))
    st = plan_catalog(&s->plan, s->log, &s->catalog, err);
  if (st == ST_OK) st = plan_routing(&s->plan, s->catalog, &s->routing, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY && statistics_open(&s->statistics) != ST_OK)
    st = error_set(err, ST_NO_MEMORY, "out of memory");
  s->plan.kafka.statistics = s->statistics;
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = kafka_config_check(&s->plan.kafka, s->log, err);
  return st == ST_OK ? open_outbox(s, err) : st;
}

static enum status open_parts(struct service *s, int64_t lock_wait_ms, struct error *err) {
  enum status st = enter_outbox(s, lock_wait_ms, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = open_crash_marks(s, err);
  if (st == ST_OK) st = begin_entries(s, err);
  if (st == ST_OK) st = open_keys(s, err);
  if (st == ST_OK) st = saved_metrics_open(s, err);
  if (st == ST_OK && !s->standby) service_begin_series(s);
  if (st == ST_OK) account_open(s);
  if (st == ST_OK) open_dead_counts(s);
  if (st == ST_OK && s->mode == SERVICE_RELAY) typed_log(s->settings, s->store, s->log);
  if (st == ST_OK && s->mode == SERVICE_RELAY) key_rules_log(s->routing, s->catalog, s->log);
  if (st == ST_OK && s->mode == SERVICE_RELAY) order_rules_keep(s->store, s->routing, s->log);
  if (st == ST_OK && s->mode == SERVICE_RELAY && plan_needs_schemas(&s->plan, s->routing))
    last_schemas_keep(s->store, s->catalog, s->log);
  if (st == ST_OK && s->mode == SERVICE_RELAY) service_mark_schemas(s);
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = service_ids_open(s, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = start_relay(s, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) watch_framings(s);
  if (st == ST_OK && s->mode == SERVICE_RELAY && s->pause.on)
    log_write(s->log, LOG_WARNING, "service", "paused",
              FIELDS(F_TEXT("by", s->pause.by), F_TEXT("reason", s->pause.reason)),
              "Publishing was paused before this start; go on by: busbridge resume");
  return st;
}

enum status service_meet(const struct settings *settings, struct log *log,
                         const struct service_options *options, struct service **out,
                         struct error *err) {
  struct service *s = calloc(1, sizeof *s);
  if (!s) return error_set(err, ST_NO_MEMORY, "out of memory");
  s->mode = options->mode;
  s->unanswered = options->unanswered;
  s->standby = options->standby;
  s->away = options->away;
  s->passing = options->passing;
  s->background = options->background;
  s->log = log;
  s->clock = options->clock;
  s->settings = settings;
  s->opened_us = clock_wall_us(s->clock);
  mutex_init(&s->lock);
  mutex_init(&s->scrape);
  mutex_init(&s->survey_counts.lock);
  mutex_init(&s->moving);
  mutex_init(&s->audit_lock);
  mutex_init(&s->topics_lock);
  service_waits(s, &(struct error){0});
  enum status st = prepare_parts(s, err);
  if (st != ST_OK) {
    service_close(s, 0);
    return st;
  }
  *out = s;
  return ST_OK;
}

enum status service_take(struct service *s, int64_t lock_wait_ms, struct error *err) {
  s->taken_us = clock_wall_us(s->clock);
  return open_parts(s, lock_wait_ms, err);
}

enum status service_open(const struct settings *settings, struct log *log,
                         const struct service_options *options, struct service **out,
                         struct error *err) {
  struct service *s = NULL;
  enum status st = service_meet(settings, log, options, &s, err);
  if (st == ST_OK) st = service_take(s, options->lock_wait_ms, err);
  if (st == ST_AGAIN) st = ST_UNAVAILABLE;
  if (st == ST_OK)
    *out = s;
  else
    service_close(s, 0);
  return st;
}

void service_close(struct service *s, int64_t drain_ms) {
  if (!s) return;
  struct error err = {0};
  if (!relay_stop(s->relay, drain_ms)) {
    log_write(
        s->log, LOG_WARNING, "service", "abandoned", NO_FIELDS,
        "Kafka did not answer within the drain timeout; what was under way is resolved at the "
        "next start");
    return;
  }
  last_framings_unwatch(s->framings);
  ids_close(s->ids);
  dead_counts_close(s->dead_counts);
  account_end(s);
  if (s->metrics && s->keys && s->mode != SERVICE_INSPECT && saved_metrics_write(s, &err) != ST_OK)
    log_write(s->log, LOG_WARNING, "service", "metrics_not_saved",
              FIELDS(F_TEXT("error", err.text)), "The figures could not be saved");
  if (s->account_synced.opened) mutex_destroy(&s->account_synced.lock);
  metrics_close(s->metrics);
  keys_close(s->keys);
  crash_marks_close(s->crash_marks);
  store_close(s->store); /* the lock goes with it: last of what lies in the outbox */
  home_close(s->home);
  catalog_close(s->catalog); /* who asks for its ids is gone */
  buffer_release(&s->schema_marks);
  routing_close(s->routing);
  plan_release(&s->plan);
  service_topics_release(s);
  statistics_close(s->statistics);
  mutex_destroy(&s->lock);
  mutex_destroy(&s->scrape);
  mutex_destroy(&s->survey_counts.lock);
  mutex_destroy(&s->moving);
  mutex_destroy(&s->audit_lock);
  mutex_destroy(&s->topics_lock);
  free(s);
}
