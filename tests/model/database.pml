/* database.pml - an outbox in a database: a lane that is leased, manifests that are rows, a server that crashes and loses
 * what it had not flushed, and one that goes back (a standby that lagged is promoted).
 *
 * No such outbox is built yet: the protocol is searched first. relay.pml says how one worker goes through a batch. Here the outbox answers in statements, each whole or not at all, and
 * what is new is searched: who may write (Worker, the guards), what is durable when (flush), what a worker makes of a
 * position whose manifest the database has lost. How to read it, from Worker on: claim, list, start, look again, settle,
 * then batch after batch. Producer inserts rows, out of order too; Environment lets leases end, the server crash and go back.
 *
 * The digest of a manifest is its number in `events` and `before`: those are facts, whatever the database forgets; Kafka
 * keeps the record of each committed batch. An entry's number is its id; its seq is what the database gave it, and may give
 * to another one after it went back. Entries 0 and 1 are of one key.
 */
/* No mistakes: places that the search must get to, or it proves nothing. -DSEARCHED_FOR=PLACE stops there. */
#define WITNESS_WENT_BACK 1
#define WITNESS_SEQ_AGAIN 2
#define WITNESS_LOOKED_AGAIN 3
#define WITNESS_SETTLED_AGAIN 4
#define WITNESS_LATE_ROW 5
#ifndef SEARCHED_FOR
#define SEARCHED_FOR 0
#endif
#ifndef ENTRIES
#define ENTRIES 2
#endif
#ifndef LIVES /* claims, of both workers together */
#define LIVES 2
#endif
#ifndef BATCHES /* manifests that are ever written */
#define BATCHES 3
#endif
#ifndef CRASHES /* of workers */
#define CRASHES 0
#endif
#ifndef EXPIRIES /* leases that end while their owner lives: it was stopped for longer */
#define EXPIRIES 0
#endif
#ifndef LOST /* answers of Kafka */
#define LOST 0
#endif
#ifndef SERVER_CRASHES
#define SERVER_CRASHES 0
#endif
#ifndef FAILOVERS
#define FAILOVERS 0
#endif
#define BIT(set, i) (((set) >> (i)) & 1)
#define NOBODY 0

hidden byte I1_lost, I2_committed_twice, I4_reordered, I9_stands_still, I5_phantom, I5_false_alarm, WITNESSED, x, y;
#define HOLDS(condition, invariant) assert((condition) || invariant)
#define WITNESS(where, condition) assert(SEARCHED_FOR != where || !(condition) || WITNESSED)

/* ---- the database: as it is, as it would be after a crash, as the standby has it ---- */
typedef Database {
  byte there;            /* rows that wait */
  byte known;            /* rows that were ever inserted in this history */
  byte next;             /* the sequence */
  byte written, settled; /* manifests */
  byte owner;            /* of the lane: the token of a claim, or NOBODY */
  byte epoch
}
Database now, flushed, standby;
byte server = 0;         /* which history: every connection of another one is cut */
inline copy(to, from) {
  to.there = from.there; to.known = from.known; to.next = from.next; to.written = from.written; to.settled = from.settled;
  to.owner = from.owner; to.epoch = from.epoch
}
inline flush() { if :: SERVER_CRASHES > 0 -> copy(flushed, now) :: else fi }

byte ever;               /* entries that an application inserted */
byte seq[ENTRIES];       /* what the database gave them */
byte events[BATCHES + 1], before[BATCHES + 1], made; /* of manifest d, 1 and up */
byte claims;             /* tokens given */
byte tokens[2];          /* of a worker that runs, else NOBODY */
byte forgotten;          /* manifests that the database had and lost */
#define GONE_FOR_GOOD(e) (BIT(ever, e) && !BIT(now.known, e))

/* ---- Kafka ---- */
byte position;           /* the digest of the last committed batch */
byte producer;           /* which start of a producer is the newest */
byte starts;
byte committed[ENTRIES], crashes, expiries, lost_answers, server_crashes, failovers;

inline commit(d) {
  x = 0;
  do
  :: x < ENTRIES && BIT(events[d], x) ->
     committed[x]++;
     HOLDS(committed[x] == 1, I2_committed_twice);
     HOLDS(FAILOVERS || !GONE_FOR_GOOD(x), I5_phantom); /* a standby may lag behind the list itself */
     x++
  :: x < ENTRIES && !BIT(events[d], x) -> x++
  :: else -> break
  od;
  HOLDS(!BIT(events[d], 1) || committed[0] || GONE_FOR_GOOD(0), I4_reordered);
  position = d
}

/* ---- the statements. A guard that finds another owner changes nothing ---- */
#ifdef EPOCH_ALONE
#define MINE (now.epoch == my_epoch)
#else
#define MINE (now.owner == me)
#endif
#ifdef SETTLED_BY_SEQ
#define SAME_ROW(e, named) (seq[e] == seq[named])
#else
#define SAME_ROW(e, named) (e == named)
#endif
/* Rows and the mark of their manifest in one statement, which is not flushed. (Its guard is for clear words only: without
 * it the search finds nothing either.) */
inline settle(d) {
  x = 0;
  do
  :: x < ENTRIES && BIT(events[d], x) ->
     y = 0;
     do
     :: y < ENTRIES && BIT(now.there, y) && SAME_ROW(y, x) ->
        HOLDS(committed[y], I1_lost);
        now.there = now.there & ~(1 << y);
        y++
     :: y < ENTRIES && !(BIT(now.there, y) && SAME_ROW(y, x)) -> y++
     :: else -> break
     od;
     x++
  :: x < ENTRIES && !BIT(events[d], x) -> x++
  :: else -> y = 0; x = 0; break
  od;
  now.settled = now.settled | (1 << d);
  now.written = now.written & ~(1 << d)
}

#ifdef NO_FENCE
#define FENCED false
#else
#define FENCED (my_start != producer)
#endif

/* ---- a worker ---- */
#define MAY_DIE if :: crashes < CRASHES -> crashes++; goto again :: true fi
#define CUT (mine != server)

proctype Worker(byte w) {
  byte me, my_epoch, mine, my_start, listed, seen, d, last, batch, cursor;
again:
  skip;
  d_step { tokens[w] = NOBODY; me = NOBODY; my_epoch = 0; my_start = 0; listed = 0; seen = 0; d = 0; last = 0; batch = 0; cursor = 0; mine = 0 };
end:
  /* Claim: by a token that no other claim has. A number that the database gives is given again when the claim is lost. */
  d_step {
    now.owner == NOBODY && claims < LIVES ->
    claims++;
    now.epoch++;
    me = claims;
    my_epoch = now.epoch;
    now.owner = me;
    tokens[w] = me;
    mine = server
  };
connected:
  MAY_DIE;
  /* Which manifests are there: before the start of the producer, so that nobody adds to them behind it. */
  d_step { mine = server; listed = now.written | now.settled };
  MAY_DIE;
  d_step { starts++; my_start = starts; producer = my_start };
  MAY_DIE;
  seen = position;
  MAY_DIE;
#ifndef NOT_LOOKED_AGAIN
  /* Who slept since the claim finds another owner, and a position that is not its own. */
  if
  :: CUT -> goto connected
  :: !CUT && !MINE -> WITNESS(WITNESS_LOOKED_AGAIN, true); goto again
  :: !CUT && MINE
  fi;
#endif
  /* What the database has lost of the chain back from the position stands in Kafka's own records. The oldest first: with
   * the newest one back, whoever comes next would look no further. */
  do
  :: seen == 0 || BIT(listed, seen) -> break
  :: seen != 0 && !BIT(listed, seen) ->
#ifdef WENT_BACK_IGNORED
     break
#else
     d_step {
       d = seen;
#ifndef NEWEST_FIRST
       do
       :: before[d] != 0 && !BIT(listed, before[d]) -> d = before[d]
       :: else -> break
       od;
#endif
       HOLDS(BIT(forgotten, d), I5_false_alarm)
     };
     atomic {
       if
       :: CUT -> goto connected
       :: !CUT && !MINE -> goto again
       :: !CUT && MINE ->
          WITNESS(WITNESS_WENT_BACK, true);
          d_step { settle(d); listed = listed | (1 << d) }
       fi
     };
     MAY_DIE
#endif
  od;
  d = seen;
  /* The chain of those that are there: settled again whatever their mark says, which costs nothing. */
  do
  :: d == 0 || !BIT(listed, d) -> break
  :: else ->
     atomic {
       if
       :: CUT -> goto connected
       :: !CUT && !MINE -> goto again
       :: !CUT && MINE ->
          WITNESS(WITNESS_SETTLED_AGAIN, BIT(now.written, d) && committed[0]);
          d_step { if :: BIT(now.written, d) -> settle(d) :: else fi; listed = listed & ~(1 << d); d = before[d] }
       fi
     };
     MAY_DIE
  od;
  /* What is left of the list was never committed. */
  atomic {
    if
    :: CUT -> goto connected
    :: !CUT && !MINE -> goto again
    :: !CUT && MINE -> d_step { now.written = now.written & ~listed; listed = 0; d = 0; last = seen; seen = 0; cursor = 0 }
    fi
  };
loop:
  MAY_DIE;
  /* Read: the first by seq, or all. What became visible late is found by the sweep. */
end_idle:
  atomic {
    if
    :: CUT -> goto connected
    :: !CUT && !MINE -> goto again
#ifdef CURSOR_DECIDES
#define READABLE(e) (BIT(now.there, e) && seq[e] > cursor)
#else
#define READABLE(e) BIT(now.there, e)
#endif
    :: !CUT && MINE && made < BATCHES && (READABLE(0) || READABLE(1) || (ENTRIES > 2 && READABLE(ENTRIES - 1))) ->
       d_step {
         x = 0; batch = 0; y = 255;
         do
         :: x < ENTRIES && READABLE(x) -> batch = batch | (1 << x); if :: seq[x] < y -> y = seq[x] :: else fi; x++
         :: x < ENTRIES && !READABLE(x) -> x++
         :: else -> break
         od
       };
       if
       :: true
       :: d_step { /* that alone */
            x = 0;
            do
            :: x < ENTRIES && BIT(batch, x) && seq[x] != y -> batch = batch & ~(1 << x); x++
            :: x < ENTRIES && !(BIT(batch, x) && seq[x] != y) -> x++
            :: else -> break
            od
          }
       fi;
       d_step {
         x = 0;
         do
         :: x < ENTRIES && BIT(batch, x) -> WITNESS(WITNESS_LATE_ROW, seq[x] < cursor); if :: seq[x] > cursor -> cursor = seq[x] :: else fi; x++
         :: x < ENTRIES && !BIT(batch, x) -> x++
         :: else -> x = 0; y = 0; break
         od
       }
    fi
  };
  MAY_DIE;
  /* The manifest, flushed: and with it each row that it names. What was read before the server crashed, or went back, is looked
   * for again, as long as the last batch that was settled still is. */
  atomic {
    if
    :: CUT && MINE && (last == 0 || BIT(now.settled, last)) ->
#ifndef ROWS_NOT_LOOKED_AT
       batch = batch & now.there;
#endif
       mine = server
    :: else
    fi;
    if
    :: batch == 0 -> goto loop
    :: else
    fi
  };
  atomic {
    if
    :: CUT -> goto connected
#ifndef MANIFEST_WITHOUT_GUARD
    :: !CUT && !MINE -> goto again
    :: !CUT && MINE && made < BATCHES ->
#else
    :: !CUT && made < BATCHES ->
#endif
       d_step {
         made++;
         d = made;
         events[d] = batch;
         before[d] = last;
         now.written = now.written | (1 << d);
#ifndef MANIFEST_NOT_FLUSHED
         flush()
#endif
       }
    :: made == BATCHES -> goto again /* the search ends here */
    fi
  };
  MAY_DIE;
  /* Kafka's commit: done and said so, done or not and nothing said, or fenced. */
  atomic {
    if
    :: !FENCED ->
       if
       :: d_step { commit(d) }
       :: d_step { lost_answers < LOST -> lost_answers++; commit(d) }; goto connected
       :: lost_answers < LOST -> lost_answers++; goto connected
       fi
    :: FENCED -> goto again
    fi
  };
  d_step { last = d; batch = 0 };
  MAY_DIE;
  atomic {
    if
    :: CUT -> goto connected
    :: !CUT && !MINE -> goto again
    :: !CUT && MINE -> d_step { settle(d); d = 0; batch = 0 }
    fi
  };
  goto loop
}

/* An application: entries of one key in their order, others whenever they like. A row gets its seq when it is inserted and
 * is seen when its transaction ends: entry 2, if there is one, may take a lower seq and be seen later. */
proctype Producer() {
  byte early = 0;
  do
  :: atomic { !BIT(ever, 0) -> d_step { now.next++; seq[0] = now.next; ever = ever | 1; now.there = now.there | 1; now.known = now.known | 1 } }
  :: atomic { BIT(ever, 0) && !BIT(ever, 1) -> d_step { now.next++; seq[1] = now.next; ever = ever | 2; now.there = now.there | 2; now.known = now.known | 2 } }
  :: atomic { ENTRIES > 2 && !early && !BIT(ever, ENTRIES - 1) -> d_step { now.next++; early = now.next } }
  :: atomic {
       early && !BIT(ever, ENTRIES - 1) ->
       d_step {
         /* a history that went back took the transaction with it: it begins again */
         if :: now.next < early -> now.next++; early = now.next :: else fi;
         x = 0; y = 0;
         do
         :: x < ENTRIES - 1 -> if :: BIT(now.known, x) && seq[x] == early -> y = 1 :: else fi; x++
         :: else -> break
         od;
         if :: y -> now.next++; early = now.next :: else fi;
         seq[ENTRIES - 1] = early; ever = ever | (1 << (ENTRIES - 1));
         now.there = now.there | (1 << (ENTRIES - 1)); now.known = now.known | (1 << (ENTRIES - 1));
         x = 0; y = 0
       };
       break
     }
  :: BIT(ever, 0) && BIT(ever, 1) && ENTRIES == 2 -> break
  od
}

inline history_ends(by) {
  server++;
  forgotten = forgotten | ((now.written | now.settled) & ~(by.written | by.settled));
  copy(now, by);
  x = 0; y = 0;
  do
  :: x < ENTRIES -> if :: GONE_FOR_GOOD(x) && committed[x] -> y = 1 :: else fi; x++
  :: else -> break
  od;
  x = 0
}

proctype Environment() {
end:
  do
  /* The lease of one that lives, and of one that does not. */
  :: d_step { now.owner != NOBODY && expiries < EXPIRIES && (tokens[0] == now.owner || tokens[1] == now.owner) -> expiries++; now.owner = NOBODY }
  :: d_step { now.owner != NOBODY && tokens[0] != now.owner && tokens[1] != now.owner -> now.owner = NOBODY }
  :: d_step {
       server_crashes < SERVER_CRASHES && flushed.next + flushed.settled + flushed.owner + flushed.written != now.next + now.settled + now.owner + now.written ->
       server_crashes++;
       history_ends(flushed);
       HOLDS(!y, I5_phantom); /* what a crash takes was never published */
       y = 0
     }
  :: d_step { SERVER_CRASHES > 0 && server_crashes < SERVER_CRASHES -> flush() } /* the server's own writer */
  :: d_step { FAILOVERS > failovers -> copy(standby, now) }
  :: d_step {
       failovers < FAILOVERS -> failovers++;
       history_ends(standby);
       standby.there = 0; standby.known = 0; standby.next = 0; standby.written = 0; standby.settled = 0; standby.owner = 0; standby.epoch = 0;
       flush();
       y = 0
     }
  :: d_step { SEARCHED_FOR == WITNESS_SEQ_AGAIN && GONE_FOR_GOOD(1) && committed[1] && ENTRIES > 2 && BIT(now.there, 2) && seq[2] == seq[1] -> WITNESS(WITNESS_SEQ_AGAIN, true) }
  od
}

/* Nobody can do anything any more: then nothing waits, but where the search ran out of lives or batches. */
proctype Observer() {
end:
  timeout -> HOLDS(now.there == 0 || made == BATCHES || claims == LIVES && tokens[0] == NOBODY && tokens[1] == NOBODY, I9_stands_still)
}

init {
  atomic { run Worker(0); run Worker(1); run Producer(); run Environment(); run Observer() }
}
