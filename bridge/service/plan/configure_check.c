/* What settings say as a whole. Each value by itself was checked when it was read.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/store.h"
#include "bridge/service/plan/configure.h"

/* Does a message begin with this key? */
static bool begins_with(const char *text, const char *prefix, const char *key) {
  size_t before = strlen(prefix), len = strlen(key);
  if (strncmp(text, prefix, before) != 0 || strncmp(text + before, key, len) != 0) return false;
  char next = text[before + len];
  return !(next == '.' || next == '_' || (next >= 'a' && next <= 'z') ||
           (next >= '0' && next <= '9'));
}

/* Who refuses a value names its key and does not know where it stands. */
static const char *place_of(const struct settings *s, const char *text) {
  const char *key, *value;
  for (size_t i = 0; settings_kafka(s, i, &key, &value); i++)
    if (begins_with(text, "kafka.", key)) return settings_kafka_source(s, i);
  struct setting_route route;
  for (size_t i = 0; settings_route(s, i, &route); i++)
    if (begins_with(text, "", route.key)) return route.source;
  for (int i = 0; i < SETTING_COUNT; i++)
    if (begins_with(text, "", setting_row((enum setting)i)->key))
      return setting_source(s, (enum setting)i);
  return NULL;
}

/* at: the setting that is judged, where the words do not name one. */
static void add_fault(const struct settings *s, const char *at, const struct error *err,
                      struct buffer *errors) {
  const char *place = place_of(s, err->text);
  if (!place) place = at;
  buffer_printf(errors, "%s%s%s\n", place ? place : "", place ? ": " : "", err->text);
}

/* The pair that the words name is taken out, so that the next one can be looked at. */
static bool leave_out(struct kafka_config *config, const char *text) {
  struct kafka_pair *pairs = (struct kafka_pair *)config->pairs; /* of the plan's arena */
  for (size_t i = 0; i < config->count; i++) {
    if (!begins_with(text, "kafka.", pairs[i].key)) continue;
    memmove(pairs + i, pairs + i + 1, (config->count - i - 1) * sizeof *pairs);
    config->count--;
    return true;
  }
  return false;
}

static void check_kafka(const struct settings *s, struct plan *plan, struct buffer *errors) {
  struct error err = {0};
  while (kafka_config_check(&plan->kafka, NULL, &err) != ST_OK) {
    add_fault(s, NULL, &err, errors);
    if (!leave_out(&plan->kafka, err.text)) break;
  }
}

enum status configure_standby(const struct settings *s, bool once, struct error *err) {
  if (!setting_bool(s, SETTING_STANDBY)) return ST_OK;
  if (once)
    return error_set(err, ST_INVALID,
                     "standby=true (%s) and --once exclude each other: the one waits without an "
                     "end, the other relays what is there and ends; add -X standby=false",
                     setting_source(s, SETTING_STANDBY));
  if (!setting_bool(s, SETTING_FLUSH_BACKGROUND))
    return error_set(err, ST_INVALID,
                     "standby=true (%s) and flush.background=false (%s) exclude each other: who "
                     "relays only when asked takes nothing over; take one of them out",
                     setting_source(s, SETTING_STANDBY),
                     setting_source(s, SETTING_FLUSH_BACKGROUND));
  return ST_OK;
}

static void check_others(const struct settings *s, const struct plan *plan, struct buffer *errors) {
  struct error err = {0};
  struct routing *routing = NULL;
  struct catalog *catalog = NULL;
  struct keys *keys = NULL;
  struct keys_config config = plan->keys;
  config.clock = &clock_system; /* it connects nowhere, so nothing is timed */
  if (store_url_check(plan->outbox, &err) != ST_OK)
    add_fault(s, setting_source(s, SETTING_OUTBOX_URL), &err, errors);
  struct error of_schemas = {0};
  enum status st = plan_catalog(plan, NULL, &catalog, &of_schemas);
  if (plan_routing(plan, catalog, &routing, &err) != ST_OK) add_fault(s, NULL, &err, errors);
  if (st != ST_OK) add_fault(s, setting_source(s, SETTING_ENCODING_SCHEMAS), &of_schemas, errors);
  if (keys_open(&config, NULL, &keys, &err) != ST_OK)
    add_fault(s, setting_source(s, SETTING_REDIS_URL), &err, errors);
  keys_close(keys);
  catalog_close(catalog);
  routing_close(routing);
}

void configure_check(const struct settings *settings, struct buffer *errors) {
  struct plan plan;
  struct error err = {0};
  if (configure_standby(settings, false, &err) != ST_OK)
    add_fault(settings, setting_source(settings, SETTING_STANDBY), &err, errors);
  if (plan_make(settings, &plan, &err) == ST_OK) {
    check_others(settings, &plan, errors);
    check_kafka(settings, &plan, errors);
  } else {
    add_fault(settings, NULL, &err, errors);
  }
  plan_release(&plan);
}
