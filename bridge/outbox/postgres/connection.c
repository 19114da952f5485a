/* One connection to PostgreSQL: made when it is needed, given up at the first doubt, made again
 * after a while. libpq never waits by itself: each wait is a poll with its end.
 * Any thread, under the connection's lock. A crash leaves a statement done or not; the server
 * undoes what is not whole. */
#include "bridge/outbox/postgres/connection.h"

#include "bridge/base/thread.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <stdatomic.h>

#define REPEATS 5 /* of a statement that a conflict undid */

struct pg_connection {
  struct pg_config config;
  struct mutex lock;
  PGconn *pg; /* NULL: none */
  atomic_ullong connections;
  atomic_bool connected;
  unsigned failures; /* in a row */
  int64_t retry_ns;  /* not before; of a failure */
  struct error last; /* that failure */
  bool warned;       /* by 01000, since the statement was sent */
  int version;
};

void pg_answer_release(struct pg_answer *a) {
  PQclear(a->rows);
  *a = (struct pg_answer){0};
}

enum status pg_connection_open(const struct pg_config *config, struct pg_connection **out,
                               struct error *err) {
  struct pg_connection *c = calloc(1, sizeof *c);
  if (!c) return error_set(err, ST_NO_MEMORY, "no memory for a connection");
  c->config = *config;
  mutex_init(&c->lock);
  *out = c;
  return ST_OK;
}

void pg_connection_close(struct pg_connection *c) {
  if (!c) return;
  PQfinish(c->pg);
  mutex_destroy(&c->lock);
  free(c);
}

uint64_t pg_connections(struct pg_connection *c) {
  return atomic_load(&c->connections);
}

bool pg_connected(struct pg_connection *c) {
  return atomic_load(&c->connected);
}

int pg_server_version(struct pg_connection *c) {
  mutex_lock(&c->lock);
  int version = c->version;
  mutex_unlock(&c->lock);
  return version;
}

/* ---- what went wrong ---- */

/* "... FATAL:  28P01: words": the code, which is cut out of the text; empty: there is none. libpq
 * tells it no other way while it connects. */
static struct span cut_code(char *text, char code[6]) {
  for (char *at = strstr(text, ":  "); at; at = strstr(at + 1, ":  ")) {
    size_t n = 0;
    while (n < 5 && isalnum((unsigned char)at[3 + n])) n++;
    if (n < 5 || at[8] != ':') continue;
    memcpy(code, at + 3, 5);
    code[5] = '\0';
    memmove(at + 2, at + 10, strlen(at + 10) + 1);
    return (struct span){code, 5};
  }
  return (struct span){0};
}

static enum status fail(struct error *err, enum pg_fault fault, const char *text) {
  const char *remedy = pg_fault_remedy(fault);
  struct span line = {text, strcspn(text, "\n")};
  enum status st = error_set(err, pg_fault_status(fault), "PostgreSQL: %.*s%s%s", SPAN_ARGS(line),
                             *remedy ? "; " : "", remedy);
  if (err) {
    err->cause = (int)fault;
    err->sys = pg_fault_sys(fault);
  }
  return st;
}

/* The connection is no more. */
static void part(struct pg_connection *c, const struct error *why) {
  PQfinish(c->pg);
  c->pg = NULL;
  c->last = *why;
  c->failures++;
  atomic_store(&c->connected, false);
  c->retry_ns = clock_mono_ns(c->config.clock) +
                backoff_delay_ms(&c->config.backoff, c->failures, c->config.clock) * 1000000;
}

static enum status cut_off(struct pg_connection *c, const char *text, struct error *err) {
  enum status st = fail(err, PG_AWAY, text);
  part(c, err);
  return st;
}

/* The server's own word about a statement; the detail is left out, rows stand in it. */
static enum status refused(struct pg_connection *c, const PGresult *r, struct error *err) {
  const char *code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
  const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
  const char *context = PQresultErrorField(r, PG_DIAG_CONTEXT);
  bool cut = !code && PQstatus(c->pg) == CONNECTION_BAD;
  enum pg_fault fault = code || cut ? pg_fault_in(span_of(code), context) : PG_OTHER;
  if (fault == PG_KEPT) text = "a row that was to be deleted is still there";
  return fail(err, fault, text ? text : PQerrorMessage(c->pg));
}

/* ---- waiting ---- */

/* false: the time is past. */
static bool wait_for(struct pg_connection *c, short events, int64_t until_ns) {
  int64_t left_ns = until_ns - clock_mono_ns(c->config.clock);
  if (left_ns <= 0) return false;
  int64_t ms = left_ns / 1000000 + 1;
  struct pollfd one = {.fd = PQsocket(c->pg), .events = events};
  thread_poll(&one, 1, ms > 3600000 ? 3600000 : (int)ms);
  return true;
}

static enum status no_answer(struct pg_connection *c, const char *what, int64_t ms,
                             struct error *err) {
  char text[120];
  snprintf(text, sizeof text, "%s within %lld ms", what, (long long)ms);
  return cut_off(c, text, err);
}

/* ---- connecting ---- */

/* What the server says beside its answers. Only that a commit did not wait for the standby means
 * anything here. */
static void notice(void *ctx, const PGresult *r) {
  struct pg_connection *c = ctx;
  const char *code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
  c->warned |= code && !strcmp(code, "01000");
}

static enum status not_connected(struct pg_connection *c, const char *host, struct error *err) {
  char text[500], code[6];
  snprintf(text, sizeof text, "%s", PQerrorMessage(c->pg));
  enum pg_fault fault = pg_fault_of(cut_code(text, code));
  bool writes_not = strstr(text, "read-only") || strstr(text, "hot standby");
  if (fault == PG_AWAY && writes_not) fault = PG_READ_ONLY;
  if (!*text) snprintf(text, sizeof text, "%s does not answer", host);
  return fail(err, fault, text);
}

static enum status connect_to(struct pg_connection *c, const struct pg_host *host,
                              struct error *err) {
  int64_t until_ns = clock_mono_ns(c->config.clock) + c->config.connect_ms * 1000000;
  c->pg = PQconnectStartParams(host->names, host->values, 0);
  if (!c->pg) return error_set(err, ST_NO_MEMORY, "no memory for a connection");
  PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
  PQsetNoticeReceiver(c->pg, notice, c);
  PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
  bool in_time = true;
  while (PQstatus(c->pg) != CONNECTION_BAD && wants != PGRES_POLLING_OK &&
         wants != PGRES_POLLING_FAILED && in_time) {
    in_time = wait_for(c, wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ns);
    if (in_time) wants = PQconnectPoll(c->pg);
  }
  enum status st = ST_OK;
  if (!in_time) {
    char text[400];
    snprintf(text, sizeof text, "%s does not answer within %lld ms", host->shown,
             (long long)c->config.connect_ms);
    st = fail(err, PG_AWAY, text);
  } else if (wants != PGRES_POLLING_OK) {
    st = not_connected(c, host->shown, err);
  } else if (PQsetnonblocking(c->pg, 1) != 0) {
    st = error_set(err, ST_NO_MEMORY, "no memory for a connection");
  }
  if (st == ST_OK) return ST_OK;
  PQfinish(c->pg);
  c->pg = NULL;
  return st;
}

/* What the servers said, one behind the other; the cause is the first one's that tells more than
 * that nobody answers. */
static void gather(struct error *all, const struct error *one) {
  if (all->status == ST_OK) {
    *all = *one;
    return;
  }
  struct error both = all->cause == PG_AWAY ? *one : *all;
  struct error words = {0};
  error_set(&words, both.status, "%s; %s", all->text, one->text);
  memcpy(both.text, words.text, sizeof both.text);
  *all = both;
}

/* There is a connection; ST_UNAVAILABLE at once while the back-off lasts. */
static enum status meet(struct pg_connection *c, struct error *err) {
  const struct pg_address *a = c->config.address;
  struct error all = {0};
  if (c->pg && PQstatus(c->pg) == CONNECTION_OK) return ST_OK;
  if (!c->pg && c->failures && clock_mono_ns(c->config.clock) < c->retry_ns) {
    *err = c->last;
    return err->status;
  }
  PQfinish(c->pg);
  c->pg = NULL;
  for (size_t i = 0; i < a->count; i++) {
    struct error one = {0};
    if (connect_to(c, &a->hosts[i], &one) == ST_OK) {
      atomic_fetch_add(&c->connections, 1);
      atomic_store(&c->connected, true);
      c->version = PQserverVersion(c->pg);
      return ST_OK;
    }
    gather(&all, &one);
  }
  *err = all;
  part(c, &all);
  return all.status;
}

/* ---- a statement ---- */

struct question {
  const char *sql;
  const struct pg_args *args;
  bool script; /* statements one behind the other, without arguments */
};

static enum status send_all(struct pg_connection *c, const struct question *q, int64_t until_ns,
                            struct error *err) {
  static const struct pg_args none;
  static const int binary[PG_ARGS_MOST] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const struct pg_args *a = q->args ? q->args : &none;
  c->warned = false;
  int sent = q->script ? PQsendQuery(c->pg, q->sql)
                       : PQsendQueryParams(c->pg, q->sql, a->count, a->types, a->values, a->lengths,
                                           binary, 1);
  if (!sent) return cut_off(c, PQerrorMessage(c->pg), err);
  int left;
  while ((left = PQflush(c->pg)) > 0) {
    if (!wait_for(c, POLLIN | POLLOUT, until_ns))
      return no_answer(c, "it does not take a statement", c->config.answer_ms, err);
    if (!PQconsumeInput(c->pg)) break; /* the answer says why */
  }
  return left < 0 ? cut_off(c, PQerrorMessage(c->pg), err) : ST_OK;
}

/* The next part of the answer, or NULL: it is whole. */
static enum status receive(struct pg_connection *c, int64_t until_ns, PGresult **out,
                           struct error *err) {
  *out = NULL;
  while (PQisBusy(c->pg)) {
    if (!wait_for(c, POLLIN, until_ns)) return no_answer(c, "no answer", c->config.answer_ms, err);
    if (!PQconsumeInput(c->pg) && PQisBusy(c->pg)) return cut_off(c, PQerrorMessage(c->pg), err);
  }
  *out = PQgetResult(c->pg);
  return ST_OK;
}

/* One part of the answer, which is taken over or freed. */
static enum status take(struct pg_connection *c, PGresult *r, PGresult **whole, struct error *err) {
  ExecStatusType how = PQresultStatus(r);
  if (how == PGRES_TUPLES_OK || how == PGRES_COMMAND_OK) {
    PQclear(*whole);
    *whole = r;
    return ST_OK;
  }
  enum status st = refused(c, r, err);
  PQclear(r);
  return st;
}

/* Sent once, received to its end: a refusal too is followed by the end of the answer. */
static enum status once(struct pg_connection *c, struct question *q, PGresult **whole,
                        struct error *err) {
  int64_t until_ns = clock_mono_ns(c->config.clock) + c->config.answer_ms * 1000000;
  enum status st = send_all(c, q, until_ns, err);
  while (c->pg) {
    struct error one = {0};
    PGresult *r;
    enum status got = receive(c, until_ns, &r, &one);
    if (got == ST_OK && !r) break;
    if (got == ST_OK) got = take(c, r, whole, &one);
    if (st != ST_OK || got == ST_OK) continue;
    st = got;
    *err = one;
  }
  if (st == ST_OK && !*whole) st = fail(err, PG_AWAY, "the answer was cut off");
  if (st == ST_OK)
    c->failures = 0;
  else if (c->pg &&
           (PQstatus(c->pg) == CONNECTION_BAD || pg_fault_parts((enum pg_fault)err->cause)))
    part(c, err);
  return st;
}

static enum status ask(struct pg_connection *c, struct question *q, PGresult **whole,
                       struct error *err) {
  static const struct backoff conflict = {10, 200, 20};
  enum status st = ST_OK;
  for (unsigned tries = 1;; tries++) {
    *err = (struct error){0};
    st = meet(c, err);
    if (st == ST_OK) st = once(c, q, whole, err);
    if (st != ST_OK) PQclear(*whole);
    if (st != ST_OK) *whole = NULL;
    if (st == ST_OK || err->cause != PG_REPEAT || tries == REPEATS) return st;
    thread_sleep_until(clock_mono_ns(c->config.clock) +
                       backoff_delay_ms(&conflict, tries, c->config.clock) * 1000000);
  }
}

enum status pg_ask(struct pg_connection *c, const char *sql, const struct pg_args *args,
                   struct pg_answer *out, struct error *err) {
  struct question q = {.sql = sql, .args = args};
  struct error why;
  *out = (struct pg_answer){0};
  mutex_lock(&c->lock);
  enum status st = ask(c, &q, &out->rows, &why);
  out->not_durable = st == ST_OK && c->warned;
  mutex_unlock(&c->lock);
  if (err && st != ST_OK) *err = why;
  return st;
}

enum status pg_run_script(struct pg_connection *c, const char *sql, struct error *err) {
  struct question q = {.sql = sql, .script = true};
  PGresult *end = NULL;
  struct error why;
  mutex_lock(&c->lock);
  enum status st = meet(c, &why);
  if (st == ST_OK) st = once(c, &q, &end, &why);
  if (st != ST_OK && c->pg) part(c, &why); /* it may stand within a transaction */
  mutex_unlock(&c->lock);
  PQclear(end);
  if (err && st != ST_OK) *err = why;
  return st;
}
