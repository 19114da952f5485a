/* Commands and answers on one connection. hiredis 0.14 and 1.x alike: only what both have is used.
 * It writes without MSG_NOSIGNAL (see keys.h).
 * One thread at a time, under the lock of keys.c; a crash leaves nothing. */
#include "bridge/keys/keys_redis.h"

#include "bridge/base/text/words.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <sys/time.h>

void redis_drop(struct redis *r) {
  if (r->context) redisFree(r->context);
  r->context = NULL;
  buffer_release(&r->command);
}

/* The connection's own error; errnum as it was right after the failing call. */
static enum status broken(struct redis *r, int errnum, struct error *err) {
  const redisContext *c = r->context;
  r->closed = c->err == REDIS_ERR_EOF ||
              (c->err == REDIS_ERR_IO && (errnum == EPIPE || errnum == ECONNRESET));
  if (c->err == REDIS_ERR_IO && (errnum == EAGAIN || errnum == ETIMEDOUT))
    return error_set(err, ST_UNAVAILABLE, "no answer within the time allowed");
  return error_set(err, ST_UNAVAILABLE, "%s", c->errstr[0] ? c->errstr : "the connection failed");
}

static struct timeval as_timeval(int ms) {
  return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static enum status log_in(struct redis *r, const struct redis_url *url, struct error *err) {
  bool refused = false;
  struct span words[3] = {SPAN("AUTH"), span_of(url->user), span_of(url->password)};
  if (!url->user[0]) words[1] = words[2];
  enum status st = redis_append(r, words, url->user[0] ? 3 : 2, err);
  if (st == ST_OK) st = redis_expect_ok(r, &refused, err);
  /* Not known to happen, but a refusal that quotes its command would. */
  if (refused && err && strstr(err->text, url->password))
    return error_set(err, st, "it refused the password");
  return st;
}

static enum status select_db(struct redis *r, int db, struct error *err) {
  char number[16];
  bool refused;
  snprintf(number, sizeof number, "%d", db);
  struct span words[2] = {SPAN("SELECT"), span_of(number)};
  enum status st = redis_append(r, words, 2, err);
  return st == ST_OK ? redis_expect_ok(r, &refused, err) : st;
}

enum status redis_connect(struct redis *r, const struct redis_url *url, int timeout_ms,
                          struct error *err) {
  struct timeval wait = as_timeval(timeout_ms);
  redis_drop(r);
  r->closed = false;
  r->context = url->host[0] ? redisConnectWithTimeout(url->host, url->port, wait)
                            : redisConnectUnixWithTimeout(url->path, wait);
  if (!r->context) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st =
      r->context->err ? error_set(err, ST_UNAVAILABLE, "%s", r->context->errstr) : ST_OK;
  if (st == ST_OK) fcntl(r->context->fd, F_SETFD, FD_CLOEXEC);
  if (st == ST_OK && redisSetTimeout(r->context, wait) != REDIS_OK) st = broken(r, errno, err);
  if (st == ST_OK && url->password[0]) st = log_in(r, url, err);
  if (st == ST_OK && url->db > 0) st = select_db(r, url->db, err);
  if (st == ST_OK) return ST_OK;
  redis_drop(r);
  return url->host[0] ? error_prefix(err, "%s:%d", url->host, url->port)
                      : error_prefix(err, "%s", url->path);
}

static void add_length(struct buffer *out, char mark, size_t n) {
  char text[NUMBER_DIGITS + 3] = {mark};
  size_t len = 1 + number_digits(n, text + 1);
  text[len++] = '\r';
  text[len++] = '\n';
  buffer_append(out, text, len);
}

/* The protocol's own form: an array of strings. hiredis makes the same, in four times the time. */
enum status redis_append(struct redis *r, const struct span *words, size_t count,
                         struct error *err) {
  struct buffer *command = &r->command;
  BUG_ON(!r->context || !count);
  buffer_clear(command);
  add_length(command, '*', count);
  for (size_t i = 0; i < count; i++) {
    add_length(command, '$', words[i].len);
    buffer_add(command, words[i]);
    buffer_add(command, SPAN("\r\n"));
  }
  enum status st = buffer_status(command, err);
  if (st != ST_OK) return st;
  return redisAppendFormattedCommand(r->context, command->ptr, command->len) == REDIS_OK
             ? ST_OK
             : broken(r, errno, err);
}

static enum status receive(struct redis *r, redisReply **reply, struct error *err) {
  void *got = NULL;
  BUG_ON(!r->context);
  errno = 0;
  if (redisGetReply(r->context, &got) != REDIS_OK || !got) return broken(r, errno, err);
  *reply = got;
  return ST_OK;
}

static enum status refusal(const redisReply *reply, struct error *err) {
  if (reply->type == REDIS_REPLY_ERROR)
    return error_set(err, ST_UNAVAILABLE, "%.*s", (int)(reply->len < 200 ? reply->len : 200),
                     reply->str);
  return error_set(err, ST_UNAVAILABLE, "an answer of an unexpected kind; is it Redis?");
}

enum status redis_expect_ok(struct redis *r, bool *refused, struct error *err) {
  redisReply *reply = NULL;
  *refused = false;
  enum status st = receive(r, &reply, err);
  if (st != ST_OK) return st;
  if (reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_INTEGER) {
    st = refusal(reply, err);
    *refused = true;
  }
  freeReplyObject(reply);
  return st;
}

enum status redis_expect_values(struct redis *r, size_t count, bool *there, struct span *values,
                                struct arena *arena, struct error *err) {
  redisReply *reply = NULL;
  enum status st = receive(r, &reply, err);
  if (st != ST_OK) return st;
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count) st = refusal(reply, err);
  for (size_t i = 0; st == ST_OK && i < count; i++) {
    const redisReply *value = reply->element[i];
    if (value->type != REDIS_REPLY_STRING) continue;
    there[i] = true;
    /* No memory for the place: it is only told, never needed. */
    if (values) values[i] = arena_span(arena, (struct span){value->str, (size_t)value->len});
  }
  freeReplyObject(reply);
  return st;
}

enum status redis_expect_text(struct redis *r, struct buffer *out, bool *refused,
                              struct error *err) {
  redisReply *reply = NULL;
  *refused = false;
  enum status st = receive(r, &reply, err);
  if (st != ST_OK) return st;
  *refused = reply->type != REDIS_REPLY_STRING;
  if (*refused)
    st = refusal(reply, err);
  else
    buffer_append(out, reply->str, (size_t)reply->len);
  freeReplyObject(reply);
  return st;
}
