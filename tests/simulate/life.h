/* life.h - one life: what was drawn for it, who lives in it, and its parts. A life has one outbox,
 * in memory or on the simulated disk; a machine on which its workers and its producer run; and an
 * operator, who is never killed. */
#ifndef TESTS_SIMULATE_LIFE_H
#define TESTS_SIMULATE_LIFE_H

#include "bridge/base/thread.h"
#include "bridge/outbox/manifest.h"
#include "bridge/relay/relay.h"
#include "tests/simulate/fibers.h"
#include "tests/simulate/world.h"

enum { EVENTS = 64, WORKERS = 40, MAX_ATTEMPTS = 2, PRODUCER = 63 };
#define SECOND_NS INT64_C(1000000000)

/* What a life is about, beside all that may happen in any: what is needed for a mistake that plain
 * lives would meet too seldom. On the disk alone. */
enum theme {
  THEME_ANY,
  THEME_TYPED,    /* events come through the typed bus's outbox too */
  THEME_LINKS,    /* files with a second link */
  THEME_FAR,      /* dlq/ is a file system of its own */
  THEME_RESTORED, /* a backup of the outbox comes back, its position is spoiled; a new id */
  THEME_ZOMBIES,  /* a worker that lost its outbox wakes while it rewrites an entry */
  THEME_HOLDS,    /* dead letters hold their keys, and the power goes */
  THEME_SLOW,     /* a disk so slow that anything may happen meanwhile */
  THEMES
};

struct event_of_life {
  char id[64], key[16];
  char file[80];                 /* its path: "outbox/e1.json", "typed/pending/e1-m.json" */
  bool poison, bad, flaky, twin; /* twin: written twice, under two names */
  bool typed, both;              /* it comes through the typed bus; and, copied, through ours */
  bool strange;                  /* a file of somebody else's that was linked in: none of ours */
  bool replayed, purged;
  bool saved, saved_purged; /* it was there, or gone, when the backup was made */
  bool restored;
  size_t purged_at; /* so many records there were */
  bool in_doubt; /* the power went while it was written, or others put a file in its place: it may
                    have been there or not */
  bool passed_over; /* it could not be read for a while: others of its key come first */
  bool touched;     /* others had their hands on it: it may come at another place of its key */
};

struct worker {
  int group;
  char kafka_group[64];
  struct store *store;
  struct relay *relay;
  struct metrics *metrics;
};

struct life {
  uint64_t seed;
  bool on_disk;
  enum theme theme, wanted; /* wanted: what was asked for, else the seed drew it */
  bool typed;               /* the typed bus's outbox is read too */
  bool backed_up, renewed;  /* there is a backup; the outbox got a new id since */
  bool exactly_once, hold_key, writing, failed, taken_over, forgot; /* forgot: Redis was not always
                                                                       there */
  size_t batch_events, written;
  size_t event_count, own_count; /* own: by the producer; behind them those that others wrote */
  const char *ledger_topic;
  struct event_of_life events[EVENTS];
  struct worker *worker; /* the present one */
  int groups;
  struct store *hand; /* of the producer and the operator */
};
extern struct life life;

extern struct shared { /* opened once, for all lives */
  struct catalog *catalog;
  struct routing *routing;
} shared;

void violation(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* worker.c */
struct store *open_outbox(bool owner); /* an owner takes it from whoever has it */
void start_worker(void);
void stop_worker(struct worker *w);
void kill_worker(struct worker *w);
bool has_failed(struct worker *w); /* it ended by itself; for a reason that is none: a violation */
bool is_refused(struct worker *w); /* its ledger cannot be trusted */
void say_status(struct worker *w);
void restart_if_it_ended(void);
void restart_if_it_asks(void);
void restart_cleanly(void);

/* trouble.c */
void some_time(void);
void act(void); /* something goes wrong, or somebody does something */
void draw_faults(void);
void note_crash(void);
void kill_machine(void); /* worker and producer */
void restart_machine(void);

/* operator.c */
void pause_it(void);
void replay(void);
void purge(void);

/* others.c */
void others(void);    /* have their hands on entries */
void save_all(void);  /* as they are, at a bad moment */
void typed_bus(void); /* is at work */
void link_strange(bool again);
void end_links(void);

/* restored.c */
void restore(void);
void spoil_position(void);

/* producer.c */
void draw_events(void);
void start_producer(void);
void replace_event(size_t i, bool keep_time); /* others put another event where it lies */
void strange_event(void);                     /* a file of others is linked in */
void text_of(size_t i, struct buffer *text);
const char *name_of(const struct event_of_life *e); /* the last part of its path */
struct event_of_life *event_of(const char *token);

/* judge.c: I1 to I5 and I7 of all that was written */
void judge(void);

#endif
