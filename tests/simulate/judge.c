/* judge.c - what was promised, held against what came of each event of a life. */
#include "tests/simulate/disk.h"
#include "tests/simulate/life.h"

#include <stdio.h>
#include <stdlib.h>

struct dead_of {
  const struct event_of_life *event;
  size_t count;
  unsigned attempts;
};

/* Others put one event where another lay: their letters have one name. */
static bool is_anothers(const struct event_of_life *e, struct span id) {
  for (size_t i = 0; i < life.event_count; i++) {
    const struct event_of_life *o = &life.events[i];
    if (o != e && !strcmp(o->file, e->file) && span_is(id, o->id)) return true;
  }
  return false;
}

static bool count_dead(void *ctx, const struct entry_info *info) {
  struct dead_of *d = ctx;
  if (is_anothers(d->event, info->id)) return true;
  d->count++;
  d->attempts = info->attempts;
  return true;
}

static void find_dead(struct dead_of *d, const char *stem) {
  struct error err = {0};
  uint64_t total;
  if (store_find(life.hand, LIST_DEAD | LIST_KEY, span_of(stem), count_dead, d, &total, &err) !=
      ST_OK)
    abort();
}

static struct dead_of dead_of(const struct event_of_life *e) {
  struct dead_of d = {.event = e};
  char stem[96];
  snprintf(stem, sizeof stem, "%.*s", (int)strcspn(name_of(e), "."), name_of(e));
  find_dead(&d, stem);
  snprintf(stem, sizeof stem, "%s-%s", e->id, e->both ? "copy" : "twin");
  if (e->twin) find_dead(&d, stem);
  return d;
}

static size_t commits_of(const char *id, int64_t *last) {
  size_t n = 0;
  for (size_t i = 0; i < world.record_count; i++)
    if (world.records[i].fate == COMMITTED && !strcmp(world.records[i].id, id)) {
      n++;
      *last = world.records[i].offset;
    }
  return n;
}

/* Each entry once, and each id too where something remembers it (I2). */
static void judge_commits(const struct event_of_life *e, size_t commits) {
  if (!life.exactly_once) return;
  if (commits > 1 + (size_t)e->twin) violation("I2: %s is committed %zu times", e->id, commits);
  if (commits > 1 && !world.redis_off && !life.forgot && !e->replayed)
    violation("I2: %s is committed twice, and Redis knew it", e->id);
}

/* Nobody's but theirs: it is left alone, as it is. */
static void judge_strange(const struct event_of_life *e) {
  int64_t offset;
  if (commits_of(e->id, &offset)) violation("I5: %s, which others linked in, is committed", e->id);
  if (!disk_strange_lies(e->file)) violation("I5: %s, which others linked in, is gone", e->id);
}

static void judge_event(size_t i) {
  const struct event_of_life *e = &life.events[i];
  int64_t offset = -1;
  size_t commits = commits_of(e->id, &offset);
  struct dead_of dead = dead_of(e);
  bool good = !e->poison && !e->bad;
  dead.count += e->purged;
  if (!commits && !dead.count && !e->in_doubt) violation("I1: %s is lost", e->id);
  judge_commits(e, commits);
  /* Without transactions nobody fences the one that was taken over: what it had handed to Kafka may
   * be accepted after its successor gave it up. */
  bool fenced = (life.exactly_once || !life.taken_over) && !e->restored;
  if (dead.count > 1) violation("I3: %s is dead %zu times", e->id, dead.count);
  if (commits && dead.count && fenced) violation("I3: %s is committed and dead", e->id);
  if (!good && commits) violation("I5: %s is committed", e->id);
  if (good && dead.count && !e->flaky) violation("I5: %s is dead", e->id);
  if ((e->poison || e->flaky) && dead.count && !e->purged && dead.attempts != MAX_ATTEMPTS)
    violation("I7: %s is dead after %u attempts", e->id, dead.attempts);
}

/* Does it keep its place? */
static bool in_order(const struct event_of_life *e) {
  return !e->replayed && !e->twin && !e->touched && !e->passed_over;
}

static void judge_order(size_t a) {
  int64_t first = -1, second = -1;
  if (!in_order(&life.events[a]) || !commits_of(life.events[a].id, &first)) return;
  for (size_t b = a + 1; b < life.event_count; b++) {
    if (strcmp(life.events[a].key, life.events[b].key) != 0 || !in_order(&life.events[b])) continue;
    if (!commits_of(life.events[b].id, &second)) continue;
    if (second < first) violation("I4: %s overtakes %s", life.events[b].id, life.events[a].id);
    return;
  }
}

/* dlq.hold_key: none passes a dead letter of its key, until somebody deals with that. */
static void judge_hold(size_t a) {
  const struct event_of_life *e = &life.events[a];
  int64_t offset = -1;
  if (e->bad || e->in_doubt || !in_order(e) || !(e->purged || dead_of(e).count)) return;
  for (size_t b = a + 1; b < life.event_count; b++) {
    const struct event_of_life *later = &life.events[b];
    if (strcmp(e->key, later->key) != 0 || !in_order(later) || !commits_of(later->id, &offset))
      continue;
    if (!e->purged || offset < (int64_t)e->purged_at)
      violation("I4: %s passes %s, whose letter holds their key", later->id, e->id);
  }
}

static void judge_journal(void) {
  struct manifest_name *list = NULL;
  struct error err = {0};
  size_t count = 0;
  if (manifest_list(life.hand, &list, &count, &err) != ST_OK) abort();
  for (size_t i = 0; i < count; i++)
    if (!list[i].settled)
      violation("batch %llu is not settled", (unsigned long long)list[i].number);
  free(list);
}

void judge(void) {
  for (size_t i = 0; i < life.event_count; i++) {
    if (life.events[i].strange)
      judge_strange(&life.events[i]);
    else
      judge_event(i);
  }
  for (size_t i = 0; life.exactly_once && i < life.event_count; i++)
    (life.hold_key ? judge_hold : judge_order)(i);
  if (life.exactly_once) judge_journal();
}
