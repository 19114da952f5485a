/* publisher.h - a Kafka producer: records in, delivery reports out.
 *
 * One thread sends and polls; reports are called from publisher_poll and publisher_flush on that
 * thread. librdkafka's own threads do the rest. Key and value are borrowed until the record's
 * report; headers are copied. Idempotent, acks=all, murmur2_random. With a transactional id:
 * transactions, below.
 */
#ifndef BRIDGE_KAFKA_PUBLISHER_H
#define BRIDGE_KAFKA_PUBLISHER_H

#include "bridge/kafka/client.h"

struct record_header {
  const char *name;
  struct span value;
};

struct record {
  unsigned topic; /* number from publisher_topic */
  struct span key, value;
  const struct record_header *headers;
  size_t header_count;
  int64_t timestamp_ms; /* 0: now */
  void *opaque;         /* comes back with the report */
};

struct delivery {
  enum kafka_fault fault; /* KAFKA_OK: acknowledged by the broker */
  int code;               /* librdkafka's error code */
  const char *text;       /* its words; valid during the call */
  int partition;
  int64_t offset;
};
typedef void (*publisher_report_fn)(void *ctx, void *opaque, const struct delivery *delivery);

enum publisher_link { LINK_UNKNOWN, LINK_UP, LINK_DOWN };

struct publisher;
MUST_CHECK enum status publisher_open(const struct kafka_config *config, struct log *log,
                                      publisher_report_fn report, void *ctx, struct publisher **out,
                                      struct error *err);
/* Waits for nothing: call publisher_flush first. Records without a report get none. */
void publisher_close(struct publisher *p);
/* The first half of closing: nothing is sent any more, no report comes, no key or value is used any
 * more. What is left is publisher_close, on any thread: librdkafka may take a second for it, and
 * has been seen to hang. */
void publisher_abandon(struct publisher *p);
/* Number of a topic for struct record: opens its handle once (its metadata is asked for in the
 * background). Topics must be added in the order 0, 1, 2...; the number is returned in *topic. */
MUST_CHECK enum status publisher_topic(struct publisher *p, const char *name, unsigned *topic,
                                       struct error *err);
/* Hand over one record. KAFKA_OK: a report will come. KAFKA_QUEUE_FULL: poll, then the same again.
 * Anything else: it was refused at once, *delivery (may be NULL) says why, no report comes. The
 * first record for a missing topic is told by its report (after 2 s); then the topic, missing or
 * denied, refuses at once until its metadata is read again, every 10 s. */
enum kafka_fault publisher_send(struct publisher *p, const struct record *record,
                                struct delivery *delivery);
/* Serve reports and events for at most timeout_ms (0: only what is there). Returns how many reports
 * were called. */
size_t publisher_poll(struct publisher *p, int timeout_ms);
/* Write one byte-count to this eventfd whenever publisher_poll has something to do, so that a loop
 * can poll(2) on it.
 */
void publisher_wake_on(struct publisher *p, int event_fd);
/* At most so many bytes go in one record batch. */
int64_t publisher_batch_bytes(const struct publisher *p);
size_t publisher_in_flight(const struct publisher *p); /* handed over and not reported */
/* Wait until nothing is in flight, at most timeout_ms: ST_OK or ST_AGAIN. */
MUST_CHECK enum status publisher_flush(struct publisher *p, int timeout_ms);
/* DOWN also while the brokers name addresses that cannot be reached. DOWN after "all brokers down"
 * until any broker answers anything but a handshake: within 10 s of its return when nothing is on
 * its way, at once when something is; text (may be NULL) gets librdkafka's last words. Any thread.
 */
enum publisher_link publisher_link(const struct publisher *p, struct error *text);
/* Set when librdkafka gave a fatal error: close it and open another. Any thread. */
bool publisher_fatal(const struct publisher *p, struct error *text);

/* ---- transactions: only when the configuration has a transactional id ----
 *
 * init, then again and again: begin, publisher_send..., publisher_flush until nothing is in flight,
 * position, commit or abort. A delivery report means nothing before the commit. Reports are called
 * from all of them. What a failed call wants next is told by its flags, never by its code: */
enum txn_next {
  TXN_DONE,
  TXN_AGAIN, /* the same call again, after a short wait */
  TXN_ABORT, /* publisher_abort, then begin anew. Never said by publisher_commit */
  TXN_RENEW, /* close it and open another; its init resolves what this one left. From
                publisher_commit: the outcome is not known, the committed position tells */
  TXN_FENCED /* as TXN_RENEW, and somebody else may own the outbox now (or our transaction slept) */
};
/* Where the ledger stands: offset `number` of partition 0 of `topic`, committed for `group` with
 * the metadata `digest`.
 */
struct position {
  const char *topic, *group;
  int64_t number; /* -1: none */
  char digest[40];
};
/* Fences older producers of the id and resolves what they left. May take a minute. */
MUST_CHECK enum txn_next publisher_init(struct publisher *p, int timeout_ms, struct error *err);
/* Polls first, so that a late error of the last one is seen. TXN_RENEW unless publisher_clean. */
MUST_CHECK enum txn_next publisher_begin(struct publisher *p, struct error *err);
/* number >= 0. Read cluster_position for the group once before the first: without a coordinator of
 * the group this call may never return (librdkafka#5456). */
MUST_CHECK enum txn_next publisher_position(struct publisher *p, const struct position *position,
                                            struct error *err);
/* Blocks until the broker answered, however long (a watchdog of the caller's ends the process). */
MUST_CHECK enum txn_next publisher_commit(struct publisher *p, struct error *err);
/* Records not reported yet get KAFKA_PURGED. TXN_DONE, TXN_AGAIN or a new producer; the latter
 * also, without trying, once publisher_commit was called, and instead of waiting when a record
 * failed that had been given to a partition. */
MUST_CHECK enum txn_next publisher_abort(struct publisher *p, struct error *err);
/* The next transaction can begin. False within one, and for good, so that a new producer must be
 * made before the next,
 * - when something of the last one may still be under way: its EndTxn was sent more than once or
 * not answered (none at all is fine: it held nothing), or a position was sent more often than
 * answered. A late copy could end the next transaction, or put back its position;
 * - when a record failed that had been given to a partition (refused by the broker, timed out): the
 * next transaction with that partition would fail for its missing sequence number. */
bool publisher_clean(const struct publisher *p);

#endif
