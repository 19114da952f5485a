/* What settings say as a whole. Each value by itself was checked when it was read. */
#include "bridge/service/configure.h"
#include "bridge/service/parts.h"

static enum status check_routing(const struct settings *s, struct error *err) {
  struct routing *routing = NULL;
  struct routing_config config = {.namespaces = span_of(setting_text(s, SETTING_ROUTING_NAMESPACES)),
                                  .topic = span_of(setting_text(s, SETTING_ROUTING_TOPIC)),
                                  .aliases = span_of(setting_text(s, SETTING_ROUTING_ALIASES)),
                                  .keys = span_of(setting_text(s, SETTING_ROUTING_KEYS))};
  enum status st = routing_open(&config, &routing, err);
  routing_close(routing);
  return st;
}

enum status configure_kafka(const struct settings *s, struct kafka_config *out, struct error *err) {
  const char *key, *value;
  size_t count = 0;
  while (settings_kafka(s, count, &key, &value)) count++;
  struct kafka_pair *pairs = calloc(count + 1, sizeof *pairs);
  bool at_least_once = strcmp(setting_text(s, SETTING_DELIVERY_GUARANTEE), "at_least_once") == 0;
  *out = (struct kafka_config){.pairs = pairs, .at_least_once = at_least_once};
  if (!pairs) return error_set(err, ST_NO_MEMORY, "out of memory for the kafka.* settings");
  for (size_t i = 0; i < count && settings_kafka(s, i, &key, &value); i++) {
    pairs[i] = (struct kafka_pair){strdup(key), strdup(value)};
    out->count = i + 1;
    if (!pairs[i].key || !pairs[i].value) return error_set(err, ST_NO_MEMORY, "out of memory for the kafka.* settings");
  }
  return ST_OK;
}

void configure_kafka_release(struct kafka_config *config) {
  for (size_t i = 0; i < config->count; i++) {
    free((char *)config->pairs[i].key);
    free((char *)config->pairs[i].value);
  }
  free((struct kafka_pair *)config->pairs);
  *config = (struct kafka_config){0};
}

static enum status check_kafka(const struct settings *s, struct error *err) {
  struct kafka_config config;
  enum status st = configure_kafka(s, &config, err);
  if (st == ST_OK) st = kafka_config_check(&config, NULL, err);
  configure_kafka_release(&config);
  return st;
}

/* Does a message begin with this key? */
static bool begins_with(const char *text, const char *prefix, const char *key) {
  size_t before = strlen(prefix), len = strlen(key);
  if (strncmp(text, prefix, before) != 0 || strncmp(text + before, key, len) != 0) return false;
  char next = text[before + len];
  return !(next == '.' || next == '_' || (next >= 'a' && next <= 'z') || (next >= '0' && next <= '9'));
}

/* Who refuses a value names its key and does not know where it stands. */
static const char *place_of(const struct settings *s, const char *text) {
  const char *key, *value;
  for (size_t i = 0; settings_kafka(s, i, &key, &value); i++)
    if (begins_with(text, "kafka.", key)) return settings_kafka_source(s, i);
  for (int i = 0; i < SETTING_COUNT; i++)
    if (begins_with(text, "", setting_row((enum setting)i)->key)) return setting_source(s, (enum setting)i);
  return NULL;
}

enum status configure_check(const struct settings *settings, struct error *err) {
  enum status st = check_routing(settings, err);
  if (st == ST_OK) st = check_kafka(settings, err);
  if (st == ST_OK || !err) return st;
  const char *place = place_of(settings, err->text);
  return place ? error_prefix(err, "%s", place) : st;
}
