/* parts.h - what the relay is made of; private to bridge/relay.
 *
 * Threads: R the reader, P the publisher, F the finisher. Each has a struct of its own (`reading`,
 * `publishing`, `finishing`), which its functions are given; what all share is `struct relay`. So
 * who touches another's side does not compile. "Lock" means relay.lock.
 */
#ifndef BRIDGE_RELAY_PARTS_H
#define BRIDGE_RELAY_PARTS_H

#include "bridge/base/table.h"
#include "bridge/base/thread.h"
#include "bridge/kafka/cluster/cluster.h"
#include "bridge/kafka/faults/remedy.h"
#include "bridge/relay/causes/verdict.h"
#include "bridge/relay/held_keys/holds.h"
#include "bridge/relay/held_keys/waiting_keys.h"
#include "bridge/relay/ledger/ledger.h"
#include "bridge/relay/ledger/stuck_manifests.h"
#include "bridge/relay/publish/breaker.h"
#include "bridge/relay/publish/small_groups.h"
#include "bridge/relay/relay.h"
#include "bridge/relay/rules.h"

#include <stdatomic.h>

enum {
  POOL = 3 + SMALL_GROUPS_BATCHES, /* batches in all: being read, with Kafka, being settled, and
                              waiting or set apart */
  TURN_EVENTS = 256                /* entries whose text is in memory at a time */
};

/* An entry on its way. Its bytes live in its batch until it is settled. */
struct item {
  struct item *next;  /* in the chain to the finisher; among the twins of an entry */
  struct item *twins; /* lock: entries with the same id, to be settled with this one */
  struct batch *batch;
  struct entry_ref ref;
  uint64_t generation, flush; /* flush: how many flushes had begun when it was taken */
  struct span id, name, ns, key, value;
  struct span traceparent, tracestate, subject, carried; /* headers, or empty */
  struct span rest;                                      /* likewise: event_rest */
  struct span dataschema;                                /* likewise */
  uint32_t unplaced;            /* members of the payload without a place in its schema */
  const struct own_header *own; /* those of its route, in the batch's arena */
  unsigned own_count;
  const char *unknown_fields; /* as its route says; NULL: as of all */
  struct schema_id *written;  /* what its value was written with, or waits for; NULL: nothing */
  unsigned char schema_id[SCHEMA_ID_BYTES];
  uint8_t framing, naming; /* enum framing, enum subject_naming */
  size_t value_at;         /* where value begins in batch->values while that still grows */
  int64_t created_us, handed_ns;
  const char *error; /* in the batch's arena, or NULL */
  const struct manifest_name
      *closes; /* last of a committed batch: its manifest, in the batch's arena; else NULL */
  int64_t offset;
  int partition, error_code;
  unsigned topic, attempts; /* attempts counted so far */
  uint8_t outcome;          /* enum outcome */
  uint8_t reason;           /* enum reason */
  uint8_t fault;            /* enum kafka_fault of its delivery report, within a transaction */
  bool suspected;           /* the worker crashed once while it was in hand: it goes alone */
  bool routed, listed;      /* listed: in relay.ids */
  bool event_time;          /* its record carries its own time */
  bool keyless;             /* its key is its id, for want of the fields */
  bool key_held;            /* it was given back behind an earlier event of its key */
  bool alone;               /* handed over with nothing else in flight: a refusal is its own */
  bool missing;             /* it is not in the outbox any more, as writing the list has found */
  bool tried, settled;      /* F: it went to the store with others, and that worked: how */
  uint8_t how;              /* enum settled */
};

struct batch {
  struct batch *next;   /* in the pool, in the queue to the publisher */
  struct arena arena;   /* names, ids, keys, errors */
  struct buffer values; /* encoded records */
  struct item *items;   /* array, kept between uses */
  size_t count, cap, bytes;
  _Atomic size_t holders; /* items not settled, and one for whoever walks the array */
  bool apart;             /* lock: events of it were set apart since it left the pool */
};

struct flush {
  uint64_t id, limit, generation;
  bool active, patient, cancelled;
  bool stalled; /* it is over because nothing moved any more */
  uint64_t own,
      open; /* entries taken for it; of those and the ones in hand when it began, not settled yet */
  int64_t quiet_since_ms; /* monotonic: nothing acknowledged or settled since */
  int64_t began_ms;       /* monotonic */
  struct flush_progress progress;
};

/* P's call to Kafka that has no timeout. Nothing is in flight when it is quiet, so that F may serve
 * meanwhile what librdkafka has to say. */
struct call {
  struct publisher *publisher; /* NULL: P is in none; it closes no producer while it is */
  int64_t since_ms;            /* monotonic */
  bool quiet, told;            /* told: that Kafka is away */
};

/* What all threads share: it never changes once they run, or it is changed under the lock; atomics
 * say so themselves. A function that needs no more is given no more. */
struct relay {
  struct relay_parts parts;
  struct relay_config config; /* tuning under lock, the rest never changes */
  struct kafka_config
      client; /* as given, with the transactional id if it began with one, and with stop */
  bool exactly_once;
  bool keys_off; /* redis.url=off */
  int wake_fd;   /* eventfd: P has something to do */

  struct mutex lock;
  struct cond changed; /* anything below changed */
  bool stopping;
  bool paused;
  uint64_t resumed;    /* least generation that passes since the end of a pause */
  bool recovered;      /* what an earlier run left is settled; R may take entries */
  bool publisher_done; /* nothing comes to the finisher any more */
  struct batch *pool;  /* free ones */
  unsigned apart;      /* batches of which events were set apart (small_groups.h) */
  struct batch *ready_first, *ready_last;  /* R -> P */
  struct item *settle_first, *settle_last; /* P, R -> F */
  struct table ids;                        /* id -> struct item in hand */
  struct flush flush;
  uint64_t flushes;    /* begun so far */
  uint64_t in_hand;    /* taken and not settled */
  bool reaching;       /* the reader asks the store: what it is given is not in hand yet */
  unsigned ending;     /* producers that are being closed */
  uint64_t order_scan; /* latest generation asked for so that what was held comes in order */
  int64_t next_due_us; /* wall time of the earliest retry known, TIME_NONE */
  struct relay_status status;
  uint64_t
      counted; /* generation that status.retrying and status.held speak of; R alone changes it */
  int64_t aside_ms;   /* monotonic: when what is set aside was last tried */
  int64_t stop_by_ms; /* monotonic end of draining */
  struct manifest_name
      settled; /* the newest settled one, which goes when the next is: P until recovered, then F */
  struct call call;
  struct waiting waiting;
  uint64_t types_told; /* ids_changes that the doors of types show */
  struct holds holds;
  struct stuck stuck;

  atomic_bool unsynced; /* P: an fsync of the outbox failed while what was left was settled (L11) */
  atomic_llong reader_us, finisher_us; /* wall time when that thread last turned */
  atomic_uint disk_sides;              /* those that have trouble; changed under the lock */
};

/* R */
struct reading {
  struct relay *relay;
  struct arena scratch; /* texts and nodes of a turn */
  struct entry *entries;
  int64_t scanned_ms; /* when the last scan was asked for, monotonic */
};

/* P */
struct publishing {
  struct relay *relay;
  struct kafka_config client; /* relay.client as it is now: smaller batches, the transactional id
                                 only while needed */
  struct stop stop;           /* relay_stop_asked */
  struct ledger ledger;
  struct publisher *publisher;
  publisher_report_fn report; /* of each producer: publish_report */
  struct cluster *cluster;
  struct breaker kafka, *topics;       /* one a topic */
  struct batch *current;               /* being handed over */
  size_t position;                     /* in it */
  struct item *done_first, *done_last; /* reported since the last push */
  struct small_groups small_groups;
  struct item **back; /* at_least_once, of a group on its way: those refused together, in front of
                         where it stood */
  size_t back_count;
  bool topics_ready, link_down, queue_full;
  bool smaller; /* the transaction was refused for the size of its batches, which are smaller now */
  int link_cause;       /* enum kafka_cause, while it is down */
  bool renew, aborting; /* exactly once: make a new producer first; reports of an aborted
                           transaction come in */
  unsigned renew_tries;
  int64_t topics_due_ms, types_due_ms;
  unsigned topics_tries;
};

/* Series that every event touches, looked up once. */
struct numbers {
  struct series *publish, *latency, *attempts;
  struct {
    char ns[64];
    struct series *series;
  } *published; /* one a topic: events_total of the namespace seen last */
};

/* F */
struct finishing {
  struct relay *relay;
  struct numbers numbers;
  bool unsettled; /* the disk failed an fsync, or refused to the end of the run: no manifest is
                     closed any more */
  bool lost;      /* the lock is another's; nothing is touched any more */
  bool durable; /* what was taken out is so for good, and what was set aside too: nothing was since
                 */
  int64_t settling_us, settling_ns; /* wall and monotonic time of the chain that is settled now */
  struct settling rows[STORE_ROWS]; /* of the chain, and whose each is */
  struct item *items[STORE_ROWS];
  size_t count;
  enum closing closing; /* how far the batch got that these rows end */
};

/* The whole: begun and ended by one thread, which touches the sides only while theirs do not run.
 */
struct engine {
  struct relay relay; /* the first, so that a relay's engine is found */
  struct reading reading;
  struct publishing publishing;
  struct finishing finishing;
  struct batch batches[POOL];
  struct thread reader, publisher, finisher;
  bool drained, all_ended; /* by relay_drain: it was called, and no thread hangs */
};

/* batch.c */
struct batch *batch_take(struct relay *r); /* R: waits; NULL when stopping */
struct item *batch_add(struct batch *b);   /* NULL when out of memory */
void batch_drop(struct relay *r, struct batch *b, size_t holders);
void batch_set_apart(struct relay *r, struct batch *b);
void chain_push(struct item **first, struct item **last, struct item *item);
void relay_settle(struct relay *r, struct item *first, struct item *last); /* to the finisher */
void item_fail(struct item *item, enum reason reason, int code, const char *text);
void item_namespace(struct relay *r, const struct item *item,
                    char out[64]); /* "none": it is published in none */
void relay_wake_publisher(struct relay *r);
bool relay_wait_ms(struct relay *r,
                   int64_t ms); /* lock held: for a change, at most ms; false: time is up */
struct relay_tuning relay_tuning_now(struct relay *r);

/* turn.c: the stages of the reader */
struct turn {
  struct reading *reading;
  struct relay *relay;
  struct batch *batch;
  size_t first; /* items of this turn: batch->items[first .. batch->count) */
  struct relay_tuning tuning;
  bool more; /* take has not come to an end */
};
void turn_run(struct turn *t);
void stage_take(struct turn *t); /* stage_take.c */

/* stage_settle.c: the last stage; the one in front of it is publish/publish.h */
void stage_settle(struct finishing *f, struct item *first); /* F: a chain */
void settle_watch(struct finishing *f); /* F: is the outbox still ours? else it ends */
void settle_aside(struct finishing *f); /* F: each flush.interval, what is set aside */
/* log_settled.c, F: what became of it, for the log */
void tell_item(struct finishing *f, const struct item *item, enum outcome fate, enum settled how);
/* An entry with the id of one that was published (twin), but another event: removed as its
 * duplicate. Counted too. */
void tell_reused(struct relay *r, const struct item *item, const struct item *twin);
void tell_reused_late(struct relay *r,
                      const struct manifest_entry *e); /* P: of an earlier run's batch */

/* producer.c, P */
MUST_CHECK enum status publish_open(struct publishing *p, struct error *err);
void publish_close(struct publishing *p);

/* kafka_away.c: why nothing can go to Kafka, with what to do about it */
void watch_link(struct publishing *p); /* P: says when Kafka goes away and comes back */
void away_show(struct relay *r, const struct error *err); /* lock held: in health */
void away_tell(struct relay *r, const struct error *err,
               bool first); /* in the log; not the first time: quietly */

/* disk_trouble.c: why the outbox cannot be read or changed, with what to do about it. Each stage
 * tells its own trouble; the door is open to health until none has any. */
enum disk_side {
  DISK_READING = 1,  /* R */
  DISK_WRITING = 2,  /* P: manifests, the position, whose outbox it is */
  DISK_SETTLING = 4, /* F */
  DISK_UNSYNCED = 8  /* F: for the rest of this run */
};
void disk_trouble(struct relay *r, enum disk_side side, const struct error *err);
void disk_works(struct relay *r, enum disk_side side); /* quick where there was no trouble */
bool disk_refuses(struct relay *r, enum disk_side side);

/* explicit_flush.c */
enum taking {
  TAKE_NOTHING,
  TAKE_LOOK,
  TAKE_DUE,
  TAKE_ALL
}; /* LOOK: nothing, but what is there is counted */
/* R: may anything be taken now, due or not? From TAKE_DUE on the reader reaches for an entry, until
 * flush_took or flush_took_none: no flush is over meanwhile. */
enum taking flush_taking(struct relay *r);
void flush_took_none(struct relay *r); /* R */
bool flush_idle(struct relay *r,
                int64_t ms); /* R: nothing may be taken; waited for a change, at most ms */
void flush_took(struct relay *r, struct item *item); /* R */
void flush_settled(struct relay *r, const struct item *item, enum outcome fate,
                   int64_t now_ms); /* F, lock held */
bool flush_wants_aside(
    const struct relay *r); /* lock held: it ends when what is set aside was tried once more */
void flush_check(struct relay *r); /* ends it when it is over */

/* pipeline.c */
MUST_CHECK enum status pipeline_start(struct engine *e, struct error *err);
bool pipeline_stop(struct engine *e,
                   int64_t drain_ms); /* false: the publisher hangs in a call that has no timeout */

/* shared.c */
void relay_beat(struct relay *r, atomic_llong *when); /* R and F: still turning */
void relay_point(struct relay *r, const char *point); /* P: tells the test hook */
void publish_status(struct publishing *p);            /* figures for relay_status */
bool relay_stop_asked(void *publishing); /* P may not go on waiting: nothing of this run can be in
                                            Kafka yet, or must_end */
bool relay_must_end(
    struct relay *r); /* stopping, and draining has lasted long enough; any thread */
struct manifest_name
relay_newest_settled(struct relay *r); /* P until what an earlier run left is settled, then F */
void relay_fail(struct relay *r, enum status st,
                const char *text); /* it cannot go on: the worker is to end */
/* Lock held. The door as it is shown, NULL where it is not. */
struct breaker_view *status_breaker(struct relay *r, const char *target, enum breaker_state state,
                                    const char *reason, const char *remedy);
bool breaker_is_worlds(const char *target); /* not that of one topic: everything waits at it */

#endif
