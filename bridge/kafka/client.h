/* client.h - what publisher, reader and cluster share: the configuration and the meaning of Kafka's
 * errors. */
#ifndef BRIDGE_KAFKA_CLIENT_H
#define BRIDGE_KAFKA_CLIENT_H

#include "bridge/base/log.h"
#include "bridge/base/stop.h"
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
  int64_t batch_bytes; /* the publishers' record batches are at most that large; 0: as the settings
                          say */
  /* What is promised: chooses message.timeout.ms, 0 or below a transaction's. With a transactional
   * id: it only settles what exactly_once left. */
  bool at_least_once;
  const struct stop *stop; /* ends the waits between two questions; NULL: nothing does */
};

/* What an error of Kafka means to us. kafka_fault_of maps every librdkafka code;
 * relay/causes/verdict.c gives the class. */
enum kafka_fault {
  KAFKA_OK = 0,
  KAFKA_QUEUE_FULL,       /* poll, then the same record again */
  KAFKA_RECORD_TOO_LARGE, /* larger than our own message.max.bytes: refused before sending */
  KAFKA_RECORD_REFUSED, /* the broker refuses this record, or one of its batch: invalid, larger than
                           the topic allows */
  KAFKA_CLOCK, /* the record's time, which is this machine's, lies outside what the topic takes */
  KAFKA_TOPIC_UNKNOWN, /* topic or partition does not exist */
  KAFKA_TOPIC_DENIED,  /* not authorised for this topic */
  KAFKA_UNREACHABLE,   /* transport, all brokers down, host not found */
  KAFKA_TIMED_OUT,
  KAFKA_NOT_ENOUGH_REPLICAS,
  KAFKA_AUTHENTICATION, /* SASL, TLS, cluster authorisation */
  KAFKA_COORDINATOR,    /* loading, moved, concurrent transactions */
  KAFKA_FENCED,         /* another producer has our identity, or our transaction slept */
  KAFKA_PURGED,         /* taken back by us at close */
  KAFKA_FATAL,          /* the producer is lost: make a new one */
  KAFKA_OTHER           /* anything else: treated as the world's, never as the event's */
};
/* code: an rd_kafka_resp_err_t. MSG_SIZE_TOO_LARGE is KAFKA_RECORD_REFUSED here; publisher_send
 * says KAFKA_RECORD_TOO_LARGE. */
enum kafka_fault kafka_fault_of(int code);
/* Was it the size that was refused, of a record or of the batch it was in? */
bool kafka_refused_for_size(int code);
const char *kafka_fault_word(enum kafka_fault f);

/* Check the pairs, by the table of librdkafka's settings (options.c) and against this librdkafka
 * without connecting: ST_INVALID names the key, and why. What is taken only with a doubt is logged.
 */
MUST_CHECK enum status kafka_config_check(const struct kafka_config *config, struct log *log,
                                          struct error *err);
/* A setting that is taken, but gives up something that is promised, that nobody here knows, or that
 * may not work. */
struct kafka_doubt {
  enum { DOUBT_WEAKENED, DOUBT_UNKNOWN, DOUBT_SCRAM } kind;
  const char *key, *value; /* value "" where it might be a secret */
  char text[400];          /* a sentence */
  const char *next;        /* what to do about it */
};
/* The next one from *at on, which begins with 0. False: no more. */
bool kafka_config_doubt(const struct kafka_config *config, size_t *at, struct kafka_doubt *out);
/* Where the brokers are looked for: bootstrap.servers, or its default. */
const char *kafka_servers(const struct kafka_config *config);
const char *kafka_library_version(void);

#endif
