/* handle.h - private to this module: one librdkafka handle, configured for its role, with its log
 * and its last words.
 *
 * librdkafka's threads call the log and the response interceptor; its errors arrive on the thread
 * that polls. link and words may be asked by any thread. The handle must not move once opened
 * (librdkafka keeps its address).
 */
#ifndef BRIDGE_KAFKA_HANDLE_H
#define BRIDGE_KAFKA_HANDLE_H

#include "bridge/base/thread.h"
#include "bridge/kafka/faults/remedy.h"
#include "bridge/kafka/publisher.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

enum handle_role {
  HANDLE_PUBLISHER = 1,
  HANDLE_CLUSTER = 2,
  HANDLE_READER = 4,
  HANDLE_TRIAL = 8,     /* a publisher that is thrown away: never connects */
  HANDLE_POSITION = 16, /* asks what a consumer group committed: never reads */
  HANDLE_VERSIONS = 32 /* thrown away once it has connected; its owner is a struct versions, its log
                          goes nowhere else */
};

/* Of versions.c: the newest version of each request that a broker takes, plus one; 0: it does not
 * know it. Filled by librdkafka's threads. */
struct versions {
  atomic_int newest[128];
};
/* A line of librdkafka's log. */
void versions_overhear(struct versions *v, const char *text);
struct kafka_version;
void versions_read(struct versions *v, struct kafka_version *out);

/* Requests of one transaction that went out, and answers that came back. Whoever was sent more
 * often than answered may still have a copy under way. */
struct handle_tally {
  atomic_uint sent, answered;
  atomic_bool awaited; /* the last one sent has no answer yet */
};

typedef void (*handle_report_fn)(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

struct handle {
  rd_kafka_t *rk;
  struct log *log;
  enum handle_role role;
  void *owner;          /* of the report callback */
  atomic_int link;      /* enum publisher_link */
  atomic_bool doubtful; /* all connections were closed; whether the brokers are away the next
                           attempt tells */
  struct mutex mutex;   /* over words, cause */
  bool has_mutex, intercepted;
  struct handle_tally ends, offsets; /* EndTxn and TxnOffsetCommit, counted by broker threads */
  struct error words;                /* the last error that librdkafka told */
  struct statistics *statistics;     /* of the configuration */
  bool specific;                     /* words say more than "all brokers are down" */
  char *servers;      /* where brokers are looked for: what remedies and advertised.c go by */
  char *token_file;   /* of OAUTHBEARER; NULL: none */
  bool scram_too_old; /* of the configuration */
  /* A broker of the list has answered; so has one under the name it gave; or cannot be reached by
   * it: words say so. */
  atomic_bool listed_answered, named_answered, misnamed;
  atomic_bool
      starved; /* no descriptor for a socket was left, and none was made since: words say so */
};

struct cluster {
  struct handle handle;
};

/* report: delivery reports (HANDLE_PUBLISHER), else NULL. ST_INVALID: a key or value of the
 * configuration, or their combination. On failure the handle is closed. */
MUST_CHECK enum status handle_open(struct handle *h, const struct kafka_config *config,
                                   enum handle_role role, struct log *log, handle_report_fn report,
                                   void *owner, struct error *err);
void handle_close(struct handle *h); /* a handle of zeros is fine */
/* err = st, "what: <librdkafka's last words, or those of code>". Serves waiting events first, so
 * that the words are fresh. */
enum status handle_failed(struct handle *h, enum status st, int code, const char *what,
                          struct error *err);
/* The same in the caller's words instead of the code's. */
enum status handle_failed_saying(struct handle *h, enum status st, int code, const char *words,
                                 const char *what, struct error *err);
/* advertised.c. True: this error says that a broker names an address that cannot be reached; words
 * are set. */
bool reach_note(struct handle *h, int code, const char *text);
/* err = that, of this broker. */
enum status reach_failed(struct error *err, struct span name, struct span why);
/* The status for a blocking call that ended with this code. */
enum status handle_status(int code);
/* The kafka_cause of a code and its words. Takes no lock. */
int handle_cause(const struct handle *h, int code, const char *words);
/* A number of the configuration as it is in force, 0: there is no such key. */
int64_t handle_number(const struct handle *h, const char *key);
/* One key of the configuration: librdkafka's own words on refusal, and the nearest key that exists
 * for an unknown one.
 */
MUST_CHECK enum status handle_set(rd_kafka_conf_t *conf, const char *key, const char *value,
                                  struct error *err);

#endif
