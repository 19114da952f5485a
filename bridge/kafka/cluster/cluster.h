/* cluster.h - questions to and changes of the cluster: topics, offsets. Blocking calls with a
 * timeout; one thread. */
#ifndef BRIDGE_KAFKA_CLUSTER_CLUSTER_H
#define BRIDGE_KAFKA_CLUSTER_CLUSTER_H

#include "bridge/kafka/publisher.h"

struct cluster;
MUST_CHECK enum status cluster_open(const struct kafka_config *config, struct log *log,
                                    struct cluster **out, struct error *err);
void cluster_close(struct cluster *c);
/* The cluster's id ("mockCluster..." for librdkafka's mock). ST_UNAVAILABLE when nobody answers in
 * time. */
MUST_CHECK enum status cluster_id(struct cluster *c, int timeout_ms, char out[128],
                                  struct error *err);

/* Does any broker answer under the name that it gives itself? ST_UNAVAILABLE: none does; err tells
 * the name where that is what is wrong (advertised.listeners). */
MUST_CHECK enum status cluster_reach(struct cluster *c, int timeout_ms, struct error *err);

enum topic_state { TOPIC_THERE, TOPIC_MISSING, TOPIC_FORBIDDEN, TOPIC_UNCLEAR };
/* State of one topic; *partitions (may be NULL) its partitions. Never creates it. ST_UNAVAILABLE as
 * above. */
MUST_CHECK enum status cluster_topic(struct cluster *c, const char *topic, int timeout_ms,
                                     enum topic_state *state, int *partitions, struct error *err);
/* Create it; partitions, replication -1 = the broker's default. ST_OK also when it exists (it may
 * take a moment until cluster_topic shows it); ST_DENIED; ST_UNSUPPORTED (the mock);
 * ST_UNAVAILABLE; ST_INVALID with the broker's words. */
MUST_CHECK enum status cluster_create_topic(struct cluster *c, const char *topic, int partitions,
                                            int replication, int timeout_ms, struct error *err);
/* Would that work? The broker checks rights and values without doing it. */
MUST_CHECK enum status cluster_may_create_topic(struct cluster *c, const char *topic,
                                                int partitions, int replication, int timeout_ms,
                                                struct error *err);
/* "<tool> --bootstrap-server '<servers>'", the begin of a shell command in a message. */
void cluster_command(const struct kafka_config *config, const char *tool, struct buffer *out);
/* The shell command that creates it, for messages. */
void cluster_create_hint(const struct kafka_config *config, const char *topic, struct buffer *out);
/* Low and high water mark of a partition. */
MUST_CHECK enum status cluster_offsets(struct cluster *c, const char *topic, int partition,
                                       int timeout_ms, int64_t *low, int64_t *high,
                                       struct error *err);

/* One setting of a topic, such as cleanup.policy. The statuses of cluster_topic_limit. */
MUST_CHECK enum status cluster_topic_setting(struct cluster *c, const char *topic, const char *key,
                                             int timeout_ms, char *out, size_t size,
                                             struct error *err);
/* max.message.bytes of a topic. ST_DENIED, ST_UNSUPPORTED, ST_NOT_FOUND, ST_UNAVAILABLE. */
MUST_CHECK enum status cluster_topic_limit(struct cluster *c, const char *topic, int timeout_ms,
                                           int64_t *bytes, struct error *err);
int64_t cluster_own_limit(const struct cluster *c); /* kafka.message.max.bytes, as it is in force */

/* Where a record of this key goes in a topic of so many partitions, as the publisher sends it; the
 * key is not empty. */
int cluster_partition(struct span key, int partitions);
/* A number of a topic's configuration. The same statuses. */
MUST_CHECK enum status cluster_topic_number(struct cluster *c, const char *topic, const char *key,
                                            int timeout_ms, int64_t *number, struct error *err);
/* When the broker last noted something about any transaction, by its own clock, in milliseconds
 * since 1970: just now, for who has ended or prepared one just now (no request of Kafka's asks the
 * time). ST_DENIED: it wants the right to Describe the topic __transaction_state; ST_NOT_FOUND: it
 * has never noted one. */
MUST_CHECK enum status cluster_noted(struct cluster *c, int timeout_ms, int64_t *wall_ms,
                                     struct error *err);

struct kafka_version {
  const char *release; /* "4.1": the newest release of Apache Kafka whose requests it knows; "" when
                          it did not tell */
  bool transactions;
};
/* What the broker that answers first speaks. ST_UNAVAILABLE. Uses a handle of its own, closed
 * before it returns. */
MUST_CHECK enum status cluster_version(const struct kafka_config *config, int timeout_ms,
                                       struct kafka_version *out, struct error *err);

/* The committed position of position->group for partition 0 of position->topic, read_committed:
 * fills number and digest (number -1 when there is none, or no such topic; digest "?" where its
 * metadata is longer than any of ours). Call it after publisher_init: while a transaction is open
 * the broker does not answer. Asks again until about timeout_ms are used up, then ST_UNAVAILABLE;
 * ST_DENIED; ST_CANCELLED: config->stop. Uses a consumer of its own, closed before it returns. */
MUST_CHECK enum status cluster_position(const struct kafka_config *config, struct log *log,
                                        int timeout_ms, struct position *position,
                                        struct error *err);

struct group_position {
  char topic[250];
  int64_t number;
  char digest[40]; /* as above */
};
/* Partition 0 of every topic for which the group has committed something, and which this client may
 * describe. *list is malloc'ed, the caller frees it. Only after cluster_position has answered for
 * the group. The same statuses. */
MUST_CHECK enum status cluster_positions(const struct kafka_config *config, struct log *log,
                                         int timeout_ms, const char *group,
                                         struct group_position **list, size_t *count,
                                         struct error *err);

#endif
