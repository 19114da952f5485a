/* The note that keeps an outbox from being published, over restarts.
 * Any thread reads, the owner writes; a crash leaves the old note or the new one. */
#include "bridge/base/text/words.h"
#include "bridge/json/json.h"
#include "bridge/outbox/store.h"

static void take_text(const struct json_doc *doc, const char *key, char *out, size_t size) {
  struct buffer text = {0};
  uint32_t node = json_member(doc, 0, key);
  if (node != JSON_NONE && doc->nodes[node].type == JSON_STRING) json_unescape(doc, node, &text);
  struct span cut = text_cut(buffer_span(&text), size - 1);
  snprintf(out, size, "%.*s", SPAN_ARGS(cut));
  buffer_release(&text);
}

static void take_members(const struct json_doc *doc, struct store_pause *out) {
  char since[TIME_TEXT];
  take_text(doc, "since", since, sizeof since);
  if (!time_parse(span_of(since), &out->since_us)) out->since_us = TIME_NONE;
  take_text(doc, "by", out->by, sizeof out->by);
  take_text(doc, "reason", out->reason, sizeof out->reason);
}

void store_pause_read(const struct store *s, struct store_pause *out) {
  struct buffer text = {0};
  struct json_doc doc = {0};
  struct error err = {0};
  *out = (struct store_pause){.since_us = TIME_NONE};
  enum status st = store_note_read(s, NOTE_PAUSE, &text, &err);
  out->on = st != ST_NOT_FOUND;
  if (st == ST_OK) st = json_scan(&doc, buffer_span(&text), &err);
  if (st == ST_OK && doc.nodes[0].type == JSON_OBJECT)
    take_members(&doc, out);
  else if (out->on)
    snprintf(out->reason, sizeof out->reason, "%s does not tell: %.200s",
             store_note_name(s, NOTE_PAUSE), st == ST_OK ? "it is not a JSON object" : err.text);
  json_doc_release(&doc);
  buffer_release(&text);
}

enum status store_pause_write(struct store *s, const struct store_pause *pause, struct error *err) {
  struct buffer text = {0};
  char since[TIME_TEXT];
  bool first = true;
  buffer_add_char(&text, '{');
  json_write_key(&text, &first, "version");
  json_write_int(&text, 1);
  json_write_key(&text, &first, "since");
  json_write_string(&text, span_of(time_format(pause->since_us, since)));
  json_write_key(&text, &first, "by");
  json_write_string(&text, span_of(pause->by));
  json_write_key(&text, &first, "reason");
  json_write_string(&text, span_of(pause->reason));
  buffer_add_z(&text, "}\n");
  enum status st = buffer_status(&text, err);
  if (st == ST_OK) st = store_note_write(s, NOTE_PAUSE, buffer_span(&text), err);
  buffer_release(&text);
  return st;
}

/* A crash in between leaves it paused, or not: the caller was not told that it goes on. */
enum status store_pause_remove(struct store *s, struct error *err) {
  return store_note_remove(s, NOTE_PAUSE, err);
}
