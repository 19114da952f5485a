/* What is in hand, and what is to be looked at again.
 * Any thread, under the lock; a crash ends it. */
#include "bridge/outbox/database/parts.h"

static struct span name_of(const int64_t *seq) {
  return (struct span){(const char *)seq, sizeof *seq};
}

static struct db_hand *find_hand(const struct db *d, int64_t seq) {
  return table_get(&d->hands, name_of(&seq));
}

struct db_hand *db_hand_of(const struct db *d, int64_t seq) {
  struct db_hand *hand = find_hand(d, seq);
  return hand && !hand->passed ? hand : NULL;
}

bool db_hand_known(const struct db *d, int64_t seq) {
  return find_hand(d, seq);
}

bool db_hand_put(struct db *d, const struct db_hand *hand) {
  struct db_hand *kept = find_hand(d, hand->seq);
  BUG_ON_RULE(S1, kept && !kept->passed);
  BUG_ON(hand->passed || hand->lingers);
  if (!kept) {
    kept = malloc(sizeof *kept);
    if (!kept) return false;
    kept->seq = hand->seq;
    if (table_put(&d->hands, name_of(&kept->seq), kept) != ST_OK) {
      free(kept);
      return false;
    }
  }
  *kept = *hand;
  d->in_hand++;
  return true;
}

/* Of a kind whose rows come late: not taken for one of these by each sweep. */
void db_hand_pass(struct db *d, int64_t seq) {
  struct db_hand *hand = find_hand(d, seq);
  if (!d->steps->late || hand || d->hands.count > d->c.window) return;
  hand = calloc(1, sizeof *hand);
  if (!hand) return;
  hand->seq = seq;
  hand->passed = true;
  if (table_put(&d->hands, name_of(&hand->seq), hand) != ST_OK) free(hand);
}

static void forget_hand(struct db *d, struct db_hand *hand) {
  table_remove(&d->hands, name_of(&hand->seq));
  free(hand);
}

/* Where it cannot be kept it is taken for a late one, looked at, and gone. */
static void note_ended(struct db *d, int64_t seq) {
  if (!d->sweeping || d->ended_count == ENDED_MOST) return;
  if (!d->ended) d->ended = malloc(ENDED_MOST * sizeof *d->ended);
  if (d->ended) d->ended[d->ended_count++] = seq;
}

void db_hand_end(struct db *d, int64_t seq, bool passed) {
  struct db_hand *hand = db_hand_of(d, seq);
  if (!hand) return; /* recovery: it never was in hand */
  BUG_ON(!d->in_hand || (hand->lingers && !d->lingering));
  if (seq >= d->cursor) d->overtaken++; /* what was read ahead has it as it was */
  note_ended(d, seq);
  d->in_hand--;
  d->lingering -= hand->lingers;
  hand->lingers = false;
  hand->passed = true;
  /* more than the window are not kept: then one may be taken for a late one, and comes again */
  if (!passed || !d->steps->late || d->hands.count > d->c.window) forget_hand(d, hand);
  if (d->wanted != d->begun && d->wanted_settled) db_tell(d);
}

void db_hands_forget(struct db *d, bool all) {
  struct db_hand **list = NULL;
  struct span key;
  void *value;
  size_t count = 0;
  if (!d->hands.count || (!all && d->hands.count == d->in_hand)) return;
  list = malloc(d->hands.count * sizeof *list);
  for (size_t pos = 0; list && table_each(&d->hands, &pos, &key, &value);) {
    struct db_hand *hand = value;
    if (all || hand->passed) list[count++] = hand;
  }
  for (size_t i = 0; i < count; i++) forget_hand(d, list[i]);
  BUG_ON_RULE(S1, list && !all && d->hands.count != d->in_hand);
  free(list);
}

bool db_notice(struct db *d, int64_t seq) {
  if (d->notice_count == d->notice_cap) {
    size_t cap = d->notice_cap ? d->notice_cap * 2 : 64;
    int64_t *grown = realloc(d->notices, cap * sizeof *grown);
    if (!grown) return false;
    d->notices = grown;
    d->notice_cap = cap;
  }
  BUG_ON(d->notice_count >= d->notice_cap);
  d->notices[d->notice_count++] = seq;
  db_tell(d);
  return true;
}

bool db_scan_due(const struct db *d) {
  BUG_ON_RULE(S11, d->begun > d->wanted || d->lingering > d->in_hand);
  if (d->wanted == d->begun) return false;
  return !d->wanted_settled || d->in_hand == d->lingering ||
         clock_mono_ns(d->clock) >= d->settled_by_ns;
}

void db_tell(struct db *d) {
  d->woken = true;
  if (d->wake >= 0) wake_give(d->wake);
}

/* ---- asked for by others ---- */

static uint64_t ask_for_scan(struct db *d, bool settled) {
  int64_t wait_ms = d->c.settled_wait_ms;
  mutex_lock(&d->lock);
  if (d->wanted == d->begun) d->wanted++;
  if (settled && !d->wanted_settled)
    d->settled_by_ns = wait_ms ? clock_mono_ns(d->clock) + wait_ms * 1000000 : INT64_MAX;
  d->wanted_settled |= settled;
  uint64_t generation = d->wanted;
  db_tell(d);
  mutex_unlock(&d->lock);
  return generation;
}

uint64_t db_rescan(void *impl) {
  return ask_for_scan(impl, false);
}

uint64_t db_rescan_settled(void *impl) {
  return ask_for_scan(impl, true);
}

bool db_scanned(void *impl, uint64_t generation) {
  struct db *d = impl;
  mutex_lock(&d->lock);
  BUG_ON(d->scanned > d->begun || d->begun > d->wanted);
  bool reached = d->scanned >= generation;
  mutex_unlock(&d->lock);
  return reached;
}

void db_wake(void *impl) {
  struct db *d = impl;
  mutex_lock(&d->lock);
  db_tell(d);
  mutex_unlock(&d->lock);
}

void db_linger(void *impl, const struct entry_ref *ref, bool on) {
  struct db *d = impl;
  struct row_name name;
  if (!row_name_read(ref->token, &name)) return;
  mutex_lock(&d->lock);
  struct db_hand *hand = db_hand_of(d, name.seq);
  if (hand && hand->lingers != on) {
    hand->lingers = on;
    d->lingering = on ? d->lingering + 1 : d->lingering - 1;
    BUG_ON_RULE(S11, d->lingering > d->in_hand);
    db_tell(d);
  }
  mutex_unlock(&d->lock);
}

void db_release(void *impl, const struct entry_ref *ref) {
  struct db *d = impl;
  struct row_name name;
  if (!row_name_read(ref->token, &name)) return;
  mutex_lock(&d->lock);
  db_hand_end(d, name.seq, true);
  d->given_back++;
  mutex_unlock(&d->lock);
}
