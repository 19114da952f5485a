/* client.h - what publisher, reader and cluster share: the configuration and the meaning of Kafka's errors. */
#ifndef BRIDGE_KAFKA_CLIENT_H
#define BRIDGE_KAFKA_CLIENT_H

#include "bridge/base/log.h"
#include "bridge/kafka/statistics.h"

/* The user's kafka.* settings, without that prefix, handed to librdkafka verbatim; borrowed. */
struct kafka_pair {
  const char *key, *value;
};
struct kafka_config {
  const struct kafka_pair *pairs;
  size_t count;
  const char *transactional_id;  /* of the publisher, in exactly_once; NULL: none */
  struct statistics *statistics; /* of the publishers; NULL: none are kept */
  bool at_least_once;            /* chooses message.timeout.ms: 0 (at_least_once) or 45000 */
};

/* What an error of Kafka means to us. kafka_fault_of maps every librdkafka code; relay/verdict.c gives the class. */
enum kafka_fault {
  KAFKA_OK = 0,
  KAFKA_QUEUE_FULL,       /* poll, then the same record again */
  KAFKA_RECORD_TOO_LARGE, /* larger than our own message.max.bytes: refused before sending */
  KAFKA_RECORD_REFUSED, /* the broker refuses this record, or one of its batch: invalid, larger than the topic allows */
  KAFKA_TOPIC_UNKNOWN,  /* topic or partition does not exist */
  KAFKA_TOPIC_DENIED,   /* not authorised for this topic */
  KAFKA_UNREACHABLE,    /* transport, all brokers down, host not found */
  KAFKA_TIMED_OUT,
  KAFKA_NOT_ENOUGH_REPLICAS,
  KAFKA_AUTHENTICATION, /* SASL, TLS, cluster authorisation */
  KAFKA_COORDINATOR,    /* loading, moved, concurrent transactions */
  KAFKA_FENCED,         /* another producer has our identity, or our transaction slept */
  KAFKA_PURGED,         /* taken back by us at close */
  KAFKA_FATAL,          /* the producer is lost: make a new one */
  KAFKA_OTHER           /* anything else: treated as the world's, never as the event's */
};
/* code: an rd_kafka_resp_err_t. MSG_SIZE_TOO_LARGE is KAFKA_RECORD_REFUSED here; publisher_send says
 * KAFKA_RECORD_TOO_LARGE. */
enum kafka_fault kafka_fault_of(int code);
const char *kafka_fault_word(enum kafka_fault f);

/* Check the pairs against this librdkafka without connecting: ST_INVALID names the key and librdkafka's own words, also
 * for keys that busbridge refuses (transactional.id, group.id, log.connection.close=false). Warnings about weakened
 * guarantees (acks, enable.idempotence, partitioner) are logged. */
MUST_CHECK enum status kafka_config_check(const struct kafka_config *config, struct log *log, struct error *err);
const char *kafka_library_version(void);

#endif
