/* client.c - the user's kafka.* settings, judged before anything is started. */
#include "bridge/kafka/handle.h"

#include <strings.h>

struct refusal {
  const char *key, *value; /* value NULL: any */
  const char *why;
};

static const struct refusal refusals[] = {
    {"transactional.id", NULL,
     "it is derived from the outbox's id, so that a second worker on it is fenced; remove the setting"},
    {"group.id", NULL, "it is derived from the outbox's id; remove the setting"},
    {"log.connection.close", "false", "lost connections would go unnoticed; remove the setting"},
};

struct guard {
  const char *key;
  const char *strong[3]; /* values that keep the promise; none given: no value does */
  const char *loss;
};

static const struct guard guards[] = {
    {"acks", {"all", "-1"}, "a broker that fails can lose acknowledged events"},
    {"request.required.acks", {"all", "-1"}, "a broker that fails can lose acknowledged events"},
    {"enable.idempotence", {"true"}, "an event can be published twice or out of order when a connection breaks"},
    {"partitioner",
     {"murmur2_random", "murmur2"},
     "other clients put the same key on another partition: order per key is lost"},
    {"message.timeout.ms", {"0"}, "an event that times out here may have arrived, and is published twice"},
    {"delivery.timeout.ms", {"0"}, "an event that times out here may have arrived, and is published twice"},
};

static bool among(const char *value, const char *const strong[3]) {
  for (size_t i = 0; i < 3 && strong[i]; i++)
    if (strcasecmp(value, strong[i]) == 0) return true;
  return false;
}

static void warn(const struct kafka_config *config, const struct kafka_pair *pair, struct log *log) {
  for (size_t i = 0; i < sizeof guards / sizeof *guards; i++) {
    const struct guard *g = &guards[i];
    if (strcmp(pair->key, g->key) != 0 || among(pair->value, g->strong)) continue;
    if (strstr(g->key, "timeout") && !config->at_least_once) continue; /* there a timeout aborts the transaction */
    log_write(log, LOG_WARNING, "kafka", "kafka_guarantee_weakened",
              FIELDS(F_TEXT("key", g->key), F_TEXT("value", pair->value)),
              "kafka.%s = %s weakens what is promised: %s.", g->key, pair->value, g->loss);
  }
}

static enum status refuse(const struct kafka_pair *pair, struct error *err) {
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    const struct refusal *r = &refusals[i];
    if (strcmp(pair->key, r->key) == 0 && (!r->value || strcasecmp(pair->value, r->value) == 0))
      return error_set(err, ST_INVALID, "kafka.%s cannot be set%s%s: %s", r->key, r->value ? " to " : "",
                       r->value ? r->value : "", r->why);
  }
  bool servers = strcmp(pair->key, "bootstrap.servers") == 0 || strcmp(pair->key, "metadata.broker.list") == 0;
  if (servers && span_trim(span_of(pair->value)).len == 0)
    return error_set(err, ST_INVALID, "kafka.%s is empty: name at least one broker as HOST:PORT", pair->key);
  return ST_OK;
}

enum status kafka_config_check(const struct kafka_config *config, struct log *log, struct error *err) {
  for (size_t i = 0; i < config->count; i++) {
    enum status st = refuse(&config->pairs[i], err);
    if (st != ST_OK) return st;
  }
  /* Some combinations are only refused by rd_kafka_new (a certificate that cannot be read, a mechanism this build
   * lacks). */
  struct handle trial;
  enum status st = handle_open(&trial, config, HANDLE_TRIAL, NULL, NULL, NULL, err);
  if (st != ST_OK) return st;
  handle_close(&trial);
  for (size_t i = 0; i < config->count; i++) warn(config, &config->pairs[i], log);
  return ST_OK;
}

const char *kafka_library_version(void) {
  return rd_kafka_version_str();
}
