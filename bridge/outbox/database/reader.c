/* The reader: scans behind a cursor, late rows, what is to be looked at again.
 * Its thread; a crash leaves nothing. */
#include "bridge/outbox/database/scanning.h"

#include <errno.h>

enum {
  PAGE_ROWS = 1000,
  PAGE_BYTES = 4 * 1024 * 1024,
  PAGE_MS = 100 /* what was read ahead so long ago is read again */
};

/* ---- scans ---- */

static bool begin(struct db *d) {
  mutex_lock(&d->lock);
  BUG_ON_RULE(S11, d->lingering > d->in_hand);
  bool begins = db_scan_due(d);
  if (begins) {
    d->notice_count = 0; /* the scan finds them */
    d->begun = d->wanted;
    d->wanted_settled = false;
    d->cursor = 0;
    d->given_back = 0;
    db_hands_forget(d, false);
  }
  mutex_unlock(&d->lock);
  if (!begins) return false;
  db_page_clear(&d->page);
  d->at = 0;
  d->swept = 0;
  return true;
}

static enum status begin_scan(struct db *d, struct error *err) {
  return begin(d) ? db_count_anew(d, err) : ST_OK;
}

/* Nothing newer overtakes what is given back meanwhile. */
static bool waits(struct db *d) {
  mutex_lock(&d->lock);
  bool so = d->wanted != d->begun && d->wanted_settled;
  mutex_unlock(&d->lock);
  return so;
}

static bool is_stale(struct db *d) {
  mutex_lock(&d->lock);
  bool stale = d->overtaken != d->page_overtaken;
  mutex_unlock(&d->lock);
  return stale || clock_mono_ns(d->clock) - d->page_ns > PAGE_MS * 1000000LL;
}

static enum status read_page(struct db *d, struct error *err) {
  struct db_query q = {.shelf = SHELF_PENDING,
                       .since_us = TIME_NONE,
                       .until_us = TIME_NONE,
                       .rows = PAGE_ROWS < d->c.window ? PAGE_ROWS : d->c.window,
                       .bytes = PAGE_BYTES,
                       .body = db_body_most(d)};
  mutex_lock(&d->lock);
  d->page_overtaken = d->overtaken;
  q.after = d->cursor;
  mutex_unlock(&d->lock);
  db_gaps_ask(d, &q);
  db_page_clear(&d->page);
  d->at = 0;
  d->page_ns = clock_mono_ns(d->clock);
  enum status st = DB_TIMED(d, STEP_READ, SIDE_READING, read(d->impl, &q, &d->page, err));
  if (st != ST_OK) {
    db_page_clear(&d->page);
    return st;
  }
  db_gaps_answered(d, &q);
  db_count_page(d);
  return ST_OK;
}

/* ---- rows that were visible late, and those that came back ---- */

static bool take_notice(struct db *d, int64_t *seq) {
  mutex_lock(&d->lock);
  bool some = d->notice_count > 0;
  if (some) *seq = d->notices[0];
  if (some) memmove(d->notices, d->notices + 1, --d->notice_count * sizeof *d->notices);
  mutex_unlock(&d->lock);
  return some;
}

/* ST_AGAIN: it is gone. */
static enum status read_one(struct db *d, int64_t seq, struct error *err) {
  struct db_query q = {.shelf = SHELF_PENDING,
                       .seq = seq,
                       .since_us = TIME_NONE,
                       .until_us = TIME_NONE,
                       .rows = 1,
                       .bytes = 1,
                       .body = db_body_most(d)};
  mutex_lock(&d->lock);
  d->page_overtaken = d->overtaken;
  mutex_unlock(&d->lock);
  db_page_clear(&d->page);
  d->at = 0;
  enum status st = DB_TIMED(d, STEP_READ, SIDE_READING, read(d->impl, &q, &d->page, err));
  BUG_ON(st == ST_OK && d->page.count > 1);
  d->at = d->page.count; /* it is of no page */
  return st == ST_OK && !d->page.count ? ST_AGAIN : st;
}

static bool is_held(struct db *d, int64_t seq) {
  mutex_lock(&d->lock);
  bool held = db_hand_of(d, seq) || db_is_aside(d, seq);
  mutex_unlock(&d->lock);
  return held;
}

static enum status next_notice(struct db *d, const struct db_row **row, struct error *err) {
  enum status st = ST_AGAIN;
  int64_t seq;
  while (st == ST_AGAIN && take_notice(d, &seq)) {
    if (is_held(d, seq)) continue;
    st = read_one(d, seq, err);
  }
  if (st == ST_OK) *row = &d->page.rows[0];
  if (st != ST_OK && st != ST_AGAIN) { /* it comes again */
    mutex_lock(&d->lock);
    if (!db_notice(d, seq)) db_tell(d);
    mutex_unlock(&d->lock);
  }
  return st;
}

/* ---- the next row ---- */

static void pass(struct db *d, int64_t seq) {
  mutex_lock(&d->lock);
  if (seq > d->cursor) d->cursor = seq;
  mutex_unlock(&d->lock);
}

static void end_scan(struct db *d) {
  mutex_lock(&d->lock);
  BUG_ON_RULE(S10, d->scanned > d->begun);
  d->scanned = d->begun;
  mutex_unlock(&d->lock);
}

/* The next of the scan that is not in hand; at its end, what is to be looked at again. The row
 * lives in page. */
static enum status next_row(struct db *d, const struct db_row **row, struct error *err) {
  for (;;) {
    if (d->at >= d->page.count || is_stale(d)) {
      enum status st = read_page(d, err);
      if (st != ST_OK) return st;
      if (!d->page.count) break;
    }
    const struct db_row *r = &d->page.rows[d->at++];
    db_gaps_before(d, r->seq);
    pass(d, r->seq);
    *row = r;
    if (!is_held(d, r->seq)) return ST_OK;
  }
  end_scan(d);
  enum status st = db_sweep(d, err);
  if (st == ST_OK) st = db_count_due(d, err);
  return st == ST_OK ? next_notice(d, row, err) : st;
}

static bool make_ref(struct db *d, const struct db_row *row, const struct row_entry *e,
                     struct arena *keep, struct entry_ref *out) {
  char token[ROW_TOKEN_MOST];
  size_t len = row_token(row->seq, row->id, token);
  bool event = e->reason == REASON_NONE;
  int64_t since_us = row->since_us != TIME_NONE ? row->since_us : row->arrived_us;
  int64_t now_us = clock_wall_us(d->clock); /* the database's clock may be ahead of ours */
  const char *kept = arena_copy(keep, (struct span){token, len});
  *out = (struct entry_ref){.shelf = SHELF_PENDING,
                            .token = {kept, len},
                            .label = {kept, len},
                            .number = (uint64_t)row->seq,
                            .arrived_ns = row->arrived_us * 1000,
                            .since_ms = (since_us < now_us ? since_us : now_us) / 1000,
                            .own = {(uint64_t)row->seq},
                            .id = event ? arena_span(keep, e->event.id) : (struct span){0},
                            .content = event ? event_content(&e->doc, &e->event) : 0};
  return kept && (!event || out->id.ptr);
}

/* What was read ahead is looked at once more: had anything that is not in hand been taken out since
 * it was read, it is read again. */
static enum status take_in_hand(struct db *d, const struct db_row *row, const struct row_entry *e,
                                struct entry *out, struct error *err) {
  struct db_hand hand = {.seq = row->seq, .no_object = e->raw, .attempted = row->attempted};
  mutex_lock(&d->lock);
  bool still = d->overtaken == d->page_overtaken;
  bool kept = still && db_hand_put(d, &hand);
  out->generation = d->begun;
  mutex_unlock(&d->lock);
  if (!still) return ST_CANCELLED;
  return kept ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory for an entry");
}

static enum status hand_out(struct db *d, const struct db_row *row, struct arena *keep,
                            struct arena *scratch, struct entry *out, struct error *err) {
  struct row_entry e;
  char token[ROW_TOKEN_MOST];
  row_token(row->seq, row->id, token);
  bool may = !d->c.may_parse || d->c.may_parse(d->c.parse_ctx, token);
  enum status st =
      may ? row_read(row, SHELF_PENDING, d->c.max_entry_bytes, d->lifting, scratch, &e, err)
          : ST_OK;
  if (!may) e = (struct row_entry){.reason = REASON_CRASHES_WORKER, .event.payload = JSON_NONE};
  if (st != ST_OK) return st;
  if (!db_is_ours(&e)) {
    mutex_lock(&d->lock);
    db_hand_pass(d, row->seq);
    mutex_unlock(&d->lock);
    return ST_NOT_FOUND;
  }
  if (!make_ref(d, row, &e, keep, &out->ref))
    return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  out->text = e.text;
  out->doc = e.doc;
  out->event = e.event;
  out->reason = e.reason;
  out->error = e.reason != REASON_NONE && may ? arena_copy(scratch, span_of(e.words.text)) : NULL;
  st = take_in_hand(d, row, &e, out, err);
  return st;
}

/* It comes again with the next call. */
static void step_back(struct db *d, int64_t seq) {
  mutex_lock(&d->lock);
  bool last = d->cursor == seq; /* else it was noticed */
  if (last) d->cursor = seq - 1;
  if (!last && !db_notice(d, seq)) db_tell(d);
  d->overtaken++;
  mutex_unlock(&d->lock);
}

static void count_late(struct db *d) {
  mutex_lock(&d->lock);
  d->count_due = true;
  mutex_unlock(&d->lock);
}

enum status db_next(void *impl, struct arena *keep, struct arena *scratch, struct entry *out,
                    struct error *err) {
  struct db *d = impl;
  const struct db_row *row = NULL;
  *out = (struct entry){0};
  if (!d->there || !d->create) return ST_AGAIN;
  enum status st = begin_scan(d, err);
  if (st != ST_OK) return st;
  if (waits(d)) return ST_AGAIN;
  for (;;) {
    st = next_row(d, &row, err);
    if (st != ST_OK) return st;
    int64_t seq = row->seq;
    st = hand_out(d, row, keep, scratch, out, err);
    if ((st == ST_OK || st == ST_NOT_FOUND) && db_gap_end(d, seq)) count_late(d);
    if (st == ST_OK) return ST_OK;
    if (st == ST_NOT_FOUND) continue; /* another program's, by its status */
    step_back(d, seq);
    if (st != ST_CANCELLED) return st;
  }
}

enum status db_follow(void *impl, struct error *err) {
  struct db *d = impl;
  bool more = false;
  if (!d->there || !d->create) return ST_OK;
  enum status st = begin_scan(d, err);
  mutex_lock(&d->lock);
  int64_t counted = d->counted;
  mutex_unlock(&d->lock);
  if (st == ST_OK) st = db_count_due(d, err);
  if (st == ST_OK) st = DB_TIMED(d, STEP_POLL, SIDE_READING, arrived(d->impl, counted, &more, err));
  return st == ST_OK && more ? db_count_anew(d, err) : st;
}
