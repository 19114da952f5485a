/* keys_redis.h - one connection to Redis: the only file of the module that knows hiredis is behind
 * this. Private.
 *
 * Commands are appended, then each answer is received in order. Any failure is ST_UNAVAILABLE with
 * Redis' own words or the system's, never with the password. After one the caller drops the
 * connection: late answers would belong to no question. One thread at a time.
 */
#ifndef BRIDGE_KEYS_KEYS_REDIS_H
#define BRIDGE_KEYS_KEYS_REDIS_H

#include "bridge/base/span.h"

struct redis_url {
  bool off;
  char host[256]; /* empty: the Unix socket at path */
  int port;
  char path[108];
  char user[256], password[512]; /* empty: none */
  int db;
};
/* ST_INVALID, ST_UNSUPPORTED (rediss://): err says what is wrong with redis.url; the url itself is
 * not shown, it holds a secret. */
MUST_CHECK enum status redis_url_parse(const char *text, struct redis_url *out, struct error *err);

struct redisContext;
struct redis {
  struct redisContext *context; /* NULL: not connected */
  struct buffer command;        /* being built */
  bool closed; /* the last failure was that the other side had closed, which says little when it lay
                  idle before */
};
MUST_CHECK enum status redis_connect(struct redis *r, const struct redis_url *url, int timeout_ms,
                                     struct error *err);
void redis_drop(struct redis *r);

MUST_CHECK enum status redis_append(struct redis *r, const struct span *words, size_t count,
                                    struct error *err);
/* An answer that is not an error. A refusal in words (OOM, READONLY, ...) leaves the connection fit
 * for the next answer: *refused. */
MUST_CHECK enum status redis_expect_ok(struct redis *r, bool *refused, struct error *err);
/* An answer of count values: there[i], and, when wanted, its bytes in arena. */
MUST_CHECK enum status redis_expect_values(struct redis *r, size_t count, bool *there,
                                           struct span *values, struct arena *arena,
                                           struct error *err);
MUST_CHECK enum status redis_expect_text(struct redis *r, struct buffer *out, bool *refused,
                                         struct error *err);

#endif
