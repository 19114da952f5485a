/* Dead letters go back or go for good; entries are emitted; the bytes of a letter.
 * Any thread; a crash leaves each letter dead, back, or gone. */
#include "bridge/outbox/burial.h"
#include "bridge/outbox/database/parts.h"

/* ---- many at a time ---- */

struct letters {
  struct db *d;
  struct letter *list;
  struct db_letter steps[STORE_LETTERS];
  size_t of[STORE_LETTERS], count;
  struct span names[STORE_LETTERS], reasons[STORE_LETTERS];
  struct arena arena;
};

static bool keep_span(struct letters *l, struct span from, struct span *to) {
  *to = arena_span(&l->arena, from);
  return to->ptr || !from.len;
}

static enum status read_letter(struct letters *l, size_t i, struct db_page *page) {
  struct letter *letter = &l->list[i];
  struct db_letter *to = &l->steps[l->count];
  const struct db_row *row;
  struct row_entry e;
  enum status st = db_look_up(l->d, SHELF_DEAD, span_of(letter->token), page, &row, &letter->error);
  if (st == ST_OK && letter->when_us != TIME_NONE && row->failed_us != letter->when_us)
    st = error_set(&letter->error, ST_NOT_FOUND, "dead letter %s is gone", letter->token);
  if (st == ST_OK)
    st = row_read(row, SHELF_DEAD, 0, l->d->lifting, &page->arena, &e, &letter->error);
  if (st != ST_OK) return st;
  *to = (struct db_letter){.seq = row->seq, .failed_us = letter->when_us};
  if (!keep_span(l, row->id, &to->id) ||
      !keep_span(l, e.event.id.len ? e.event.id : row->id, &letter->id) ||
      !keep_span(l, e.event.name, &l->names[i]) || !keep_span(l, row->reason, &l->reasons[i]))
    return error_set(&letter->error, ST_NO_MEMORY, "no memory for a dead letter");
  letter->raw = e.raw;
  l->of[l->count++] = i;
  return ST_OK;
}

static struct letters *read_letters(struct db *d, struct letter *list, size_t count) {
  struct letters *l = calloc(1, sizeof *l);
  for (size_t i = 0; !l && i < count; i++)
    list[i].status = error_set(&list[i].error, ST_NO_MEMORY, "no memory for dead letters");
  if (!l) return NULL;
  l->d = d;
  l->list = list;
  for (size_t i = 0; i < count; i++) {
    struct db_page page = {0};
    list[i].status = read_letter(l, i, &page);
    db_page_release(&page);
  }
  return l;
}

/* Those that a judge lets stay are left out. */
static void drop_judged(struct letters *l) {
  size_t kept = 0;
  for (size_t k = 0; k < l->count; k++) {
    if (l->list[l->of[k]].status != ST_OK) continue;
    l->steps[kept] = l->steps[k];
    l->of[kept++] = l->of[k];
  }
  l->count = kept;
}

static void say(struct letter *letter, const struct db_letter *step) {
  letter->status = step->status;
  if (step->status == ST_NOT_FOUND)
    error_set(&letter->error, ST_NOT_FOUND, "dead letter %s is gone", letter->token);
  if (step->status == ST_EXISTS)
    error_set(&letter->error, ST_EXISTS, "another entry waits in the place of %s", letter->token);
  if (step->status == ST_INVALID)
    error_set(&letter->error, ST_INVALID,
              "the table does not take dead letter %s back: look at it, emit it anew, purge it",
              letter->token);
}

static void note_back(struct db *d, int64_t seq) {
  d->returned++;
  if (d->listed) d->pending++;
  d->overtaken++; /* else the scan would pass it */
  if (seq <= d->cursor && !db_notice(d, seq) && d->wanted == d->begun) d->wanted++;
}

/* Under the writing side's lock, so that no count falls in between. */
static void apply_letters(struct letters *l, bool back) {
  struct db *d = l->d;
  mutex_lock(&d->lock);
  for (size_t k = 0; k < l->count; k++) {
    if (l->steps[k].status != ST_OK) continue;
    if (d->listed && d->dead) d->dead--;
    if (back) note_back(d, l->steps[k].seq);
  }
  mutex_unlock(&d->lock);
}

static void change(struct letters *l, bool back) {
  struct db *d = l->d;
  struct error err = {0};
  enum status st = ST_OK;
  if (l->count) {
    mutex_lock(&d->sides[SIDE_WRITING]);
    st = back ? d->steps->replay(d->impl, l->steps, l->count, clock_wall_us(d->clock), &err)
              : d->steps->purge(d->impl, l->steps, l->count, &err);
    if (st == ST_OK) apply_letters(l, back);
    mutex_unlock(&d->sides[SIDE_WRITING]);
  }
  for (size_t k = 0; k < l->count; k++) {
    struct letter *letter = &l->list[l->of[k]];
    if (st == ST_OK) say(letter, &l->steps[k]);
    if (st != ST_OK) letter->error = err;
    if (st != ST_OK) letter->status = st;
    if (letter->status == ST_OK && d->c.dead_left)
      d->c.dead_left(d->c.dead_ctx, l->names[l->of[k]], l->reasons[l->of[k]]);
  }
}

static void release(struct letters *l) {
  arena_release(&l->arena);
  free(l);
}

void db_replay_all(void *impl, struct letter *list, size_t count, store_judge_fn judge, void *ctx) {
  struct letters *l = read_letters(impl, list, count);
  if (!l) return;
  if (judge) judge(ctx, list, count);
  drop_judged(l);
  change(l, true);
  release(l);
}

void db_purge(void *impl, struct letter *list, size_t count) {
  struct letters *l = read_letters(impl, list, count);
  if (!l) return;
  change(l, false);
  release(l);
}

/* ---- one ---- */

static enum status again(struct db *d, struct span token, struct error *err) {
  struct db_page page = {0};
  const struct db_row *row;
  bool closed;
  enum status st = db_look_up(d, SHELF_PENDING, token, &page, &row, err);
  if (st != ST_OK) goto out;
  mutex_lock(&d->lock);
  bool held = db_hand_of(d, row->seq);
  mutex_unlock(&d->lock);
  struct db_change change = {.fate = DB_AFRESH,
                             .seq = row->seq,
                             .id = row->id,
                             .attempted = true,
                             .failed_us = TIME_NONE,
                             .now_us = clock_wall_us(d->clock)};
  if (held) st = error_set(err, ST_BUSY, "%.*s is in hand", SPAN_ARGS(token));
  if (st == ST_OK) st = DB_STEP(d, SIDE_WRITING, settle(d->impl, &change, 1, NULL, &closed, err));
  if (st == ST_OK && change.found == DB_NOWHERE)
    st = error_set(err, ST_NOT_FOUND, "entry %.*s is gone", SPAN_ARGS(token));
  if (st != ST_OK) goto out;
  mutex_lock(&d->lock);
  d->overtaken++;
  if (row->seq <= d->cursor && !db_notice(d, row->seq) && d->wanted == d->begun) d->wanted++;
  mutex_unlock(&d->lock);
out:
  db_page_release(&page);
  return st;
}

enum status db_replay(void *impl, enum shelf shelf, const char *token, struct error *err) {
  struct letter one = {.token = token, .when_us = TIME_NONE};
  if (shelf == SHELF_SENT) return error_set(err, ST_INVALID, "entry %s was sent", token);
  if (shelf == SHELF_PENDING) return again(impl, span_of(token), err);
  db_replay_all(impl, &one, 1, NULL, NULL);
  if (one.status != ST_OK && err) *err = one.error;
  return one.status;
}

enum status db_emit(void *impl, struct span key, struct span text, struct buffer *label,
                    struct error *err) {
  struct db *d = impl;
  struct arena arena = {0};
  struct db_row row;
  int64_t seq = 0;
  char token[ROW_TOKEN_MOST];
  if (!d->there) return error_set(err, ST_NOT_FOUND, "there is no outbox in %s", d->name);
  enum status st = row_columns(key, text, &arena, &row, err);
  if (st == ST_OK) st = DB_STEP(d, SIDE_WRITING, insert(d->impl, &row, &seq, err));
  if (st == ST_OK && label) buffer_add(label, (struct span){token, row_token(seq, row.id, token)});
  arena_release(&arena);
  return st;
}

/* ---- another payload, and one more ---- */

/* What the column is to hold: the payload, but of a whole entry that is an object all of it. */
static enum status column_of(const struct db_row *row, const struct row_entry *e,
                             struct span payload, struct buffer *out, struct error *err) {
  const struct event_change change = {"payload", payload};
  if (!span_is(row->name, ROW_WHOLE) || e->raw)
    buffer_add(out, payload);
  else
    event_rewrite(&e->doc, &change, 1, out);
  return buffer_status(out, err);
}

enum status db_amend(void *impl, const char *token, int64_t when_us, struct span payload,
                     struct error *err) {
  struct db *d = impl;
  struct db_page page = {0};
  const struct db_row *row;
  struct row_entry e;
  struct buffer column = {0};
  enum status st = db_look_up(d, SHELF_DEAD, span_of(token), &page, &row, err);
  if (st == ST_OK) st = row_read(row, SHELF_DEAD, 0, d->lifting, &page.arena, &e, err);
  if (st == ST_OK) st = column_of(row, &e, payload, &column, err);
  if (st == ST_OK) {
    struct db_letter letter = {.seq = row->seq, .id = row->id, .failed_us = when_us};
    st = DB_STEP(d, SIDE_WRITING, amend(d->impl, &letter, buffer_span(&column), err));
    if (st == ST_OK) st = letter.status;
    if (st == ST_NOT_FOUND) error_set(err, st, "dead letter %s is gone", token);
  }
  buffer_release(&column);
  db_page_release(&page);
  return st;
}

static enum status row_of_letter(const struct burial *letter, struct arena *arena,
                                 struct db_row *row, struct error *err) {
  struct burial_notes notes;
  enum status st = burial_read(letter, arena, &notes, err);
  if (st == ST_OK) st = row_columns(letter->storage_key, notes.pending, arena, row, err);
  if (st != ST_OK) return st;
  row->key = letter->key.ptr ? letter->key : SPAN("");
  row->attempts = notes.event.attempts;
  row->last_error = notes.last_error;
  row->first_failed_us = notes.event.first_failed_us;
  row->failed_us = notes.event.failed_us;
  row->reason = notes.reason.len ? notes.reason : SPAN("unknown");
  row->topic = notes.topic;
  row->error_code = notes.error_code;
  return ST_OK;
}

enum status db_bury(void *impl, const struct burial *letter, struct buffer *label,
                    struct error *err) {
  struct db *d = impl;
  struct arena arena = {0};
  struct db_row row;
  int64_t seq = 0;
  char token[ROW_TOKEN_MOST];
  enum status st = row_of_letter(letter, &arena, &row, err);
  if (st == ST_OK)
    st = DB_STEP(d, SIDE_WRITING, bury(d->impl, &row, clock_wall_us(d->clock), &seq, err));
  if (st == ST_OK) {
    mutex_lock(&d->lock);
    if (d->listed) d->dead++;
    mutex_unlock(&d->lock);
    if (label) buffer_add(label, (struct span){token, row_token(seq, row.id, token)});
  }
  arena_release(&arena);
  return st;
}

/* ---- bytes ---- */

/* What of [from, from + most) lies in text, which stands at *at. */
static void add_part(struct span text, uint64_t *at, uint64_t from, size_t most,
                     struct buffer *out) {
  uint64_t end = from + most, text_end = *at + text.len;
  uint64_t begin = from > *at ? from : *at, stop = end < text_end ? end : text_end;
  if (begin < stop)
    buffer_add(out, (struct span){text.ptr + (begin - *at), (size_t)(stop - begin)});
  *at = text_end;
}

/* A large one is never whole in memory. */
static enum status cut_bytes(struct db *d, const struct db_row *row, uint64_t from, size_t most,
                             struct buffer *out, uint64_t *size, struct error *err) {
  struct buffer front = {0}, back = {0};
  uint64_t at = 0, body = 0;
  row_front(row, &front);
  row_back(row, SHELF_DEAD, &back);
  enum status st = buffer_status(&front, err);
  if (st == ST_OK) st = buffer_status(&back, err);
  add_part(buffer_span(&front), &at, from, most, out);
  uint64_t into = from > at ? from - at : 0;
  size_t left = from + most > at + into ? (size_t)(from + most - at - into) : 0;
  if (st == ST_OK)
    st = DB_STEP(d, SIDE_READING,
                 body(d->impl, SHELF_DEAD, row->seq, row->id, into, left, out, &body, err));
  at += body;
  add_part(buffer_span(&back), &at, from, most, out);
  *size = at;
  buffer_release(&front);
  buffer_release(&back);
  return st;
}

enum status db_bytes(void *impl, const char *token, bool raw, uint64_t from, size_t most,
                     struct buffer *out, uint64_t *size, struct error *err) {
  struct db *d = impl;
  struct db_page page = {0};
  const struct db_row *row;
  struct row_entry e = {0};
  uint64_t at = 0;
  *size = 0;
  enum status st = db_look_up(d, SHELF_DEAD, span_of(token), &page, &row, err);
  if (st == ST_OK && row->cut && !raw) {
    st = cut_bytes(d, row, from, most, out, size, err);
    goto out;
  }
  if (st == ST_OK) st = row_read(row, SHELF_DEAD, 0, d->lifting, &page.arena, &e, err);
  if (st == ST_OK && raw && !e.raw)
    st = error_set(err, ST_NOT_FOUND, "dead letter %s is gone", token);
  if (st != ST_OK || raw != e.raw) goto out;
  struct span text = raw && !span_is(row->name, ROW_WHOLE) ? row->payload : e.text;
  add_part(text, &at, from, most, out);
  *size = text.len;
  st = buffer_status(out, err);
out:
  db_page_release(&page);
  return st;
}
