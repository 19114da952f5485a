/* The text of busbridge.conf: "key = value" lines and whole-line # comments. Nothing is quoted or
 * continued: a value is what stands between the first = and the end of the line, without blanks
 * around it.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

static struct span next_line(struct span *rest) {
  const char *end = memchr(rest->ptr, '\n', rest->len);
  struct span line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
  size_t used = line.len + (end ? 1 : 0);
  *rest = (struct span){rest->ptr + used, rest->len - used};
  return line;
}

static bool key_like(struct span key) {
  for (size_t i = 0; i < key.len; i++) {
    char c = key.ptr[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '.' &&
        c != '_' && c != '-')
      return false;
  }
  return key.len > 0;
}

/* A key given twice in one file is more likely a mistake than meant. */
static void warn_again(struct loading *l, const char *name, unsigned number, struct span key) {
  enum setting id = setting_find(key);
  const char *source = id == SETTING_COUNT ? route_source(l->s, key) : l->s->values[id].source;
  if (!source || !l->warnings) return;
  struct span before = span_of(source);
  size_t len = strlen(name);
  if (span_starts(before, name) && before.len > len && before.ptr[len] == ':')
    buffer_printf(l->warnings, "%s:%u: %.*s is set again; line %s is overruled\n", name, number,
                  SPAN_ARGS(key), before.ptr + len + 1);
}

static enum status parse_line(struct loading *l, const char *name, unsigned number,
                              struct span line) {
  const char *equals = memchr(line.ptr, '=', line.len);
  struct span key =
      span_trim((struct span){line.ptr, equals ? (size_t)(equals - line.ptr) : line.len});
  struct span rest = key, first = SPAN("");
  bool word = span_word(&rest, &first) && key_like(first);
  if (!key_like(key) || !equals) {
    /* What stands there may be a secret gone astray: at most a first word that looks like a key is
     * shown. */
    if (!word || first.len > 80)
      return error_set(l->err, ST_INVALID, "%s:%u: not a line of the form key = value", name,
                       number);
    return error_set(l->err, ST_INVALID, "%s:%u: %.*s: a line is key = value", name, number,
                     SPAN_ARGS(first));
  }
  struct span value =
      span_trim((struct span){equals + 1, (size_t)(line.ptr + line.len - equals - 1)});
  struct buffer place = {0};
  buffer_printf(&place, "%s:%u", name, number);
  struct origin o = {arena_copy(&l->s->arena, buffer_span(&place)), buffer_span(&place), true};
  enum status st = buffer_status(&place, l->err);
  if (st == ST_OK && !o.source) st = error_set(l->err, ST_NO_MEMORY, "out of memory");
  warn_again(l, name, number, key);
  if (st == ST_OK) st = settings_assign(l, &o, key, value);
  buffer_release(&place);
  return st;
}

enum status settings_parse_file(struct loading *l, const char *name, struct span text) {
  unsigned number = 0;
  if (span_starts(text, "\xEF\xBB\xBF")) text = (struct span){text.ptr + 3, text.len - 3};
  while (text.len > 0) {
    struct span line = span_trim(next_line(&text));
    number++;
    if (line.len == 0 || line.ptr[0] == '#') continue;
    enum status st = parse_line(l, name, number, line);
    if (st != ST_OK && (!l->errors || st == ST_NO_MEMORY)) return st;
    if (st != ST_OK) buffer_printf(l->errors, "%s\n", l->err->text);
  }
  return ST_OK;
}
