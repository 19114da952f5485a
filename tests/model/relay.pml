/* relay.pml - the exactly-once protocol as a model: what is on disk, what the broker keeps, what a worker does.
 *
 * `spin` goes through every order in which the processes below can take their steps, with crashes, lost and late answers
 * at every place, and looks for one that breaks an invariant. Whoever changes the protocol changes this page first, and
 * runs tests/model/run. It searches the right protocol, in several small worlds, and then each seeded mistake, which
 * must be found. overlap.pml beside it does the same for the threads inside one worker.
 *
 * How to read it: first "the invariants", then Publisher from `recover` on, top to bottom, as one would read the code;
 * the rest is the world around it. Each process is one thing that acts by itself:
 *
 *   Publisher(w)  the worker's start (bridge/relay: recovery), its reader as far as order and twins go (stage_take, the
 *                 screen of turn.c: inline take) and its publisher (stage_publish), which puts one transaction with the
 *                 position in it around each batch
 *   Finisher(w)   stage_settle: keys, entries, folder, manifest; and what a verdict does to a refused entry
 *   Coordinator   the broker where it acts by itself: completes a commit, gives up on a transaction, gets late copies
 *   Host          kill -9 and power loss, between any two steps, again in recovery
 *   Operator      replay: a dead letter goes back to pending
 *   w = 0         the first worker and its restarts; in a world with ZOMBIE it may be stopped at any step (a process that
 *                 is not scheduled) while the lock's file is replaced, and wake at any later one
 *   w = 1         the successor, which starts meanwhile
 *   Redis         no process: whether it still knows an id is open at each look (inline redis_knows), so it may be
 *                 away, flushed or evicting at any time; REDIS_KEEPS makes it remember
 *
 * The code today is at_least_once: it has these stages without numbers, manifests and recovery. The ledger follows this
 * page. Left out: contents of entries, breakers, back-off times, `sent/`, foreign outboxes and clusters; the broker's
 * log is taken as durable, so a crash of the broker is a lost, late or repeated answer and a commit that completes late.
 *
 * Worlds (tests/model/run has the table): ENTRIES, LIVES (starts in all), CRASHES, FAULTS (of the network), TIMEOUTS (of the
 * coordinator), REPLAYS, REFRESHES, FORGETS (the position is lost), REFUSABLE (mask of entries the broker may refuse),
 * and the switches NEW (no position yet), TWINS (the last two entries share one id), REDIS_KEEPS, ZOMBIE, BLIND (a
 * take-over cannot be seen in the lock file).
 */
/* Seeded mistakes: -DMISTAKE=NAME builds one in. What each is, and the world that shows it: tests/model/run. */
#define SETTLED_BEFORE_COMMIT 1
#define NO_FENCING 2
#define POSITION_READ_BEFORE_INIT 3
#define MANIFEST_NOT_SYNCED 4
#define MANIFEST_AFTER_COMMIT 5
#define MANIFEST_OVERWRITTEN 6
#define MANIFEST_NAME_USED_AGAIN 7
#define DIGEST_NOT_COMPARED 8
#define CHAIN_NOT_FOLLOWED 9
#define LISTED_AFTER_INIT 10
#define FENCED_REMOVES_MANIFEST 11
#define SETTLED_MANIFEST_REMOVED 12
#define MANIFEST_SETTLED_FIRST 13
#define FOLDER_NOT_SYNCED 14
#define ABORT_AFTER_COMMIT 15
#define COMMIT_COPIES_NOT_COUNTED 16
#define POSITION_COPIES_NOT_COUNTED 17
#define REFUSAL_IGNORED 18
#define STRANGER_IGNORED 19
#define LOST_POSITION_TAKEN_FOR_NEW 20
#define KEYS_SET_EARLY 21
#define TWIN_NOT_SEEN 22
#define KEY_NOT_HELD 23
#define BATCH_MATES_PAY 24
#define STALE_WRITE_RESURRECTS 25
#define STAMP_IGNORED 26
#define BURIED_WITHOUT_LOCK 27
#define NOT_LOOKED_FOR_IN_DLQ 28
#define REPLAYED_DURING_START 29
/* No mistakes: places that the search must get to, or it proves nothing. */
#define WITNESS_ALL_SETTLED 101
#define WITNESS_ALL_DEAD 102
#define WITNESS_DOUBT_RESOLVED 103
#define WITNESS_STRANGER 104
#define WITNESS_CHAIN 105
#define WITNESS_TOPICS_DECIDE 106
#ifndef MISTAKE
#define MISTAKE 0
#endif

#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef LIVES
#define LIVES 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef FAULTS
#define FAULTS 0
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef REPLAYS
#define REPLAYS 0
#endif
#ifndef REFRESHES
#define REFRESHES 0
#endif
#ifndef FORGETS
#define FORGETS 0
#endif
#ifndef REFUSABLE
#define REFUSABLE 0
#endif
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 2
#endif
#define SLOTS 8
#define NOBODY 255
#define OPERATOR 2

#define BIT(mask, i) (((mask) >> (i)) & 1)
#ifdef TWINS
#define ID(i) ((i) == ENTRIES - 1 -> ENTRIES - 2 : (i))
#else
#define ID(i) (i)
#endif
#ifdef KEYS_APART
#define KEY(i) ID(i)
#else
#define KEY(i) (ID(i) < 2 -> 0 : 1) /* entries 0 and 1 share a key, 2 has its own */
#endif

/* A manifest's digest: what it lists, and the run that wrote it. Equal digests are equal manifests. */
#define DIGEST(events, twins, nonce) ((events) | ((twins) << 3) | ((nonce) << 6))
#define EVENTS(digest) ((digest) & 7)
#define TWINS_OF(digest) (((digest) >> 3) & 7)
#define LISTED(digest) (EVENTS(digest) | TWINS_OF(digest))

/* ---- the outbox on disk ------------------------------------------------------------------------------------------ */

mtype:place = { PENDING, DYING, DEAD, REVIVING, GONE }
/* DYING: rewritten to the dead form, not yet in dlq/.  REVIVING: in dlq/, rewritten to the pending form. */
mtype:place place[ENTRIES];
byte attempts[ENTRIES]; /* written in the entry itself */
byte replays;           /* of entry 0, the only one that is replayed */
byte unsynced;          /* mask: removed, and the folder not synced since; a power loss may bring them back */
#define STAMP(i) (attempts[i] + ((i) == 0 -> 4 * replays : 0)) /* every rewrite changes it */

mtype:state = { FREE, BATCH, SETTLED }
typedef Manifest {
  mtype:state state;
  byte n, digest, before; /* before: the digest of the last committed one when it was written */
};
Manifest manifest[SLOTS];
byte listed[2];         /* mask of slots: the list that worker made before its init; a name is never used twice */
byte volatile_slots;    /* mask: written without fsync (a mistake) */
byte owner = NOBODY;    /* whose nonce is in the lock file */

/* ---- the broker -------------------------------------------------------------------------------------------------- */

mtype:tx = { EMPTY, OPEN, COMMITTING, ABORTING }
mtype:tx tx = EMPTY;
byte tx_events, tx_n, tx_digest; /* what the transaction holds; tx_n = 0: no position yet */
byte c_n, c_digest;              /* the committed position of the group; 0: none */
bit newest[2];                   /* whose producer has the newest epoch; the others are fenced */
mtype:late = { NOTHING, LATE_COMMIT, LATE_ABORT, LATE_POSITION }
mtype:late late = NOTHING;       /* one request that is still under way */
bit late_fenced;
byte late_n, late_digest;

byte committed[ENTRIES]; /* how often; what consumers with read_committed get */
byte redis;              /* mask of ids whose key was set */

/* ---- the processes, as far as others see them -------------------------------------------------------------------- */

bit runs[2], started[2], publisher_dies[2], finisher_dies[2];
byte in_hand[2];                 /* mask: taken and not settled */
byte refused[2];                 /* mask: of these, the ones that wait for a retry or a burial to be written */
mtype:verdict = { PUBLISHED, RETRY, BURY }
chan to_finisher[2] = [1] of { mtype:verdict, byte, byte };
byte starts, crashes, faults, timeouts, refreshes, forgets;

/* ---- the invariants (faults.md); the names are what a failed search prints ---------------------------------------- */

hidden byte I1_lost, I2_committed_twice, I2_id_committed_twice, I3_committed_and_dead, I3_touched_by_a_stale_worker;
hidden byte I4_reordered, I5_unexpected_at_start, I7_attempts_not_counted, I10_position_without_its_events;
#define HOLDS(condition, invariant) assert((condition) || invariant)
hidden byte WITNESSED;
#define WITNESS(name, condition) assert(MISTAKE != name || !(condition) || WITNESSED)
hidden byte x, y; /* scratch of one indivisible step */

/* I1: what leaves the outbox is in the log, it or its twin. */
inline check_not_lost(e) {
  x = 0;
  do
  :: x < ENTRIES && !(ID(x) == ID(e) && committed[x]) -> x++
  :: else -> break
  od;
  HOLDS(x < ENTRIES, I1_lost)
}

/* I2, I4, I10: at the moment the broker decides that a transaction is committed. */
inline check_commit() {
  HOLDS((tx_events == EVENTS(tx_digest) && (tx_n || !tx_events)) ||
        (!tx_events && (c_n == 0 || (tx_n == c_n && tx_digest == c_digest))), /* the same position again */
        I10_position_without_its_events);
  x = 0;
  do
  :: x < ENTRIES ->
     if
     :: BIT(tx_events, x) ->
        HOLDS(!committed[x], I2_committed_twice);
        y = 0;
        do
        :: y < ENTRIES ->
           HOLDS(!(y > x && KEY(y) == KEY(x) && committed[y] && !(x == 0 && replays)), I4_reordered);
#ifdef REDIS_KEEPS
           HOLDS(!(y != x && ID(y) == ID(x) && (committed[y] || BIT(tx_events, y))), I2_id_committed_twice);
#endif
           y++
        :: else -> break
        od
     :: else
     fi;
     x++
  :: else -> break
  od
}

/* I1, I3: when nothing is left to do. */
inline check_all_settled() {
  x = 0;
  do
  :: x < ENTRIES ->
     if
     :: place[x] == GONE -> y = x; check_not_lost(y); x = y
     :: place[x] != GONE && committed[x] -> /* then its batch is still being settled, or it was lost sight of */
        y = 0;
        do :: y < SLOTS && !(manifest[y].state == BATCH && BIT(LISTED(manifest[y].digest), x)) -> y++ :: else -> break od;
        HOLDS(y < SLOTS, I3_committed_and_dead)
     :: else
     fi;
     x++
  :: else -> break
  od
}

/* A worker whose lock was taken over ends what it had begun, and begins nothing more: at most one move a thread. */
byte stale_moves[4];
inline count_move(thread) {
  if
#ifndef BLIND
  :: owner != w -> stale_moves[thread]++; HOLDS(stale_moves[thread] <= 1, I3_touched_by_a_stale_worker)
#endif
  :: else
  fi
}
#ifdef BLIND
#define LOCK_IS_OURS true
#else
#define LOCK_IS_OURS (owner == w)
#endif
#ifdef ZOMBIE
#define LOCK_IS_FREE (owner != w) /* the file may be replaced at any time */
#else
#define LOCK_IS_FREE (owner == NOBODY)
#endif

/* ---- durable steps on the outbox: each is whole or not at all ------------------------------------------------------ */

inline find_manifest(nn, dd) { /* x = its slot, or SLOTS */
  x = 0;
  do
  :: x < SLOTS && !(manifest[x].state != FREE && manifest[x].n == nn && manifest[x].digest == dd) -> x++
  :: else -> break
  od
}
inline free_slot(s) {
  manifest[s].state = FREE;
#if MISTAKE != MANIFEST_NAME_USED_AGAIN
  manifest[s].n = 0; manifest[s].digest = 0; manifest[s].before = 0;
#endif
  volatile_slots = volatile_slots & ~(1 << s)
}
/* Temporary file, fsync, rename without replacing, folder fsync. */
inline write_manifest(nn, dd, bb) {
  d_step {
    x = 0;
#if MISTAKE == MANIFEST_OVERWRITTEN
    do :: x < SLOTS && !(manifest[x].state != FREE && manifest[x].n == nn) -> x++ :: else -> break od;
    if :: x == SLOTS -> x = 0 :: else -> free_slot(x) fi;
#endif
    do :: x < SLOTS && manifest[x].state != FREE -> x++ :: else -> break od;
    assert(x < SLOTS);
#if MISTAKE == MANIFEST_NAME_USED_AGAIN
    y = 0; /* the name stands in somebody's list already */
    do :: y < SLOTS && !(manifest[y].n == nn && manifest[y].digest == dd) -> y++ :: else -> break od;
    if :: y < SLOTS -> x = y :: else -> listed[0] = listed[0] & ~(1 << x); listed[1] = listed[1] & ~(1 << x) fi;
#endif
    manifest[x].state = BATCH; manifest[x].n = nn; manifest[x].digest = dd; manifest[x].before = bb;
#if MISTAKE != MANIFEST_NAME_USED_AGAIN
    listed[0] = listed[0] & ~(1 << x);
    listed[1] = listed[1] & ~(1 << x);
#endif
#if MISTAKE == MANIFEST_NOT_SYNCED
    volatile_slots = volatile_slots | (1 << x);
#endif
    x = 0
  }
}
inline remove_manifest(nn, dd) {
  d_step {
    find_manifest(nn, dd);
    if :: x < SLOTS -> free_slot(x) :: else fi
  }
}

inline list_manifests() {
  d_step {
    x = 0; listed[w] = 0;
    do
    :: x < SLOTS -> if :: manifest[x].state != FREE -> listed[w] = listed[w] | (1 << x) :: else fi; x++
    :: else -> break
    od
  }
}

inline unlink_entry(e) {
  check_not_lost(e);
  place[e] = GONE;
  unsynced = unsynced | (1 << e)
}
/* One entry of a committed batch: removed from its place, else looked for in dlq/, where a stale worker may have moved
 * it. Two looks, so two steps. */
inline remove_entry(e) {
  d_step { if :: place[e] == PENDING || place[e] == DYING -> unlink_entry(e) :: else fi };
#if MISTAKE != NOT_LOOKED_FOR_IN_DLQ
  if
  :: d_step { place[e] == DEAD || place[e] == REVIVING -> unlink_entry(e) }
  :: d_step { place[e] != DEAD && place[e] != REVIVING -> skip }
  fi
#endif
}
inline sync_folder() { unsynced = 0 }

/* Settling a committed batch: every step may be repeated. */
inline settle(nn, dd, thread) {
  d_step { count_move(thread); redis_set(EVENTS(dd)) };
#if MISTAKE == MANIFEST_SETTLED_FIRST
  name_settled(nn, dd);
#endif
  i = 0;
  do
  :: i < ENTRIES && BIT(LISTED(dd), i) -> remove_entry(i); i++
  :: i < ENTRIES && !BIT(LISTED(dd), i) -> i++
  :: i == ENTRIES -> i = 0; break
  od;
#if MISTAKE != FOLDER_NOT_SYNCED
  sync_folder();
#endif
  name_settled(nn, dd);
  drop_older(nn, dd)
}
/* batch-n becomes settled-n: still the manifest of its position, not to be settled again. */
inline name_settled(nn, dd) {
  d_step {
    find_manifest(nn, dd);
    if
#if MISTAKE == SETTLED_MANIFEST_REMOVED
    :: x < SLOTS -> free_slot(x)
#else
    :: x < SLOTS -> manifest[x].state = SETTLED
#endif
    :: else
    fi
  }
}
inline drop_older(nn, dd) { /* the settled one before it */
  d_step {
    find_manifest(nn, dd);
    if
    :: x < SLOTS ->
       y = manifest[x].before;
       x = 0;
       do
       :: x < SLOTS && !(manifest[x].state == SETTLED && manifest[x].n == nn - 1 && manifest[x].digest == y) -> x++
       :: else -> break
       od;
       if :: x < SLOTS -> free_slot(x) :: else fi
    :: else
    fi
  }
}

/* An exchange with the entry: it fails when the entry is not the one that was read. */
#if MISTAKE == STALE_WRITE_RESURRECTS
#define UNCHANGED(e, s) true
#elif MISTAKE == STAMP_IGNORED
#define UNCHANGED(e, s) (place[e] == PENDING)
#else
#define UNCHANGED(e, s) (place[e] == PENDING && STAMP(e) == s)
#endif
inline write_retry(e, s) {
  d_step { count_move(2 + w); if :: UNCHANGED(e, s) -> count_attempt(e); place[e] = PENDING :: else fi }
}
inline write_dead_form(e, s) {
  d_step {
    count_move(2 + w);
    if
    :: UNCHANGED(e, s) ->
       HOLDS(attempts[e] + 1 >= MAX_ATTEMPTS, I7_attempts_not_counted);
       count_attempt(e);
       place[e] = DYING
    :: else
    fi
  }
}
inline count_attempt(e) { HOLDS(BIT(REFUSABLE, e), I7_attempts_not_counted); attempts[e]++ }
inline bury(e) { if :: place[e] == DYING -> place[e] = DEAD :: else fi } /* one rename, into dlq/ */
inline revive(e) { if :: place[e] == REVIVING -> place[e] = PENDING :: else fi }

/* ---- Redis --------------------------------------------------------------------------------------------------------- */

inline redis_set(ids) {
  x = 0;
  do
  :: x < ENTRIES -> if :: BIT(ids, x) -> redis = redis | (1 << ID(x)) :: else fi; x++
  :: else -> break
  od
}

/* ---- the broker's answers ------------------------------------------------------------------------------------------ */

inline forget_transaction() { tx_events = 0; tx_n = 0; tx_digest = 0 }
/* The decision is durable; the position is to be seen, and the next transaction to begin, when Coordinator completed it. */
inline decide_commit() {
  check_commit();
  x = 0;
  do
  :: x < ENTRIES -> committed[x] = committed[x] + BIT(tx_events, x); x++
  :: else -> break
  od;
  tx_events = 0;
  tx = COMMITTING
}
inline decide_abort() { if :: tx == OPEN -> tx = ABORTING; forget_transaction() :: else fi }

/* init_transactions: an open transaction is aborted and older producers are fenced, then it waits until all is complete. */
inline init_producer(w) {
#if MISTAKE != NO_FENCING
  d_step { newest[0] = 0; newest[1] = 0; late_fenced = (late != NOTHING); decide_abort() };
#endif
  d_step {
    tx == EMPTY ->
#if MISTAKE != NO_FENCING
    newest[0] = 0; newest[1] = 0; late_fenced = (late != NOTHING);
#endif
    newest[w] = 1
  }
}
/* The committed position; while one is pending the broker does not answer. */
inline read_position() { d_step { tx_n == 0 -> seen_n = c_n; seen_digest = c_digest } }

/* ---- the worker: reading ------------------------------------------------------------------------------------------- */

#if MISTAKE == KEY_NOT_HELD
#define hold_if(condition) skip
#else
#define hold_if(condition) if :: condition -> keys = keys | (1 << KEY(i)) :: else fi
#endif
/* The next batch in order: mask `events`, their duplicates in `twins`. `keys`: keys that wait for an earlier entry. */
inline take() {
  events = 0; twins = 0; keys = 0; left = 0; i = 0;
  do
  :: i == ENTRIES -> break
  :: i < ENTRIES && events -> break /* the batch may close behind any entry */
  :: i < ENTRIES && !(cut && events) -> /* cut behind a refusal: one alone */
     if
     :: BIT(in_hand[w], i) -> left = 1; hold_if(BIT(refused[w], i))
     :: else ->
        if
        :: place[i] == PENDING -> left = 1; take_one()
        :: place[i] == DYING || place[i] == REVIVING -> left = 1
        :: else
        fi
     fi;
     i++
  od;
  i = 0; keys = 0
}

inline take_one() {
  if
  :: BIT(redis, ID(i)) -> d_step { x = 0; unlink_entry(i) }          /* Redis knows it: a duplicate */
#ifdef REDIS_KEEPS
  :: !BIT(redis, ID(i)) -> take_new()
#else
  :: take_new()                                                      /* or never knew, is away, forgot */
#endif
  fi
}
inline take_new() {
  d_step {
    x = 0; /* its twin: in hand, or in this batch? */
    do :: x < ENTRIES && !(x != i && ID(x) == ID(i) && BIT(in_hand[w] | events, x)) -> x++ :: else -> break od
  };
#if MISTAKE == TWIN_NOT_SEEN
  x = ENTRIES;
#endif
  if
  :: BIT(keys, KEY(i)) -> skip /* held */
  :: else ->
     if
     :: x < ENTRIES && BIT(in_hand[w], x) -> hold_if(true)
     :: x < ENTRIES && !BIT(in_hand[w], x) -> twins = twins | (1 << i)
     :: x == ENTRIES -> events = events | (1 << i)
     :: x == ENTRIES && attempts[i] -> hold_if(true) /* not yet due */
     fi
  fi;
  x = 0
}

/* ---- the worker: publisher ----------------------------------------------------------------------------------------- */

/* The batch is given up; its entries are taken again, in their order. */
inline give_back() {
  in_hand[w] = in_hand[w] & ~LISTED(digest);
  n = 0; digest = 0; events = 0; twins = 0; bad = 0
}

proctype Publisher(byte w) {
  byte nonce;                 /* this run's */
  byte last_n, last_digest;   /* our last committed position */
  byte n, digest;             /* the batch under way; n = 0: none */
  byte seen_n, seen_digest;
  byte events, twins, keys, i;
  byte culprit = NOBODY, stamp, fatal;
  bit cut, left, uncounted, bad;

life:
  {
    skip;
end_off:
    atomic {
      starts < LIVES && !runs[w] && !finisher_dies[w] && (w == 0 || starts) && LOCK_IS_FREE ->
      starts++; nonce = starts; owner = w; runs[w] = 1; stale_moves[w] = 0; stale_moves[2 + w] = 0
    };

recover: /* a new producer at start */
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
#if MISTAKE != LISTED_AFTER_INIT
    list_manifests();
#endif
#if MISTAKE == POSITION_READ_BEFORE_INIT
    read_position();
    init_producer(w);
#else
    init_producer(w);
    read_position();
#endif
#if MISTAKE == LISTED_AFTER_INIT
    list_manifests();
#endif
    if :: seen_n == 0 -> goto position_lost :: else fi;
    d_step {
      find_manifest(seen_n, seen_digest);
      HOLDS(x < SLOTS || !newest[w], I5_unexpected_at_start);     /* c without its manifest: stop */
      x = 0;
      do
      :: x < SLOTS -> HOLDS(!newest[w] || manifest[x].n <= seen_n + 1, I5_unexpected_at_start); x++
      :: else -> break
      od
    };

settle_next: /* the chain back from c, oldest first */
    skip;
    d_step {
#if MISTAKE == DIGEST_NOT_COMPARED
      n = 0; x = 0; /* by number alone: the oldest up to c */
      do
      :: x < SLOTS ->
         if
         :: manifest[x].state == BATCH && manifest[x].n <= seen_n && (!n || manifest[x].n < n) ->
            n = manifest[x].n; digest = manifest[x].digest
         :: else
         fi;
         x++
      :: else -> break
      od
#else
      n = 0; digest = seen_digest; y = seen_n;
      do
      :: find_manifest(y, digest);
         if
         :: x < SLOTS && manifest[x].state == BATCH -> WITNESS(WITNESS_CHAIN, n != 0); n = y; i = digest; y--; digest = manifest[x].before
         :: else -> break
         fi
#if MISTAKE == CHAIN_NOT_FOLLOWED
         ; break
#endif
      od;
      digest = i; i = 0
#endif
    };
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
    if
    :: n -> settle(n, digest, w); goto settle_next
    :: else -> digest = 0
    fi;
forget_others:
    skip;
    d_step { /* of the list made before: not in the chain, so its entries are pending or it was settled */
      x = 0;
      do
      :: x < SLOTS ->
         if
         :: BIT(listed[w], x) && !(manifest[x].n == seen_n && manifest[x].digest == seen_digest) -> free_slot(x)
         :: else
         fi;
         x++
      :: else -> break
      od;
      listed[w] = 0
    };
    i = 0; /* moves that were left half done */
    do
    :: i < ENTRIES && place[i] == DYING ->
       if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
       d_step { count_move(w); bury(i) };
       i++
    :: i < ENTRIES && place[i] == REVIVING -> d_step { revive(i) }; i++
    :: i < ENTRIES && place[i] != DYING && place[i] != REVIVING -> i++
    :: i == ENTRIES -> i = 0; break
    od;
    atomic { last_n = seen_n; last_digest = seen_digest; seen_n = 0; seen_digest = 0; started[w] = 1 };

next_batch:
    true;
    atomic {
      take();
      if
      :: events -> in_hand[w] = in_hand[w] | events | twins
      :: !events && !left && !in_hand[w] -> goto all_settled
      :: !events && (left || in_hand[w]) -> goto next_batch          /* waits */
      :: refreshes < REFRESHES -> refreshes++; events = 0; twins = 0; goto refresh
      fi
    };
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
    atomic { n = last_n + 1; digest = DIGEST(events, twins, nonce); bad = 0 };
#if MISTAKE == KEYS_SET_EARLY
    d_step { redis_set(events) };
#endif
#if MISTAKE != MANIFEST_AFTER_COMMIT
    write_manifest(n, digest, last_digest);
#endif

    i = 0; /* begin; produce every event */
    do
    :: i < ENTRIES && BIT(events, i) ->
       atomic {
         tx == EMPTY || tx == OPEN || !newest[w] ->
         if
         :: !newest[w] -> i = 0; goto fenced
         :: newest[w] -> tx = OPEN; tx_events = tx_events | (1 << i)
         :: newest[w] && BIT(REFUSABLE, i) && attempts[i] < MAX_ATTEMPTS -> bad = 1; culprit = i; tx = OPEN
         :: newest[w] && faults < FAULTS -> faults++; i = 0; goto new_producer         /* transport error: no abort */
         fi;
         i++
       }
    :: i < ENTRIES && !BIT(events, i) -> i++
    :: i == ENTRIES -> i = 0; break
    od;
#if MISTAKE != REFUSAL_IGNORED
    if :: bad -> goto abort :: else fi;
#else
    atomic { bad = 0; culprit = NOBODY };
#endif
#if MISTAKE == SETTLED_BEFORE_COMMIT
    to_finisher[w] ! PUBLISHED, n, digest;
#endif
    atomic { /* send_offsets_to_transaction */
      tx == EMPTY || tx == OPEN || !newest[w] ->
      if
      :: !newest[w] -> goto fenced
      :: newest[w] -> tx = OPEN; tx_n = n; tx_digest = digest
      :: newest[w] && faults < FAULTS -> faults++; goto new_producer
      :: newest[w] && faults < FAULTS && late == NOTHING ->                          /* sent twice unseen, one answer */
         faults++; tx = OPEN; tx_n = n; tx_digest = digest;
         late = LATE_POSITION; late_n = n; late_digest = digest;
#if MISTAKE != POSITION_COPIES_NOT_COUNTED
         uncounted = 1
#endif
      fi
    };
    atomic { /* commit_transaction: from here on no error is answered by abort */
      if
      :: !newest[w] -> goto fenced
      :: newest[w] && tx != OPEN -> goto new_producer /* not in a state to commit */
      :: newest[w] && tx == OPEN -> d_step { decide_commit() }; goto is_committed
      :: newest[w] && tx == OPEN && faults < FAULTS -> d_step { faults++; decide_commit() }; goto unknown /* answer lost */
      :: newest[w] && tx == OPEN && faults < FAULTS -> faults++; goto unknown /* request lost */
      :: newest[w] && tx == OPEN && faults < FAULTS && late == NOTHING -> faults++; late = LATE_COMMIT; goto unknown /* request late */
      :: newest[w] && tx == OPEN && faults < FAULTS && late == NOTHING -> /* a copy is late */
         d_step { faults++; decide_commit(); late = LATE_COMMIT };
#if MISTAKE != COMMIT_COPIES_NOT_COUNTED
         uncounted = 1;
#endif
         goto is_committed
      :: newest[w] && tx == OPEN && faults < FAULTS -> /* answer lost, and a successor comes before librdkafka asks again */
         d_step { faults++; decide_commit(); newest[0] = 0; newest[1] = 0 }; goto fenced
      fi
    };
is_committed:
#if MISTAKE == MANIFEST_AFTER_COMMIT
    write_manifest(n, digest, last_digest);
#endif
    atomic { last_n = n; last_digest = digest; cut = 0 };
#if MISTAKE != SETTLED_BEFORE_COMMIT
    to_finisher[w] ! PUBLISHED, n, digest;
#endif
    atomic { n = 0; digest = 0; events = 0; twins = 0 };
ready: /* unless exactly one EndTxn and one position went out and were answered: a new producer before the next begin */
    if
    :: uncounted -> goto new_producer
    :: else -> goto next_batch
    fi;

abort: /* an event was refused, and commit was not called */
    atomic {
      if
      :: !newest[w] -> goto fenced
      :: newest[w] -> decide_abort(); goto is_aborted
      :: newest[w] && faults < FAULTS -> faults++; decide_abort(); goto new_producer
      :: newest[w] && faults < FAULTS -> faults++; goto new_producer
      :: newest[w] && faults < FAULTS && late == NOTHING -> faults++; decide_abort(); late = LATE_ABORT;
#if MISTAKE != COMMIT_COPIES_NOT_COUNTED
         uncounted = 1;
#endif
         goto is_aborted
      fi
    };
is_aborted: /* only the culprit pays: cut until it stands alone */
    if
    :: remove_manifest(n, digest)
#ifndef ZOMBIE
    :: skip /* its removal is not durable: it comes back */
#endif
    fi;
    atomic {
#if MISTAKE == BATCH_MATES_PAY
      i = 0; do :: !BIT(events, i) -> i++ :: else -> break od; culprit = i; i = 0;
#else
      if :: events != (1 << culprit) -> cut = 1; culprit = NOBODY :: else -> cut = 0 fi;
#endif
      give_back();
      if
      :: culprit != NOBODY ->
         in_hand[w] = in_hand[w] | (1 << culprit); refused[w] = refused[w] | (1 << culprit);
         i = culprit; stamp = STAMP(i); culprit = NOBODY; fatal = (attempts[i] + 1 >= MAX_ATTEMPTS)
      :: else -> goto ready
      fi
    };
    if
    :: fatal -> to_finisher[w] ! BURY, i, stamp
    :: else -> to_finisher[w] ! RETRY, i, stamp
    fi;
    atomic { i = 0; stamp = 0; fatal = 0 };
    goto ready;

unknown: /* what became of the commit? A new producer, and the ledger decides. */
#if MISTAKE == ABORT_AFTER_COMMIT
    atomic { if :: newest[w] -> decide_abort() :: else -> goto fenced fi };
    remove_manifest(n, digest);
    atomic { give_back(); goto next_batch };
#endif
    goto new_producer;
fenced: /* a new owner, or the coordinator gave up on us: nothing is removed, the same steps find out */
#if MISTAKE == FENCED_REMOVES_MANIFEST
    remove_manifest(n, digest);
#endif
new_producer:
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
    init_producer(w);
    read_position();
    atomic {
      uncounted = 0; bad = 0; culprit = NOBODY;
      if
      :: seen_n == last_n && seen_digest == last_digest -> skip       /* the batch in doubt was not committed */
      :: n && seen_n == n && seen_digest == digest && seen_n != last_n -> WITNESS(WITNESS_DOUBT_RESOLVED, true); seen_n = 0; seen_digest = 0; goto is_committed
      :: else ->                                                      /* somebody else has been here */
#if MISTAKE == STRANGER_IGNORED
         last_n = seen_n; last_digest = seen_digest
#else
         WITNESS(WITNESS_STRANGER, true);
         goto stop
#endif
      fi;
      seen_n = 0; seen_digest = 0
    };
    if
    :: n -> remove_manifest(n, digest)
    :: else
    fi;
    atomic { give_back(); goto next_batch };

refresh: /* once a day, between batches: the same position again */
    atomic {
      if
      :: !newest[w] -> goto fenced
      :: newest[w] && tx == EMPTY -> tx = OPEN; tx_n = last_n; tx_digest = last_digest
      fi
    };
    atomic {
      if
      :: !newest[w] -> goto fenced
      :: newest[w] -> d_step { decide_commit() }; goto next_batch
      :: newest[w] && faults < FAULTS -> faults++; goto new_producer
      :: newest[w] && faults < FAULTS -> d_step { faults++; decide_commit() }; goto new_producer
      fi
    };

position_lost: /* no c: a new outbox, or the position was forgotten and the topics decide */
    skip;
#if MISTAKE != LOST_POSITION_TAKEN_FOR_NEW
    i = 0;
    do
    :: i < ENTRIES ->
       d_step {
         x = 0;
         do :: x < SLOTS && !(manifest[x].state == BATCH && BIT(LISTED(manifest[x].digest), i)) -> x++ :: else -> break od;
         y = 0;
         do :: y < ENTRIES && !(ID(y) == ID(i) && committed[y]) -> y++ :: else -> break od;
         bad = (x < SLOTS && y < ENTRIES); WITNESS(WITNESS_TOPICS_DECIDE, bad); x = 0
       };
       if :: bad -> remove_entry(i) :: else fi;
       bad = 0; i++
    :: i == ENTRIES -> i = 0; break
    od;
    sync_folder();
#endif
    d_step { /* again above the highest number, with an empty manifest */
      n = 1; digest = DIGEST(0, 0, nonce); x = 0;
      do :: x < SLOTS -> if :: manifest[x].n >= n -> n = manifest[x].n + 1 :: else fi; x++ :: else -> break od
    };
    write_manifest(n, digest, 0);
    atomic { if :: !newest[w] -> n = 0; digest = 0; goto recover :: newest[w] && tx == EMPTY -> tx = OPEN; tx_n = n; tx_digest = digest fi };
    atomic {
      if
      :: !newest[w] -> n = 0; digest = 0; goto recover
      :: newest[w] -> d_step { decide_commit() }; seen_n = n; seen_digest = digest; n = 0; digest = 0; goto settle_next
      :: newest[w] && faults < FAULTS -> d_step { faults++; decide_commit() }; n = 0; digest = 0; goto recover
      :: newest[w] && faults < FAULTS -> faults++; n = 0; digest = 0; goto recover
      fi
    };

stop: /* exits with the reason; the host may start it again */
    atomic { if :: owner == w -> owner = NOBODY :: else fi; finisher_dies[w] = 1; publisher_dies[w] = 1 };
    false;
all_settled:
    skip;
    d_step {
      check_all_settled();
      WITNESS(WITNESS_ALL_SETTLED, place[0] == GONE && place[ENTRIES - 1] == GONE);
      WITNESS(WITNESS_ALL_DEAD, place[0] == DEAD && place[ENTRIES - 1] == DEAD)
    };
end_settled:
    place[0] == PENDING; /* replayed */
    goto next_batch
  } unless { publisher_dies[w] };
  atomic {
    nonce = 0; last_n = 0; last_digest = 0; n = 0; digest = 0; seen_n = 0; seen_digest = 0; events = 0; twins = 0; keys = 0; i = 0;
    culprit = NOBODY; stamp = 0; fatal = 0; cut = 0; left = 0; uncounted = 0; bad = 0; listed[w] = 0;
    !finisher_dies[w] -> in_hand[w] = 0; refused[w] = 0; runs[w] = 0; started[w] = 0; publisher_dies[w] = 0
  };
  goto life
}

/* ---- the worker: finisher ------------------------------------------------------------------------------------------ */

proctype Finisher(byte w) {
  byte a, b, i;
life:
  {
    skip;
end_idle:
    do
    :: to_finisher[w] ? PUBLISHED, a, b ->
       if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
       settle(a, b, 2 + w);
       atomic { in_hand[w] = in_hand[w] & ~LISTED(b); a = 0; b = 0 }
    :: to_finisher[w] ? RETRY, a, b ->
       if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
       write_retry(a, b);
       atomic { in_hand[w] = in_hand[w] & ~(1 << a); refused[w] = refused[w] & ~(1 << a); a = 0; b = 0 }
    :: to_finisher[w] ? BURY, a, b ->
#if MISTAKE != BURIED_WITHOUT_LOCK
       if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
#endif
       write_dead_form(a, b);
       d_step { bury(a) };
       atomic { in_hand[w] = in_hand[w] & ~(1 << a); refused[w] = refused[w] & ~(1 << a); a = 0; b = 0 }
    od;
stop:
    false
  } unless { finisher_dies[w] };
  atomic {
    a = 0; b = 0; i = 0;
    do :: to_finisher[w] ? _, _, _ :: empty(to_finisher[w]) -> break od;
    finisher_dies[w] = 0
  };
  goto life
}

/* ---- the world ----------------------------------------------------------------------------------------------------- */

proctype Coordinator() {
end:
  do
  :: d_step { tx == COMMITTING -> if :: tx_n -> c_n = tx_n; c_digest = tx_digest :: else fi; forget_transaction(); tx = EMPTY }
  :: d_step { tx == ABORTING -> tx = EMPTY }
  /* gives up on a slow one; on one whose owner is dead always, in the end */
  :: d_step { tx == OPEN && timeouts < TIMEOUTS -> timeouts++; newest[0] = 0; newest[1] = 0; decide_abort() }
  :: d_step { tx == OPEN && !(newest[0] && runs[0]) && !(newest[1] && runs[1]) -> newest[0] = 0; newest[1] = 0; decide_abort() }
  :: d_step {
       late != NOTHING ->
       if
       :: !late_fenced && tx == OPEN && late == LATE_COMMIT -> decide_commit()
       :: !late_fenced && tx == OPEN && late == LATE_ABORT -> decide_abort()
       :: !late_fenced && tx == OPEN && late == LATE_POSITION -> tx_n = late_n; tx_digest = late_digest
       :: else
       fi;
       late = NOTHING; late_fenced = 0; late_n = 0; late_digest = 0
     }
  :: d_step { tx == EMPTY && c_n && forgets < FORGETS -> forgets++; c_n = 0; c_digest = 0 }
  od
}

/* What was not synced may come back, each by itself. With a second worker alive it was kill -9: nothing comes back. */
inline lose_power() {
  e = 0;
#ifndef ZOMBIE
  do
  :: e < ENTRIES && BIT(unsynced, e) -> place[e] = PENDING; e++
  :: e < ENTRIES -> e++
  :: e == ENTRIES -> break
  od;
  e = 0;
  do
  :: e < SLOTS && BIT(volatile_slots, e) -> free_slot(e); e++
  :: e < SLOTS -> e++
  :: e == SLOTS -> break
  od;
  e = 0;
#endif
  unsynced = 0; volatile_slots = 0
}

inline die(w) { publisher_dies[w] = 1; finisher_dies[w] = 1; if :: owner == w -> owner = NOBODY :: else fi }
proctype Host() {
  byte e;
end:
  do
  :: atomic { crashes < CRASHES && runs[0] && !publisher_dies[0] -> crashes++; die(0); lose_power() }
#ifdef ZOMBIE
  :: atomic { crashes < CRASHES && runs[1] && !publisher_dies[1] -> crashes++; die(1) }
#endif
  od
}
#if REPLAYS > 0
/* The worker does it, once its start is complete; when none runs the command does, and holds the lock. Refused as busy:
 * what is in hand, and what an unsettled manifest names. */
#if MISTAKE == REPLAYED_DURING_START
#define MAY_REPLAY (owner == NOBODY || (owner != OPERATOR && !BIT(in_hand[owner], 0)))
#else
#define MAY_REPLAY (owner == NOBODY || (owner != OPERATOR && started[owner] && !BIT(in_hand[owner], 0)))
#endif
proctype Operator() {
end:
  do
  :: atomic {
       place[0] == DEAD && replays < REPLAYS && MAY_REPLAY;
       d_step {
         x = 0;
         do :: x < SLOTS && !(manifest[x].state == BATCH && BIT(LISTED(manifest[x].digest), 0)) -> x++ :: else -> break od
       };
       if :: x == SLOTS -> x = 0 :: else -> x = 0; goto end fi;
       if :: owner == NOBODY -> owner = OPERATOR :: else fi;
       place[0] = REVIVING; replays++; attempts[0] = 0
     };
     d_step { revive(0); if :: owner == OPERATOR -> owner = NOBODY :: else fi }
  od
}
#endif

init {
  atomic {
    byte e = 0;
    do :: e < ENTRIES -> place[e] = PENDING; e++ :: else -> break od;
    e = 0;
    do :: e < SLOTS -> manifest[e].state = FREE; e++ :: else -> break od;
#ifndef NEW
    manifest[0].state = SETTLED; manifest[0].n = 1; c_n = 1; /* position 1, an empty batch */
#endif
    run Finisher(0);
    run Publisher(0);
#ifdef ZOMBIE
    run Finisher(1);
    run Publisher(1);
#endif
    run Coordinator();
    run Host();
#if REPLAYS > 0
    run Operator();
#endif
  }
}
