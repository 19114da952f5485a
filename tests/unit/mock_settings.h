/* mock_settings.h - the settings of a file outbox beside the mock cluster, without Redis, with the
 * schemas that ship.
 */
#ifndef TESTS_UNIT_MOCK_SETTINGS_H
#define TESTS_UNIT_MOCK_SETTINGS_H

#include "bridge/settings/settings.h"
#include "tests/support/folder.h"
#include "tests/unit/kafka_mock.h"

/* more: further "key=value", up to a NULL; a later one of a key wins. The caller's to free. */
static inline struct settings *mock_settings(struct mock *mock, const char *outbox,
                                             const char *const *more) {
  char url[300], servers[300];
  const char *overrides[24] = {url, servers, "redis.url=off",
                               "encoding.schemas=" SOURCE_ROOT "/schemas"};
  size_t count = 4;
  snprintf(url, sizeof url, "outbox.url=file:%s", outbox);
  snprintf(servers, sizeof servers, "kafka.bootstrap.servers=%s",
           rd_kafka_mock_cluster_bootstraps(mock->cluster));
  for (; *more; more++) {
    assert_true(count < sizeof overrides / sizeof *overrides);
    overrides[count++] = *more;
  }
  struct settings_sources sources = {.overrides = overrides, .override_count = count};
  struct settings *settings = NULL;
  struct error err;
  if (settings_load(&sources, &settings, NULL, &err) != ST_OK) fail_msg("%s", err.text);
  return settings;
}

/* Up to a NULL: mock_settings_of(mock, outbox, "topics.create=never", NULL) */
#define mock_settings_of(mock, outbox, ...)                                                        \
  mock_settings(mock, outbox, (const char *const[]){__VA_ARGS__, NULL})

#endif
