/* Does Redis remember what was published last?
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/base/text/words.h"
#include "bridge/service/verify/parts.h"

struct asked {
  struct verify *v;
  struct suspects *unknown;
  uint64_t all;
  struct span ids[VERIFY_KEYS];
  size_t count;
};

/* False: Redis does not answer. An id that is pending again was forgotten on purpose (replay
 * --force). */
static bool ask_redis(struct asked *a) {
  bool seen[VERIFY_KEYS];
  if (a->count && !verify_keys_known(a->v, a->ids, a->count, seen, NULL, NULL)) return false;
  for (size_t i = 0; i < a->count; i++)
    if (!seen[i] && !digest_set_has(&a->v->pending, digest_of(a->ids[i])))
      suspects_add(a->unknown, a->ids[i], (struct span){0});
  a->all += a->count;
  a->count = 0;
  return true;
}

static bool ask_all(struct asked *a) {
  struct verify *v = a->v;
  int64_t now_ms = clock_wall_us(v->request->clock) / 1000;
  int64_t ttl_ms = setting_number(v->request->settings, SETTING_REDIS_TTL);
  suspects_clear(a->unknown);
  a->all = a->count = 0;
  if (v->keys_away) return false;
  for (size_t b = 0; b < v->batch_count; b++) {
    const struct verify_batch *batch = &v->batches[b];
    if (!batch->settled || now_ms - batch->written_ms >= ttl_ms) continue;
    for (size_t i = 0; i < batch->manifest.count; i++) {
      a->ids[a->count++] = batch->manifest.entries[i].id;
      if (a->count == VERIFY_KEYS && !ask_redis(a)) return false;
    }
  }
  return ask_redis(a);
}

static void say_settled(struct asked *a) {
  struct verify *v = a->v;
  char some[NUMBER_TEXT], all[NUMBER_TEXT];
  struct buffer names = {0};
  number_text(a->all, all);
  if (a->unknown->count) {
    verify_samples(a->unknown, true, &names);
    verify_found(v, "keys", REPORT_FAILED,
                 "Redis does not know %s of the %s ids that were published last: %s",
                 number_text(a->unknown->count, some), all, buffer_z(&names));
    verify_next(
        v,
        "It lost keys before redis.ttl (flushed, evicted, restarted without persistence, another "
        "redis.prefix): an entry written again under one of its ids would be published again. See "
        "busbridge doctor, redis memory");
  } else if (a->all) {
    verify_found(v, "keys", REPORT_OK, "Redis knows the %s ids that were published last", all);
  } else {
    verify_found(v, "keys", REPORT_SKIPPED, "no batch younger than redis.ttl is known");
  }
  buffer_release(&names);
}

static void say_due(struct verify *v) {
  struct keys_state state;
  char count[COUNTED_TEXT];
  keys_state(v->keys, &state);
  if (!state.due) {
    verify_found(v, "keys due", REPORT_OK, "no id waits to be told to Redis");
    return;
  }
  verify_found(v, "keys due", REPORT_WARNING, "%s to be told to Redis",
               counted_text(state.due, "id waits", "ids wait", count));
  verify_next(
      v,
      "A running worker tells them once Redis is there; until then its duplicates are known from "
      "that list");
}

static void say_away(struct verify *v) {
  struct keys_state state = {0};
  struct keys_words words;
  if (v->keys) keys_state(v->keys, &state);
  keys_words(state.error, setting_bool(v->request->settings, SETTING_REDIS_REQUIRED), &words);
  verify_found(v, "keys", REPORT_FAILED, "%s",
               v->keys ? words.cause : "the ids that are due cannot be read");
  verify_next(v, "%s", words.next);
}

void verify_keys(struct verify *v) {
  struct asked *a = calloc(1, sizeof *a);
  struct suspects *unknown = calloc(1, sizeof *unknown);
  bool off = strcmp(v->s->plan.keys.url, "off") == 0;
  if (off) {
    verify_found(v, "keys", REPORT_SKIPPED, "redis.url is off");
  } else if (!a || !unknown) {
    verify_found(v, "keys", REPORT_FAILED, "out of memory");
  } else {
    *a = (struct asked){.v = v, .unknown = unknown};
    bool answers = ask_all(a);
    if (answers && unknown->count) {
      verify_pause(v);
      verify_open_keys(v);
      answers = ask_all(a);
    }
    if (answers) {
      say_settled(a);
      say_due(v);
    } else {
      say_away(v);
    }
  }
  if (unknown) arena_release(&unknown->arena);
  free(unknown);
  free(a);
}
