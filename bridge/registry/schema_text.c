/* Texts: a schema without its white space, the name of its subject. Pure, any thread; a
 * crash leaves nothing. */
#include "bridge/registry/parts.h"

void registry_minify(struct span text, struct buffer *out) {
  bool inside = false;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    if (!inside && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) continue;
    buffer_add_char(out, c);
    if (inside && c == '\\' && i + 1 < text.len)
      buffer_add_char(out, text.ptr[++i]);
    else if (c == '"')
      inside = !inside;
  }
}

void registry_subject_write(enum subject_naming how, const char *topic, struct span record,
                            struct buffer *out) {
  if (how == SUBJECT_TOPIC) {
    buffer_printf(out, "%s-value", topic);
    return;
  }
  if (how != SUBJECT_RECORD) buffer_printf(out, "%s-", topic);
  buffer_add(out, record);
}
