/* Redis as idempotency keys need it, and the clocks.
 * One thread; a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/service/doctor/parts.h"

#define SKEW_MAX_US (5 * INT64_C(1000000))
#define FULL_PERCENT 90

/* A key is set, found and forgotten. */
static enum status probe(struct doctor *d, struct keys *keys, struct error *err) {
  char id[37];
  bool seen = false;
  struct keys_state state;
  uuid_make(d->clock, id);
  struct key key = {span_of(id), SPAN("doctor")};
  enum status st = keys_set(keys, &key, 1, err);
  if (st == ST_OK) st = keys_check(keys, &key.id, 1, &seen, NULL, NULL);
  if (st == ST_OK) st = keys_forget(keys, key.id, err);
  if (st == ST_OK && !seen)
    return error_set(err, ST_UNAVAILABLE, "it forgot a key that it had just been given");
  if (st == ST_OK) return ST_OK;
  keys_state(keys, &state); /* its own words, without ours */
  return error_set(err, st, "%s", state.error[0] ? state.error : err->text);
}

static void say_memory(struct doctor *d, const struct keys_policy *p) {
  char limit[40] = "no limit";
  if (p->limit > 0) snprintf(limit, sizeof limit, "of %lld MB", (long long)(p->limit / 1000000));
  bool full = p->limit > 0 && p->used / FULL_PERCENT * 100 >= p->limit;
  bool evicts = keys_policy_evicts(p);
  if (!p->policy[0]) {
    doctor_found(d, "redis memory", REPORT_SKIPPED, "this user may not ask for INFO memory");
    return;
  }
  doctor_found(d, "redis memory", full || evicts ? REPORT_WARNING : REPORT_OK,
               "maxmemory-policy %s, %.1f MB used, %s", p->policy, (double)p->used / 1e6, limit);
  if (evicts)
    doctor_next(
        d, "Set maxmemory-policy to noeviction (redis-cli CONFIG SET maxmemory-policy noeviction, "
           "and in its file): Redis may drop idempotency keys before their time, and duplicate ids "
           "pass then");
  else if (full)
    doctor_next(d, "Raise its maxmemory or lower redis.ttl: when it is full, ids wait in keys-due");
}

static void say_away(struct doctor *d, const struct error *err) {
  bool required = setting_bool(d->settings, SETTING_REDIS_REQUIRED);
  struct keys_words words;
  keys_words(err->text, required, &words);
  doctor_found(d, "redis", required ? REPORT_FAILED : REPORT_WARNING, "%s", words.cause);
  doctor_next(d, "%s", words.next);
}

static void ask_redis(struct doctor *d, struct keys *keys) {
  struct error err = {0};
  struct keys_policy policy;
  if (probe(d, keys, &err) != ST_OK) {
    say_away(d, &err);
    return;
  }
  doctor_found(d, "redis", REPORT_OK, "it answers, and keeps and forgets a key");
  if (keys_policy(keys, &policy, &err) != ST_OK) {
    doctor_found(d, "redis memory", REPORT_WARNING, "%s", err.text);
    return;
  }
  say_memory(d, &policy);
  d->redis_skew_us = policy.skew_us;
}

void doctor_check_redis(struct doctor *d) {
  struct error err = {0};
  struct keys *keys = NULL;
  struct keys_config config = d->plan.keys; /* with the worker's prefix: rights may depend on it */
  if (!*config.prefix) config.prefix = "busbridge:doctor:";
  config.ttl_ms = 60000; /* of the probe, should we end before it is forgotten */
  config.required = false;
  config.clock = d->clock;
  if (strcmp(config.url, "off") == 0) {
    doctor_found(d, "redis", REPORT_SKIPPED,
                 "redis.url is off: an id that comes twice is published twice");
    return;
  }
  if (keys_open(&config, NULL, &keys, &err) == ST_OK) {
    ask_redis(d, keys);
  } else {
    doctor_found(d, "redis", REPORT_FAILED, "%s", err.text);
    doctor_next(d, "Fix redis.url");
  }
  keys_close(keys);
}

/* ---- clocks ---- */

static bool far(int64_t skew_us) {
  return skew_us != TIME_NONE && (skew_us > SKEW_MAX_US || skew_us < -SKEW_MAX_US);
}

static void add_skew(struct buffer *out, const char *whose, int64_t skew_us) {
  char text[DURATION_TEXT];
  if (skew_us == TIME_NONE) return;
  int64_t apart = skew_us < 0 ? -skew_us : skew_us;
  if (out->len) buffer_add_z(out, ", ");
  if (!far(skew_us))
    buffer_printf(out, "%s agrees", whose);
  else
    buffer_printf(out, "%s is %s %s", whose, duration_text(apart / 1000, text),
                  skew_us < 0 ? "behind" : "ahead");
}

void doctor_check_clock(struct doctor *d) {
  struct buffer text = {0};
  add_skew(&text,
           d->store && store_traits(d->store)->at_path ? "the clock of the file system"
                                                       : "the clock of the database",
           d->skew_us);
  add_skew(&text, "that of Redis", d->redis_skew_us);
  add_skew(&text, "that of the broker", d->broker_skew_us);
  if (text.len == 0) {
    doctor_found(d, "clock", REPORT_SKIPPED, "there was no other clock to compare with");
  } else if (far(d->skew_us) || far(d->redis_skew_us) || far(d->broker_skew_us)) {
    doctor_found(d, "clock", REPORT_WARNING, "%s", buffer_z(&text));
    doctor_next(
        d,
        "Let all machines keep time by NTP (timedatectl set-ntp true): order of arrival, ages and "
        "times of retry go by the clock");
  } else {
    doctor_found(d, "clock", REPORT_OK, "%s with ours", buffer_z(&text));
  }
  buffer_release(&text);
}
