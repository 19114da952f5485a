/* One exchange with Redis: connecting, trying again after a while, and what is said when it is away
 * or back.
 * One thread at a time, under the lock of keys.c; a crash leaves nothing. */
#include "bridge/base/backoff.h"
#include "bridge/keys/keys_private.h"

/* By the word that begins Redis' answer (an address may stand before it). */
static const struct {
  const char *word, *remedy;
} answers[] = {
    {"MOVED",
     "It is a Redis Cluster, which spreads keys: set redis.url to one that is not clustered"},
    {"CROSSSLOT",
     "It is a Redis Cluster, which spreads keys: set redis.url to one that is not clustered"},
    {"CLUSTERDOWN",
     "It is a Redis Cluster, which spreads keys: set redis.url to one that is not clustered"},
    {"READONLY", "redis.url names a replica: name the primary"},
    {"MASTERDOWN", "redis.url names a replica that has lost its primary: name the primary"},
    {"NOREPLICAS",
     "It wants replicas that it has lost: bring them back, or lower its min-replicas-to-write"},
    {"OOM", "Its memory is full: raise its maxmemory, or lower redis.ttl"},
    {"NOAUTH", "It wants a password: put it into redis.url"},
    {"WRONGPASS", "Fix user and password in redis.url"},
    {"it refused the password", "Fix user and password in redis.url"},
    {"NOPERM", "Allow its user MGET, SET, DEL and PING on keys under redis.prefix (ACL SETUSER)"},
    {"LOADING", "It is loading its data: wait"},
    {"MISCONF", "It cannot save to its disk: free space there, and see its log"},
    {"BUSY ", "A script keeps it busy: wait, or end that by SCRIPT KILL"},
    {"DENIED", "It is in protected mode: give it a password, and put that into redis.url"},
    {"WRONGTYPE", "Somebody else's keys stand under redis.prefix: choose another prefix"},
    {"max number of clients", "Close clients that idle there, or raise its maxclients"},
    {"DB index", "It has fewer databases: fix the number at the end of redis.url"},
    {"ERR ", "Fix redis.url: what answers there does not know what it is asked"},
};

/* answered: it is there and refuses, it is not away. */
static const char *remedy_of(const char *error, bool *answered) {
  for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
    if (!strstr(error, answers[i].word)) continue;
    *answered = true;
    return answers[i].remedy;
  }
  *answered = false;
  return "Start Redis or fix redis.url, or set redis.url=off to do without";
}

void keys_words(const char *error, bool required, struct keys_words *out) {
  bool answered;
  const char *remedy = remedy_of(error, &answered);
  snprintf(out->cause, sizeof out->cause, "Redis %s (%s)%s", answered ? "refuses" : "is away",
           error,
           required ? " and redis.required is true: everything waits for it"
                    : ": duplicates of earlier events are not recognised");
  snprintf(out->next, sizeof out->next, "%s; %s", remedy,
           required ? "redis.required = false goes on without it"
                    : "the relay goes on and heals by itself");
}

/* Where nothing is kept (a command), whoever asked is told by the status. */
static void say_away(struct keys *k, const char *error) {
  struct keys_words words;
  keys_words(error, k->required, &words);
  log_write(k->log, k->due.add ? LOG_WARNING : LOG_DEBUG, "keys", "redis_away",
            FIELDS(F_TEXT("error", error), F_INT("due", keys_due_count(k))), "%s. %s", words.cause,
            words.next);
}

static void say_back(struct keys *k) {
  log_write(k->log, LOG_INFO, "keys", "redis_back", FIELDS(F_INT("due", keys_due_count(k))),
            "Redis keeps idempotency keys again; those due are being set");
}

static void count_failure(struct keys *k, struct connection *l, const struct error *err) {
  static const struct backoff wait = {.base_ms = 50, .max_ms = 5000, .jitter_ms = 10};
  mutex_lock(&k->state);
  bool news = !k->check.away && !k->set.away;
  l->away = true;
  l->failures++;
  l->retry_ns = clock_mono_ns(k->clock) + backoff_delay_ms(&wait, l->failures, k->clock) * 1000000;
  k->errors++;
  snprintf(k->error, sizeof k->error, "%.199s", err->text);
  mutex_unlock(&k->state);
  if (news) say_away(k, err->text);
}

static void count_success(struct keys *k, struct connection *l) {
  mutex_lock(&k->state);
  bool news = l->away && !(k->check.away && k->set.away);
  l->away = false;
  l->failures = 0;
  k->worked = true;
  mutex_unlock(&k->state);
  if (news) say_back(k);
}

bool connection_may_try(struct keys *k, struct connection *l, struct error *err) {
  mutex_lock(&k->state);
  bool may = l->failures == 0 || clock_mono_ns(k->clock) >= l->retry_ns;
  if (!may) error_set(err, ST_UNAVAILABLE, "%s", k->error);
  mutex_unlock(&k->state);
  return may;
}

enum status connection_exchange_now(struct keys *k, struct connection *l, connection_job_fn run,
                                    void *job, struct error *err) {
  struct error own = {0};
  bool idle = l->redis.context != NULL;
  enum status st = idle ? ST_OK : redis_connect(&l->redis, &k->url, k->timeout_ms, &own);
  if (st == ST_OK) st = run(k, &l->redis, job, &own);
  if (st != ST_OK && idle && l->redis.closed) {
    /* It was closed while it lay idle (a restart, Redis' own timeout): that says nothing about now.
     */
    own = (struct error){0};
    st = redis_connect(&l->redis, &k->url, k->timeout_ms, &own);
    if (st == ST_OK) st = run(k, &l->redis, job, &own);
  }
  if (st == ST_OK) {
    count_success(k, l);
    return ST_OK;
  }
  redis_drop(&l->redis);
  count_failure(k, l, &own);
  if (err) *err = own;
  return st;
}

enum status connection_exchange(struct keys *k, struct connection *l, connection_job_fn run,
                                void *job, struct error *err) {
  if (!connection_may_try(k, l, err)) return ST_UNAVAILABLE;
  return connection_exchange_now(k, l, run, job, err);
}

static enum status run_ping(struct keys *k, struct redis *r, void *job, struct error *err) {
  bool refused;
  struct span word = SPAN("PING");
  (void)k, (void)job;
  enum status st = redis_append(r, &word, 1, err);
  return st == ST_OK ? redis_expect_ok(r, &refused, err) : st;
}

void connection_probe(struct keys *k, struct connection *l) {
  mutex_lock(&k->state);
  bool away = l->away;
  mutex_unlock(&k->state);
  if (!away) return;
  mutex_lock(&l->lock);
  enum status st = connection_exchange(k, l, run_ping, NULL, NULL);
  mutex_unlock(&l->lock);
  (void)st; /* it is in the state */
}
