/* options.h - private to this module: librdkafka's settings, each with what becomes of it.
 *
 * One table knows every setting of the releases we run with: passed on as it is, checked against a
 * rule, or refused with the reason. A release may bring one that the table does not know: it is
 * passed on, with a warning.
 */
#ifndef BRIDGE_KAFKA_OPTIONS_OPTIONS_H
#define BRIDGE_KAFKA_OPTIONS_OPTIONS_H

#include "bridge/kafka/client.h"

/* Ours, among librdkafka's: the file of OAUTHBEARER's token. */
#define TOKEN_FILE "sasl.oauthbearer.token.location"

enum option_kind { OPTION_UNKNOWN, OPTION_PASSED, OPTION_CHECKED, OPTION_REFUSED };
enum option_kind option_kind(const char *key);
const char *option_refusal(const char *key); /* why it cannot be set, NULL: it can */

/* Fine are the values named and those within the bounds; others are refused, with the reason. */
struct rule {
  const char *key;
  const char
      *values[4]; /* "false" stands for f and 0 too, as librdkafka reads them; "true" likewise */
  int64_t least, most; /* both 0: nothing is fine but what is named */
  /* Of what is within bounds and not named. The first two are of sending alone. */
  enum { WARN_AT_LEAST_ONCE, WARN_SENDING, WARN_ALWAYS, WARN_NEVER } warned;
  const char *why;
};
const struct rule *option_rule(const char *key); /* of those that are checked, else NULL */

/* The pairs by themselves and together; ST_INVALID names the key, the rule and why. */
MUST_CHECK enum status options_check(const struct kafka_config *config, struct error *err);
/* As set by the pairs (under either of two names; the last one counts), else fallback. */
int64_t options_number(const struct kafka_config *config, const char *key, const char *alias,
                       int64_t fallback);
const char *options_text(const struct kafka_config *config, const char *key, const char *alias,
                         const char *fallback);
/* SCRAM is set, and this librdkafka cannot log in to Kafka 4 by it. */
bool options_scram_too_old(const struct kafka_config *config);

#endif
