/* outbox.pml - part of relay.pml: the durable steps on the outbox (bridge/outbox, bridge/base/disk/durable.h), Redis, and who
 * else touches the disk: the host that dies and the operator who replays. Each step is whole or not at all. */

inline find_manifest(nn, dd) { /* x = its slot, or SLOTS */
  x = 0;
  do
  :: x < SLOTS && !(manifest[x].state != FREE && manifest[x].n == nn && manifest[x].digest == dd) -> x++
  :: else -> break
  od
}
inline free_slot(s) {
  manifest[s].state = FREE;
#ifndef MANIFEST_NAME_USED_AGAIN
  manifest[s].n = 0; manifest[s].digest = 0; manifest[s].before = 0;
#endif
  volatile_slots = volatile_slots & ~(1 << s)
}
/* Temporary file, fsync, rename without replacing, folder fsync. */
inline write_manifest(nn, dd, bb) {
  d_step {
    x = 0;
#ifdef MANIFEST_OVERWRITTEN
    do :: x < SLOTS && !(manifest[x].state != FREE && manifest[x].n == nn) -> x++ :: else -> break od;
    if :: x == SLOTS -> x = 0 :: else -> free_slot(x) fi;
#endif
    do :: x < SLOTS && manifest[x].state != FREE -> x++ :: else -> break od;
    assert(x < SLOTS);
#ifdef MANIFEST_NAME_USED_AGAIN
    y = 0; /* the name stands in somebody's list already */
    do :: y < SLOTS && !(manifest[y].n == nn && manifest[y].digest == dd) -> y++ :: else -> break od;
    if :: y < SLOTS -> x = y :: else -> listed[0] = listed[0] & ~(1 << x); listed[1] = listed[1] & ~(1 << x) fi;
#endif
    manifest[x].state = BATCH; manifest[x].n = nn; manifest[x].digest = dd; manifest[x].before = bb;
#ifndef MANIFEST_NAME_USED_AGAIN
    listed[0] = listed[0] & ~(1 << x);
    listed[1] = listed[1] & ~(1 << x);
#endif
#ifdef MANIFEST_NOT_SYNCED
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
#ifndef NOT_LOOKED_FOR_IN_DLQ
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
#ifdef MANIFEST_SETTLED_FIRST
  name_settled(nn, dd);
#endif
  i = 0;
  do
  :: i < ENTRIES && BIT(LISTED(dd), i) -> remove_entry(i); i++
  :: i < ENTRIES && !BIT(LISTED(dd), i) -> i++
  :: i == ENTRIES -> i = 0; break
  od;
#ifndef FOLDER_NOT_SYNCED
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
#ifdef SETTLED_MANIFEST_REMOVED
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
#ifdef STALE_WRITE_RESURRECTS
#define UNCHANGED(e, s) true
#elif defined(STAMP_IGNORED)
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

/* ---- crash and replay ---------------------------------------------------------------------------------------------- */

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
#ifdef REPLAYED_DURING_START
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
