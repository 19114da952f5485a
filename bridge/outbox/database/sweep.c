/* What lies behind the scan's place and is not in hand: it was visible late. Of kinds whose rows do
 * (steps->late).
 * The reader's thread; a crash leaves nothing. */
#include "bridge/outbox/database/scanning.h"

enum { SWEEP_MS = 250, SWEEP_ROWS = 10000, SHARE = 20 };

static int by_number(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void begin(struct db *d, int64_t *upto, bool *full) {
  mutex_lock(&d->lock);
  *upto = d->cursor;
  *full = d->notice_count > 0; /* those first: else they would be noted again */
  d->sweeping = !*full;
  d->ended_count = 0;
  mutex_unlock(&d->lock);
}

/* Lock held. One that was settled while it was swept was not late: nobody knows it by now. */
static bool ended_meanwhile(const struct db *d, int64_t seq) {
  return d->ended_count && bsearch(&seq, d->ended, d->ended_count, sizeof *d->ended, by_number);
}

static void note_late(struct db *d, const int64_t *seqs, size_t count) {
  mutex_lock(&d->lock);
  d->sweeping = false;
  if (d->ended_count) qsort(d->ended, d->ended_count, sizeof *d->ended, by_number);
  for (size_t i = 0; i < count; i++) {
    if (db_hand_known(d, seqs[i]) || db_gap_known(d, seqs[i]) || db_is_aside(d, seqs[i])) continue;
    if (ended_meanwhile(d, seqs[i])) continue;
    if (!db_notice(d, seqs[i])) break; /* the next sweep finds it */
    d->count_due = true;               /* whether the last count had it nobody knows */
  }
  mutex_unlock(&d->lock);
}

/* A part of it, from where the last one ended. */
enum status db_sweep(struct db *d, struct error *err) {
  int64_t now_ns = clock_mono_ns(d->clock), since_ns = now_ns - d->sweep_ns, upto;
  bool full;
  if (!d->steps->late || since_ns < SWEEP_MS * 1000000LL || since_ns < SHARE * d->sweep_took_ns)
    return ST_OK;
  int64_t *seqs = malloc(SWEEP_ROWS * sizeof *seqs);
  size_t count = 0;
  if (!seqs) return error_set(err, ST_NO_MEMORY, "no memory for a list of rows");
  begin(d, &upto, &full);
  enum status st = full ? ST_OK
                        : DB_TIMED(d, STEP_SWEEP, SIDE_READING,
                                   sweep(d->impl, d->swept, upto, seqs, SWEEP_ROWS, &count, err));
  BUG_ON_RULE(S12, st == ST_OK && count > SWEEP_ROWS);
  note_late(d, seqs, st == ST_OK ? count : 0);
  if (st == ST_OK && !full) d->swept = count == SWEEP_ROWS ? seqs[count - 1] : 0;
  free(seqs);
  if (full) return ST_OK;
  d->sweep_ns = clock_mono_ns(d->clock);
  d->sweep_took_ns = d->sweep_ns - now_ns;
  return st;
}
