/* Copies a schema's text; a name that another file defines becomes that file's text, once.
 * One thread at a time a catalog; a crash leaves nothing. */
#include "bridge/encoding/json_schema/inline.h"

#include "bridge/encoding/types/schema.h"
#include "bridge/json/json.h"

struct inliner {
  struct json_doc doc;
  size_t copied; /* bytes of doc's text that are in out */
  const struct table *commons;
  struct table defined; /* full names that stand in out */
  struct arena arena;
  struct buffer *out;
  enum status status;
};

static void write_type(struct inliner *w, uint32_t node, struct span ns);

static struct span full_name(struct inliner *w, struct span name, struct span ns) {
  struct buffer full = {0};
  if (!ns.len || memchr(name.ptr, '.', name.len)) return arena_span(&w->arena, name);
  buffer_printf(&full, "%.*s.%.*s", SPAN_ARGS(ns), SPAN_ARGS(name));
  struct span kept = full.failed ? (struct span){0} : arena_span(&w->arena, buffer_span(&full));
  buffer_release(&full);
  return kept;
}

static struct span text_of(struct inliner *w, uint32_t node) {
  struct span text = {0};
  if (node == JSON_NONE || w->doc.nodes[node].type != JSON_STRING) return text;
  if (!json_text(&w->doc, node, &w->arena, &text)) w->status = ST_NO_MEMORY;
  return text;
}

static void copy_to(struct inliner *w, size_t at) {
  buffer_append(w->out, w->doc.text.ptr + w->copied, at - w->copied);
  w->copied = at;
}

static void write_whole(struct inliner *w, struct span text) {
  struct json_doc outer = w->doc;
  size_t copied = w->copied;
  w->doc = (struct json_doc){0};
  w->copied = 0;
  w->status = json_scan(&w->doc, span_trim(text), NULL);
  if (w->status == ST_OK) write_type(w, 0, (struct span){"", 0});
  if (w->status == ST_OK) copy_to(w, w->doc.text.len);
  json_doc_release(&w->doc);
  w->doc = outer;
  w->copied = copied;
}

static void write_name(struct inliner *w, uint32_t node, struct span ns) {
  struct span full = full_name(w, text_of(w, node), ns);
  const struct common *c =
      full.ptr && !table_get(&w->defined, full) ? table_get(w->commons, full) : NULL;
  if (!c || w->status != ST_OK) return;
  const struct json_node *n = &w->doc.nodes[node];
  size_t begin = n->at, end = (size_t)n->at + n->len;
  copy_to(w, begin);
  write_whole(w, buffer_span(&c->text));
  w->copied = end;
}

static void write_fields(struct inliner *w, uint32_t fields, struct span ns) {
  if (fields == JSON_NONE || w->doc.nodes[fields].type != JSON_ARRAY) return;
  uint32_t at = fields + 1;
  for (uint32_t i = 0; i < w->doc.nodes[fields].count; i++, at = w->doc.nodes[at].next) {
    uint32_t type = json_member(&w->doc, at, "type");
    if (type != JSON_NONE) write_type(w, type, ns);
  }
}

/* The name that an object defines, and the namespace inside it. */
static void define(struct inliner *w, uint32_t node, struct span *ns) {
  struct span name = text_of(w, json_member(&w->doc, node, "name")),
              own = text_of(w, json_member(&w->doc, node, "namespace"));
  if (!name.ptr) return;
  struct span full = full_name(w, name, own.ptr ? own : *ns);
  if (!full.ptr || table_put(&w->defined, full, w) == ST_NO_MEMORY) {
    w->status = ST_NO_MEMORY;
    return;
  }
  const char *dot = memrchr(full.ptr, '.', full.len);
  *ns = (struct span){full.ptr, dot ? (size_t)(dot - full.ptr) : 0};
}

static void write_object(struct inliner *w, uint32_t node, struct span ns) {
  struct span word = text_of(w, json_member(&w->doc, node, "type"));
  uint32_t items = JSON_NONE;
  if (span_is(word, "record") || span_is(word, "enum") || span_is(word, "fixed"))
    define(w, node, &ns);
  if (span_is(word, "record")) write_fields(w, json_member(&w->doc, node, "fields"), ns);
  if (span_is(word, "array")) items = json_member(&w->doc, node, "items");
  if (span_is(word, "map")) items = json_member(&w->doc, node, "values");
  if (items != JSON_NONE) write_type(w, items, ns);
}

static void write_type(struct inliner *w, uint32_t node, struct span ns) {
  const struct json_node *n = &w->doc.nodes[node];
  if (w->status != ST_OK) return;
  if (n->type == JSON_STRING) write_name(w, node, ns);
  if (n->type == JSON_OBJECT) write_object(w, node, ns);
  if (n->type != JSON_ARRAY) return;
  uint32_t at = node + 1;
  for (uint32_t i = 0; i < w->doc.nodes[node].count; i++, at = w->doc.nodes[at].next)
    write_type(w, at, ns);
}

enum status inline_write(struct span text, const struct table *commons, struct buffer *out,
                         struct error *err) {
  struct inliner w = {.commons = commons, .out = out};
  size_t start = out->len;
  write_whole(&w, text);
  table_release(&w.defined);
  arena_release(&w.arena);
  if (w.status == ST_OK && !out->failed) return ST_OK;
  if (!out->failed) out->len = start;
  return error_set(err, w.status == ST_OK ? ST_NO_MEMORY : w.status,
                   "the schema's text cannot be read");
}
