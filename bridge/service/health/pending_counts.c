/* How many entries wait and since when: by the reader's figures while it follows the outbox, else
 * by a look at the folders.
 * Any thread; a crash leaves nothing. */
#include "bridge/service/operations.h"

#define READ_ALL 500 /* pending files */
#define LOOK_REST 20 /* times as long as a look took it is not looked again */

bool service_follows(struct service *s) {
  if (s->mode != SERVICE_RELAY) return false;
  mutex_lock(&s->lock);
  bool on = setting_bool(s->settings, SETTING_FLUSH_BACKGROUND);
  mutex_unlock(&s->lock);
  return on;
}

/* The first one told is the oldest. */
static bool take_time(void *ctx, const struct entry_info *info) {
  int64_t *oldest_us = ctx;
  if (*oldest_us == TIME_NONE) *oldest_us = info->arrived_us;
  return true;
}

static bool skip(void *ctx, const struct entry_info *info) {
  (void)ctx;
  (void)info;
  return true;
}

static uint64_t pending_names(struct service *s) {
  return store_estimate(s->store, LIST_PENDING);
}

static bool count_aside(void *ctx, const struct aside_info *info) {
  (void)info;
  ++*(uint64_t *)ctx;
  return true;
}

/* One pass: how many there are, and when the oldest that is ours was written. most: so many are
 * read to learn whether they are ours, 0 = all. */
static enum status count_by_list(struct service *s, size_t most, struct store_counts *out,
                                 struct error *err) {
  int64_t oldest_us = TIME_NONE;
  uint64_t pending = 0;
  enum status st =
      store_list(s->store, LIST_PENDING | LIST_LOOK, most, take_time, &oldest_us, &pending, err);
  out->aside = 0;
  if (st == ST_OK) st = store_asides(s->store, 0, count_aside, &out->aside, err);
  if (st != ST_OK) return st;
  out->pending = pending;
  out->oldest_us = oldest_us;
  out->exact = true;
  out->dead = store_estimate(s->store, LIST_DEAD); /* as the reader counts them */
  return ST_OK;
}

/* A store that only looks takes entries that are not ours (the old bus leaves what it dispatched)
 * for pending ones until it has read them: all are read when there are few, or when the oldest
 * already were not ours. */
static enum status count_looking(struct service *s, struct store_counts *out, struct error *err) {
  uint64_t total, names;
  enum status st = count_by_list(s, 1, out, err);
  if (st != ST_OK) return st;
  names = pending_names(s);
  if (names == 0 || (names > READ_ALL && names <= out->pending)) return ST_OK;
  st = store_list(s->store, LIST_PENDING, 0, skip, NULL, &total, err);
  return st == ST_OK ? store_counts(s->store, out, err) : st;
}

/* The reader has not seen the outbox yet: it waits for Kafka's first answer, which may take for
 * ever, or a long first listing is under way. What is seen by looking is right again soon enough: a
 * twentieth of the time goes into it. */
static enum status count_before_reader(struct service *s, struct store_counts *out,
                                       struct error *err) {
  struct survey_counts *g = &s->survey_counts;
  enum status st = ST_OK;
  mutex_lock(&g->lock);
  int64_t began_ms = clock_mono_ms(s->clock);
  if (began_ms >= g->look_ms) {
    g->counts = *out;
    st = count_by_list(s, pending_names(s) > READ_ALL, &g->counts, err);
    int64_t ended_ms = clock_mono_ms(s->clock);
    if (st == ST_OK) g->look_ms = ended_ms + LOOK_REST * (ended_ms - began_ms);
  }
  if (st == ST_OK) {
    out->pending = g->counts.pending;
    out->oldest_us = g->counts.oldest_us;
    out->dead = g->counts.dead;
    out->exact = true;
  }
  mutex_unlock(&g->lock);
  return st;
}

enum status service_count(struct service *s, struct store_counts *out, struct error *err) {
  *out = (struct store_counts){.oldest_us = TIME_NONE};
  if (store_traits(s->store)->counts) return store_counts(s->store, out, err);
  if (s->mode == SERVICE_INSPECT) return count_looking(s, out, err);
  enum status st = store_counts(s->store, out, err);
  if (st == ST_OK && service_follows(s))
    return out->listed ? ST_OK : count_before_reader(s, out, err);
  if (st != ST_OK) return st;
  /* The running figures are those of the last flush: what came since is only seen by looking. */
  return count_by_list(s, 1, out, err);
}
