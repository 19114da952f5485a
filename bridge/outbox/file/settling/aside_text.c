/* A row of .busbridge/aside, both ways.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/outbox/file/names/folder.h"
#include "bridge/outbox/file/settling/aside.h"

#include <inttypes.h>

#define TEXT_MOST 300 /* of words that explain */

static const char *const whats[] = {
    [ASIDE_DONE] = "done", [ASIDE_RETRY] = "retry", [ASIDE_DEAD] = "dead"};
_Static_assert(sizeof whats / sizeof *whats == ASIDE_DEAD + 1, "a word for each");

/* ---- making one ---- */

static struct span keep_text(char **at, struct span text) {
  struct span copy = {*at, text.len};
  if (text.len) memcpy(*at, text.ptr, text.len);
  (*at)[text.len] = '\0';
  *at += text.len + 1;
  return copy;
}

struct fs_aside *fs_aside_make(const struct fs_aside *from) {
  struct span name = from->ref.name, topic = span_of(from->failure.topic),
              error = span_of(from->failure.error);
  struct span why = text_cut(span_of(from->why), TEXT_MOST);
  error = text_cut(error, TEXT_MOST);
  struct fs_aside *row =
      malloc(sizeof *row + 1 + name.len + from->ref.id.len + topic.len + error.len + why.len + 6);
  if (!row) return NULL;
  *row = *from;
  char *at = row->bytes;
  *at++ = (char)('0' + from->ref.place);
  row->ref.name = keep_text(&at, name);
  row->key = (struct span){row->bytes, name.len + 1};
  row->ref.id = keep_text(&at, from->ref.id);
  row->failure.topic = from->failure.topic ? keep_text(&at, topic).ptr : NULL;
  row->failure.error = from->failure.error ? keep_text(&at, error).ptr : NULL;
  row->why = keep_text(&at, why).ptr;
  return row;
}

/* ---- writing ---- */

static void add_text(struct buffer *out, struct span text) {
  buffer_add_char(out, ' ');
  word_escape(out, text);
}

void fs_aside_print(const struct fs_aside *row, struct buffer *out) {
  const struct stamp *s = &row->ref.stamp;
  const struct failure *f = &row->failure;
  buffer_printf(out, "%s %s", whats[row->what], place_word(row->ref.place));
  add_text(out, row->ref.name);
  buffer_printf(out, " %" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64, s->inode, s->size,
                s->ctime_ns, s->mtime_ns);
  add_text(out, row->ref.id);
  buffer_printf(out, " %" PRIu64 " %" PRId64 " %d %u %" PRId64 " %s %d", row->ref.content,
                row->since_us, row->sys, f->attempts, f->failed_us, reason_word(f->reason),
                f->error_code);
  add_text(out, span_of(f->topic));
  add_text(out, span_of(f->error));
  add_text(out, span_of(row->why));
  buffer_add_char(out, '\n');
}

/* ---- reading ---- */

enum {
  WHAT,
  PLACE,
  NAME,
  INODE,
  SIZE,
  CTIME,
  MTIME,
  ID,
  CONTENT,
  SINCE,
  SYS,
  ATTEMPTS,
  FAILED,
  REASON,
  CODE,
  TOPIC,
  ERROR,
  WHY
};
enum { WORDS = WHY + 1 };

static bool get_choice(struct span word, const char *const *list, unsigned count, unsigned *out) {
  for (*out = 0; *out < count; ++*out)
    if (span_is(word, list[*out])) return true;
  return false;
}

static bool get_reason(struct span word, enum reason *out) {
  for (unsigned i = 0; i < REASON_COUNT; i++)
    if (span_is(word, reason_word((enum reason)i))) {
      *out = (enum reason)i;
      return true;
    }
  return false;
}

static bool get_numbers(const struct span *w, struct fs_aside *row) {
  struct stamp *s = &row->ref.stamp;
  int64_t sys, attempts, code;
  unsigned what;
  bool ok = get_choice(w[WHAT], whats, 3, &what) && place_from_word(w[PLACE], &row->ref.place) &&
            number_parse(w[INODE], UINT64_MAX, &s->inode) && integer_parse(w[SIZE], &s->size) &&
            integer_parse(w[CTIME], &s->ctime_ns) && integer_parse(w[MTIME], &s->mtime_ns) &&
            number_parse(w[CONTENT], UINT64_MAX, &row->ref.content) &&
            integer_parse(w[SINCE], &row->since_us) && integer_parse(w[SYS], &sys) &&
            integer_parse(w[ATTEMPTS], &attempts) &&
            integer_parse(w[FAILED], &row->failure.failed_us) &&
            get_reason(w[REASON], &row->failure.reason) && integer_parse(w[CODE], &code);
  if (!ok) return false;
  row->what = (enum aside)what;
  row->sys = (int)sys;
  row->failure.attempts = (unsigned)attempts;
  row->failure.error_code = (int)code;
  return true;
}

static bool read_words(struct span line, char *room, struct fs_aside *row) {
  static const unsigned texts[] = {NAME, ID, TOPIC, ERROR, WHY};
  struct span w[WORDS], more;
  for (unsigned i = 0; i < WORDS; i++)
    if (!span_word(&line, &w[i])) return false;
  if (span_word(&line, &more) || !get_numbers(w, row)) return false;
  for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
    if (!word_unescape(&w[texts[i]], room)) return false;
    room += w[texts[i]].len;
    *room++ = '\0';
  }
  row->ref.name = w[NAME];
  row->ref.id = w[ID];
  row->failure.topic = w[TOPIC].len ? w[TOPIC].ptr : NULL;
  row->failure.error = w[ERROR].len ? w[ERROR].ptr : NULL;
  row->why = w[WHY].ptr;
  return w[NAME].len > 0 && w[NAME].len < NAME_SIZE;
}

enum status fs_aside_parse(struct span line, struct fs_aside **out, struct error *err) {
  struct fs_aside row = {0};
  char *room = malloc(line.len + 8);
  enum status st = room ? ST_OK : error_set(err, ST_NO_MEMORY, "out of memory");
  if (st == ST_OK && !read_words(line, room, &row))
    st = error_set(err, ST_INVALID, "a line is damaged");
  if (st == ST_OK && !(*out = fs_aside_make(&row)))
    st = error_set(err, ST_NO_MEMORY, "out of memory");
  free(room);
  return st;
}
