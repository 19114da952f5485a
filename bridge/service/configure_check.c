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

static void add(const struct settings *s, const struct error *err, struct buffer *errors) {
  const char *place = place_of(s, err->text);
  buffer_printf(errors, "%s%s%s\n", place ? place : "", place ? ": " : "", err->text);
}

/* The pair that the words name is taken out, so that the next one can be looked at. */
static bool leave_out(struct kafka_config *config, const char *text) {
  struct kafka_pair *pairs = (struct kafka_pair *)config->pairs;
  for (size_t i = 0; i < config->count; i++) {
    if (!begins_with(text, "kafka.", pairs[i].key)) continue;
    struct kafka_pair out = pairs[i];
    memmove(pairs + i, pairs + i + 1, (config->count - i - 1) * sizeof *pairs);
    config->count--;
    free((char *)out.key);
    free((char *)out.value);
    return true;
  }
  return false;
}

void configure_check(const struct settings *settings, struct buffer *errors) {
  struct kafka_config config;
  struct error err = {0};
  if (check_routing(settings, &err) != ST_OK) add(settings, &err, errors);
  enum status st = configure_kafka(settings, &config, &err);
  if (st != ST_OK) add(settings, &err, errors);
  while (st == ST_OK && kafka_config_check(&config, NULL, &err) != ST_OK) {
    add(settings, &err, errors);
    if (!leave_out(&config, err.text)) break;
  }
  configure_kafka_release(&config);
}
