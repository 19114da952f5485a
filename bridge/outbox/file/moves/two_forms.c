/* Is what lies in two files one entry, as it was and as a verdict rewrote it (rewrite.c)? By what
 * it says, where inodes and times tell nothing: in a copy of the outbox that was put back. Any
 * thread; it only reads, so a crash leaves nothing. */
#include "bridge/outbox/file/moves/leftover.h"

#include "bridge/base/disk/durable.h"
#include "bridge/json/json.h"

#define TEXT_MOST (64u << 20) /* larger ones are not entries */

/* What a rewrite sets, and what it adds where it is missing. */
static const char *const set[] = {"attempts", "last_error", "failed_at",  "first_failed_at",
                                  "status",   "reason",     "error_code", "topic"};
static const char *const added[] = {"created_at", "dispatched_at", "storage_key"};

#define IS_ONE_OF(doc, key, list) is_one_of(doc, key, list, sizeof(list) / sizeof *(list))
static bool is_one_of(const struct json_doc *doc, uint32_t key, const char *const *list,
                      size_t count) {
  for (size_t i = 0; i < count; i++)
    if (json_string_is(doc, key, span_of(list[i]))) return true;
  return false;
}

/* The value of the member that is spelt as that one; a rewrite copies it as it stands. */
static uint32_t member_like(const struct json_doc *d, struct span key) {
  for (uint32_t at = 1; at < d->nodes[0].next; at = d->nodes[at + 1].next)
    if (span_eq(json_slice(d, at), key)) return at + 1;
  return JSON_NONE;
}

static bool says_all_of(const struct json_doc *d, const struct json_doc *other) {
  for (uint32_t at = 1; at < other->nodes[0].next; at = other->nodes[at + 1].next) {
    if (IS_ONE_OF(other, at, set)) continue;
    uint32_t value = member_like(d, json_slice(other, at));
    if (value == JSON_NONE && IS_ONE_OF(other, at, added)) continue;
    if (value == JSON_NONE || !span_eq(json_slice(d, value), json_slice(other, at + 1)))
      return false;
  }
  return true;
}

static struct span value_of(const struct json_doc *d, const char *key) {
  uint32_t node = json_member(d, 0, key);
  return node == JSON_NONE ? (struct span){NULL, 0} : json_slice(d, node);
}

static struct span id_of(const struct json_doc *d) {
  struct span id = value_of(d, "id");
  return id.len ? id : value_of(d, "message_id");
}

/* The newer producer's dead letter shares no more than these two with what it becomes. */
static bool is_one(const struct json_doc *a, const struct json_doc *b) {
  struct span id = id_of(a), payload = value_of(a, "payload");
  if (id.len && payload.len && id_of(b).len && value_of(b, "payload").len)
    return span_eq(id, id_of(b)) && span_eq(payload, value_of(b, "payload"));
  return says_all_of(a, b) && says_all_of(b, a);
}

/* ST_NOT_FOUND: it is gone, or no object. */
static enum status read_object(int folder, const char *name, struct buffer *text,
                               struct json_doc *doc) {
  enum status st = file_read(folder, name, TEXT_MOST, text, NULL);
  if (st == ST_OK) st = json_scan(doc, buffer_span(text), NULL);
  if (st == ST_OK && (!doc->count || doc->nodes[0].type != JSON_OBJECT)) return ST_NOT_FOUND;
  return st == ST_TOO_LARGE || st == ST_INVALID ? ST_NOT_FOUND : st;
}

enum status fs_two_forms(int folder, const char *name, int other, const char *its_name) {
  struct buffer texts[2] = {{.ptr = NULL}, {.ptr = NULL}};
  struct json_doc docs[2] = {{.count = 0}, {.count = 0}};
  enum status st = read_object(other, its_name, &texts[0], &docs[0]);
  if (st == ST_OK) st = read_object(folder, name, &texts[1], &docs[1]);
  if (st == ST_OK && !is_one(&docs[0], &docs[1])) st = ST_NOT_FOUND;
  for (size_t i = 0; i < 2; i++) {
    json_doc_release(&docs[i]);
    buffer_release(&texts[i]);
  }
  return st;
}
