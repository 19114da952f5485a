#include "bridge/service/operations.h"

#define READ_ALL 500 /* pending files */

static bool background(struct service *s) {
  pthread_mutex_lock(&s->lock);
  bool on = setting_bool(s->settings, SETTING_FLUSH_BACKGROUND);
  pthread_mutex_unlock(&s->lock);
  return on;
}

static bool skip(void *ctx, const struct entry_info *info) {
  (void)ctx;
  (void)info;
  return true;
}

/* Counting alone takes entries that are not ours (the old bus leaves what it dispatched) for pending ones; a store that
 * only looks learns of them by reading. With few names all are read, else up to the oldest that is ours, and all of
 * them only when some were not. */
static enum status count_looking(struct service *s, struct store_counts *out, struct error *err) {
  uint64_t total;
  if (out->pending == 0) return ST_OK;
  enum status st = store_list(s->store, LIST_PENDING, out->pending <= READ_ALL ? 0 : 1, skip, NULL, &total, err);
  if (st == ST_OK) st = store_counts(s->store, out, err);
  if (st != ST_OK || out->foreign == 0 || out->pending <= READ_ALL) return st;
  st = store_list(s->store, LIST_PENDING, 0, skip, NULL, &total, err);
  return st == ST_OK ? store_counts(s->store, out, err) : st;
}

static bool take_time(void *ctx, const struct entry_info *info) {
  *(int64_t *)ctx = info->mtime_us;
  return false;
}

/* The running figures are those of the last flush: what came since is seen by looking only. */
static enum status count_unscanned(struct service *s, struct store_counts *out, struct error *err) {
  int64_t oldest_us = TIME_NONE;
  uint64_t total = 0;
  enum status st = store_list(s->store, LIST_PENDING, 1, take_time, &oldest_us, &total, err);
  if (st != ST_OK) return st;
  out->pending = total;
  out->oldest_us = oldest_us;
  out->exact = true;
  return store_list(s->store, LIST_DEAD, 1, take_time, &oldest_us, &out->dead, err);
}

enum status service_count(struct service *s, struct store_counts *out, struct error *err) {
  enum status st = store_counts(s->store, out, err);
  if (st != ST_OK) return st;
  if (s->mode == SERVICE_INSPECT) return count_looking(s, out, err);
  return s->mode == SERVICE_CHANGE || !background(s) ? count_unscanned(s, out, err) : ST_OK;
}
