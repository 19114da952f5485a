/* Text of a manifest, both ways. It may be read by a later release, and by people.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/table.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/outbox/file/names/ref.h"
#include "bridge/outbox/file/records/journal.h"

#include <inttypes.h>

#define VERSION 2 /* 1, of release 0.1.0, has no content */
/* The shortest line of version 1 */
#define SHORTEST_LINE (sizeof "[\"flat\",\"\",0,0,0,0,\"\",\"\",\"\",true]\n" - 1)

void journal_digest(struct span text, char out[MANIFEST_DIGEST]) {
  struct digest d = digest_fixed(text);
  for (unsigned i = 0; i < 16; i++) {
    unsigned byte = (unsigned)((i < 8 ? d.lo : d.hi) >> (i % 8 * 8)) & 0xff;
    out[2 * i] = hex_digit(byte >> 4);
    out[2 * i + 1] = hex_digit(byte);
  }
  out[MANIFEST_DIGEST - 1] = '\0';
}

/* ---- writing ---- */

/* Four of them a line: printf would cost more than all the rest. */
static void add_number(struct buffer *out, uint64_t n) {
  char digits[NUMBER_DIGITS + 1];
  size_t len = number_digits(n, digits);
  digits[len] = ',';
  buffer_append(out, digits, len + 1);
}

static void add_signed(struct buffer *out, int64_t n) {
  if (n < 0) buffer_add_char(out, '-');
  add_number(out, n < 0 ? -(uint64_t)n : (uint64_t)n);
}

/* A file name may be any bytes, JSON text may not. Nearly all are plain, and looked at once. */
static void add_text(struct buffer *out, struct span s) {
  if (json_plain_prefix(s) == s.len) {
    buffer_add_char(out, '"');
    buffer_add(out, s);
    buffer_add_char(out, '"');
  } else if (span_utf8_prefix(s) == s.len) {
    json_write_string(out, s);
  } else {
    buffer_add(out, SPAN("{\"hex\":\""));
    hex_write(out, s);
    buffer_add(out, SPAN("\"}"));
  }
  buffer_add_char(out, ',');
}

static void add_entry(struct buffer *out, const struct manifest_entry *e) {
  const struct fs_ref ref = fs_ref_of(&e->ref);
  BUG_ON(e->ref.shelf != SHELF_PENDING);
  buffer_add(out, SPAN("[\""));
  buffer_add_z(out, place_word(ref.place));
  buffer_add(out, SPAN("\","));
  add_text(out, ref.name);
  add_number(out, ref.stamp.inode);
  add_signed(out, ref.stamp.size);
  add_signed(out, ref.stamp.ctime_ns);
  add_signed(out, ref.stamp.mtime_ns);
  add_text(out, e->id);
  add_text(out, e->topic);
  add_text(out, e->duplicate ? SPAN("") : text_cut(e->key, MANIFEST_KEY));
  add_number(out, ref.content);
  buffer_add_z(out, e->duplicate ? "true" : "false");
  buffer_add_z(out, e->event_time ? ",true]\n" : "]\n"); /* left out where it is not so */
}

size_t journal_print(const struct manifest *m, const char *nonce, struct buffer *out) {
  size_t from = out->len;
  BUG_ON(m->before[0] && !manifest_digest_valid(span_of(m->before)));
  buffer_printf(out,
                "{\"busbridge-manifest\":%d,\"number\":%" PRIu64 ",\"before\":\"%s\",\"nonce\":",
                VERSION, m->number, m->before);
  add_text(out, span_of(nonce));
  buffer_printf(out, "\"count\":%zu}\n", m->count);
  for (size_t i = 0; i < m->count; i++) {
    size_t whole = out->len;
    add_entry(out, &m->entries[i]);
    if (out->len - from <= MANIFEST_MOST) continue;
    out->len = whole;
    return i;
  }
  return m->count;
}

/* ---- reading ---- */

struct reading {
  struct json_doc doc; /* of one line */
  struct span rest;
  size_t line;
  struct manifest *out;
  bool old; /* version 1 */
};

static enum status damaged(const struct reading *r, struct error *err) {
  return error_set(err, ST_INVALID, "line %zu is not a line of a manifest", r->line);
}

static enum status no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "out of memory");
}

static enum status next_line(struct reading *r, struct error *err) {
  const char *end = r->rest.len ? memchr(r->rest.ptr, '\n', r->rest.len) : NULL;
  r->line++;
  if (!end) return error_set(err, ST_INVALID, "it ends in line %zu", r->line);
  struct span line = {r->rest.ptr, (size_t)(end - r->rest.ptr)};
  r->rest = (struct span){end + 1, r->rest.len - line.len - 1};
  enum status st = json_scan(&r->doc, line, err);
  if (st != ST_OK) error_prefix(err, "line %zu", r->line);
  return st;
}

static bool number_at(const struct reading *r, uint32_t node, uint64_t *out) {
  return node != JSON_NONE && r->doc.nodes[node].type == JSON_NUMBER &&
         number_parse(json_slice(&r->doc, node), UINT64_MAX, out);
}

static bool signed_at(const struct reading *r, uint32_t node, int64_t *out) {
  return r->doc.nodes[node].type == JSON_NUMBER && json_int(&r->doc, node, out);
}

static bool text_is(const struct reading *r, uint32_t node, const char *text) {
  return r->doc.nodes[node].type == JSON_STRING && json_string_is(&r->doc, node, span_of(text));
}

static enum status unhex(struct reading *r, struct span hex, struct span *out, struct error *err) {
  char *bytes = arena_alloc(&r->out->arena, hex.len / 2);
  if (!bytes) return no_memory(err);
  if (!hex_read(hex, bytes)) return damaged(r, err);
  *out = (struct span){bytes, hex.len / 2};
  return ST_OK;
}

/* What add_text made, copied into the manifest's arena: the text itself goes after reading. */
static enum status text_at(struct reading *r, uint32_t node, struct span *out, struct error *err) {
  const struct json_node *n = &r->doc.nodes[node];
  if (n->type == JSON_OBJECT && n->count == 1 && text_is(r, node + 1, "hex") &&
      r->doc.nodes[node + 2].type == JSON_STRING)
    return unhex(r, json_raw(&r->doc, node + 2), out, err);
  if (n->type != JSON_STRING) return damaged(r, err);
  if (n->flags & JSON_ESCAPED)
    return json_text(&r->doc, node, &r->out->arena, out) ? ST_OK : no_memory(err);
  struct span raw = json_raw(&r->doc, node);
  *out = arena_span(&r->out->arena, raw);
  return out->ptr || !raw.len ? ST_OK : no_memory(err);
}

static enum status other_release(uint64_t version, struct error *err) {
  return error_set(err, ST_UNSUPPORTED,
                   "it has the form %" PRIu64
                   " of another release of busbridge; this one (" BUSBRIDGE_VERSION
                   ") reads the forms 1 and %d. Start that release; nothing was changed",
                   version, VERSION);
}

static enum status read_head(struct reading *r, struct error *err) {
  enum status st = next_line(r, err);
  if (st != ST_OK) return st;
  const struct json_doc *d = &r->doc;
  uint64_t version, count;
  if (d->nodes[0].type != JSON_OBJECT ||
      !number_at(r, json_member(d, 0, "busbridge-manifest"), &version))
    return damaged(r, err);
  r->old = version == 1;
  if (version != VERSION && !r->old) return other_release(version, err);
  uint32_t before = json_member(d, 0, "before");
  if (before == JSON_NONE || d->nodes[before].type != JSON_STRING) return damaged(r, err);
  struct span digest = json_raw(d, before);
  if (digest.len && !manifest_digest_valid(digest)) return damaged(r, err);
  if (digest.len) memcpy(r->out->before, digest.ptr, digest.len);
  uint32_t nonce = json_member(d, 0, "nonce");
  if (nonce != JSON_NONE) st = text_at(r, nonce, &r->out->nonce, err);
  if (st != ST_OK) return st;
  if (!number_at(r, json_member(d, 0, "number"), &r->out->number)) return damaged(r, err);
  if (!number_at(r, json_member(d, 0, "count"), &count)) return damaged(r, err);
  /* Before memory is asked for: the head alone promises nothing. */
  if (count > r->rest.len / SHORTEST_LINE)
    return error_set(err, ST_INVALID,
                     "it has no %" PRIu64 " entries, which its first line promises", count);
  r->out->count = (size_t)count;
  return ST_OK;
}

enum { PLACE, NAME, INODE, SIZE, CTIME, MTIME, ID, TOPIC, KEY, CONTENT, DUPLICATE, FIELDS };

/* Most follow one of the same topic: it is kept once. */
static enum status topic_at(struct reading *r, uint32_t node, const struct span *last,
                            struct span *out, struct error *err) {
  if (last && r->doc.nodes[node].type == JSON_STRING && json_string_is(&r->doc, node, *last)) {
    *out = *last;
    return ST_OK;
  }
  return text_at(r, node, out, err);
}

static enum status read_entry(struct reading *r, size_t i, struct error *err) {
  struct manifest_entry *e = &r->out->entries[i];
  struct fs_ref ref = {0};
  enum status st = next_line(r, err);
  if (st != ST_OK) return st;
  const struct json_node *nodes = r->doc.nodes;
  uint32_t at[FIELDS];
  uint32_t fields = r->old ? FIELDS - 1 : FIELDS;
  if (nodes[0].type != JSON_ARRAY || (nodes[0].count != fields && nodes[0].count != fields + 1))
    return damaged(r, err);
  e->event_time = nodes[0].count > fields;
  at[CONTENT] = JSON_NONE;
  for (uint32_t f = 0, node = 1; f < FIELDS; f++) {
    if (r->old && f == CONTENT) continue;
    at[f] = node;
    node = nodes[node].next;
  }
  e->duplicate = nodes[at[DUPLICATE]].type == JSON_TRUE;
  if (e->event_time && nodes[nodes[at[DUPLICATE]].next].type != JSON_TRUE) return damaged(r, err);
  if (nodes[at[PLACE]].type != JSON_STRING ||
      !place_from_word(json_raw(&r->doc, at[PLACE]), &ref.place) ||
      (!e->duplicate && nodes[at[DUPLICATE]].type != JSON_FALSE) ||
      !number_at(r, at[INODE], &ref.stamp.inode) || !signed_at(r, at[SIZE], &ref.stamp.size) ||
      !signed_at(r, at[CTIME], &ref.stamp.ctime_ns) ||
      !signed_at(r, at[MTIME], &ref.stamp.mtime_ns) ||
      (!r->old && !number_at(r, at[CONTENT], &ref.content)))
    return damaged(r, err);
  st = text_at(r, at[NAME], &ref.name, err);
  if (st == ST_OK && ref.name.len && memchr(ref.name.ptr, '/', ref.name.len)) st = damaged(r, err);
  if (st == ST_OK && !fs_ref_give(&ref, &r->out->arena, &e->ref)) st = no_memory(err);
  if (st == ST_OK) st = text_at(r, at[ID], &e->id, err);
  if (st == ST_OK) st = topic_at(r, at[TOPIC], i ? &e[-1].topic : NULL, &e->topic, err);
  if (st == ST_OK) st = text_at(r, at[KEY], &e->key, err);
  return st;
}

static enum status read_all(struct reading *r, struct error *err) {
  enum status st = read_head(r, err);
  if (st != ST_OK || !r->out->count) return st;
  r->out->entries = arena_zalloc(&r->out->arena, r->out->count * sizeof *r->out->entries);
  if (!r->out->entries) return no_memory(err);
  for (size_t i = 0; st == ST_OK && i < r->out->count; i++) st = read_entry(r, i, err);
  return st;
}

/* Behind the blanks. */
static bool pass(struct span *rest, const char *word) {
  *rest = span_trim(*rest);
  if (!span_starts(*rest, word)) return false;
  *rest = (struct span){rest->ptr + strlen(word), rest->len - strlen(word)};
  return true;
}

enum status journal_readable(struct span head, struct error *err) {
  uint64_t version;
  if (!pass(&head, "{") || !pass(&head, "\"busbridge-manifest\"") || !pass(&head, ":"))
    return ST_OK;
  head = span_trim(head);
  size_t digits = 0;
  while (digits < head.len && head.ptr[digits] >= '0' && head.ptr[digits] <= '9') digits++;
  if (!number_parse((struct span){head.ptr, digits}, UINT64_MAX, &version)) return ST_OK;
  return version > VERSION ? other_release(version, err) : ST_OK;
}

enum status journal_parse(struct span text, struct manifest *out, struct error *err) {
  struct reading r = {.rest = text, .out = out};
  *out = (struct manifest){0};
  journal_digest(text, out->digest);
  enum status st =
      text.len > MANIFEST_MAX
          ? error_set(err, ST_INVALID, "it is larger than any manifest (%d bytes)", MANIFEST_MAX)
          : read_all(&r, err);
  if (st == ST_OK && r.rest.len) st = error_set(err, ST_INVALID, "it goes on after its last entry");
  json_doc_release(&r.doc);
  if (st != ST_OK) manifest_release(out);
  return st;
}
