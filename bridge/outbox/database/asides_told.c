/* Rows that are set aside are tried again, and told of; so is all that there is.
 * The finisher tries, any thread asks; a crash leaves what is set aside as it was. */
#include "bridge/outbox/database/asides.h"
#include "bridge/outbox/survey.h"

/* It is durable as soon as it is set aside. */
enum status db_aside_sync(void *impl, struct error *err) {
  (void)impl, (void)err;
  return ST_OK;
}

/* ---- trying again ---- */

static void carry_out_row(struct db *d, struct db_aside *row) {
  const struct entry_ref ref = {
      .shelf = SHELF_PENDING, .token = row->token, .label = row->token, .content = row->content};
  bool dead = row->what == ASIDE_DEAD;
  struct settling one = {.ref = &ref,
                         .late = !dead,
                         .id = row->id,
                         .fate = dead ? FATE_DEAD : FATE_DONE,
                         .why = row->failure};
  char name[ASIDE_NAME_MOST];
  struct error ignored = {0};
  db_aside_name(row->seq, name);
  if (db_settle(d, &one, 1, NULL, NULL, &ignored) != ST_OK) return;
  enum status st = DB_STEP(d, SIDE_WRITING, text_remove(d->impl, name, false, &ignored));
  if (st != ST_OK && st != ST_NOT_FOUND) return; /* with the next try, which finds it gone */
  log_write(d->log, LOG_INFO, "outbox", "aside_settled",
            FIELDS(F_SPAN("id", row->id), F_SPAN("row", row->token)), "No longer set aside. %s",
            one.how == SETTLED_GONE ? "What had become of it is carried out"
                                    : "Somebody else took it away");
  mutex_lock(&d->lock);
  table_remove(&d->asides, db_aside_key(row));
  mutex_unlock(&d->lock);
  free(row);
}

void db_aside_tend(void *impl) {
  struct db *d = impl;
  struct span key;
  void *value;
  size_t count = 0;
  struct db_aside **list = calloc(d->asides.count + 1, sizeof(struct db_aside *));
  for (size_t pos = 0; list && table_each(&d->asides, &pos, &key, &value);) list[count++] = value;
  for (size_t i = 0; i < count; i++) carry_out_row(d, list[i]);
  free(list);
}

/* ---- telling ---- */

struct telling {
  struct db *d;
  struct db_aside **list;
  size_t count;
};

static enum status collect_row(void *ctx, struct db_aside *row, struct error *err) {
  struct telling *t = ctx;
  struct db_aside **grown = realloc(t->list, (t->count + 1) * sizeof(struct db_aside *));
  if (grown) {
    t->list = grown;
    t->list[t->count++] = row;
    return ST_OK;
  }
  free(row);
  return error_set(err, ST_NO_MEMORY, "no memory for a list");
}

static int by_time(const void *a, const void *b) {
  const struct db_aside *x = *(struct db_aside *const *)a, *y = *(struct db_aside *const *)b;
  if (x->since_us != y->since_us) return x->since_us < y->since_us ? -1 : 1;
  return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* False: no more. */
static bool tell_one(struct db *d, const struct db_aside *row, store_aside_fn visit, void *ctx) {
  struct db_page page = {0};
  const struct db_row *there;
  bool found = db_look_up(d, SHELF_PENDING, row->token, &page, &there, NULL) == ST_OK;
  const struct aside_info info = {.what = row->what,
                                  .token = row->token.ptr,
                                  .label = row->token.ptr,
                                  .id = row->id,
                                  .why = row->why,
                                  .remedy = ASIDE_REMEDY,
                                  .attempts = row->failure.attempts,
                                  .since_us = row->since_us,
                                  .arrived_us = found ? there->arrived_us : TIME_NONE,
                                  .size = found ? there->size : 0};
  bool more = visit(ctx, &info);
  db_page_release(&page);
  return more;
}

enum status db_asides(void *impl, size_t limit, store_aside_fn visit, void *ctx,
                      struct error *err) {
  struct telling t = {.d = impl};
  enum status st = db_asides_each(impl, collect_row, &t, err);
  if (t.count) qsort(t.list, t.count, sizeof *t.list, by_time);
  bool more = st == ST_OK;
  for (size_t i = 0; i < t.count && more && (!limit || i < limit); i++)
    more = tell_one(t.d, t.list[i], visit, ctx);
  for (size_t i = 0; i < t.count; i++) free(t.list[i]);
  free(t.list);
  return st;
}

/* ---- everything that is there ---- */

struct surveying {
  struct db *d;
  store_survey_fn visit;
  void *ctx;
  struct buffer shown;
};

static bool survey_one(void *ctx, const struct entry_info *info) {
  struct surveying *s = ctx;
  buffer_clear(&s->shown);
  buffer_add_z(&s->shown, db_shelf_words(info->shelf, SPAN("")));
  buffer_add_z(&s->shown, info->label);
  const struct survey_item item = {ODDITY_NONE, info->shelf, buffer_z(&s->shown), info->id};
  return s->visit(s->ctx, &item);
}

static bool survey_aside(void *ctx, const struct aside_info *info) {
  struct surveying *s = ctx;
  const struct survey_item item = {ODDITY_ASIDE, SHELF_PENDING, info->label, info->id};
  return s->visit(s->ctx, &item);
}

enum status db_survey(void *impl, size_t limit, store_survey_fn visit, void *ctx,
                      uint64_t *left_out, struct error *err) {
  struct surveying s = {impl, visit, ctx, {0}};
  enum status st = ST_OK;
  *left_out = 0;
  for (unsigned which = LIST_PENDING; which <= LIST_DEAD && st == ST_OK; which++) {
    uint64_t total = 0;
    st = db_list(impl, which, NULL, limit, survey_one, &s, &total, err);
    if (limit && total > limit) *left_out += total - limit;
  }
  if (st == ST_OK) st = db_asides(impl, limit, survey_aside, &s, err);
  if (st == ST_OK) st = buffer_status(&s.shown, err);
  buffer_release(&s.shown);
  return st;
}
