/* How many wait: counted when a scan begins, and kept by what is done from then on.
 * The reader's thread counts, any thread asks; a crash leaves nothing. */
#include "bridge/outbox/database/scanning.h"

enum {
  CHEAP_NS = 5000000, /* a count that took no longer is taken as often as it is asked for */
  SHARE = 20          /* of the time, at most, goes into others */
};

void db_took(const struct db *d, enum store_step step, int64_t began_ns) {
  if (d->c.took) d->c.took(d->c.took_ctx, step, (thread_now_ns() - began_ns) / 1000);
}

static bool affordable(const struct db *d) {
  return !d->listed || d->count_took_ns < CHEAP_NS ||
         clock_mono_ns(d->clock) - d->count_ns > SHARE * d->count_took_ns;
}

static void apply_count(struct db *d, const struct db_figures *now) {
  mutex_lock(&d->lock);
  d->pending = now->pending > d->asides.count ? now->pending - d->asides.count : 0;
  d->dead = now->dead;
  d->count_due = false;
  if (now->last > d->counted) d->counted = now->last;
  if (!d->listed) d->first = now->pending;
  d->listed = true;
  mutex_unlock(&d->lock);
}

/* No change of ours falls between the count and what is made of it. */
enum status db_count_anew(struct db *d, struct error *err) {
  struct db_figures now = {0};
  int64_t began_ns = clock_mono_ns(d->clock);
  if (!affordable(d)) return ST_OK;
  mutex_lock(&d->sides[SIDE_WRITING]);
  enum status st =
      d->steps->count(d->impl, SIDE_WRITING, DB_COUNT_PENDING | DB_COUNT_DEAD, &now, err);
  if (st == ST_OK) apply_count(d, &now);
  mutex_unlock(&d->sides[SIDE_WRITING]);
  d->count_ns = clock_mono_ns(d->clock);
  d->count_took_ns = d->count_ns - began_ns;
  return st;
}

enum status db_count_due(struct db *d, struct error *err) {
  mutex_lock(&d->lock);
  bool due = d->count_due;
  mutex_unlock(&d->lock);
  return due ? db_count_anew(d, err) : ST_OK;
}

/* Rows that were read are counted if they came since. */
void db_count_page(struct db *d) {
  mutex_lock(&d->lock);
  for (size_t i = 0; i < d->page.count; i++) d->pending += d->page.rows[i].seq > d->counted;
  if (d->page.count && d->page.rows[d->page.count - 1].seq > d->counted)
    d->counted = d->page.rows[d->page.count - 1].seq;
  mutex_unlock(&d->lock);
}

static void tell(struct db *d, struct store_counts *out) {
  mutex_lock(&d->lock);
  *out = (struct store_counts){.pending = d->pending,
                               .in_hand = d->in_hand,
                               .given_back = d->given_back,
                               .first = d->first,
                               .gone = d->gone,
                               .vanished = d->vanished,
                               .returned = d->returned,
                               .listed = d->listed,
                               .dead = d->dead,
                               .aside = d->asides.count,
                               .oldest_us = TIME_NONE,
                               .exact = (d->listed && !d->count_due) || !d->create};
  mutex_unlock(&d->lock);
}

enum status db_counts(void *impl, bool oldest, struct store_counts *out, struct error *err) {
  struct db *d = impl;
  struct db_figures now = {.oldest_us = TIME_NONE};
  tell(d, out);
  if (!d->there) return ST_OK;
  unsigned what = (out->listed ? 0 : DB_COUNT_PENDING | DB_COUNT_DEAD) | (oldest ? DB_OLDEST : 0);
  if (!what) goto told;
  enum status st = DB_STEP(d, SIDE_READING, count(d->impl, SIDE_READING, what, &now, err));
  if (st != ST_OK) return st;
  out->oldest_us = now.oldest_us;
  if (out->listed) goto told;
  out->pending = now.pending > out->aside ? now.pending - out->aside : 0;
  out->dead = now.dead;
told:
  out->arrived =
      (int64_t)(out->pending + out->gone + out->vanished) - (int64_t)(out->first + out->returned);
  return ST_OK;
}

uint64_t db_estimate(const void *impl, unsigned which) {
  struct db *d = (struct db *)(uintptr_t)impl;
  struct db_figures now = {0};
  unsigned what =
      (which & LIST_PENDING ? DB_COUNT_PENDING : 0) | (which & LIST_DEAD ? DB_COUNT_DEAD : 0);
  if (!d->there || !what) return 0;
  enum status st = DB_STEP(d, SIDE_READING, count(d->impl, SIDE_READING, what, &now, NULL));
  return st == ST_OK ? (which & LIST_PENDING ? now.pending : 0) + (which & LIST_DEAD ? now.dead : 0)
                     : 0;
}
