/* worker.pml - part of relay.pml: the protocol itself, to be read beside bridge/relay.
 *
 *   life ... end_off   a start: the lock                    next_batch ... is_committed   a batch, bridge/relay/PROTOCOL.md 2
 *   recover            a new producer at start              abort, is_aborted             refused before commit was called
 *   settle_next        the chain back from c                unknown, fenced               what became of it?
 *   forget_others      all other manifests, half moves      new_producer                  a new producer later
 *   position_lost      no c                                 refresh                       once a day
 *
 * An atomic or d_step block is one step for everybody else: either it touches nothing that others see, or it is one call
 * that is whole or not at all. A crash comes between any two steps: the `unless` at the end.
 */

/* ---- reading ------------------------------------------------------------------------------------------------------- */

#ifdef KEY_NOT_HELD
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
  :: BIT(redis, ID(i)) -> d_step { x = 0; unlink_entry(i) } /* Redis knows it: a duplicate */
#ifdef REDIS_KEEPS
  :: !BIT(redis, ID(i)) -> take_new()
#else
  :: take_new() /* or never knew, is away, forgot */
#endif
  fi
}
inline take_new() {
  d_step {
    x = 0; /* its twin: in hand, or in this batch? */
    do :: x < ENTRIES && !(x != i && ID(x) == ID(i) && BIT(in_hand[w] | events, x)) -> x++ :: else -> break od
  };
#ifdef TWIN_NOT_SEEN
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

/* ---- publisher ----------------------------------------------------------------------------------------------------- */

/* The batch is given up; its entries are taken again, in their order. */
inline give_back() {
  in_hand[w] = in_hand[w] & ~LISTED(digest);
  n = 0; digest = 0; events = 0; twins = 0; bad = 0
}

proctype Publisher(byte w) {
  byte nonce;               /* this run's */
  byte last_n, last_digest; /* our last committed position */
  byte n, digest;           /* the batch under way; n = 0: none */
  byte seen_n, seen_digest; /* the position read */
  byte events, twins, keys, i;
  byte culprit = NOBODY, stamp, fatal;
  bit cut, left, uncounted, bad;
  bit at_least_once;        /* this run's delivery.guarantee */

life:
  {
    skip;
end_off:
    atomic {
      starts < LIVES && !runs[w] && !finisher_dies[w] && (w == 0 || starts) && LOCK_IS_FREE ->
      starts++; nonce = starts; owner = w; runs[w] = 1; stale_moves[w] = 0; stale_moves[2 + w] = 0;
#ifdef SWITCH
      if :: at_least_once = 0 :: at_least_once = 1 fi
#endif
    };
#ifdef SWITCHED_WITHOUT_SETTLING
    if :: at_least_once -> goto next_batch :: else fi;
#endif

recover: /* a new producer at start */
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
#ifndef LISTED_AFTER_INIT
    list_manifests();
#endif
#ifdef POSITION_READ_BEFORE_INIT
    read_position();
    init_producer(w);
#else
    init_producer(w);
    read_position();
#endif
#ifdef LISTED_AFTER_INIT
    list_manifests();
#endif
    if :: seen_n == 0 -> goto position_lost :: else fi;
    d_step {
      find_manifest(seen_n, seen_digest);
      HOLDS(x < SLOTS || !newest[w], I5_unexpected_at_start); /* c without its manifest: stop */
      x = 0;
      do
      :: x < SLOTS -> HOLDS(!newest[w] || manifest[x].n <= seen_n + 1, I5_unexpected_at_start); x++
      :: else -> break
      od
    };

settle_next: /* the chain back from c, oldest first */
    skip;
    d_step {
#ifdef DIGEST_NOT_COMPARED
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
         :: x < SLOTS && manifest[x].state == BATCH ->
            WITNESS(WITNESS_CHAIN, n != 0);
            n = y; i = digest; y--; digest = manifest[x].before
         :: else -> break
         fi
#ifdef CHAIN_NOT_FOLLOWED
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
      :: !events && (left || in_hand[w]) -> goto next_batch /* waits */
      :: refreshes < REFRESHES -> refreshes++; events = 0; twins = 0; goto refresh
      fi
    };
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
    if :: at_least_once -> goto send_plainly :: else fi;
    atomic { n = last_n + 1; digest = DIGEST(events, twins, nonce); bad = 0 };
#ifdef KEYS_SET_EARLY
    d_step { redis_set(events) };
#endif
#ifndef MANIFEST_AFTER_COMMIT
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
         :: newest[w] && faults < FAULTS -> faults++; i = 0; goto new_producer /* transport error: no abort */
         fi;
         i++
       }
    :: i < ENTRIES && !BIT(events, i) -> i++
    :: i == ENTRIES -> i = 0; break
    od;
#ifndef REFUSAL_IGNORED
    if :: bad -> goto abort :: else fi;
#else
    atomic { bad = 0; culprit = NOBODY };
#endif
#ifdef SETTLED_BEFORE_COMMIT
    to_finisher[w] ! PUBLISHED, n, digest;
#endif
    atomic { /* send_offsets_to_transaction */
      tx == EMPTY || tx == OPEN || !newest[w] ->
      if
      :: !newest[w] -> goto fenced
      :: newest[w] -> tx = OPEN; tx_n = n; tx_digest = digest
      :: newest[w] && faults < FAULTS -> faults++; goto new_producer
      :: newest[w] && faults < FAULTS && late == NOTHING -> /* sent twice unseen, one answer */
         faults++; tx = OPEN; tx_n = n; tx_digest = digest;
         late = LATE_POSITION; late_n = n; late_digest = digest;
#ifndef POSITION_COPIES_NOT_COUNTED
         uncounted = 1
#endif
      fi
    };
    atomic { /* commit_transaction: from here on no error is answered by abort */
      if
      :: !newest[w] -> goto fenced
      :: newest[w] && tx != OPEN -> goto new_producer /* not in a state to commit */
      :: newest[w] && tx == OPEN -> d_step { decide_commit() }; goto is_committed
      :: newest[w] && tx == OPEN && faults < FAULTS -> /* answer lost */
         d_step { faults++; decide_commit() }; goto unknown
      :: newest[w] && tx == OPEN && faults < FAULTS -> /* request lost */
         faults++; goto unknown
      :: newest[w] && tx == OPEN && faults < FAULTS && late == NOTHING -> /* request late */
         faults++; late = LATE_COMMIT; goto unknown
      :: newest[w] && tx == OPEN && faults < FAULTS && late == NOTHING -> /* sent twice unseen, one answer: a copy is late */
         d_step { faults++; decide_commit(); late = LATE_COMMIT };
#ifndef COMMIT_COPIES_NOT_COUNTED
         uncounted = 1;
#endif
         goto is_committed
      :: newest[w] && tx == OPEN && faults < FAULTS -> /* answer lost, and a successor comes before librdkafka asks again */
         d_step { faults++; decide_commit(); newest[0] = 0; newest[1] = 0 }; goto fenced
      fi
    };
is_committed:
#ifdef MANIFEST_AFTER_COMMIT
    write_manifest(n, digest, last_digest);
#endif
    atomic { last_n = n; last_digest = digest; cut = 0 };
#ifndef SETTLED_BEFORE_COMMIT
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
      :: newest[w] && faults < FAULTS && late == NOTHING->
         faults++; decide_abort(); late = LATE_ABORT;
#ifndef COMMIT_COPIES_NOT_COUNTED
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
#ifdef BATCH_MATES_PAY
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
#ifdef ABORT_AFTER_COMMIT
    atomic { if :: newest[w] -> decide_abort() :: else -> goto fenced fi };
    remove_manifest(n, digest);
    atomic { give_back(); goto next_batch };
#endif
    goto new_producer;
fenced: /* a new owner, or the coordinator gave up on us: nothing is removed, the same steps find out */
#ifdef FENCED_REMOVES_MANIFEST
    remove_manifest(n, digest);
#endif
new_producer:
    if :: LOCK_IS_OURS -> skip :: else -> goto stop fi;
    init_producer(w);
    read_position();
    atomic {
      uncounted = 0; bad = 0; culprit = NOBODY;
      if
      :: seen_n == last_n && seen_digest == last_digest -> skip /* the batch in doubt was not committed */
      :: n && seen_n == n && seen_digest == digest && seen_n != last_n ->
         WITNESS(WITNESS_DOUBT_RESOLVED, true);
         seen_n = 0; seen_digest = 0; goto is_committed
      :: else -> /* somebody else has been here */
#ifdef STRANGER_IGNORED
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

send_plainly: /* at_least_once: no manifest, no transaction; settled on its delivery report */
    do
    :: i < ENTRIES && BIT(events, i) ->
       d_step {
         HOLDS(!committed[i] || BIT(sent_plainly, i), I2_committed_twice);
         if :: committed[i] -> skip :: else -> committed[i]++ fi;
         sent_plainly = sent_plainly | (1 << i)
       };
       i++
    :: i < ENTRIES && !BIT(events, i) -> i++
    :: i == ENTRIES -> i = 0; break
    od;
    to_finisher[w] ! PUBLISHED, 0, DIGEST(events, twins, 0);
    atomic { events = 0; twins = 0; goto next_batch };

position_lost: /* no c: a new outbox, or it was forgotten and the topics decide, for all manifests that are there now */
    skip;
#ifndef LOST_POSITION_TAKEN_FOR_NEW
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
    atomic {
      if
      :: !newest[w] -> n = 0; digest = 0; goto recover
      :: newest[w] && tx == EMPTY -> tx = OPEN; tx_n = n; tx_digest = digest
      fi
    };
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
    nonce = 0; last_n = 0; last_digest = 0; n = 0; digest = 0; seen_n = 0; seen_digest = 0;
    events = 0; twins = 0; keys = 0; i = 0; culprit = NOBODY; stamp = 0; fatal = 0; cut = 0; left = 0; uncounted = 0; bad = 0;
    at_least_once = 0; listed[w] = 0;
    !finisher_dies[w] -> in_hand[w] = 0; refused[w] = 0; runs[w] = 0; started[w] = 0; publisher_dies[w] = 0
  };
  goto life
}

/* ---- finisher ------------------------------------------------------------------------------------------------------ */

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
#ifndef BURIED_WITHOUT_LOCK
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
