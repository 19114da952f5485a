/* Brings the counts of what came and went up to date with the outbox, over restarts. Only a clean
 * end says how much was pending: after a crash the account begins anew.
 * Any thread. */
#include "bridge/service/health/account.h"

#include "bridge/outbox/manifest.h"

#define TRIES 200 /* until no entry is between two counters */

enum known { NOTHING_KNOWN, COUNTS_KNOWN, ACCOUNT_KNOWN /* and the counts */ };

static uint64_t total(struct service *s, enum metric metric, const char *result) {
  return metrics_sum(s->metrics, metric, NULL, result, false);
}

static struct metrics_account counters_now(struct service *s) {
  return (struct metrics_account){.began_us = clock_wall_us(s->clock),
                                  .found = total(s, METRIC_FOUND, NULL),
                                  .replayed = total(s, METRIC_REPLAYED, NULL),
                                  .published = total(s, METRIC_EVENTS, "published"),
                                  .duplicate = total(s, METRIC_EVENTS, "duplicate"),
                                  .dead = total(s, METRIC_EVENTS, "dead"),
                                  .vanished = total(s, METRIC_EVENTS, "vanished"),
                                  .clean = -1};
}

/* From now on the file says that the outbox is in use. */
void account_open(struct service *s) {
  struct metrics_account account;
  struct account_synced *b = &s->account_synced;
  mutex_init(&b->lock);
  b->opened = true;
  b->at_open = counters_now(s);
  metrics_account(s->metrics, &account);
  if (account.began_us == TIME_NONE) {
    account = b->at_open;
    account.clean = 0;
  }
  b->carried = account.clean;
  account.clean = -1;
  if (s->mode == SERVICE_INSPECT) return;
  metrics_set_account(s->metrics, &account);
  struct error err = {0};
  if (saved_metrics_write(s, &err) != ST_OK)
    log_write(s->log, LOG_WARNING, "service", "metrics_not_saved",
              FIELDS(F_TEXT("error", err.text)), "The figures could not be saved");
}

static void add_counts(struct service *s, int64_t found, int64_t vanished) {
  if (found < 0) vanished -= found;
  if (found > 0) series_add(metrics_series(s->metrics, METRIC_FOUND, NULL, NULL), (uint64_t)found);
  if (vanished > 0)
    series_add(metrics_series(s->metrics, METRIC_EVENTS, "none", "vanished"), (uint64_t)vanished);
}

/* In this run: what was counted before is of a history that is not there any more. */
static bool went_back(struct service *s) {
  struct store_loss loss;
  struct buffer text = {0};
  enum status st = store_loss_read(s->store, &loss, &text, NULL);
  buffer_release(&text);
  return st == ST_OK && loss.at_us >= s->account_synced.at_open.began_us;
}

/* The first whole listing of this run: what it found beyond what was known came meanwhile. */
static void begin_account(struct service *s, uint64_t first) {
  struct account_synced *b = &s->account_synced;
  b->begun = true;
  if (b->carried >= 0 && !went_back(s)) {
    add_counts(s, (int64_t)first - b->carried, 0);
    return;
  }
  struct metrics_account account = b->at_open;
  account.pending = first;
  metrics_set_account(s->metrics, &account);
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* What a look at the folder sees beyond the store's figures (nobody reads between two flushes) is
 * told to the store by its next listing: it is not counted twice. */
static void take_news(struct service *s, const struct store_counts *c, int64_t beyond) {
  struct account_synced *b = &s->account_synced;
  int64_t found = c->arrived - b->arrived, more = beyond - b->beyond;
  if (found > 0 && more < 0) {
    int64_t both = least(found, -more);
    found -= both;
    more += both;
  }
  add_counts(s, found, (int64_t)(c->vanished - b->vanished));
  add_counts(s, more, 0);
  b->arrived = c->arrived;
  b->vanished = c->vanished;
  b->beyond = beyond;
}

/* What is to be told of the outbox, and what lies beyond the store's figures. */
static bool look_beyond(struct service *s, struct store_counts *seen, int64_t *beyond) {
  uint64_t known = seen->pending;
  *beyond = 0;
  if (service_follows(s) && seen->listed) return true;
  if (service_count(s, seen, NULL) != ST_OK) return false;
  if (!service_follows(s)) *beyond = (int64_t)seen->pending - (int64_t)known;
  return true;
}

/* Lock held. Without seen nobody looks at the folder: what was seen there last still counts. */
static enum known sync_reader(struct service *s, struct store_counts *seen, uint64_t *pending) {
  struct account_synced *b = &s->account_synced;
  struct store_counts c;
  int64_t beyond = b->beyond;
  if (store_counts(s->store, &c, NULL) != ST_OK) return NOTHING_KNOWN;
  if (seen) *seen = c;
  bool looked = !seen || look_beyond(s, seen, &beyond);
  series_add(metrics_series(s->metrics, METRIC_REPLAYED, NULL, NULL), c.returned - b->returned);
  b->returned = c.returned;
  if (!c.listed) {
    *pending = (uint64_t)(b->carried > 0 ? b->carried : 0) + c.returned;
    if (!looked) return NOTHING_KNOWN;
    return b->carried < 0 ? COUNTS_KNOWN : ACCOUNT_KNOWN;
  }
  if (!b->begun) begin_account(s, c.first);
  if (!looked) return NOTHING_KNOWN;
  take_news(s, &c, beyond);
  *pending = (uint64_t)((int64_t)c.pending + beyond);
  return ACCOUNT_KNOWN;
}

/* No worker runs: what changed since the clean end came or went. */
static enum known sync_looking(struct service *s, struct store_counts *seen, uint64_t *pending) {
  struct account_synced *b = &s->account_synced;
  if (!seen || service_count(s, seen, NULL) != ST_OK) return NOTHING_KNOWN;
  if (b->carried < 0) return COUNTS_KNOWN;
  add_counts(s, (int64_t)seen->pending - b->carried, 0);
  b->carried = (int64_t)seen->pending;
  *pending = seen->pending;
  return ACCOUNT_KNOWN;
}

static enum known sync(struct service *s, struct store_counts *seen, uint64_t *pending) {
  return s->mode == SERVICE_INSPECT ? sync_looking(s, seen, pending)
                                    : sync_reader(s, seen, pending);
}

bool account_sync(struct service *s, struct store_counts *seen) {
  uint64_t pending;
  mutex_lock(&s->account_synced.lock);
  enum known known = sync(s, seen, &pending);
  mutex_unlock(&s->account_synced.lock);
  return known != NOTHING_KNOWN;
}

static void read_terms(struct service *s, struct account *out) {
  struct metrics_account then, now = counters_now(s);
  metrics_account(s->metrics, &then);
  out->since_us = then.began_us;
  out->pending_then = then.pending;
  out->found = now.found - then.found;
  out->replayed = now.replayed - then.replayed;
  out->published = now.published - then.published;
  out->duplicate = now.duplicate - then.duplicate;
  out->dead = now.dead - then.dead;
  out->vanished = now.vanished - then.vanished;
  out->missing =
      (int64_t)(out->pending_then + out->found + out->replayed) -
      (int64_t)(out->published + out->duplicate + out->dead + out->vanished + out->pending);
}

void account_read(struct service *s, struct account *out) {
  struct store_counts seen;
  mutex_lock(&s->account_synced.lock);
  for (unsigned i = 0; i < TRIES; i++) {
    *out = (struct account){.since_us = TIME_NONE};
    out->known = sync(s, &seen, &out->pending) == ACCOUNT_KNOWN;
    if (!out->known) break;
    read_terms(s, out);
    if (out->missing == 0) break;
  }
  mutex_unlock(&s->account_synced.lock);
}

/* A batch that was committed and not settled is settled by the next start, uncounted. */
static bool all_settled(struct service *s) {
  struct manifest_name *list = NULL;
  size_t count = 0;
  bool settled = manifest_list(s->store, &list, &count, NULL) == ST_OK;
  for (size_t i = 0; settled && i < count; i++) settled = list[i].settled;
  free(list);
  return settled;
}

void account_end(struct service *s) {
  struct account_synced *b = &s->account_synced;
  struct metrics_account account;
  uint64_t pending;
  if (!b->opened) return;
  mutex_lock(&b->lock);
  if (s->mode != SERVICE_INSPECT && sync(s, NULL, &pending) == ACCOUNT_KNOWN && all_settled(s)) {
    metrics_account(s->metrics, &account);
    account.clean = (int64_t)pending;
    metrics_set_account(s->metrics, &account);
  }
  mutex_unlock(&b->lock);
}
