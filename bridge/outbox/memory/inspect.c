/* The memory kind: counting, listing, finding and examining.
 * Any thread, under the world's lock; a crash of the process takes all with it. */
#include "bridge/outbox/memory/memory.h"

enum { FOUND_MAX = 20 };

enum status memory_counts(void *impl, bool oldest, struct store_counts *out, struct error *err) {
  struct memory *m = impl;
  (void)err;
  mutex_lock(&m->w->lock);
  *out = (struct store_counts){.in_hand = m->hand_count,
                               .given_back = m->given_back,
                               .first = m->first,
                               .gone = m->gone,
                               .vanished = m->vanished,
                               .returned = m->returned,
                               .listed = m->listed,
                               .exact = m->listed || !m->create,
                               .oldest_us = TIME_NONE};
  for (size_t i = 0; i < m->w->count; i++) {
    const struct memory_row *r = m->w->rows[i];
    bool waits = memory_pending(r);
    out->pending += waits;
    out->dead += r->shelf == SHELF_DEAD;
    out->foreign += !waits && r->shelf != SHELF_DEAD && r->shelf != SHELF_SENT;
    if (oldest && waits && out->oldest_us == TIME_NONE) out->oldest_us = r->arrived_ns / 1000;
  }
  out->arrived =
      (int64_t)(out->pending + m->gone + m->vanished) - (int64_t)(m->first + m->returned);
  mutex_unlock(&m->w->lock);
  return ST_OK;
}

const char *memory_shelf_words(enum shelf shelf, struct span token) {
  static const char *const words[] = {
      [SHELF_PENDING] = "", [SHELF_DEAD] = "dead/", [SHELF_SENT] = "sent/"};
  _Static_assert(sizeof words / sizeof *words == SHELF_SENT + 1, "words for each shelf");
  (void)token;
  return words[shelf];
}

/* No editor finds it. */
void memory_whereabouts(const void *impl, enum shelf shelf, const char *token, bool raw,
                        struct buffer *out) {
  (void)impl, (void)shelf, (void)token, (void)raw, (void)out;
}

/* Of a dead letter that is not an object nothing is told but its bytes. */
static bool is_raw(const struct memory_row *r) {
  return r->shelf == SHELF_DEAD && (!r->doc.count || r->doc.nodes[0].type != JSON_OBJECT);
}

static void info_of(const struct memory_row *r, struct entry_info *info) {
  const struct event *e = &r->event;
  bool object = r->doc.count && r->doc.nodes[0].type == JSON_OBJECT;
  *info = (struct entry_info){.shelf = r->shelf,
                              .token = r->token,
                              .label = r->key,
                              .storage_key = span_of(r->key),
                              .id = e->id.len ? e->id : span_of(r->key),
                              .name = e->name,
                              .created_us = e->created_us,
                              .failed_us = r->failed_us,
                              .first_failed_us = r->first_failed_us,
                              .arrived_us = r->arrived_ns / 1000,
                              .attempts = r->attempts,
                              .last_error = span_of(r->last_error ? r->last_error : ""),
                              .topic = span_of(r->topic ? r->topic : ""),
                              .size = r->len,
                              .text = {r->text, r->len},
                              .doc = object ? &r->doc : NULL,
                              .event = object ? &r->event : NULL,
                              .payload = object ? json_member(&r->doc, 0, "payload") : JSON_NONE,
                              .raw = is_raw(r)};
  if (info->payload != JSON_NONE) info->payload_size = r->doc.nodes[info->payload].len;
  enum reason why = r->reason != REASON_NONE ? r->reason : r->fault;
  if (why != REASON_NONE) info->reason = span_of(reason_word(why));
  if (r->fault != REASON_NONE && !info->last_error.len) info->last_error = span_of(r->words.text);
}

static bool is_wanted(const struct memory_row *r, unsigned which) {
  if (r->shelf == SHELF_DEAD) return which & LIST_DEAD;
  return (which & LIST_PENDING) && memory_pending(r);
}

static bool in_range(const struct memory_row *r, const struct store_range *range) {
  int64_t us = r->arrived_ns / 1000;
  if (!range || r->shelf == SHELF_DEAD) return true;
  return (range->since_us == TIME_NONE || us >= range->since_us) &&
         (range->until_us == TIME_NONE || us <= range->until_us);
}

/* A visitor may call the store again, so each row is copied and shown without the lock. */
static bool show_row(struct memory *m, const struct memory_row *row, store_visit_fn visit,
                     void *ctx) {
  struct memory_row copy = *row;
  struct entry_info info;
  copy.key = strdup(row->key);
  copy.text = malloc(row->len + 1);
  copy.last_error = row->last_error ? strdup(row->last_error) : NULL;
  copy.topic = row->topic ? strdup(row->topic) : NULL;
  copy.doc = (struct json_doc){0};
  copy.arena = (struct arena){0};
  bool more = true;
  if (copy.key && copy.text) {
    memcpy(copy.text, row->text, row->len);
    mutex_unlock(&m->w->lock);
    if (json_scan(&copy.doc, (struct span){copy.text, copy.len}, &(struct error){0}) == ST_OK)
      event_read(&copy.doc, m->lifting, &copy.arena, &copy.event, &(struct error){0});
    else
      copy.event.id = copy.event.name = (struct span){0};
    info_of(&copy, &info);
    more = visit(ctx, &info);
    mutex_lock(&m->w->lock);
  }
  json_doc_release(&copy.doc);
  arena_release(&copy.arena);
  free(copy.key);
  free(copy.text);
  free(copy.last_error);
  free(copy.topic);
  return more;
}

typedef bool (*match_fn)(const struct memory_row *r, const void *what);

/* Those that match, in order; at most limit are shown, how many there are is returned. Rows may
 * come and go between two of them: the place is kept by time and serial. */
static uint64_t walk_rows(struct memory *m, match_fn match, const void *what, size_t limit,
                          store_visit_fn visit, void *ctx) {
  uint64_t total = 0;
  int64_t at_ns = INT64_MIN;
  uint64_t serial = 0;
  mutex_lock(&m->w->lock);
  for (size_t i = 0; i < m->w->count; i++) total += match(m->w->rows[i], what);
  for (size_t shown = 0; !limit || shown < limit; shown++) {
    const struct memory_row *r = NULL;
    for (size_t i = 0; i < m->w->count && !r; i++) {
      const struct memory_row *one = m->w->rows[i];
      bool behind = one->arrived_ns > at_ns || (one->arrived_ns == at_ns && one->serial > serial);
      if (behind && match(one, what)) r = one;
    }
    if (!r) break;
    at_ns = r->arrived_ns;
    serial = r->serial;
    if (!show_row(m, r, visit, ctx)) break;
  }
  mutex_unlock(&m->w->lock);
  return total;
}

struct choice {
  unsigned which;
  const struct store_range *range;
  struct span key;
  bool by_id, prefix;
};

static bool is_chosen(const struct memory_row *r, const void *what) {
  const struct choice *c = what;
  return is_wanted(r, c->which) && in_range(r, c->range);
}

enum status memory_list(void *impl, unsigned which, const struct store_range *range, size_t limit,
                        store_visit_fn visit, void *ctx, uint64_t *total, struct error *err) {
  struct choice c = {.which = which, .range = range};
  (void)err;
  *total = walk_rows(impl, is_chosen, &c, limit, visit, ctx);
  return ST_OK;
}

/* "__" and digits: the next one of a storage key. */
static bool is_number_suffix(struct span rest) {
  if (rest.len < 3 || memcmp(rest.ptr, "__", 2) != 0) return false;
  for (size_t i = 2; i < rest.len; i++)
    if (rest.ptr[i] < '0' || rest.ptr[i] > '9') return false;
  return true;
}

static bool text_begins(struct span text, struct span key) {
  return text.len >= key.len && memcmp(text.ptr, key.ptr, key.len) == 0;
}

static bool is_found(const struct memory_row *r, const void *what) {
  const struct choice *c = what;
  struct span text = c->by_id ? r->event.id : span_of(r->key);
  if (c->by_id && !text_begins(text, c->key)) text = r->event.other_id;
  if (!is_wanted(r, c->which) || !text_begins(text, c->key)) return false;
  struct span rest = {text.ptr + c->key.len, text.len - c->key.len};
  return c->prefix || !rest.len || (!c->by_id && is_number_suffix(rest));
}

enum status memory_search(void *impl, unsigned which, struct span key, store_visit_fn visit,
                          void *ctx, uint64_t *total, struct error *err) {
  (void)err;
  *total = 0;
  /* the storage key, its beginning, the id, its beginning */
  unsigned ways = which & (LIST_KEY | LIST_LABEL) ? 1 : 4;
  for (unsigned way = 0; key.len && !*total && way < ways; way++) {
    struct choice c = {.which = which, .key = key, .by_id = way >= 2, .prefix = way % 2};
    *total = walk_rows(impl, is_found, &c, FOUND_MAX, visit, ctx);
  }
  return ST_OK;
}

const char *memory_dead_words(const struct entry_ref *ref) {
  return memory_shelf_words(SHELF_DEAD, ref->token);
}

enum status memory_look(void *impl, enum shelf shelf, const char *token, store_visit_fn visit,
                        void *ctx, struct error *err) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  struct memory_row *r = memory_find(m->w, shelf, span_of(token));
  bool there = r && (shelf != SHELF_PENDING || memory_pending(r));
  if (there) show_row(m, r, visit, ctx);
  mutex_unlock(&m->w->lock);
  return there ? ST_OK : error_set(err, ST_NOT_FOUND, "entry %s is gone", token);
}

enum status memory_bytes(void *impl, const char *token, bool raw, uint64_t from, size_t most,
                         struct buffer *out, uint64_t *size, struct error *err) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  const struct memory_row *r = memory_find(m->w, SHELF_DEAD, span_of(token));
  bool there = r && (!raw || is_raw(r)), told = there && raw == is_raw(r);
  *size = told ? r->len : 0;
  size_t left = told && from < r->len ? r->len - (size_t)from : 0;
  if (left) buffer_append(out, r->text + from, left < most ? left : most);
  mutex_unlock(&m->w->lock);
  return there ? buffer_status(out, err)
               : error_set(err, ST_NOT_FOUND, "dead letter %s is gone", token);
}

enum status memory_survey(void *impl, size_t limit, store_survey_fn visit, void *ctx,
                          uint64_t *left_out, struct error *err) {
  struct memory *m = impl;
  struct buffer path = {0};
  size_t told = 0;
  bool more = true;
  *left_out = 0;
  mutex_lock(&m->w->lock);
  for (size_t i = 0; more && i < m->w->count; i++) {
    const struct memory_row *r = m->w->rows[i];
    if (limit && told++ >= limit) {
      ++*left_out;
      continue;
    }
    buffer_clear(&path);
    buffer_printf(&path, "%s%s", memory_shelf_words(r->shelf, span_of(r->token)), r->key);
    more = visit(ctx, &(struct survey_item){ODDITY_NONE, r->shelf, buffer_z(&path), r->event.id});
  }
  mutex_unlock(&m->w->lock);
  enum status st = buffer_status(&path, err);
  buffer_release(&path);
  return st;
}

bool memory_lies(void *impl, const struct entry_ref *ref, struct span id) {
  struct memory *m = impl;
  mutex_lock(&m->w->lock);
  struct memory_row *r = memory_find(m->w, ref->shelf, ref->token);
  bool lies = r && event_goes_by(&r->event, id);
  mutex_unlock(&m->w->lock);
  return lies;
}
