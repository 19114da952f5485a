/* The file of a frozen selection: made in tmp and moved into place whole, then a note appended
 * before and after each step. frozen_selection.h lists what a crash leaves.
 * Any thread, one at a time a selection. */
#include "bridge/service/bulk/frozen_selection.h"

#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/json/json.h"
#include "bridge/service/operations.h"

#define CHUNK (256 * 1024)
#define LINE_MAX_BYTES 1200 /* an entry: a name of 255 bytes, each encoded by three */
#define TAIL (16 * 1024)    /* the last whole note is not farther from the end */

/* ---- lines ---- */

static void write_head(const struct frozen_head *head, struct buffer *out) {
  bool first = true;
  buffer_add_char(out, '{');
  member_int(out, &first, "busbridge-selection", 1);
  member_text(out, &first, "kind", span_of(head->purge ? "purge" : "replay"));
  member_bool(out, &first, "force", head->force);
  member_int(out, &first, "began_us", head->began_us);
  member_int(out, &first, "uid", head->uid);
  member_text(out, &first, "filter", span_of(head->filter));
  buffer_add_z(out, "}\n");
}

/* One table for writing and reading. */
static const struct {
  const char *word;
  size_t at;
} note_fields[] = {
    {"total", offsetof(struct frozen_note, total)},
    {"first", offsetof(struct frozen_note, first)},
    {"end", offsetof(struct frozen_note, end)},
    {"next", offsetof(struct frozen_note, next)},
    {"until", offsetof(struct frozen_note, until)},
    {"round", offsetof(struct frozen_note, round)},
    {"seen", offsetof(struct frozen_note, seen)},
    {"done", offsetof(struct frozen_note, done)},
    {"refused", offsetof(struct frozen_note, refused)},
    {"busy", offsetof(struct frozen_note, busy)},
    {"failed", offsetof(struct frozen_note, failed)},
};
#define NOTE_FIELDS (sizeof note_fields / sizeof *note_fields)

static void write_note(const struct frozen_note *note, struct buffer *out) {
  bool first = true;
  buffer_add_char(out, '{');
  for (size_t i = 0; i < NOTE_FIELDS; i++) {
    uint64_t value;
    memcpy(&value, (const char *)note + note_fields[i].at, sizeof value);
    member_int(out, &first, note_fields[i].word, (int64_t)value);
  }
  buffer_add_z(out, "}\n");
}

static bool parse_note(struct span line, struct frozen_note *note) {
  struct json_doc doc = {0};
  bool good = json_scan(&doc, line, NULL) == ST_OK && doc.nodes[0].type == JSON_OBJECT;
  for (size_t i = 0; good && i < NOTE_FIELDS; i++) {
    uint32_t node = json_member(&doc, 0, note_fields[i].word);
    int64_t n = 0;
    good = node != JSON_NONE && doc.nodes[node].type == JSON_NUMBER && json_int(&doc, node, &n) &&
           n >= 0;
    uint64_t value = (uint64_t)n;
    memcpy((char *)note + note_fields[i].at, &value, sizeof value);
  }
  json_doc_release(&doc);
  return good && note->first <= note->next && note->next <= note->end && note->until <= note->end;
}

static int64_t int_member(const struct json_doc *doc, const char *key) {
  uint32_t node = json_member(doc, 0, key);
  int64_t n = -1;
  return node != JSON_NONE && doc->nodes[node].type == JSON_NUMBER && json_int(doc, node, &n) ? n
                                                                                              : -1;
}

static bool is_member(const struct json_doc *doc, const char *key, struct span text) {
  uint32_t node = json_member(doc, 0, key);
  return node != JSON_NONE && doc->nodes[node].type == JSON_STRING &&
         json_string_is(doc, node, text);
}

static bool parse_head(struct span line, struct frozen_head *head) {
  struct json_doc doc = {0};
  struct buffer filter = {0};
  bool good = json_scan(&doc, line, NULL) == ST_OK && doc.nodes[0].type == JSON_OBJECT &&
              int_member(&doc, "busbridge-selection") == 1;
  if (good) {
    uint32_t force = json_member(&doc, 0, "force"), words = json_member(&doc, 0, "filter");
    head->purge = is_member(&doc, "kind", SPAN("purge"));
    good = head->purge || is_member(&doc, "kind", SPAN("replay"));
    head->force = force != JSON_NONE && doc.nodes[force].type == JSON_TRUE;
    head->began_us = int_member(&doc, "began_us");
    head->uid = int_member(&doc, "uid");
    if (words != JSON_NONE && doc.nodes[words].type == JSON_STRING)
      json_unescape(&doc, words, &filter);
    snprintf(head->filter, sizeof head->filter, "%s", buffer_z(&filter));
  }
  buffer_release(&filter);
  json_doc_release(&doc);
  return good;
}

static bool parse_entry(struct span line, char file[FROZEN_NAME], int64_t *when_us) {
  const char *blank = memchr(line.ptr, ' ', line.len), *end = line.ptr + line.len;
  uint64_t n;
  bool before = line.len && line.ptr[0] == '-'; /* 1970 */
  if (!blank || !number_parse((struct span){line.ptr + before, (size_t)(blank - line.ptr) - before},
                              INT64_MAX, &n))
    return false;
  *when_us = before ? -(int64_t)n : (int64_t)n;
  return end > blank + 1 &&
         percent_read_z((struct span){blank + 1, (size_t)(end - blank - 1)}, file, FROZEN_NAME);
}

/* ---- making one ---- */

void frozen_begin(struct frozen_writer *w, struct store *store, const struct frozen_head *head) {
  *w = (struct frozen_writer){.store = store};
  write_head(head, &w->text);
  w->first = w->text.len;
}

/* Put away what was gathered, so that memory does not grow with the selection. */
static enum status spill(struct frozen_writer *w, struct error *err) {
  enum status st = buffer_status(&w->text, err);
  if (st == ST_OK && !w->draft.store) st = store_draft_begin(w->store, &w->draft, err);
  if (st == ST_OK) st = store_draft_add(&w->draft, buffer_span(&w->text), err);
  w->size += w->text.len;
  buffer_clear(&w->text);
  return st;
}

enum status frozen_add(struct frozen_writer *w, const char *file, int64_t when_us,
                       struct error *err) {
  buffer_printf(&w->text, "%lld ", (long long)when_us);
  percent_write(&w->text, span_of(file));
  buffer_add_char(&w->text, '\n');
  w->total++;
  return w->text.len < CHUNK ? buffer_status(&w->text, err) : spill(w, err);
}

static enum status check_room(struct frozen_writer *w, struct error *err) {
  uint64_t used[SELECTIONS_MOST];
  size_t count;
  enum status st = store_selections(w->store, used, &count, err);
  if (st != ST_OK || count < SELECTIONS_MOST) return st;
  return error_set(
      err, ST_NO_SPACE,
      "%d selections are unfinished; go on with them (busbridge replay --resume N) or give them up "
      "(busbridge replay --give-up N)",
      SELECTIONS_MOST);
}

enum status frozen_commit(struct frozen_writer *w, uint64_t *number, struct error *err) {
  uint64_t end = w->size + w->text.len;
  struct frozen_note note = {.total = w->total,
                             .first = w->first,
                             .end = end,
                             .next = w->first,
                             .until = w->first,
                             .round = 1};
  write_note(&note, &w->text);
  enum status st = spill(w, err);
  if (st == ST_OK) st = check_room(w, err);
  return st == ST_OK ? store_draft_commit(&w->draft, number, err) : st;
}

void frozen_release(struct frozen_writer *w) {
  store_draft_close(&w->draft);
  buffer_release(&w->text);
}

/* ---- going through one ---- */

static enum status read_chunk(struct frozen *f, uint64_t at, size_t most, struct error *err) {
  buffer_clear(&f->chunk);
  f->chunk_at = at;
  return store_selection_read(f->store, f->number, at, most, &f->chunk, err);
}

static enum status damaged(const struct frozen *f, struct error *err) {
  return error_set(
      err, ST_INVALID,
      "The selection %llu is damaged; give it up (busbridge replay --give-up %llu), its entries "
      "are dead letters still, or pending",
      (unsigned long long)f->number, (unsigned long long)f->number);
}

/* The last whole line that is a note. */
static enum status find_note(struct frozen *f, uint64_t size, struct error *err) {
  uint64_t from = size > TAIL ? size - TAIL : 0;
  enum status st = read_chunk(f, from, TAIL, err);
  if (st != ST_OK) return st;
  struct span text = buffer_span(&f->chunk);
  while (text.len > 0) {
    size_t end = text.len;
    while (end > 0 && text.ptr[end - 1] != '\n') end--;
    size_t begin = end > 0 ? end - 1 : 0;
    while (begin > 0 && text.ptr[begin - 1] != '\n') begin--;
    struct span line = {text.ptr + begin, end - begin};
    if (line.len > 1 && line.ptr[0] == '{' && parse_note(line, &f->note)) return ST_OK;
    text.len = begin;
  }
  return damaged(f, err);
}

static enum status read_head(struct frozen *f, struct error *err) {
  enum status st = read_chunk(f, 0, TAIL, err);
  const char *end = st == ST_OK ? memchr(f->chunk.ptr, '\n', f->chunk.len) : NULL;
  if (st != ST_OK) return st;
  if (!end || !parse_head((struct span){f->chunk.ptr, (size_t)(end - f->chunk.ptr)}, &f->head))
    return damaged(f, err);
  return ST_OK;
}

enum status frozen_open(struct frozen *f, struct store *store, uint64_t number, struct error *err) {
  uint64_t size = 0;
  *f = (struct frozen){.store = store, .number = number};
  enum status st = store_selection_size(store, number, &size, err);
  if (st == ST_OK) st = read_head(f, err);
  if (st == ST_OK) st = find_note(f, size, err);
  if (st != ST_OK) frozen_close(f);
  buffer_clear(&f->chunk);
  return st;
}

void frozen_close(struct frozen *f) {
  buffer_release(&f->chunk);
}

enum status frozen_read(struct frozen *f, uint64_t *at, char file[FROZEN_NAME], int64_t *when_us,
                        struct error *err) {
  if (*at >= f->note.end) return ST_END;
  bool inside = *at >= f->chunk_at && *at - f->chunk_at < f->chunk.len;
  size_t from = inside ? (size_t)(*at - f->chunk_at) : 0;
  const char *end = inside ? memchr(f->chunk.ptr + from, '\n', f->chunk.len - from) : NULL;
  if (!end) {
    enum status st = read_chunk(f, *at, CHUNK, err);
    if (st != ST_OK) return st;
    from = 0;
    end = f->chunk.len ? memchr(f->chunk.ptr, '\n', f->chunk.len) : NULL;
  }
  if (!end) return damaged(f, err);
  struct span line = {f->chunk.ptr + from, (size_t)(end - f->chunk.ptr) - from};
  if (line.len > LINE_MAX_BYTES || !parse_entry(line, file, when_us)) return damaged(f, err);
  *at += line.len + 1;
  return ST_OK;
}

enum status frozen_write_note(struct frozen *f, struct error *err) {
  struct buffer line = {0};
  write_note(&f->note, &line);
  enum status st = buffer_status(&line, err);
  if (st == ST_OK) st = store_selection_add(f->store, f->number, buffer_span(&line), err);
  buffer_release(&line);
  if (st != ST_OK) error_prefix(err, "The selection %llu", (unsigned long long)f->number);
  return st;
}
