/* Rows that the database refuses to change, each by itself: what became of one is a text of ours,
 * "aside/SEQ", written before it is out of hand; asides_told.c carries it out when it can.
 * The finisher's, asked by any thread; a crash leaves each written down or in its place, where the
 * next start finds it in its batch. */
#include "bridge/outbox/database/asides.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

#include <errno.h>
#include <inttypes.h>

#define ASIDE "aside/"
enum { TEXT_MOST = 300, LINE_MOST = 8192 };

bool db_hinders_one(const void *impl, const struct error *why) {
  (void)impl;
  return why->status == ST_INVALID && why->sys == EPERM;
}

/* ---- its text ---- */

static const char *const whats[] = {
    [ASIDE_DONE] = "done", [ASIDE_RETRY] = "retry", [ASIDE_DEAD] = "dead"};
enum { WHAT, TOKEN, ID, CONTENT, SINCE, ATTEMPTS, FAILED, REASON, CODE, TOPIC, ERROR, WHY, WORDS };

static void add_word(struct buffer *out, struct span text) {
  buffer_add_char(out, ' ');
  word_escape(out, text);
}

static void print_row(const struct db_aside *row, struct buffer *out) {
  const struct failure *f = &row->failure;
  buffer_add_z(out, whats[row->what]);
  add_word(out, row->token);
  add_word(out, row->id);
  buffer_printf(out, " %" PRIu64 " %" PRId64 " %u %" PRId64 " %s %d", row->content, row->since_us,
                f->attempts, f->failed_us, reason_word(f->reason), f->error_code);
  add_word(out, span_of(f->topic));
  add_word(out, text_cut(span_of(f->error), TEXT_MOST));
  add_word(out, text_cut(span_of(row->why), TEXT_MOST));
}

static bool read_numbers(const struct span w[WORDS], struct db_aside *row) {
  int64_t attempts, code;
  struct row_name name;
  if (!row_name_read(row->token, &name) || !number_parse(w[CONTENT], UINT64_MAX, &row->content) ||
      !integer_parse(w[SINCE], &row->since_us) || !integer_parse(w[ATTEMPTS], &attempts) ||
      !integer_parse(w[FAILED], &row->failure.failed_us) || !integer_parse(w[CODE], &code))
    return false;
  row->seq = name.seq;
  row->what = span_is(w[WHAT], whats[ASIDE_DONE]) ? ASIDE_DONE : ASIDE_DEAD;
  row->failure.reason = reason_from_word(w[REASON]);
  row->failure.attempts = (unsigned)attempts;
  row->failure.error_code = (int)code;
  return true;
}

static const char *text_or_null(struct span word) {
  return word.len ? word.ptr : NULL;
}

/* NULL: it is damaged, or memory is out. Freed with free. */
static struct db_aside *parse_row(struct span line) {
  static const unsigned texts[] = {TOKEN, ID, TOPIC, ERROR, WHY};
  struct span w[WORDS];
  struct db_aside *row = calloc(1, sizeof *row + line.len + WORDS);
  bool read = row != NULL;
  char *room = row ? row->bytes : NULL;
  for (unsigned i = 0; i < WORDS && read; i++) read = span_word(&line, &w[i]);
  for (unsigned i = 0; i < sizeof texts / sizeof *texts && read; i++) {
    read = word_unescape(&w[texts[i]], room);
    room += w[texts[i]].len + 1;
  }
  if (read) row->token = w[TOKEN];
  if (!read || !read_numbers(w, row)) {
    free(row);
    return NULL;
  }
  row->id = w[ID];
  row->failure.topic = text_or_null(w[TOPIC]);
  row->failure.error = text_or_null(w[ERROR]);
  row->why = w[WHY].ptr;
  return row;
}

void db_aside_name(int64_t seq, char out[ASIDE_NAME_MOST]) {
  snprintf(out, ASIDE_NAME_MOST, ASIDE "%" PRId64, seq);
}

/* ---- those that are known ---- */

bool db_is_aside(const struct db *d, int64_t seq) {
  return d->asides.count && table_get(&d->asides, (struct span){(const char *)&seq, sizeof seq});
}

struct span db_aside_key(const struct db_aside *row) {
  return (struct span){(const char *)&row->seq, sizeof row->seq};
}

/* In place of the one of its seq. Under lock; row is freed where memory is out. */
static enum status put_row(struct db *d, struct db_aside *row, struct error *err) {
  free(table_remove(&d->asides, db_aside_key(row)));
  if (table_put(&d->asides, db_aside_key(row), row) == ST_OK) return ST_OK;
  free(row);
  return error_set(err, ST_NO_MEMORY, "no memory to set an entry aside");
}

void db_asides_release(struct db *d) {
  struct span key;
  void *value;
  for (size_t pos = 0; table_each(&d->asides, &pos, &key, &value);) free(value);
  table_release(&d->asides);
}

/* ---- from the database ---- */

struct names {
  char (*list)[ASIDE_NAME_MOST];
  size_t count, cap;
  bool no_memory;
};

static bool take_name(void *ctx, const char *name) {
  struct names *n = ctx;
  if (n->count == n->cap) {
    size_t cap = n->cap ? n->cap * 2 : 16;
    void *grown = realloc(n->list, cap * sizeof *n->list);
    n->no_memory = !grown;
    if (!grown) return false;
    n->list = grown;
    n->cap = cap;
  }
  snprintf(n->list[n->count++], ASIDE_NAME_MOST, "%s", name);
  return true;
}

static enum status read_row(struct db *d, const char *name, struct db_aside **out,
                            struct error *err) {
  struct buffer text = {0};
  uint64_t size;
  *out = NULL;
  enum status st =
      DB_STEP(d, SIDE_READING, text_read(d->impl, name, 0, LINE_MOST, &text, &size, err));
  if (st == ST_OK) st = buffer_status(&text, err);
  if (st == ST_OK && !(*out = parse_row(buffer_span(&text))))
    st =
        error_set(err, ST_INVALID,
                  "the text %s in the database %s is damaged: it names a row that is published and "
                  "could not be removed; restore it, or remove that row and the text",
                  name, d->name);
  buffer_release(&text);
  return st == ST_NOT_FOUND ? ST_OK : st; /* carried out meanwhile */
}

/* Each to take, which owns it. */
enum status db_asides_each(struct db *d,
                           enum status (*take)(void *, struct db_aside *, struct error *),
                           void *ctx, struct error *err) {
  struct names names = {0};
  enum status st =
      d->there ? DB_STEP(d, SIDE_READING, text_names(d->impl, ASIDE, take_name, &names, err))
               : ST_OK;
  if (names.no_memory) st = error_set(err, ST_NO_MEMORY, "no memory for a list");
  for (size_t i = 0; i < names.count && st == ST_OK; i++) {
    struct db_aside *row;
    st = read_row(d, names.list[i], &row, err);
    if (st == ST_OK && row) st = take(ctx, row, err);
  }
  free(names.list);
  return st;
}

static enum status load_row(void *ctx, struct db_aside *row, struct error *err) {
  struct db *d = ctx;
  mutex_lock(&d->lock);
  enum status st = put_row(d, row, err);
  mutex_unlock(&d->lock);
  return st;
}

enum status db_asides_load(struct db *d, struct error *err) {
  return db_asides_each(d, load_row, d, err);
}

/* ---- setting aside ---- */

static struct db_aside *make_row(struct db *d, const struct entry_ref *ref, struct span id,
                                 enum aside what, const struct failure *why,
                                 const struct error *hindrance, struct buffer *line) {
  const struct db_aside from = {.what = what,
                                .token = ref->token,
                                .id = id,
                                .content = ref->content,
                                .since_us = clock_wall_us(d->clock),
                                .why = hindrance->text,
                                .failure = why ? *why : (struct failure){.failed_us = TIME_NONE}};
  print_row(&from, line);
  return line->failed ? NULL : parse_row(buffer_span(line));
}

/* It is out of hand, and does not wait any more. */
static void end_hand(struct db *d, int64_t seq, bool known) {
  if (!known) {
    d->gone++;
    if (d->listed && d->pending) d->pending--;
  }
  db_hand_end(d, seq, false);
}

static void tell_row(struct db *d, const struct db_aside *row) {
  log_write(d->log, LOG_WARNING, "outbox", "entry_aside",
            FIELDS(F_SPAN("id", row->id), F_SPAN("row", row->token), F_TEXT("error", row->why)),
            "Set aside, all others go on. %s. It is tried again each flush.interval. %s",
            row->what == ASIDE_DEAD ? "It can never be published, and cannot be moved to the dead "
                                      "letters"
                                    : "It is published and cannot be taken out of the outbox",
            ASIDE_REMEDY);
}

enum status db_aside(void *impl, const struct entry_ref *ref, struct span id, enum aside what,
                     const struct failure *why, const struct error *hindrance, struct error *err) {
  struct db *d = impl;
  struct buffer line = {0};
  char name[ASIDE_NAME_MOST];
  bool full = d->asides.count >= STORE_ASIDE_MOST;
  if (what == ASIDE_RETRY || !db_hinders_one(d, hindrance) || full)
    return error_set(err, ST_AGAIN, "%s",
                     full ? "too many rows are set aside" : "all of them are hindered");
  struct db_aside *row = make_row(d, ref, id, what, why, hindrance, &line);
  enum status st = row ? ST_OK : error_set(err, ST_NO_MEMORY, "no memory to set an entry aside");
  if (row) db_aside_name(row->seq, name);
  if (st == ST_OK)
    st = DB_STEP(d, SIDE_WRITING, text_replace(d->impl, name, buffer_span(&line), err));
  buffer_release(&line);
  if (st != ST_OK) {
    free(row);
    return st;
  }
  mutex_lock(&d->lock);
  bool known = db_is_aside(d, row->seq);
  int64_t seq = row->seq;
  if (!known) tell_row(d, row);
  st = put_row(d, row, err);
  if (st == ST_OK) end_hand(d, seq, known);
  mutex_unlock(&d->lock);
  return st;
}
