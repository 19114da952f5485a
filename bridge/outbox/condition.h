/* condition.h - what health and doctor ask of an outbox: its figures, its room, whether it can be
 * changed. Part of the contract of a store (store.h), whatever it keeps its entries in.
 *
 * Any thread; needs no reader, and works on a store that was opened without create too.
 */
#ifndef BRIDGE_OUTBOX_CONDITION_H
#define BRIDGE_OUTBOX_CONDITION_H

#include "bridge/outbox/entry.h"

struct store_counts {
  uint64_t pending; /* entries told by the last scan and since, in hand and not whole yet included,
                       minus those settled */
  uint64_t in_hand;
  uint64_t
      given_back; /* neither in hand nor settled: handed out by the scan under way and given back */
  /* With a reader, once `listed` (the outbox was listed whole, and `first` were there): pending =
   * first + arrived + returned - gone - vanished, all of one moment. gone: settled; returned:
   * dead letters that were replayed; vanished: left the pending ones by somebody else's doing.
   * arrived falls when a listing finds fewer than were known. */
  uint64_t first, gone, vanished, returned;
  int64_t arrived;
  bool listed;
  uint64_t dead;    /* dead letters */
  uint64_t growing; /* that are not whole yet: still being written, perhaps */
  uint64_t unreadable,
      odd;          /* left alone: no right to read it; not of the kind that an entry has to be */
  uint64_t aside;   /* set aside; of these only the refused ones are pending */
  uint64_t unmoved; /* dead ones that a crash left among the pending ones, as which they count, and
                       that cannot be moved now; tried again by itself */
  int unmoved_sys;  /* of the last of these tries: struct error's sys */
  uint64_t foreign; /* entries of another status (dispatched, ...) */
  uint64_t foreign_typed; /* of these in the second intake, what others are at work on included */
  int64_t oldest_us;      /* arrival of the oldest pending one, TIME_NONE */
  bool exact;             /* false while a first scan is under way; traits.counts: always true */
};
/* With a reader: its running figures (cheap). Without one: counts what is there, in one pass that
 * reads no entry; exactly where traits.counts. */
MUST_CHECK enum status store_counts(struct store *s, struct store_counts *out, struct error *err);
/* The same except for oldest_us: with a reader it takes no look at each entry in hand, so it may be
 * asked often. */
MUST_CHECK enum status store_amounts(struct store *s, struct store_counts *out, struct error *err);
/* How many entries there are at most of which (LIST_PENDING, LIST_DEAD): a pass that reads none. */
uint64_t store_estimate(const struct store *s, unsigned which);
/* How many entries are on their way out of the outbox or back since a minute or longer: a crash, or
 * a move that failed both ways. The next owner takes them from there. */
uint64_t store_left(const struct store *s, int64_t now_us);

struct store_space {
  bool known;
  int64_t bytes, entries; /* room for so many more; entries -1: as many as wanted */
};
void store_space(const struct store *s, struct store_space *out);
/* May entries be made and moved? Cheap. */
MUST_CHECK enum status store_writable(const struct store *s, struct error *err);

/* ---- of a kind that takes steps in a database (traits.steps) ---- */

/* Is there anything new, a page of entries, late ones, the record of a batch, a chain settled. */
enum store_step { STEP_POLL, STEP_READ, STEP_SWEEP, STEP_LIST, STEP_SETTLE, STORE_STEPS };
const char *store_step_word(enum store_step step);
struct store_vitals {
  uint64_t connects; /* how often it connected to a server, 0: there is none, or not yet */
  bool served;       /* it has a server; connected tells whether that was there at the last step */
  bool connected;
  int64_t claimed_us; /* when it was last granted that the outbox is ours for a while (a lease);
                         TIME_NONE: there is no such thing */
  int64_t dead_rows;  /* that the database has yet to take out of its table, about; -1: not known */
};
/* Never waits for the database. */
void store_vitals(const struct store *s, struct store_vitals *out);

/* What a doctor asks, beside its owner too, of a handle that only inspects. Nothing stays of it. */
enum examination {
  EXAMINE_PLACE,   /* may all of it be changed, and does it lie where entries can be moved? */
  EXAMINE_CHANGES, /* is a change durable, and does it take another's place at once? It is tried */
  /* The same of the second intake, and who has it; NOT where there is none. */
  EXAMINE_SECOND,
  EXAMINE_SECOND_CHANGES,
  /* And from here on what else the kind looks at, one after the other until `check` is NULL. */
  EXAMINE_FURTHER
};
enum examined_verdict { EXAMINED_FINE, EXAMINED_DOUBTFUL, EXAMINED_FAILED, EXAMINED_NOT };
struct examined {
  const char *check; /* what was looked at, in the kind's own word: "outbox". Static */
  enum examined_verdict verdict;
  struct buffer text, next; /* in words, and what to do, if anything is. The caller's */
  int64_t skew_us;          /* of EXAMINE_CHANGES: the clock that entries are stamped with, against
                               options->clock; TIME_NONE: not known */
};
void store_examine(struct store *s, enum examination which, struct examined *out);

#endif
