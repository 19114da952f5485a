/* Lines of a copy to dead letters, each durable before the next is looked at.
 * Any thread, one at a time; a crash leaves those that were done, which a second run finds there.
 */
#include "bridge/service/bulk/import.h"

#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"
#include "bridge/service/audit.h"
#include "bridge/service/operations.h"

#define ERRORS_SHOWN 10

struct importing {
  struct service *s;
  uint64_t imported, there, failed, line;
  struct buffer errors;
};

struct copy { /* of one dead letter, from one line or more */
  struct json_doc doc;
  struct buffer text, raw, file, key;
  bool is_raw;
};

static void copy_release(struct copy *c) {
  json_doc_release(&c->doc);
  buffer_release(&c->text);
  buffer_release(&c->raw);
  buffer_release(&c->file);
  buffer_release(&c->key);
}

static uint32_t member_of(const struct json_doc *doc, const char *key, enum json_type type) {
  uint32_t node = json_member(doc, 0, key);
  return node != JSON_NONE && doc->nodes[node].type == type ? node : JSON_NONE;
}

static bool take_base64(const struct json_doc *doc, const char *key, struct buffer *out) {
  uint32_t node = member_of(doc, key, JSON_STRING);
  return node != JSON_NONE && base64_read(json_raw(doc, node), out);
}

/* ---- its lines ---- */

static bool next_line(struct span *rest, struct span *line) {
  const char *end = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
  size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
  if (!rest->len) return false;
  *line = span_trim((struct span){rest->ptr, len});
  *rest = (struct span){rest->ptr + len + (end != NULL), rest->len - len - (end != NULL)};
  return true;
}

static enum status not_a_copy(struct error *err) {
  return error_set(err, ST_INVALID,
                   "not a line of purge --export: it has a file, and an entry or bytes");
}

static enum status read_first(struct copy *c, struct span line, struct error *err) {
  enum status st = json_scan(&c->doc, line, err);
  if (st != ST_OK) return st;
  uint32_t file =
      c->doc.nodes[0].type == JSON_OBJECT ? member_of(&c->doc, "file", JSON_STRING) : JSON_NONE;
  if (file == JSON_NONE || json_member(&c->doc, 0, "offset") != JSON_NONE) return not_a_copy(err);
  json_unescape(&c->doc, file, &c->file);
  uint32_t entry = member_of(&c->doc, "entry", JSON_OBJECT),
           key = member_of(&c->doc, "key", JSON_STRING);
  if (key != JSON_NONE) json_unescape(&c->doc, key, &c->key);
  if (entry != JSON_NONE)
    buffer_add(&c->text, json_slice(&c->doc, entry));
  else if (!take_base64(&c->doc, "bytes", &c->text))
    return not_a_copy(err);
  c->is_raw = json_member(&c->doc, 0, "raw") != JSON_NONE;
  if (c->is_raw && !take_base64(&c->doc, "raw", &c->raw)) return not_a_copy(err);
  return buffer_status(&c->text, err);
}

/* False: it tells of another one. */
static bool read_further(struct copy *c, struct span line) {
  struct json_doc doc = {0};
  struct buffer file = {0};
  int64_t offset = -1;
  uint32_t node;
  bool further = json_scan(&doc, line, NULL) == ST_OK && doc.nodes[0].type == JSON_OBJECT &&
                 (node = member_of(&doc, "offset", JSON_NUMBER)) != JSON_NONE &&
                 json_int(&doc, node, &offset) && offset == (int64_t)c->raw.len;
  if (further && (node = member_of(&doc, "file", JSON_STRING)) != JSON_NONE)
    json_unescape(&doc, node, &file);
  further = further && span_eq(buffer_span(&file), buffer_span(&c->file)) &&
            take_base64(&doc, "raw", &c->raw);
  buffer_release(&file);
  json_doc_release(&doc);
  return further;
}

/* ---- what it is called ---- */

/* As it was: the stem of its file; of other kinds what the entry says of itself. */
static bool storage_key(struct copy *c, struct json_doc *doc, struct buffer *out) {
  struct span file = buffer_span(&c->file);
  for (size_t i = file.len; i > 0; i--)
    if (file.ptr[i - 1] == '/') {
      file = (struct span){file.ptr + i, file.len - i};
      break;
    }
  if (span_ends(file, ".json")) {
    buffer_add(out, (struct span){file.ptr, file.len - strlen(".json")});
    return true;
  }
  static const char *const keys[] = {"storage_key", "id"};
  if (json_scan(doc, buffer_span(&c->text), NULL) != ST_OK || doc->nodes[0].type != JSON_OBJECT)
    return false;
  for (size_t i = 0; i < 2 && !out->len; i++) {
    uint32_t node = member_of(doc, keys[i], JSON_STRING);
    if (node != JSON_NONE) json_unescape(doc, node, out);
  }
  return out->len > 0;
}

static enum status bury(struct importing *m, struct copy *c, struct error *err) {
  struct json_doc doc = {0};
  struct buffer key = {0};
  enum status st = storage_key(c, &doc, &key)
                       ? buffer_status(&key, err)
                       : error_set(err, ST_INVALID, "it does not say what it was called");
  const struct burial letter = {
      .storage_key = buffer_span(&key),
      .text = buffer_span(&c->text),
      .raw = c->is_raw ? (struct span){c->raw.ptr ? c->raw.ptr : "", c->raw.len} : (struct span){0},
      .key = buffer_span(&c->key)};
  if (st == ST_OK) st = store_bury(m->s->store, &letter, NULL, err);
  buffer_release(&key);
  json_doc_release(&doc);
  return st;
}

/* ---- all of them ---- */

static void keep_error(struct importing *m, const struct error *why) {
  struct buffer text = {0};
  if (m->there + m->failed > ERRORS_SHOWN) return;
  buffer_printf(&text, "line %llu: %s", (unsigned long long)m->line, why->text);
  if (m->errors.len) buffer_add_z(&m->errors, ", ");
  json_write_string(&m->errors, buffer_span(&text));
  buffer_release(&text);
}

static bool of_the_world(enum status st) {
  return st == ST_UNAVAILABLE || st == ST_NO_SPACE || st == ST_NO_MEMORY || st == ST_IO;
}

static enum status import_one(struct importing *m, struct span line, struct span *rest,
                              struct error *err) {
  struct copy c = {0};
  struct error why = {0};
  struct span ahead = *rest, further;
  uint64_t lines = 1;
  enum status st = read_first(&c, line, &why);
  while (st == ST_OK && c.is_raw && next_line(&ahead, &further) && read_further(&c, further)) {
    *rest = ahead;
    lines++;
  }
  if (st == ST_OK) st = bury(m, &c, &why);
  copy_release(&c);
  m->imported += st == ST_OK;
  m->there += st == ST_EXISTS;
  m->failed += st != ST_OK && st != ST_EXISTS;
  if (st != ST_OK) keep_error(m, &why);
  m->line += lines - 1;
  if (!of_the_world(st)) return ST_OK;
  if (err) *err = why;
  return st;
}

static void write_answer(struct importing *m, struct buffer *json) {
  bool first = true;
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_int(json, &first, "imported", (int64_t)m->imported);
  member_int(json, &first, "there", (int64_t)m->there);
  member_int(json, &first, "failed", (int64_t)m->failed);
  json_write_key(json, &first, "errors");
  buffer_printf(json, "[%s]}", buffer_z(&m->errors));
}

static void audit_import(const struct importing *m, const struct caller *by) {
  const struct audit_count counts[] = {
      {"imported", m->imported}, {"there", m->there}, {"failed", m->failed}};
  audit_write(m->s, by, "import", SPAN("a copy"), counts, sizeof counts / sizeof *counts);
}

enum status service_import(struct service *s, struct span lines, const struct caller *by,
                           struct buffer *json, struct error *err) {
  struct operation o = operation_begin(s, "import");
  struct importing m = {.s = s};
  struct span line;
  enum status st = ST_OK;
  BUG_ON(s->mode == SERVICE_INSPECT);
  mutex_lock(&s->moving);
  while (st == ST_OK && next_line(&lines, &line)) {
    m.line++;
    if (line.len) st = import_one(&m, line, &lines, err);
  }
  mutex_unlock(&s->moving);
  if (m.imported) audit_import(&m, by);
  if (st == ST_OK) write_answer(&m, json);
  if (st == ST_OK) st = buffer_status(json, err);
  buffer_release(&m.errors);
  return operation_end(&o, st);
}
