/* relay.h - the engine that moves entries from the outbox to Kafka: three threads and the batches
 * they hand on.
 *
 * turn.c names the stages an event passes, in order; pipeline.c runs them: the reader takes,
 * screens, routes and encodes a batch; the publisher hands it to Kafka and learns the verdicts; the
 * finisher settles. A batch is handed over by pointer and comes from a small pool, so memory is
 * bounded and a slow stage slows the ones before it. verdict.c says what each cause means;
 * breaker.c keeps closed doors closed. All parts are borrowed and must outlive the relay.
 */
#ifndef BRIDGE_RELAY_RELAY_H
#define BRIDGE_RELAY_RELAY_H

#include "bridge/base/backoff.h"
#include "bridge/encoding/catalog.h"
#include "bridge/kafka/publisher.h"
#include "bridge/keys/keys.h"
#include "bridge/metrics/metrics.h"
#include "bridge/outbox/store.h"
#include "bridge/registry/ids.h"
#include "bridge/relay/crash_marks.h"
#include "bridge/routing/routing.h"

struct relay_parts {
  struct store *store;
  struct crash_marks *crash_marks; /* NULL: crashes are not noted */
  const struct routing *routing;
  struct catalog *catalog;
  struct ids *ids; /* NULL: there is no registry */
  struct keys *keys;
  struct metrics *metrics;
  const struct kafka_config *kafka;
  const struct clock *clock;
  struct log *log;
};

struct relay_tuning { /* may be changed while running: relay_tune */
  int64_t flush_interval_ms;
  unsigned max_attempts, max_retries;
  struct backoff quick;
  size_t batch_events, batch_bytes;
};
struct relay_config {
  struct relay_tuning tuning;
  enum subject_naming subject; /* registry.subject */
  const char *ce_source;
  const char *ce_dataschema; /* before a schema's fingerprint; NULL, "": no such header */
  const char *group;         /* of this outbox alone: the ledger's, and the transactional id */
  const char *ledger_topic;  /* exactly_once */
  bool exactly_once;
  bool background;     /* relay all the time; else only by relay_flush */
  bool paused;         /* from the start: see relay_pause */
  bool keys_required;  /* wait for Redis instead of going on without it */
  bool carry_envelope; /* event_rest in a header */
  bool hold_key;       /* a dead letter holds back the later events of its key: holds.h */
  bool create_topics;
  int partitions, replication;
};

struct relay;
MUST_CHECK enum status relay_start(const struct relay_parts *parts,
                                   const struct relay_config *config, struct relay **out,
                                   struct error *err);
/* Claims nothing more, waits for what was handed to Kafka (at most drain_ms), settles it, ends the
 * threads. What was not acknowledged stays pending. False: a thread hangs in a call that has no
 * end. Its status may still be asked; a second call only tells again. NULL is fine. */
bool relay_drain(struct relay *r, int64_t drain_ms);
/* relay_drain, and then it is gone; if that fails it stays as it is, with all that it borrowed. */
bool relay_stop(struct relay *r, int64_t drain_ms);
void relay_tune(struct relay *r, const struct relay_tuning *tuning);

/* While paused nothing is taken and nothing more is handed to Kafka: what was prepared goes back as
 * held, and comes again in its order after the end of the pause; what Kafka has is finished and
 * settled. A running flush ends. Twice the same is fine. Any thread. */
void relay_pause(struct relay *r, bool paused);

/* A flush: everything there is (at most limit, 0 = all), due or not. patient keeps due times and
 * also waits for growing files and for retries that are due within flush.interval (--once). One at
 * a time: ST_BUSY. */
MUST_CHECK enum status relay_flush(struct relay *r, size_t limit, bool patient, uint64_t *id,
                                   struct error *err);
struct flush_progress {
  bool finished;
  uint64_t taken, published, duplicates, retried, dead, vanished, held, left,
      total;      /* total: pending when it began */
  uint64_t aside; /* lie there still, and are not pending any more: store_aside, also of earlier */
  bool unreachable; /* nothing moved for 30 s, and it is Kafka that does not answer: exit code 75 */
  char stopped_by[16]; /* what keeps everything: "kafka", "redis", "outbox", "limit" (of open
                        * files); "" = nothing does
                        */
  char reason[400];    /* why something is left, "" = nothing is */
  char remedy[400];    /* what to do about it, "" = nothing */
};
MUST_CHECK enum status relay_flush_progress(struct relay *r, uint64_t id,
                                            struct flush_progress *out);
/* Ends a running flush early (Ctrl-C): nothing new is taken. */
void relay_flush_cancel(struct relay *r, uint64_t id);

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };
struct breaker_view {
  /* "kafka", a topic's name, "outbox", "redis" (redis.required), "registry", or the name of a type
   * of event whose schema has no id */
  char target[256];
  bool type, wrong; /* type: of event; wrong: its id is another schema's */
  enum breaker_state state;
  char reason[400], remedy[400];
  int sys; /* errno behind it, 0: none is */
  int64_t since_us;
};
#define RELAY_BREAKERS 67 /* kafka, outbox, redis, and at most 64 topics and types are shown */
struct relay_status {
  uint64_t in_flight; /* handed to Kafka, not acknowledged */
  uint64_t retrying;  /* entries that the present scan found to wait for a due time */
  uint64_t held;      /* likewise: behind an earlier event of their key */
  uint64_t holds;     /* dead letters that hold their keys */
  uint64_t
      stuck; /* manifests that alone cannot be changed; the latest of them, why, and what to do */
  char stuck_file[64], stuck_why[200];
  const char *stuck_remedy; /* static */
  int64_t last_publish_us;  /* TIME_NONE: never */
  int64_t heartbeat_us; /* when the publisher last turned, TIME_NONE: never; then the other two */
  int64_t reader_us, finisher_us;
  bool reached;       /* all that publishing needs of Kafka was there at least once */
  enum status failed; /* not ST_OK: the relay cannot go on, failure says why */
  char failure[600];
  size_t breaker_count; /* those that are not closed */
  struct breaker_view breakers[RELAY_BREAKERS];
};
void relay_status(struct relay *r, struct relay_status *out); /* any thread */
#define RELAY_FILE 256
/* Does this key of a topic (its number in routing) wait for an entry that was refused, or for a
 * dead letter? file: its name. Any thread. */
bool relay_waits(struct relay *r, unsigned topic, struct span key, char file[RELAY_FILE]);

/* Test hook: told each step towards Kafka as it is reached, on the publisher's thread: begin
 * (before a transaction begins), produced (all its events are handed over), position (its position
 * is sent), before_commit, after_commit; moved (the position was committed under a changed
 * ledger.topic). The library never sets one; NULL switches it off. Not for use while a relay runs.
 */
typedef void (*relay_hook_fn)(void *ctx, const char *point);
void relay_set_hook(relay_hook_fn hook, void *ctx);

#endif
