/* Columns to an entry's text, and that to an event.
 * Any thread; a crash leaves nothing. */
#include "bridge/outbox/database/row.h"

/* ---- its text ---- */

static bool is_whole(const struct db_row *row) {
  return span_is(row->name, ROW_WHOLE);
}

static void add_text(struct buffer *out, const char *before, struct span text) {
  buffer_add_z(out, before);
  if (json_plain_prefix(text) == text.len) { /* as a rule */
    buffer_add_char(out, '"');
    buffer_add(out, text);
    buffer_add_char(out, '"');
  } else {
    json_write_string(out, text);
  }
}

static void add_text_or_null(struct buffer *out, const char *before, struct span text) {
  if (text.ptr)
    add_text(out, before, text);
  else
    buffer_printf(out, "%snull", before);
}

static void add_time(struct buffer *out, const char *before, int64_t us) {
  char text[TIME_TEXT];
  add_text_or_null(out, before, span_of(us == TIME_NONE ? NULL : time_format(us, text)));
}

void row_front(const struct db_row *row, struct buffer *out) {
  if (is_whole(row)) return;
  add_text(out, "{\"id\": ", row->id);
  add_text(out, ", \"name\": ", row->name);
  buffer_add_z(out, ", \"payload\": ");
}

static void add_failures(const struct db_row *row, struct buffer *out) {
  if (!row->attempted && row->failed_us == TIME_NONE) {
    buffer_add_z(out, ", \"attempts\": 0, \"dispatched_at\": null, \"last_error\": null, "
                      "\"failed_at\": null");
    return;
  }
  buffer_printf(out, ", \"attempts\": %u, \"dispatched_at\": null", row->attempts);
  add_text_or_null(out, ", \"last_error\": ", row->last_error);
  add_time(out, ", \"failed_at\": ", row->failed_us);
}

void row_back(const struct db_row *row, enum shelf shelf, struct buffer *out) {
  if (is_whole(row)) return;
  bool dead = shelf == SHELF_DEAD;
  add_text(out, ", \"created_at\": ", row->created_at);
  add_failures(row, out);
  add_text(out,
           dead ? ", \"status\": \"dlq\", \"storage_key\": "
                : ", \"status\": \"pending\", \"storage_key\": ",
           row->id);
  if (row->first_failed_us != TIME_NONE)
    add_time(out, ", \"first_failed_at\": ", row->first_failed_us);
  if (dead) {
    add_text(out, ", \"reason\": ", row->reason);
    buffer_printf(out, ", \"error_code\": %d", row->error_code);
    add_text_or_null(out, ", \"topic\": ", row->topic);
  }
  if (row->headers.ptr) {
    buffer_add_z(out, ", \"headers\": ");
    buffer_add(out, row->headers);
  }
  buffer_add_char(out, '}');
}

/* ---- reading ---- */

struct reading {
  const struct db_row *row;
  enum shelf shelf;
  const struct event_lifting *lifting;
  struct arena *arena;
  struct row_entry *out;
  struct error *err;
};

static enum status no_memory(struct reading *r) {
  return error_set(r->err, ST_NO_MEMORY, "no memory for an entry");
}

static enum status refuse(struct reading *r, enum reason why) {
  r->out->reason = why;
  return ST_OK;
}

/* ST_INVALID: it is not JSON; words and reason say so. */
static enum status scan(struct reading *r, struct span text, struct json_doc *doc,
                        const char *prefix) {
  struct error why = {0};
  *doc = (struct json_doc){.arena = r->arena};
  enum status st = json_scan(doc, text, &why);
  if (st == ST_NO_MEMORY) return no_memory(r);
  if (st == ST_OK) return ST_OK;
  enum reason reason = event_reason_of(doc->fault);
  if (reason == REASON_EMPTY_FILE) reason = REASON_NOT_JSON;
  r->out->reason = reason;
  r->out->words = why;
  if (prefix) error_prefix(&r->out->words, "%s", prefix);
  return ST_INVALID;
}

/* What stands alone in a column is told by its own bytes. */
static enum status tell_fault(struct reading *r) {
  struct json_doc alone;
  r->out->raw = true;
  enum status st = scan(r, r->row->payload, &alone, "payload");
  if (st == ST_OK && r->row->headers.ptr) st = scan(r, r->row->headers, &alone, "headers");
  if (st != ST_OK) return st == ST_INVALID ? ST_OK : st;
  st = scan(r, r->out->text, &r->out->doc, NULL);
  if (st != ST_OK) return st == ST_INVALID ? ST_OK : st;
  error_set(&r->out->words, ST_INVALID, "payload, headers: each is one JSON value");
  return refuse(r, REASON_NOT_JSON);
}

/* Is the value of that member all of the column's text? */
static bool is_column(const struct json_doc *doc, const char *member, struct span column) {
  uint32_t node = json_member(doc, 0, member);
  struct span trimmed = span_trim(column);
  return node != JSON_NONE && doc->nodes[node].len == trimmed.len;
}

static enum status read_event(struct reading *r) {
  struct row_entry *e = r->out;
  e->reason = event_read(&e->doc, r->lifting, r->arena, &e->event, &e->words);
  if (e->reason == REASON_NO_MEMORY) return no_memory(r);
  if (!e->event.subject.len) e->event.subject = r->row->key;
  return ST_OK;
}

static enum status keep_text(struct reading *r, struct buffer *text) {
  r->out->text = arena_span(r->arena, buffer_span(text));
  enum status st = buffer_status(text, r->err);
  if (st == ST_OK && !r->out->text.ptr && text->len) st = no_memory(r);
  buffer_release(text);
  return st;
}

static enum status read_columns(struct reading *r) {
  const struct db_row *row = r->row;
  struct row_entry *e = r->out;
  struct buffer text = {0};
  buffer_reserve(&text, row->size + row->id.len + 300);
  row_front(row, &text);
  buffer_add(&text, row->payload);
  row_back(row, r->shelf, &text);
  enum status st = keep_text(r, &text);
  if (st != ST_OK) return st;
  if (json_scan(&e->doc, e->text, NULL) != ST_OK) return tell_fault(r);
  if (!is_column(&e->doc, "payload", row->payload) ||
      (row->headers.ptr && !is_column(&e->doc, "headers", row->headers)))
    return tell_fault(r);
  return read_event(r);
}

/* ---- an entry that is whole in its payload ---- */

/* A JSON string is what is in it. */
static enum status unwrap(struct reading *r) {
  struct json_doc doc = {.arena = r->arena};
  r->out->text = r->row->payload;
  if (!r->out->text.len || *r->out->text.ptr != '"') return ST_OK;
  enum status st = json_scan(&doc, r->out->text, NULL);
  if (st != ST_OK || doc.nodes[0].type != JSON_STRING)
    return st == ST_NO_MEMORY ? no_memory(r) : ST_OK;
  return json_text(&doc, 0, r->arena, &r->out->text) ? ST_OK : no_memory(r);
}

enum { CHANGES_MOST = 9 };
struct rewriting {
  struct event_change list[CHANGES_MOST];
  size_t count, ends[CHANGES_MOST];
  struct buffer values;
};

static void changed(struct rewriting *w, const char *key) {
  w->list[w->count].key = key;
  w->ends[w->count++] = w->values.len;
}

static void add_changes(const struct db_row *row, bool dead, struct rewriting *w) {
  buffer_printf(&w->values, "%u", row->attempts);
  changed(w, "attempts");
  add_text_or_null(&w->values, "", row->last_error);
  changed(w, "last_error");
  add_time(&w->values, "", row->failed_us);
  changed(w, "failed_at");
  add_time(&w->values, "", row->first_failed_us);
  changed(w, "first_failed_at");
  if (!dead) return;
  buffer_add_z(&w->values, "\"dlq\"");
  changed(w, "status");
  add_text(&w->values, "", row->reason);
  changed(w, "reason");
  buffer_printf(&w->values, "%d", row->error_code);
  changed(w, "error_code");
  add_text_or_null(&w->values, "", row->topic);
  changed(w, "topic");
}

static enum status rewrite(struct reading *r) {
  struct rewriting w = {0};
  struct buffer text = {0};
  add_changes(r->row, r->shelf == SHELF_DEAD, &w);
  enum status st = buffer_status(&w.values, r->err);
  for (size_t i = 0, from = 0; i < w.count && st == ST_OK; from = w.ends[i++])
    w.list[i] = (struct event_change){w.list[i].key, {w.values.ptr + from, w.ends[i] - from}};
  if (st == ST_OK) {
    event_rewrite(&r->out->doc, w.list, w.count, &text);
    st = keep_text(r, &text);
  }
  buffer_release(&w.values);
  return st;
}

static enum status read_whole(struct reading *r) {
  struct row_entry *e = r->out;
  enum status st = unwrap(r);
  if (st == ST_OK) st = scan(r, e->text, &e->doc, NULL);
  if (st == ST_OK && e->doc.nodes[0].type == JSON_OBJECT &&
      (r->row->attempted || r->shelf == SHELF_DEAD)) {
    st = rewrite(r);
    if (st == ST_OK) st = scan(r, e->text, &e->doc, NULL);
  }
  if (st == ST_OK) st = read_event(r);
  e->raw = e->doc.fault != JSON_OK || !e->doc.count || e->doc.nodes[0].type != JSON_OBJECT;
  return st == ST_INVALID ? ST_OK : st;
}

enum status row_read(const struct db_row *row, enum shelf shelf, uint64_t max,
                     const struct event_lifting *lifting, struct arena *arena,
                     struct row_entry *out, struct error *err) {
  struct reading r = {row, shelf, lifting, arena, out, err};
  *out = (struct row_entry){.doc = {.arena = arena},
                            .event = {.payload = JSON_NONE,
                                      .created_us = TIME_NONE,
                                      .failed_us = TIME_NONE,
                                      .first_failed_us = TIME_NONE}};
  if (row->cut || (max && row->size > max)) {
    error_set(&out->words, ST_TOO_LARGE,
              "%llu bytes, more than the %llu that outbox.max_entry_bytes allows",
              (unsigned long long)row->size, (unsigned long long)max);
    return refuse(&r, REASON_TOO_LARGE);
  }
  return is_whole(row) ? read_whole(&r) : read_columns(&r);
}

/* ---- and back ---- */

/* All that it says stands in columns. */
static bool fits(const struct json_doc *doc, const struct event *e, struct span key) {
  uint32_t created = json_member(doc, 0, "created_at");
  return !e->others && e->attempts == 0 && e->failed_us == TIME_NONE &&
         e->first_failed_us == TIME_NONE && !e->reason.len &&
         (!e->last_error.len || span_is(e->last_error, "null")) && e->status == EVENT_PENDING &&
         span_eq(e->id, key) && span_eq(e->storage_key, key) && !span_is(e->name, ROW_WHOLE) &&
         created != JSON_NONE && doc->nodes[created].type == JSON_STRING &&
         !(doc->nodes[created].flags & JSON_ESCAPED);
}

static enum status wrap(struct span text, bool json, struct arena *arena, struct db_row *out,
                        struct error *err) {
  struct buffer quoted = {0};
  out->name = SPAN(ROW_WHOLE);
  out->payload = text;
  if (json) return ST_OK;
  if (span_utf8_prefix(text) < text.len)
    return error_set(err, ST_INVALID, "an entry is UTF-8 text");
  json_write_string(&quoted, text);
  out->payload = arena_span(arena, buffer_span(&quoted));
  enum status st = buffer_status(&quoted, err);
  if (st == ST_OK && !out->payload.ptr) st = error_set(err, ST_NO_MEMORY, "no memory for an entry");
  buffer_release(&quoted);
  return st;
}

enum status row_columns(struct span storage_key, struct span text, struct arena *arena,
                        struct db_row *out, struct error *err) {
  struct json_doc doc = {.arena = arena};
  struct event e;
  struct error ignored = {0};
  if (!event_id_valid(storage_key))
    return error_set(err, ST_INVALID, "an entry is called [A-Za-z0-9._-]{1,128}");
  *out = (struct db_row){.id = storage_key, .key = SPAN("")};
  enum status st = json_scan(&doc, text, &ignored);
  if (st == ST_NO_MEMORY) return error_set(err, st, "no memory for an entry");
  enum reason why = st == ST_OK ? event_parse(&doc, arena, &e, &ignored) : REASON_NOT_JSON;
  if (why == REASON_NO_MEMORY) return error_set(err, ST_NO_MEMORY, "no memory for an entry");
  if (why != REASON_NONE || !fits(&doc, &e, storage_key))
    return wrap(text, st == ST_OK && doc.nodes[0].type != JSON_STRING, arena, out, err);
  out->name = e.name;
  out->payload = json_slice(&doc, e.payload);
  out->created_at = json_raw(&doc, json_member(&doc, 0, "created_at"));
  return ST_OK;
}
