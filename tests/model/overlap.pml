/* overlap.pml - inside one worker: what the store hands out, in which order, while entries are given back.
 *
 * relay.pml takes the entries of a key in order as given. Here three threads overlap, and a scan overlaps with inotify.
 * All entries are of one topic and one key. Searched: each is committed once (I2), in the order of arrival (I4), and none
 * is forgotten (I1). How to read it, from Reader on: Reader is store_next (bridge/outbox: reader.c, listing.c, watch.c),
 * Publisher the door in front of Kafka (bridge/relay/publish/breaker.c; with REFUSAL the key that waits for its refused event),
 * Finisher store_done; Producer is the application, Timer asks for scans as flush.interval and an overflow do.
 *
 * An entry carries the GENERATION of the scan that was current when it was handed out. A door that opens again asks for
 * a fresh scan, generation G: what an older one brought goes back as held, the fresh scan brings it in order. Such a
 * scan begins when nothing is in hand: it would pass over an entry that is still prepared and is given back only later,
 * and what it brings next would overtake that one.
 *
 * REFUSAL: entry 0 is refused, TROUBLES times at most, and the later ones of its key wait. Without: the topic, or all of
 * Kafka, is away; the probe is the first entry of generation P or later, alone. SCANS: asked for by Timer.
 */
/* No mistakes: places that the search must get to, or it proves nothing. -DSEARCHED_FOR=PLACE stops there. */
#define WITNESS_HELD 1
#define WITNESS_REOPENED 2
#define WITNESS_TOLD_AND_LISTED 3
#ifndef SEARCHED_FOR
#define SEARCHED_FOR 0
#endif
#ifndef ENTRIES
#define ENTRIES 3
#endif
#ifndef TROUBLES
#define TROUBLES 1
#endif
#ifndef SCANS
#define SCANS 0
#endif
#define GENERATIONS 20

hidden byte I1_lost, I2_committed_twice, I4_reordered, WITNESSED, x;
#define HOLDS(condition, invariant) assert((condition) || invariant)
#define WITNESS(where, condition) assert(SEARCHED_FOR != where || !(condition) || WITNESSED)

bit there[ENTRIES], in_hand[ENTRIES];
byte committed[ENTRIES];
chan told = [ENTRIES] of { byte };     /* inotify, and the names the reader has read from it */
chan prepared = [2] of { byte, byte }; /* entry, generation: Reader -> Publisher */
chan done = [2] of { byte };           /* Publisher -> Finisher */
byte hands;                            /* entries in hand */
byte wanted = 1, begun;                /* generations: asked for, current */
bit wanted_in_order;                   /* that scan waits until nothing is in hand */

mtype:door = { CLOSED, AWAY, PROBING, WAITING }
mtype:door door = CLOSED;
byte from;                             /* least generation that passes */
bit probe_sent, due;
byte troubles;

inline rescan() { if :: wanted == begun -> wanted++; assert(wanted < GENERATIONS) :: else fi }
inline rescan_in_order() { rescan(); wanted_in_order = 1 }
inline give_back(e) { in_hand[e] = 0; hands-- }
#ifdef SCANNED_OVER_HELD
#define SCAN_MAY_BEGIN (wanted > begun)
#else
#define SCAN_MAY_BEGIN (wanted > begun && (!wanted_in_order || hands == 0))
#endif

/* ---- the application ----------------------------------------------------------------------------------------------- */

proctype Producer() {
  byte i;
  do
  :: i < ENTRIES -> atomic { there[i] = 1; told ! i; i++ } /* a rename */
  :: else -> break
  od
}
proctype Timer() {
  byte i;
  do
  :: i < SCANS -> atomic { rescan(); i++ }
  :: else -> break
  od
}

/* ---- the reader ---------------------------------------------------------------------------------------------------- */

proctype Reader() {
  byte i, list;
  bit present;
next:
end:
  if
  :: atomic { SCAN_MAY_BEGIN -> begun = wanted; wanted_in_order = 0; list = 0; i = 0 }; goto scan
  :: atomic { wanted == begun && list -> i = 0; do :: !((list >> i) & 1) -> i++ :: else -> break od; list = list & ~(1 << i) }
  :: atomic { wanted == begun && !list && nempty(told) -> told ? i }
  fi;

  /* A candidate. In hand? Then passed over. Else its file is read, and only then it is taken. */
#ifdef NOT_LOOKED_AT_AGAIN
  present = 1;
  if :: !in_hand[i] -> skip :: else -> present = 0 fi;
#else
  if :: !in_hand[i] -> present = there[i] :: else fi;
#endif
  if
  :: present -> atomic { in_hand[i] = 1; hands++ }; prepared ! i, begun
  :: else
  fi;
  atomic { i = 0; present = 0; goto next };

scan: /* what was told so far is found by the listing, name by name: it is no snapshot */
  skip;
#ifndef TOLD_BEFORE_FRESH_SCAN
  d_step { do :: told ? x :: empty(told) -> break od; x = 0 };
#endif
  do
  :: i < ENTRIES -> atomic { list = list | (there[i] << i); i++ }
  :: else -> break
  od;
#ifdef TOLD_BEFORE_FRESH_SCAN
  i = 0;
  do
  :: atomic { nempty(told) -> told ? i; list = list & ~(1 << i) };
     if
     :: there[i] && !in_hand[i] -> atomic { in_hand[i] = 1; hands++ }; prepared ! i, begun
     :: else
     fi
  :: empty(told) -> break
  od;
#endif
  atomic { /* a name in both keeps inotify's place */
    i = 0;
    do
    :: i < ENTRIES ->
       if
       :: told ?? [eval(i)] ->
          WITNESS(WITNESS_TOLD_AND_LISTED, (list >> i) & 1);
#ifndef LISTING_BEFORE_INOTIFY
          list = list & ~(1 << i)
#endif
       :: else
       fi;
       i++
    :: else -> break
    od;
    i = 0; goto next
  }
}

/* ---- the publisher: one entry a batch ------------------------------------------------------------------------------ */

#ifdef GENERATION_IGNORED
#define NEW_ENOUGH(g) true
#else
#define NEW_ENOUGH(g) ((g) >= from)
#endif
#ifdef REFUSAL
#define PASSES(i, g) ((door == CLOSED && NEW_ENOUGH(g)) || (door == WAITING && i == 0))
#else
#define PASSES(i, g) ((door == CLOSED && NEW_ENOUGH(g)) || (door == PROBING && NEW_ENOUGH(g) && !probe_sent))
#endif

inline commit(e) {
  d_step {
    HOLDS(!committed[e], I2_committed_twice);
    x = e + 1;
    do :: x < ENTRIES -> HOLDS(!committed[x], I4_reordered); x++ :: else -> break od;
    x = 0;
    committed[e]++
  }
}
inline reopen() {
  if
  :: door != CLOSED ->
     WITNESS(WITNESS_REOPENED, true);
     door = CLOSED; probe_sent = 0;
#ifndef NO_FRESH_SCAN
     rescan_in_order();
     from = wanted
#else
     from = begun
#endif
  :: else
  fi
}
inline trouble(e) { /* nothing is committed; the entry goes back, and waits */
  troubles++; probe_sent = 0;
#ifdef REFUSAL
  door = WAITING; due = 0;
#else
  door = AWAY;
#endif
  give_back(e)
}

proctype Publisher() {
  byte i, g;
end:
  do
  :: prepared ? i, g ->
     if
     :: PASSES(i, g) ->
        if :: door == PROBING -> probe_sent = 1 :: else fi;
        if
#ifdef REFUSAL
        :: i == 0 && troubles < TROUBLES -> atomic { trouble(i) }
#else
        :: troubles < TROUBLES -> atomic { trouble(i) }
#endif
        :: commit(i); done ! i; atomic { reopen() }
        fi
     :: else -> atomic { WITNESS(WITNESS_HELD, true); give_back(i) }
     fi;
     atomic { i = 0; g = 0 }
#ifdef REFUSAL
  :: atomic { door == WAITING && !due -> due = 1; rescan() } /* found by a scan */
#else
  :: atomic {
       door == AWAY -> door = PROBING;                                           /* due */
#ifdef PROBE_BY_ANY_SCAN
       rescan();
#else
       rescan_in_order();
#endif
       from = wanted
     }
#endif
  od
}

/* ---- the finisher: removed, then forgotten ------------------------------------------------------------------------- */

proctype Finisher() {
  byte i;
end:
  do
  :: done ? i ->
#ifdef FORGOTTEN_BEFORE_UNLINK
     atomic { give_back(i) };
     there[i] = 0;
#else
     there[i] = 0;
     atomic { give_back(i) };
#endif
     i = 0
  od
}

/* When nothing moves any more: one more scan, then all must be there. */
proctype Check() {
  byte i;
  timeout;
  atomic { rescan() };
  timeout;
  do
  :: i < ENTRIES -> HOLDS(committed[i] == 1 && !there[i], I1_lost); i++
  :: else -> break
  od
}

init { atomic { run Check(); run Producer(); run Timer(); run Reader(); run Publisher(); run Finisher() } }
