/* A load: defaults, file, environment, -X; and what is then asked of it. */
#include "bridge/settings/settings_private.h"

#include "bridge/base/denial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPE_WAIT_MS = 5000 };

static const struct setting_row rows[SETTING_COUNT] = {
#define X(id, key, type, fallback, low, high, flags, choices, help)                                                    \
  [SETTING_##id] = {(key), SETTING_##type, (fallback), (low), (high), (choices), (flags), (help)},
    SETTINGS_TABLE(X)
#undef X
};

const struct setting_row *setting_row(enum setting s) {
  BUG_ON((unsigned)s >= SETTING_COUNT);
  return &rows[s];
}

enum setting setting_find(struct span key) {
  int i = 0;
  while (i < SETTING_COUNT && !span_is(key, rows[i].key)) i++;
  return (enum setting)i;
}

enum status settings_defaults(struct settings *s, struct error *err) {
  for (int i = 0; i < SETTING_COUNT; i++) {
    struct setting_value *v = &s->values[i];
    v->text = rows[i].fallback;
    v->source = "default";
    enum status st = setting_parse(&rows[i], span_of(v->text), &v->number, err);
    if (st != ST_OK) return error_prefix(err, "default of %s", rows[i].key);
  }
  return ST_OK;
}

/* "busbridge.conf:3: flush.interval: ", "BUSBRIDGE_FLUSH_INTERVAL=30: ", "-X flush.interval=30: "; a secret, and what
 * may be one, is not shown. */
static enum status blame(const struct origin *o, struct span key, struct span value, bool show, struct error *err) {
  if (key.len > 80) key.len = 80;
  if (o->in_file) return error_prefix(err, "%.*s: %.*s", SPAN_ARGS(o->place), SPAN_ARGS(key));
  if (!show || value.len > 80) return error_prefix(err, "%.*s", SPAN_ARGS(o->place));
  return error_prefix(err, "%.*s=%.*s", SPAN_ARGS(o->place), SPAN_ARGS(value));
}

static enum status assign_kafka(struct loading *l, const struct origin *o, struct span key, struct span value) {
  struct settings *s = l->s;
  size_t at = 0;
  while (at < s->kafka_count && span_cmp(span_of(s->kafka[at].key), key) < 0) at++;
  bool there = at < s->kafka_count && span_is(key, s->kafka[at].key);
  if (!there && s->kafka_count == s->kafka_cap) {
    size_t cap = s->kafka_cap ? s->kafka_cap * 2 : 16;
    struct kafka_pair *grown = realloc(s->kafka, cap * sizeof *grown);
    if (!grown) return error_set(l->err, ST_NO_MEMORY, "out of memory");
    s->kafka = grown;
    s->kafka_cap = cap;
  }
  struct kafka_pair pair = {arena_copy(&s->arena, key), arena_copy(&s->arena, value), o->source};
  if (!pair.key || !pair.value) return error_set(l->err, ST_NO_MEMORY, "out of memory");
  if (!there) {
    memmove(&s->kafka[at + 1], &s->kafka[at], (s->kafka_count - at) * sizeof pair);
    s->kafka_count++;
  }
  s->kafka[at] = pair;
  return ST_OK;
}

static bool equals_default(const struct setting_row *row, struct span text, int64_t number) {
  int64_t fallback = 0;
  if (row->type == SETTING_TEXT || row->type == SETTING_CHOICE) return span_is(text, row->fallback);
  return setting_parse(row, span_of(row->fallback), &fallback, NULL) == ST_OK && fallback == number;
}

static enum status assign_row(struct loading *l, const struct origin *o, enum setting id, struct span text) {
  const struct setting_row *row = &rows[id];
  int64_t number = 0;
  enum status st = setting_parse(row, text, &number, l->err);
  if (st == ST_OK && row->flags & SETTING_LATER && !equals_default(row, text, number))
    st = error_set(l->err, ST_INVALID, "is not there yet: this release does %s; leave it out",
                   row->fallback[0] ? row->fallback : "without it");
  if (st != ST_OK) return st;
  char *copy = arena_copy(&l->s->arena, text);
  if (!copy) return error_set(l->err, ST_NO_MEMORY, "out of memory");
  l->s->values[id] = (struct setting_value){copy, number, o->source};
  return ST_OK;
}

static enum status unknown(struct error *err, struct span key) {
  const char *near = setting_nearest(key);
  if (!near) return error_set(err, ST_INVALID, "no such setting");
  return error_set(err, ST_INVALID, "no such setting; did you mean %s?", near);
}

/* Read by others than those it is for. That its group may read it is how a file of root's reaches a program that is
 * not. */
static void warn_open(struct loading *l, struct span key, const char *path) {
  struct stat st;
  if (!l->warnings || stat(path, &st) != 0) return;
  bool everyone = st.st_mode & S_IROTH, group = st.st_mode & S_IRGRP && st.st_uid == geteuid();
  if (everyone || group)
    buffer_printf(l->warnings, "%.*s: %s may be read by %s (mode %04o); chmod 600 it\n", SPAN_ARGS(key), path,
                  everyone ? "everyone" : "its group", (unsigned)st.st_mode & 07777);
}

/* The value is in the file named: its content without the last newline takes the place of *value. */
static enum status from_file(struct loading *l, struct span key, bool secret, struct span *value,
                             struct buffer *content) {
  char path[4096];
  if (value->len == 0 || value->len >= sizeof path) return error_set(l->err, ST_INVALID, "not the path of a file");
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

static enum status assign_value(struct loading *l, const struct origin *o, struct span key, struct span value) {
  if (memchr(value.ptr ? value.ptr : "", '\0', value.len) || span_utf8_prefix(value) != value.len)
    return error_set(l->err, ST_INVALID, "the value is not UTF-8 text");
  enum setting id = setting_find(key);
  if (id != SETTING_COUNT) return assign_row(l, o, id, value);
  if (!span_starts(key, "kafka.") || key.len == 6) return unknown(l->err, key);
  return assign_kafka(l, o, (struct span){key.ptr + 6, key.len - 6}, value);
}

enum status settings_assign(struct loading *l, const struct origin *o, struct span key, struct span value) {
  struct buffer content = {0};
  struct span base = key, text = value;
  bool file = setting_find(key) == SETTING_COUNT && span_ends(key, "_file") && key.len > 5;
  enum status st = ST_OK;
  if (file) {
    base.len -= 5;
    enum setting row = setting_find(base);
    bool secret = row != SETTING_COUNT && rows[row].flags & SETTING_SECRET;
    st = row == SETTING_COUNT && !span_starts(base, "kafka.") ? unknown(l->err, key)
                                                              : from_file(l, key, secret, &text, &content);
  }
  if (st == ST_OK) st = assign_value(l, o, base, text);
  buffer_release(&content);
  if (st == ST_OK) return ST_OK;
  enum setting id = setting_find(base);
  bool show = file || (id != SETTING_COUNT && !(rows[id].flags & SETTING_SECRET));
  return blame(o, key, value, show && span_utf8_prefix(value) == value.len, l->err);
}

/* A pipe of the shell, as <(...) makes it, may be read; one that nobody writes to holds nothing up. */
static enum status await_bytes(int fd, const char *path, struct error *err) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (poll(&p, 1, PIPE_WAIT_MS) != 0) return ST_OK;
  return error_set(err, ST_INVALID, "%s: nothing comes out of it; is it a FIFO or a terminal? A plain file is wanted",
                   path);
}

enum status settings_read(const char *path, size_t limit, struct buffer *out, struct error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) {
    enum status st = error_sys(err, errno, "%s", path);
    error_denied(err, path, R_OK);
    return st;
  }
  enum status st = ST_OK;
  for (;;) {
    buffer_reserve(out, 4096);
    if ((st = buffer_status(out, err)) != ST_OK || (st = await_bytes(fd, path, err)) != ST_OK) break;
    ssize_t n = read(fd, out->ptr + out->len, 4096);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) st = error_sys(err, errno, "%s", path);
    if (n <= 0) break;
    out->len += (size_t)n;
    if (out->len > limit) {
      st = error_set(err, ST_TOO_LARGE, "%s: larger than %zu bytes; is it the right file?", path, limit);
      break;
    }
  }
  close(fd);
  return st;
}

static enum status load_file(struct loading *l, const char *path) {
  struct buffer text = {0};
  enum status st = settings_read(path, SETTINGS_FILE_MAX, &text, l->err);
  if (st == ST_OK) st = settings_parse_file(l, path, buffer_span(&text));
  buffer_release(&text);
  return st;
}

static enum status load_overrides(struct loading *l, const struct settings_sources *from) {
  for (size_t i = 0; i < from->override_count; i++) {
    const char *text = from->overrides[i], *equals = strchr(text, '=');
    if (!equals) return error_set(l->err, ST_INVALID, "-X %.80s: a setting is given as key=value", text);
    struct span key = {text, (size_t)(equals - text)};
    struct buffer place = {0};
    buffer_printf(&place, "-X %.*s", (int)(key.len > 80 ? 80 : key.len), key.ptr);
    enum status st = buffer_status(&place, l->err);
    struct origin o = {.source = "-X", .place = buffer_span(&place)};
    if (st == ST_OK) st = settings_assign(l, &o, span_trim(key), span_trim(span_of(equals + 1)));
    buffer_release(&place);
    if (st != ST_OK) return st;
  }
  return ST_OK;
}

/* bootstrap.servers has a default of ours; librdkafka knows metadata.broker.list as its other name. */
static enum status default_brokers(struct loading *l) {
  for (size_t i = 0; i < l->s->kafka_count; i++) {
    const char *key = l->s->kafka[i].key;
    if (!strcmp(key, "bootstrap.servers") || !strcmp(key, "metadata.broker.list")) return ST_OK;
  }
  struct origin o = {.source = "default"};
  return assign_kafka(l, &o, SPAN("bootstrap.servers"), SPAN("127.0.0.1:9092"));
}

enum status settings_load(const struct settings_sources *sources, struct settings **out, struct buffer *warnings,
                          struct error *err) {
  struct error own = {0};
  struct loading l = {calloc(1, sizeof(struct settings)), warnings, err ? err : &own, true, sources->errors};
  if (!l.s) return error_set(err, ST_NO_MEMORY, "out of memory");
  enum status st = settings_defaults(l.s, l.err);
  if (st == ST_OK && sources->file) st = load_file(&l, sources->file);
  if (st == ST_OK && sources->environment) st = settings_parse_environment(&l, sources->environment);
  if (st == ST_OK) st = load_overrides(&l, sources);
  if (st == ST_OK) st = default_brokers(&l);
  if (st != ST_OK) {
    settings_free(l.s);
    return st;
  }
  *out = l.s;
  return ST_OK;
}

void settings_free(struct settings *s) {
  if (!s) return;
  arena_release(&s->arena);
  free(s->kafka);
  free(s);
}

const char *setting_text(const struct settings *s, enum setting key) {
  enum setting_type type = setting_row(key)->type;
  BUG_ON(type != SETTING_TEXT && type != SETTING_CHOICE);
  return s->values[key].text;
}

int64_t setting_number(const struct settings *s, enum setting key) {
  enum setting_type type = setting_row(key)->type;
  BUG_ON(type != SETTING_NUMBER && type != SETTING_DURATION && type != SETTING_BYTES);
  return s->values[key].number;
}

bool setting_bool(const struct settings *s, enum setting key) {
  BUG_ON(setting_row(key)->type != SETTING_BOOL);
  return s->values[key].number != 0;
}

const char *setting_source(const struct settings *s, enum setting key) {
  BUG_ON((unsigned)key >= SETTING_COUNT);
  return s->values[key].source;
}

const char *settings_kafka_source(const struct settings *s, size_t i) {
  BUG_ON(i >= s->kafka_count);
  return s->kafka[i].source;
}

bool settings_kafka(const struct settings *s, size_t i, const char **key, const char **value) {
  if (i >= s->kafka_count) return false;
  *key = s->kafka[i].key;
  *value = s->kafka[i].value;
  return true;
}
