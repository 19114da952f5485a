/* The user's kafka.* settings, judged by the table: each by itself, then together.
 * Any thread; a crash leaves nothing. */
#include "bridge/kafka/options/options.h"

#include <librdkafka/rdkafka.h>
#include <strings.h>

const char *options_text(const struct kafka_config *config, const char *key, const char *alias,
                         const char *fallback) {
  for (size_t i = 0; i < config->count; i++)
    if (!strcmp(config->pairs[i].key, key) || !strcmp(config->pairs[i].key, alias))
      fallback = config->pairs[i].value;
  return fallback;
}

int64_t options_number(const struct kafka_config *config, const char *key, const char *alias,
                       int64_t fallback) {
  const char *text = options_text(config, key, alias, "");
  char *end;
  int64_t number = strtoll(text, &end, 0);
  return end == text ? fallback : number;
}

const char *kafka_servers(const struct kafka_config *config) {
  return options_text(config, "bootstrap.servers", "metadata.broker.list", "127.0.0.1:9092");
}

const char *kafka_library_version(void) {
  return rd_kafka_version_str();
}

static bool scram(const struct kafka_config *config) {
  return strncasecmp(options_text(config, "sasl.mechanisms", "sasl.mechanism", ""), "SCRAM-", 6) ==
         0;
}

/* Before 2.6.1 librdkafka sends a nonce that Kafka 4 refuses: "invalid credentials", with the right
 * password too. */
bool options_scram_too_old(const struct kafka_config *config) {
  return scram(config) && rd_kafka_version() < 0x020601ff;
}

/* ---- judging ---- */

static bool same(const char *wanted, const char *value) {
  if (strcasecmp(wanted, value) == 0) return true;
  if (strcmp(wanted, "true") == 0) return strcasecmp(value, "t") == 0 || strcmp(value, "1") == 0;
  return strcmp(wanted, "false") == 0 && (strcasecmp(value, "f") == 0 || strcmp(value, "0") == 0);
}

static bool names_value(const struct rule *rule, const char *value) {
  for (size_t i = 0; i < sizeof rule->values / sizeof *rule->values && rule->values[i]; i++)
    if (same(rule->values[i], value)) return true;
  return false;
}

/* Numbers as librdkafka reads them; what is none is left to it, where the rule is one of numbers.
 */
static bool in_bounds(const struct rule *rule, const char *value) {
  char *end;
  int64_t number = strtoll(value, &end, 0);
  if (rule->least == 0 && rule->most == 0) return false;
  return end == value || (number >= rule->least && number <= rule->most);
}

static enum status check_pair(const struct kafka_pair *pair, struct error *err) {
  const char *refusal = option_refusal(pair->key);
  const struct rule *rule = option_rule(pair->key);
  if (refusal) return error_set(err, ST_INVALID, "kafka.%s cannot be set: %s", pair->key, refusal);
  if (!rule || names_value(rule, pair->value) || in_bounds(rule, pair->value)) return ST_OK;
  if (rule->least == 0 && rule->most == 0)
    return error_set(err, ST_INVALID, "kafka.%s cannot be set to %s, only to %s: %s", pair->key,
                     pair->value, rule->values[0], rule->why);
  return error_set(err, ST_INVALID, "kafka.%s cannot be set to %s, only to %s%s%lld to %lld: %s",
                   pair->key, pair->value, rule->values[0] ? rule->values[0] : "",
                   rule->values[0] ? " or " : "", (long long)rule->least, (long long)rule->most,
                   rule->why);
}

static enum status check_servers(const struct kafka_pair *pair, struct error *err) {
  bool servers =
      strcmp(pair->key, "bootstrap.servers") == 0 || strcmp(pair->key, "metadata.broker.list") == 0;
  if (!servers || span_trim(span_of(pair->value)).len > 0) return ST_OK;
  return error_set(err, ST_INVALID, "kafka.%s is empty: name at least one broker as HOST:PORT",
                   pair->key);
}

/* An empty queue refuses what is larger than all of it, each time anew. */
static enum status check_room(const struct kafka_config *config, struct error *err) {
  int64_t record = options_number(config, "message.max.bytes", "message.max.bytes", 1000000);
  int64_t room =
      options_number(config, "queue.buffering.max.kbytes", "queue.buffering.max.kbytes", 32768);
  if (record <= room * 1024) return ST_OK;
  return error_set(
      err, ST_INVALID,
      "kafka.message.max.bytes = %lld does not fit into kafka.queue.buffering.max.kbytes = %lld, "
      "and an event that large would wait for ever: set that to at least %lld",
      (long long)record, (long long)room, (long long)(record / 1024 + 1));
}

/* ---- a login by token ---- */

static enum status check_token(const struct kafka_config *config, struct error *err) {
  const char *file = options_text(config, TOKEN_FILE, TOKEN_FILE, NULL);
  const char *method = options_text(config, "sasl.oauthbearer.method", "", "");
  const char *own = options_text(config, "enable.sasl.oauthbearer.unsecure.jwt", "", "false");
  bool bearer =
      strcasecmp(options_text(config, "sasl.mechanisms", "sasl.mechanism", ""), "OAUTHBEARER") == 0;
  bool other = strcasecmp(method, "oidc") == 0 || strcasecmp(own, "true") == 0 ||
               strcasecmp(own, "t") == 0 || strcmp(own, "1") == 0;
  if (file && !*file)
    return error_set(err, ST_INVALID, "kafka.%s is empty: name the file that holds the token",
                     TOKEN_FILE);
  if (file && !bearer)
    return error_set(err, ST_INVALID,
                     "kafka.%s is used by OAUTHBEARER alone: set kafka.sasl.mechanism = "
                     "OAUTHBEARER, or remove it",
                     TOKEN_FILE);
  if (file && other)
    return error_set(err, ST_INVALID, "kafka.%s and kafka.%s both give a token: remove one of them",
                     TOKEN_FILE,
                     *method ? "sasl.oauthbearer.method" : "enable.sasl.oauthbearer.unsecure.jwt");
  if (bearer && !file && !other)
    return error_set(err, ST_INVALID,
                     "kafka.sasl.mechanism = OAUTHBEARER needs a token: set kafka.%s to a file "
                     "that holds one and is renewed",
                     TOKEN_FILE);
  return ST_OK;
}

/* ---- all of them ---- */

enum status options_check(const struct kafka_config *config, struct error *err) {
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < config->count; i++) {
    st = check_pair(&config->pairs[i], err);
    if (st == ST_OK) st = check_servers(&config->pairs[i], err);
  }
  if (st == ST_OK) st = check_token(config, err);
  return st == ST_OK ? check_room(config, err) : st;
}

/* ---- what is passed, but not without a word ---- */

static bool weakens(const struct kafka_config *config, const struct kafka_pair *pair,
                    struct kafka_doubt *out) {
  const struct rule *rule = option_rule(pair->key);
  if (!rule || rule->warned == WARN_NEVER || names_value(rule, pair->value)) return false;
  if (rule->warned == WARN_AT_LEAST_ONCE && !config->at_least_once)
    return false; /* there it aborts the transaction */
  *out = (struct kafka_doubt){.kind = DOUBT_WEAKENED,
                              .key = pair->key,
                              .value = pair->value,
                              .next = "Remove the setting, unless this is meant"};
  snprintf(out->text, sizeof out->text, "kafka.%s = %s weakens what is promised: %s.", pair->key,
           pair->value, rule->why);
  return true;
}

static bool not_known(const struct kafka_pair *pair, struct kafka_doubt *out) {
  if (option_kind(pair->key) != OPTION_UNKNOWN) return false;
  *out = (struct kafka_doubt){.kind = DOUBT_UNKNOWN,
                              .key = pair->key,
                              .value = "",
                              .next = "Try it first; or remove the setting"};
  snprintf(
      out->text, sizeof out->text,
      "kafka.%s is handed to librdkafka %s as it is: busbridge does not know what it does to the "
      "promise.",
      pair->key, kafka_library_version());
  return true;
}

static bool cannot_log_in(const struct kafka_config *config, struct kafka_doubt *out) {
  if (!options_scram_too_old(config)) return false;
  *out = (struct kafka_doubt){.kind = DOUBT_SCRAM, .key = "sasl.mechanism", .value = "SCRAM"};
  out->next = "Take librdkafka 2.6.1 or newer (Debian 13), or kafka.sasl.mechanism = PLAIN with "
              "kafka.security.protocol = sasl_ssl, or OAUTHBEARER";
  snprintf(
      out->text, sizeof out->text,
      "librdkafka %s cannot log in to Kafka 4 by SCRAM, even with the right password (to Kafka 3 "
      "it can). %s.",
      kafka_library_version(), out->next);
  return true;
}

bool kafka_config_doubt(const struct kafka_config *config, size_t *at, struct kafka_doubt *out) {
  while (*at < config->count) {
    const struct kafka_pair *pair = &config->pairs[(*at)++];
    if (weakens(config, pair, out) || not_known(pair, out)) return true;
  }
  return (*at)++ == config->count && cannot_log_in(config, out);
}
