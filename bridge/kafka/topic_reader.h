/* topic_reader.h - reads topics from where one says, read_committed, without a consumer group's
 * offsets. One thread. */
#ifndef BRIDGE_KAFKA_TOPIC_READER_H
#define BRIDGE_KAFKA_TOPIC_READER_H

#include "bridge/kafka/publisher.h"

struct topic_reader;
struct message {
  const char *topic;
  int partition;
  int64_t offset, timestamp_ms;
  bool broker_time; /* the topic stamps records when they come in; else it is their producer's time
                     */
  struct span key, value;
  const struct record_header *headers; /* names terminated; valid until the next call */
  size_t header_count;
};
/* All partitions of the topics; from_end: only what comes from now on, else from the beginning.
 * ST_NOT_FOUND names a missing topic. */
MUST_CHECK enum status topic_reader_open(const struct kafka_config *config, struct log *log,
                                         const char *const *topics, size_t count, bool from_end,
                                         int timeout_ms, struct topic_reader **out,
                                         struct error *err);
/* Before the first topic_reader_next (librdkafka has been seen to abort where partitions were
 * assigned anew while it read): begin at the first record written at or after this time, in every
 * partition. ST_UNAVAILABLE. */
MUST_CHECK enum status topic_reader_seek_time(struct topic_reader *r, int64_t from_ms,
                                              int timeout_ms, struct error *err);
/* Before the first topic_reader_next: begin in every partition at most `last` records before its
 * end (INT32_MAX and more: all there are). ST_END is then said once, when each was read up to its
 * end of some moment. */
void topic_reader_last(struct topic_reader *r, int64_t last);
/* Likewise: begin in every partition at the first record written at or after from_ms (INT64_MAX:
 * none), or at most `last` records before its present end (INT64_MAX: all there are), whichever is
 * earlier. ST_END is then said once, when each has been read up to that end, however many come
 * meanwhile. *offsets: how many lie in between, records or not. */
MUST_CHECK enum status topic_reader_seek_back(struct topic_reader *r, int64_t from_ms, int64_t last,
                                              int timeout_ms, uint64_t *offsets, struct error *err);
/* Likewise the last ones before the first that was written at or after before_ms (INT64_MAX: before
 * the present end), where ST_END is said. */
MUST_CHECK enum status topic_reader_seek_before(struct topic_reader *r, int64_t before_ms,
                                                int64_t last, int timeout_ms, struct error *err);
/* Likewise: of each topic this partition alone, from offset on (-1: from where it would have
 * begun). ST_NOT_FOUND: no topic has it. */
MUST_CHECK enum status topic_reader_only(struct topic_reader *r, int partition, int64_t offset,
                                         struct error *err);
/* Where the i-th partition begins, after a seek; false behind the last. */
bool topic_reader_begins(const struct topic_reader *r, size_t i, const char **topic, int *partition,
                         int64_t *offset);
void topic_reader_close(struct topic_reader *r);
/* ST_OK a message, valid until the next call; ST_AGAIN nothing within timeout_ms; ST_END every
 * partition has been read to the end it had when that was read (said once each time that happens);
 * else an error. An outage is ST_AGAIN: it is waited for, but where the brokers name addresses that
 * cannot be reached from here: ST_UNAVAILABLE. */
MUST_CHECK enum status topic_reader_next(struct topic_reader *r, int timeout_ms,
                                         struct message *out, struct error *err);

#endif
