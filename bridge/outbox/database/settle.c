/* What becomes of rows in hand: one transaction a chain.
 * The finisher's thread; a crash leaves all of a chain done, or nothing. */
#include "bridge/event/same.h"
#include "bridge/outbox/database/parts.h"

struct chain {
  struct db *d;
  struct settling *rows;
  struct db_change list[STORE_ROWS];
  size_t of[STORE_ROWS]; /* which row each is of */
  struct arena arena;    /* what the changes point to */
  size_t count;
  bool stays; /* a row stays in hand */
  int64_t now_us;
};

static void stay(struct chain *c, struct settling *row, enum status st) {
  row->status = st;
  c->stays = true;
}

/* ---- recovery: is it the event that was published? ---- */

/* What lies on that shelf under its token, if anything does. */
static enum status compare(struct chain *c, struct settling *row, enum shelf shelf, bool *same,
                           bool *there) {
  struct db *d = c->d;
  struct db_page page = {0};
  struct row_entry e;
  const struct db_row *r;
  *same = *there = false;
  enum status st = db_look_up(d, shelf, row->ref->token, &page, &r, &row->error);
  if (st == ST_OK) st = row_read(r, shelf, 0, d->lifting, &page.arena, &e, &row->error);
  if (st == ST_OK) {
    const struct published was = {row->id, row->ref->content};
    *there = true;
    enum sameness how = e.reason == REASON_NONE
                            ? event_same(&e.doc, &e.event, d->lifting, false, &page.arena, &was)
                            : ANOTHER_EVENT;
    *same = how != ANOTHER_EVENT;
    row->how = how == SAME_ID ? SETTLED_REUSED : SETTLED_GONE;
  }
  db_page_release(&page);
  return st == ST_NOT_FOUND ? ST_OK : st;
}

/* By the id that it was published by, wherever it went since. False: it is settled, or stays. */
static bool is_late_one(struct chain *c, struct settling *row, struct span id) {
  bool same, there, dead;
  row->how = SETTLED_GONE;
  if (!row->id.len || span_eq(row->id, id)) return true;
  enum status st = compare(c, row, SHELF_PENDING, &same, &there);
  if (st == ST_OK && !there) {
    st = compare(c, row, SHELF_DEAD, &same, &dead);
    if (st == ST_OK && !same) row->how = SETTLED_VANISHED;
  } else if (st == ST_OK && !same) {
    row->how = SETTLED_CHANGED;
  }
  if (st != ST_OK) stay(c, row, st);
  return st == ST_OK && same;
}

/* ---- the changes ---- */

/* An id that no token holds is read. ST_NOT_FOUND: the row is gone. */
static enum status id_of(struct chain *c, struct settling *row, struct row_name *name) {
  struct db_page page = {0};
  const struct db_row *r;
  if (!name->digest) return ST_OK;
  enum status st = db_look_up(c->d, SHELF_PENDING, row->ref->token, &page, &r, &row->error);
  if (st == ST_NOT_FOUND && row->late)
    st = db_look_up(c->d, SHELF_DEAD, row->ref->token, &page, &r, &row->error);
  if (st == ST_OK) name->id = arena_span(&c->arena, r->id);
  if (st == ST_OK && !name->id.ptr && r->id.len) st = ST_NO_MEMORY;
  db_page_release(&page);
  return st;
}

static void fill(struct chain *c, const struct settling *row, struct db_change *to) {
  const struct failure *why = &row->why;
  to->fate = row->fate == FATE_RETRY  ? DB_RETRY
             : row->fate == FATE_DEAD ? DB_DEAD
             : row->late              ? DB_LATE
                                      : DB_DONE;
  to->now_us = c->now_us;
  to->failed_us = TIME_NONE;
  if (row->fate == FATE_DONE) return;
  to->attempts = why->attempts;
  to->error = span_of(why->error ? why->error : reason_word(why->reason));
  to->reason = span_of(reason_word(why->reason));
  to->topic = span_of(why->topic);
  to->error_code = why->error_code;
  to->failed_us = why->failed_us;
}

static void add(struct chain *c, size_t i) {
  struct settling *row = &c->rows[i];
  struct row_name name;
  row->status = ST_OK;
  row->how = SETTLED_VANISHED;
  if (!row_name_read(row->ref->token, &name)) return;
  enum status st = id_of(c, row, &name);
  if (st != ST_OK) {
    if (st != ST_NOT_FOUND) stay(c, row, st);
    return;
  }
  mutex_lock(&c->d->lock);
  const struct db_hand *hand = db_hand_of(c->d, name.seq);
  bool no_object = hand && hand->no_object, attempted = !hand || hand->attempted;
  mutex_unlock(&c->d->lock);
  if (row->fate == FATE_RETRY && no_object) {
    stay(c, row,
         error_set(&row->error, ST_INVALID, "%.*s is not a JSON object",
                   SPAN_ARGS(row->ref->label)));
    return;
  }
  if (row->fate == FATE_DONE && row->late && !is_late_one(c, row, name.id)) return;
  struct db_change *to = &c->list[c->count];
  *to = (struct db_change){.seq = name.seq, .id = name.id, .attempted = attempted};
  fill(c, row, to);
  c->of[c->count++] = i;
}

/* ---- what was done ---- */

static void count_change(struct db *d, const struct db_change *change, bool held, bool late) {
  if (db_is_aside(d, change->seq)) { /* it does not count as pending any more */
    d->dead += d->listed && change->found == DB_WAS_PENDING && change->fate == DB_DEAD;
    return;
  }
  bool was = change->found == DB_WAS_PENDING;
  bool out = was && change->fate != DB_RETRY && change->fate != DB_AFRESH;
  bool vanished = change->found == DB_NOWHERE && held;
  if (out && late && d->listed && d->first)
    d->first--; /* it was published before we came: it did not lie there then */
  else
    d->gone += out;
  d->vanished += vanished;
  if (d->listed && (out || vanished) && d->pending) d->pending--;
  if (d->listed && out && change->fate == DB_DEAD) d->dead++;
  if (d->listed && change->found == DB_WAS_DEAD && d->dead) d->dead--;
  if (!held && change->found != DB_NOWHERE) d->overtaken++; /* it may have been read ahead */
}

static bool takes_out(const struct db_change *change) {
  return change->fate == DB_DONE || change->fate == DB_LATE || change->fate == DB_DEAD;
}

/* Nobody knows whether these were made. Under lock. */
static void note_unsure(struct db *d, const struct db_change *list, size_t count) {
  for (size_t i = 0; i < count && d->unsure_count < STORE_ROWS; i++)
    if (takes_out(&list[i])) d->unsure[d->unsure_count++] = list[i].seq;
}

/* What is found gone was made by the one whose answer was lost. Under lock. */
static void judge_unsure(struct db *d, struct db_change *change) {
  bool unsure = false;
  for (size_t i = d->unsure_count; i-- > 0;) {
    if (d->unsure[i] != change->seq) continue;
    d->unsure[i] = d->unsure[--d->unsure_count];
    unsure = true;
  }
  if (!unsure || change->found != DB_NOWHERE || !takes_out(change)) return;
  change->found = DB_WAS_PENDING;
  d->count_due = true;
}

/* Under the writing side's lock, so that no count falls in between. */
static void apply_chain(struct chain *c, size_t from, size_t count) {
  struct db *d = c->d;
  mutex_lock(&d->lock);
  for (size_t i = from; i < from + count; i++) {
    struct db_change *change = &c->list[i];
    struct settling *row = &c->rows[c->of[i]];
    judge_unsure(d, change);
    if (change->found == DB_NOWHERE)
      row->how = SETTLED_VANISHED;
    else if (!row->late)
      row->how = SETTLED_GONE;
    count_change(d, change, db_hand_of(d, change->seq), row->late);
    db_hand_end(d, change->seq, change->fate == DB_RETRY);
  }
  mutex_unlock(&d->lock);
}

/* Those that needed no change end, too. One that was changed may be in hand anew by now. */
static void end_others(struct chain *c, size_t count) {
  struct db *d = c->d;
  struct row_name name;
  mutex_lock(&d->lock);
  for (size_t i = 0, k = 0; i < count; i++) {
    struct settling *row = &c->rows[i];
    bool changed = k < c->count && c->of[k] == i;
    k += changed;
    if (changed || row->status != ST_OK || !row_name_read(row->ref->token, &name)) continue;
    const struct db_hand *hand = db_hand_of(d, name.seq);
    if (!hand) continue;
    d->vanished++;
    if (d->listed && d->pending) d->pending--;
    db_hand_end(d, name.seq, false);
  }
  mutex_unlock(&d->lock);
}

static enum status not_ours(struct settling *rows, size_t count, const struct error *why) {
  for (size_t i = 0; i < count; i++) {
    rows[i].status = why->status;
    rows[i].error = *why;
  }
  return why->status == ST_BUSY ? ST_BUSY : ST_AGAIN;
}

static enum status take_step(struct chain *c, size_t from, size_t count,
                             const struct manifest_name *closes, bool *closed, struct error *err) {
  struct db *d = c->d;
  mutex_lock(&d->sides[SIDE_WRITING]);
  int64_t began_ns = thread_now_ns();
  enum status st = d->steps->settle(d->impl, c->list + from, count, closes, closed, err);
  db_took(d, STEP_SETTLE, began_ns);
  if (st == ST_OK) apply_chain(c, from, count);
  mutex_unlock(&d->sides[SIDE_WRITING]);
  if (st != ST_UNAVAILABLE) return st;
  mutex_lock(&d->lock);
  note_unsure(d, c->list + from, count);
  mutex_unlock(&d->lock);
  return st;
}

/* One of them is refused: the others are not. */
static enum status take_singly(struct chain *c, const struct manifest_name *closes, bool *closed,
                               struct error *err) {
  bool none;
  for (size_t i = 0; i < c->count; i++) {
    struct settling *row = &c->rows[c->of[i]];
    enum status st = take_step(c, i, 1, NULL, &none, &row->error);
    if (st == ST_OK) continue;
    stay(c, row, st);
    if (db_hinders_one(c->d, &row->error)) continue;
    *err = row->error;
    for (size_t k = i + 1; k < c->count; k++) {
      c->rows[c->of[k]].error = *err;
      stay(c, &c->rows[c->of[k]], st);
    }
    return st;
  }
  return c->stays || !closes ? ST_OK : take_step(c, 0, 0, closes, closed, err);
}

static enum status carry_out(struct chain *c, size_t count, const struct manifest_name *closes,
                             enum closing *closing, struct error *err) {
  bool closed = false;
  if (c->stays) closes = NULL;
  enum status st = take_step(c, 0, c->count, closes, &closed, err);
  if (st != ST_OK && !db_hinders_one(c->d, err)) return not_ours(c->rows, count, err);
  if (st != ST_OK) st = take_singly(c, closes, &closed, err);
  if (st == ST_BUSY) return st;
  if (st != ST_OK && !c->stays) return st; /* all rows are settled, the batch is not closed */
  end_others(c, count);
  if (c->stays) return ST_AGAIN;
  if (closes) *closing = closed ? CLOSING_DONE : CLOSING_DURABLE;
  if (closes && !closed)
    return error_set(err, ST_NOT_FOUND, "batch %llu is gone", (unsigned long long)closes->number);
  return ST_OK;
}

enum status db_settle(void *impl, struct settling *rows, size_t count,
                      const struct manifest_name *closes, enum closing *closing,
                      struct error *err) {
  struct db *d = impl;
  BUG_ON(count > STORE_ROWS);
  struct chain *c = calloc(1, sizeof *c);
  if (!c) {
    error_set(err, ST_NO_MEMORY, "no memory to settle");
    return not_ours(rows, count, err);
  }
  c->d = d;
  c->rows = rows;
  c->now_us = clock_wall_us(d->clock);
  for (size_t i = 0; i < count; i++) add(c, i);
  enum status st = carry_out(c, count, closes, closing, err);
  arena_release(&c->arena);
  free(c);
  return st;
}
