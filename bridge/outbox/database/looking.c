/* Listing, finding and looking, page by page, so that a visitor may call the store again.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/database/parts.h"

enum {
  FOUND_MAX = 20,
  PAGE_ROWS = 200,
  PAGE_BYTES = 2 * 1024 * 1024,
  BODY_MOST = 1024 * 1024 /* where nobody said how large an entry may be */
};

uint64_t db_body_most(const struct db *d) {
  return d->c.max_entry_bytes ? d->c.max_entry_bytes : BODY_MOST;
}

bool db_is_ours(const struct row_entry *e) {
  return e->raw || e->reason != REASON_NONE || e->event.status == EVENT_PENDING ||
         e->event.status == EVENT_ABSENT;
}

enum status db_look_up(struct db *d, enum shelf shelf, struct span token, struct db_page *page,
                       const struct db_row **row, struct error *err) {
  struct row_name name;
  struct db_query q = {.shelf = shelf,
                       .since_us = TIME_NONE,
                       .until_us = TIME_NONE,
                       .rows = PAGE_ROWS,
                       .bytes = PAGE_BYTES,
                       .body = db_body_most(d)};
  enum status st = ST_OK;
  bool named = d->there && row_name_read(token, &name);
  q.seq = named ? name.seq : 0;
  if (named) st = DB_STEP(d, SIDE_READING, read(d->impl, &q, page, err));
  if (st != ST_OK) return st;
  for (size_t i = 0; named && i < page->count; i++)
    if (row_is(&page->rows[i], &name)) {
      *row = &page->rows[i];
      return ST_OK;
    }
  return error_set(err, ST_NOT_FOUND, "entry %.*s is gone", SPAN_ARGS(token));
}

/* ---- what is told of a row ---- */

static bool show(struct db *d, const struct db_row *row, enum shelf shelf,
                 const struct row_entry *e, store_visit_fn visit, void *ctx) {
  char token[ROW_TOKEN_MOST];
  int64_t created_us = e->event.created_us;
  bool object = e->text.len && !e->raw, dead = shelf == SHELF_DEAD;
  (void)d;
  row_token(row->seq, row->id, token);
  if (created_us == TIME_NONE && !time_parse(row->created_at, &created_us)) created_us = TIME_NONE;
  struct entry_info info = {.shelf = shelf,
                            .token = token,
                            .label = token,
                            .storage_key = row->id,
                            .id = e->event.id.len ? e->event.id : row->id,
                            .name = e->event.name,
                            .created_us = created_us,
                            .failed_us = row->failed_us,
                            .first_failed_us = row->first_failed_us,
                            .arrived_us = row->arrived_us,
                            .attempts = row->attempts,
                            .last_error = row->last_error,
                            .topic = row->topic,
                            .size = e->raw || row->cut ? row->payload_size : e->text.len,
                            .text = e->text,
                            .doc = object ? &e->doc : NULL,
                            .event = object ? &e->event : NULL,
                            .payload = object ? json_member(&e->doc, 0, "payload") : JSON_NONE,
                            .raw = dead && e->raw,
                            .payload_size = row->payload_size};
  if (!info.name.len && !span_is(row->name, ROW_WHOLE)) info.name = row->name;
  if (info.payload != JSON_NONE) info.payload_size = e->doc.nodes[info.payload].len;
  if (dead)
    info.reason = row->reason;
  else if (e->reason != REASON_NONE)
    info.reason = span_of(reason_word(e->reason));
  if (!info.last_error.len && e->reason != REASON_NONE) info.last_error = span_of(e->words.text);
  return visit(ctx, &info);
}

/* ---- walks ---- */

struct walk {
  struct db *d;
  struct db_query q;
  size_t limit;
  bool (*match)(const struct walk *w, const struct db_row *row, const struct row_entry *e);
  struct span key;
  store_visit_fn visit;
  void *ctx;
  size_t shown;
  uint64_t met; /* that match */
  bool ends;
  struct buffer after_id;
};

static bool is_aside(struct db *d, int64_t seq) {
  mutex_lock(&d->lock);
  bool aside = db_is_aside(d, seq);
  mutex_unlock(&d->lock);
  return aside;
}

static enum status walk_row(struct walk *w, const struct db_row *row, struct arena *arena,
                            struct error *err) {
  struct row_entry e;
  enum status st = row_read(row, w->q.shelf, 0, w->d->lifting, arena, &e, err);
  if (st != ST_OK) return st;
  if (w->q.shelf == SHELF_PENDING && (!db_is_ours(&e) || is_aside(w->d, row->seq))) return ST_OK;
  if (w->match && !w->match(w, row, &e)) return ST_OK;
  w->met++;
  if (w->limit && w->shown >= w->limit) return ST_OK;
  w->shown++;
  w->ends = !show(w->d, row, w->q.shelf, &e, w->visit, w->ctx);
  return ST_OK;
}

static enum status walk_page(struct walk *w, struct db_page *page, struct error *err) {
  enum status st = ST_OK;
  bool all = w->match; /* how many match is wanted, too */
  for (size_t i = 0; st == ST_OK && !w->ends && i < page->count; i++) {
    const struct db_row *row = &page->rows[i];
    struct arena arena = {0};
    st = walk_row(w, row, &arena, err);
    arena_release(&arena);
    if (!all && w->limit && w->shown >= w->limit) w->ends = true;
  }
  if (!page->count) return st;
  const struct db_row *last = &page->rows[page->count - 1];
  w->q.after = last->seq;
  buffer_clear(&w->after_id);
  buffer_add(&w->after_id, last->id);
  w->q.after_id = buffer_span(&w->after_id);
  return st == ST_OK ? buffer_status(&w->after_id, err) : st;
}

static enum status walk_shelf(struct walk *w, enum shelf shelf, struct error *err) {
  struct db_page page = {0};
  enum status st = ST_OK;
  w->q.shelf = shelf;
  w->q.after = 0;
  w->q.after_id = (struct span){0};
  w->q.rows = w->limit && !w->match && w->limit < PAGE_ROWS ? w->limit : PAGE_ROWS;
  w->q.bytes = PAGE_BYTES;
  w->q.body = db_body_most(w->d);
  for (bool end = false; st == ST_OK && !end && !w->ends;) {
    db_page_clear(&page);
    st = DB_STEP(w->d, SIDE_READING, read(w->d->impl, &w->q, &page, err));
    end = page.end || !page.count;
    if (st == ST_OK) st = walk_page(w, &page, err);
  }
  db_page_release(&page);
  return st;
}

/* ---- lists: both shelves in order of seq ---- */

struct merging {
  struct db *d;
  struct walk shelves[2]; /* their pages' queries */
  struct db_page pages[2];
  size_t at[2];
  bool end[2];
};

static enum status fill(struct merging *m, unsigned shelf, struct error *err) {
  struct walk *w = &m->shelves[shelf];
  struct db_page *page = &m->pages[shelf];
  if (m->end[shelf] || m->at[shelf] < page->count) return ST_OK;
  if (page->count) {
    const struct db_row *last = &page->rows[page->count - 1];
    w->q.after = last->seq;
    buffer_clear(&w->after_id);
    buffer_add(&w->after_id, last->id);
    w->q.after_id = buffer_span(&w->after_id);
  }
  db_page_clear(page);
  m->at[shelf] = 0;
  enum status st = DB_STEP(m->d, SIDE_READING, read(m->d->impl, &w->q, page, err));
  m->end[shelf] = st != ST_OK || !page->count;
  return st == ST_OK ? buffer_status(&w->after_id, err) : st;
}

static enum status merge(struct merging *m, size_t limit, store_visit_fn visit, void *ctx,
                         struct error *err) {
  enum status st = ST_OK;
  bool more = true;
  for (size_t shown = 0; st == ST_OK && more && (!limit || shown < limit);) {
    for (unsigned s = 0; s < 2 && st == ST_OK; s++) st = fill(m, s, err);
    const struct db_row *rows[2] = {NULL, NULL};
    for (unsigned s = 0; s < 2 && st == ST_OK; s++)
      if (m->at[s] < m->pages[s].count) rows[s] = &m->pages[s].rows[m->at[s]];
    if (st != ST_OK || (!rows[0] && !rows[1])) break;
    unsigned s = !rows[0] || (rows[1] && rows[1]->seq < rows[0]->seq);
    struct walk one = {.d = m->d, .q = m->shelves[s].q, .visit = visit, .ctx = ctx};
    struct arena arena = {0};
    st = walk_row(&one, rows[s], &arena, err);
    arena_release(&arena);
    m->at[s]++;
    shown += one.shown;
    more = !one.ends;
  }
  return st;
}

static enum status list_shelves(struct db *d, unsigned which, const struct store_range *range,
                                size_t limit, store_visit_fn visit, void *ctx, struct error *err) {
  struct merging m = {.d = d, .end = {!(which & LIST_PENDING), !(which & LIST_DEAD)}};
  for (unsigned s = 0; s < 2; s++)
    m.shelves[s].q = (struct db_query){.shelf = s ? SHELF_DEAD : SHELF_PENDING,
                                       .since_us = !s && range ? range->since_us : TIME_NONE,
                                       .until_us = !s && range ? range->until_us : TIME_NONE,
                                       .rows = limit && limit < PAGE_ROWS ? limit : PAGE_ROWS,
                                       .bytes = PAGE_BYTES,
                                       .body = db_body_most(d)};
  enum status st = merge(&m, limit, visit, ctx, err);
  for (unsigned s = 0; s < 2; s++) {
    db_page_release(&m.pages[s]);
    buffer_release(&m.shelves[s].after_id);
  }
  return st;
}

struct counted {
  store_visit_fn visit;
  void *ctx;
  size_t limit;
  uint64_t pending, dead;
  bool on;
};

static bool count_and_show(void *ctx, const struct entry_info *info) {
  struct counted *c = ctx;
  bool shows = c->on && (!c->limit || c->pending + c->dead < c->limit);
  c->pending += info->shelf == SHELF_PENDING;
  c->dead += info->shelf == SHELF_DEAD;
  if (shows) c->on = c->visit(c->ctx, info);
  return true;
}

/* How many arrived within a time is known by whoever looks at all of them. */
static enum status list_range(struct db *d, unsigned which, const struct store_range *range,
                              size_t limit, store_visit_fn visit, void *ctx, uint64_t *total,
                              struct error *err) {
  struct counted c = {visit, ctx, limit, 0, 0, true};
  enum status st = list_shelves(d, which, range, 0, count_and_show, &c, err);
  *total = c.pending + c.dead;
  return st;
}

enum status db_list(void *impl, unsigned which, const struct store_range *range, size_t limit,
                    store_visit_fn visit, void *ctx, uint64_t *total, struct error *err) {
  struct db *d = impl;
  *total = 0;
  if (!d->there) return ST_OK;
  bool within = range && (range->since_us != TIME_NONE || range->until_us != TIME_NONE);
  if (within) return list_range(d, which, range, limit, visit, ctx, total, err);
  struct db_figures now = {0};
  unsigned what =
      (which & LIST_PENDING ? DB_COUNT_PENDING : 0) | (which & LIST_DEAD ? DB_COUNT_DEAD : 0);
  enum status st =
      what ? DB_STEP(d, SIDE_READING, count(d->impl, SIDE_READING, what, &now, err)) : ST_OK;
  if (which & LIST_PENDING)
    now.pending -= now.pending > d->asides.count ? d->asides.count : now.pending;
  *total = (which & LIST_PENDING ? now.pending : 0) + (which & LIST_DEAD ? now.dead : 0);
  return st == ST_OK ? list_shelves(d, which, NULL, limit, visit, ctx, err) : st;
}

/* ---- finding ---- */

static bool begins(struct span text, struct span key) {
  return text.len >= key.len && (!key.len || memcmp(text.ptr, key.ptr, key.len) == 0);
}

static bool goes_by(const struct walk *w, const struct db_row *row, const struct row_entry *e) {
  (void)row;
  return e->reason == REASON_NONE && event_goes_by(&e->event, w->key);
}

static bool goes_by_beginning(const struct walk *w, const struct db_row *row,
                              const struct row_entry *e) {
  (void)row;
  return begins(e->event.id, w->key) || begins(e->event.other_id, w->key);
}

static bool any(const struct walk *w, const struct db_row *row, const struct row_entry *e) {
  (void)w, (void)row, (void)e;
  return true;
}

static enum status find_by(struct walk *w, unsigned which, uint64_t *total, struct error *err) {
  enum status st = ST_OK;
  w->shown = 0;
  w->met = 0;
  w->ends = false;
  if (which & LIST_PENDING) st = walk_shelf(w, SHELF_PENDING, err);
  if (st == ST_OK && which & LIST_DEAD && !w->ends) st = walk_shelf(w, SHELF_DEAD, err);
  *total = w->met;
  return st;
}

static enum status find_label(struct db *d, unsigned which, struct span label, struct walk *w,
                              uint64_t *total, struct error *err) {
  enum status st = ST_OK;
  for (unsigned s = 0; s < 2 && st == ST_OK; s++) {
    enum shelf shelf = s ? SHELF_DEAD : SHELF_PENDING;
    struct db_page page = {0};
    const struct db_row *row;
    if (!(which & (s ? LIST_DEAD : LIST_PENDING))) continue;
    w->q.shelf = shelf;
    st = db_look_up(d, shelf, label, &page, &row, err);
    if (st == ST_OK) st = walk_row(w, row, &page.arena, err);
    if (st == ST_NOT_FOUND) st = ST_OK;
    db_page_release(&page);
  }
  *total = w->met;
  return st;
}

/* By the label, the storage key, its beginning, the event's id, its beginning. */
enum status db_find(void *impl, unsigned which, struct span key, store_visit_fn visit, void *ctx,
                    uint64_t *total, struct error *err) {
  struct db *d = impl;
  *total = 0;
  if (!key.len || !d->there) return ST_OK;
  struct walk w = {.d = d,
                   .q = {.since_us = TIME_NONE, .until_us = TIME_NONE},
                   .limit = FOUND_MAX,
                   .key = key,
                   .visit = visit,
                   .ctx = ctx};
  enum status st = which & LIST_KEY ? ST_OK : find_label(d, which, key, &w, total, err);
  unsigned ways = which & LIST_LABEL ? 0 : which & LIST_KEY ? 1 : 4;
  for (unsigned way = 0; st == ST_OK && !*total && way < ways; way++) {
    w.q.id = way < 2 ? key : (struct span){0};
    w.q.begins = way == 1;
    w.match = way < 2 ? any : way == 2 ? goes_by : goes_by_beginning;
    st = find_by(&w, which, total, err);
  }
  buffer_release(&w.after_id);
  return st;
}

enum status db_look(void *impl, enum shelf shelf, const char *token, store_visit_fn visit,
                    void *ctx, struct error *err) {
  struct db *d = impl;
  struct db_page page = {0};
  const struct db_row *row;
  struct walk w = {.d = d, .q = {.shelf = shelf}, .visit = visit, .ctx = ctx};
  if (shelf == SHELF_SENT) return error_set(err, ST_NOT_FOUND, "none that was sent is kept");
  enum status st = db_look_up(d, shelf, span_of(token), &page, &row, err);
  if (st == ST_OK) st = walk_row(&w, row, &page.arena, err);
  if (st == ST_OK && !w.shown) st = error_set(err, ST_NOT_FOUND, "entry %s is gone", token);
  db_page_release(&page);
  return st;
}

bool db_lies(void *impl, const struct entry_ref *ref, struct span id) {
  struct db *d = impl;
  struct db_page page = {0};
  struct row_entry e;
  const struct db_row *row;
  enum status st = ref->shelf == SHELF_SENT
                       ? ST_NOT_FOUND
                       : db_look_up(d, ref->shelf, ref->token, &page, &row, NULL);
  if (st == ST_OK) st = row_read(row, ref->shelf, 0, d->lifting, &page.arena, &e, NULL);
  if (st == ST_OK && ref->shelf == SHELF_PENDING && is_aside(d, row->seq)) st = ST_NOT_FOUND;
  bool lies = st == ST_OK && event_goes_by(&e.event, id);
  db_page_release(&page);
  return lies;
}
