/* parts.h - inside bridge/outbox/database only: an open outbox. Locks are taken in this order:
 * a side's, then lock. */
#ifndef BRIDGE_OUTBOX_DATABASE_PARTS_H
#define BRIDGE_OUTBOX_DATABASE_PARTS_H

#include "bridge/base/table.h"
#include "bridge/base/thread.h"
#include "bridge/outbox/database/database.h"
#include "bridge/outbox/database/row.h"
#include "bridge/outbox/rules.h"

struct db_hand { /* one row in hand, or that was in this scan */
  int64_t seq;
  bool lingers, no_object, attempted;
  bool passed; /* given back: kept until the next scan, so that it is not taken for a late one */
};

enum { ENDED_MOST = 10000 };

struct db {
  const struct db_steps *steps;
  void *impl;
  bool create, there;
  char *name;
  const struct clock *clock;
  const struct event_lifting *lifting;
  struct log *log;
  struct store_config c;
  char id[37];
  struct mutex sides[3]; /* by enum db_side: one step of each at a time */

  int64_t stood_ns; /* when it said that it waits; 0: never */

  /* keeper.c: renews a lease */
  struct thread keeper;
  bool keeping;

  /* lock: all up to the next blank line */
  struct mutex lock;
  struct cond ending;
  bool ends;
  int64_t claimed_ns; /* when it was asked for last that the outbox be ours, and that was granted */
  struct table hands; /* by seq */
  size_t in_hand, lingering;
  int64_t *notices; /* seqs to be looked at behind the scan */
  size_t notice_count, notice_cap;
  bool sweeping;
  int64_t *ended; /* seqs of what was in hand when a sweep began, and is not any more: at most
                     ENDED_MOST */
  size_t ended_count;
  uint64_t wanted, begun, scanned;
  bool wanted_settled, listed, woken;
  int64_t settled_by_ns;
  int64_t cursor;     /* the scan's place: behind this seq */
  uint64_t overtaken; /* so often what was read ahead may have changed */
  uint64_t pending, dead, first, gone, vanished, returned, given_back;
  int64_t counted;     /* the highest seq that is in pending */
  bool count_due;      /* the figures may be wrong: they are counted when that is affordable */
  struct table asides; /* struct db_aside by seq; the finisher alone changes them */
  int64_t unsure[STORE_ROWS]; /* seqs of the changes whose answer was lost */
  size_t unsure_count;

  /* the reader's */
  int wake;
  struct db_page page;
  size_t at;               /* the next row of page */
  uint64_t page_overtaken; /* what overtaken was before it was read */
  int64_t page_ns;
  int64_t count_ns, count_took_ns; /* when it was counted last, and how long that took */
  int64_t sweep_ns, sweep_took_ns, swept;
  struct db_gap *gaps; /* gaps.c: by seq, up to gaps_upto */
  int64_t *gap_seqs, gaps_upto;
  size_t gap_count;
  int64_t slice_ms;

  /* the due ones': the caller's lock */
  uint64_t keys_due_most;
  int64_t keys_due_upto;
  struct arena keys_due_arena;
  uint64_t keys_due_count; /* atomic */
};

/* rows_in_hand.c, all under lock */
struct db_hand *db_hand_of(const struct db *d, int64_t seq); /* in hand; NULL: it is not */
bool db_hand_known(const struct db *d, int64_t seq);         /* or was, in this scan */
MUST_CHECK bool db_hand_put(struct db *d, const struct db_hand *hand); /* false: memory is out */
void db_hand_pass(struct db *d, int64_t seq); /* it was looked at, and is not handed out */
void db_hand_end(struct db *d, int64_t seq, bool passed);
void db_hands_forget(struct db *d, bool all); /* those that passed, or all */
MUST_CHECK bool db_notice(struct db *d, int64_t seq);
bool db_scan_due(const struct db *d);
void db_tell(struct db *d); /* the reader looks again */

/* A step of a side, under its lock. */
#define DB_STEP(d, side, call)                                                                     \
  __extension__({                                                                                  \
    mutex_lock(&(d)->sides[side]);                                                                 \
    enum status db_step_status = (d)->steps->call;                                                 \
    mutex_unlock(&(d)->sides[side]);                                                               \
    db_step_status;                                                                                \
  })

/* The same, and how long it took is told (store_config.took). */
#define DB_TIMED(d, step, side, call)                                                              \
  __extension__({                                                                                  \
    int64_t db_began_ns = thread_now_ns();                                                         \
    enum status db_timed_status = DB_STEP(d, side, call);                                          \
    db_took(d, step, db_began_ns);                                                                 \
    db_timed_status;                                                                               \
  })
void db_took(const struct db *d, enum store_step step, int64_t began_ns); /* counting.c */

/* asides.c: rows that the database refuses to change; what became of each is written down. */
MUST_CHECK enum status db_asides_load(struct db *d, struct error *err);
void db_asides_release(struct db *d);
bool db_is_aside(const struct db *d, int64_t seq); /* under lock */

/* looking.c: the row of a token into page, which is empty. ST_NOT_FOUND. */
MUST_CHECK enum status db_look_up(struct db *d, enum shelf shelf, struct span token,
                                  struct db_page *page, const struct db_row **row,
                                  struct error *err);
uint64_t db_body_most(const struct db *d);
/* Is it a row that this outbox publishes? */
bool db_is_ours(const struct row_entry *e);

void db_gaps_release(struct db *d); /* gaps.c */

/* keeper.c. Is it ours? The database is asked, beside all other steps. Any thread. */
MUST_CHECK enum status db_renew(struct db *d, struct error *err);
/* The same, but it is asked only where the lease has run out by our own clock. */
MUST_CHECK enum status db_still(struct db *d, struct error *err);
MUST_CHECK enum status db_keeper_start(struct db *d, struct error *err);
void db_keeper_stop(struct db *d);

#endif
