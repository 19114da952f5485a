/* remedy.h - what keeps us from Kafka, and what to do about it.
 *
 * The only place that turns an error into a cause and a cause into a remedy: health, the log,
 * --once, doctor and /readyz all take both from here. Whoever fills a struct error in this module
 * puts the cause into it.
 */
#ifndef BRIDGE_KAFKA_FAULTS_REMEDY_H
#define BRIDGE_KAFKA_FAULTS_REMEDY_H

#include "bridge/kafka/client.h"

enum kafka_cause {
  CAUSE_UNKNOWN,        /* Kafka answers with something that nobody here can fix by a setting */
  CAUSE_ADDRESS,        /* nobody answers where we look */
  CAUSE_MISNAMED,       /* who answers names an address that cannot be reached from here */
  CAUSE_PROTOCOL,       /* the port speaks TLS, or does not, or wants a login */
  CAUSE_CERTIFICATE,    /* TLS fails */
  CAUSE_LOGIN,          /* the login is refused */
  CAUSE_SCRAM,          /* likewise, and this librdkafka cannot log in to Kafka 4 that way */
  CAUSE_TOKEN,          /* OAUTHBEARER: there is no token that lasts, or the broker refuses it */
  CAUSE_CLUSTER_DENIED, /* no right to ... */
  CAUSE_TRANSACTION_DENIED,
  CAUSE_GROUP_DENIED,
  CAUSE_TOPIC_DENIED,
  CAUSE_TOPIC_MISSING,
  CAUSE_CLOCK,               /* the record's time is too far from the broker's */
  CAUSE_LEDGER_MISSING,      /* the topic that the ledger's position names */
  CAUSE_TRANSACTION_TIMEOUT, /* ours is above the broker's limit */
  CAUSE_REPLICAS,            /* too few brokers are in sync */
  CAUSE_COORDINATOR,         /* of the group or of transactions: there is none */
  CAUSE_DESCRIPTORS          /* this process may open no socket: nobody was asked */
};
/* Of an error code of librdkafka's and the words that came with it. */
enum kafka_cause kafka_cause_of(int code, const char *words);
/* It may be over in a moment, without anybody's doing. */
bool kafka_cause_passes(enum kafka_cause cause);
/* What to do, one sentence without a full stop. subject: the topic, where the cause speaks of one;
 * else NULL. */
void kafka_remedy(enum kafka_cause cause, const struct kafka_config *config, const char *subject,
                  char *out, size_t size);

#endif
