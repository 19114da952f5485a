/* token.h - private to this module: the token that OAUTHBEARER logs in with, read from a file that
 * somebody else renews (an agent, a sidecar, a projected volume of Kubernetes).
 *
 * It is a JWT: its exp says when it must have been replaced. The signature is the broker's to
 * judge.
 */
#ifndef BRIDGE_KAFKA_LOGIN_TOKEN_H
#define BRIDGE_KAFKA_LOGIN_TOKEN_H

#include "bridge/base/span.h"

#include <librdkafka/rdkafka.h>

/* Checks that text is a JWT that lasts beyond now_us; *expires_us: until when. The message does not
 * hold the token. Pure. */
MUST_CHECK enum status token_check(struct span text, int64_t now_us, int64_t *expires_us,
                                   struct error *err);

/* Until when librdkafka is told that such a token lasts, in ms: a minute at most, so that one that
 * the broker refuses is soon replaced. */
int64_t token_lease_ms(int64_t expires_us, int64_t now_us);

/* Reads the file and gives its token to librdkafka, which asks again when four fifths of that time
 * are over, and 10 s after a failure; that is told as an error of the handle, under the setting's
 * name. Any thread. */
void token_refresh(rd_kafka_t *rk, const char *setting, const char *file);

#endif
