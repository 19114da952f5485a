/* keys_private.h - what keys.c and keys_connection.c share; nobody else includes it. */
#ifndef BRIDGE_KEYS_KEYS_PRIVATE_H
#define BRIDGE_KEYS_KEYS_PRIVATE_H

#include "bridge/base/thread.h"
#include "bridge/keys/keys.h"
#include "bridge/keys/keys_redis.h"

/* A connection. `redis` belongs to the lock; what follows to the lock of the state. */
struct connection {
  struct mutex lock;
  struct redis redis;
  unsigned failures;
  int64_t retry_ns; /* not before */
  bool away;
};

struct keys {
  struct redis_url url;
  char *prefix;
  char ttl[24]; /* in seconds */
  int timeout_ms;
  bool required;
  const struct clock *clock;
  struct log *log;
  struct keys_due due; /* without functions: nothing is kept. Changed under set.lock only */
  struct connection check, set;
  struct mutex state; /* innermost */
  bool worked;        /* any exchange ever did */
  uint64_t checks, sets, errors, given_up;
  char error[200];
};

static inline uint64_t keys_due_count(const struct keys *k) { /* 0 where nothing is kept */
  return k->due.count ? k->due.count(k->due.ctx) : 0;
}

/* Sends a job's commands and receives all their answers. Begins anew when called again. */
typedef enum status (*connection_job_fn)(struct keys *k, struct redis *r, void *job,
                                         struct error *err);

/* Runs the job over the connection, connecting when needed, and keeps account of what that says
 * about Redis. The caller holds its lock. ST_UNAVAILABLE, also at once while the back-off after a
 * failure lasts. */
MUST_CHECK enum status connection_exchange(struct keys *k, struct connection *l,
                                           connection_job_fn run, void *job, struct error *err);
/* The same without regard to the back-off. */
MUST_CHECK enum status connection_exchange_now(struct keys *k, struct connection *l,
                                               connection_job_fn run, void *job, struct error *err);
/* Has the back-off passed? When not, err is the failure that began it. */
bool connection_may_try(struct keys *k, struct connection *l, struct error *err);
/* When the last exchange failed: see whether Redis answers now. The caller does not hold the lock.
 */
void connection_probe(struct keys *k, struct connection *l);

#endif
