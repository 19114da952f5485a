/* Small texts by name: notes, selections, the list of what people changed.
 * The owner's thread writes, any reads; a crash leaves the old text or the new one. */
#include "bridge/base/text/words.h"
#include "bridge/outbox/database/parts.h"

#include <inttypes.h>
#include <time.h>

#define NAME_MOST 100
#define SELECTION "selection/"
#define LAST_SELECTION "last-selection"
#define DRAFT "draft/"

const char *db_note_name(enum note note) {
  return note_word(note);
}

static const char *note_text(enum note note, char out[NAME_MOST]) {
  snprintf(out, NAME_MOST, "note/%s", db_note_name(note));
  return out;
}

static enum status read_text(struct db *d, const char *name, uint64_t from, size_t most,
                             struct buffer *out, uint64_t *size, struct error *err) {
  uint64_t ignored;
  if (!d->there) return ST_NOT_FOUND;
  enum status st = DB_STEP(d, SIDE_READING,
                           text_read(d->impl, name, from, most, out, size ? size : &ignored, err));
  return st == ST_OK ? buffer_status(out, err) : st;
}

enum status db_note_read(const void *impl, enum note note, struct buffer *out, struct error *err) {
  struct db *d = (struct db *)(uintptr_t)impl;
  char name[NAME_MOST];
  return read_text(d, note_text(note, name), 0, NOTE_MOST, out, NULL, err);
}

enum status db_note_write(void *impl, enum note note, struct span text, struct error *err) {
  struct db *d = impl;
  char name[NAME_MOST];
  return DB_STEP(d, SIDE_WRITING, text_replace(d->impl, note_text(note, name), text, err));
}

enum status db_note_remove(void *impl, enum note note, struct error *err) {
  struct db *d = impl;
  char name[NAME_MOST];
  return DB_STEP(d, SIDE_WRITING, text_remove(d->impl, note_text(note, name), false, err));
}

enum status db_audit(void *impl, struct span line, struct error *err) {
  struct db *d = impl;
  struct buffer none = {0};
  uint64_t size = 0;
  enum status st = read_text(d, "audit", 0, 0, &none, &size, err);
  buffer_release(&none);
  if (st == ST_OK && size >= STORE_AUDIT_MOST)
    st = DB_STEP(d, SIDE_WRITING, text_move(d->impl, "audit", "audit-before", err));
  if (st != ST_OK && st != ST_NOT_FOUND) return st;
  return DB_STEP(d, SIDE_WRITING, text_append(d->impl, "audit", line, err));
}

/* ---- selections ---- */

enum { CHUNK = 256 * 1024 };
struct draft {
  char name[NAME_MOST];
  struct buffer text; /* not yet written */
  bool written;
};

static const char *selection(uint64_t number, char out[NAME_MOST]) {
  snprintf(out, NAME_MOST, SELECTION "%" PRIu64, number);
  return out;
}

/* Those that a crash left are gone before the next one. */
enum status db_draft_begin(void *impl, void **out, struct error *err) {
  struct db *d = impl;
  struct draft *draft = calloc(1, sizeof *draft);
  char id[37];
  if (!draft) return error_set(err, ST_NO_MEMORY, "no memory for a selection");
  uuid_make(d->clock, id);
  snprintf(draft->name, sizeof draft->name, DRAFT "%s", id);
  enum status st = DB_STEP(d, SIDE_WRITING, text_remove(d->impl, DRAFT, true, err));
  if (st == ST_OK) st = DB_STEP(d, SIDE_WRITING, text_replace(d->impl, draft->name, SPAN(""), err));
  if (st != ST_OK) free(draft);
  if (st == ST_OK) *out = draft;
  return st;
}

static enum status flush(struct db *d, struct draft *draft, struct error *err) {
  enum status st = buffer_status(&draft->text, err);
  if (st == ST_OK && draft->text.len)
    st =
        DB_STEP(d, SIDE_WRITING, text_append(d->impl, draft->name, buffer_span(&draft->text), err));
  if (st == ST_OK) buffer_clear(&draft->text);
  return st;
}

enum status db_draft_add(void *impl, void *of, struct span text, struct error *err) {
  struct draft *draft = of;
  buffer_add(&draft->text, text);
  return draft->text.len < CHUNK ? buffer_status(&draft->text, err) : flush(impl, draft, err);
}

/* A crash in between leaves out a number. */
static enum status next_number(struct db *d, uint64_t *number, struct error *err) {
  struct buffer text = {0};
  char digits[NAME_MOST];
  uint64_t last = 0;
  enum status st = read_text(d, LAST_SELECTION, 0, NAME_MOST, &text, NULL, err);
  if (st == ST_OK && !number_parse(buffer_span(&text), UINT64_MAX - 1, &last))
    st = error_set(err, ST_INVALID, "the number of the last selection is damaged");
  buffer_release(&text);
  if (st != ST_OK && st != ST_NOT_FOUND) return st;
  *number = last + 1;
  snprintf(digits, sizeof digits, "%" PRIu64, *number);
  return DB_STEP(d, SIDE_WRITING, text_replace(d->impl, LAST_SELECTION, span_of(digits), err));
}

enum status db_draft_commit(void *impl, void *of, uint64_t *number, struct error *err) {
  struct db *d = impl;
  struct draft *draft = of;
  char name[NAME_MOST];
  enum status st = flush(d, draft, err);
  if (st == ST_OK) st = next_number(d, number, err);
  if (st != ST_OK) return st;
  return DB_STEP(d, SIDE_WRITING, text_move(d->impl, draft->name, selection(*number, name), err));
}

void db_draft_close(void *impl, void *of) {
  struct db *d = impl;
  struct draft *draft = of;
  enum status st = DB_STEP(d, SIDE_WRITING, text_remove(d->impl, draft->name, false, NULL));
  (void)st; /* committed, or left: the next one takes it away */
  buffer_release(&draft->text);
  free(draft);
}

struct numbers {
  uint64_t *list;
  size_t count;
};

/* The smallest that there is room for, in order. */
static bool take_name(void *ctx, const char *name) {
  struct numbers *n = ctx;
  uint64_t number;
  if (!number_parse(span_of(name + strlen(SELECTION)), UINT64_MAX, &number)) return true;
  size_t at = n->count;
  while (at && n->list[at - 1] > number) at--;
  if (at == SELECTIONS_MOST) return true;
  if (n->count < SELECTIONS_MOST) n->count++;
  memmove(&n->list[at + 1], &n->list[at], (n->count - at - 1) * sizeof *n->list);
  n->list[at] = number;
  return true;
}

enum status db_selections(void *impl, uint64_t numbers[SELECTIONS_MOST], size_t *count,
                          struct error *err) {
  struct db *d = impl;
  struct numbers n = {.list = numbers};
  enum status st =
      d->there ? DB_STEP(d, SIDE_READING, text_names(d->impl, SELECTION, take_name, &n, err))
               : ST_OK;
  *count = n.count;
  return st;
}

static enum status none(uint64_t number, enum status st, struct error *err) {
  if (st != ST_NOT_FOUND) return st;
  return error_set(err, ST_NOT_FOUND, "There is no unfinished selection %" PRIu64, number);
}

enum status db_selection_read(void *impl, uint64_t number, uint64_t at, size_t most,
                              struct buffer *out, struct error *err) {
  char name[NAME_MOST];
  return none(number, read_text(impl, selection(number, name), at, most, out, NULL, err), err);
}

enum status db_selection_size(void *impl, uint64_t number, uint64_t *size, struct error *err) {
  struct buffer nothing = {0};
  char name[NAME_MOST];
  enum status st = read_text(impl, selection(number, name), 0, 0, &nothing, size, err);
  buffer_release(&nothing);
  return none(number, st, err);
}

enum status db_selection_add(void *impl, uint64_t number, struct span text, struct error *err) {
  struct db *d = impl;
  struct buffer added = {0};
  char name[NAME_MOST];
  uint64_t size = 0;
  selection(number, name);
  enum status st = db_selection_size(impl, number, &size, err);
  if (st == ST_OK && size) st = read_text(d, name, size - 1, 1, &added, NULL, err);
  bool half = added.len && added.ptr[0] != '\n';
  buffer_clear(&added);
  if (half) buffer_add_char(&added, '\n');
  buffer_add(&added, text);
  if (st == ST_OK) st = buffer_status(&added, err);
  if (st == ST_OK)
    st = DB_STEP(d, SIDE_WRITING, text_append(d->impl, name, buffer_span(&added), err));
  buffer_release(&added);
  return st;
}

enum status db_selection_remove(void *impl, uint64_t number, struct error *err) {
  struct db *d = impl;
  char name[NAME_MOST];
  enum status st =
      DB_STEP(d, SIDE_WRITING, text_remove(d->impl, selection(number, name), false, err));
  return none(number, st, err);
}
