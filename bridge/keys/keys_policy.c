/* What Redis tells of itself: how much memory it may use, what it drops when that is full, and its
 * clock.
 * One thread at a time, under the lock of keys.c; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/keys/keys_private.h"

static enum status run_info(struct keys *k, struct redis *r, void *job, struct error *err) {
  bool refused = false;
  struct span words[2] = {SPAN("INFO"), SPAN("memory")};
  struct error own = {0};
  (void)k;
  enum status st = redis_append(r, words, 2, &own);
  if (st == ST_OK) st = redis_expect_text(r, job, &refused, &own);
  /* Whoever may not ask this can still keep keys. */
  if (refused &&
      (span_starts(span_of(own.text), "NOPERM") || span_starts(span_of(own.text), "ERR")))
    return ST_OK;
  *err = own;
  return st;
}

/* The rest of the line of INFO's answer that begins with that word. */
static struct span info_value(struct buffer *info, const char *word) {
  const char *at = strstr(buffer_z(info), word);
  if (!at) return SPAN("");
  at += strlen(word);
  return (struct span){at, strcspn(at, "\r\n")};
}

/* An answer of two texts: seconds and microseconds. */
static enum status run_time(struct keys *k, struct redis *r, void *job, struct error *err) {
  struct span word = SPAN("TIME"), values[2] = {{0}};
  struct arena arena = {0};
  struct keys_policy *out = job;
  bool there[2] = {false};
  int64_t before = clock_wall_us(k->clock);
  enum status st = redis_append(r, &word, 1, err);
  if (st == ST_OK) st = redis_expect_values(r, 2, there, values, &arena, err);
  uint64_t seconds, micros;
  if (st == ST_OK && there[0] && there[1] &&
      number_parse(values[0], INT64_MAX / 2000000, &seconds) &&
      number_parse(values[1], 999999, &micros)) {
    int64_t ours = before + (clock_wall_us(k->clock) - before) / 2;
    out->skew_us = (int64_t)(seconds * 1000000 + micros) - ours;
  }
  arena_release(&arena);
  return st;
}

static int64_t info_number(struct buffer *info, const char *word) {
  struct span value = info_value(info, word);
  uint64_t number;
  return number_parse(value, INT64_MAX, &number) ? (int64_t)number : 0;
}

static enum status ask_memory(struct keys *k, struct keys_policy *out, struct error *err) {
  struct buffer info = {0};
  *out = (struct keys_policy){.skew_us = TIME_NONE};
  if (k->url.off) return error_set(err, ST_UNSUPPORTED, "redis.url is off");
  mutex_lock(&k->check.lock);
  enum status st = connection_exchange(k, &k->check, run_info, &info, err);
  mutex_unlock(&k->check.lock);
  struct span policy = info_value(&info, "\nmaxmemory_policy:");
  snprintf(out->policy, sizeof out->policy, "%.*s", SPAN_ARGS(policy));
  out->used = info_number(&info, "\nused_memory:");
  out->limit = info_number(&info, "\nmaxmemory:");
  buffer_release(&info);
  return st;
}

enum status keys_policy(struct keys *k, struct keys_policy *out, struct error *err) {
  enum status st = ask_memory(k, out, err);
  if (st != ST_OK) return st;
  /* Whoever may not ask for the time has told the rest. */
  mutex_lock(&k->check.lock);
  enum status told = connection_exchange(k, &k->check, run_time, out, NULL);
  mutex_unlock(&k->check.lock);
  (void)told;
  return ST_OK;
}

bool keys_policy_evicts(const struct keys_policy *p) {
  return p->policy[0] && strcmp(p->policy, "noeviction") != 0 && p->limit != 0;
}

void keys_check_policy(struct keys *k) {
  struct keys_policy p;
  if (ask_memory(k, &p, NULL) == ST_OK && keys_policy_evicts(&p))
    log_write(
        k->log, LOG_WARNING, "keys", "redis_may_evict",
        FIELDS(F_TEXT("policy", p.policy), F_INT("maxmemory", p.limit)),
        "Redis may drop idempotency keys before their time, and duplicates pass then: set its "
        "maxmemory-policy to noeviction");
}
