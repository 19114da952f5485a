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

struct event_of_life {
  char id[64], key[16], file[80];
  bool poison, bad, flaky, twin; /* twin: written twice, under two names */
  bool replayed, purged;
  bool in_doubt; /* the power went while it was written, or others put a file in its place: it may
                    have been there or not */
  bool passed_over; /* it could not be read for a while: others of its key come first */
  bool touched;     /* others had their hands on it: it may come at another place of its key */
};

struct worker {
  int group;
  struct store *store;
  struct relay *relay;
  struct metrics *metrics;
};

struct life {
  uint64_t seed;
  bool on_disk;
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
void restart_if_it_ended(void);
void restart_if_it_asks(void);
void restart_cleanly(void);

/* trouble.c */
void some_time(void);
void act(void); /* something goes wrong, or somebody does something */
void draw_faults(void);
void purge(void);

/* producer.c */
void draw_events(void);
void start_producer(void);
void replace_event(size_t i, bool keep_time); /* others put another event where it lies */
struct event_of_life *event_of(const char *file);

/* judge.c: I1 to I5 and I7 of all that was written */
void judge(void);

#endif
