/* Numbers behind the cursor whose row nobody has seen: of a transaction that was under way when a
 * row behind it was read, or of one that was rolled back. They are asked for with each page, in the
 * same moment, and come first: whoever writes a key in order has committed the earlier row before
 * the later one, so where that is seen this one is too. Without it the later one would overtake.
 * A gap is forgotten once every transaction that may fill it has ended. A transaction of a key's
 * order has its xid before its number, since it holds that key's lock.
 * The reader's thread; a crash leaves nothing. */
#include "bridge/outbox/database/scanning.h"

enum {
  GAPS_MOST = 1024, /* beyond that the oldest are the sweep's alone */
  GAP_WIDTH = 512   /* below one row: what lies further back has been settled */
};

struct db_gap {
  int64_t seq, begun; /* of the page that had the row behind it */
};

void db_gaps_release(struct db *d) {
  free(d->gaps);
  free(d->gap_seqs);
  d->gaps = NULL;
  d->gap_seqs = NULL;
}

static void forget_gaps(struct db *d, size_t first, size_t count) {
  BUG_ON(first > d->gap_count || count > d->gap_count - first);
  memmove(d->gaps + first, d->gaps + first + count,
          (d->gap_count - first - count) * sizeof *d->gaps);
  d->gap_count -= count;
}

/* Memory is out: the sweep finds what is late. */
static bool make_room(struct db *d) {
  if (d->gap_count == GAPS_MOST) forget_gaps(d, 0, 1);
  if (!d->gaps) d->gaps = calloc(GAPS_MOST, sizeof *d->gaps);
  if (!d->gap_seqs) d->gap_seqs = calloc(GAPS_MOST, sizeof *d->gap_seqs);
  return d->gaps && d->gap_seqs;
}

void db_gaps_before(struct db *d, int64_t seq) {
  if (!d->steps->late || seq <= d->gaps_upto) return;
  int64_t from = seq - d->gaps_upto > GAP_WIDTH ? seq - GAP_WIDTH : d->gaps_upto + 1;
  if (from < 1) from = 1;
  for (; from < seq && make_room(d); from++)
    d->gaps[d->gap_count++] = (struct db_gap){.seq = from, .begun = d->page.begun};
  d->gaps_upto = seq;
}

/* By seq, as they were added. NULL: there is no such gap. */
static struct db_gap *find_gap(const struct db *d, int64_t seq) {
  size_t low = 0, high = d->gap_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (d->gaps[middle].seq < seq)
      low = middle + 1;
    else
      high = middle;
  }
  return low < d->gap_count && d->gaps[low].seq == seq ? &d->gaps[low] : NULL;
}

bool db_gap_known(const struct db *d, int64_t seq) {
  return find_gap(d, seq);
}

bool db_gap_end(struct db *d, int64_t seq) {
  struct db_gap *gap = find_gap(d, seq);
  if (gap) forget_gaps(d, (size_t)(gap - d->gaps), 1);
  return gap;
}

void db_gaps_ask(struct db *d, struct db_query *q) {
  size_t count = 0;
  while (count < d->gap_count && d->gaps[count].seq <= q->after) {
    d->gap_seqs[count] = d->gaps[count].seq;
    count++;
  }
  q->gaps = d->gap_seqs;
  q->gap_count = count;
}

static bool is_there(const struct db_page *p, int64_t seq) {
  for (size_t i = 0; i < p->count && p->rows[i].seq <= seq; i++)
    if (p->rows[i].seq == seq) return true;
  return false;
}

/* What was asked for, is not there, and nobody can fill any more. */
void db_gaps_answered(struct db *d, const struct db_query *q) {
  const struct db_page *p = &d->page;
  int64_t upto = p->end ? q->after : p->count ? p->rows[p->count - 1].seq : 0;
  size_t kept = 0;
  for (size_t i = 0; i < d->gap_count; i++) {
    const struct db_gap gap = d->gaps[i];
    bool asked = i < q->gap_count && gap.seq <= upto && gap.begun <= p->ended;
    if (!asked || is_there(p, gap.seq)) d->gaps[kept++] = gap;
  }
  d->gap_count = kept;
}
