/* configure.h - where the settings of a program come from: the same for worker and CLI.
 *
 * The file is that of -c, else the variable BUSBRIDGE_CONFIG, else CONFIGURE_DEFAULT if it exists; then the
 * environment, then -X, in rising order.
 */
#ifndef BRIDGE_SERVICE_CONFIGURE_H
#define BRIDGE_SERVICE_CONFIGURE_H

#include "bridge/kafka/client.h"
#include "bridge/settings/settings.h"

#define CONFIGURE_DEFAULT "/etc/busbridge/busbridge.conf"

struct configure {
  const char *file;               /* of -c, or NULL */
  const char *const *environment; /* environ */
  const char *const *overrides;   /* "key=value" of -X */
  size_t override_count;
};
/* The file that settings are read from, NULL: none. Lives as long as the environment. */
const char *configure_file(const struct configure *c);
/* As settings_load. */
MUST_CHECK enum status configure_load(const struct configure *c, struct settings **out, struct buffer *warnings,
                                      struct error *err);

/* What is in force and where it comes from, one JSON value without secrets:
 * {"version":1,"settings":[{"key","value","default":"..."|null,"source":"default|FILE:LINE|VARIABLE|-X","type","reloadable",
 * "hidden":bool,"help"}]}; kafka.* keys stand at the end, with default and help null. */
MUST_CHECK enum status configure_show(const struct settings *settings, struct buffer *json, struct error *err);

/* The kafka.* settings and the guarantee as librdkafka's configuration: the same for the worker and every command. Its
 * texts are copies, so that it outlives a reload. */
MUST_CHECK enum status configure_kafka(const struct settings *settings, struct kafka_config *out, struct error *err);
void configure_kafka_release(struct kafka_config *config); /* of zeros is fine */

/* Do the settings hold together: routing, and what this librdkafka takes? Touches no outbox and no broker. Appends what
 * does not, a line each, which begins with the place of the setting that is at fault (as setting_source). */
void configure_check(const struct settings *settings, struct buffer *errors);

#endif
