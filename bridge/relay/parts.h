/* parts.h - what the relay is made of; private to bridge/relay.
 *
 * Threads: R the reader, P the publisher, F the finisher. A member's comment names who may touch it; "lock" means any
 * thread that holds relay.lock.
 */
#ifndef BRIDGE_RELAY_PARTS_H
#define BRIDGE_RELAY_PARTS_H

#include "bridge/base/table.h"
#include "bridge/kafka/cluster.h"
#include "bridge/kafka/remedy.h"
#include "bridge/relay/breaker.h"
#include "bridge/relay/holds.h"
#include "bridge/relay/ledger.h"
#include "bridge/relay/relay.h"
#include "bridge/relay/sift.h"
#include "bridge/relay/stuck.h"
#include "bridge/relay/verdict.h"
#include "bridge/relay/waiting.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
  POOL = 3 + SIFT_BATCHES, /* batches in all: being read, with Kafka, being settled, and waiting or set apart */
  TURN_EVENTS = 256        /* entries whose text is in memory at a time */
};

/* An entry on its way. Its bytes live in its batch until it is settled. */
struct item {
  struct item *next;  /* in the chain to the finisher; among the twins of an entry */
  struct item *twins; /* lock: entries with the same id, to be settled with this one */
  struct batch *batch;
  struct entry_ref ref;
  uint64_t generation, flush; /* flush: how many flushes had begun when it was taken */
  struct span id, name, ns, key, value;
  struct span traceparent;
  size_t value_at; /* where value begins in batch->values while that still grows */
  int64_t created_us, handed_ns;
  const char *error;                  /* in the batch's arena, or NULL */
  const struct manifest_name *closes; /* last of a committed batch: its manifest, in the batch's arena; else NULL */
  int64_t offset;
  int partition, error_code;
  unsigned topic, attempts; /* attempts counted so far */
  uint8_t outcome;          /* enum outcome */
  uint8_t reason;           /* enum reason */
  uint8_t fault;            /* enum kafka_fault of its delivery report, within a transaction */
  bool suspected;           /* the worker crashed once while it was in hand: it goes alone */
  bool routed, listed;      /* listed: in relay.ids */
  bool key_held;            /* it was given back behind an earlier event of its key */
  bool alone;               /* handed over with nothing else in flight: a refusal is its own */
  bool tried, failed;       /* F: it went to the store with others, and that worked: how */
  uint8_t how;              /* enum settled */
};

struct batch {
  struct batch *next;   /* in the pool, in the queue to the publisher */
  struct arena arena;   /* names, ids, keys, errors */
  struct buffer values; /* encoded records */
  struct item *items;   /* array, kept between uses */
  size_t count, cap, bytes;
  _Atomic size_t holders; /* items not settled, and one for whoever walks the array */
};

struct flush {
  uint64_t id, limit, generation;
  bool active, patient, cancelled;
  bool stalled;           /* it is over because nothing moved any more */
  uint64_t own, open;     /* entries taken for it; of those and the ones in hand when it began, not settled yet */
  int64_t quiet_since_ms; /* monotonic: nothing acknowledged or settled since */
  int64_t began_ms;       /* monotonic */
  struct flush_progress progress;
};

/* Series that every event touches, looked up once. F. */
struct numbers {
  struct series *publish, *latency, *attempts;
  struct {
    char ns[64];
    struct series *series;
  } *published; /* one a topic: events_total of the namespace seen last */
};

struct relay {
  struct relay_parts parts;
  struct numbers numbers;
  bool keys_off;              /* redis.url=off */
  struct relay_config config; /* tuning under lock, the rest never changes */

  pthread_mutex_t lock;
  pthread_cond_t changed;                  /* anything below changed */
  bool stopping;                           /* lock */
  bool paused;                             /* lock */
  uint64_t resumed;                        /* lock: least generation that passes since the end of a pause */
  bool recovered;                          /* lock: what an earlier run left is settled; R may take entries */
  bool publisher_done;                     /* lock: nothing comes to the finisher any more */
  struct batch *pool;                      /* lock: free ones */
  struct batch *ready_first, *ready_last;  /* lock: R -> P */
  struct item *settle_first, *settle_last; /* lock: P, R -> F */
  struct table ids;                        /* lock: id -> struct item in hand */
  struct flush flush;                      /* lock */
  uint64_t flushes;                        /* lock: begun so far */
  uint64_t in_hand;                        /* lock: taken and not settled */
  unsigned ending;                         /* lock: producers that are being closed */
  uint64_t order_scan;                     /* lock: latest generation asked for so that what was held comes in order */
  int64_t next_due_us;                     /* lock: wall time of the earliest retry known, TIME_NONE */
  struct relay_status status;              /* lock */
  atomic_llong reader_us, finisher_us;     /* wall time when that thread last turned */
  bool unsettled;   /* F: the disk failed an fsync, or refused to the end of the run: no manifest is closed any more */
  bool lost;        /* F: the lock is another's; nothing is touched any more */
  int64_t aside_ms; /* lock; monotonic: when what is set aside was last tried */
  int64_t settling_us, settling_ns; /* F: wall and monotonic time of the chain that is settled now */
  int64_t stop_by_ms;               /* lock: monotonic end of draining */

  bool exactly_once;
  struct kafka_config client; /* as given, with the transactional id while there is one, and with stop */
  struct stop stop;           /* relay_stop_asked; P */
  struct ledger ledger;       /* P; its `settled` F once recovered */
  struct waiting waiting;     /* lock */
  struct holds holds;         /* lock */
  struct stuck stuck;         /* lock */

  struct batch batches[POOL];
  int wake_fd; /* eventfd: P has something to do */

  /* R */
  struct arena scratch; /* texts and nodes of a turn */
  struct entry *entries;
  int64_t scanned_ms; /* when the last scan was asked for, monotonic */
  uint64_t counted;   /* lock: generation that status.retrying and status.held speak of */

  /* P */
  struct publisher *publisher;
  struct cluster *cluster;
  struct breaker kafka, *topics;       /* one a topic */
  struct batch *current;               /* being handed over */
  size_t position;                     /* in it */
  struct item *done_first, *done_last; /* reported since the last push */
  struct sift sift;
  struct item **back; /* at_least_once, of a group on its way: those refused together, in front of where it stood */
  size_t back_count;
  bool topics_ready, link_down, queue_full;
  bool smaller;         /* the transaction was refused for the size of its batches, which are smaller now */
  int link_cause;       /* enum kafka_cause, while it is down */
  bool renew, aborting; /* exactly once: make a new producer first; reports of an aborted transaction come in */
  unsigned renew_tries;
  int64_t calling_ms; /* lock: monotonic begin of P's call to Kafka that has no timeout, 0 = none */
  int64_t told_ms;    /* F: the call during which the outage was told */
  bool call_quiet;    /* lock: nothing was in flight when it began */
  int64_t topics_due_ms;
  unsigned topics_tries;

  atomic_uint disk_sides; /* those that have trouble; changed under the lock */

  pthread_t reader, publishing, finisher;
  bool drained, all_ended; /* by relay_drain: it was called, and no thread hangs */
};

/* batch.c */
struct batch *batch_take(struct relay *r); /* R: waits; NULL when stopping */
struct item *batch_add(struct batch *b);   /* NULL when out of memory */
void batch_drop(struct relay *r, struct batch *b, size_t holders);
void chain_push(struct item **first, struct item **last, struct item *item);
void relay_settle(struct relay *r, struct item *first, struct item *last); /* to the finisher */
void item_fail(struct item *item, enum reason reason, int code, const char *text);
void relay_wake_publisher(struct relay *r);
bool relay_wait_ms(struct relay *r, int64_t ms); /* lock held: for a change, at most ms; false: time is up */
struct relay_tuning relay_tuning_now(struct relay *r);

/* turn.c: the stages of the reader */
struct turn {
  struct relay *relay;
  struct batch *batch;
  size_t first; /* items of this turn: batch->items[first .. batch->count) */
  struct relay_tuning tuning;
  bool more; /* take has not come to an end */
};
void turn_run(struct turn *t);
void stage_take(struct turn *t); /* take.c */

/* publish.c, settle.c: the other two stages */
bool stage_publish(struct relay *r); /* P: one round; false when all is done and the thread may end */
void stage_settle(struct relay *r, struct item *first); /* F: a chain */
void settle_watch(struct relay *r);                     /* F: is the outbox still ours? else it ends */
void settle_aside(struct relay *r);                     /* F: each flush.interval, what is set aside */
void publish_close(struct relay *r);
void item_namespace(struct relay *r, const struct item *item, char out[64]); /* "none": it is published in none */
/* tell.c, F: what became of it, for the log */
void tell_item(struct relay *r, const struct item *item, enum outcome fate, enum settled how);
/* An entry with the id of one that was published (twin), but another event: removed as its duplicate. Counted too. */
void tell_reused(struct relay *r, const struct item *item, const struct item *twin);
void tell_reused_late(struct relay *r, const struct manifest_entry *e); /* P: of an earlier run's batch */
/* Hand one item over; false: the queue is full. */
bool publish_item(struct relay *r, struct item *item);
bool publish_wait(struct relay *r);   /* until nothing is in flight; false: draining has lasted long enough */
uint64_t order_scan(struct relay *r); /* asks for a scan that brings what went back in front of what is newer */

/* The verdict of one entry, known for certain, and on to the finisher. */
void judge_item(struct relay *r, struct item *item, const struct delivery *d);
void push_done(struct relay *r);
void watch_link(struct relay *r);     /* says when Kafka goes away and comes back */
void publish_status(struct relay *r); /* figures for relay_status */
bool relay_stop_asked(void *relay); /* P may not go on waiting: nothing of this run can be in Kafka yet, or must_end */
bool relay_must_end(struct relay *r); /* stopping, and draining has lasted long enough; any thread */
struct item *next_item(struct relay *r);
void key_waits(struct relay *r, const struct item *item);
/* Of the flow, on its way: true, it was set apart (sift.h). It may have become held instead. */
bool set_apart(struct relay *r, struct item *item);
/* It was refused together with others, and there is no room to set it apart: its topic's door closes for a while. */
void refuse_topic(struct relay *r, struct item *item);
bool may_pass(struct relay *r, struct item *item);                      /* doors and waiting keys; P */
void kafka_trouble(struct relay *r, const struct error *why, int code); /* why: with its cause */
void kafka_worked(struct relay *r);

/* away.c: why nothing can go to Kafka, with what to do about it */
void away_show(struct relay *r, const struct error *err);             /* lock held: in health */
void away_tell(struct relay *r, const struct error *err, bool first); /* in the log; not the first time: quietly */

/* disk.c: why the outbox cannot be read or changed, with what to do about it. Each stage tells its own trouble; the
 * door is open to health until none has any. */
enum disk_side {
  DISK_READING = 1,  /* R */
  DISK_WRITING = 2,  /* P: manifests, the position, whose outbox it is */
  DISK_SETTLING = 4, /* F */
  DISK_UNSYNCED = 8  /* F: for the rest of this run */
};
void disk_trouble(struct relay *r, enum disk_side side, const struct error *err);
void disk_works(struct relay *r, enum disk_side side); /* quick where there was no trouble */
bool disk_refuses(struct relay *r, enum disk_side side);

/* transact.c: P, exactly once */
void transact_next(struct relay *r); /* the next prepared batch, if there is one: one transaction or more */
/* A group of sift.c, in place: what is refused together goes back there. False: stop. */
bool transact_group(struct relay *r, struct item **items, size_t count);

/* renew.c: P, a producer that is ours */
enum { RENEW_DISK_MS = 500 };
bool renew_ready(struct relay *r); /* made anew when needed; false: not now */
/* Until the ledger tells; LEDGER_AWAY: draining is over. */
enum ledger_found renew_until_known(struct relay *r);
bool renew_pause(struct relay *r, int64_t ms); /* false: stopping */

/* topics.c: P */
void topics_prepare(struct relay *r);
void topic_create(struct relay *r, unsigned topic); /* again, before a probe; failing is fine */
void clock_words(struct relay *r, const char *broker_says, char *out, size_t size); /* of KAFKA_CLOCK */
/* Those refused for their size (item->fault, error_code) were so together, in a batch larger than their topic takes:
 * true; the next producer's batches are smaller, and the same should go again. */
bool topic_batches_refused(struct relay *r, struct item **items, size_t count);
void topic_remedy(const struct relay *r, unsigned topic, enum kafka_fault fault, char *out, size_t size);

/* flush.c */
enum taking { TAKE_NOTHING, TAKE_LOOK, TAKE_DUE, TAKE_ALL }; /* LOOK: nothing, but what is there is counted */
enum taking flush_taking(struct relay *r);                   /* R: may anything be taken now, due or not? */
bool flush_idle(struct relay *r, int64_t ms);        /* R: nothing may be taken; waited for a change, at most ms */
void flush_took(struct relay *r, struct item *item); /* R */
void flush_settled(struct relay *r, const struct item *item, enum outcome fate); /* F, lock held */
bool flush_wants_aside(const struct relay *r); /* lock held: it ends when what is set aside was tried once more */
void flush_check(struct relay *r);             /* ends it when it is over */

/* pipeline.c */
MUST_CHECK enum status pipeline_start(struct relay *r, struct error *err);
bool pipeline_stop(struct relay *r, int64_t drain_ms); /* false: the publisher hangs in a call that has no timeout */
MUST_CHECK enum status publish_open(struct relay *r, struct error *err); /* P */

void relay_beat(struct relay *r, atomic_llong *when); /* relay.c, R and F: still turning */
void relay_point(struct relay *r, const char *point); /* relay.c, P: tells the test hook */

/* relay.c */
void relay_fail(struct relay *r, enum status st, const char *text); /* it cannot go on: the worker is to end */
/* relay.c: lock held. The door as it is shown, NULL where it is not. */
struct breaker_view *status_breaker(struct relay *r, const char *target, enum breaker_state state, const char *reason,
                                    const char *remedy);

#endif
