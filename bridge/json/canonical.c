/* Writes a value in its canonical form.
 * One thread at a time a document; a crash leaves nothing. */
#include "bridge/json/canonical.h"

#include "bridge/json/scanner.h"

static void put_node(const struct json_doc *d, uint32_t node, struct buffer *text,
                     struct buffer *out);

static void put_string(const struct json_doc *d, uint32_t node, struct buffer *text,
                       struct buffer *out) {
  buffer_clear(text);
  json_unescape(d, node, text);
  json_write_string(out, buffer_span(text));
  out->failed |= text->failed;
}

static int by_name(const void *a, const void *b, void *doc) {
  return json_string_cmp(doc, *(const uint32_t *)a, *(const uint32_t *)b);
}

static void put_members(const struct json_doc *d, uint32_t node, struct buffer *text,
                        struct buffer *out) {
  uint32_t count = d->nodes[node].count, key = node + 1;
  uint32_t *keys = malloc((count + 1) * sizeof *keys);
  out->failed |= !keys;
  for (uint32_t i = 0; keys && i < count; i++, key = d->nodes[key + 1].next) keys[i] = key;
  if (keys) qsort_r(keys, count, sizeof *keys, by_name, (void *)(uintptr_t)d);
  buffer_add_char(out, '{');
  for (uint32_t i = 0; keys && i < count; i++) {
    if (i) buffer_add_char(out, ',');
    put_string(d, keys[i], text, out);
    buffer_add_char(out, ':');
    put_node(d, keys[i] + 1, text, out);
  }
  buffer_add_char(out, '}');
  free(keys);
}

static void put_elements(const struct json_doc *d, uint32_t node, struct buffer *text,
                         struct buffer *out) {
  uint32_t at = node + 1;
  buffer_add_char(out, '[');
  for (uint32_t i = 0; i < d->nodes[node].count; i++, at = d->nodes[at].next) {
    if (i) buffer_add_char(out, ',');
    put_node(d, at, text, out);
  }
  buffer_add_char(out, ']');
}

/* At most as deep as the scanner goes. */
static void put_node(const struct json_doc *d, uint32_t node, struct buffer *text,
                     struct buffer *out) {
  switch ((enum json_type)d->nodes[node].type) {
  case JSON_NULL:
  case JSON_FALSE:
  case JSON_TRUE: buffer_add(out, json_slice(d, node)); return;
  case JSON_NUMBER: json_number_write(d, node, out); return;
  case JSON_STRING: put_string(d, node, text, out); return;
  case JSON_ARRAY: put_elements(d, node, text, out); return;
  case JSON_OBJECT: put_members(d, node, text, out); return;
  }
}

void json_canonical_write(const struct json_doc *d, uint32_t node, struct buffer *out) {
  struct buffer text = {0};
  put_node(d, node, &text, out);
  buffer_release(&text);
}
