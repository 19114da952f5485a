/* store.h - the outbox: entries in order of arrival, out of it by verdict. It knows nothing
 * of what they are kept in: a kind may keep them on a disk, in memory or as rows of a database, and
 * whoever writes one needs these headers, store_ops.h and tests/contract, which each kind passes:
 *
 *   store.h         open it, own it, take entries in hand, settle them
 *   entry.h         what an entry is: shelf, token, label, event
 *   set_aside.h     one that cannot be changed holds up no other
 *   operators.h     list, find, look, replay, purge, emit
 *   condition.h     figures, room, examinations
 *   notes.h         small texts that belong to it; the pause, the ledger's name
 *   keys_due.h           what Redis has yet to be told
 *   selections.h    which dead letters a bulk replay or purge is about
 *   manifest.h      the journal of batches
 *   survey.h        everything that is in it, and what belongs there or not
 *   prepare.h       made ready to be opened, where a kind needs that
 *
 * An entry is IN HAND from store_next until one of store_done, store_retry, store_dead returned
 * ST_OK for it, or store_release was called. store_next never hands out what is in hand, nor the
 * same entry twice in one scan. Its removal comes before it is forgotten, and store_next, finding
 * one that is not in hand, looks once more that it is still there, unless it read it just now and
 * nothing else was taken into hand since.
 *
 * Order: a scan gives entries in order of arrival (entry_ref.number where it has one, else
 * arrived_ns), those of one time as traits.order says, and live notices follow in the order they
 * were told. The rules, S1 on, are in rules.h; README.md beside it names the tests that hold them.
 * Each scan from the start has a GENERATION number, 1 and up; entries carry the number of the scan
 * that was current when they were handed out. Whoever needs what it gave back in order again asks
 * for store_rescan_settled: what is in hand when its turn comes is passed over by that scan.
 *
 * Threads: store_next, store_follow and store_wait on one thread (the reader);
 * store_settle/done/retry/dead/sync/release on any one other thread at the same time (the
 * finisher; release also by the publisher); store_wake, store_rescan, store_rescan_settled,
 * and what operators.h, condition.h and survey.h have, on any thread. Opening, locking, beginning
 * and closing are one thread's, and nobody else uses it meanwhile.
 */
#ifndef BRIDGE_OUTBOX_STORE_H
#define BRIDGE_OUTBOX_STORE_H

#include "bridge/base/log.h"
#include "bridge/outbox/condition.h"
#include "bridge/outbox/entry.h"
#include "bridge/outbox/notes.h"
#include "bridge/outbox/operators.h"
#include "bridge/outbox/prepare.h"
#include "bridge/outbox/selections.h"
#include "bridge/outbox/set_aside.h"

struct store_config {
  int64_t settle_ms;         /* 2000: how long what does not parse may be an entry that is not whole
                                yet, if the kind can have such */
  size_t max_entry_bytes;    /* 1 MiB */
  size_t window;             /* 250,000: so many entries of a scan are kept in memory at most */
  int64_t settled_wait_ms;   /* how long a store_rescan_settled waits at most, 0 = for ever */
  int64_t typed_timeout_ms;  /* 5 min: what the typed bus left under way is ours after so long */
  bool keep_sent;            /* done keeps it on SHELF_SENT instead of deleting it */
  int64_t sent_retention_ms; /* what is there for longer is removed, 0 = never */
  /* May be NULL. Told on the reader's thread before an entry is parsed. False: it ended the process
   * too often; it is handed out unparsed with REASON_CRASHES_WORKER. */
  bool (*may_parse)(void *ctx, const char *token);
  void *parse_ctx;
  /* May be NULL. Told on any thread how long a step took (traits.steps). */
  void (*took)(void *ctx, enum store_step step, int64_t us);
  void *took_ctx;
  /* May be NULL. Told on any thread of a dead letter that was replayed or purged: its event name,
   * its reason's word. */
  void (*dead_left)(void *ctx, struct span name, struct span reason);
  void *dead_ctx;
};

/* ---- opening: store_open meets the outbox, store_lock owns it, store_begin turns to entries ----
 *
 * Until store_begin nothing but what stands here, in notes.h, manifest.h, selections.h and
 * condition.h (but for its counts) may be asked; store_audit too. */

struct store_options {
  bool create;  /* to change it: makes what is missing for that. False: only list, find; changes
                 * nothing, watches nothing
                 */
  bool patient; /* with create false: one whose server does not answer is as if empty */
  const struct clock *clock;
  struct log *log;                     /* may be NULL */
  const struct event_lifting *lifting; /* for event_read; NULL: nothing is lifted */
  const char *typed; /* where the older typed bus keeps its outbox, the second intake; NULL: off */
};

struct store;
/* Of an error of store_open or store_lock: its server does not answer, or does not let us in, or a
 * lock is held there. It may be otherwise in a moment, and nothing else need be done. */
bool store_is_away(const struct error *err);
/* outbox.url chooses the kind: "SCHEME:ADDRESS". ST_INVALID: unknown kind, or what is there is no
 * outbox, or typed is, holds or is part of it; ST_UNSUPPORTED: one that has no second intake;
 * ST_NOT_FOUND, ST_DENIED, ST_NO_SPACE: err says what to do. */
MUST_CHECK enum status store_open(const char *url, const struct store_options *options,
                                  struct store **out, struct error *err);
void store_close(struct store *s); /* gives the lock back too */
/* Would store_open know what to do with this url? It touches nothing. ST_INVALID, ST_UNSUPPORTED:
 * as store_open, and for a kind that does not last, which is nobody's outbox outside of tests. */
MUST_CHECK enum status store_url_check(const char *url, struct error *err);
/* The path that is the outbox, where its process keeps what is its own too; NULL: a kind that has
 * none (traits.at_path), or no kind. */
const char *store_path(const char *url);
/* What a kind can and cannot, whatever lies in it. */
enum store_order {                 /* of entries that arrived at one time */
                   ORDER_OF_NAMES, /* by created_at, then by label */
                   ORDER_OF_COMING /* as they came */
};
struct store_traits {
  bool watches; /* an arrival ends store_wait and is handed out without a scan, as a rule; else
                   only a scan finds it, and store_wait, which looks now and then whether there is
                   any, asks for one itself */
  enum store_order order;
  bool counts;       /* store_counts is exact and cheap without a reader too, whatever lies there */
  bool keeps_sent;   /* keep_sent is followed; else store_begin refuses it */
  bool at_path;      /* its address is the path of a place that is the outbox (store_path) */
  bool goes_back;    /* it may lose what it said was durable: its server is one of several */
  bool lasts;        /* it is there when its process has ended */
  bool steps;        /* it takes steps in a database, whose times are told (condition.h) */
  size_t rows;       /* store_settle takes so many at once: 1 to STORE_ROWS */
  const char *label; /* what a label is, as a field of the log: "row" */
};
const struct store_traits *store_traits(const struct store *s);
const char *store_name(const struct store *s); /* what people know it by: its address, without what
                                                  opens a door */
const char *store_url(const struct store *s);  /* the same with its scheme, for a command to copy:
                                                  who opens the outbox puts in what is hidden */
/* Its identity, uuid text: names its position in Kafka. "": nobody has opened it to change it yet.
 */
const char *store_id(const struct store *s);

/* One owner an outbox, who alone takes entries into hand, writes notes and the journal. Waits up to
 * wait_ms; unless that is 0, longer by what an owner that was killed keeps it where owning is a
 * lease. ST_BUSY: err says who owns it since when, and what to do; nothing was changed, and it
 * may be asked for again. ST_NOT_FOUND: nobody has opened it to change it yet. The id is read
 * again: its last owner may have renewed it. What an earlier owner left half done on its way out
 * goes back, or away. */
MUST_CHECK enum status store_lock(struct store *s, int64_t wait_ms, struct error *err);
struct store_owner {
  int64_t pid;      /* -1: it cannot be told */
  char host[65];    /* where it runs; "": not known */
  bool here;        /* that is this host, as far as is known */
  int64_t since_us; /* TIME_NONE: not known */
};
/* Has it an owner, and who is that? Never blocks. Any thread. */
bool store_owner(const struct store *s, struct store_owner *out);
#define STORE_OWNER_TEXT 160
/* "pid 17 on app-0 since 2026-11-30T22:10:00 UTC", or "another process". Returns out. */
const char *store_owner_words(const struct store_owner *owner, char out[STORE_OWNER_TEXT]);
/* The same without the pid: " on app-0 since ...", or "". */
const char *store_owner_where(const struct store_owner *owner, char out[STORE_OWNER_TEXT]);
/* A worker that waits for the lock says so, again and again; of a kind that can tell nobody else it
 * means nothing. The thread that asks for the lock. */
void store_stand_by(struct store *s);
#define STORE_STANDBYS 8
#define STORE_STANDBY_TEXT 400
/* "2 standbys wait: pid 17 on app-1, pid 9 on app-2": those that said so within the last seconds;
 * "": none, or nobody knows. Returns out. Any thread. */
const char *store_standby_words(const struct store *s, char out[STORE_STANDBY_TEXT]);
/* Pid of the owner (-1: it cannot be told), 0 when there is none. */
int64_t store_holder(const struct store *s);
/* Is it still ours? ST_OK. ST_BUSY: no, for good; err says what happened. Any other: it cannot be
 * looked at now, which says nothing of the owner. Any thread. */
MUST_CHECK enum status store_check(struct store *s, struct error *err);
/* A new id; the owner's. Its position in Kafka belongs to the old id and stays behind; manifests
 * stay, so that the next start settles by the topics what they name. A crash leaves the old id or
 * the new one. */
MUST_CHECK enum status store_renew_id(struct store *s, struct error *err);

/* Entries: to list and find them, and for the owner to read and settle them. Makes what is missing
 * for that. Moves that a crash left half done are finished by store_next where it meets them: after
 * recovery has settled, and without reading the dead letters. ST_INVALID: what is known of entries
 * set aside is damaged, or it lies where entries cannot be moved; err says what to do.
 * ST_UNSUPPORTED: keep_sent of a kind that keeps none. */
MUST_CHECK enum status store_begin(struct store *s, const struct store_config *config,
                                   struct error *err);
/* ---- reading ---- */

/* The next entry, now in hand. out->ref.token and label live in keep, everything else of *out in
 * scratch (doc's nodes too). ST_AGAIN: nothing to hand out now (store_wait, which comes back at
 * once if there is more). ST_IO, ST_DENIED, ST_NO_SPACE, ST_NO_MEMORY: the outbox cannot be read,
 * err says so; try later, nothing is skipped. ST_NOT_FOUND: it is gone, or another is in its place
 * (its lock and identity went with it: only the old one is read). What does not parse and may not
 * be whole yet is passed over and comes again once it has not changed for settle_ms. */
MUST_CHECK enum status store_next(struct store *s, struct arena *keep, struct arena *scratch,
                                  struct entry *out, struct error *err);
/* Hands out nothing, but begins a scan that is due, and takes in what was told, so that
 * store_counts stays right. The reader's thread. ST_OK, or why the outbox cannot be read, as
 * store_next. */
MUST_CHECK enum status store_follow(struct store *s, struct error *err);
/* Sleep until something may have arrived (where traits.watches), an entry may have become whole, a
 * settled scan may begin, store_wake, or timeout_ms; -1: for ever. */
void store_wait(struct store *s, int64_t timeout_ms);
void store_wake(struct store *s);
/* Ask for a fresh scan from the start; returns the generation it will have. Several requests before
 * it begins share it.
 */
uint64_t store_rescan(struct store *s);
/* The same, but this scan begins only when nothing is in hand any more but what lingers (or
 * settled_wait_ms after this call), and until then store_next hands out nothing: so whatever was
 * given back before it began is in it, in its place, and nothing newer overtakes it. */
uint64_t store_rescan_settled(struct store *s);
/* True when the scan of this or a later generation has reached its end (everything it found has
 * been handed out, passed over, or is not whole yet). */
bool store_scanned(const struct store *s, uint64_t generation);

/* ---- settling: each ends "in hand" when it returns ST_OK ----
 *
 * On an error the entry stays in hand, so that it is not handed out, and published again, while the
 * caller tries once more. What had been done by then is found done by the next try. */

enum settled {
  SETTLED_GONE,     /* it is where its fate takes it: deleted or kept, dead, or rewritten */
  SETTLED_VANISHED, /* somebody else took it meanwhile */
  SETTLED_CHANGED,  /* another event is in its place: left alone, found again */
  SETTLED_REUSED    /* done: another event with its id was there, and is out of the outbox as its
                       duplicate */
};
/* Published, or a duplicate: take it out, if it still is what the ref says. Nothing is removed that
 * was not looked at; what a crash leaves half done is made good by the next holder of the lock.
 * Where another version is than ref->own says, id and content decide. ST_BUSY: it is being written
 * just now; ST_DENIED, ST_IO: it cannot be read or removed. Both concern this entry alone. Durable
 * after store_sync. */
MUST_CHECK enum status store_done(struct store *s, const struct entry_ref *ref, enum settled *how,
                                  struct error *err);
MUST_CHECK enum status store_sync(struct store *s, struct error *err);

/* Stays pending with attempts, last_error, failed_at (and first_failed_at) set; its arrival is
 * kept. Durable. ST_INVALID: it is not a JSON object, which is published or dies. */
MUST_CHECK enum status store_retry(struct store *s, const struct entry_ref *ref,
                                   const struct failure *why, enum settled *how, struct error *err);
/* It is a dead letter from now on, with what failed; one that is not a JSON object is kept as raw
 * bytes (operators.h). A crash leaves it pending or dead, once. Durable. */
MUST_CHECK enum status store_dead(struct store *s, const struct entry_ref *ref,
                                  const struct failure *why, enum settled *how, struct error *err);
enum entry_fate { FATE_DONE, FATE_RETRY, FATE_DEAD };
struct settling { /* one row of a chain */
  const struct entry_ref *ref;
  bool late;      /* of FATE_DONE: long after the ref was made (recovery). Its own numbers decide
                     nothing, id does; what is not in its place is looked for as the dead letter
                     that it may have become, and taken out there (GONE), else VANISHED */
  struct span id; /* with late */
  enum entry_fate fate;
  struct failure why; /* of FATE_RETRY and FATE_DEAD */
  enum settled how;   /* what became of it, as store_done, store_retry, store_dead say it */
  enum status status; /* likewise; what is not ST_OK stays in hand */
  struct error error; /* where that is not ST_OK */
};
/* How far a batch's record got. */
enum closing {
  CLOSING_NOT,      /* it was not asked for, or a row stays in hand */
  CLOSING_UNSYNCED, /* a removal may be lost with the power: a later call could not tell either. A
                       kind of transactions has no such step */
  CLOSING_SYNCED,   /* the removals are durable; what was set aside is not */
  CLOSING_DURABLE,  /* all of it is; the record is not marked */
  CLOSING_DONE
};
#define STORE_ROWS 1000 /* the most of any kind (traits.rows) */
struct manifest_name;
/* Settles a chain; each row ends "in hand" by its own status, so that many cost little more than
 * ten. Where it ends a batch, closes names its record, which is marked as settled when each
 * row has ST_OK and all the removals are durable (rows before these, too). A crash at any place
 * leaves each row as if it had been alone, and the record unmarked as long as one of them could
 * come back. ST_OK: all of it. ST_BUSY: the outbox is not ours any more, nothing was touched since.
 * ST_AGAIN: rows stay in hand, as they say. Any other: the rows are settled, the batch is not
 * closed, as *closing (NULL without closes) and err say; or it cannot be told whose it is, and then
 * each row says so. */
MUST_CHECK enum status store_settle(struct store *s, struct settling *rows, size_t count,
                                    const struct manifest_name *closes, enum closing *closing,
                                    struct error *err);
/* It stays in hand for longer, and whoever holds it keeps what must not overtake it from passing:
 * the scan of store_rescan_settled does not wait for it. It does again (on false) for one that is
 * about to be given back: said before a scan is asked for, else that scan passes it over and what
 * is newer overtakes it. Any thread. */
void store_linger(struct store *s, const struct entry_ref *ref, bool on);
/* Given back as it is: a later scan finds it. */
void store_release(struct store *s, const struct entry_ref *ref);

/* "memory:NAME" outlives its handles; this ends it, when none is open any more. */
void store_memory_forget(const char *name);
/* Its lock is free for the next one, whoever holds it: the last owner is none any more. */
void store_memory_unlock(const char *name);

#endif
