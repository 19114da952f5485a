/* The contents of a selection's dead letters, whole, for a copy before they are purged.
 * Any thread, one at a time a selection; it only reads, so a crash leaves nothing. */
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/service/bulk/bulk.h"
#include "bridge/service/bulk/frozen_selection.h"
#include "bridge/service/operations.h"

#include <inttypes.h>

#define ENTRIES 500                /* unless told otherwise */
#define PART ((size_t)(3 << 20))   /* bytes of one element */
#define ANSWER ((size_t)(8 << 20)) /* an answer ends behind the element that reaches it */
/* A dead letter that is read whole: the entry's limit and its added keys */
#define WHOLE_MAX ((size_t)(64 << 20))

/* The place in the file of the entry that comes next, and how much of its raw bytes is told
 * already. */
struct export {
  struct service *s;
  struct frozen f;
  uint64_t at, offset;
  size_t left;
  struct buffer *json;
  struct buffer bytes;
  bool first;
};

static enum status parse_from(struct export *e, const char *from, struct error *err) {
  const char *dot = strchr(from, '.');
  struct span place = {from, dot ? (size_t)(dot - from) : strlen(from)};
  e->at = e->f.note.first;
  if (!*from) return ST_OK;
  bool good = number_parse(place, e->f.note.end, &e->at) && e->at >= e->f.note.first;
  if (good && dot) good = number_parse(span_of(dot + 1), INT64_MAX, &e->offset);
  return good ? ST_OK
              : error_set(err, ST_INVALID,
                          "Parameter from is \"%.60s\": expected next of the answer before", from);
}

static void begin_element(struct export *e, const char *file, bool *first) {
  if (!e->first) buffer_add_z(e->json, ", ");
  e->first = false;
  *first = true;
  buffer_add_char(e->json, '{');
  member_text(e->json, first, "file", span_of(file));
}

static void member_base64(struct buffer *json, bool *first, const char *key, struct span bytes) {
  json_write_key(json, first, key);
  buffer_add_char(json, '"');
  base64_write(json, bytes);
  buffer_add_char(json, '"');
}

/* A line may hold it as it is: an object without line ends, not too deep to stand inside the
 * answer. */
static bool fits_a_line(struct span text) {
  struct json_doc doc = {0};
  struct buffer deeper = {0};
  if (text.ptr[0] != '{' || memchr(text.ptr, '\n', text.len) || memchr(text.ptr, '\r', text.len))
    return false;
  buffer_add_z(&deeper, "[[[");
  buffer_add(&deeper, text);
  buffer_add_z(&deeper, "]]]");
  bool fits = !deeper.failed && json_scan(&doc, buffer_span(&deeper), NULL) == ST_OK;
  json_doc_release(&doc);
  buffer_release(&deeper);
  return fits;
}

static void write_text(struct export *e, bool *first) {
  struct span text = span_trim(buffer_span(&e->bytes));
  if (text.len == e->bytes.len && text.len && fits_a_line(text)) {
    json_write_key(e->json, first, "entry");
    buffer_add(e->json, text);
  } else {
    member_base64(e->json, first, "bytes", buffer_span(&e->bytes));
  }
}

/* A part of the raw bytes; offset 0: with what is told of them. *more: another part follows. */
static enum status write_raw(struct export *e, const char *file, bool *first, bool *more,
                             struct error *err) {
  uint64_t size = 0;
  *more = false;
  buffer_clear(&e->bytes);
  enum status st = store_bytes(e->s->store, file, true, e->offset, PART, &e->bytes, &size, err);
  if (st == ST_NOT_FOUND) return ST_OK; /* no raw one, or one without bytes */
  if (st != ST_OK) return st;
  if (e->offset)
    member_int(e->json, first, "offset", (int64_t)e->offset);
  else
    member_int(e->json, first, "raw_size", (int64_t)size);
  member_base64(e->json, first, "raw", buffer_span(&e->bytes));
  e->offset += e->bytes.len;
  *more = e->offset < size;
  return ST_OK;
}

/* ---- what its bytes do not say ---- */

/* As a kind that keeps a text of it would have it. */
static void write_notes(const struct entry_info *info, struct buffer *out) {
  bool first = true;
  buffer_add_char(out, '{');
  member_text(out, &first, "id", info->id);
  member_text(out, &first, "name", info->name);
  json_write_key(out, &first, "payload");
  buffer_add_z(out, "{}");
  member_time(out, &first, "created_at",
              info->created_us != TIME_NONE ? info->created_us : info->arrived_us);
  member_int(out, &first, "attempts", info->attempts);
  member_text_or_null(out, &first, "last_error", info->last_error);
  member_time(out, &first, "failed_at", info->failed_us);
  member_text(out, &first, "status", SPAN("dlq"));
  member_text(out, &first, "storage_key", info->storage_key);
  member_text_or_null(out, &first, "reason", info->reason);
  member_text_or_null(out, &first, "topic", info->topic);
  member_time(out, &first, "first_failed_at", info->first_failed_us);
  buffer_add_char(out, '}');
}

struct beside {
  struct buffer notes, key;
};

static bool look_beside(void *ctx, const struct entry_info *info) {
  struct beside *b = ctx;
  if (info->event && !info->event->lifted) buffer_add(&b->key, info->event->subject);
  write_notes(info, &b->notes);
  return false;
}

/* What an entry is ordered by may stand in no text, and of bytes a kind may keep no text at all. */
static enum status write_whole(struct export *e, const char *file, bool *first, struct error *err) {
  struct beside b = {{0}, {0}};
  enum status st = store_look(e->s->store, SHELF_DEAD, file, look_beside, &b, err);
  if (st == ST_NOT_FOUND) st = ST_OK;
  if (st == ST_OK && !e->bytes.len) buffer_add(&e->bytes, buffer_span(&b.notes));
  if (st == ST_OK) write_text(e, first);
  if (st == ST_OK && b.key.len) member_text(e->json, first, "key", buffer_span(&b.key));
  buffer_release(&b.notes);
  buffer_release(&b.key);
  return st;
}

/* Some tokens tell their shelf themselves. */
static enum status too_large(const struct store *s, struct span token, struct error *err) {
  const char *words = store_shelf_words(s, SHELF_DEAD, token);
  return error_set(err, ST_TOO_LARGE, "%s%.*s is too large to be exported",
                   span_starts(token, words) ? "" : words, SPAN_ARGS(token));
}

/* Is it the one that was chosen? Reading decides it as a purge would. */
static enum status write_element(struct export *e, const char *file, bool *more,
                                 struct error *err) {
  uint64_t size;
  bool first;
  buffer_clear(&e->bytes);
  *more = false;
  if (!e->offset) {
    enum status st = store_bytes(e->s->store, file, false, 0, WHOLE_MAX, &e->bytes, &size, err);
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st != ST_OK) return st;
    if (size > WHOLE_MAX) return too_large(e->s->store, span_of(file), err);
  }
  begin_element(e, file, &first);
  enum status st = e->offset ? ST_OK : write_whole(e, file, &first, err);
  if (st == ST_OK) st = write_raw(e, file, &first, more, err);
  buffer_add_char(e->json, '}');
  return st;
}

static enum status write_all(struct export *e, struct error *err) {
  char file[FROZEN_NAME];
  int64_t when_us;
  enum status st = ST_OK;
  size_t began = e->json->len;
  while (e->left-- && e->json->len - began < ANSWER) {
    uint64_t next = e->at;
    bool more;
    st = frozen_read(&e->f, &next, file, &when_us, err);
    if (st == ST_OK) st = write_element(e, file, &more, err);
    if (st != ST_OK) break;
    if (more) continue;
    e->at = next;
    e->offset = 0;
  }
  return st == ST_END ? ST_OK : st;
}

static enum status export_entries(struct export *e, const char *from, struct error *err) {
  enum status st = parse_from(e, from, err);
  buffer_add_z(e->json, "{\"version\": 1, \"entries\": [");
  if (st == ST_OK) st = write_all(e, err);
  if (st != ST_OK) return st;
  buffer_add_z(e->json, "], \"next\": ");
  if (e->at >= e->f.note.end)
    buffer_add_z(e->json, "null}");
  else
    buffer_printf(e->json, "\"%" PRIu64 ".%" PRIu64 "\"}", e->at, e->offset);
  return buffer_status(e->json, err);
}

enum status service_bulk_entries(struct service *s, uint64_t selection, const char *from,
                                 size_t limit, struct buffer *json, struct error *err) {
  struct export e = {.s = s, .json = json, .first = true, .left = limit ? limit : ENTRIES};
  mutex_lock(&s->moving); /* nothing is on its way while it is looked for */
  enum status st = frozen_open(&e.f, s->store, selection, err);
  if (st == ST_OK) st = export_entries(&e, from, err);
  mutex_unlock(&s->moving);
  frozen_close(&e.f);
  buffer_release(&e.bytes);
  return st;
}
