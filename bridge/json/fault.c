/* Why a scan failed, in words: the byte, the path that leads to it, and what to write instead.
 * Any thread, one at a time a document; a crash leaves nothing. */
#include "bridge/json/scanner.h"

#define PATH_SHOWN 160

const char *json_fault_word(enum json_fault f) {
  switch (f) {
  case JSON_OK: return "none";
  case JSON_EMPTY: return "empty_file";
  case JSON_SYNTAX: return "not_json";
  case JSON_NOT_A_NUMBER: return "not_a_number";
  case JSON_LONE_SURROGATE: return "lone_surrogate";
  case JSON_INVALID_UTF8: return "invalid_utf8";
  case JSON_DUPLICATE_KEY: return "duplicate_key";
  case JSON_TOO_DEEP: return "too_deep";
  case JSON_NO_MEMORY: return "no_memory";
  }
  return "unknown";
}

bool json_fail(struct json_scanner *s, enum json_fault fault, const unsigned char *at,
               const char *fmt, ...) {
  s->doc->fault = fault;
  s->doc->fault_at = (uint32_t)(at - s->text);
  va_list args;
  va_start(args, fmt);
  vsnprintf(s->why, sizeof s->why, fmt, args);
  va_end(args);
  return false;
}

bool json_fail_cut(struct json_scanner *s, const char *what) {
  return json_fail(s, JSON_SYNTAX, s->end, "ends in the middle of %s", what);
}

const char *json_byte_text(unsigned char byte, char out[16]) {
  snprintf(out, 16, byte > 0x20 && byte < 0x7f ? "'%c'" : "byte 0x%02x", byte);
  return out;
}

static bool plain_name(struct span name) {
  for (size_t i = 0; i < name.len; i++)
    if (strchr(".[]\\\" ", name.ptr[i])) return false;
  return name.len > 0;
}

void json_path_key(struct span quoted, struct buffer *out) {
  struct span name = {quoted.ptr + 1, quoted.len - 2};
  if (!plain_name(name)) {
    buffer_add_char(out, '[');
    buffer_add(out, quoted);
    buffer_add_char(out, ']');
    return;
  }
  if (out->len) buffer_add_char(out, '.');
  buffer_add(out, name);
}

static void fault_path(const struct json_scanner *s, struct buffer *out) {
  for (unsigned i = 0; i < s->depth; i++) {
    const struct json_frame *f = &s->frames[i];
    if (!f->in_value) return;
    if (f->object)
      json_path_key(json_slice(s->doc, f->key), out);
    else
      buffer_printf(out, "[%u]", s->doc->nodes[f->node].count - 1);
  }
}

enum status json_fault_report(const struct json_scanner *s, struct error *err) {
  if (s->doc->fault == JSON_NO_MEMORY)
    return error_set(err, ST_NO_MEMORY, "no memory for the nodes of a JSON text");
  if (!err) return ST_INVALID;
  struct buffer path = {0};
  fault_path(s, &path);
  struct span shown = buffer_span(&path);
  bool cut = shown.len > PATH_SHOWN;
  if (cut) shown = (struct span){path.ptr, PATH_SHOWN};
  if (cut) shown.len = span_utf8_prefix(shown);
  error_set(err, ST_INVALID, "byte %u: %.*s%s%s%s", s->doc->fault_at, (int)shown.len,
            shown.len ? shown.ptr : "", cut ? "..." : "", shown.len ? ": " : "", s->why);
  buffer_release(&path);
  return ST_INVALID;
}
