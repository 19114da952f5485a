#include "bridge/base/durable.h"
#include "bridge/service/account.h"
#include "bridge/service/census.h"
#include "bridge/service/configure.h"
#include "bridge/service/operations.h"

#include <sys/stat.h>
#include <unistd.h>

#define SETTLED_WAIT_MS 10000 /* at_least_once: what a hanging partition has must not hold up the others */
#define METRICS_FILE "metrics"
#define METRICS_MAX (16 * 1024 * 1024)

/* ---- the parts, in the order they are opened ---- */

enum status service_schema_folder(const struct settings *settings, char *out, size_t size, struct error *err) {
  const char *set = setting_text(settings, SETTING_ENCODING_SCHEMAS);
  char exe[300], place[400];
  if (*set) {
    snprintf(out, size, "%s", set);
    return ST_OK;
  }
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  exe[n > 0 ? n : 0] = '\0';
  char *slash = strrchr(exe, '/');
  if (slash) *slash = '\0';
  /* beside bin/ when installed; in build/<preset>/ of a source tree; as the distribution puts it */
  static const char *const places[] = {"%s/../share/busbridge/schemas/.", "%s/../../schemas/.",
                                       "/usr/share/busbridge/schemas/."};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    snprintf(place, sizeof place, places[i], exe);
    char *path = realpath(place, NULL); /* NULL also where it is no folder */
    if (!path) continue;
    snprintf(out, size, "%s", path);
    free(path);
    return ST_OK;
  }
  return error_set(err, ST_INVALID,
                   "The Avro schemas are not beside the program; set encoding.schemas to their folder");
}

static enum status open_state(struct service *s, const struct service_options *o, struct error *err) {
  bool create = s->mode != SERVICE_INSPECT;
  const char *folder = NULL;
  enum status st = store_address(setting_text(s->settings, SETTING_OUTBOX_URL), &folder, err);
  if (st == ST_OK) st = state_open(folder, create, s->clock, &s->state, err);
  if (st != ST_OK || !create) return st;
  st = state_lock(s->state, o->lock_wait_ms, err);
  state_pause_read(s->state, &s->pause);
  return st;
}

/* The hand that the crash handler marks; twice marked is not tried again. */
static bool may_parse(void *ctx, enum place place, const char *name) {
  hands_take(ctx, HAND_READER, place, span_of(name));
  return hands_suspected(ctx, place, span_of(name)) < 2;
}

static enum status open_hands(struct service *s, struct error *err) {
  return hands_open(state_folder(s->state), state_tmp(s->state), &s->hands, err);
}

static void dead_left(void *ctx, struct span name, struct span reason) {
  census_left(((struct service *)ctx)->census, name, reason);
}

static bool exactly_once(const struct settings *x) {
  return !strcmp(setting_text(x, SETTING_DELIVERY_GUARANTEE), "exactly_once");
}

static enum status open_store(struct service *s, struct error *err) {
  const struct settings *x = s->settings;
  struct store_config config = {.state = s->state,
                                .settle_ms = setting_number(x, SETTING_OUTBOX_SETTLE),
                                .max_entry_bytes = (size_t)setting_number(x, SETTING_OUTBOX_MAX_ENTRY_BYTES),
                                .window = (size_t)setting_number(x, SETTING_OUTBOX_WINDOW),
                                .settled_wait_ms = exactly_once(x) ? 0 : SETTLED_WAIT_MS,
                                .keep_sent = !strcmp(setting_text(x, SETTING_OUTBOX_SENT), "keep"),
                                .sent_retention_ms = setting_number(x, SETTING_OUTBOX_SENT_RETENTION),
                                .inspect = s->mode == SERVICE_INSPECT,
                                .clock = s->clock,
                                .log = s->log,
                                .may_parse = s->hands ? may_parse : NULL,
                                .parse_ctx = s->hands,
                                .dead_left = dead_left,
                                .dead_ctx = s};
  return store_open(setting_text(x, SETTING_OUTBOX_URL), &config, &s->store, err);
}

static enum status open_routing(struct service *s, struct error *err) {
  struct routing_config config = {.namespaces = span_of(setting_text(s->settings, SETTING_ROUTING_NAMESPACES)),
                                  .topic = span_of(setting_text(s->settings, SETTING_ROUTING_TOPIC)),
                                  .aliases = span_of(setting_text(s->settings, SETTING_ROUTING_ALIASES)),
                                  .keys = span_of(setting_text(s->settings, SETTING_ROUTING_KEYS))};
  return routing_open(&config, &s->routing, err);
}

static enum framing framing_of(const char *word) {
  if (!strcmp(word, "raw")) return FRAMING_RAW;
  if (!strcmp(word, "json")) return FRAMING_JSON;
  return strcmp(word, "confluent") ? FRAMING_SINGLE_OBJECT : FRAMING_CONFLUENT;
}

static enum status open_catalog(struct service *s, struct error *err) {
  enum status st = service_schema_folder(s->settings, s->schemas, sizeof s->schemas, err);
  if (st != ST_OK) return st;
  struct catalog_config config = {.folder = s->schemas,
                                  .framing = framing_of(setting_text(s->settings, SETTING_ENCODING_FRAMING)),
                                  .strict = setting_bool(s->settings, SETTING_ENCODING_STRICT)};
  st = catalog_open(&config, s->log, &s->catalog, err);
  /* A folder that is not there is as wrong a setting as one whose schemas are. */
  bool of_folder = st == ST_NOT_FOUND || st == ST_DENIED;
  if (of_folder && err) err->status = ST_INVALID;
  return of_folder ? ST_INVALID : st;
}

static enum status open_keys(struct service *s, struct error *err) {
  const struct settings *x = s->settings;
  const char *prefix = setting_text(x, SETTING_REDIS_PREFIX);
  if (*prefix)
    snprintf(s->prefix, sizeof s->prefix, "%s", prefix);
  else
    snprintf(s->prefix, sizeof s->prefix, "busbridge:%s:", state_id(s->state));
  struct keys_config config = {.url = setting_text(x, SETTING_REDIS_URL),
                               .prefix = s->prefix,
                               .ttl_ms = setting_number(x, SETTING_REDIS_TTL),
                               .timeout_ms = (int)setting_number(x, SETTING_REDIS_TIMEOUT),
                               .required = setting_bool(x, SETTING_REDIS_REQUIRED),
                               .folder = s->mode == SERVICE_INSPECT ? -1 : state_folder(s->state),
                               .clock = s->clock};
  enum status st = keys_open(&config, s->log, &s->keys, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) keys_check_policy(s->keys);
  return st;
}

/* Damaged figures are no reason not to relay: they begin anew, and the log says so. */
static enum status open_metrics(struct service *s, struct error *err) {
  struct buffer text = {0};
  struct error why = {0};
  enum status st = metrics_open(s->clock, &s->metrics);
  if (st != ST_OK) return error_set(err, st, "out of memory for the metrics");
  if (state_folder(s->state) < 0) return ST_OK;
  st = file_read(state_folder(s->state), METRICS_FILE, METRICS_MAX, &text, &why);
  if (st == ST_OK) st = metrics_load(s->metrics, buffer_span(&text), &why);
  if (st != ST_OK && st != ST_NOT_FOUND)
    log_write(s->log, LOG_WARNING, "service", "metrics_lost", FIELDS(F_TEXT("error", why.text)),
              "The saved figures cannot be read; they begin anew");
  buffer_release(&text);
  return ST_OK;
}

enum status service_save_metrics(struct service *s, struct error *err) {
  struct buffer text = {0};
  enum status st = state_check(s->state, err);
  if (st != ST_OK) return st; /* another's: the figures are those of its new owner */
  metrics_save(s->metrics, &text);
  st = buffer_status(&text, err);
  if (st == ST_OK)
    st = durable_replace(state_tmp(s->state), state_folder(s->state), METRICS_FILE, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

static struct relay_tuning tuning_of(const struct settings *x) {
  return (struct relay_tuning){
      .flush_interval_ms = setting_number(x, SETTING_FLUSH_INTERVAL),
      .max_attempts = (unsigned)setting_number(x, SETTING_DLQ_MAX_ATTEMPTS),
      .max_retries = (unsigned)setting_number(x, SETTING_RETRY_MAX_RETRIES),
      .quick = {setting_number(x, SETTING_RETRY_BACKOFF_BASE), setting_number(x, SETTING_RETRY_BACKOFF_MAX),
                setting_number(x, SETTING_RETRY_JITTER)},
      .batch_events = (size_t)setting_number(x, SETTING_BATCH_MAX_EVENTS),
      .batch_bytes = (size_t)setting_number(x, SETTING_BATCH_MAX_BYTES),
  };
}

static enum status start_relay(struct service *s, const struct service_options *o, struct error *err) {
  const struct settings *x = s->settings;
  const char *source = setting_text(x, SETTING_CLOUDEVENTS_SOURCE);
  if (*source)
    snprintf(s->source, sizeof s->source, "%s", source);
  else
    snprintf(s->source, sizeof s->source, "/busbridge/%s", state_id(s->state));
  snprintf(s->ledger_topic, sizeof s->ledger_topic, "%s", setting_text(x, SETTING_LEDGER_TOPIC));
  struct relay_parts parts = {.state = s->state,
                              .store = s->store,
                              .hands = s->hands,
                              .routing = s->routing,
                              .catalog = s->catalog,
                              .keys = s->keys,
                              .metrics = s->metrics,
                              .kafka = &s->kafka,
                              .clock = s->clock,
                              .log = s->log};
  struct relay_config config = {.tuning = tuning_of(x),
                                .ce_source = s->source,
                                .outbox_id = state_id(s->state),
                                .ledger_topic = s->ledger_topic,
                                .exactly_once = exactly_once(x),
                                .background = o->background && setting_bool(x, SETTING_FLUSH_BACKGROUND),
                                .paused = s->pause.on,
                                .keys_required = setting_bool(x, SETTING_REDIS_REQUIRED),
                                .hold_key = setting_bool(x, SETTING_DLQ_HOLD_KEY),
                                .create_topics = !strcmp(setting_text(x, SETTING_TOPICS_CREATE), "missing"),
                                .partitions = (int)setting_number(x, SETTING_TOPICS_PARTITIONS),
                                .replication = (int)setting_number(x, SETTING_TOPICS_REPLICATION)};
  return relay_start(&parts, &config, &s->relay, err);
}

/* Without one dlq_events are missing, no more. */
static void open_census(struct service *s) {
  struct census_parts parts = {.store = s->store, .routing = s->routing, .metrics = s->metrics, .clock = s->clock};
  if (s->mode != SERVICE_CHANGE) s->census = census_open(&parts, s->mode == SERVICE_RELAY);
}

/* ---- open and close ---- */

/* What can be judged without touching the outbox comes first, so that a wrong setting changes nothing. */
static enum status open_parts(struct service *s, const struct service_options *o, struct error *err) {
  enum status st = open_routing(s, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY && statistics_open(&s->statistics) != ST_OK)
    st = error_set(err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK) st = configure_kafka(s->settings, &s->kafka, err);
  s->kafka.statistics = s->statistics;
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = kafka_config_check(&s->kafka, s->log, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = open_catalog(s, err);
  if (st == ST_OK) st = open_state(s, o, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = open_hands(s, err);
  if (st == ST_OK) st = open_store(s, err);
  if (st == ST_OK) st = open_keys(s, err);
  if (st == ST_OK) st = open_metrics(s, err);
  if (st == ST_OK) service_begin_series(s);
  if (st == ST_OK) account_open(s);
  if (st == ST_OK) open_census(s);
  if (st == ST_OK && s->mode == SERVICE_RELAY) st = start_relay(s, o, err);
  if (st == ST_OK && s->mode == SERVICE_RELAY && s->pause.on)
    log_write(s->log, LOG_WARNING, "service", "paused",
              FIELDS(F_TEXT("by", s->pause.by), F_TEXT("reason", s->pause.reason)),
              "Publishing was paused before this start; go on by: busbridge resume");
  return st;
}

enum status service_open(const struct settings *settings, struct log *log, const struct service_options *options,
                         struct service **out, struct error *err) {
  struct service *s = calloc(1, sizeof *s);
  if (!s) return error_set(err, ST_NO_MEMORY, "out of memory");
  s->mode = options->mode;
  s->unanswered = options->unanswered;
  s->log = log;
  s->clock = options->clock;
  s->settings = settings;
  s->opened_us = clock_wall_us(s->clock);
  pthread_mutex_init(&s->lock, NULL);
  pthread_mutex_init(&s->scrape, NULL);
  pthread_mutex_init(&s->glance.lock, NULL);
  pthread_mutex_init(&s->moving, NULL);
  pthread_mutex_init(&s->audit_lock, NULL);
  pthread_mutex_init(&s->topics_lock, NULL);
  enum status st = open_parts(s, options, err);
  if (st != ST_OK) {
    service_close(s, 0);
    return st;
  }
  *out = s;
  return ST_OK;
}

void service_drain(struct service *s, int64_t drain_ms) {
  if (s) (void)relay_drain(s->relay, drain_ms); /* service_close asks again, and says if a thread hangs */
}

void service_close(struct service *s, int64_t drain_ms) {
  if (!s) return;
  struct error err = {0};
  if (!relay_stop(s->relay, drain_ms)) {
    log_write(s->log, LOG_WARNING, "service", "abandoned", NO_FIELDS,
              "Kafka did not answer within the drain timeout; what was under way is resolved at the next start");
    return;
  }
  census_close(s->census);
  account_end(s);
  if (s->metrics && s->keys && s->mode != SERVICE_INSPECT && service_save_metrics(s, &err) != ST_OK)
    log_write(s->log, LOG_WARNING, "service", "metrics_not_saved", FIELDS(F_TEXT("error", err.text)),
              "The figures could not be saved");
  if (s->books.opened) pthread_mutex_destroy(&s->books.lock);
  metrics_close(s->metrics);
  keys_close(s->keys);
  store_close(s->store);
  hands_close(s->hands);
  state_close(s->state);
  catalog_close(s->catalog);
  routing_close(s->routing);
  configure_kafka_release(&s->kafka);
  service_topics_release(s);
  statistics_close(s->statistics);
  pthread_mutex_destroy(&s->lock);
  pthread_mutex_destroy(&s->scrape);
  pthread_mutex_destroy(&s->glance.lock);
  pthread_mutex_destroy(&s->moving);
  pthread_mutex_destroy(&s->audit_lock);
  pthread_mutex_destroy(&s->topics_lock);
  free(s);
}

enum status service_save(struct service *s, struct error *err) {
  account_sync(s, NULL);
  return service_save_metrics(s, err);
}

enum status service_failure(struct service *s, struct error *err) {
  struct relay_status *status = s->relay ? malloc(sizeof *status) : NULL;
  enum status st = ST_OK;
  if (status) {
    relay_status(s->relay, status);
    st = status->failed;
    if (st != ST_OK) error_set(err, st, "%s", status->failure);
  }
  free(status);
  return st;
}

void service_socket_path(const struct service *s, struct buffer *out) {
  state_socket_path(s->state, out);
}

void service_reload(struct service *s, const struct settings *fresh) {
  pthread_mutex_lock(&s->lock);
  s->settings = fresh;
  pthread_mutex_unlock(&s->lock);
  struct relay_tuning tuning = tuning_of(fresh);
  if (s->relay) relay_tune(s->relay, &tuning);
}
