/* Asks Redis for ids and sets them, a thousand at a time; what Redis cannot take now goes to
 * what is due, to be told to it later.
 * Any thread; a crash leaves keys set that nobody noted, which does no harm. */
#include "bridge/keys/keys_private.h"

#define AT_A_TIME 1000    /* ids of one pipeline */
#define DUE_MOST 1000000  /* ids that wait for it */
#define TEND_PIPELINES 50 /* of one keys_tend: the loop that calls it has other work */

/* ---- opening ---- */

static enum status fill_keys(struct keys *k, const struct keys_config *config, struct error *err) {
  enum status st = redis_url_parse(config->url, &k->url, err);
  if (st != ST_OK) return st;
  k->prefix = strdup(config->prefix);
  if (!k->prefix) return error_set(err, ST_NO_MEMORY, "out of memory");
  snprintf(k->ttl, sizeof k->ttl, "%lld",
           (long long)(config->ttl_ms < 1000 ? 1 : (config->ttl_ms + 999) / 1000));
  if (!config->due || k->url.off) return ST_OK;
  k->due = *config->due;
  return k->due.open(k->due.ctx, DUE_MOST, err);
}

enum status keys_open(const struct keys_config *config, struct log *log, struct keys **out,
                      struct error *err) {
  struct keys *k = calloc(1, sizeof *k);
  if (!k) return error_set(err, ST_NO_MEMORY, "out of memory");
  mutex_init(&k->check.lock);
  mutex_init(&k->set.lock);
  mutex_init(&k->state);
  k->clock = config->clock;
  k->log = log;
  k->timeout_ms = config->timeout_ms;
  k->required = config->required;
  enum status st = fill_keys(k, config, err);
  if (st != ST_OK) {
    keys_close(k);
    return st;
  }
  *out = k;
  return ST_OK;
}

void keys_close(struct keys *k) {
  if (!k) return;
  redis_drop(&k->check.redis);
  redis_drop(&k->set.redis);
  mutex_destroy(&k->check.lock);
  mutex_destroy(&k->set.lock);
  mutex_destroy(&k->state);
  free(k->prefix);
  free(k);
}

static bool is_due(const struct keys *k, struct span id) {
  return k->due.has && k->due.has(k->due.ctx, id);
}

/* ---- check ---- */

struct check_job {
  const struct span *ids;
  size_t count;
  bool *seen;
  struct span *place;
  struct arena *arena;
};

/* One MGET. */
static enum status run_check(struct keys *k, struct redis *r, void *job, struct error *err) {
  struct check_job *j = job;
  struct buffer names = {0};
  struct span *words = calloc(j->count + 1, sizeof *words);
  size_t prefix = strlen(k->prefix), at = 0;
  enum status st = words ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
  for (size_t i = 0; i < j->count; i++) {
    buffer_append(&names, k->prefix, prefix);
    buffer_add(&names, j->ids[i]);
  }
  if (st == ST_OK) st = buffer_status(&names, err);
  if (st == ST_OK) {
    words[0] = SPAN("MGET");
    for (size_t i = 0; i < j->count; i++) {
      words[i + 1] = (struct span){names.ptr + at, prefix + j->ids[i].len};
      at += words[i + 1].len;
    }
    BUG_ON(at != names.len);
    st = redis_append(r, words, j->count + 1, err);
  }
  if (st == ST_OK) st = redis_expect_values(r, j->count, j->seen, j->place, j->arena, err);
  buffer_release(&names);
  free(words);
  return st;
}

enum status keys_check(struct keys *k, const struct span *ids, size_t count, bool *seen,
                       struct span *place, struct arena *arena) {
  /* Due first, Redis after: an id on its way from the one to the other is found in either. */
  for (size_t i = 0; i < count; i++) {
    seen[i] = is_due(k, ids[i]);
    if (place) place[i] = (struct span){NULL, 0};
  }
  if (k->url.off || count == 0) return ST_OK;
  enum status st = ST_OK;
  mutex_lock(&k->check.lock);
  for (size_t at = 0; st == ST_OK && at < count; at += AT_A_TIME) {
    size_t n = count - at < AT_A_TIME ? count - at : AT_A_TIME;
    struct check_job job = {ids + at, n, seen + at, place ? place + at : NULL, arena};
    st = connection_exchange(k, &k->check, run_check, &job, NULL);
  }
  mutex_unlock(&k->check.lock);
  mutex_lock(&k->state);
  k->checks += count;
  mutex_unlock(&k->state);
  return st == ST_OK ? ST_OK : ST_UNAVAILABLE;
}

/* ---- set ---- */

struct set_job {
  const struct key *list;
  size_t count;
  bool *done; /* Redis said OK */
};

static enum status append_sets(struct keys *k, struct redis *r, const struct set_job *j,
                               struct error *err) {
  struct buffer name = {0};
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < j->count; i++) {
    buffer_clear(&name);
    buffer_add_z(&name, k->prefix);
    buffer_add(&name, j->list[i].id);
    st = buffer_status(&name, err);
    struct span place = j->list[i].place.len ? j->list[i].place : SPAN("");
    struct span words[5] = {SPAN("SET"), buffer_span(&name), place, SPAN("EX"), span_of(k->ttl)};
    if (st == ST_OK) st = redis_append(r, words, 5, err);
  }
  buffer_release(&name);
  return st;
}

/* A SET each. One refusal does not stop the answers to the others. */
static enum status run_set(struct keys *k, struct redis *r, void *job, struct error *err) {
  struct set_job *j = job;
  enum status st = append_sets(k, r, j, err), worst = ST_OK;
  for (size_t i = 0; st == ST_OK && i < j->count; i++) {
    bool refused;
    st = redis_expect_ok(r, &refused, worst == ST_OK ? err : NULL);
    j->done[i] = st == ST_OK;
    if (!refused) continue;
    worst = st;
    st = ST_OK;
  }
  return st != ST_OK ? st : worst;
}

static enum status set_all(struct keys *k, const struct key *list, size_t count, bool *done,
                           struct error *err) {
  enum status st = ST_OK;
  for (size_t at = 0; st == ST_OK && at < count; at += AT_A_TIME) {
    size_t n = count - at < AT_A_TIME ? count - at : AT_A_TIME;
    struct set_job job = {list + at, n, done + at};
    st = connection_exchange(k, &k->set, run_set, &job, err);
  }
  return st;
}

static enum status keep_due(struct keys *k, const struct key *list, const bool *done, size_t count,
                            struct error *err) {
  uint64_t given_up = 0;
  struct error why = {0};
  enum status st = k->due.add(k->due.ctx, list, done, count, &given_up, &why);
  if (st != ST_OK) *err = why;
  if (!given_up) return st;
  mutex_lock(&k->state);
  k->given_up += given_up;
  mutex_unlock(&k->state);
  log_write(k->log, LOG_WARNING, "keys", "keys_given_up", FIELDS(F_INT("count", given_up)),
            "Redis has been away for so long that the oldest idempotency keys due are given up; a "
            "duplicate of those events will not be noticed");
  return st;
}

enum status keys_set(struct keys *k, const struct key *list, size_t count, struct error *err) {
  if (k->url.off || count == 0) return ST_OK;
  struct error own = {0};
  bool *done = calloc(count, sizeof *done);
  if (!done) return error_set(err, ST_NO_MEMORY, "out of memory");
  mutex_lock(&k->set.lock);
  enum status st = set_all(k, list, count, done, &own);
  size_t set = 0;
  for (size_t i = 0; i < count; i++) set += done[i];
  BUG_ON(st == ST_OK && set != count);
  if (st != ST_OK && k->due.add) st = keep_due(k, list, done, count, &own);
  mutex_unlock(&k->set.lock);
  free(done);
  mutex_lock(&k->state);
  k->sets += set;
  mutex_unlock(&k->state);
  if (st != ST_OK)
    return error_set(err, st, "idempotency keys are neither in Redis nor in the outbox: %s",
                     own.text);
  return ST_OK;
}

/* ---- what is due ---- */

/* Sets the oldest thousand; *more tells whether there may be others. The caller holds set.lock. */
static enum status set_some_due(struct keys *k, bool now, bool *more, struct error *err) {
  struct key list[AT_A_TIME];
  bool done[AT_A_TIME] = {false};
  size_t count = 0;
  *more = false;
  if (!now && !connection_may_try(k, &k->set, err)) return ST_UNAVAILABLE;
  enum status st = k->due.read(k->due.ctx, list, AT_A_TIME, &count, err);
  if (st != ST_OK || count == 0) return st;
  BUG_ON(count > AT_A_TIME);
  struct set_job job = {list, count, done};
  st = connection_exchange_now(k, &k->set, run_set, &job, err);
  if (st == ST_OK) st = k->due.drop(k->due.ctx, err);
  *more = st == ST_OK;
  if (st != ST_OK) return st;
  mutex_lock(&k->state);
  k->sets += count;
  mutex_unlock(&k->state);
  return ST_OK;
}

static void set_due(struct keys *k) {
  struct error err = {0};
  bool more = true;
  for (int i = 0; more && i < TEND_PIPELINES; i++) {
    mutex_lock(&k->set.lock);
    enum status st = set_some_due(k, false, &more, &err);
    mutex_unlock(&k->set.lock);
    if (st != ST_OK && st != ST_UNAVAILABLE)
      log_write(k->log, LOG_ERROR, "keys", "keys_due_failed", FIELDS(F_TEXT("error", err.text)),
                "What Redis has yet to be told cannot be worked off; fix the outbox");
  }
}

void keys_tend(struct keys *k) {
  if (k->url.off) return;
  connection_probe(k, &k->check);
  /* What is due is the better probe: a replica answers a PING too. */
  if (keys_due_count(k) > 0)
    set_due(k);
  else
    connection_probe(k, &k->set);
}

struct forget_job {
  struct span id;
};

static enum status run_forget(struct keys *k, struct redis *r, void *job, struct error *err) {
  struct forget_job *j = job;
  struct buffer name = {0};
  bool refused;
  buffer_add_z(&name, k->prefix);
  buffer_add(&name, j->id);
  enum status st = buffer_status(&name, err);
  struct span words[2] = {SPAN("DEL"), buffer_span(&name)};
  if (st == ST_OK) st = redis_append(r, words, 2, err);
  if (st == ST_OK) st = redis_expect_ok(r, &refused, err);
  buffer_release(&name);
  return st;
}

enum status keys_forget(struct keys *k, struct span id, struct error *err) {
  struct error own = {0};
  struct forget_job job = {id};
  enum status st = ST_OK;
  bool more = true;
  if (k->url.off) return ST_OK;
  mutex_lock(&k->set.lock);
  /* An id that is due is told to Redis with all the others first: there it can be forgotten. */
  while (st == ST_OK && more && is_due(k, id)) st = set_some_due(k, true, &more, &own);
  if (st == ST_OK) st = connection_exchange_now(k, &k->set, run_forget, &job, &own);
  mutex_unlock(&k->set.lock);
  if (st != ST_OK)
    return error_set(err, st, "Redis has to forget the id and cannot be used: %s", own.text);
  return ST_OK;
}

/* ---- telling ---- */

void keys_state(struct keys *k, struct keys_state *out) {
  *out = (struct keys_state){.off = k->url.off};
  out->due = keys_due_count(k);
  mutex_lock(&k->state);
  out->given_up = k->given_up;
  out->up = k->worked && !k->check.away && !k->set.away;
  out->checks = k->checks;
  out->sets = k->sets;
  out->errors = k->errors;
  memcpy(out->error, k->error, sizeof out->error);
  mutex_unlock(&k->state);
}
