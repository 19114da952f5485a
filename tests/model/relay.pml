/* relay.pml - the exactly-once protocol as a model: what is on disk, what the broker keeps, what a worker does.
 *
 * `spin` goes through every order in which the processes below can take their steps, with crashes, lost and late answers
 * at every place, and looks for one that breaks an invariant. Whoever changes the protocol changes these pages first, and
 * runs tests/model/run. It searches the right protocol in several small worlds, and then each seeded mistake, which must
 * be found. overlap.pml does the same for the threads inside one worker.
 *
 * How to read it: this page says what there is and what must hold; worker.pml is the protocol itself, top to bottom as one
 * would read the code; outbox.pml and broker.pml are what it stands on. Each process is one thing that acts by itself:
 *
 *   Publisher(w)  the worker's start (bridge/relay: recovery), its reader as far as order and twins go (take.c, and screen
 *                 in turn.c: inline take), and its publisher (publish.c), which puts one transaction with the position in
 *                 it around each batch
 *   Finisher(w)   settle.c: keys, entries, folder, manifest; and what a verdict does to a refused entry
 *   Coordinator   the broker where it acts by itself: completes a commit, gives up on a transaction, gets late copies
 *   Host          kill -9 and power loss, between any two steps, again in recovery
 *   Operator      replay: a dead letter goes back to pending
 *   w = 0         the first worker and its restarts; in a world with ZOMBIE it may be stopped at any step (a process that
 *                 is not scheduled) while the lock's file is replaced, and wake at any later one
 *   w = 1         the successor, which starts meanwhile
 *   Redis         no process: whether it still knows an id is open at each look (worker.pml: take_one), so it may be away,
 *                 flushed or evicting at any time; REDIS_KEEPS makes it remember
 *
 * bridge/relay/PROTOCOL.md says the same in words, with the code and the tests beside it. Left out: contents of entries, breakers (overlap.pml), back-off times, sent/, foreign outboxes and clusters;
 * the broker's log is taken as durable, so its crash is a lost, late or repeated answer and a commit that completes late.
 *
 * Worlds (table in tests/model/run): ENTRIES, LIVES (starts in all), CRASHES, FAULTS (of the network), TIMEOUTS (of the
 * coordinator), REPLAYS, REFRESHES, FORGETS (the position is lost), REFUSABLE (mask of entries the broker may refuse),
 * MAX_ATTEMPTS, and the switches NEW (no position yet), TWINS (the last two entries share one id), KEYS_APART, REDIS_KEEPS,
 * SWITCH (each run has either delivery.guarantee), ZOMBIE, BLIND (a take-over cannot be seen in the lock's file).
 * Seeded mistakes are #ifdef NAME, same table.
 */
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
byte listed[2];         /* mask of slots: the list that worker made before its init. A slot written anew is in no list: no two
                           manifests share a name, so the nonce in it is the run's and a count */
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

byte sent_plainly;       /* mask: by a run of at_least_once, so they may come twice and late */
byte committed[ENTRIES]; /* how often; what consumers with read_committed get */
byte redis;              /* mask of ids whose key was set */

/* ---- the processes, as far as others see them -------------------------------------------------------------------- */

bit runs[2], started[2], publisher_dies[2], finisher_dies[2];
byte in_hand[2];                 /* mask: taken and not settled */
byte refused[2];                 /* mask: of these, the ones that wait for a retry or a burial to be written */
mtype:verdict = { PUBLISHED, RETRY, BURY }
chan to_finisher[2] = [1] of { mtype:verdict, byte, byte };
byte starts, crashes, faults, timeouts, refreshes, forgets;

/* ---- the invariants (tests/README.md); the names are what a failed search prints ---------------------------------------- */

hidden byte I1_lost, I2_committed_twice, I2_id_committed_twice, I3_committed_and_dead, I3_touched_by_a_stale_worker;
hidden byte I4_reordered, I5_unexpected_at_start, I7_attempts_not_counted, I10_position_without_its_events;
#define HOLDS(condition, invariant) assert((condition) || invariant)

/* No mistakes: places that the search must get to, or it proves nothing. -DSEARCHED_FOR=PLACE stops there. */
#define WITNESS_ALL_SETTLED 1
#define WITNESS_ALL_DEAD 2
#define WITNESS_DOUBT_RESOLVED 3
#define WITNESS_STRANGER 4
#define WITNESS_CHAIN 5
#define WITNESS_TOPICS_DECIDE 6
#ifndef SEARCHED_FOR
#define SEARCHED_FOR 0
#endif
hidden byte WITNESSED;
#define WITNESS(where, condition) assert(SEARCHED_FOR != where || !(condition) || WITNESSED)
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
        HOLDS(!committed[x] || BIT(sent_plainly, x), I2_committed_twice);
        y = 0;
        do
        :: y < ENTRIES ->
           HOLDS(!(y > x && KEY(y) == KEY(x) && committed[y] && !(x == 0 && replays) && !BIT(sent_plainly, x) &&
                   !BIT(sent_plainly, y)), I4_reordered);
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

#include "outbox.pml"
#include "broker.pml"
#include "worker.pml"

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
