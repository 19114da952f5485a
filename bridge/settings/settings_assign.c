/* The one place that changes a value, wherever it stands.
 * One thread loads, any reads; a crash leaves nothing. */
#include "bridge/settings/settings_private.h"

#include <sys/stat.h>
#include <unistd.h>

/* "busbridge.conf:3: flush.interval: ", "BUSBRIDGE_FLUSH_INTERVAL=30: ", "-X flush.interval=30: ";
 * a secret, and what may be one, is not shown. */
static enum status blame(const struct origin *o, struct span key, struct span value, bool show,
                         struct error *err) {
  if (key.len > 80) key.len = 80;
  if (o->in_file) return error_prefix(err, "%.*s: %.*s", SPAN_ARGS(o->place), SPAN_ARGS(key));
  if (!show || value.len > 80) return error_prefix(err, "%.*s", SPAN_ARGS(o->place));
  return error_prefix(err, "%.*s=%.*s", SPAN_ARGS(o->place), SPAN_ARGS(value));
}

static enum status assign_pair(struct loading *l, struct setting_pairs *pairs,
                               const struct origin *o, struct span key, struct span value) {
  size_t at = 0;
  while (at < pairs->count && span_cmp(span_of(pairs->at[at].key), key) < 0) at++;
  bool there = at < pairs->count && span_is(key, pairs->at[at].key);
  if (!there && pairs->count == pairs->cap) {
    size_t cap = pairs->cap ? pairs->cap * 2 : 16;
    struct setting_pair *grown = realloc(pairs->at, cap * sizeof *grown);
    if (!grown) return error_set(l->err, ST_NO_MEMORY, "out of memory");
    pairs->at = grown;
    pairs->cap = cap;
  }
  struct arena *arena = &l->s->arena;
  struct setting_pair pair = {arena_copy(arena, key), arena_copy(arena, value), o->source};
  if (!pair.key || !pair.value) return error_set(l->err, ST_NO_MEMORY, "out of memory");
  if (!there) {
    memmove(&pairs->at[at + 1], &pairs->at[at], (pairs->count - at) * sizeof pair);
    pairs->count++;
  }
  pairs->at[at] = pair;
  return ST_OK;
}

static enum status assign_route(struct loading *l, const struct origin *o, struct span key,
                                struct span value) {
  const struct setting_row *attribute = NULL;
  int64_t none;
  enum status st = route_attribute(key, &attribute, l->err);
  if (st == ST_OK) st = setting_parse(attribute, value, &none, l->err);
  return st == ST_OK ? assign_pair(l, &l->s->routes, o, key, value) : st;
}

static enum status assign_row(struct loading *l, const struct origin *o, enum setting id,
                              struct span text) {
  const struct setting_row *row = setting_row((enum setting)id);
  int64_t number = 0;
  enum status st = setting_parse(row, text, &number, l->err);
  if (st != ST_OK) return st;
  char *copy = arena_copy(&l->s->arena, text);
  if (!copy) return error_set(l->err, ST_NO_MEMORY, "out of memory");
  l->s->values[id] = (struct setting_value){copy, number, o->source};
  return ST_OK;
}

static enum status unknown_key(struct error *err, struct span key) {
  const char *near = setting_nearest(key);
  if (!near) return error_set(err, ST_INVALID, "no such setting");
  return error_set(err, ST_INVALID, "no such setting; did you mean %s?", near);
}

/* Read by others than those it is for. That its group may read it is how a file of root's reaches a
 * program that is not. */
static void warn_open(struct loading *l, struct span key, const char *path) {
  struct stat st;
  if (!l->warnings || stat(path, &st) != 0) return;
  bool everyone = st.st_mode & S_IROTH, group = st.st_mode & S_IRGRP && st.st_uid == geteuid();
  if (everyone || group)
    buffer_printf(l->warnings, "%.*s: %s may be read by %s (mode %04o); chmod 600 it\n",
                  SPAN_ARGS(key), path, everyone ? "everyone" : "its group",
                  (unsigned)st.st_mode & 07777);
}

/* The value is in the file named: its content without the last newline takes the place of *value.
 */
static enum status from_file(struct loading *l, struct span key, bool secret, struct span *value,
                             struct buffer *content) {
  char path[4096];
  if (value->len == 0 || value->len >= sizeof path)
    return error_set(l->err, ST_INVALID, "not the path of a file");
  if (!l->read_files) {
    *value = SPAN("");
    return ST_OK;
  }
  memcpy(path, value->ptr, value->len);
  path[value->len] = '\0';
  enum status st = settings_read(path, SETTINGS_SECRET_MAX, content, l->err);
  if (st != ST_OK) return st;
  *value = buffer_span(content);
  if (value->len > 0 && value->ptr[value->len - 1] == '\n') value->len--;
  if (value->len > 0 && value->ptr[value->len - 1] == '\r') value->len--;
  if (!secret) return ST_OK;
  if (span_trim(*value).len == 0) return error_set(l->err, ST_INVALID, "the file is empty");
  warn_open(l, key, path);
  return ST_OK;
}

static enum status assign_value(struct loading *l, const struct origin *o, struct span key,
                                struct span value) {
  if (memchr(value.ptr ? value.ptr : "", '\0', value.len) || span_utf8_prefix(value) != value.len)
    return error_set(l->err, ST_INVALID, "the value is not UTF-8 text");
  enum setting id = setting_find(key);
  if (id != SETTING_COUNT) return assign_row(l, o, id, value);
  if (route_like(key)) return assign_route(l, o, key, value);
  if (!span_starts(key, "kafka.") || key.len == 6) return unknown_key(l->err, key);
  return assign_pair(l, &l->s->kafka, o, (struct span){key.ptr + 6, key.len - 6}, value);
}

enum status settings_assign(struct loading *l, const struct origin *o, struct span key,
                            struct span value) {
  struct buffer content = {0};
  struct span base = key, text = value;
  bool file = setting_find(key) == SETTING_COUNT && span_ends(key, "_file") && key.len > 5;
  enum status st = ST_OK;
  if (file) {
    base.len -= 5;
    enum setting row = setting_find(base);
    bool secret = row != SETTING_COUNT && setting_row((enum setting)row)->flags & SETTING_SECRET;
    st = row == SETTING_COUNT && !span_starts(base, "kafka.") && !route_like(base)
             ? unknown_key(l->err, key)
             : from_file(l, key, secret, &text, &content);
  }
  if (st == ST_OK) st = assign_value(l, o, base, text);
  buffer_release(&content);
  if (st == ST_OK) return ST_OK;
  enum setting id = setting_find(base);
  bool show = file || route_like(base) ||
              (id != SETTING_COUNT && !(setting_row((enum setting)id)->flags & SETTING_SECRET));
  return blame(o, key, value, show && span_utf8_prefix(value) == value.len, l->err);
}
