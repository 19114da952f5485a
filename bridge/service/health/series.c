/* Counters that stand at 0 from the start: one that appears with its first event begins at 1, and a
 * rate or increase() over it never sees that first one.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/operations.h"
#include "bridge/service/parts.h"

#define WORDS(list) (sizeof(list) / sizeof *(list))

static void of_namespace(struct service *s, const char *ns) {
  static const char *const results[] = {EVENT_RESULTS};
  for (size_t i = 0; i < WORDS(results); i++)
    (void)metrics_series(s->metrics, METRIC_EVENTS, ns, results[i]);
  for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
    (void)metrics_series(s->metrics, METRIC_DEAD, ns, reason_word((enum reason)r));
  (void)metrics_series(s->metrics, METRIC_REUSED, ns, NULL);
  (void)metrics_series(s->metrics, METRIC_KEYLESS, ns, NULL);
}

void service_begin_schemas(struct service *s, const struct catalog *catalog) {
  struct catalog_schema schema;
  for (size_t i = 0; catalog && catalog_schema_at(catalog, i, &schema); i++)
    if (!schema.whole) (void)metrics_series(s->metrics, METRIC_UNPLACED, schema.event_name, NULL);
}

/* What a worker asks, and the ends that there always are. */
static void of_registry(struct service *s) {
  static const char *const asked[] = {"look_up", "versions", "version", "id", "cluster", "token"};
  static const char *const said[] = {"200", "404", "none"};
  size_t count = WORDS(asked) - (*setting_text(s->settings, SETTING_REGISTRY_OAUTH_URL) == '\0');
  if (!*s->plan.registry.urls) return;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < WORDS(said); j++)
      (void)metrics_series(s->metrics, METRIC_REGISTRY, asked[i], said[j]);
}

static void of_outbox(struct service *s) {
  for (unsigned step = 0; store_traits(s->store)->steps && step < STORE_STEPS; step++)
    (void)metrics_series(s->metrics, METRIC_STEP, store_step_word((enum store_step)step), NULL);
}

void service_begin_series(struct service *s) {
  static const char *const commands[] = {COMMAND_WORDS}, *const ends[] = {"ok", "refused", "error"};
  struct span ns;
  for (unsigned i = 0; routing_namespace(s->routing, i, &ns); i++) {
    char word[64]; /* as relay and dead_counts cut it */
    snprintf(word, sizeof word, "%.*s", (int)(ns.len < 60 ? ns.len : 60), ns.ptr);
    of_namespace(s, word);
  }
  of_namespace(s, "none");
  service_begin_schemas(s, s->catalog);
  of_registry(s);
  of_outbox(s);
  for (size_t i = 0; i < WORDS(commands); i++)
    for (size_t j = 0; j < WORDS(ends); j++)
      (void)metrics_series(s->metrics, METRIC_COMMANDS, commands[i], ends[j]);
  if (strcmp(setting_text(s->settings, SETTING_REDIS_URL), "off") == 0) return;
  for (int op = 0; op < 2; op++)
    for (int end = 0; end < 2; end++)
      (void)metrics_series(s->metrics, METRIC_REDIS, op ? "check" : "set", end ? "ok" : "error");
}
