/* keys.h - idempotency keys: which event ids have been published. Redis filters, it never decides.
 *
 * The key is <prefix><id>, its value "<topic>/<partition>/<offset>", kept for ttl. While Redis is
 * away check says "not seen" for ids it cannot ask for, and ids to be set are kept in the outbox
 * (due), durable before keys_set returns; check knows those too. They are set when Redis is back,
 * also over a restart. At most a million are kept, then the oldest are given up and counted. No
 * call waits longer than the timeouts; after any timeout the connection is dropped, and not tried
 * again before a back-off has passed (50 ms doubling to 5 s), so an absent Redis costs next to
 * nothing. Any thread: calls are serialised by a lock inside; check and set have a connection each,
 * so that neither waits for the other.
 *
 * hiredis writes to its sockets without MSG_NOSIGNAL: the process must ignore SIGPIPE, or the end
 * of Redis ends it too. Resolving a host name is the one wait that no timeout bounds.
 */
#ifndef BRIDGE_KEYS_KEYS_H
#define BRIDGE_KEYS_KEYS_H

#include "bridge/base/log.h"
#include "bridge/event/key.h"

/* Where keys wait that Redis cannot be told now, over restarts too: that of the outbox
 * (bridge/outbox/keys_due.h says what each does), handed in by whoever opens keys. open comes
 * first, of redis.url=off never. */
struct keys_due {
  void *ctx;
  enum status (*open)(void *ctx, size_t most, struct error *err);
  enum status (*add)(void *ctx, const struct key *list, const bool *done, size_t count,
                     uint64_t *given_up, struct error *err);
  bool (*has)(void *ctx, struct span id);
  uint64_t (*count)(void *ctx);
  enum status (*read)(void *ctx, struct key *out, size_t max, size_t *count, struct error *err);
  enum status (*drop)(void *ctx, struct error *err);
};

struct keys_config {
  const char *url;    /* "redis://[[user]:password@]host[:port][/db]", "unix:/path[?db=n]", "off" */
  const char *prefix; /* "busbridge:<outbox id>:" */
  int64_t ttl_ms;
  int timeout_ms; /* of connecting and of each answer */
  bool required;  /* whoever asks waits for Redis instead of going on: only for what the log says */
  const struct keys_due *due; /* copied. NULL: keep nothing (reading commands) */
  const struct clock *clock;
};

struct keys_state {
  bool off;               /* redis.url=off */
  bool up;                /* the last exchange worked */
  uint64_t due, given_up; /* ids waiting to be set; ids given up */
  uint64_t checks, sets, errors;
  char error[200]; /* the last error's words */
};

struct keys;
/* Does not connect, so it works while Redis is away. ST_INVALID: the url, with what is wrong
 * (rediss:// says that this hiredis has no TLS); ST_IO: what is due cannot be read. */
MUST_CHECK enum status keys_open(const struct keys_config *config, struct log *log,
                                 struct keys **out, struct error *err);
void keys_close(struct keys *k);
/* seen[i] = ids[i] is known, by Redis or as due; place[i] (array may be NULL) gets where its twin
 * lies, in arena, if known. ST_OK, or ST_UNAVAILABLE when Redis could not be asked (seen is then by
 * the due ids alone). One pipelined MGET. */
MUST_CHECK enum status keys_check(struct keys *k, const struct span *ids, size_t count, bool *seen,
                                  struct span *place, struct arena *arena);
/* Remember them: one pipelined SET each with the TTL, or due (durable). ST_OK when either is done;
 * else the ids may be forgotten by a crash: err says why. */
MUST_CHECK enum status keys_set(struct keys *k, const struct key *list, size_t count,
                                struct error *err);
/* Forget one id, in Redis and due. ST_UNAVAILABLE when Redis is configured and away. */
MUST_CHECK enum status keys_forget(struct keys *k, struct span id, struct error *err);
/* Called now and then (each second): reconnects when it is time and sets what is due, a thousand at
 * a time. */
void keys_tend(struct keys *k);
void keys_state(struct keys *k, struct keys_state *out);
/* An error of keys_state in words, and what to do about it: the same wherever it is told. required:
 * redis.required. */
struct keys_words {
  char cause[400], next[400]; /* no full stop */
};
void keys_words(const char *error, bool required, struct keys_words *out);
struct keys_policy {
  char policy[32];     /* maxmemory-policy; "" when Redis may not tell */
  int64_t used, limit; /* bytes; limit 0: none */
  int64_t
      skew_us; /* its clock against ours, to half the time the answer took; TIME_NONE: not known */
};
/* What Redis tells of its memory and its clock. ST_UNAVAILABLE; ST_UNSUPPORTED when redis.url is
 * off. */
MUST_CHECK enum status keys_policy(struct keys *k, struct keys_policy *out, struct error *err);
/* May Redis drop keys before their time? */
bool keys_policy_evicts(const struct keys_policy *p);
/* Asks Redis for its maxmemory-policy and logs a warning when it may evict keys. */
void keys_check_policy(struct keys *k);

#endif
