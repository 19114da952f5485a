/* Chooses the dead letters that a replay or purge is about, tells which they are, and writes them
 * down. A crash before the end leaves a file in tmp and nothing selected.
 * Any thread, one at a time a selection. */
#include "bridge/base/table.h"
#include "bridge/base/text/words.h"
#include "bridge/service/bulk/bulk.h"
#include "bridge/service/bulk/frozen_selection.h"
#include "bridge/service/fits.h"
#include "bridge/service/health/breakdown.h"

#define MISSING_SHOWN 5

struct wanted {
  struct span id;
  bool found;
};
struct freezing {
  struct service *s;
  const struct bulk_request *request;
  struct frozen_writer writer;
  struct breakdown *by_reason;
  struct catalog *catalog; /* of a replay's dry run: would they fit now? Else NULL */
  struct breakdown *dying; /* those that would not */
  uint64_t fits;
  struct table ids; /* of struct wanted */
  struct arena arena;
  const char *named_in; /* the shelf's words of what was found of one storage key; NULL: nothing */
  uint64_t missing;
  struct buffer missing_shown;
  enum status st;
  struct error *err;
};

/* ---- choosing ---- */

/* What is not JSON is not judged: its bytes may have been corrected. */
static void foresee_letter(struct freezing *f, const struct entry_info *info) {
  struct entry_info dead = *info;
  if (!f->catalog || !info->doc || info->raw || info->foreign_form) return;
  enum reason reason =
      fits_now(f->s, f->catalog, info->text, info->event && info->event->typed, NULL);
  f->fits += reason == REASON_NONE;
  if (reason == REASON_NONE || reason == REASON_NO_MEMORY) return;
  dead.reason = span_of(reason_word(reason));
  dead.name = (struct span){0}; /* its topic does not matter */
  breakdown_dead(f->dying, &dead);
}

static bool take_letter(struct freezing *f, const struct entry_info *info) {
  int64_t when_us = info->failed_us != TIME_NONE ? info->failed_us : info->arrived_us;
  breakdown_dead(f->by_reason, info);
  foresee_letter(f, info);
  if (!f->request->dry_run) f->st = frozen_add(&f->writer, info->token, when_us, f->err);
  return f->st == ST_OK;
}

static bool visit_matching(void *ctx, const struct entry_info *info) {
  struct freezing *f = ctx;
  return !selection_matches(&f->request->selection, f->s->routing, info) || take_letter(f, info);
}

/* Of one storage key in two outboxes neither is taken: which is meant nobody can guess. */
static bool visit_named(void *ctx, const struct entry_info *info) {
  struct freezing *f = ctx;
  const char *words = store_shelf_words(f->s->store, info->shelf, span_of(info->token));
  if (f->named_in && strcmp(f->named_in, words) != 0) {
    f->st = error_set(f->err, ST_EXISTS,
                      "\"%.*s\" is a dead letter of both outboxes; name the one that is meant as "
                      "busbridge list -o wide does (%s%s)",
                      SPAN_ARGS(info->storage_key), words, info->label);
    return false;
  }
  f->named_in = words;
  return take_letter(f, info);
}

/* By the id that it goes by, else by the other one. */
static struct wanted *wanted_of(const struct freezing *f, const struct entry_info *info) {
  struct wanted *w = info->id.len ? table_get(&f->ids, info->id) : NULL;
  struct span other = info->event ? info->event->other_id : (struct span){0};
  return w || !other.len ? w : table_get(&f->ids, other);
}

static bool visit_by_id(void *ctx, const struct entry_info *info) {
  struct freezing *f = ctx;
  struct wanted *w = wanted_of(f, info);
  if (!w || w->found) return true;
  return take_letter(f, info);
}

static bool next_id(struct span *rest, struct span *id) {
  while (rest->len > 0) {
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    *id = span_trim((struct span){rest->ptr, len});
    *rest = (struct span){rest->ptr + len + (end != NULL), rest->len - len - (end != NULL)};
    if (id->len) return true;
  }
  return false;
}

/* An id is mostly a storage key, which is looked for without reading any other. */
static enum status choose_named(struct freezing *f) {
  struct span rest = f->request->ids, id;
  while (f->st == ST_OK && next_id(&rest, &id)) {
    uint64_t total = 0;
    if (table_get(&f->ids, id)) continue; /* twice */
    struct wanted *w = arena_zalloc(&f->arena, sizeof *w);
    enum status st = w ? table_put(&f->ids, id, w) : ST_NO_MEMORY;
    if (st != ST_OK) return error_set(f->err, st, "out of memory");
    w->id = id;
    f->named_in = NULL;
    st = store_find(f->s->store, LIST_DEAD | LIST_KEY, id, visit_named, f, &total, f->err);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    w->found = total > 0;
    f->missing += !w->found;
  }
  return f->st;
}

static bool mark_by_id(void *ctx, const struct entry_info *info) {
  struct freezing *f = ctx;
  struct wanted *w = wanted_of(f, info);
  if (w && !w->found) {
    w->found = true;
    f->missing--;
  }
  return true;
}

static void show_missing(struct freezing *f) {
  struct span rest = f->request->ids, id;
  for (int shown = 0; shown < MISSING_SHOWN && next_id(&rest, &id);) {
    struct wanted *w = table_get(&f->ids, id);
    if (!w || w->found) continue;
    w->found = true; /* not twice */
    if (shown++) buffer_add_z(&f->missing_shown, ", ");
    json_write_string(&f->missing_shown, id);
  }
}

static enum status choose_ids(struct freezing *f) {
  uint64_t total;
  enum status st = choose_named(f);
  if (st == ST_OK && f->missing)
    st = store_list(f->s->store, LIST_DEAD, 0, visit_by_id, f, &total, f->err);
  if (st == ST_OK) st = f->st;
  if (st == ST_OK && f->missing)
    st = store_list(f->s->store, LIST_DEAD, 0, mark_by_id, f, &total, f->err);
  if (st == ST_OK) show_missing(f);
  return st;
}

static enum status choose(struct freezing *f) {
  uint64_t total;
  if (f->request->ids.len) return choose_ids(f);
  enum status st = store_list(f->s->store, LIST_DEAD, 0, visit_matching, f, &total, f->err);
  return st == ST_OK ? f->st : st;
}

/* ---- the operation ---- */

static enum status check(const struct bulk_request *r, struct error *err) {
  bool narrows = selection_narrows(&r->selection), ids = r->ids.len > 0;
  if (!r->selection.dead)
    return error_set(err, ST_INVALID, "Only dead letters can be replayed or purged by filters");
  if (ids + r->all + narrows == 0)
    return error_set(err, ST_INVALID,
                     "Which dead letters? Give filters, ids, or all of them by --all (all=1)");
  if (ids && (r->all || narrows))
    return error_set(err, ST_INVALID, "Ids cannot be combined with filters (or all)");
  return ST_OK;
}

static void head_of(struct service *s, const struct bulk_request *r, struct frozen_head *head) {
  struct buffer words = {0};
  struct selection dead = r->selection;
  dead.pending = false;
  dead.dead = true;
  if (r->ids.len)
    buffer_add_z(&words, "ids");
  else if (selection_narrows(&r->selection))
    selection_words(&dead, &words);
  else
    buffer_add_z(&words, "all");
  *head = (struct frozen_head){.purge = r->purge,
                               .force = r->force,
                               .began_us = clock_wall_us(s->clock),
                               .uid = r->by ? r->by->uid : -1};
  struct span shown = text_cut(buffer_span(&words), sizeof head->filter - 1);
  snprintf(head->filter, sizeof head->filter, "%.*s", SPAN_ARGS(shown));
  buffer_release(&words);
}

static enum status write_down(struct freezing *f, uint64_t *number) {
  struct service *s = f->s;
  *number = 0;
  if (f->request->dry_run || !f->by_reason->count) return ST_OK;
  mutex_lock(&s->moving); /* the number */
  enum status st = frozen_commit(&f->writer, number, f->err);
  mutex_unlock(&s->moving);
  return st;
}

static enum status tell_selection(struct freezing *f, uint64_t number, struct buffer *json) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  json_write_key(json, &first, "selection");
  if (number)
    json_write_int(json, (int64_t)number);
  else
    buffer_add_z(json, "null");
  member_text(json, &first, "kind", span_of(f->request->purge ? "purge" : "replay"));
  member_int(json, &first, "count", (int64_t)f->by_reason->count);
  breakdown_write(f->by_reason, json, &first);
  if (f->catalog) {
    member_int(json, &first, "fits", (int64_t)f->fits);
    breakdown_write_reasons(f->dying, "would_die", json, &first);
  }
  member_int(json, &first, "missing", (int64_t)f->missing);
  json_write_key(json, &first, "missing_samples");
  buffer_printf(json, "[%s]}", buffer_z(&f->missing_shown));
  return buffer_status(json, f->err);
}

/* Without schemas nothing is foreseen, and the rest is told all the same. */
static enum status look_ahead(struct freezing *f) {
  enum status st = breakdown_open(&f->s->plan, f->s->routing, NULL, &f->dying, f->err);
  if (st == ST_OK) st = plan_catalog(&f->s->plan, NULL, &f->catalog, f->err);
  return f->dying && st != ST_NO_MEMORY ? ST_OK : st;
}

enum status service_bulk_freeze(struct service *s, const struct bulk_request *request,
                                struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, request->purge ? "purge" : "replay");
  struct error local = {0};
  struct freezing f = {.s = s, .request = request, .err = err ? err : &local};
  struct frozen_head head;
  uint64_t number;
  BUG_ON(s->mode == SERVICE_INSPECT && !request->dry_run);
  head_of(s, request, &head);
  frozen_begin(&f.writer, s->store, &head);
  enum status st = check(request, f.err);
  if (st == ST_OK) st = breakdown_open(&s->plan, s->routing, NULL, &f.by_reason, f.err);
  if (st == ST_OK && request->dry_run && !request->purge) st = look_ahead(&f);
  if (st == ST_OK) st = choose(&f);
  if (st == ST_OK) st = write_down(&f, &number);
  if (st == ST_OK) st = tell_selection(&f, number, json);
  frozen_release(&f.writer);
  breakdown_close(f.by_reason);
  breakdown_close(f.dying);
  catalog_close(f.catalog);
  table_release(&f.ids);
  arena_release(&f.arena);
  buffer_release(&f.missing_shown);
  return operation_end(&o, st);
}
