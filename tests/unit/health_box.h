/* health_box.h - the facts of a healthy worker, and what is made of them: what the programs about
 * the rules of health share. */
#ifndef TESTS_UNIT_HEALTH_BOX_H
#define TESTS_UNIT_HEALTH_BOX_H

#include "bridge/service/health/health_rules.h"

#include "tests/support/test.h"
#include <errno.h>

#define NOW (INT64_C(1750000000) * 1000000)
#define SECONDS(n) ((n) * INT64_C(1000000))

static struct limits limits;
static struct judgement result;
static struct relay_status status;

static inline int setup(void **state) {
  (void)state;
  struct settings *settings = NULL;
  struct settings_sources sources = {0};
  if (settings_load(&sources, &settings, NULL, NULL) != ST_OK) return -1;
  limits_read(settings, &limits);
  settings_free(settings);
  return 0;
}

static inline struct facts healthy(void) {
  memset(&status, 0, sizeof status);
  status.heartbeat_us = status.reader_us = status.finisher_us = NOW;
  struct facts f = {.now_us = NOW,
                    .relay = true,
                    .status = &status,
                    .keys_known = true,
                    .disk_free = INT64_C(1) << 40};
  f.counts.oldest_us = TIME_NONE;
  f.counts.exact = true;
  f.keys.up = true;
  return f;
}

static inline void held_by(struct facts *f, int64_t pid) {
  f->owned = true;
  f->owner = (struct store_owner){.pid = pid, .here = true, .since_us = NOW - SECONDS(60)};
}

static inline bool says(enum health_state state, const char *text) {
  for (size_t i = 0; i < result.count; i++)
    if (result.lines[i].state == state && strstr(result.lines[i].text, text)) return true;
  return false;
}
static inline bool next_is(const char *text) {
  for (size_t i = 0; i < result.count; i++)
    if (strstr(result.lines[i].next, text)) return true;
  return false;
}

static inline void open_breaker(const char *target, int64_t since_s) {
  struct breaker_view *b = &status.breakers[status.breaker_count++];
  snprintf(b->target, sizeof b->target, "%s", target);
  snprintf(b->reason, sizeof b->reason, "all brokers down");
  snprintf(b->remedy, sizeof b->remedy, "kafka-topics --create x");
  b->state = BREAKER_OPEN;
  b->since_us = NOW - SECONDS(since_s);
}

#define CASE(name) TEST_WITH(name, setup, NULL)

#endif
